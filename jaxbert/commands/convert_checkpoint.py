# SPDX-License-Identifier: Apache-2.0
"""Write a model in the format of another world: TensorFlow 1, TensorFlow 2, Hugging Face or our own."""

import dataclasses
import os
from collections.abc import Collection, Mapping

import numpy as np

from jaxbert import files
from jaxbert.checkpoints import huggingface_writer, model_folder, names
from jaxbert.checkpoints.initial import InitialWeights, read_initial
from jaxbert.checkpoints.matching import match
from jaxbert.checkpoints.tf2_writer import write_tf2
from jaxbert.checkpoints.tf_bundle import write_bundle
from jaxbert.checkpoints.tf_prefix import STATE_FILE
from jaxbert.commands.classifier_inputs import label_names
from jaxbert.commands.model_source import beside, check_heads, say
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.convert_checkpoint import Flags
from jaxbert.errors import InputError
from jaxbert.model.weights import classifier_table, encoder_table, pretraining_table, shapes
from jaxbert.records.meta_data import read_meta_data
from jaxbert.text.vocab import Vocab, read_vocab

_PREFIX = "bert_model.ckpt"  # as in the released archives
_TF_ACTIVATIONS = ("gelu", "relu", "tanh", "linear")  # known to every version of the official code


@dataclasses.dataclass(frozen=True)
class Model:
    """What is converted.

    Attributes:
        weights: TF1 name -> float32 array; encoder and heads, each whole.
        config: sizes of the encoder.
        vocab: the vocabulary, if it is known.
        texts: content of files that go along unchanged, by name: vocabulary, meta data.
        labels: names of a classifier's classes, if they are known.
    """

    weights: Mapping[str, np.ndarray]
    config: BertConfig
    vocab: Vocab | None
    texts: Mapping[str, str]
    labels: tuple[str, ...]


def run(flags: Flags) -> None:
    """Read, check, write, and compare what was written with what was read."""
    files.refuse_filled_folder(flags.output_dir)
    model = _read(flags)
    with files.whole_folder(flags.output_dir) as folder:
        stored = _write(model, flags, folder)
        _compare(folder, {name: model.weights[name] for name in stored})
        written = sorted(os.listdir(folder))
    say(f"wrote {len(stored)} tensors, and read them back bit for bit: {', '.join(written)} in {flags.output_dir}")


def _read(flags: Flags) -> Model:
    source = flags.init_checkpoint
    initial = read_initial(source)
    config = _config(flags, initial)
    check_heads(initial, config)
    _check_weights(initial, config)
    texts: dict[str, str] = {}
    labels: tuple[str, ...] = ()
    vocab = None
    if vocab_file := flags.vocab_file or beside(source, model_folder.VOCAB_FILE):
        vocab = _read_vocab(vocab_file, config)
        texts[model_folder.VOCAB_FILE] = files.read_text(vocab_file)
    if meta_file := beside(source, model_folder.META_DATA_FILE):
        texts[model_folder.META_DATA_FILE] = files.read_text(meta_file)
        if names.CLASSIFIER[0] in initial.weights:
            labels = label_names(read_meta_data(meta_file))
    return Model(initial.weights, config, vocab, texts, labels)


def _config(flags: Flags, initial: InitialWeights) -> BertConfig:
    if flags.bert_config_file is not None:
        return bert_config.read(flags.bert_config_file)
    if initial.config is None:
        raise InputError(f"`{initial.source}` does not say the sizes of the model", "give `--bert_config_file`")
    return initial.config


def _check_weights(initial: InitialWeights, config: BertConfig) -> None:
    """Refuse an encoder or a head that is not whole, or has other sizes than `config`."""
    expected = shapes(encoder_table(config)) | _head_shapes(initial.weights, config)
    if initial.weights.keys().isdisjoint(names.POOLER):
        expected = {name: shape for name, shape in expected.items() if name not in names.POOLER}
        say("note: there is no pooler, so what is written has none")
    report = match(initial.weights, expected, initial.source, initial.unused)
    say(f"{report} ({initial.layout})")
    if report.missing or report.other_shapes:
        wrong = ", ".join((*report.missing, *(other.name for other in report.other_shapes)))
        raise InputError(
            f"a head in `{initial.source}` is not whole or does not fit the encoder: {wrong}",
            "give a whole checkpoint",
        )


