# SPDX-License-Identifier: Apache-2.0
"""From what a user points at to the model there: fetched or unpacked, its kind, and the files beside its weights."""

import functools
import gzip
import hashlib
import importlib
import os
import re
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PureWindowsPath
from typing import Any, Literal

from jaxbert.checkpoints import contents, huggingface
from jaxbert.checkpoints.contents import INDEX_ENDING, Contents, safetensors_contents, tf_contents
from jaxbert.checkpoints.model_folder import CONFIG_FILE, OUR_FILE, TOKENIZER_FILE, VOCAB_FILE, models_of_run
from jaxbert.checkpoints.names import CLASSIFIER
from jaxbert.checkpoints.released import LICENSE, RELEASED
from jaxbert.checkpoints.tf_bundle import Bundle, find_prefix, open_bundle
from jaxbert.checkpoints.tokenizer_files import TOKENIZER_JSON, read_rules, tokenizer_texts
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.io.files import (
    absolute,
    check_folder,
    exists,
    is_file,
    is_folder,
    names,
    open_input,
    read_json_object,
    version,
)
from jaxbert.text.tokenizer import Rules
from jaxbert.text.vocab import Vocab, lower_cases, read_vocab

_CACHE = "~/.cache/jaxbert/models"
_ARCHIVE_ENDINGS = (".tar.gz", ".tgz")
_TFHUB = re.compile(r"^https?://(?:www\.)?tfhub\.dev/(tensorflow/(?:small_bert/)?bert_[\w-]+)/(\d+)/?$")
_HUGGINGFACE = re.compile(r"^hf://(\w[\w.-]*/\w[\w.-]*)$")
_HUGGINGFACE_FILES = ("*.json", "*.safetensors", "vocab.txt")
# Of a released model. Not the tokenizer's settings there: casing is that of the vocabulary, as in Google's archives.
_RELEASED_FILES = ("config.json", "model.safetensors", "vocab.txt")


def locate(name: str) -> str:
    """The local file or folder that `name` means; a path comes back as it is, an archive as the folder of its content.

    Models with known names are fetched where they are not here. Raises InputError where that cannot be done.
    """
    if name.endswith(_ARCHIVE_ENDINGS) and is_file(name):
        return unpack(name, cache_folder("archives"))
    if exists(name):
        return name
    if module := _TFHUB.match(name):
        return _kept(f"{module[1]}/{module[2]}") or _fetch_from_kaggle(module[1], module[2])
    if repository := _HUGGINGFACE.match(name):
        return _kept(repository[1]) or _fetch_from_huggingface(repository[1])
    if name.startswith(("https://", "http://", "hf://")):
        raise InputError(
            f"`{name}` names no model that can be fetched",
            "expected `https://tfhub.dev/tensorflow/bert_.../1`, `hf://owner/name`, or a file or folder here",
        )
    if name in RELEASED:
        return _kept(name, RELEASED[name].folder) or _fetch_released(name)
    return name


def cache_folder(name: str) -> str:
    """The folder in which a model with this name is found when it was put there by hand."""
    return os.path.join(os.path.expanduser(_CACHE), *name.split("/"))


def _kept(name: str, folder_of_archive: str = "") -> str | None:
    """What was put by hand into the folder for `name`, with or without the folder that is in its archive."""
    folder = cache_folder(name)
    if not os.path.isdir(folder) or not os.listdir(folder):
        return None
    inner = os.path.join(folder, folder_of_archive)
    return inner if folder_of_archive and os.path.isdir(inner) else folder


@functools.cache
def _fetch_released(name: str) -> str:
    """The folder with a released model from Hugging Face, where it is to be had there; the user is told before."""
    model = RELEASED[name]
    missing = f"the released model `{name}` is not on this machine"
    by_hand = f"download {model.archives[0]} and unpack it into {cache_folder(name)}"
    if model.repository is None:
        raise InputError(missing, by_hand)

    def fetch(client: Any) -> Any:
        say(
            f"fetching `{name}`, or taking it from the cache of huggingface_hub: {', '.join(_RELEASED_FILES)} of"
            f" https://huggingface.co/{model.repository}, revision {model.revision}; licence {LICENSE}"
        )
        return client.snapshot_download(model.repository, revision=model.revision, allow_patterns=list(_RELEASED_FILES))

    return _fetch(missing, "huggingface_hub", by_hand, fetch)


