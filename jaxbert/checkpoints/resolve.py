# SPDX-License-Identifier: Apache-2.0
"""From what a user points at to the model there: its kind, its files, and all that they say about it."""

import glob
import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from jaxbert.checkpoints import contents, huggingface, keras_hub, sentence_transformers
from jaxbert.checkpoints.contents import INDEX_ENDING, Contents, safetensors_contents, safetensors_files, tf_contents
from jaxbert.checkpoints.fetch import locate
from jaxbert.checkpoints.model_folder import (
    CONFIG_FILE,
    META_DATA_FILE,
    OUR_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    models_of_glue,
    models_of_run,
    models_of_sweep,
)
from jaxbert.checkpoints.names import CHOICE, CLASSIFIER, SQUAD, TAGGER, WORD_EMBEDDINGS
from jaxbert.checkpoints.other_formats import refuse_adapter, refuse_other_formats, refuse_pointer
from jaxbert.checkpoints.released import RELEASED
from jaxbert.checkpoints.sentence_transformers import Pooling
from jaxbert.checkpoints.tf_bundle import Bundle, find_prefix, open_bundle
from jaxbert.checkpoints.tokenizer_files import JSON_FILES, TOKENIZER_JSON, as_library, read_rules, tokenizer_texts
from jaxbert.checkpoints.vocab_fit import NewTokens, check_size, check_tokens, refuse_other_twin
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.console import counted, say, say_once
from jaxbert.errors import InputError
from jaxbert.io.files import exists, find, is_file, is_folder, names, read_json_object
from jaxbert.text.tokenizer import Rules
from jaxbert.text.vocab import Vocab, lower_cases, read_vocab
from jaxbert.tfrecord.metadata import (
    ClassificationMetaData,
    MetaData,
    MultipleChoiceMetaData,
    SquadMetaData,
    TaggingMetaData,
    read_meta_data,
)


def _object(path: str | None) -> dict[str, Any]:
    """The JSON object in a file beside the weights; empty without a file."""
    if path is None:
        return {}
    return read_json_object(path, f"the {os.path.basename(path)} of a model; mend or remove the file")


