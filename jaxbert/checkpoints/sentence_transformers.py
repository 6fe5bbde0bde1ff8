# SPDX-License-Identifier: Apache-2.0
"""Folders of sentence-transformers: where the encoder is, and how its outputs become one vector; read and written.

`modules.json` lists the modules that work one after the other, each with its class and folder: an encoder
(`Transformer`, in the folder itself or in `0_Transformer`), then mostly `Pooling` and `Normalize`. Source:
sentence-transformers 6.2, `base/modules/transformer.py` and `sentence_transformer/modules/pooling.py`.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from jaxbert.errors import InputError
from jaxbert.io.files import is_file, read_json_object, read_text
from jaxbert.text.tokenizer import Rules

_MODULES, _MODEL, _TRANSFORMER = "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"
# The first of these that says something counts, whatever the model is.
_OLDER_NAMES = ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_TRANSFORMER_FILES = (_TRANSFORMER, *(f"sentence_{name}_config.json" for name in _OLDER_NAMES))
_CONFIG = "config.json"  # of every module but the encoder
ACTIVATION = "sbert_ce_default_activation_function"  # in a classifier's config.json; every version reads it
_CROSS_ENCODER = "CrossEncoder"
_PIPELINES = (["Transformer"], ["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_POOLING_FOLDER, _NORMALIZE_FOLDER = "1_Pooling", "2_Normalize"
# Modes of pooling with the keys that older versions write, in the order in which those put the vectors side by side.
_MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
# What is known of each file: key -> values that change nothing here; None: any value.
_POOLING_KEYS: dict[str, tuple[object, ...] | None] = {
    **dict.fromkeys(("embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt")),
    **dict.fromkeys(_MODES.values()),
}
_NORMALIZE_KEYS: dict[str, tuple[object, ...] | None] = {
    "module_input_name": ("sentence_embedding",),
    "module_output_name": ("sentence_embedding",),
}
_MODEL_KEYS: dict[str, tuple[object, ...] | None] = {
    **dict.fromkeys(("__version__", "similarity_fn_name", "prompts", "default_prompt_name")),
    "model_type": ("SentenceTransformer",),
}
_TRANSFORMER_KEYS: dict[str, tuple[object, ...] | None] = {
    **dict.fromkeys(("max_seq_length", "do_lower_case", "unpad_inputs")),
    "transformer_task": ("feature-extraction",),
    "modality_config": ({"text": {"method": "forward", "method_output_name": "last_hidden_state"}},),
    "module_output_name": ("token_embeddings",),
}


@dataclasses.dataclass(frozen=True)
class Pooling:
    """How the outputs of the encoder become the vector of a text, and what is said of its use.

    Attributes:
        modes: of `_MODES`; the vectors of several are put side by side, in this order.
        normalize: whether the vector is scaled to length 1.
        include_prompt: whether the tokens of a prompt count.
        similarity: name of the function that compares two vectors; None: nobody says it, the library takes the cosine.
        prompts: texts to put before a text, by the names of their uses.
        default_prompt: name of the one to take where none is asked for.
    """

    modes: tuple[str, ...]
    normalize: bool
    include_prompt: bool = True
    similarity: str | None = None
    prompts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    default_prompt: str | None = None

    def __str__(self) -> str:
        """In words, for the user."""
        told = f"{' and '.join(self.modes)} of the outputs{', normalized' if self.normalize else ''}"
        if self.similarity:
            told += f", compared by {self.similarity}"
        prompts = [f"{name}: `{prompt}`" for name, prompt in self.prompts.items() if prompt]
        return told + (f", prompts {', '.join(prompts)}" if prompts else "")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `sentence_bert_config.json`, or an older name of it, says of the encoder's texts.

    Attributes:
        max_seq_length: the longest sequence in tokens, which comes before that of the tokenizer's own files.
        lower_case: whether texts are lower-cased whatever the tokenizer does; without it the tokenizer decides.
    """

    max_seq_length: int | None = None
    lower_case: bool = False

    def rules(self, rules: Rules | None) -> Rules | None:
        """The rules that come out of the tokenizer's own: what it does with accents does not change."""
        if not self.lower_case or (rules and rules.lower_case):
            return rules
        if rules is None:
            return Rules()
        return dataclasses.replace(rules, lower_case=True, strip_accents=bool(rules.strip_accents))


