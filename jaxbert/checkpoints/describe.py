# SPDX-License-Identifier: Apache-2.0
"""What a model is: its format, sizes and heads, what fits it, and every tensor; no value is read."""

import math
from collections.abc import Iterator

from jaxbert.checkpoints import huggingface, names
from jaxbert.checkpoints.contents import Contents, groups, sizes, unaccounted
from jaxbert.checkpoints.fetch import cache_folder
from jaxbert.checkpoints.model_folder import models_of_run, saved_steps, states_folder
from jaxbert.checkpoints.released import RELEASED
from jaxbert.checkpoints.resolve import Source, find_source, read_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.console import counted
from jaxbert.datasets.describe import json_object
from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.text.tokenizer import Rules, Tokenizer
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.metadata import MetaData, MultipleChoiceMetaData, SquadMetaData, TaggingMetaData

_SHOWN = 20  # added tokens that are listed


def describe_run(path: str) -> list[str]:
    """What is in the folder of a run (`--model_dir`); no lines for anything else."""
    if not files.is_folder(path):
        return []
    parts = [f"model `{name}`" for name in models_of_run(path)]
    if steps := saved_steps(states_folder(path)) or saved_steps(path):
        parts.append(f"training states after steps {', '.join(map(str, steps))}")
    return [f"{path}: folder of a run of jaxbert, with {', '.join(parts)}"] if parts else []


def describe_released(name: str) -> list[str]:
    """The model of this name and where to get it; no lines where it is no released one, or is on this machine."""
    if name not in RELEASED or files.exists(cache_folder(name)) or files.exists(name):
        return []
    model = RELEASED[name]
    return [
        f"{name}: a released model that is not on this machine",
        f"sizes           {_listed_sizes(model.config)}",
        f"text            {'lower-cased' if model.lower_case else 'keeps its casing'}",
        *([f"fetched from    https://huggingface.co/{model.repository} when it is used"] if model.repository else []),
        *(f"download        {url}" for url in model.archives),
        *([f"hub module      https://tfhub.dev/{model.module}/1"] if model.module else []),
        f"unpack into     {cache_folder(name)}",
    ]


def describe_configuration(path: str) -> list[str]:
    """What is in a `bert_config.json`, or a `config.json` of Hugging Face; no lines for any other file.

    Raises InputError where a setting is wrong.
    """
    content = json_object(path)
    if content is None or "hidden_size" not in content:
        return []
    config = read_config(path)
    return [
        f"{path}: {'config.json of Hugging Face' if huggingface.is_config(content) else 'bert_config.json'}",
        f"sizes           {_listed_sizes(config)}",
        f"rest            {_settings(config)}",
    ]


def describe_model(name: str, bert_config_file: str | None, vocab_file: str | None) -> Iterator[str]:
    """Everything about the model that `find_source` finds; the two files are compared with its weights.

    Without them the files that come with the model are. Raises InputError where there is no model, or a damaged one.
    """
    source = find_source(name)
    contents = source.contents
    kind = "SavedModel (hub module), " if source.kind == "SavedModel" else ""
    yield f"{source.path}: {kind}{contents.layout}"
    if names.WORD_EMBEDDINGS not in contents.keys:
        yield "encoder         none: this is no BERT that can be used"
    else:
        shown = _shown_sizes(contents)
        with_heads = contents.attention_heads is not None
        yield f"sizes           {_listed_sizes(shown, with_heads) if shown else 'the encoder is incomplete'}"
        yield f"heads           {', '.join(_heads(contents)) or 'none'}"
        if not set(names.POOLER) <= contents.keys.keys():
            yield "pooler          none"
        yield f"configuration   {_compared_configuration(source, shown, bert_config_file)}"
        yield f"vocabulary      {_compared_vocabulary(source, vocab_file)}"
        if source.rules is not None:
            yield f"tokenizer       {_told_rules(source.rules)}"
        if source.task is not None:
            yield f"trained for     {_told_task(source.task)}"
            if source.told_activation:
                yield f"outputs         as they are; sentence-transformers gives their {source.told_activation}"
        elif source.max_seq_length is not None:
            yield f"sequences       up to {source.max_seq_length} tokens"
        if source.pooling is not None:
            yield f"vector of text  {source.pooling}"
    yield from _counted(contents)
    yield ""
    yield from _table(contents)