_HUGGINGFACE_CONFIG = "config.json"
_SAVED_MODEL = "saved_model.pb"
_SAFETENSORS = (OUR_FILE, f"model{INDEX_ENDING}")
_MODEL_FILES = {*_SAFETENSORS, *keras_hub.FILES, _SAVED_MODEL}
_DATA_ENDING = ".data-00000-of-00001"  # of a TensorFlow checkpoint
_LOOKED_AT, _SHOWN = 50, 8  # names in a folder, and those in a message
_INSTEAD = {CONFIG_FILE: _HUGGINGFACE_CONFIG, VOCAB_FILE: TOKENIZER_JSON}  # what a folder of Hugging Face has
_CASE_RULE = "do_lower_case/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class Source:
    """A model on disk, and what its files say about it; each is read when it is first asked for, and once.

    Attributes:
        kind: how its weights are stored; a SavedModel (hub module) holds a TensorFlow checkpoint.
        path: prefix of the checkpoint, the file of weights, or the index of several.
        folder: where configuration and vocabulary are.
    """

    kind: Literal["checkpoint", "SavedModel", "safetensors", "keras-hub"]
    path: str
    folder: str

    def beside(self, name: str) -> str | None:
        """The path of the file `name` beside the weights, None where there is none."""
        path = os.path.join(self.folder, name)
        return path if is_file(path) else None

    @property
    def files(self) -> list[str]:
        """All that decides what a training begins with: weights, sizes, vocabulary, rules, what it was trained for."""
        if self.kind == "safetensors":
            weights = safetensors_files(self.path)
        elif self.kind == "keras-hub":
            weights = [path for name in keras_hub.FILES if (path := self.beside(name))]
        else:
            weights = [path for ending in (".index", ".data-*") for path in find(glob.escape(self.path) + ending)]
        others = [*map(self.beside, (CONFIG_FILE, *JSON_FILES, META_DATA_FILE)), self.vocab_file]
        return [*dict.fromkeys([*weights, *filter(None, others)])]

    @cached_property
    def _bundle(self) -> Bundle:
        return open_bundle(self.path)

    @cached_property
    def contents(self) -> Contents:
        """What is in the files of weights; no weight is read. Raises InputError where they are damaged."""
        if self.kind == "safetensors":
            found = safetensors_contents(self.path, self.architecture)
        else:
            found = keras_hub.contents(self.folder) if self.kind == "keras-hub" else tf_contents(self._bundle)
        if scalar := next((name for name, shape in found.shapes.items() if not shape), None):
            raise InputError(
                f"the weight `{scalar}` in `{found.source}` is a single number", "give a checkpoint of BERT"
            )
        return found

    @cached_property
    def architecture(self) -> str | None:
        """The class of transformers that `config.json` names."""
        named = _object(self.beside(_HUGGINGFACE_CONFIG)).get("architectures")
        return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else None

    @cached_property
    def is_of_huggingface(self) -> bool:
        """Whether it is one of transformers: then its own `config.json` counts, and its text is split as there."""
        has_config = self.kind == "safetensors" and self.beside(_HUGGINGFACE_CONFIG) is not None
        return has_config and self.contents.keys.get(WORD_EMBEDDINGS) != WORD_EMBEDDINGS  # our own names are TF1's

    def rules_as_there(self, rules: Rules, vocab: Vocab) -> Rules:
        """Rules of which no more than the casing is said: those of the library where the model is one of it."""
        return as_library(rules, vocab) if self.is_of_huggingface else rules

    @cached_property
    def config(self) -> BertConfig | None:
        """The configuration beside the weights; that of a SavedModel, which has none, is what the weights show."""
        if self.kind == "keras-hub":
            return keras_hub.read_config(self.folder)
        path, theirs = self.beside(CONFIG_FILE), self.beside(_HUGGINGFACE_CONFIG)
        if theirs and self.kind == "safetensors" and (path is None or self.is_of_huggingface):
            return _huggingface_config(theirs)
        if path:
            return bert_config.read(path)
        return contents.sizes(self.contents) if self.kind == "SavedModel" else None

    @cached_property
    def vocab_file(self) -> str | None:
        """The path of its vocabulary: `vocab.txt`, or `tokenizer.json`, in which transformers 5 writes it.

        A SavedModel keeps it among its assets: `vocab.txt`, or the only file there.
        """
        if self.kind == "keras-hub":
            return self.beside(keras_hub.VOCAB_FILE)
        if self.kind != "SavedModel":
            if self.beside(VOCAB_FILE) is None:
                refuse_pointer(os.path.join(self.folder, TOKENIZER_JSON))
            return self.beside(VOCAB_FILE) or self.beside(TOKENIZER_JSON)
        folder = os.path.join(self.folder, "assets")
        assets = names(folder)
        name = VOCAB_FILE if VOCAB_FILE in assets else assets[0] if len(assets) == 1 else None
        return os.path.join(folder, name) if name else None

    def check_vocabularies(self) -> None:
        """Raise InputError where there are both of these files, and they differ."""
        paths = [path for name in (VOCAB_FILE, TOKENIZER_JSON) if (path := self.beside(name))]
        if self.kind == "safetensors" and len(paths) == 2:
            refuse_other_twin(*map(read_vocab, paths))

    @cached_property
    def rules(self) -> Rules | None:
        """How its text becomes tokens, where its files say so."""
        if self.kind == "keras-hub":
            return keras_hub.read_rules(self.folder)
        if self.kind == "SavedModel":
            if rules := read_rules(self.folder):  # of ours, where they are more than the casing in the module
                return rules
            bundle = self._bundle
            return Rules(bool(bundle.read(_CASE_RULE).all())) if _CASE_RULE in bundle.entries else None
        rules = self._sentence_settings.rules(read_rules(self.folder))
        if rules is None or rules.library or self.vocab_file is None:
            return rules
        return self.rules_as_there(rules, read_vocab(self.vocab_file))

    @cached_property
    def _sentence_settings(self) -> sentence_transformers.Settings:
        return sentence_transformers.read_settings(self.folder)

    @cached_property
    def pooling(self) -> Pooling | None:
        """How its outputs become the vector of a text, where it is one of sentence-transformers."""
        if self.kind == "keras-hub":
            return keras_hub.read_pooling(self.folder)
        return sentence_transformers.read_pooling(self.folder)

    @cached_property
    def activation(self) -> str | None:
        """The class that sentence-transformers puts on its outputs, where a CrossEncoder's files say it; we do not."""
        return sentence_transformers.read_activation(self.folder) if self.kind != "keras-hub" else None

    @property
    def told_activation(self) -> str | None:
        """Its name for the user; None where it changes nothing."""
        name = (self.activation or "").rsplit(".", 1)[-1]
        return name if name not in ("", "Identity") else None

    @cached_property
    def stated_outputs(self) -> dict[str, Any] | None:
        """What a `config.json` of Hugging Face says of its outputs; None where there is none, or our metadata."""
        path = self.beside(_HUGGINGFACE_CONFIG)
        if path is None or self.kind != "safetensors" or self.beside(META_DATA_FILE) is not None:
            return None
        return huggingface.stated_outputs(_object(path))

    @cached_property
    def max_seq_length(self) -> int | None:
        """The longest sequence in tokens: as its files say, at most as many as there are positions.

        None where the sizes are not known.
        """
        if self.config is None:
            return None
        positions = self.config.max_position_embeddings
        if self.kind == "keras-hub":
            longest = keras_hub.read_max_seq_length(self.folder)
        else:
            of_tokenizer = _object(self.beside(TOKENIZER_FILE))
            stated = of_tokenizer.get("model_max_length", of_tokenizer.get("max_len"))  # the older name
            longest = self._sentence_settings.max_seq_length or stated
        return min(longest, positions) if type(longest) is int and longest > 0 else positions

    @cached_property
    def task(self) -> MetaData | None:
        """What it was trained for: by the metadata of our own training, or by the files of a Hugging Face folder.

        Raises InputError where the two say different things, or one of them something else than the weights.
        """
        if self.kind == "keras-hub":
            assert self.max_seq_length is not None  # a preset has sizes
            return keras_hub.read_task(self.folder, self.max_seq_length)
        path, theirs = self.beside(META_DATA_FILE), self._huggingface_task()
        heads = {CLASSIFIER[0], SQUAD[0], TAGGER[0], CHOICE[0]} & self.contents.shapes.keys()
        if path is None or not (heads or self.contents.undecided):  # without a head it is of records that lie there
            return theirs
        ours = read_meta_data(path)
        if not isinstance(ours, SquadMetaData | MultipleChoiceMetaData):
            is_tagger = isinstance(ours, TaggingMetaData)
            outputs = self.contents.shapes.get((TAGGER if is_tagger else CLASSIFIER)[0], (None,))[0]
            wanted = len(ours.class_names) or 1
            if outputs not in (None, wanted):
                raise InputError(
                    f"`{path}`: `num_labels` is {wanted}, the classifier has {counted(outputs, 'output')}",
                    "are the files from one model?",
                )
        if not isinstance(ours, SquadMetaData) and theirs is not None and theirs.kind != ours.kind:
            raise InputError(
                f"`{path}` tells of {ours.kind}, `{_HUGGINGFACE_CONFIG}` beside it of {theirs.kind}",
                "remove the one that is not of these weights",
            )
        return ours

    def _huggingface_task(self) -> ClassificationMetaData | MultipleChoiceMetaData | TaggingMetaData | None:
        path, shapes = self.beside(_HUGGINGFACE_CONFIG), self.contents.shapes
        head = shapes.get(CLASSIFIER[0]) or shapes.get(TAGGER[0])
        if self.kind != "safetensors" or path is None or (head is None and CHOICE[0] not in shapes):
            return None
        assert self.max_seq_length is not None  # it has a config.json
        if head is None:
            return MultipleChoiceMetaData(0, self.max_seq_length)
        if TAGGER[0] not in shapes and self.architecture not in (None, huggingface.CLASSIFIER_CLASS):
            say_once(
                f"note: `{path}` names the class `{self.architecture}`, whose head is read as that of"
                f" `{huggingface.CLASSIFIER_CLASS}`"
            )
        try:
            task = huggingface.tagging_task if TAGGER[0] in shapes else huggingface.classification_task
            return task(_object(path), head[0], self.max_seq_length)
        except InputError as error:
            raise InputError(f"`{path}`: {error.message}", error.hint) from error


