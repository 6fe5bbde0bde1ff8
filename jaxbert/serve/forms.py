# SPDX-License-Identifier: Apache-2.0
"""The requests that clients of other servers send, as calls of ours, and our results in the forms that they read.

Pure functions from the JSON of a request to what it asks for. The forms are those of TensorFlow Serving's REST API,
OpenAI's embeddings, Hugging Face's text-embeddings-inference (TEI) and inference client, and two of our own.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jaxbert.errors import InputError
from jaxbert.library.model import Ability, Answer, Candidate, Ids, Model, Text
from jaxbert.predictions.tagging import Span
from jaxbert.tasks.classification import log_softmax

Call = Literal["logits", "embed", "encode", "tag", "answer", "fill"]
Json = Any
_IDS, _MASK, _TYPES = "input_word_ids", "input_mask", "input_type_ids"
_MOST_BEST = 100  # answers, or candidates, that may be asked for
_PATHS: dict[Ability, str] = {
    "embed": "/embed",
    "predict": "/predict",
    "tag": "/predict",
    "answer": "/answer",
    "fill": "/fill",
}


class RequestError(InputError):
    """A request that is not answered, with the HTTP status that says why."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        call: of the model; see `batching.compute`.
        items: a text, pair, or question with context, for each result.
        reply: (results, tokens) -> the JSON of the answer.
        options: of the call; requests with the same ones are computed together.
        truncate: whether texts that are too long are cut, or looked at by the model; None: as the server is set.
    """

    call: Call
    items: list[Any]
    reply: Callable[[Sequence[Any], int], Json]
    options: tuple[tuple[str, Any], ...] = ()
    truncate: bool | None = None


def openai_embeddings(body: Json, model: Model, name: str) -> Asked:
    """`POST /v1/embeddings`. Vectors have the length 1, as OpenAI's have."""
    fields = _fields(body, "input", "model", "encoding_format", "dimensions", "user")
    texts = _texts(fields, "input")
    encoding = fields.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise InputError(f"`encoding_format` is `{encoding}`", "expected `float` or `base64`")
    hidden = model.config.hidden_size
    if fields.get("dimensions") not in (None, hidden):
        raise InputError(f"`dimensions` is `{fields['dimensions']}`", f"the model gives {hidden}; leave it out")

    def reply(vectors: Sequence[np.ndarray], tokens: int) -> Json:
        data = [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if encoding == "base64" else vector}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": name, "usage": usage}

    return Asked("embed", texts, reply, (("normalize", True),))


def tei_embed(body: Json, model: Model) -> Asked:
    """TEI's `POST /embed`: a list of vectors, also for one text."""
    fields = _fields(body, "inputs", "normalize", "truncate", "truncation_direction", "prompt_name", "dimensions")
    _only_right(fields)
    if fields.get("prompt_name") is not None:
        raise InputError("`prompt_name` is not known here", "write the prompt in front of the text")
    if fields.get("dimensions") not in (None, model.config.hidden_size):
        raise InputError(f"`dimensions` is `{fields['dimensions']}`", "leave it out")
    normalize = _flag(fields, "normalize", True)
    return Asked("embed", _texts(fields, "inputs"), _same, (("normalize", normalize),), _truncate(fields))


def tei_predict(body: Json, model: Model) -> Asked:
    """TEI's `POST /predict`, and text classification of Hugging Face's client: scores of all classes, best first.

    A model for numbers gives its number, one for scores (`Model.is_score`) its sigmoid. `inputs` is a text, a pair
    `[first, second]`, or a list of `[text]` and pairs. Hugging Face's client, which sends `parameters`, looks for a
    list of lists also for one text. A model that tags words is asked as by `tag`.
    """
    if "tag" in model.abilities:
        return tag(body, model)
    _able(model, "predict")
    fields = _fields(body, "inputs", "raw_scores", "truncate", "truncation_direction", "parameters")
    _only_right(fields)
    parameters = _part(fields, "parameters", "top_k", "function_to_apply")
    inputs = fields.get("inputs")
    lists = inputs if isinstance(inputs, list) and inputs and isinstance(inputs[0], list) else None
    items = [_sequence(one) for one in lists or [inputs]]
    function = parameters.get("function_to_apply")
    if function not in (None, *_FUNCTIONS):
        hint = f"leave it out, or give {', '.join(f'`{name}`' for name in _FUNCTIONS)}"
        raise InputError(f"`function_to_apply` is `{str(function)[:60]}`", hint)
    raw = _flag(fields, "raw_scores", False)
    function = function or ("none" if raw else None)
    top = parameters.get("top_k")
    best = None if top is None else _number(parameters, "top_k", 1)

    def reply(logits: Sequence[np.ndarray], tokens: int) -> Json:
        rows = [_scores(model, row, function)[:best] for row in logits]
        return rows if lists or "parameters" in fields else rows[0]

    return Asked("logits", items, reply, (), _truncate(fields))


