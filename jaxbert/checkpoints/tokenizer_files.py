# SPDX-License-Identifier: Apache-2.0
"""The files beside a model that say how its text becomes tokens, read and written.

Google's releases have `vocab.txt` alone. A Hugging Face folder says more, in files that may contradict each other; what
transformers 5 does counts (`PreTrainedTokenizerBase._from_pretrained`, `BertTokenizer.__init__`):

- For the class `BertTokenizer` (or where none is named) casing, accents and Chinese characters are those of
  `tokenizer_config.json`, the word limit is 100, and `tokenizer.json` gives the vocabulary and the added tokens only.
- For a class that has no rules of its own (`PreTrainedTokenizerFast`, `TokenizersBackend`) `tokenizer.json` counts.
- The class is named in `tokenizer_config.json`, or in the model's `config.json`. Where these say the casing alone, or
  nothing, the model decides whether it is `BertTokenizer` or Google's code.
- Added tokens are those of `added_tokens_decoder` in `tokenizer_config.json`, for a class without rules of its own
  behind those of `tokenizer.json`; else of `added_tokens.json` (version 4) and of `tokenizer.json`. Special tokens that
  are named without being listed there (`[CLS]` and the like, always; `extra_special_tokens`; `special_tokens_map.json`
  of version 4) are added behind them.
- A second text has tokens of type 1 where `model_input_names` lists `token_type_ids`; without that key only with the
  class `BertTokenizer`.

Our own folders hold `vocab.txt` and `tokenizer_config.json` in the same form, and a `tokenizer.json` where
`BertTokenizer` does not know the rules.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from jaxbert.checkpoints.huggingface import is_config
from jaxbert.checkpoints.model_folder import CONFIG_FILE, OUR_FILE, TOKENIZER_FILE, VOCAB_FILE
from jaxbert.errors import InputError
from jaxbert.io.files import is_file, read_json_object, read_text, write_text
from jaxbert.text.tokenizer import AddedToken, Rules, library_json
from jaxbert.text.vocab import CLS, MASK, PAD, SEP, UNK, Vocab, lower_cases, read_vocab

TOKENIZER_JSON = "tokenizer.json"
_ADDED_TOKENS, _SPECIAL_TOKENS = "added_tokens.json", "special_tokens_map.json"
_MODEL_FILE = "config.json"  # of the model; it may name the class of the tokenizer
JSON_FILES = (_MODEL_FILE, TOKENIZER_FILE, TOKENIZER_JSON, _ADDED_TOKENS, _SPECIAL_TOKENS)
_LIBRARY_KEYS = {"strip_accents", "tokenize_chinese_chars", "added_tokens_decoder"}  # Google's has no such rules
_WORD_TOKENIZERS = {"word_tokenizer_type", "subword_tokenizer_type"}  # of BertJapaneseTokenizer
_LIBRARY_LIMIT = 100  # characters of a word in transformers
_SPECIAL = {"unk_token": UNK, "sep_token": SEP, "pad_token": PAD, "cls_token": CLS, "mask_token": MASK}
_FRAME = ((CLS, 0), ("A", 0), (SEP, 0), ("B", 1), (SEP, 1))  # parts of two texts with their types
_CLASSES_WITH_TYPES = ("BertTokenizer", "BertTokenizerFast")
_BERT_CLASSES = (*_CLASSES_WITH_TYPES, "DistilBertTokenizer", "DistilBertTokenizerFast")
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
_INPUTS, _TYPES = "model_input_names", "token_type_ids"
_PAIRS, _ROUND_ROBIN = "pair_truncation", "round_robin"  # of our own folders alone: transformers cuts in one way
_TOKEN_FIELDS = tuple(field.name for field in dataclasses.fields(AddedToken) if field.name != "id")


def read_rules(folder: str) -> Rules | None:
    """What the files in a model's folder say, None where they say nothing.

    Raises:
        InputError: a file is damaged, or says what our tokenizer cannot do; the message names it.
    """
    config_path = os.path.join(folder, TOKENIZER_FILE)
    config = _object(config_path)
    of_library = _object(os.path.join(folder, TOKENIZER_JSON))
    of_model = _object(os.path.join(folder, _MODEL_FILE))
    is_of_library = bool(of_library or _LIBRARY_KEYS & config.keys()) or is_file(os.path.join(folder, _SPECIAL_TOKENS))
    class_name = config.get("tokenizer_class") or of_model.get("tokenizer_class")
    if not is_of_library and class_name is None:
        lower_case = _switch(config, "do_lower_case", None, config_path)
        return None if lower_case is None else Rules(lower_case)
    class_name = class_name or _BERT_CLASSES[0]
    if class_name not in (*_BERT_CLASSES, *_PLAIN_CLASSES):
        raise InputError(
            f"`{config_path}`: the tokenizer is a `{class_name}`",
            f"tokenizers of BERT are read: {', '.join((*_BERT_CLASSES, *_PLAIN_CLASSES))}",
        )
    _check_special_tokens(config, config_path)
    for key in _WORD_TOKENIZERS & config.keys():
        raise InputError(
            f"`{config_path}`: `{key}` is `{config[key]}`, which is not understood", "give a model of BERT"
        )
    _check_truncation(config, of_library, folder)
    splits_special = _switch(config, "split_special_tokens", False, config_path)
    is_plain = class_name in _PLAIN_CLASSES
    tokens = _added_tokens(folder, config, of_library, is_plain)
    found = (one for one in tokens if not (splits_special and one.special))
    added = tuple(sorted(found, key=lambda token: token.id))
    segments, round_robin = _has_types(config, class_name, config_path), config.get(_PAIRS) == _ROUND_ROBIN
    if is_plain:
        rules = _rules_of_library(of_library, os.path.join(folder, TOKENIZER_JSON))
        return dataclasses.replace(rules, added=added, segments=segments, round_robin=round_robin)
    return Rules(
        lower_case=_switch(config, "do_lower_case", True, config_path),
        max_chars_per_word=_LIBRARY_LIMIT,
        library=True,
        strip_accents=_switch(config, "strip_accents", None, config_path),
        split_chinese=_switch(config, "tokenize_chinese_chars", True, config_path),
        added=added,
        segments=segments,
        round_robin=round_robin,
    )


def rules_of_vocab(vocab_file: str, do_lower_case: bool | None) -> Rules:
    """How text becomes tokens where a vocabulary is named and no model: by the files beside `vocab.txt`.

    Where these say nothing, by the user's `do_lower_case`, or by the vocabulary. Raises InputError where the user
    contradicts the files, and as `read_rules`.
    """
    folder, name = os.path.split(vocab_file)
    is_of_model = name in (VOCAB_FILE, TOKENIZER_JSON)
    rules, vocab = read_rules(folder) if is_of_model else None, read_vocab(vocab_file)
    if rules is None:
        rules = Rules(lower_cases(do_lower_case, vocab))
    elif do_lower_case not in (None, rules.lower_case):
        raise InputError(
            f"`--do_lower_case={str(do_lower_case).lower()}`, but the files beside `{vocab_file}` say"
            f" {str(rules.lower_case).lower()}",
            "leave the flag out",
        )
    if not is_of_model or not is_config(_object(os.path.join(folder, _MODEL_FILE))):
        return rules
    has_google = is_file(os.path.join(folder, CONFIG_FILE)) and not is_file(os.path.join(folder, OUR_FILE))
    return rules if has_google else as_library(rules, vocab)


def as_library(rules: Rules, vocab: Vocab) -> Rules:
    """The rules by which transformers splits text for a model with these: its own, and its special tokens."""
    if rules.library:
        return dataclasses.replace(rules, round_robin=False)
    found = sorted((vocab.ids[token], token) for token in _SPECIAL.values() if token in vocab.ids)
    added = tuple(AddedToken(id_, token, normalized=False, special=True) for id_, token in found)
    return Rules(rules.lower_case, _LIBRARY_LIMIT, library=True, added=added)


def tokenizer_texts(vocab_file: str | None, rules: Rules | None, max_seq_length: int | None = None) -> dict[str, str]:
    """The files of a model folder that say how text becomes tokens, as far as it is known: name -> content.

    `max_seq_length` is the longest sequence in tokens, where that is not what the model has positions for. Casing is
    stored as transformers stores it, because a vocabulary does not always tell it.

    Raises InputError for rules that only a `tokenizer.json` says, where there is no vocabulary to write into it.
    """
    texts = {}
    if vocab_file is not None:
        is_json = vocab_file.endswith(".json")
        texts[VOCAB_FILE] = (
            "".join(f"{t}\n" for t in read_vocab(vocab_file).tokens) if is_json else read_text(vocab_file)
        )
    if rules is None:
        return texts
    config = tokenizer_config(rules) | ({"model_max_length": max_seq_length} if max_seq_length else {})
    if config.get("tokenizer_class") in _PLAIN_CLASSES:
        if vocab_file is None:
            raise InputError("the tokenizer of the model is not written without a vocabulary", "give `--vocab_file`")
        texts[TOKENIZER_JSON] = library_json(read_vocab(vocab_file), rules) + "\n"
    return texts | {TOKENIZER_FILE: json.dumps(config, indent=2, ensure_ascii=False) + "\n"}


def write_tokenizer(folder: str, rules: Rules, max_seq_length: int) -> None:
    """Write what transformers reads for a tokenizer with these rules, beside the `vocab.txt` that is there."""
    vocab_file = os.path.join(folder, VOCAB_FILE)
    rules = as_library(rules, read_vocab(vocab_file))
    for name, text in tokenizer_texts(vocab_file, rules, max_seq_length).items():
        write_text(os.path.join(folder, name), text)


def tokenizer_config(rules: Rules) -> dict[str, Any]:
    """The content of `tokenizer_config.json`; for Google's rules only the casing."""
    if not rules.library:
        return {"do_lower_case": rules.lower_case}
    is_known = rules.clean_text and rules.max_chars_per_word == _LIBRARY_LIMIT  # to `BertTokenizer`
    inputs = ["input_ids", *([_TYPES] if rules.segments else []), "attention_mask"]
    added = {token.id: {name: getattr(token, name) for name in _TOKEN_FIELDS} for token in rules.added}
    return {
        "tokenizer_class": _BERT_CLASSES[0] if is_known else _PLAIN_CLASSES[0],
        "do_lower_case": rules.lower_case,
        "strip_accents": rules.strip_accents,
        "tokenize_chinese_chars": rules.split_chinese,
        **_SPECIAL,
        **({} if any(token.special for token in rules.added) else {"split_special_tokens": True}),
        **({} if is_known and rules.segments else {_INPUTS: inputs}),
        **({_PAIRS: _ROUND_ROBIN} if rules.round_robin else {}),
        "added_tokens_decoder": {str(id_): token for id_, token in added.items()},
    }