@functools.cache
def _fetch_from_huggingface(repository: str) -> str:
    files = f"{', '.join(_HUGGINGFACE_FILES)} of https://huggingface.co/{repository}"
    return _fetch(
        f"`hf://{repository}` is not on this machine",
        "huggingface_hub",
        f"download {files} into {cache_folder(repository)}",
        lambda client: client.snapshot_download(repository, allow_patterns=list(_HUGGINGFACE_FILES)),
    )


@functools.cache
def _fetch_from_kaggle(module: str, version: str) -> str:
    handle, folder = kaggle_handle(module, version), cache_folder(f"{module}/{version}")
    return _fetch(
        f"`https://tfhub.dev/{module}/{version}` is not on this machine",
        "kagglehub",
        f"download https://www.kaggle.com/models/{handle} and unpack it into {folder}",
        lambda client: client.model_download(handle),
    )


def kaggle_handle(module: str, version: str) -> str:
    """What Kaggle calls a version of a module of tfhub.dev: `tensorflow/bert/tensorFlow2/<variation>/<version>`.

    Variations are the old names in lower case with `-` for `_`; only those of the small models keep `bert-` in front.
    """
    variation = module.rsplit("/", 1)[1].lower().replace("_", "-")
    if "/small_bert/" not in module:
        variation = variation.removeprefix("bert-")
    return f"tensorflow/bert/tensorFlow2/{variation}/{version}"


def _fetch(missing: str, library: str, by_hand: str, fetch: Callable[[Any], Any]) -> str:
    """The folder that `fetch` gets from a client library; where it cannot, `missing`, why, and `by_hand` are said."""
    try:
        client = importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"{missing}, and fetching it needs `{library}`", f"`pip install 'jaxbert[hub]'`, or {by_hand}"
        ) from error
    try:
        return str(fetch(client))
    except Exception as error:  # it raises whatever its own libraries do
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{missing} and cannot be fetched: {reason}", by_hand) from error


_CHUNK = 1 << 20
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError)


def unpack(path: str, cache: str) -> str:
    """The folder below `cache` with the content of the archive at `path`; unpacked only if it is not there yet.

    A folder that is alone in the archive is gone into. Raises InputError where the archive is damaged, holds anything
    but files and folders, names a path outside of itself, or does not fit on the disk.
    """
    state = f"{absolute(path)} {version(path)}"
    folder = os.path.join(cache, hashlib.sha256(state.encode()).hexdigest()[:16])
    if not os.path.isdir(folder):
        check_folder(folder)
        partial = f"{folder}.{secrets.token_hex(4)}.partial"
        os.makedirs(partial)
        try:
            _unpack(path, partial)
            os.replace(partial, folder)
        except OSError:
            if not os.path.isdir(folder):  # which another process, or host, has unpacked meanwhile
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    content = os.listdir(folder)
    only = os.path.join(folder, content[0]) if len(content) == 1 else folder
    return only if os.path.isdir(only) else folder


def _unpack(path: str, folder: str) -> None:
    try:
        with open_input(path) as file, gzip.open(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _check_member(member, folder)
                archive.extract(member, folder, filter="data")
            while stream.read(_CHUNK):
                pass  # the checksum of the archive comes last
    except _DAMAGE as error:
        raise InputError(f"archive `{path}` cannot be unpacked: {error}", "download it again") from error


def _check_member(member: tarfile.TarInfo, folder: str) -> None:
    """Refuse what the filter `data` lets pass or changes: links, absolute names, a name twice, more than fits."""
    name = PureWindowsPath(member.name)  # takes `\` and drives as they are meant there, and `/` too
    if name.anchor or ".." in name.parts:
        raise ValueError(f"its member `{member.name}` lies outside of it")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"its member `{member.name}` is neither a file nor a folder")
    if member.isreg() and os.path.lexists(os.path.join(folder, member.name)):
        raise ValueError(f"its member `{member.name}` exists twice")
    free = shutil.disk_usage(folder).free
    if member.size > free:
        raise ValueError(f"its member `{member.name}` has {member.size} bytes, the disk has {free} left")