def tag(body: Json, model: Model) -> Asked:
    """Token classification of Hugging Face's client: the spans of a text of any length, or of each text of a list."""
    _able(model, "tag")
    inputs, known = _wrapped(body, "aggregation_strategy", "ignore_labels")
    if known.get("aggregation_strategy") not in (None, "first"):
        hint = "leave it out, or give `first`: a word has the tag of its first token"
        raise InputError(f"`aggregation_strategy` is `{str(known['aggregation_strategy'])[:60]}`", hint)
    if known.get("ignore_labels") not in (None, ["O"]):
        raise InputError(f"`ignore_labels` is `{str(known['ignore_labels'])[:60]}`", "leave it out")

    def reply(found: Sequence[Sequence[Span]], tokens: int) -> Json:
        rows = [
            [
                {"entity_group": s.label, "score": s.probability, "word": s.text, "start": s.start, "end": s.end}
                for s in spans
            ]
            for spans in found
        ]
        return rows if isinstance(inputs, list) else rows[0]

    return Asked("tag", _texts({"inputs": inputs}, "inputs"), reply)


def tei_similarity(body: Json, model: Model) -> Asked:
    """TEI's `POST /similarity`, and that of Hugging Face's client: cosines of a text's vector and those of others."""
    fields = _fields(body, "inputs", "parameters")
    inputs = _fields(fields.get("inputs"), "source_sentence", "sentences", what="`inputs`")
    parameters = _part(fields, "parameters", "truncate", "truncation_direction", "prompt_name")
    _only_right(parameters)
    texts = [_text(inputs, "source_sentence"), *_texts(inputs, "sentences")]

    def reply(vectors: Sequence[np.ndarray], tokens: int) -> Json:
        return np.stack(list(vectors[1:])) @ vectors[0]

    return Asked("embed", texts, reply, (("normalize", True),), _truncate(parameters))


def tei_rerank(body: Json, model: Model) -> Asked:
    """TEI's `POST /rerank`: how well each text fits the query, best first; for models of pairs that give one number."""
    fields = _fields(body, "query", "texts", "raw_scores", "return_text", "truncate", "truncation_direction")
    _only_right(fields)
    if "predict" not in model.abilities or model.classes:
        raise InputError("the model does not give one number for a pair of texts", has(model))
    query, texts = _text(fields, "query"), _texts(fields, "texts")
    raw, with_text = _flag(fields, "raw_scores", False), _flag(fields, "return_text", False)

    def reply(logits: Sequence[np.ndarray], tokens: int) -> Json:
        numbers = [float(row[0]) for row in logits]
        order = sorted(range(len(numbers)), key=lambda index: -numbers[index])
        return [
            {"index": index, "score": numbers[index] if raw else _logistic(numbers[index])}
            | ({"text": texts[index]} if with_text else {})
            for index in order
        ]

    return Asked("logits", [(query, text) for text in texts], reply, (), _truncate(fields))


