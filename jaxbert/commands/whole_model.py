# SPDX-License-Identifier: Apache-2.0
"""A model that is read as a whole, to be written in another form."""

import dataclasses
import os
from collections.abc import Collection, Mapping

import numpy as np

from jaxbert.checkpoints import huggingface, model_folder, names
from jaxbert.checkpoints.load import DenseHead, InitialWeights, match, read_initial
from jaxbert.checkpoints.resolve import find_source, read_class_names
from jaxbert.commands.classifier_inputs import label_names
from jaxbert.commands.model_source import check_heads, find_case_rule, find_vocab
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.models import WholeModelFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.model.weights import classifier_table, encoder_table, pretraining_table, shapes, squad_table
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.metadata import ClassificationMetaData


@dataclasses.dataclass(frozen=True)
class Model:
    """What there is to write.

    Attributes:
        weights: TF1 name -> float32 array; encoder and heads, each whole.
        config: sizes of the encoder.
        texts: content of files that go along in every format, by name: vocabulary, case rule, meta data.
        labels: names of a classifier's classes, if they are known.
        lower_case: whether its text is lower-cased; None without a vocabulary.
    """

    weights: Mapping[str, np.ndarray]
    config: BertConfig
    texts: Mapping[str, str]
    labels: tuple[str, ...]
    lower_case: bool | None


def read_model(flags: WholeModelFlags, dense_head: DenseHead | None = None) -> Model:
    """Read and check the model of `--init_checkpoint`; `dense_head` as in `read_initial`."""
    source = find_source(flags.init_checkpoint)
    initial = read_initial(flags.init_checkpoint, dense_head)
    config = bert_config.read(flags.bert_config_file) if flags.bert_config_file else initial.config
    if config is None:
        raise InputError(f"`{initial.source}` does not say the sizes of the model", "give `--bert_config_file`")
    check_heads(initial, config)
    _check_weights(initial, config)
    texts: dict[str, str] = {}
    labels, lower_case = read_class_names(source), None
    if vocab_file := flags.vocab_file or source.beside(model_folder.VOCAB_FILE):
        rule = find_case_rule(flags.do_lower_case, flags.init_checkpoint)
        texts = model_folder.tokenizer_texts(find_vocab(vocab_file, config, None), rule)
        lower_case = lower_cases(rule, read_vocab(vocab_file))
    if meta_file := source.beside(model_folder.META_DATA_FILE):
        texts[model_folder.META_DATA_FILE] = files.read_text(meta_file)
        if names.CLASSIFIER[0] in initial.weights:
            labels = label_names(ClassificationMetaData.read(meta_file))
    return Model(initial.weights, config, texts, labels, lower_case)


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
    classes = len(weights.get(names.CLASSIFIER[0], [()]))
    tables = pretraining_table(config, next_sentence=True) | squad_table(config) | classifier_table(config, classes)
    heads: tuple[Collection[str], ...] = (names.MASKED_LM[0], names.NEXT_SENTENCE, names.SQUAD, names.CLASSIFIER)
    found = [head for head in heads if not weights.keys().isdisjoint(head)]
    return {name: shapes(tables)[name] for head in found for name in head}


def write_huggingface(model: Model, folder: str) -> Collection[str]:
    """Write what `transformers` loads; the names of the weights that are in it."""
    stored = huggingface.stored_names(model.weights)
    if len(stored) < len(model.weights):
        say("note: the class of `transformers` for this head has no pooler; it is left out")
    huggingface.write_huggingface(folder, model.weights, model.config, model.labels)
    write_texts(folder, model.texts)
    if model.lower_case is None:
        say("note: no vocabulary is known, so there is none for the tokenizer")
    else:
        huggingface.write_tokenizer(folder, model.config, model.lower_case)
    return stored


def write_texts(folder: str, texts: Mapping[str, str]) -> None:
    """Write the files `texts`, name -> content."""
    for name, text in texts.items():
        files.write_text(os.path.join(folder, name), text)


def compare(folder: str, weights: Mapping[str, np.ndarray]) -> None:
    """Fail where reading `folder` gives anything but the bits of `weights`."""
    written = read_initial(folder).weights
    other = {name for name in weights if name not in written or not _same_bits(written[name], weights[name])}
    if other := other | (written.keys() - weights.keys()):
        raise RuntimeError(f"what was written does not read back the same in {sorted(other)}")


def _same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.array_equal(one.view(np.uint32), other.view(np.uint32))