_HINT = (
    "give a TensorFlow checkpoint (the prefix of its `.index` file, for example `bert_model.ckpt`), a hub module, or a "
    "model folder of Hugging Face or jaxbert with safetensors files"
)
_CONVERT = (
    "weights in pickles may run any code when they are opened; convert them once where PyTorch is installed: "
    '`python -c "import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in'
    " torch.load('pytorch_model.bin', map_location='cpu', weights_only=True).items()}, 'model.safetensors')\"`"
)
# Files of other programs by their names, alone or in a folder; what they are, and what to do.
_NAMES = {
    "pytorch_model.bin": ("a PyTorch model of Hugging Face", _CONVERT),
    "pytorch_model.bin.index.json": ("a PyTorch model of Hugging Face in several files", _CONVERT),
    "flax_model.msgpack": ("a Flax model of Hugging Face", _HINT),
    "tf_model.h5": ("a Keras model of Hugging Face", _HINT),
    "model.onnx": ("an ONNX model", _HINT),
}
# And by their first bytes.
_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, as Keras writes weights", _HINT),
    b"PK\x03\x04": ("a zip archive, as PyTorch, Keras 3 and NumPy write weights", _HINT),
    b"\x80\x02": ("a pickle, as old PyTorch writes weights", _CONVERT),
    b"\x1f\x8b": ("a gzip archive", "unpack it, or give it a name that ends in `.tar.gz`"),
}


def refuse_other_formats(path: str) -> None:
    """Raise an InputError that says what `path` is, if it is a model in a format that is known but not read."""
    present = set(names(path)) if is_folder(path) else {os.path.basename(path)} if is_file(path) else set()
    found = next((format_ for name, format_ in _NAMES.items() if name in present), None)
    if found is None and is_file(path):
        with open_input(path) as file:
            beginning = file.read(8)
        found = next((format_ for start, format_ in _BEGINNINGS.items() if beginning.startswith(start)), None)
    if found:
        raise InputError(f"`{path}` is {found[0]}, which is not read", found[1])


def _object(path: str | None) -> dict[str, Any]:
    """The JSON object in a file beside the weights; empty without a file."""
    if path is None:
        return {}
    return read_json_object(path, f"the {os.path.basename(path)} of a model; mend or remove the file")