def answer(body: Json, model: Model) -> Asked:
    """`POST /answer`: `{"question", "context"}`, with `n_best`, `max_answer_length` and `truncate` if wanted.

    In Hugging Face's form, with both in `inputs`, `answer`, `score`, `start` and `end`; a list of them for several;
    `handle_impossible_answer` says whether there may be none.
    """
    _able(model, "answer")
    theirs = isinstance(body, dict) and "inputs" in body
    if theirs:
        inputs, known = _wrapped(body, "top_k", "max_answer_len", "handle_impossible_answer", "truncate")
        fields = _fields(inputs, "question", "context", what="`inputs`")
    else:
        known = fields = _fields(body, "question", "context", "n_best", "max_answer_length", "truncate")
    n_best = _number(known, "top_k", 1) if theirs else _number(known, "n_best", 5)
    longest = _number(known, "max_answer_len" if theirs else "max_answer_length", 30)
    item = (_text(fields, "question"), _text(fields, "context"))

    def reply(found: Sequence[Sequence[Answer]], tokens: int) -> Json:
        (answers,) = found
        if theirs:  # whose empty answer begins and ends at 0
            rows = [
                {"answer": a.text, "score": a.probability, "start": max(a.start, 0), "end": max(a.end, 0)}
                for a in answers
            ]
            return rows[0] if n_best == 1 else rows
        return {
            "answers": [{"text": a.text, "start": a.start, "end": a.end, "probability": a.probability} for a in answers]
        }

    options: tuple[tuple[str, Any], ...] = (("n_best", n_best), ("max_answer_length", longest))
    if known.get("handle_impossible_answer") is not None:
        options += (("may_lack", _flag(known, "handle_impossible_answer", False)),)
    return Asked("answer", [item], reply, options, _truncate(known))


def fill(body: Json, model: Model) -> Asked:
    """`POST /fill`: `{"text": "... [MASK] ..."}`, with `top` if wanted; for each mask its candidates, best first.

    In Hugging Face's form, with the text in `inputs`, a list of `score`, `token`, `token_str` and `sequence`; `targets`
    are the tokens to choose from.
    """
    _able(model, "fill")
    theirs = isinstance(body, dict) and "inputs" in body
    options: tuple[tuple[str, Any], ...] = ()
    if theirs:
        text, parameters = _wrapped(body, "top_k", "targets")
        if parameters.get("targets") is not None:
            options = (("targets", tuple(_texts(parameters, "targets"))),)
        text, top = _text({"inputs": text}, "inputs"), _number(parameters, "top_k", 5)
    else:
        fields = _fields(body, "text", "top")
        text, top = _text(fields, "text"), _number(fields, "top", 5)
    if "[MASK]" not in text:
        raise InputError("the text has no `[MASK]`", "write `[MASK]` where a word is missing")

    def reply(found: Sequence[Sequence[Sequence[Candidate]]], tokens: int) -> Json:
        (masks,) = found
        if not theirs:
            return {"masks": [[{"token": c.token, "probability": c.probability} for c in one] for one in masks]}
        rows = [
            [
                {
                    "score": c.probability,
                    "token": model.token_ids[c.token],
                    "token_str": c.token,
                    "sequence": _filled(text, number, c.token),
                }
                for c in one
            ]
            for number, one in enumerate(masks)
        ]
        return rows[0] if len(rows) == 1 else rows

    return Asked("fill", [text], reply, (("top", top), *options), truncate=True)


def serving_predict(body: Json, model: Model) -> Asked:
    """TensorFlow Serving's `:predict`, rows (`instances`) or columns (`inputs`), of ids or of texts.

    The outputs are those that our exported SavedModel has: logits of a classifier, and of an encoder its vectors.
    """
    fields = _fields(body, "signature_name", "instances", "inputs")
    _only_default(fields)
    if ("instances" in fields) == ("inputs" in fields):
        raise InputError("`instances` or `inputs` must be given, one of them", "send rows as `instances`")
    by_rows = "instances" in fields
    items = _rows(fields["instances"]) if by_rows else _columns(fields["inputs"])
    call: Call = "logits" if "predict" in model.abilities else "encode"
    if call == "encode" and {"answer", "tag"} & set(model.abilities):
        raise InputError("`:predict` is of classifiers and encoders, and the model is neither", has(model))

    def reply(results: Sequence[Any], tokens: int) -> Json:
        if call == "encode":
            rows = [{"pooled_output": one.pooled, "sequence_output": one.tokens} for one in results]
            if by_rows:
                return {"predictions": rows}
            return {"outputs": {name: [row[name] for row in rows] for name in rows[0]}}
        return {"predictions" if by_rows else "outputs": list(results)}

    return Asked(call, items, reply)