def find_source(name: str) -> Source:
    """The model at a path, or with a name that `locate` knows.

    Raises InputError where there is none, or one of a kind that is not read.
    """
    path = sentence_transformers.encoder_folder(_snapshot(locate(name)))
    folder = path if is_folder(path) else os.path.dirname(path)
    if os.path.basename(path) == _SAVED_MODEL or is_file(os.path.join(path, _SAVED_MODEL)):
        return Source("SavedModel", find_prefix(os.path.join(folder, "variables", "variables")), folder)
    if os.path.basename(path) in keras_hub.FILES or is_file(os.path.join(path, keras_hub.WEIGHTS_FILE)):
        return Source("keras-hub", os.path.join(folder, keras_hub.WEIGHTS_FILE), folder)
    refuse_adapter(folder)
    candidates = [os.path.join(path, file) for file in _SAFETENSORS] if is_folder(path) else [path]
    for file in candidates:
        if file.endswith((".safetensors", INDEX_ENDING)) and is_file(file):
            return Source("safetensors", file, folder)
    try:
        refuse_other_formats(path)
        prefix = find_prefix(path)
    except InputError as error:
        raise _nearby(path) or _nowhere(path) or error from error
    for ending in (".index", _DATA_ENDING):
        refuse_pointer(prefix + ending)
    return Source("checkpoint", prefix, os.path.dirname(prefix))


