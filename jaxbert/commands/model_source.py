# SPDX-License-Identifier: Apache-2.0
"""Where a model comes from: trained weights, a checkpoint to start from, the configuration and vocabulary beside it."""

import contextlib
import os
from collections.abc import Mapping, Sequence

import numpy as np

from jaxbert.checkpoints import model_folder, names, resolve
from jaxbert.checkpoints.load import DenseHead, InitialWeights, LoadReport, match, read_initial
from jaxbert.checkpoints.resolve import Source, find_source
from jaxbert.checkpoints.tf_bundle import find_prefix
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import TrainingFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.model.weights import Table, Tree, flatten, initialize, shapes, unflatten
from jaxbert.text.vocab import read_vocab


def find_model(flags: TrainingFlags) -> str:
    """Where trained weights are: `best`, `last`, a TensorFlow checkpoint in `--model_dir`, or `--init_checkpoint`."""
    for name in ("best", "last"):
        if model_folder.has_model(os.path.join(flags.model_dir, name)):
            return os.path.join(flags.model_dir, name)
    try:
        return find_prefix(flags.model_dir)
    except InputError as error:
        if flags.init_checkpoint is not None:
            return flags.init_checkpoint
        raise InputError(
            f"there is no trained model in `{flags.model_dir}`", "train first, or give `--predict_checkpoint_path`"
        ) from error


def beside(path: str | None, name: str) -> str | None:
    """The file `name` that comes with the model at `path`, if there is one."""
    found = _source(path)
    return None if found is None else found.beside(name)


def _source(path: str | None) -> Source | None:
    """The model at `path`; None where there is none any more: a run that goes on does not need what it started from."""
    with contextlib.suppress(InputError):
        return None if path is None else find_source(path)
    return None


def read_config(flags: TrainingFlags, checkpoint: str | None) -> BertConfig:
    """The configuration of `--bert_config_file`, or the one that comes with the checkpoint."""
    if flags.bert_config_file is not None:
        return bert_config.read(flags.bert_config_file)
    found = None if checkpoint is None else find_source(checkpoint)
    config = None if found is None else resolve.read_config(found)
    if found is None or config is None:
        raise InputError("the sizes of the model are not known", "give `--bert_config_file`")
    if found.kind == "SavedModel" and found.beside(model_folder.CONFIG_FILE) is None:
        say(
            f"note: the sizes are those of the module's weights ({config.num_hidden_layers} layers, hidden"
            f" {config.hidden_size}, {config.num_attention_heads} heads), the rest is as in every release:"
            f" {config.hidden_act}, dropout {config.hidden_dropout_prob:g}"
        )
    return config


def find_case_rule(given: bool | None, checkpoint: str | None) -> bool | None:
    """Whether text is lower-cased: `--do_lower_case`, which must not contradict the model, or what the model says.

    None where neither says it; then the vocabulary shows it (`lower_cases`).
    """
    found = _source(checkpoint)
    rule = None if found is None else resolve.read_case_rule(found)
    if None not in (given, rule) and given != rule:
        raise InputError(
            f"`--do_lower_case={str(given).lower()}`, but the model in `{checkpoint}`"
            f" {'lower-cases its text' if rule else 'keeps the case of its text'}",
            "leave the flag out",
        )
    return given if rule is None else rule


def find_vocab(vocab_file: str | None, config: BertConfig, checkpoint: str | None) -> str:
    """The path of the vocabulary: `--vocab_file`, or the one beside the checkpoint; it must fit the model."""
    own = beside(checkpoint, model_folder.VOCAB_FILE)
    path = vocab_file or own
    if path is None:
        raise InputError("the vocabulary is not known", "give `--vocab_file`")
    if len(vocab := read_vocab(path)) > config.vocab_size:
        raise InputError(
            f"`{path}` has {len(vocab)} tokens, bert_config.json says `vocab_size` {config.vocab_size}",
            "give the vocabulary that belongs to the checkpoint",
        )
    if own is not None and own != path and read_vocab(own).tokens != vocab.tokens:
        say(f"note: `{path}` is not the vocabulary that comes with the model, `{own}`")
    return path


def note_other_size(expected: int | None, found: int, paths: Sequence[str]) -> None:
    """Say so when there are not as many records as the meta data says."""
    if expected not in (None, found):
        say(
            f"note: the meta data says {expected} records, there are {found} in {', '.join(paths)};"
            f" all {found} are used"
        )


def load(
    checkpoint: str, config: BertConfig, table: Table, dense_head: DenseHead | None, allow_partial: bool | None = None
) -> tuple[dict[str, np.ndarray], LoadReport]:
    """The weights of `table` that the checkpoint has (path -> array), and the report of `match`, which is printed."""
    initial = read_initial(checkpoint, dense_head)
    check_heads(initial, config)
    report = match(initial.weights, shapes(table), initial.source, initial.unused, allow_partial)
    say(f"{report} ({initial.layout})")
    return {path: initial.weights[path] for path in report.loaded}, report


def check_heads(initial: InitialWeights, config: BertConfig) -> None:
    """Raise `InputError` where the file shows another number of attention heads than the configuration says."""
    found = initial.attention_heads
    if found is not None and found != config.num_attention_heads:
        raise InputError(
            f"`{initial.source}` has {found} attention heads, bert_config.json says `num_attention_heads`"
            f" {config.num_attention_heads}",
            "give the configuration that belongs to the checkpoint",
        )


def load_whole(checkpoint: str, config: BertConfig, table: Table, dense_head: DenseHead, missing_head: str) -> Tree:
    """Trained weights, all of them; `missing_head` says what a checkpoint without its head lacks."""
    found, report = load(checkpoint, config, table, dense_head)
    if dense_head == "squad":  # answers need no pooler, and models stored for them alone have none
        found |= {name: np.zeros(table[name].shape, np.float32) for name in names.POOLER if name not in found}
    if rest := set(table) - set(found):
        missing = ", ".join(sorted(rest))
        raise InputError(
            f"`{report.source}` holds no {missing_head}: {missing}", "give a fine-tuned model, or train one"
        )
    return unflatten(found)


def start_weights(flags: TrainingFlags, config: BertConfig, table: Table, dense_head: DenseHead | None) -> Tree:
    """Weights before the first step: from `--init_checkpoint` where it has them, the others at random."""
    loaded: Mapping[str, np.ndarray] = {}
    if flags.init_checkpoint is None:
        say("no --init_checkpoint: training starts from random weights")
    else:
        loaded, _ = load(flags.init_checkpoint, config, table, dense_head, flags.allow_partial_init)
    rest = {path: weight for path, weight in table.items() if path not in loaded}
    fresh = flatten(initialize(rest, flags.seed, config.initializer_range))
    return unflatten({path: loaded[path] if path in loaded else fresh[path] for path in table})