def serving_classify(body: Json, model: Model) -> Asked:
    """TensorFlow Serving's `:classify`: for each example a list of `[class, probability]`."""
    if "predict" not in model.abilities or not model.classes:
        raise InputError("the model does not give classes", has(model))

    def reply(logits: Sequence[np.ndarray], tokens: int) -> Json:
        found: Any = model.predictions(np.stack(list(logits)))
        return {"results": [[[name, share] for name, share in one.probabilities.items()] for one in found]}

    return Asked("logits", _examples(body), reply)


def serving_regress(body: Json, model: Model) -> Asked:
    """TensorFlow Serving's `:regress`: a number for each example."""
    if "predict" not in model.abilities or model.classes:
        raise InputError("the model does not give numbers", has(model))
    return Asked("logits", _examples(body), lambda logits, tokens: {"results": [row[0] for row in logits]})


def _able(model: Model, ability: Ability) -> None:
    """Refuse what the model has no weights for, before its files are searched for them."""
    if ability not in model.abilities:
        raise InputError(f"the model has no weights for `{ability}`", has(model))


def has(model: Model) -> str:
    """A hint: what can be asked."""
    return f"it has {', '.join(f'`{_PATHS[ability]}`' for ability in model.abilities)}"


def _examples(body: Json) -> list[Text]:
    fields = _fields(body, "signature_name", "examples", "context")
    if fields.get("context") not in (None, {}):
        raise InputError("`context` is not known here", "give each example its own features")
    _only_default(fields)
    return _rows(fields.get("examples"))


def _only_default(fields: Mapping[str, Json]) -> None:
    if fields.get("signature_name", "serving_default") != "serving_default":
        raise InputError(f"`signature_name` is `{fields['signature_name']}`", "leave it out, or give `serving_default`")


def _rows(rows: Json) -> list[Text]:
    """The texts of rows: each a text, or an object with `text_a` (or `text`) and `text_b`, or with ids."""
    if not isinstance(rows, list) or not rows:
        raise InputError("there are no rows", "send a list of texts, or of objects with `text` or `input_word_ids`")
    return [_row(row) for row in rows]


def _columns(columns: Json) -> list[Text]:
    """The same in columns: a list of texts, or an object of lists."""
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, list):
        return _rows(columns)
    if not isinstance(columns, dict) or not columns or not all(isinstance(one, list) for one in columns.values()):
        raise InputError("`inputs` is no object of lists", "send a list for each input")
    sizes = {len(column) for column in columns.values()}
    if len(sizes) != 1 or not sizes.pop():
        raise InputError("the lists in `inputs` are empty, or not of one length", "give each input as many rows")
    return [_row(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _row(row: Json) -> Text:
    if isinstance(row, str):
        return row
    if isinstance(row, dict) and _IDS in row:
        return _ids(row)
    fields = _fields(row, "text", "text_a", "text_b", what="a row")
    first = _text(fields, "text" if "text" in fields else "text_a")
    return first if fields.get("text_b") is None else (first, _text(fields, "text_b"))


def _ids(row: Mapping[str, Json]) -> Ids:
    fields = _fields(row, _IDS, _MASK, _TYPES, what="a row")
    ids = _integers(fields, _IDS)
    mask = _integers(fields, _MASK) if _MASK in fields else [1] * len(ids)
    types = _integers(fields, _TYPES) if _TYPES in fields else [0] * len(ids)
    size = sum(mask)
    if not len(ids) == len(mask) == len(types) or not size or mask != [1] * size + [0] * (len(mask) - size):
        raise InputError(
            f"`{_MASK}`, `{_IDS}` and `{_TYPES}` of a row do not fit together",
            "expected lists of one length, and a mask of ones, then zeros",
        )
    return Ids(tuple(ids[:size]), tuple(types[:size]))


def _integers(fields: Mapping[str, Json], name: str) -> list[int]:
    values = fields[name]
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < 1 << 31 for value in values):
        raise InputError(f"`{name}` is no list of whole numbers", "send one list for each text")
    return values


def _fields(body: Json, *known: str, what: str = "the request") -> dict[str, Any]:
    """The body as an object; a name that is not known would be half used."""
    if not isinstance(body, dict):
        raise InputError(f"{what} is no JSON object", f"it has {', '.join(known)}")
    unknown = [name for name in body if name not in known]
    if unknown:
        raise InputError(f"{what} has `{unknown[0][:60]}`, which is not known", f"it has {', '.join(known)}")
    return body


def _part(fields: Mapping[str, Json], name: str, *known: str) -> dict[str, Any]:
    """An object in the body; it may be left out."""
    return {} if fields.get(name) is None else _fields(fields[name], *known, what=f"`{name}`")


def _wrapped(body: Mapping[str, Json], *known: str) -> tuple[Json, dict[str, Any]]:
    """What Hugging Face's clients send: `inputs`, and `parameters` of these names; `options` are for their server."""
    fields = _fields(body, "inputs", "parameters", "options")
    _part(fields, "options", "use_cache", "use_gpu", "wait_for_model")
    return fields.get("inputs"), _part(fields, "parameters", *known)


def _text(fields: Mapping[str, Json], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InputError(f"`{name}` is {'missing' if value is None else 'no text'}", f"send `{name}` as a string")
    return value


def _texts(fields: Mapping[str, Json], name: str) -> list[Any]:
    value = fields.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        hint = "send texts; ids of another tokenizer would mean other words" if name == "input" else "send texts"
        raise InputError(f"`{name}` is neither a text nor a list of texts", hint)
    return texts


def _sequence(value: Json) -> Text:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) in (1, 2) and all(isinstance(part, str) for part in value):
        return value[0] if len(value) == 1 else (value[0], value[1])
    raise InputError("`inputs` is no text, pair or list of them", "send `text`, `[first, second]`, or `[[text], ...]`")


def _flag(fields: Mapping[str, Json], name: str, default: bool) -> bool:
    value = fields.get(name, default)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"`{name}` is not true or false", "give true or false, or leave it out")
    return default if value is None else value