def _snapshot(path: str) -> str:
    """The one revision in a model's folder of Hugging Face's cache; any other path comes back as it is."""
    folder = os.path.join(path, "snapshots")
    if not os.path.basename(path.rstrip("/")).startswith("models--") or not (revisions := names(folder)):
        return path
    found = [os.path.join(folder, revision) for revision in revisions]
    if len(found) > 1:
        raise InputError(f"`{path}` holds {len(found)} revisions of the model", _one_of(found))
    return found[0]


def _nearby(path: str) -> InputError | None:
    """What to say where there is no model at `path`, but one near it."""
    run = path if exists(path) else os.path.dirname(path)
    for kind, models, told in (
        ("run", [os.path.join(run, name) for name in models_of_run(run)], "give a model in it:"),
        ("sweep", models_of_sweep(run), "give the model of its best run:"),
        ("run of GLUE", models_of_glue(run), "give the best model of a task:"),
    ):
        if models:
            problem = f"is the folder of a {kind}" if run == path else f"is not there, but the folder of the {kind} is"
            return InputError(f"`{path}` {problem}", _one_of(models, told))
    if is_file(path):
        return None
    folder, expected = (path, OUR_FILE) if is_folder(path) else os.path.split(path)
    here = names(folder)
    if folder != path and _MODEL_FILES & set(here):
        return InputError(f"there is no `{path}`, but its folder is a model", f"give `{folder}`")
    if others := [os.path.join(folder, name) for name in here if name.endswith(".safetensors")]:
        return InputError(f"`{folder}` has no `{expected}`", _one_of(others))
    inside = [os.path.join(path, name) for name in here[:_LOOKED_AT]] if folder == path else []
    if below := [folder for folder in inside if _is_model(names(folder))]:
        return InputError(f"`{path}` is no model, but has one in a folder of it", _one_of(below))
    return None


def _nowhere(path: str) -> InputError | None:
    """What to say where nothing is at `path`, which is not the name of a checkpoint either."""
    folder, name = os.path.split(path)
    if exists(path) or ".ckpt" in name or any(".index" in file or f"{name}." in file for file in names(folder or ".")):
        return None
    fetched = {model.folder: name for name, model in RELEASED.items() if model.repository}
    if name in fetched:
        hint = f"check the path, or give the name `{fetched[name]}`, by which this model is fetched"
    elif re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path):
        hint = f"check the path; a model of Hugging Face is written `hf://{path}`"
    else:
        hint = f"check the path, or give a name that is fetched: {', '.join(fetched.values())}"
    return InputError(f"there is no model, file or folder `{path}`", hint)