def encoder_folder(folder: str) -> str:
    """The folder of the encoder in one of sentence-transformers; any other folder comes back as it is.

    Raises InputError where `modules.json` lists other modules than the three that are read.
    """
    modules = _modules(folder)
    return os.path.join(folder, modules[0][1]) if modules and modules[0][1] else folder


def read_settings(folder: str) -> Settings:
    """What is said of the texts of the encoder in `folder`: the defaults where it is not of sentence-transformers.

    Raises InputError for a setting that is not understood.
    """
    root = _root(folder)
    if root is None:
        return Settings()
    paths = [os.path.join(folder, name) for name in _TRANSFORMER_FILES]
    path = next((path for path in paths if _read(path, {})), paths[0])
    is_alone = len(_modules(root)) == 1  # a CrossEncoder: a classifier as transformers has it
    content = _read(path, {} if is_alone else _TRANSFORMER_KEYS)
    length, lower_case = content.get("max_seq_length"), content.get("do_lower_case") or False
    if (length is not None and (type(length) is not int or length < 1)) or type(lower_case) is not bool:
        raise InputError(
            f"`{path}`: `max_seq_length` is `{length}`, `do_lower_case` is `{lower_case}`",
            "expected a number of tokens or null, and true or false",
        )
    return Settings(length, lower_case)


def read_activation(folder: str) -> str | None:
    """The class that CrossEncoder puts on the outputs of the classifier in `folder`, `torch.nn...`; None: unsaid.

    Version 6 says it in a file of its own, versions 4 and 5 in a part of `config.json`, older ones by a key there.
    """
    config, model = (_read(os.path.join(folder, name), {}) for name in (_CONFIG, _MODEL))
    of_library = config.get("sentence_transformers")
    said = model if model.get("model_type") == _CROSS_ENCODER else of_library if isinstance(of_library, dict) else {}
    name = said.get("activation_fn") or config.get(ACTIVATION)
    return name if isinstance(name, str) and name else None


def activation_texts(activation: str) -> dict[str, str]:
    """The file that says it in a folder that has no `config.json`, name -> content; see `read_activation`."""
    return {_MODEL: json.dumps({"model_type": _CROSS_ENCODER, "activation_fn": activation}, indent=2) + "\n"}