_HUGGINGFACE_CONFIG = "config.json"
_SAVED_MODEL = "saved_model.pb"
_SAFETENSORS = (OUR_FILE, f"model{INDEX_ENDING}")
_NO_LIMIT = 1 << 20  # transformers writes 10**30 where nobody set a length
_CASE_RULE = "do_lower_case/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class Source:
    """A model on disk, and what its files say about it; each is read when it is first asked for, and once.

    Attributes:
        kind: how its weights are stored; a SavedModel (hub module) holds a TensorFlow checkpoint.
        path: prefix of the checkpoint, the safetensors file, or the index of several.
        folder: where configuration and vocabulary are.
    """

    kind: Literal["checkpoint", "SavedModel", "safetensors"]
    path: str
    folder: str

    def beside(self, name: str) -> str | None:
        """The path of the file `name` beside the weights, None where there is none."""
        path = os.path.join(self.folder, name)
        return path if is_file(path) else None

    @cached_property
    def _bundle(self) -> Bundle:
        return open_bundle(self.path)

    @cached_property
    def contents(self) -> Contents:
        """What is in the files of weights; no weight is read. Raises InputError where they are damaged."""
        if self.kind == "safetensors":
            architectures = _object(self.beside(_HUGGINGFACE_CONFIG)).get("architectures")
            architecture = architectures[0] if isinstance(architectures, list) and architectures else None
            found = safetensors_contents(self.path, architecture)
        else:
            found = tf_contents(self._bundle)
        if scalar := next((name for name, shape in found.shapes.items() if not shape), None):
            raise InputError(
                f"the weight `{scalar}` in `{found.source}` is a single number", "give a checkpoint of BERT"
            )
        return found

    @cached_property
    def config(self) -> BertConfig | None:
        """The configuration beside the weights; that of a SavedModel, which has none, is what the weights show."""
        if path := self.beside(CONFIG_FILE):
            return bert_config.read(path)
        if self.kind == "safetensors" and (path := self.beside(_HUGGINGFACE_CONFIG)):
            content = _object(path)
            try:
                return huggingface.from_huggingface_config(content)
            except InputError as error:
                raise InputError(f"`{path}`: {error.message}", error.hint) from error
        return contents.sizes(self.contents) if self.kind == "SavedModel" else None

    @cached_property
    def vocab_file(self) -> str | None:
        """The path of its vocabulary: `vocab.txt`, or `tokenizer.json`, in which transformers 5 writes it.

        A SavedModel keeps it among its assets: `vocab.txt`, or the only file there.
        """
        if self.kind != "SavedModel":
            return self.beside(VOCAB_FILE) or self.beside(TOKENIZER_JSON)
        folder = os.path.join(self.folder, "assets")
        assets = names(folder)
        name = VOCAB_FILE if VOCAB_FILE in assets else assets[0] if len(assets) == 1 else None
        return os.path.join(folder, name) if name else None

    @cached_property
    def rules(self) -> Rules | None:
        """How its text becomes tokens, where its files say so."""
        if self.kind == "SavedModel":
            bundle = self._bundle
            return Rules(bool(bundle.read(_CASE_RULE).all())) if _CASE_RULE in bundle.entries else None
        return read_rules(self.folder)

    @cached_property
    def problem(self) -> huggingface.Problem | None:
        """The kind of problem that its classifier solves, where a Hugging Face folder says it."""
        path = self.beside(_HUGGINGFACE_CONFIG)
        if self.kind != "safetensors" or path is None:
            return None
        content, outputs = _object(path), self.contents.shapes.get(CLASSIFIER[0], (None,))[0]
        try:
            return huggingface.problem(content, outputs)
        except InputError as error:
            raise InputError(f"`{path}`: {error.message}", error.hint) from error

    @cached_property
    def max_seq_length(self) -> int | None:
        """The longest sequence in tokens that its tokenizer is to make, where a Hugging Face folder says it."""
        longest = _object(self.beside(TOKENIZER_FILE)).get("model_max_length")
        return longest if type(longest) is int and 0 < longest < _NO_LIMIT else None

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of a classifier's classes in the order of their ids, where a Hugging Face folder says them."""
        return huggingface.class_names(_object(self.beside(_HUGGINGFACE_CONFIG)))


def find_source(name: str) -> Source:
    """The model at a path, or with a name that `locate` knows.

    Raises InputError where there is none, or one of a kind that is not read.
    """
    path = locate(name)
    folder = path if is_folder(path) else os.path.dirname(path)
    if os.path.basename(path) == _SAVED_MODEL or is_file(os.path.join(path, _SAVED_MODEL)):
        return Source("SavedModel", find_prefix(os.path.join(folder, "variables", "variables")), folder)
    candidates = [os.path.join(path, file) for file in _SAFETENSORS] if is_folder(path) else [path]
    for file in candidates:
        if file.endswith((".safetensors", INDEX_ENDING)) and is_file(file):
            return Source("safetensors", file, folder)
    refuse_other_formats(path)
    try:
        prefix = find_prefix(path)
    except InputError as error:
        if models := [f"`{os.path.join(path, name)}`" for name in models_of_run(path)]:
            raise InputError(
                f"`{path}` is the folder of a run", f"give a model in it: {' or '.join(models)}"
            ) from error
        raise
    return Source("checkpoint", prefix, os.path.dirname(prefix))