def _head_shapes(weights: Mapping[str, np.ndarray], config: BertConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights of those heads of which some weight is there."""
    hidden, classes = config.hidden_size, len(weights.get(names.CLASSIFIER[0], [()]))
    of_heads = shapes(pretraining_table(config, next_sentence=True) | classifier_table(config, classes))
    of_heads |= {names.SQUAD[0]: (2, hidden), names.SQUAD[1]: (2,)}
    heads: tuple[Collection[str], ...] = (names.MASKED_LM[0], names.NEXT_SENTENCE, names.SQUAD, names.CLASSIFIER)
    return {name: of_heads[name] for head in heads if not weights.keys().isdisjoint(head) for name in head}


def _read_vocab(path: str, config: BertConfig) -> Vocab:
    vocab = read_vocab(path)
    if len(vocab) > config.vocab_size:
        raise InputError(
            f"`{path}` has {len(vocab)} tokens, the model has `vocab_size` {config.vocab_size}",
            "give the vocabulary that belongs to the checkpoint",
        )
    return vocab


def _write(model: Model, flags: Flags, folder: str) -> Collection[str]:
    """Write all files; the names of the weights that are in them."""
    if flags.to == "huggingface":
        return _write_huggingface(model, flags, folder)
    texts = {model_folder.CONFIG_FILE: bert_config.to_json(model.config), **model.texts}
    if flags.to == "jaxbert":
        model_folder.write_model(folder, model.weights, texts, {})
    else:
        _write_tensorflow(model, flags.to, folder)
        texts[STATE_FILE] = f'model_checkpoint_path: "{_PREFIX}"\nall_model_checkpoint_paths: "{_PREFIX}"\n'
        _write_texts(folder, texts)
    return model.weights


def _write_tensorflow(model: Model, to: str, folder: str) -> None:
    prefix, activation = os.path.join(folder, _PREFIX), model.config.hidden_act
    if to == "tf1":
        write_bundle(prefix, model.weights)
    else:
        write_tf2(prefix, model.weights, model.config.num_attention_heads)
    if activation not in _TF_ACTIVATIONS:
        say(
            f"note: official code will refuse `hidden_act` `{activation}` in bert_config.json"
            + ("; `gelu` there is the tanh form, close to it" if activation == "gelu_erf" else "")
        )


def _write_huggingface(model: Model, flags: Flags, folder: str) -> Collection[str]:
    stored = huggingface_writer.stored_names(model.weights)
    if len(stored) < len(model.weights):
        say("note: the class of `transformers` for this head has no pooler; it is left out")
    huggingface_writer.write_huggingface(folder, model.weights, model.config, model.labels)
    if model.vocab is not None:
        lower_case = not model.vocab.is_cased if flags.do_lower_case is None else flags.do_lower_case
        huggingface_writer.write_tokenizer(folder, model.config, lower_case)
    else:
        say("note: no vocabulary is known, so there is none for the tokenizer")
    _write_texts(folder, model.texts)
    return stored


def _write_texts(folder: str, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        files.write_text(os.path.join(folder, name), text)


def _compare(folder: str, weights: Mapping[str, np.ndarray]) -> None:
    """Fail where reading `folder` gives anything but the bits of `weights`."""
    written = read_initial(folder).weights
    other = {name for name in weights if name not in written or not _same_bits(written[name], weights[name])}
    if other := other | (written.keys() - weights.keys()):
        raise RuntimeError(f"what was written does not read back the same in {sorted(other)}")


def _same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.array_equal(one.view(np.uint32), other.view(np.uint32))
