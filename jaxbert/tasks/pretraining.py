# SPDX-License-Identifier: Apache-2.0
"""Pretraining (arXiv 1810.04805, 3.1): masked language model and next sentence prediction, as `run_pretraining`."""

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Mapping
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxbert.batches.devices import replicate, row_units
from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.order import records_at
from jaxbert.batches.packing import RowShape, choose_shape
from jaxbert.batches.rows import Arrays, Layout, Targets, record_sizes, scatter
from jaxbert.checkpoints.model_folder import read_results
from jaxbert.checkpoints.resolve import Model, find_model, find_source
from jaxbert.checkpoints.vocab_fit import NewTokens
from jaxbert.config.trainers import PretrainingFlags
from jaxbert.console import say
from jaxbert.datasets.checks import Bounds, CheckAll, Found, refuse_other_vocab
from jaxbert.datasets.pretraining import PretrainingRecords
from jaxbert.errors import InputError
from jaxbert.features.counts import unknown_note
from jaxbert.features.masking import Masking, MaskVocab, mask_anew, mask_vocab, whole_words_note
from jaxbert.io import files
from jaxbert.model.heads import pretrain
from jaxbert.model.weights import Table, Tree, pretraining_table
from jaxbert.reports import content
from jaxbert.reports import run as reports
from jaxbert.tasks import reporting
from jaxbert.tasks.network import Network
from jaxbert.text.tokenizer import Rules
from jaxbert.text.vocab import Vocab, has_case, lower_cases
from jaxbert.train import devices, hosts, run, run_folder
from jaxbert.train.evaluate import totals
from jaxbert.train.hosts import check_together
from jaxbert.train.loop import Plan
from jaxbert.train.losses import cross_entropy, pretraining_loss, score_sums
from jaxbert.train.optimizers import LinearSchedule
from jaxbert.train.run import Training
from jaxbert.train.step import Batch

FOLDER = "pretrained"
_LOOKED_AT = 2048  # records whose tokens are looked at one by one
_SAMPLE = 8192  # records whose sizes stand for those of all
# Sums over targets: of their weights, of weight x cross entropy, of the weights of those that were predicted right.
SUMS = (
    "masked_lm_weight",
    "masked_lm_loss",
    "masked_lm_right",
    "next_sentence_weight",
    "next_sentence_loss",
    "next_sentence_right",
)


def run_task(flags: PretrainingFlags) -> None:
    """Train from where the run stands, or from the start, to the last step; evaluate and write the model each epoch."""
    goes_on = run_folder.check(flags)
    model = find_model(
        flags.start_checkpoint,
        bert_config_file=flags.bert_config_file,
        vocab_file=flags.vocab_file,
        do_lower_case=flags.do_lower_case,
        may_be_gone=goes_on,
        new_tokens=cast(NewTokens, flags.new_tokens),
    )
    records = open_records(flags, model, flags.input_files)
    _refuse_masks_without_effect(flags, records)
    model, counts = _with_rules_of(flags, model, records)
    mesh = devices.mesh_of(flags, model.config)
    pretrainer = Pretrainer(model.config, run.compute(flags, mesh), mesh, flags.use_next_sentence_label)
    held_out = _held_out(flags, model, mesh)
    training = _training(flags, pretrainer, records)
    folder, results = os.path.join(flags.model_dir, FOLDER), dict[str, float]()
    masked: Arrays = {}
    with contextlib.closing(run.fit(flags, mesh, model, training)) as epochs:
        for epoch in epochs:
            if held_out is not None:
                results = pretrainer.evaluate(epoch.weights, held_out)
                epoch.report(results)
                if epoch.step == training.plan.total_steps:
                    masked = pretrainer.masked_tokens(epoch.weights, held_out)
            run.write_model([folder], epoch.weights, model.texts(), {"step": epoch.step, **results})
    if held_out is not None and not results:  # all was done before; these may be other records than those of then
        finished = dataclasses.replace(model, source=find_source(folder))
        weights = pretrainer.load(finished, None, "whole model of pretraining")
        results = pretrainer.evaluate(weights, held_out)
        run.say_results(int(read_results(folder)["step"]), results)
        masked = pretrainer.masked_tokens(weights, held_out)
    say(f"the model is in {folder}; give it as --init_checkpoint")
    if held_out is None:
        about = {"task": "pretraining", "records to train on": len(records)}
        reporting.of_training(flags, "pretraining", model, pretrainer.table, about)
    elif hosts.is_first():
        size = len(held_out.records)
        about = {"task": "pretraining", "records to train on": len(records), "records to evaluate on": size}
        told = {"results": content.exact(results) | {"step": int(read_results(folder)["step"])}}
        told |= content.masked_tokens(masked, counts) if masked["ids"].size else {}
        reports.write(flags, "pretraining", reporting.of_model(model, pretrainer.table), about, told)