@dataclass(frozen=True)
class Model:
    """The model of a run: what its own files say, and what flags add to it.

    Attributes:
        source: its files; None where weights are random, or where a run goes on without what it started from.
        config: its sizes.
        vocab_file: path of its vocabulary, None where it is not known.
        rules: how its text becomes tokens, None where neither its files nor a flag say so.
    """

    source: Source | None
    config: BertConfig
    vocab_file: str | None
    rules: Rules | None

    @cached_property
    def vocab(self) -> Vocab:
        """Its vocabulary. Raises InputError where it is not known, or larger than the table of embeddings."""
        if self.vocab_file is None:
            raise InputError("the vocabulary is not known", "give `--vocab_file`")
        vocab = read_vocab(self.vocab_file)
        added = {token.id: token.content for token in self.rules.added} if self.rules else {}
        if (size := len(vocab.with_tokens(added))) > self.config.vocab_size:
            raise InputError(
                f"`{self.vocab_file}` has {size} tokens, bert_config.json says `vocab_size` {self.config.vocab_size}",
                "give the vocabulary that belongs to the checkpoint",
            )
        own = self.source.vocab_file if self.source else None
        if own and own != self.vocab_file and read_vocab(own).tokens != vocab.tokens:
            say(f"note: `{self.vocab_file}` is not the vocabulary that comes with the model, `{own}`")
        return vocab

    def for_text(self) -> "Model":
        """This model with its casing decided: where nobody says it, by the vocabulary. Raises as `vocab` does."""
        vocab = self.vocab
        return replace(self, rules=self.rules or Rules(lower_cases(None, vocab)))

    def beside(self, name: str) -> str | None:
        """See `Source.beside`; None without a source."""
        return None if self.source is None else self.source.beside(name)

    def texts(self) -> dict[str, str]:
        """The files that go with its weights into a model folder, name -> content."""
        return {CONFIG_FILE: bert_config.to_json(self.config), **tokenizer_texts(self.vocab_file, self.rules)}


def find_model(
    checkpoint: str | None,
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
    may_be_gone: bool = False,
) -> Model:
    """The model at `checkpoint` (None for random weights) with what these flags say of it, resolved once for a run.

    A flag takes the place of the file beside the weights, which is then not read. With `may_be_gone` a checkpoint that
    is not there any more is no error as long as `bert_config_file` is given.

    Raises:
        InputError: there is no such model; nothing says its sizes; `do_lower_case` contradicts it.
    """
    source = None
    if checkpoint is not None:
        try:
            source = find_source(checkpoint)
        except InputError:
            if not may_be_gone or bert_config_file is None:
                raise
    if bert_config_file is not None:
        config: BertConfig | None = bert_config.read(bert_config_file)
    else:
        config = source.config if source else None
    if config is None:
        raise InputError("the sizes of the model are not known", "give `--bert_config_file`")
    if source is None:
        return Model(None, config, vocab_file, None if do_lower_case is None else Rules(do_lower_case))
    if bert_config_file is None and source.kind == "SavedModel" and source.beside(CONFIG_FILE) is None:
        say(
            f"note: the sizes are those of the module's weights ({config.num_hidden_layers} layers, hidden"
            f" {config.hidden_size}, {config.num_attention_heads} heads), the rest is as in every release:"
            f" {config.hidden_act}, dropout {config.hidden_dropout_prob:g}"
        )
    rules = source.rules
    if rules is not None and do_lower_case not in (None, rules.lower_case):
        raise InputError(
            f"`--do_lower_case={str(do_lower_case).lower()}`, but the model in `{checkpoint}`"
            f" {'lower-cases its text' if rules.lower_case else 'keeps the case of its text'}",
            "leave the flag out",
        )
    if rules is None and do_lower_case is not None:
        rules = Rules(do_lower_case)
    return Model(source, config, vocab_file or source.vocab_file, rules)
