# SPDX-License-Identifier: Apache-2.0
"""A model read with all its heads and written in another format: for other programs to train on, or to run."""

import dataclasses
import os
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from jaxbert.checkpoints import huggingface, model_folder, names
from jaxbert.checkpoints.contents import groups
from jaxbert.checkpoints.load import DenseHead, InitialWeights, check_heads, match, read_initial, refuse_not_finite
from jaxbert.checkpoints.resolve import find_model, find_source
from jaxbert.checkpoints.sentence_transformers import activation_texts, pooling_texts
from jaxbert.checkpoints.tf_bundle import STATE_FILE, write_bundle
from jaxbert.checkpoints.tf_graph import write_tf2
from jaxbert.checkpoints.tokenizer_files import tokenizer_texts, write_tokenizer
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.export.network import NAMES, Exported, Kind, choose_weights, kind_of
from jaxbert.export.onnx import MODEL_FILE, write_onnx
from jaxbert.export.saved_model import write_saved_model
from jaxbert.io import files
from jaxbert.model.weights import (
    choice_table,
    classifier_table,
    encoder_table,
    pretraining_table,
    shapes,
    squad_table,
    tagger_table,
)
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.metadata import ClassificationMetaData, MetaData, SquadMetaData, TaggingMetaData

CheckpointFormat = Literal["tf1", "tf2", "huggingface", "jaxbert"]
ExportFormat = Literal["saved_model", "onnx", "huggingface"]

_ONLY_FOR_TRANSFORMERS: tuple[Kind, ...] = ("tagger", "choice")  # no other program is known to ask for them
_SHOWN = 8  # names in a message
_TF_PREFIX = "bert_model.ckpt"  # as in the released archives
_TF1_ACTIVATIONS = ("gelu", "relu", "tanh", "linear")


def convert_model(
    checkpoint: str,
    to: CheckpointFormat,
    output_dir: str,
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
) -> None:
    """Write all weights of the model at `checkpoint` into a new or empty folder, and read them back.

    The keyword arguments are those of `find_model`. Raises InputError as `read_model` does, where the format cannot
    hold the model's heads together, and where the folder holds something.
    """
    files.refuse_filled_folder(output_dir)
    model = read_model(checkpoint, None, bert_config_file, vocab_file, do_lower_case)
    with files.whole_folder(output_dir) as folder:
        texts = {model_folder.CONFIG_FILE: bert_config.to_json(model.config), **model.texts}
        stored: Collection[str] = model.weights
        if to == "jaxbert":
            model_folder.write_model(folder, model.weights, texts, {})
        elif to == "huggingface":
            stored = _write_huggingface(model, folder)
        else:
            _write_tensorflow(model, to, os.path.join(folder, _TF_PREFIX))
            state = f'model_checkpoint_path: "{_TF_PREFIX}"\nall_model_checkpoint_paths: "{_TF_PREFIX}"\n'
            _write_texts(folder, texts | {STATE_FILE: state})
        _check_written(folder, {name: model.weights[name] for name in stored})
        written = ", ".join(sorted(os.listdir(folder)))
    say(f"wrote {len(stored)} tensors, which read back bitwise identical: {written} in {output_dir}")


def export_model(
    checkpoint: str,
    to: ExportFormat,
    output_dir: str,
    *,
    kind: Kind | None = None,
    optimize: bool = False,
    quantize: bool = False,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
) -> None:
    """Write the model at `checkpoint` into a new or empty folder, in a form that other programs run.

    Only the weights that a model of this `kind` computes with are written; without it the heads say what it is.
    `optimize` and `quantize` are for ONNX files, which onnxruntime then makes faster, and smaller by rounding. The
    other keyword arguments are those of `find_model`. Raises InputError as `read_model` does, where a weight of the
    kind is missing or not finite, and where the folder holds something.
    """
    files.refuse_filled_folder(output_dir)
    if (optimize or quantize) and to != "onnx":
        flag = "--optimize" if optimize else "--quantize"
        raise InputError(
            f"`{flag}` is for ONNX files, not for `--format={to}`", "give `--format=onnx`, or leave it out"
        )
    dense_head = kind if kind in ("classifier", "squad") else None
    model = read_model(checkpoint, dense_head, bert_config_file, vocab_file, do_lower_case)
    kind = kind or kind_of(model.weights)
    if kind in _ONLY_FOR_TRANSFORMERS and to != "huggingface":
        raise InputError(
            f"a {NAMES[kind]} is not written with `--format={to}`",
            "`--format=huggingface` writes it for `transformers`; `--model=encoder` writes its encoder",
        )
    if kind == "pretrainer" and model.untied:
        raise InputError(
            f"the masked LM in `{checkpoint}` has a decoder of its own (`{model.untied}`): it is not the table of word"
            " embeddings, as in BERT",
            "`--model=encoder` writes its encoder; `jaxbert run_pretraining --allow_partial_init` trains a new head",
        )
    weights = choose_weights(model.weights, kind, model.config.num_hidden_layers)
    model = dataclasses.replace(model, weights=weights)
    with files.whole_folder(output_dir) as folder:
        if to == "huggingface":
            stored = _write_huggingface(model, folder)
            _check_written(folder, {name: weights[name] for name in stored})
        else:
            if kind == "classifier":
                _note_windows(model)
            lower_case = None if model.rules is None else model.rules.lower_case
            exported = Exported(kind, model.config, weights, model.texts.get(model_folder.VOCAB_FILE), lower_case)
            texts = {model_folder.CONFIG_FILE: bert_config.to_json(model.config)}
            if to == "saved_model":  # vocabulary and casing are in it, other rules are not
                write_saved_model(folder, exported)
                _check_written(folder, weights)
                has_more = model.rules is not None and model.rules.library
                within = (model_folder.VOCAB_FILE, *(() if has_more else (model_folder.TOKENIZER_FILE,)))
                texts |= {name: text for name, text in model.texts.items() if name not in within}
                if exported.vocab is None:
                    say("note: no vocabulary is known, so the module comes without one")
            else:
                write_onnx(folder, exported)
                if optimize or quantize:
                    _tune(os.path.join(folder, MODEL_FILE), model.config, optimize, quantize)
                texts |= model.texts
            _write_texts(folder, texts)
            if to == "onnx" and model.rules is not None:
                write_tokenizer(folder, model.rules, model.max_seq_length)
    checked = "are finite" if to == "onnx" else "are finite and read back bitwise identical"
    say(f"wrote the {NAMES[kind]} to {output_dir}; its weights {checked}")