def _object(path: str) -> dict[str, Any]:
    return read_json_object(path, "what transformers writes for a tokenizer") if is_file(path) else {}


def _switch(content: Mapping[str, Any], key: str, default: Any, path: str) -> Any:
    """True or false; the default where there is none."""
    value = content.get(key)
    if value is None:
        return default
    if type(value) is not bool:
        raise InputError(f"`{path}`: `{key}` is `{json.dumps(value)[:100]}`", "expected true, false or null")
    return value


def _part(content: Mapping[str, Any], key: str, kinds: type | tuple[type, ...], path: str) -> Any:
    """A part of a file, of one of these kinds; an empty one where there is none."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    value = content.get(key)
    if value is None:
        return kinds[0]()
    if not isinstance(value, kinds):
        raise InputError(f"`{path}`: `{key}` is `{json.dumps(value)[:100]}`", "write the tokenizer again")
    return value


def _has_types(config: Mapping[str, Any], class_name: str, path: str) -> bool:
    """Whether the tokenizer gives types of tokens: as the file lists its outputs, or else by its class."""
    names = config.get(_INPUTS)
    if names is None:
        return class_name in _CLASSES_WITH_TYPES
    if not isinstance(names, list) or "input_ids" not in names:
        raise InputError(f"`{path}`: `{_INPUTS}` is `{json.dumps(names)[:100]}`", "expected a list with `input_ids`")
    return _TYPES in names


def _check_special_tokens(config: Mapping[str, Any], path: str) -> None:
    """`[CLS]` and the like must be called so, as in every BERT."""
    for key, expected in _SPECIAL.items():
        found = config.get(key)
        content = found.get("content") if isinstance(found, dict) else found
        if content not in (None, expected):
            raise InputError(f"`{path}`: `{key}` is `{content}`, expected `{expected}`", "give a model of BERT")


def _check_truncation(config: Mapping[str, Any], of_library: Mapping[str, Any], folder: str) -> None:
    """Texts that are too long must lose their end; `tokenizer.json` counts where `tokenizer_config.json` is silent."""
    cut = _part(of_library, "truncation", dict, os.path.join(folder, TOKENIZER_JSON))
    file, key, side = TOKENIZER_FILE, "truncation_side", config.get("truncation_side")
    if side is None:
        file, key, side = TOKENIZER_JSON, "truncation.direction", cut.get("direction", "Right")
    if side not in ("right", "Right"):
        raise InputError(
            f"`{os.path.join(folder, file)}`: `{key}` is `{side}`",
            "texts that are too long are cut at their end here: shorten them, and remove the key",
        )


def _tokens_of_library(of_library: Mapping[str, Any], path: str) -> list[AddedToken]:
    """The added tokens in the content of a `tokenizer.json`."""
    return [_added_token(one, path) for one in _part(of_library, "added_tokens", list, path) if _is_object(one, path)]


def _added_tokens(
    folder: str, config: dict[str, Any], of_library: Mapping[str, Any], is_plain: bool
) -> Iterator[AddedToken]:
    """The added tokens: those that a file lists with their ids, then the special ones that are only named."""
    path, json_path = os.path.join(folder, TOKENIZER_FILE), os.path.join(folder, TOKENIZER_JSON)
    found: dict[int, AddedToken] = {}
    if isinstance(decoder := config.get("added_tokens_decoder"), dict):
        objects = ({"id": id_, **token} for id_, token in decoder.items() if _is_object(token, path))
        by_content = {token.content: token for token in (_added_token(one, path) for one in objects)}
        if is_plain:
            by_content |= {token.content: token for token in _tokens_of_library(of_library, json_path)}
        found = {token.id: token for token in by_content.values()}
    else:
        of_map = _object(os.path.join(folder, _SPECIAL_TOKENS))
        # transformers 5 does not know the map's `additional_special_tokens` yet when it reads `added_tokens.json`
        known = config | {key: value for key, value in of_map.items() if key != "additional_special_tokens"}
        special, config = {token.content for token in _named_special(known, path)}, config | of_map
        added_path = os.path.join(folder, _ADDED_TOKENS)
        for content, id_ in _object(added_path).items():
            is_special = content in special
            token = {"id": id_, "content": content, "special": is_special, "normalized": not is_special}
            added = _added_token(token, added_path)
            found[added.id] = added
        found |= {token.id: token for token in _tokens_of_library(of_library, json_path)}
    yield from found.values()
    contents = {token.content for token in found.values()}
    named = [token for token in _named_special(config, path) if token.content not in contents]
    vocab_file = next(
        (path for name in (VOCAB_FILE, TOKENIZER_JSON) if is_file(path := os.path.join(folder, name))), ""
    )
    if not named or not vocab_file:
        return
    vocab = read_vocab(vocab_file)
    behind = itertools.count(max(len(vocab), *(id_ + 1 for id_ in found), 0))
    for added in named:
        id_ = vocab.ids[added.content] if added.content in vocab.ids else next(behind)
        yield dataclasses.replace(added, id=id_)


def _named_special(config: Mapping[str, Any], path: str) -> list[AddedToken]:
    """The special tokens that are named, each once, without their ids: `[CLS]` and the like, and a model's own."""
    keys = ("extra_special_tokens", "additional_special_tokens")
    extra, additional = (_part(config, key, (list, dict), path) for key in keys)
    by_name = extra if isinstance(extra, dict) else {}
    several = additional if by_name or not extra else extra  # a list takes the place of the older key
    single = {**_SPECIAL, **{key: value for key, value in config.items() if key.endswith("_token") and value}}
    named = [*single.values(), *by_name.values(), *(several.values() if isinstance(several, dict) else several)]
    tokens = (
        _added_token({**(one if isinstance(one, dict) else {"content": one}), "id": 0, "special": True}, path)
        for one in named
        if not isinstance(one, bool)  # `add_bos_token` is a switch
    )
    return list({token.content: token for token in reversed(list(tokens))}.values())[::-1]