def read_pooling(folder: str) -> Pooling | None:
    """How the outputs of the encoder in `folder` become a vector; None where nothing says it.

    Raises InputError for a setting that is not understood.
    """
    root = _root(folder)
    modules = [] if root is None else _modules(root)
    if root is None or len(modules) < 2:
        return None
    path = os.path.join(root, modules[1][1], _CONFIG)
    content = _read(path, _POOLING_KEYS, needed=True)
    modes = content.get("pooling_mode") or [mode for mode, key in _MODES.items() if content.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or not modes or any(mode not in list(_MODES) for mode in modes):
        raise InputError(f"`{path}`: `pooling_mode` is `{modes}`", f"expected {', '.join(_MODES)}, or a list of these")
    if len(modules) == 3:
        _read(os.path.join(root, modules[2][1], _CONFIG), _NORMALIZE_KEYS)
    model_path = os.path.join(root, _MODEL)
    model = _read(model_path, _MODEL_KEYS)
    prompts = model.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise InputError(f"`{model_path}`: `prompts` is `{json.dumps(prompts)[:100]}`", "expected texts by name")
    include = content.get("include_prompt", True)
    similarity, default = model.get("similarity_fn_name"), model.get("default_prompt_name")
    return Pooling(tuple(modes), len(modules) == 3, include is not False, similarity, prompts, default)


def pooling_texts(pooling: Pooling, hidden_size: int, max_seq_length: int | None) -> dict[str, str]:
    """The files that make a folder with an encoder one of sentence-transformers, name -> content.

    Their form is that which all of its versions read, as far as it can say the order of several modes.
    """
    is_old = list(pooling.modes) == [mode for mode in _MODES if mode in pooling.modes]
    modes: dict[str, Any] = {key: mode in pooling.modes for mode, key in _MODES.items()}
    folders = ["", _POOLING_FOLDER, *([_NORMALIZE_FOLDER] if pooling.normalize else [])]
    modules = [
        {"idx": index, "name": str(index), "path": folder, "type": f"sentence_transformers.models.{name}"}
        for index, (folder, name) in enumerate(zip(folders, _PIPELINES[-1], strict=False))
    ]
    settings: dict[str, Any] = {
        _MODULES: modules,
        _TRANSFORMER: {"max_seq_length": max_seq_length, "do_lower_case": False},  # the tokenizer's files say the case
        f"{_POOLING_FOLDER}/{_CONFIG}": {
            "word_embedding_dimension": hidden_size,
            **(modes if is_old else {"pooling_mode": list(pooling.modes)}),
            "include_prompt": pooling.include_prompt,
        },
        _MODEL: {
            "prompts": pooling.prompts,
            "default_prompt_name": pooling.default_prompt,
            "similarity_fn_name": pooling.similarity,
        },
    }
    if pooling.normalize:
        settings[f"{_NORMALIZE_FOLDER}/{_CONFIG}"] = {}
    return {name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in settings.items()}


def _root(folder: str) -> str | None:
    """The folder of the `modules.json` that calls `folder` its encoder: itself or the one above."""
    folder = folder.rstrip("/") or folder
    parent, name = os.path.split(folder)
    for root, part in ((folder, ""), (parent, name)):
        modules = _modules(root)
        if modules and modules[0][1] == part:
            return root
    return None


def _modules(folder: str) -> list[tuple[str, str]]:
    """Class and folder of each module; empty where there is no `modules.json`."""
    path = os.path.join(folder, _MODULES)
    if not is_file(path):
        return []
    try:
        content = json.loads(read_text(path))
        modules = [(str(module["type"]), str(module.get("path", "")).strip("/")) for module in content]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"`{path}` lists no modules: {error!r}"[:300], "download the model again") from error
    classes = [kind.rsplit(".", 1)[-1] if kind.startswith("sentence_transformers.") else kind for kind, _ in modules]
    if any(os.path.basename(part) != part or part == ".." for _, part in modules):
        raise InputError(f"`{path}` names a folder that is not beside it", "download the model again")
    if classes not in _PIPELINES:
        raise InputError(
            f"`{path}` lists the modules {', '.join(f'`{name}`' for name in classes)}: only `Transformer`, `Pooling`"
            " and `Normalize`, in this order, are read",
            "to use the encoder alone, remove `modules.json`",
        )
    return modules


def _read(path: str, known: Mapping[str, tuple[object, ...] | None], needed: bool = False) -> dict[str, Any]:
    """The settings in a file, empty without it; with `known` keys all others and values that are not known are refused.

    A setting that is null or an empty object says nothing.
    """
    if not needed and not is_file(path):
        return {}
    content = read_json_object(path, "what sentence-transformers writes")
    for key, value in content.items() if known else ():
        expected = known.get(key, ())
        if value not in (None, {}) and expected is not None and value not in expected:
            raise InputError(
                f"`{path}`: `{key}` is `{json.dumps(value)[:100]}`, which is not understood",
                f"expected {' or '.join(f'`{json.dumps(one)}`' for one in expected)}" if expected else "remove the key",
            )
    return content