@dataclasses.dataclass(frozen=True)
class CompleteModel:
    """What there is to write.

    Attributes:
        weights: TF1 name -> float32 array; the encoder and every head, each with all its weights.
        config: sizes of the encoder.
        texts: content of the files that go along, by name: vocabulary, casing, metadata, pooling.
        task: what it was trained for, if its files say so.
        rules: how its text becomes tokens; None without a vocabulary.
        max_seq_length: the longest sequence in tokens.
        untied: the key of a masked LM's decoder that is not the table of word embeddings; its head is left out.
        stated: see `Source.stated_outputs`.
        activation: see `Source.activation`.
    """

    weights: Mapping[str, np.ndarray]
    config: BertConfig
    texts: Mapping[str, str]
    task: MetaData | None
    rules: Rules | None
    max_seq_length: int
    untied: str | None
    stated: Mapping[str, Any] | None
    activation: str | None


def read_model(
    checkpoint: str,
    dense_head: DenseHead | None,
    bert_config_file: str | None,
    vocab_file: str | None,
    do_lower_case: bool | None,
) -> CompleteModel:
    """Read the model that `find_model` finds; `dense_head` as in `read_initial`.

    Raises InputError as these do, and where the encoder or a head lacks weights or does not fit the configuration.
    """
    found = find_model(
        checkpoint, bert_config_file=bert_config_file, vocab_file=vocab_file, do_lower_case=do_lower_case
    )
    source = found.source
    assert source is not None  # it was named
    initial = read_initial(source, dense_head)
    check_heads(initial, found.config)
    _check_complete(initial, found.config)
    refuse_not_finite(initial.weights, initial.source)
    if dropped := [key for key in groups(source.contents)[1] if key in initial.unused]:
        say(f"note: no weights of BERT or of its heads, so they are not written: {', '.join(dropped[:_SHOWN])}")
    texts: dict[str, str] = {}
    rules = None
    positions = found.config.max_position_embeddings
    longest = min(_longest(found.task) or source.max_seq_length or positions, positions)
    if found.vocab_file:
        rules = found.for_text().rules
        texts = tokenizer_texts(found.vocab_file, found.kept_rules, longest if longest < positions else None)
    if found.task is not None:
        meta_file = found.beside(model_folder.META_DATA_FILE)
        texts[model_folder.META_DATA_FILE] = files.read_text(meta_file) if meta_file else found.task.to_json()
    if source.pooling is not None:
        texts |= pooling_texts(source.pooling, found.config.hidden_size, longest)
    elif source.activation is not None:
        texts |= activation_texts(source.activation)
    stated = (source.stated_outputs, source.activation)
    return CompleteModel(initial.weights, found.config, texts, found.task, rules, longest, initial.untied, *stated)


def _longest(task: MetaData | None) -> int | None:
    return task.settings.max_seq_length if isinstance(task, SquadMetaData) else task.max_seq_length if task else None


def _check_complete(initial: InitialWeights, config: BertConfig) -> None:
    """Refuse an encoder, or a head of which some weight is there, that lacks weights or has other sizes."""
    weights = initial.weights
    classes, tags = (len(weights.get(head[0], [()])) for head in (names.CLASSIFIER, names.TAGGER))
    tables = pretraining_table(config, next_sentence=True) | squad_table(config) | choice_table(config)
    tables |= classifier_table(config, classes) | tagger_table(config, tags)
    expected = shapes(encoder_table(config))
    heads = (names.MASKED_LM[0], names.NEXT_SENTENCE, names.SQUAD, names.TAGGER, names.CHOICE, names.CLASSIFIER)
    for head in heads:
        if not weights.keys().isdisjoint(head):
            expected |= {name: shapes(tables)[name] for name in head}
    if weights.keys().isdisjoint(names.POOLER):
        expected = {name: shape for name, shape in expected.items() if name not in names.POOLER}
        say("note: there is no pooler, so what is written has none")
    report = match(weights, expected, initial.source, initial.unused)
    say(f"{report} ({initial.layout})")
    if report.missing or report.other_shapes:
        wrong = ", ".join((*report.missing, *(other.name for other in report.other_shapes)))
        raise InputError(
            f"a head in `{initial.source}` is incomplete or does not fit the encoder: {wrong}",
            "give a complete checkpoint",
        )