def _with_rules_of(flags: PretrainingFlags, model: Model, records: "MaskedRecords") -> tuple[Model, np.ndarray | None]:
    """The model with the rules by which the records were made, and how often each token is in a sample of them [V].

    What the user should know of them is said. Without a vocabulary the model is as it was, and nothing is counted.
    """
    if model.vocab_file is None:
        say("note: the vocabulary is not known, so that none goes with the model; give `--vocab_file`")
        return model, None
    counts = records.sample_tokens(flags.seed, model.vocab)
    rules = rules_of_records(flags, model, counts, flags.input_files)
    if note := unknown_note(int(counts[model.vocab.unk]), int(counts.sum())):
        say(f"note: `{flags.input_files}`: {note}")
    if records.draw and (note := records.draw.whole_words_note(counts)):
        say(f"note: {note}")
    return dataclasses.replace(model, rules=rules), counts


def _held_out(flags: PretrainingFlags, model: Model, mesh: Mesh) -> "HeldOut | None":
    """The records of `--eval_files`. Raises InputError where they were made by other rules than the model's."""
    if not flags.eval_files:
        return None
    records = open_records(flags, model, flags.eval_files)
    if model.vocab_file is not None:
        rules_of_records(flags, model, records.sample_tokens(flags.seed, model.vocab), flags.eval_files)
    shape = records.row_shape(min(flags.eval_batch_size, len(records)), mesh)
    return HeldOut(records, shape, flags.eval_batch_size)


