# SPDX-License-Identifier: Apache-2.0
"""Say what a file or folder is: a model and everything in it, records, meta data, a vocabulary, a configuration."""

import math
import os
from collections.abc import Iterator, Mapping

from jaxbert.checkpoints import names
from jaxbert.checkpoints.contents import Contents, groups, sizes
from jaxbert.checkpoints.model_folder import VOCAB_FILE, has_model, models_of_run
from jaxbert.checkpoints.released import RELEASED
from jaxbert.checkpoints.resolve import Source, cache_folder, find_source
from jaxbert.checkpoints.state import saved_steps
from jaxbert.commands.inspect_data import describe_config, describe_data, listed_sizes
from jaxbert.commands.inspect_onnx import describe_onnx
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.models import InspectFlags
from jaxbert.errors import InputError
from jaxbert.export.onnx import MODEL_FILE
from jaxbert.io import files
from jaxbert.text.vocab import read_vocab

_STATES = "checkpoints"  # below the folder of a run


def run(flags: InspectFlags) -> None:
    """Print what is at `path`, line by line."""
    for line in _describe(flags):
        print(line)


def _describe(flags: InspectFlags) -> Iterator[str]:
    path = flags.path
    if files.is_file(path) and (lines := describe_onnx(path) or describe_data(path)):
        yield from lines
    elif files.is_file(onnx := os.path.join(path, MODEL_FILE)) and not has_model(path):
        yield from describe_onnx(onnx)
    elif files.is_folder(path) and (parts := _parts_of_run(path)):
        yield f"{path}: folder of a run of jaxbert, with {', '.join(parts)}"
    elif path in RELEASED and not files.exists(cache_folder(path)) and not files.exists(path):
        yield from _describe_released(path)
    else:
        yield from _describe_model(flags, find_source(path))


def _parts_of_run(folder: str) -> list[str]:
    """What stands in a `--model_dir`; empty for other folders."""
    parts = [f"model `{name}`" for name in models_of_run(folder)]
    if steps := saved_steps(os.path.join(folder, _STATES)) or saved_steps(folder):
        parts.append(f"training states after steps {', '.join(map(str, steps))}")
    return parts


def _describe_released(name: str) -> Iterator[str]:
    model = RELEASED[name]
    yield f"{name}: a released model that is not on this machine"
    yield f"sizes           {listed_sizes(model.config)}"
    yield f"text            {'lower-cased' if model.lower_case else 'keeps its case'}"
    yield from (f"download        {url}" for url in model.archives)
    if model.module:
        yield f"hub module      https://tfhub.dev/{model.module}/1"
    yield f"place           {cache_folder(name)}"


def _describe_model(flags: InspectFlags, model: Source) -> Iterator[str]:
    contents = model.contents
    kind = "SavedModel (hub module), " if model.kind == "SavedModel" else ""
    yield f"{model.path}: {kind}{contents.layout}"
    if names.WORD_EMBEDDINGS in contents.keys:
        yield from _describe_bert(flags, model, contents)
    else:
        yield "encoder         none: this is no BERT that can be used"
    yield from _describe_rest(contents)
    yield ""
    yield from _table(contents)


def _describe_bert(flags: InspectFlags, model: Source, contents: Contents) -> Iterator[str]:
    shown = _shown_sizes(contents)
    with_heads = contents.attention_heads is not None
    yield f"sizes           {listed_sizes(shown, with_heads) if shown else 'the encoder is not whole'}"
    yield f"heads           {', '.join(_heads(contents)) or 'none'}"
    if not set(names.POOLER) <= contents.keys.keys():
        yield "pooler          none"
    config = bert_config.read(flags.bert_config_file) if flags.bert_config_file else model.config
    if config is None:
        yield "configuration   none beside it: give `--bert_config_file` to use it"
    else:
        origin = flags.bert_config_file or ("the weights" if model.kind == "SavedModel" else "beside the weights")
        yield f"configuration   {origin}: {_fit(contents, config, shown)}"
    yield from _describe_vocabulary(flags, model, contents)