def _truncate(fields: Mapping[str, Json]) -> bool | None:
    return None if fields.get("truncate") is None else _flag(fields, "truncate", False)


def _only_right(fields: Mapping[str, Json]) -> None:
    direction = fields.get("truncation_direction")
    if direction is not None and str(direction).lower() != "right":
        raise InputError("`truncation_direction` is not `Right`", "texts are cut at their end; leave it out")


def _number(fields: Mapping[str, Json], name: str, default: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if type(value) is not int or not 1 <= value <= _MOST_BEST:
        raise InputError(f"`{name}` is no whole number from 1 to {_MOST_BEST}", f"leave it out for {default}")
    return value


def _scores(model: Model, logits: np.ndarray, function: str | None) -> list[dict[str, Any]]:
    """Of each class, best first; by a function of `_FUNCTIONS`, or else the one that is the model's own."""
    if function is None and model.classes:
        (found,) = model.predictions(logits[None])
        shares = found.probabilities
    else:
        function = function or ("sigmoid" if model.is_score else "none")
        shares = dict(zip(model.classes or ("LABEL_0",), _FUNCTIONS[function](logits), strict=True))
    return [{"label": name, "score": shares[name]} for name in sorted(shares, key=lambda name: -shares[name])]


def _same(results: Sequence[Any], tokens: int) -> Json:
    return list(results)


def _base64(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _logistic(number: float) -> float:
    return 1 / (1 + math.exp(-number)) if number > 0 else math.exp(number) / (1 + math.exp(number))


_FUNCTIONS: Mapping[str, Callable[[np.ndarray], list[float]]] = {
    "softmax": lambda logits: np.exp(log_softmax(logits.astype(np.float64))).tolist(),
    "sigmoid": lambda logits: [_logistic(number) for number in logits.tolist()],
    "none": np.ndarray.tolist,
}
"""What pipelines of transformers make of logits [C]."""


def _filled(text: str, number: int, token: str) -> str:
    """The text with a token in place of one of its masks."""
    parts = text.split("[MASK]")
    first, rest = "[MASK]".join(parts[: number + 1]), "[MASK]".join(parts[number + 1 :])
    return first.rstrip() + token[2:] + rest if token.startswith("##") else first + token + rest