def _listed_sizes(config: BertConfig, with_heads: bool = True) -> str:
    heads = f", {config.num_attention_heads} heads" if with_heads else ""
    return (
        f"{config.num_hidden_layers} layers, hidden {config.hidden_size}{heads}, intermediate"
        f" {config.intermediate_size}, vocabulary {config.vocab_size}, {config.max_position_embeddings} positions,"
        f" {config.type_vocab_size} token types"
    )


def _settings(config: BertConfig) -> str:
    """What a configuration says that weights do not show."""
    head = f", masked LM with {config.masked_lm_act}" if config.masked_lm_act else ""
    if config.masked_lm_layer_norm_eps:
        head += f", epsilon {config.masked_lm_layer_norm_eps:g} in the head of the masked LM"
    return (
        f"{config.hidden_act}, {config.num_attention_heads} heads,"
        f" dropout {config.hidden_dropout_prob:g} and {config.attention_probs_dropout_prob:g}{head}"
    )


def _shown_sizes(contents: Contents) -> BertConfig | None:
    try:
        return sizes(contents, attention_heads=1)  # listed only where they are known
    except InputError:
        return None


_HEADS = {
    names.CLASSIFIER[0]: "classifier ({})",
    names.SQUAD[0]: "SQuAD",
    names.TAGGER[0]: "tagger ({})",
    names.CHOICE[0]: "multiple choice",
    names.NEXT_SENTENCE[0]: "next sentence",
    names.MASKED_LM_BIAS: "masked LM",
}  # by a weight of each


def _heads(contents: Contents) -> Iterator[str]:
    shapes = contents.shapes
    yield from (text.format(counted(shapes[name][0], "output")) for name, text in _HEADS.items() if name in shapes)
    if contents.undecided:
        outputs = contents.tensors[contents.undecided.keys[0]].shape[-1]
        kinds = " or ".join(_HEADS[weights].partition(" (")[0] for weights, _ in contents.undecided.kinds)
        yield f"a dense one with {counted(outputs, 'output')}, {kinds}"