def _is_object(token: object, path: str) -> bool:
    if not isinstance(token, dict):
        raise InputError(f"`{path}`: an added token is `{json.dumps(token)[:100]}`", "expected an object")
    return True


def _added_token(token: Mapping[str, Any], path: str) -> AddedToken:
    try:
        id_, content = int(token["id"]), token["content"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"`{path}`: an added token is `{json.dumps(token)[:100]}`", "expected id and content"
        ) from error
    if not isinstance(content, str) or not content or not 0 <= id_ < 1 << 24:
        raise InputError(f"`{path}`: an added token is `{json.dumps(token)[:100]}`", "expected id and content")
    flags = {name: bool(token[name]) for name in _TOKEN_FIELDS if name in token and name != "content"}
    if "normalized" not in flags:
        flags["normalized"] = not flags.get("special", False)
    return AddedToken(id_, content, **flags)


def _rules_of_library(content: Mapping[str, Any], path: str) -> Rules:
    """The rules that `tokenizer.json` spells out; anything but those of BERT is refused by name."""
    if not content:
        raise InputError(
            f"`{path}` is missing, by which this class of tokenizer splits text", "copy it beside the model"
        )
    parts = ("normalizer", "pre_tokenizer", "post_processor", "model")
    normalizer, splitter, processor, model = (_part(content, key, dict, path) for key in parts)
    longest = model.get("max_input_chars_per_word", _LIBRARY_LIMIT)
    for part, found, expected in (
        ("normalizer", normalizer.get("type"), "BertNormalizer"),
        ("pre_tokenizer", splitter.get("type"), "BertPreTokenizer"),
        ("model", model.get("type", "WordPiece"), "WordPiece"),
        ("continuing_subword_prefix", model.get("continuing_subword_prefix", "##"), "##"),
        ("unk_token", model.get("unk_token"), UNK),
    ):
        if found != expected:
            raise InputError(f"`{path}`: its {part} is `{found}`, expected `{expected}`", "give a model of BERT")
    if type(longest) is not int:
        raise InputError(f"`{path}`: `max_input_chars_per_word` is `{json.dumps(longest)[:100]}`", "expected a number")
    _check_frame(processor, path)
    return Rules(
        lower_case=_switch(normalizer, "lowercase", True, path),
        max_chars_per_word=longest,
        library=True,
        strip_accents=_switch(normalizer, "strip_accents", None, path),
        split_chinese=_switch(normalizer, "handle_chinese_chars", True, path),
        clean_text=_switch(normalizer, "clean_text", True, path),
    )


def _check_frame(processor: Mapping[str, Any], path: str) -> None:
    """Texts must stand between `[CLS]` and `[SEP]`, the second one with type 1, as in every BERT."""
    found = processor.get("type")
    first, last = (_part(processor, key, list, path)[:1] for key in ("cls", "sep"))
    if found == "BertProcessing" and (first, last) == ([CLS], [SEP]):
        return
    text, pair = (_template(processor.get(key)) for key in ("single", "pair"))
    if found != "TemplateProcessing" or text != _FRAME[:3] or pair != _FRAME:
        raise InputError(
            f"`{path}`: its post_processor (`{found}`) does not put `{CLS}` and `{SEP}` around texts as in BERT",
            "save the tokenizer with the class `BertTokenizer`, which does",
        )


def _template(parts: Any) -> tuple[tuple[Any, Any], ...]:
    """Name and type of each part of a TemplateProcessing; none where it is not written so."""
    try:
        return tuple((part.get("id"), part.get("type_id")) for one in parts for part in one.values())
    except (AttributeError, TypeError):
        return ()