def _is_model(files: list[str]) -> bool:
    return bool(_MODEL_FILES & set(files)) or any(name.endswith(_DATA_ENDING) for name in files)


def _one_of(paths: list[str], told: str = "give") -> str:
    return f"{told} {' or '.join(f'`{path}`' for path in paths[:_SHOWN])}"


def read_config(path: str, vocab_file: str | None = None) -> BertConfig:
    """The configuration in a `bert_config.json`, or in a `config.json` of Hugging Face, whose names mean other things.

    A `bert_config.json` without `vocab_size` is for a vocabulary of any size, that of `vocab_file`.

    Raises InputError, which names the file, where it describes another network.
    """
    content = read_json_object(path, "a bert_config.json")
    if huggingface.is_config(content):
        return _huggingface_config(path)
    tokens = len(read_vocab(vocab_file)) if vocab_file is not None and "vocab_size" not in content else None
    return bert_config.read(path, tokens)


def _huggingface_config(path: str) -> BertConfig:
    content = _object(path)
    try:
        return huggingface.from_huggingface_config(content)
    except InputError as error:
        raise InputError(f"`{path}`: {error.message}", error.hint) from error


def _refuse_missing(path: str | None) -> None:
    """Name the file that says the same in a folder of Hugging Face, where a flag asks for the one it does not have."""
    folder, name = os.path.split(path or "")
    if path and not is_file(path) and name in _INSTEAD and is_file(other := os.path.join(folder, _INSTEAD[name])):
        raise InputError(f"there is no `{path}`: this is a folder of Hugging Face", f"give `{other}`")


@dataclass(frozen=True)
class Model:
    """The model of a run: what its own files say, and what flags add to it.

    Attributes:
        source: its files; None where weights are random, or where a run goes on without what it started from.
        config: its sizes.
        vocab_file: path of its vocabulary, None where it is not known.
        rules: how its text becomes tokens, None where neither its files nor a flag say so.
        new_tokens: how word vectors start for tokens that its weights do not have.
    """

    source: Source | None
    config: BertConfig
    vocab_file: str | None
    rules: Rules | None
    new_tokens: NewTokens = "refuse"

    @cached_property
    def vocab(self) -> Vocab:
        """Its vocabulary, without added tokens. Raises InputError where it is not known."""
        if self.vocab_file is None:
            raise InputError("the vocabulary is not known", "give `--vocab_file`")
        return read_vocab(self.vocab_file)

    @property
    def known_tokens(self) -> int | None:
        """The tokens of the vocabulary that comes with the weights, None where there is none."""
        own = self.source.vocab_file if self.source else None
        return len(read_vocab(own)) if own else None

    def with_fitting_vocab(self, has_flag: bool) -> "Model":
        """This model, with a larger table of word vectors where its vocabulary grew and `new_tokens` allows it.

        Raises InputError where vocabulary and weights do not fit.
        """
        if self.vocab_file is None:
            return self
        added = {token.id: token.content for token in self.rules.added} if self.rules else {}
        vocab, own_file = self.vocab.with_tokens(added), self.source.vocab_file if self.source else None
        own = read_vocab(own_file) if own_file else None
        grows = self.new_tokens != "refuse" and len(vocab) > self.config.vocab_size
        model = replace(self, config=replace(self.config, vocab_size=len(vocab))) if grows else self
        if self.source is not None and own is not None and own_file != self.vocab_file:
            rows = self.source.contents.shapes.get(WORD_EMBEDDINGS, (0,))[0]
            if grows or rows == self.config.vocab_size:  # otherwise no word vector is loaded
                check_tokens(self.vocab, own, grows)
        check_size(vocab, model.config.vocab_size, own and own.with_tokens(added), has_flag)
        return model

    def for_text(self) -> "Model":
        """This model with its casing decided: where nobody says it, by the vocabulary. Raises as `vocab` does."""
        vocab = self.vocab
        rules = self.rules or Rules(lower_cases(None, vocab))
        return replace(self, rules=self.source.rules_as_there(rules, vocab) if self.source else rules)

    def refuse_pairs(self) -> None:
        """Raise InputError where it has one type of tokens, and its rules ask for two in a pair of texts."""
        if self.config.type_vocab_size < 2 and (self.rules is None or self.rules.segments):
            raise InputError(
                f"`type_vocab_size` of the model is {self.config.type_vocab_size}: it reads no pairs of texts, whose"
                " tokens have two types",
                "give a model with two types of tokens, or single texts to a model for these",
            )

    def beside(self, name: str) -> str | None:
        """See `Source.beside`; None without a source."""
        return None if self.source is None else self.source.beside(name)

    @property
    def task(self) -> MetaData | None:
        """See `Source.task`; None without a source."""
        return None if self.source is None else self.source.task

    def texts(self) -> dict[str, str]:
        """The files that go with its weights into a model folder, name -> content."""
        return {CONFIG_FILE: bert_config.to_json(self.config), **tokenizer_texts(self.vocab_file, self.kept_rules)}

    @property
    def kept_rules(self) -> Rules | None:
        """The rules that go with its weights into another folder, where casing that nobody says stays open.

        Of a model of transformers they are decided: nothing in that folder would say that they are the library's.
        """
        is_there = self.source is not None and self.source.is_of_huggingface and self.vocab_file is not None
        return self.for_text().rules if is_there else self.rules