def _refuse_other_masked_lm(model: CompleteModel, program: str) -> None:
    """Refuse to write a masked LM whose head computes otherwise than that of `program`, whose files cannot say it."""
    config = model.config
    act, epsilon = config.masked_lm_act or config.hidden_act, config.masked_lm_layer_norm_eps
    if names.MASKED_LM_BIAS in model.weights and (act != config.hidden_act or epsilon is not None):
        raise InputError(
            f"the head of this masked LM computes with `{act}` and an epsilon of {epsilon or 1e-12:g},"
            f" that of {program} with `{config.hidden_act}` and 1e-12",
            "write it with `--to=jaxbert`, or the encoder alone with `jaxbert export --model=encoder`",
        )


def _write_tensorflow(model: CompleteModel, to: Literal["tf1", "tf2"], prefix: str) -> None:
    _refuse_other_masked_lm(model, "official code")
    heads: dict[Kind, str] = {"tagger": names.TAGGER[0], "choice": names.CHOICE[0]}
    if to == "tf2" and (unknown := [NAMES[kind] for kind, head in heads.items() if head in model.weights]):
        raise InputError(
            f"a {unknown[0]} is not written for TensorFlow 2",
            "choose `--to=tf1`, `huggingface` or `jaxbert`",
        )
    if to == "tf1":
        write_bundle(prefix, model.weights)
    else:
        write_tf2(prefix, model.weights, model.config.num_attention_heads)
    activation = model.config.hidden_act
    if activation == "gelu_erf":
        say(
            "note: official code has no exact GELU and will refuse `gelu_erf`; its `gelu` is the tanh form, close to it"
        )
    elif to == "tf1" and activation not in _TF1_ACTIVATIONS:
        say(f"note: google-research/bert does not know `hidden_act` `{activation}` and will refuse it")


def _tune(path: str, config: BertConfig, optimize: bool, quantize: bool) -> None:
    """Optimize, then quantize an ONNX file; the package for it is optional."""
    try:
        from jaxbert.export import onnx_tuning

        if optimize:
            onnx_tuning.optimize(path, config)
        if quantize:
            onnx_tuning.quantize(path, config)
    except ImportError as error:
        raise InputError(
            f"`--optimize` and `--quantize` need onnxruntime: {error}", "`pip install onnx 'onnxruntime[symbolic]'`"
        ) from error


def _write_huggingface(model: CompleteModel, folder: str) -> Collection[str]:
    """Write what `transformers` loads; the names of the weights that are in it."""
    _refuse_other_masked_lm(model, "`transformers`")
    stored = huggingface.stored_names(model.weights)
    if len(stored) < len(model.weights):
        say("note: the class of `transformers` for this head has no pooler; it is left out")
    if huggingface.architecture_of(stored) == "BertModel" and names.POOLER[0] not in stored:
        say("note: `BertModel` puts a random pooler on it unless it is loaded with `add_pooling_layer=False`")
    task = model.task if isinstance(model.task, ClassificationMetaData | TaggingMetaData) else None
    _note_windows(model)
    huggingface.write_huggingface(folder, model.weights, model.config, task, model.stated, model.activation)
    _write_texts(folder, {name: text for name, text in model.texts.items() if name != model_folder.META_DATA_FILE})
    if model.rules is None:
        say("note: no vocabulary is known, so there is none for the tokenizer")
    else:
        write_tokenizer(folder, model.rules, model.max_seq_length)
    if model.task not in (None, find_source(folder).task):  # it knows more than these files can say
        _write_texts(folder, {model_folder.META_DATA_FILE: model.texts[model_folder.META_DATA_FILE]})
    return stored


def _note_windows(model: CompleteModel) -> None:
    if isinstance(model.task, ClassificationMetaData) and model.task.windows:
        say("note: long texts are read in windows, which other programs that run the model must cut and pool")


def _write_texts(folder: str, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        files.write_text(os.path.join(folder, name), text)


def _check_written(folder: str, weights: Mapping[str, np.ndarray]) -> None:
    """Raise RuntimeError where reading `folder` gives anything but these weights, bitwise."""
    written = read_initial(folder).weights
    wrong = written.keys() ^ weights.keys()
    wrong |= {
        name
        for name in written.keys() & weights.keys()
        if written[name].shape != weights[name].shape
        or not np.array_equal(written[name].view(np.uint32), weights[name].view(np.uint32))
    }
    if wrong:
        raise RuntimeError(f"what was written does not read back the same in {sorted(wrong)}")