def _training(flags: PretrainingFlags, pretrainer: "Pretrainer", records: "MaskedRecords") -> Training:
    batch_size, parts = flags.train_batch_size, flags.gradient_accumulation_steps
    shape = records.row_shape(batch_size // parts, pretrainer.mesh, parts * flags.steps_per_loop)
    # One host reads all records anyway; each of several has to know the sizes of those that others read.
    known = records.sizes(check_together) if jax.process_count() > 1 else {}
    batches = TrainingBatches(
        *(records.read, len(records), batch_size, parts, shape, flags.seed, targets(shape), records.draw),
        lengths=known.get("lengths"),
        predicted=known.get("predicted"),
    )
    bound = {f"`{path}`": checksum for path, checksum in records.records.checksums.items()}
    plan, learner = _plan(flags), pretrainer.in_dtype(run.training_dtype(flags))
    return Training(*(learner.table, learner.loss, _schedule(flags, plan), plan, batches, None, FOLDER), data=bound)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Records to evaluate on, and the rows of batches of `batch_size` of them."""

    records: "MaskedRecords"
    shape: RowShape
    batch_size: int


@dataclasses.dataclass(frozen=True)
class Pretrainer(Network):
    """A model in pretraining."""

    next_sentence: bool

    @functools.cached_property
    def table(self) -> Table:
        """The weights."""
        return pretraining_table(self.config, next_sentence=self.next_sentence)

    def logits(
        self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array | None]:
        """See `pretrain`."""
        next_sentence, compute = self.next_sentence, self.compute
        return pretrain(
            weights, self.config, batch, next_sentence=next_sentence, dropout_bits=dropout_bits, compute=compute
        )

    def loss(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: of masked tokens and next sentences."""
        masked, following = self.logits(weights, batch, dropout_bits)
        return pretraining_loss(masked, following, batch)

    @functools.cached_property
    def sums(self) -> "jax.stages.Wrapped":
        """Compiled: (weights, batch) -> the sums over the batch that metrics are made of, see `SUMS`."""

        def sums(weights: Tree, batch: Batch) -> dict[str, jax.Array]:
            masked, following = self.logits(weights, batch)
            values: tuple[jax.Array, ...] = score_sums(masked, batch["masked_lm_ids"], batch["masked_lm_weights"])
            if following is not None:
                values += score_sums(following, batch["next_sentence_labels"], batch["next_sentence_weights"])
            return dict(zip(SUMS, values, strict=False))

        return self.compiled(sums)

    def evaluate(self, weights: Tree, held_out: HeldOut) -> dict[str, float]:
        """Losses and accuracies over all records; those without masks have the masks of epoch 0."""
        with self._batches(held_out, len(held_out.records)) as batches:
            return metrics(totals(self.sums, weights, batches))

    @functools.cached_property
    def masked_values(self) -> "jax.stages.Wrapped":
        """Compiled: (weights, batch) -> see `masked_tokens`, all [B, P], and `weights`, 0 where nothing is masked."""

        def values(weights: Tree, batch: Batch) -> dict[str, jax.Array]:
            logits, _ = self.logits(weights, batch)
            ids, sequences = batch["masked_lm_ids"], batch["sequences"]
            own = jnp.take_along_axis(sequences, batch["masked_lm_positions"], axis=1)
            return {
                "ids": ids,
                "losses": cross_entropy(logits, ids),
                "right": jnp.argmax(logits, axis=-1) == ids,
                "lengths": jnp.sum(sequences[:, None] == own[..., None], axis=-1),
                "weights": batch["masked_lm_weights"],
            }

        return self.compiled(values)

    def masked_tokens(self, weights: Tree, held_out: HeldOut) -> Arrays:
        """Of all m masked tokens in the first 2048 records, [m]: `ids`, `losses`, `right`, `lengths` of the record."""
        with self._batches(held_out, min(len(held_out.records), _LOOKED_AT)) as batches:
            sent = (self.masked_values(weights, batch) for batch in batches)
            found = [{name: np.asarray(replicate(array)) for name, array in values.items()} for values in sent]
        real = [part["weights"] > 0 for part in found]
        names = ("ids", "losses", "right", "lengths")
        return {
            name: np.concatenate([part[name][own] for part, own in zip(found, real, strict=True)]) for name in names
        }

    def _batches(self, held_out: HeldOut, size: int) -> contextlib.AbstractContextManager[Iterable[Batch]]:
        shape = held_out.shape
        return self.on_devices(held_out.records.read_masked, size, shape, held_out.batch_size, targets(shape))


def targets(shape: RowShape) -> Targets:
    """What the losses compare with, in rows of this shape."""
    return functools.partial(pretraining_targets, predictions=shape.predictions)


def pretraining_targets(features: Mapping[str, np.ndarray], layout: Layout, predictions: int) -> Arrays:
    """The targets of pretraining records; P = `predictions` is at least what any row has.

    Returns:
        `masked_lm_positions` (in the row), `masked_lm_ids` int32 and `masked_lm_weights` float32 [B, P], all 0 where
        nothing is predicted; where the records have them, `next_sentence_labels` int32 and `next_sentence_weights`
        float32 [B, N].
    """
    targets = _masked_lm(features, layout, predictions)
    if "next_sentence_labels" in features:
        labels = features["next_sentence_labels"]
        targets["next_sentence_labels"] = layout.per_sequence(labels)
        targets["next_sentence_weights"] = layout.per_sequence(np.ones(len(labels)), np.float32)
    return targets


def _masked_lm(features: Mapping[str, np.ndarray], layout: Layout, predictions: int) -> Arrays:
    is_laid = np.zeros(len(layout.row_of), bool)
    is_laid[layout.used] = True
    record, number = np.nonzero((features["masked_lm_weights"] > 0) & is_laid[:, None])
    by_row = np.argsort(layout.row_of[record], kind="stable")
    record, number = record[by_row], number[by_row]
    row = layout.row_of[record]
    at = (row, np.arange(len(row)) - np.searchsorted(row, row))
    rank = np.cumsum(features["input_mask"] != 0, axis=1) - 1  # of each token among the real ones of its record
    positions = layout.start_of[record] + rank[record, features["masked_lm_positions"][record, number]]
    shape = (layout.sizes[0], predictions)
    return {
        "masked_lm_positions": scatter(shape, at, positions),
        "masked_lm_ids": scatter(shape, at, features["masked_lm_ids"][record, number]),
        "masked_lm_weights": scatter(shape, at, features["masked_lm_weights"][record, number], np.float32),
    }


def metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Means from the sums named in `SUMS`, by the names of run_pretraining.py; those of the next sentence may miss.

    `loss` is the sum of both losses, `perplexity` the exponential of the masked language model's.
    """
    results = {}
    for task in ("masked_lm", "next_sentence"):
        if f"{task}_weight" in sums:
            total = sums[f"{task}_weight"] or 1.0
            results[f"{task}_accuracy"] = sums[f"{task}_right"] / total
            results[f"{task}_loss"] = sums[f"{task}_loss"] / total
    results["loss"] = results["masked_lm_loss"] + results.get("next_sentence_loss", 0.0)
    # Of a diverged model there is no perplexity in float64; its loss says what there is to say.
    results["perplexity"] = math.exp(min(results["masked_lm_loss"], 700.0))
    return results


_TOKENS_THAT_TELL = 1000  # which show case; fewer say nothing of how a text was lower-cased
_CASE_IS_KEPT = 0.002  # share of them with capitals; of a lower-cased text none has


def _plan(flags: PretrainingFlags) -> Plan:
    total = round(flags.num_train_epochs * flags.num_steps_per_epoch)
    if total == 0:
        raise InputError(f"`--num_train_epochs={flags.num_train_epochs}` leaves no step to train", "raise it")
    often = (flags.save_checkpoints_steps, flags.log_steps or total, flags.steps_per_loop)
    return Plan(total, flags.num_steps_per_epoch, *often, flags.train_batch_size)


def _schedule(flags: PretrainingFlags, plan: Plan) -> LinearSchedule:
    total = plan.total_steps
    warmup = int(flags.warmup_proportion * total) if flags.warmup_proportion else int(flags.warmup_steps)
    if warmup >= total:
        say(
            f"note: the rate rises for {warmup} steps and training ends after {total}: it never gets to"
            f" `--learning_rate`; give a smaller `--warmup_steps`, or `--warmup_proportion`"
        )
    return LinearSchedule(flags.learning_rate, flags.end_lr, warmup, total)


@dataclasses.dataclass(frozen=True)
class Mask:
    """Draws the masks of records that have none; a function of the seed, the record's number and the epoch."""

    seed: int
    masking: Masking
    vocab: MaskVocab

    def __call__(
        self, features: dict[str, np.ndarray], numbers: np.ndarray, epochs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """See `loader.Draw`."""
        return mask_anew(features, numbers, epochs, self.seed, self.masking, self.vocab)

    def whole_words_note(self, counts: np.ndarray) -> str:
        """See `masking.whole_words_note`; `counts` is how often each token is in the records."""
        inside_words = int(counts[self.vocab.is_inside_word[: len(counts)]].sum())
        return whole_words_note(self.masking, inside_words, int(counts.sum()))


@dataclasses.dataclass(frozen=True)
class MaskedRecords:
    """Records, and how those without masks get them: None where they have their own."""

    records: PretrainingRecords
    draw: Mask | None

    def __len__(self) -> int:
        return len(self.records)

    def read(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """The records with these numbers [n] as they are."""
        return self.records.read(numbers)

    def read_masked(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """The records with these numbers [n], always with the same masks."""
        features = self.read(numbers)
        return features if self.draw is None else self.draw(features, numbers, np.zeros_like(numbers))

    def sizes(self, check_all: CheckAll) -> Found:
        """`lengths` [n] int32 tokens of all records, and `predicted` [n] int32, the most that are masked in each."""
        return check_all(lambda first, end: self._sizes(np.arange(first, end)), len(self))

    def sample_sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of a sample of the records, and at the end of the largest there may be."""
        found = self._sizes(records_at(np.arange(min(len(self), _SAMPLE)), len(self), seed=0))
        longest = self.records.max_seq_length
        most = self.draw.masking.count(longest) if self.draw else self.records.max_predictions or 0
        return np.append(found["lengths"], longest), np.append(found["predicted"], most)

    def row_shape(self, batch_size: int, mesh: Mesh, together: int = 1) -> RowShape:
        """Rows for batches of these records, tried on a sample; `together` as of `choose_shape`."""
        lengths, predicted = self.sample_sizes()
        return choose_shape(lengths, batch_size, *row_units(mesh), predicted, together=together)

    def sample_tokens(self, seed: int, vocab: Vocab) -> np.ndarray:
        """How often each token of `vocab` is in a sample of the records, int64 [V], before it was masked.

        Raises InputError where records show that they were made with another vocabulary.
        """
        features = self.read(records_at(np.arange(min(len(self), _SAMPLE)), len(self), seed))
        ids = features["input_ids"].copy()
        if "masked_lm_weights" in features:
            record, number = np.nonzero(features["masked_lm_weights"] > 0)
            ids[record, features["masked_lm_positions"][record, number]] = features["masked_lm_ids"][record, number]
        refuse_other_vocab(vocab, ids, features["input_mask"], ", ".join(self.records.checksums))
        return np.bincount(ids[features["input_mask"] != 0], minlength=len(vocab))

    def _sizes(self, numbers: np.ndarray) -> Found:
        tokens, predicted = record_sizes(self.read(numbers))
        if self.draw is not None:
            predicted = np.array([self.draw.masking.count(length) for length in tokens.tolist()])
        return {"lengths": tokens.astype(np.int32), "predicted": predicted.astype(np.int32)}


def open_records(flags: PretrainingFlags, model: Model, patterns: str) -> MaskedRecords:
    """The records in the files that match `patterns`.

    Raises:
        InputError: records of other sizes than the flags say; no vocabulary.
    """
    config = model.config
    tokens = len(model.vocab) if model.vocab_file else config.vocab_size
    bounds = Bounds(tokens, config.type_vocab_size, config.max_position_embeddings)
    paths = tuple(files.expand(patterns))
    records = PretrainingRecords(paths, bounds, flags.use_next_sentence_label)
    S, P = records.max_seq_length, records.max_predictions
    if flags.max_seq_length not in (None, S):
        raise _other_size("max_seq_length", flags.max_seq_length, f"{S} positions", paths)
    if P is None:
        return MaskedRecords(records, _mask(flags, model, S))
    return MaskedRecords(records, None)


def _refuse_masks_without_effect(flags: PretrainingFlags, records: MaskedRecords) -> None:
    """Raise InputError for flags for masks that the records to train on have; those to evaluate on may have theirs."""
    if records.draw is not None:
        return
    paths, P = tuple(records.records.checksums), records.records.max_predictions
    if flags.max_predictions_per_seq not in (None, P):
        raise _other_size("max_predictions_per_seq", flags.max_predictions_per_seq, f"{P} masked positions", paths)
    if flags.masked_lm_prob is not None or flags.do_whole_word_mask or flags.max_ngram_size:
        raise InputError(
            f"the records in `{paths[0]}` are masked already: `--masked_lm_prob`, `--do_whole_word_mask` and"
            " `--max_ngram_size` have no effect",
            "leave them out, or make records with `create_pretraining_data --masking=dynamic`",
        )


def rules_of_records(flags: PretrainingFlags, model: Model, counts: np.ndarray, source: str) -> Rules:
    """How the text of the records became tokens, which goes with the model: as the model or a flag says.

    Where neither does, records say it themselves: lower-cased text has no tokens with capitals. Where they have too few
    tokens that show it, the vocabulary decides. `counts` is how often each token is in a sample of the records, and
    `source` their files.

    Raises:
        InputError: the records show another case than the model or the flag says.
    """
    vocab = model.vocab
    shown: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    for id_ in np.nonzero(counts)[0].tolist():
        shown[has_case(vocab.tokens[id_])] += int(counts[id_])
    of_all = shown[True] + shown[False]
    kept = None if of_all < _TOKENS_THAT_TELL else shown[True] > _CASE_IS_KEPT * of_all
    told = f"`{source}`: {shown[True]:,} of {of_all:,} words of the records have capitals or accents"
    if model.rules is None and (kept is None or not (kept or vocab.is_cased)):
        return Rules(lower_cases(None, vocab))
    if model.rules is None:
        say(f"{told}: their text {'kept its case' if kept else 'was lower-cased'}, and so the model's is")
        return Rules(not kept)
    if kept and model.rules.lower_case:
        raise InputError(
            f"{told}: their text kept its case, but {_who_says(flags)} that it is lower-cased",
            "make the records again with `create_pretraining_data --do_lower_case`"
            + (", or leave `--do_lower_case` out" if flags.do_lower_case is not None else ""),
        )
    if kept is False and (vocab.is_cased or flags.do_lower_case is not None) and not model.rules.lower_case:
        if flags.do_lower_case is None:
            hint = ", or give `--nodo_lower_case` here too, where the text itself has no capitals"
        elif model.source is None or model.source.rules is None:
            hint = ", or leave `--nodo_lower_case` out"
        else:  # the model and the user agree
            return model.rules
        raise InputError(
            f"{told}: their text was lower-cased, but {_who_says(flags)} that it keeps its case",
            f"make the records again with `create_pretraining_data --nodo_lower_case`{hint}",
        )
    return model.rules


def _who_says(flags: PretrainingFlags) -> str:
    return "the model says" if flags.do_lower_case is None else "the flag says"


def _other_size(flag: str, value: object, found: str, paths: tuple[str, ...]) -> InputError:
    return InputError(
        f"`--{flag}={value}`, but the records in `{paths[0]}` have {found}",
        "leave the flag out, or make the records again with it",
    )


def _mask(flags: PretrainingFlags, model: Model, max_seq_length: int) -> Mask:
    """How the flags say that records are masked."""
    if flags.max_ngram_size and not flags.do_whole_word_mask:
        raise InputError("`--max_ngram_size` masks runs of whole words", "add `--do_whole_word_mask`")
    share = 0.15 if flags.masked_lm_prob is None else flags.masked_lm_prob
    full = max(1, round(max_seq_length * share))
    most = flags.max_predictions_per_seq or full
    if most < full:
        say(
            f"note: `--max_predictions_per_seq={most}` is less than {share:g} x {max_seq_length} = {full};"
            " full records will have fewer masks"
        )
    masking = Masking(share, most, flags.do_whole_word_mask, flags.max_ngram_size or 0)
    return Mask(flags.seed, masking, mask_vocab(model.vocab))