def _compared_configuration(source: Source, shown: BertConfig | None, bert_config_file: str | None) -> str:
    config = read_config(bert_config_file) if bert_config_file else source.config
    if config is None:
        return "none beside it: give `--bert_config_file` to use it"
    origin = bert_config_file or ("the weights" if source.kind == "SavedModel" else "beside the weights")
    if shown is None:
        return f"{origin}: cannot be compared, the encoder is incomplete"
    keys = ["vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "max_position_embeddings"]
    keys += ["type_vocab_size"] + (["num_attention_heads"] if source.contents.attention_heads else [])
    other = [
        f"{key} is {getattr(config, key)}, the weights have {getattr(shown, key)}"
        for key in keys
        if getattr(config, key) != getattr(shown, key)
    ]
    return f"{origin}: " + (f"does not fit: {'; '.join(other)}" if other else f"fits; {_settings(config)}")


def _compared_vocabulary(source: Source, vocab_file: str | None) -> str:
    path = vocab_file or source.vocab_file
    if path is None:
        return "none beside it"
    if vocab_file is None:
        try:
            source.check_vocabularies()
        except InputError as error:
            return f"unclear: {error.message}"
    rules, embeddings = source.rules, source.contents.shapes[names.WORD_EMBEDDINGS][0]
    vocab = Tokenizer(read_vocab(path), rules or Rules()).vocab
    fits = "fits"
    if len(vocab) > embeddings:
        fits = f"does not fit: the weights have {embeddings}"
    elif len(vocab) < embeddings:
        fits = f"fits, {counted(embeddings - len(vocab), 'row')} unused"
    lower_case = not vocab.is_cased if rules is None else rules.lower_case
    casing = "is lower-cased" if lower_case else "keeps its casing"
    return f"{path}: {len(vocab)} tokens, {fits}; text {casing}{', by its vocabulary' if rules is None else ''}"


def _told_rules(rules: Rules) -> str:
    """All that changes tokens, the vocabulary aside."""
    if not rules.library:
        return "Google's" + (", lower-cases" if rules.lower_case else ", keeps case")
    accents = rules.lower_case if rules.strip_accents is None else rules.strip_accents
    added = [f"`{token.content}`" for token in rules.added if not token.special]
    return ", ".join(
        (
            "that of transformers",
            "lower-cases" if rules.lower_case else "keeps case",
            f"{'drops' if accents else 'keeps'} accents",
            f"Chinese characters {'are words' if rules.split_chinese else 'are not cut apart'}",
            f"words up to {rules.max_chars_per_word} characters",
            *(() if rules.segments else ("no token types",)),
            f"{len(added)} added tokens{': ' if added else ''}{', '.join(added[:_SHOWN])}",
        )
    )


def _told_task(task: MetaData) -> str:
    """What goes in, and what comes out."""
    if isinstance(task, SquadMetaData):
        cut = task.settings
        return (
            f"answers to questions of up to {cut.max_query_length} tokens, in windows of up to {cut.max_seq_length}"
            f" tokens, {cut.doc_stride} apart{'; some have none' if task.version_2_with_negative else ''}"
        )
    if isinstance(task, TaggingMetaData):
        scheme = "plain tags" if task.scheme == "plain" else task.scheme.upper()
        return f"words of {task.context}s, in windows of up to {task.max_seq_length} tokens -> {task.kind} ({scheme})"
    if isinstance(task, MultipleChoiceMetaData):
        return f"questions, up to {task.max_seq_length} tokens with each choice -> {task.kind}"
    texts = {True: "pairs of texts", False: "single texts", None: "texts"}[task.pairs]
    name = f"{task.processor_type}: " if task.processor_type else ""
    told = f"{name}{texts} of up to {task.max_seq_length} tokens -> {task.kind}"
    if task.is_score:
        told += ", which other programs make a score from 0 to 1 by the sigmoid"
    if task.windows:
        told += f" (longer ones in windows, {task.windows.doc_stride} apart, by their {task.windows.pooling})"
    if task.thresholds:
        told += f", from the probabilities {', '.join(f'{share:g}' for share in task.thresholds)} on"
    return told


def _counted(contents: Contents) -> Iterator[str]:
    """How many tensors there are of each kind, and which are of none."""
    counts, _ = groups(contents)
    values = sum(math.prod(shape) for shape in contents.shapes.values())
    kinds = [f"{len(contents.keys)} weights of BERT with {values:,} values"]
    kinds += [f"{count} {group}" for group, count in counts.items()]
    if contents.copies:
        kinds.append(f"{len(contents.copies)} second copies")
    if contents.undecided:
        kinds.append("2 of a head of unclear kind")
    yield f"tensors         {len(contents.tensors)}: {', '.join(kinds)}"
    yield f"unaccounted     {', '.join(unaccounted(contents)) or 'none'}"


def _table(contents: Contents) -> Iterator[str]:
    """Every tensor: TF1 name, shape and type as stored, key; weights first, in the order of the network."""
    order = [name for name in names.weight_names(names.count_layers(contents.keys)) if name in contents.keys]
    order += [name for name in contents.keys if name not in set(order)]
    rows = [(name, contents.keys[name]) for name in order]
    used = {key for _, key in rows}
    rows += [("-", key) for key in sorted(contents.tensors) if key not in used]
    width = max((len(name) for name, _ in rows), default=0)
    for name, key in rows:
        tensor = contents.tensors[key]
        shape = str(list(tensor.shape))
        yield f"{name:{width}}  {shape:18}  {tensor.dtype:8}  {key if key != name else ''}".rstrip()


def tokenizer_of(checkpoint: str | None, vocab_file: str | None) -> Tokenizer | None:
    """The tokenizer of a model, with another vocabulary where one is given; None where neither is.

    Raises InputError where the model's vocabulary is not known.
    """
    source = find_source(checkpoint) if checkpoint else None
    path = vocab_file or (source.vocab_file if source else None)
    if path is None:
        if checkpoint:
            raise InputError(f"the vocabulary of `{checkpoint}` is not known", "give `--vocab_file`")
        return None
    if source and not vocab_file:
        source.check_vocabularies()
    vocab = read_vocab(path)
    rules = (source.rules if source else None) or Rules(lower_cases(None, vocab))
    return Tokenizer(vocab, source.rules_as_there(rules, vocab) if source else rules)