def find_model(
    checkpoint: str | None,
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
    may_be_gone: bool = False,
    new_tokens: NewTokens | None = None,
) -> Model:
    """The model at `checkpoint` (None for random weights) with what these flags say of it, resolved once for a run.

    A flag takes the place of the file beside the weights, which is then not read. With `may_be_gone` a checkpoint that
    is not there any more is no error as long as `bert_config_file` is given. `new_tokens` is for a vocabulary with more
    tokens than the weights have; None: the command takes none.

    Raises:
        InputError: there is no such model; nothing says its sizes; `do_lower_case` contradicts it; its vocabulary does
            not fit.
    """
    source = None
    if checkpoint is not None:
        try:
            source = find_source(checkpoint)
        except InputError:
            if not may_be_gone or bert_config_file is None:
                raise
    for path in (bert_config_file, vocab_file):
        _refuse_missing(path)
    if bert_config_file is not None:
        config: BertConfig | None = read_config(bert_config_file, vocab_file or (source.vocab_file if source else None))
    else:
        config = source.config if source else None
    if config is None:
        raise InputError("the sizes of the model are not known", "give `--bert_config_file`")
    if source is None:
        given = None if do_lower_case is None else Rules(do_lower_case)
        model = Model(None, config, vocab_file, given, new_tokens or "refuse")
        return model.with_fitting_vocab(new_tokens is not None)
    if bert_config_file is None and source.kind == "SavedModel" and source.beside(CONFIG_FILE) is None:
        say(
            f"note: the sizes are those of the module's weights ({config.num_hidden_layers} layers, hidden"
            f" {config.hidden_size}, {config.num_attention_heads} heads), the rest is as in every release:"
            f" {config.hidden_act}, dropout {config.hidden_dropout_prob:g}"
        )
    if source.told_activation:
        say(f"note: outputs are given as they are; sentence-transformers gives their {source.told_activation}")
    rules = source.rules
    if rules is not None and do_lower_case not in (None, rules.lower_case):
        raise InputError(
            f"`--do_lower_case={str(do_lower_case).lower()}`, but the model in `{checkpoint}`"
            f" {'lower-cases its text' if rules.lower_case else 'keeps the case of its text'}",
            "leave the flag out",
        )
    if rules is None and do_lower_case is not None:
        rules = Rules(do_lower_case)
    if vocab_file is None:
        source.check_vocabularies()
    model = Model(source, config, vocab_file or source.vocab_file, rules, new_tokens or "refuse")
    return model.with_fitting_vocab(new_tokens is not None)