def _shown_sizes(contents: Contents) -> BertConfig | None:
    try:
        return sizes(contents, attention_heads=1)  # shown only where it is known
    except InputError:
        return None


def _heads(contents: Contents) -> Iterator[str]:
    for head, (weight, _) in (
        ("classifier", names.CLASSIFIER),
        ("SQuAD", names.SQUAD),
        ("next sentence", names.NEXT_SENTENCE),
    ):
        if weight in contents.shapes:
            outputs = contents.shapes[weight][0]
            yield f"{head} ({outputs} outputs)" if head == "classifier" else head
    if names.MASKED_LM_BIAS in contents.keys:
        yield "masked LM"
    if contents.undecided:
        yield "a dense one with 2 outputs, a classifier or SQuAD"


def _fit(contents: Contents, config: BertConfig, shown: BertConfig | None) -> str:
    """How a configuration and the weights agree."""
    if shown is None:
        return "cannot be compared, the encoder is not whole"
    keys = ["vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings"]
    keys += ["type_vocab_size"] + (["num_attention_heads"] if contents.attention_heads else [])
    other = [
        f"{key} is {getattr(config, key)}, the weights have {getattr(shown, key)}"
        for key in keys
        if getattr(config, key) != getattr(shown, key)
    ]
    return "does not fit: " + "; ".join(other) if other else f"fits; {describe_config(config)}"


def _describe_vocabulary(flags: InspectFlags, model: Source, contents: Contents) -> Iterator[str]:
    path = flags.vocab_file or model.beside(VOCAB_FILE)
    if path is None:
        yield "vocabulary      none beside it"
        return
    vocab, embeddings = read_vocab(path), contents.shapes[names.WORD_EMBEDDINGS][0]
    fits = "fits" if len(vocab) == embeddings else f"does not fit: the weights have {embeddings}"
    rule = model.lower_case
    lower_case = not vocab.is_cased if rule is None else rule
    case = "lower-cased" if lower_case else "keeps its case"
    yield f"vocabulary      {path}: {len(vocab)} tokens, {fits}; text {'' if rule is None else 'is said to be '}{case}"


def _describe_rest(contents: Contents) -> Iterator[str]:
    counts, others = groups(contents)
    values = sum(math.prod(shape) for shape in contents.shapes.values())
    found = f"{len(contents.keys)} weights of BERT with {values:,} values"
    yield f"tensors         {len(contents.tensors)}: {', '.join([found, *_counted(counts, contents)])}"
    undecided = set(contents.undecided or ())
    left = [key for key in others if key not in undecided]
    yield f"unaccounted     {', '.join(left) if left else 'none'}"


def _counted(counts: Mapping[str, int], contents: Contents) -> Iterator[str]:
    yield from (f"{count} {group}" for group, count in counts.items())
    if contents.copies:
        yield f"{len(contents.copies)} second copies"
    if contents.undecided:
        yield "2 of a head of unclear kind"


def _table(contents: Contents) -> Iterator[str]:
    """Every tensor: TF1 name, shape and type as stored, key; weights first, in the order of the network."""
    layers = len({names.layer_of(name) for name in contents.keys} - {None})
    order = [name for name in names.weight_names(layers) if name in contents.keys]
    order += [name for name in contents.keys if name not in set(order)]
    rows = [(name, contents.keys[name]) for name in order]
    used = {key for _, key in rows}
    rows += [("-", key) for key in sorted(contents.tensors) if key not in used]
    width = max((len(name) for name, _ in rows), default=0)
    for name, key in rows:
        tensor = contents.tensors[key]
        shape = str(list(tensor.shape))
        yield f"{name:{width}}  {shape:18}  {tensor.dtype:8}  {key if key != name else ''}".rstrip()
