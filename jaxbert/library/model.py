# SPDX-License-Identifier: Apache-2.0
"""What `import jaxbert` gives: a model that is loaded once, and asked for classes, answers, words and vectors.

model = jaxbert.load("out/best")
model.predict(["a text", ("first text", "second text")])
"""

import dataclasses
import functools
import itertools
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from jaxbert.batches.by_length import next_power_of_two
from jaxbert.batches.rows import Arrays
from jaxbert.checkpoints import resolve
from jaxbert.checkpoints.contents import unaccounted
from jaxbert.checkpoints.load import read_initial
from jaxbert.checkpoints.model_folder import models_of_run
from jaxbert.checkpoints.names import CHOICE, CLASSIFIER, MASKED_LM_BIAS, SQUAD
from jaxbert.config.bert_config import BertConfig
from jaxbert.console import counted, say
from jaxbert.datasets.in_memory import Sequences
from jaxbert.datasets.tagging import TaggedWindows
from jaxbert.errors import InputError
from jaxbert.examples.choices import ChoiceQuestion
from jaxbert.examples.squad import Paragraph, Question
from jaxbert.examples.tag_schemes import types_of
from jaxbert.examples.tagged import Sentence
from jaxbert.examples.text_examples import TextExample
from jaxbert.features import choices as choice_features
from jaxbert.features.classification import TextWindows, convert
from jaxbert.features.counts import TextCounts
from jaxbert.features.squad import WindowedQuestion, ask, text_counts, window_arrays
from jaxbert.library import arguments
from jaxbert.library.programs import BEST_POSITIONS, Programs
from jaxbert.model.weights import Tree
from jaxbert.predictions.squad import NO_CANDIDATES, AnswerSettings, AnswerTexts, Candidates, predict
from jaxbert.predictions.squad import Prediction as Found
from jaxbert.predictions.tagging import Span
from jaxbert.tasks.classification import log_softmax, logistic, thresholds
from jaxbert.tasks.spans import SETTINGS, kept_threshold
from jaxbert.tasks.tagging import tags_and_spans
from jaxbert.text.normalize import word_places
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.tfrecord.metadata import (
    ClassificationMetaData,
    MetaData,
    MultipleChoiceMetaData,
    SquadMetaData,
    TaggingMetaData,
)
from jaxbert.train import devices


@dataclasses.dataclass(frozen=True, slots=True)
class Ids:
    """A text, or a pair, that is tokenized already: ids with special tokens, and 0 or 1 for first and second text."""

    input_ids: tuple[int, ...]
    type_ids: tuple[int, ...]


Text = str | tuple[str, str] | Ids
"""A text, a pair of texts, or ids that another tokenizer made."""
Pooling = Literal["cls", "pooler", "mean", "max", "tokens"]
Dtype = Literal["fp32", "bf16", "fp16", "auto"]
Ability = Literal["embed", "predict", "answer", "fill", "tag"]

_CHUNK = 1024  # texts that are packed together
_SHOWN = 6  # tensors that are named
_ASKED = "give a list of questions, each with its context: `[(question, context), ...]`; `answer` takes one"
_ASK: Mapping[type[MetaData], str] = {
    ClassificationMetaData: "`predict`",
    SquadMetaData: "`answer`, or use `run_squad`",
    TaggingMetaData: "`predict`",
    MultipleChoiceMetaData: "`choose`, or use `run_multiple_choice`",
}
_ASK_OF_HEADS = {SQUAD[0]: "answer", CHOICE[0]: "choose", MASKED_LM_BIAS: "fill"}


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of a text.

    Attributes:
        label: the class; with several labels at once all that reach their thresholds.
        probabilities: of each class, in the order of the model.
    """

    label: str | tuple[str, ...]
    probabilities: dict[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer, which is a part of the context.

    Attributes:
        text: its characters; "" for no answer.
        start: its first character in the context, `context[start:end] == text`; -1 for no answer.
        end: the character after its last one; -1 for no answer.
        probability: among all answers that were considered.
    """

    text: str
    start: int
    end: int
    probability: float


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A token for a mask, with its probability."""

    token: str
    probability: float


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The choice that answers a question.

    Attributes:
        number: its place among the choices, from 0.
        text: the choice.
        probabilities: of each choice, in their order.
    """

    number: int
    text: str
    probabilities: tuple[float, ...]


def load(
    model: str | os.PathLike[str],
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
    max_seq_length: int | None = None,
    dtype: Dtype = "fp32",
    compile_cache: str = "~/.cache/jaxbert",
) -> "Model":
    """The model at a path, or of a name, that the commands take as `--init_checkpoint`.

    Weights go to the devices, and programs are compiled, when they are first needed. Where no program of jax ran
    before, calls on a CPU return when they are done from here on, those of others in this process too.

    Args:
        model: the folder of a run, of which the best model is taken, or else the last; a checkpoint of TensorFlow 1 or
            2, a hub module, a folder of Hugging Face or ours, a released name.
        bert_config_file: its sizes, where its folder does not say them.
        vocab_file: its vocabulary, where its folder has none.
        do_lower_case: whether its text is lower-cased, where its files do not say it.
        max_seq_length: the longest sequence in tokens; longer texts are cut, and contexts read in windows of that
            length; by default as the model says.
        dtype: of matmuls and activations; `auto` is bf16 where the device is faster in it, else fp32.
        compile_cache: folder where compiled programs are kept; "" for nowhere.

    Raises:
        InputError: there is no such model; what is given contradicts what it says.
    """
    path = arguments.path("model", model)
    compile_cache = arguments.path("compile_cache", compile_cache)
    arguments.one_of("dtype", dtype, get_args(Dtype))
    arguments.switch("do_lower_case", do_lower_case)
    if max_seq_length is not None:
        max_seq_length = arguments.whole_number("max_seq_length", max_seq_length)
    devices.prepare(compile_cache)
    if of_run := models_of_run(path):
        path = os.path.join(path, of_run[0])
    found = resolve.find_model(
        path, bert_config_file=bert_config_file, vocab_file=vocab_file, do_lower_case=do_lower_case
    )
    positions = found.config.max_position_embeddings
    if max_seq_length is not None and not 4 <= max_seq_length <= positions:
        raise InputError(f"`max_seq_length` is {max_seq_length}", f"expected 4 to {positions}, the model's positions")
    return Model(found.for_text(), max_seq_length, devices.fastest(dtype))


class TextsCutWarning(UserWarning):
    """Texts are longer than the model's longest sequence, or question, and lose their end."""


class TextTooLongError(InputError):
    """A text that is longer than the model reads, and that is not cut."""


class Model:
    """A model that was loaded; its methods may be called from several threads, and wait for each other.

    Attributes:
        max_seq_length: the longest sequence in tokens, special ones included; longer texts are cut.
        max_query_length: the longest question in tokens, special ones aside; longer ones are cut.
        counts: what became of all texts so far: how many were cut, how many of their tokens are `[UNK]`.
    """

    def __init__(self, model: resolve.Model, max_seq_length: int | None, dtype: str) -> None:
        assert model.source is not None  # it was named
        assert model.rules is not None  # `for_text`
        self._model, self._source = model, model.source
        if unused := unaccounted(self._source.contents):
            more = f" and {len(unused) - _SHOWN} more" if len(unused) > _SHOWN else ""
            say(f"note: not used of `{self._source.path}`: {', '.join(unused[:_SHOWN])}{more}")
        self._tokenizer = Tokenizer(model.vocab, model.rules)
        self._task = model.task if isinstance(model.task, ClassificationMetaData) else None
        self._squad = model.task if isinstance(model.task, SquadMetaData) else None
        self._tags = model.task if isinstance(model.task, TaggingMetaData) else None
        self._choice = model.task if isinstance(model.task, MultipleChoiceMetaData) else None
        trained = self._task or self._tags or self._choice
        said = trained.max_seq_length if trained else self._source.max_seq_length
        positions = model.config.max_position_embeddings
        self.max_seq_length = max_seq_length or min(said or SETTINGS.max_seq_length, positions)
        windows = self._squad.settings if self._squad else SETTINGS
        self._windows = dataclasses.replace(
            windows, max_seq_length=max_seq_length or min(windows.max_seq_length, self.max_seq_length)
        )
        self.max_query_length = self._windows.max_query_length
        of_classes = self._task or self._tags
        classes = of_classes.class_names if of_classes else ()
        self._programs = Programs(self._source, model.config, len(classes) or 1, dtype)
        self.counts = TextCounts()

    def __repr__(self) -> str:
        return f"<jaxbert.Model `{self._source.path}`: {', '.join(self.abilities)}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that `predict` gives, of spans too; empty where it gives numbers, or nothing."""
        if self._tags is not None:
            return tuple(sorted(types_of(self._tags.label_list, self._tags.scheme)))
        return self._task.class_names if self._task else ()

    @property
    def config(self) -> BertConfig:
        """Its sizes."""
        return self._model.config

    @property
    def task(self) -> MetaData | None:
        """What it was trained for, as its files say."""
        return self._model.task

    @property
    def is_score(self) -> bool:
        """Whether it gives one number that other programs make a probability by a sigmoid; `predict` does not."""
        return self._task is not None and self._task.is_score

    @property
    def windows(self) -> TextWindows | None:
        """How `predict` reads texts longer than `max_seq_length`; None: they are cut."""
        return self._task.windows if self._task else None

    @property
    def pooling(self) -> Pooling:
        """How `embed` pools by default."""
        return self._own_pooling()[0]

    @property
    def token_ids(self) -> Mapping[str, int]:
        """The id of each token of its vocabulary."""
        return self._tokenizer.vocab.ids

    @functools.cached_property
    def abilities(self) -> tuple[Ability, ...]:
        """What it has the weights for, which are put on the devices; "tag" is `predict` that gives spans."""
        found = self._source.contents
        self._programs.weights("encoder")
        kinds: list[Ability] = ["embed"]
        if self._task is not None:
            self._programs.weights("classifier")
            kinds.append("predict")
        if self._tags is not None:
            self._programs.weights("tagger")
            kinds.append("tag")
        if self._squad is not None or SQUAD[0] in found.keys:
            self._programs.weights("squad")
            kinds.append("answer")
        if MASKED_LM_BIAS in found.keys and read_initial(self._source).untied is None:
            self._programs.weights("masked LM")
            kinds.append("fill")
        return tuple(kinds)

    def lengths(self, texts: Iterable[Text]) -> list[int]:
        """Tokens of each text, or pair of texts, special ones included, before anything is cut."""
        texts = list(_texts(texts))
        for number, text in enumerate(texts):
            _example(text, f"text {number}", None)
        parts = [part for text in texts for part in _parts(text)]
        _, counts = self._tokenizer.batch_ids(parts)
        left = iter(counts.tolist())
        return [
            len(text.input_ids) if isinstance(text, Ids) else 1 + sum(next(left) + 1 for _ in _parts(text))
            for text in texts
        ]

    def predict(self, texts: Iterable[Text | Sequence[str]]) -> list[Prediction] | list[list[Span]] | np.ndarray:
        """A class for each text, or each pair of texts, with the probability of each class; in the order of the texts.

        A model for numbers gives an array [n] float32. A model that tags words gives the spans of each text, of any
        length; a text may be a list of its words, then the places of spans are those in the words with blanks between.

        Raises:
            InputError: the model is no classifier; it was trained with pairs and gets none, or the other way round.
        """
        self.check_predicts()
        if self._tags is not None:
            return self._tagged(texts, self._tags)
        return self.predictions(self.logits(texts))

    def check_predicts(self) -> None:
        """Raise InputError where `predict` is not for this model, whatever the texts."""
        if self._tags is None:
            self._classification()

    def check_text(self, text: Text, name: str) -> None:
        """Raise InputError, which calls the text by `name`, where `predict` refuses a single text or a pair."""
        if self._task is not None:
            _example(text, name, self._task.pairs)

    def _tagged(self, texts: Iterable[Text | Sequence[str]], task: TaggingMetaData) -> list[list[Span]]:
        sentences = [_sentence(text, number) for number, text in enumerate(_texts(texts))]
        words = sum(len(sentence.words) for sentence in sentences)
        meta = dataclasses.replace(task, max_seq_length=self.max_seq_length, context="sentence")
        windows = TaggedWindows(sentences, np.zeros(words, np.int64), self._tokenizer, meta)
        firsts = range(0, len(windows), _CHUNK)
        chunks = [windows.read(np.arange(first, min(first + _CHUNK, len(windows)))) for first in firsts]
        found = self._programs.token_outputs(self._programs.tags, self._programs.weights("tagger"), chunks)
        logits = np.zeros((words, len(meta.label_list)), np.float32)
        for numbers, of_tokens in zip((row for chunk in chunks for row in chunk["words"]), found, strict=True):
            asked = np.flatnonzero(numbers)
            logits[numbers[asked] - 1] = of_tokens[asked]
        self._count([windows.counts])
        return tags_and_spans(logits, windows, meta)[1]

    def logits(self, texts: Iterable[Text | Sequence[str]]) -> np.ndarray:
        """What the classifier gives before softmax or sigmoid, float32 [n, C]; of a model for numbers [n, 1].

        Raises InputError as `predict`.
        """
        task = self._classification()
        programs, counts = self._programs, list[TextCounts]()
        firsts: list[np.ndarray] = []  # of each chunk the first window of each text

        def noted() -> Iterator[Arrays]:
            for features in self._chunks(texts, task.pairs, counts, self.windows):
                firsts.append(_firsts(features))
                yield features

        found = list(programs.outputs(programs.logits, programs.weights("classifier"), noted()))
        self._count(counts)
        if self.windows:
            found = [self.windows.pooled(*part) for part in zip(found, firsts, strict=True)]
        return np.concatenate(found) if found else np.zeros((0, task.num_labels or 1), np.float32)

    def predictions(self, logits: np.ndarray) -> list[Prediction] | np.ndarray:
        """What `predict` says for these logits [n, C]."""
        task = self._classification()
        if task.is_regression:
            return logits[:, 0]
        several = task.is_multi_label
        probabilities = logistic(logits) if several else np.exp(log_softmax(logits.astype(np.float64)))
        names = task.class_names
        if several:
            chosen = probabilities >= thresholds(task)
            labels: list[Any] = [tuple(itertools.compress(names, row)) for row in chosen]
        else:
            labels = [names[number] for number in probabilities.argmax(-1).tolist()]
        rows = (dict(zip(names, row, strict=True)) for row in probabilities.tolist())
        return [Prediction(label, row) for label, row in zip(labels, rows, strict=True)]

    def embed(
        self,
        texts: Iterable[Text],
        *,
        pooling: Pooling | None = None,
        layers: int | Sequence[int] = -1,
        normalize: bool | None = None,
    ) -> np.ndarray | list[np.ndarray]:
        """A vector for each text, or each pair of texts, in the order of the texts.

        Args:
            texts: any number; they are read as they are needed.
            pooling: the vector at `[CLS]`, what BERT's pooler makes of it, the mean or the largest values over all
                tokens of a text, special ones too, or "tokens" for a vector for each of them. By default as the model
                says (a folder of sentence-transformers), or else the mean.
            layers: which layer's outputs: 1 to L, or -1 for the last one; 0 are the embeddings. Several give a vector
                for each of them.
            normalize: whether vectors get length 1. By default as the model says where `pooling` is its own.

        Returns:
            float32 [n, H], or [n, K, H] for a sequence of K layers; for "tokens" a list of [T, H] or [T, K, H].
        """
        if pooling is None:
            pooling, own = self._own_pooling()
            normalize = own if normalize is None else normalize
        arguments.one_of("pooling", pooling, get_args(Pooling))
        arguments.switch("normalize", normalize)
        several = np.ndim(layers) > 0
        given: Any = layers if several else (layers,)
        numbers = self._layers(tuple(arguments.whole_number("layers", layer) for layer in given), pooling)
        programs, counts = self._programs, list[TextCounts]()
        weights = programs.weights("pooler" if pooling == "pooler" else "encoder")
        compute = programs.vectors(numbers, pooling, bool(normalize))
        outputs = programs.token_outputs if pooling == "tokens" else programs.outputs
        found = outputs(compute, weights, self._chunks(texts, None, counts))
        self._count(counts)
        if pooling == "tokens":
            return [vectors if several else vectors[:, 0] for vectors in found]
        hidden = self._model.config.hidden_size
        vectors = np.concatenate(found) if found else np.zeros((0, len(numbers), hidden), np.float32)
        return vectors if several else vectors[:, 0]

    def tokens(self, texts: Iterable[Text]) -> list[list[str]]:
        """The tokens of each text as the model reads them, special ones included, cut at its longest sequence."""
        names = self._tokenizer.vocab.tokens
        return [
            [names[id_] for id_ in ids[mask != 0].tolist()]
            for features in self._chunks(texts, None, [])
            for ids, mask in zip(features["input_ids"], features["input_mask"], strict=True)
        ]

    def answer(
        self,
        question: str,
        context: str,
        *,
        n_best: int = 1,
        max_answer_length: int = 30,
        may_lack: bool | None = None,
    ) -> list[Answer]:
        """The best answers to a question, parts of the context, best first; a text "" says that there is none.

        Args:
            question: a question; what is longer than `max_query_length` is cut.
            context: of any length; it is read in windows.
            n_best: how many answers to give at most.
            max_answer_length: in tokens.
            may_lack: whether there may be no answer; by default as in the model's training.

        Raises:
            InputError: the model was not trained to answer questions.
        """
        given: Any = {"n_best": n_best, "max_answer_length": max_answer_length, "may_lack": may_lack}
        return self.answers([(question, context)], **given)[0]

    def answers(
        self,
        questions: Iterable[tuple[str, str]],
        *,
        n_best: int = 1,
        max_answer_length: int = 30,
        may_lack: bool | None = None,
    ) -> list[list[Answer]]:
        """As `answer`, for many questions, each with its context."""
        self._refuse_other(SquadMetaData, "to answer questions")
        self._model.refuse_pairs()
        n_best = arguments.whole_number("n_best", n_best, 1)
        max_answer_length = arguments.whole_number("max_answer_length", max_answer_length, 1)
        arguments.switch("may_lack", may_lack)
        pairs = [_question(one, number) for number, one in enumerate(arguments.several("questions", questions, _ASKED))]
        weights = self._programs.weights("squad")
        paragraphs = (Paragraph(context, (Question("0", question),)) for question, context in pairs)
        asked = [one for paragraph in paragraphs for one in ask(paragraph, self._tokenizer, self._windows)]
        self._count([text_counts(asked, self._tokenizer.vocab)], "question", self.max_query_length)
        candidates = self._candidates(weights, asked)
        trained, threshold = self._no_answer
        may_lack = trained if may_lack is None else may_lack
        chosen = AnswerSettings(max(n_best, BEST_POSITIONS), max_answer_length, may_lack, threshold)
        ends = list(itertools.accumulate(len(one.windows) for one in asked))
        return [
            _best(predict(one, candidates[end - len(one.windows) : end], chosen, self._answer_texts), n_best)
            for one, end in zip(asked, ends, strict=True)
        ]

    def choose(self, context: str, choices: Sequence[str], *, question: str = "") -> Choice:
        """The choice that fits best.

        Args:
            context: what is read first: a text that is asked about, the sentence before, or the question itself.
            choices: two texts or more.
            question: what stands in front of each choice, as in training.

        Raises:
            InputError: the model was not trained for multiple choice; there are fewer than two, or an empty one.
        """
        self._refuse_other(MultipleChoiceMetaData, "for multiple choice")
        self._model.refuse_pairs()
        weights = self._programs.weights("choice")
        hint = "give a list of two texts or more"
        texts = tuple(arguments.several("choices", choices, hint))
        if len(texts) < 2 or not all(isinstance(one, str) and one.strip() for one in texts):
            raise arguments.wrong("choices", texts, hint)
        context, question = arguments.text("context", context), arguments.text("question", question)
        asked = ChoiceQuestion(context, question, texts, (), None, "")
        arrays, counts = choice_features.convert([asked], self._tokenizer, self.max_seq_length)
        features = Sequences(*arrays).read(np.arange(len(texts)))
        (logits,) = self._programs.outputs(self._programs.choice_logits, weights, [features])
        self._count([counts], "choice with its question", several="choices with their question")
        shares = np.exp(log_softmax(logits.astype(np.float64))).tolist()
        best = int(np.argmax(shares))
        return Choice(best, texts[best], tuple(shares))

    def fill(self, text: str, *, top: int = 5, targets: Iterable[str] | None = None) -> list[list[Candidate]]:
        """For each `[MASK]` in the text its most probable tokens, best first.

        Args:
            text: has `[MASK]` in it.
            top: how many tokens to give at most.
            targets: what is chosen from: tokens, or words of which the first token counts; by default all tokens.

        Raises:
            InputError: there is no `[MASK]`; the text is too long; the model has no masked language model.
        """
        return self.fills([text], top=top, targets=targets)[0]

    def fills(
        self, texts: Iterable[str], *, top: int = 5, targets: Iterable[str] | None = None
    ) -> list[list[list[Candidate]]]:
        """As `fill`, for many texts.

        Numbers of masks and of candidates are rounded up to powers of two, so that few programs are compiled.
        """
        top = arguments.whole_number("top", top, 1)
        texts = list(arguments.several("texts", texts, "give a list of texts with `[MASK]`; `fill` takes one"))
        vocab, asked = self._tokenizer.vocab, self._targets(targets)
        weights = {**self._programs.weights("masked LM"), "asked": asked}
        top = min(top, int(asked.sum()))
        words = self._programs.words(min(next_power_of_two(top), len(vocab)), len(vocab))
        made = [self._masked(text) for text in texts]
        by_slots: dict[int, list[int]] = {}
        for number, (_, masks) in enumerate(made):
            by_slots.setdefault(next_power_of_two(len(masks)), []).append(number)
        found: list[list[list[Candidate]]] = [[] for _ in texts]
        for slots, numbers in by_slots.items():
            features = _sequences([made[number][0] for number in numbers])
            features["masks"] = np.array([np.resize(made[number][1], slots) for number in numbers])
            (results,) = self._programs.outputs(words, weights, [features])
            for number, ids, shares in zip(numbers, results["ids"], results["probabilities"], strict=True):
                size = len(made[number][1])
                rows = zip(ids[:size, :top].tolist(), shares[:size, :top].tolist(), strict=True)
                found[number] = [
                    [Candidate(vocab.tokens[id_], share) for id_, share in zip(*row, strict=True)] for row in rows
                ]
        return found

    def _targets(self, targets: Iterable[str] | None) -> np.ndarray:
        """Which tokens may be chosen, bool [V], as transformers finds them. Raises InputError where there are none."""
        vocab = self._tokenizer.vocab
        if targets is None:
            return np.ones(len(vocab), bool)
        hint = "give a list of tokens, or of words"
        words = list(arguments.several("targets", targets, hint))
        if not all(isinstance(word, str) for word in words):
            raise arguments.wrong("targets", words, hint)
        ids = [[vocab.ids[word]] if word in vocab.ids else self._tokenizer.ids(word)[:1] for word in words]
        asked = np.zeros(len(vocab), bool)
        asked[[id_ for one in ids for id_ in one]] = True
        if not asked.any():
            raise arguments.wrong("targets", words, hint)
        return asked

    def _masked(self, text: str) -> tuple[list[int], list[int]]:
        """The ids of a text, and the positions of its masks."""
        vocab = self._tokenizer.vocab
        if not isinstance(text, str):
            raise InputError(f"`{str(text)[:60]}` is no text", "give one with `[MASK]` in it; `fills` takes a list")
        parts = [self._tokenizer.ids(part) for part in text.split("[MASK]")]
        ids = [vocab.cls, *parts[0]]
        masks = []
        for part in parts[1:]:
            masks.append(len(ids))
            ids += [vocab.mask, *part]
        ids.append(vocab.sep)
        if not masks:
            raise InputError("the text has no `[MASK]`", "write `[MASK]` where a word is missing")
        if len(ids) > self.max_seq_length:
            raise TextTooLongError(
                f"the text has {len(masks)} `[MASK]` and {len(ids)} tokens",
                f"give one of at most {self.max_seq_length} tokens",
            )
        return ids, masks

    def _classification(self) -> ClassificationMetaData:
        self._refuse_other(ClassificationMetaData, "to classify texts")
        if self._task is None and not (CLASSIFIER[0] in self._source.contents.keys or self._source.contents.undecided):
            asked = [f"`{call}`" for head, call in _ASK_OF_HEADS.items() if head in self._source.contents.keys]
            raise InputError(
                f"the model in `{self._source.folder}` has no classifier",
                f"ask {' or '.join((*asked, '`embed`'))}; or give a model that has one",
            )
        if self._task is None:
            raise InputError(
                f"the files of `{self._source.folder}` do not say which classes the model was trained for",
                "give the model with its `meta_data`, as `run_classifier` writes it",
            )
        return self._task

    def _refuse_other(self, asked: type[MetaData], why: str) -> None:
        """Raise InputError where its files say that the model was trained for something else than is asked."""
        task = self.task
        if task is not None and not isinstance(task, asked):
            predicts = "answers to questions" if isinstance(task, SquadMetaData) else task.kind
            raise InputError(
                f"the model in `{self._source.folder}` was not trained {why}: it predicts {predicts}",
                f"ask {_ASK[type(task)]}; or give a model that was",
            )

    def _own_pooling(self) -> tuple[Pooling, bool]:
        """Pooling and normalization that the model's files say; the mean as it is where they say nothing."""
        source = self._model.source
        own = None if source is None else source.pooling
        if own is None:
            return "mean", False
        hint = "choose `pooling` and `normalize`"
        if own.modes not in (("cls",), ("mean",), ("max",)):
            raise InputError(f"the model pools by {' and '.join(own.modes)}, which is not computed here", hint)
        if own.default_prompt and own.prompts.get(own.default_prompt):
            raise InputError(f"the model wants `{own.prompts[own.default_prompt]}` in front of every text", hint)
        return own.modes[0], own.normalize

    def _layers(self, layers: tuple[int, ...], pooling: str) -> tuple[int, ...]:
        most = self._model.config.num_hidden_layers
        numbers = tuple(number + most + 1 if number < 0 else number for number in layers)
        if not layers or not all(0 <= number <= most for number in numbers):
            raise InputError(f"`layers` is {layers}", f"expected numbers from 0 to {most}, or -1 for the last")
        if pooling == "pooler" and numbers != (most,):
            raise InputError("the pooler stands on the last layer", "leave out `layers`")
        return numbers

    def _chunks(
        self,
        texts: Iterable[Text | Sequence[str]],
        pairs: bool | None,
        counts: list[TextCounts],
        windows: TextWindows | None = None,
    ) -> Iterator[Arrays]:
        """Features of the texts, or of their windows, some at a time; what becomes of these goes into `counts`."""
        numbered = enumerate(_texts(texts))
        doc_stride = windows.doc_stride if windows else None
        while part := list(itertools.islice(numbered, _CHUNK)):
            examples = [_example(text, f"text {number}", pairs) for number, text in part]
            if any(example.text_b is not None for example in examples):
                self._model.refuse_pairs()
            features, counted = convert(examples, self._tokenizer, self.max_seq_length, {}, doc_stride=doc_stride)
            counts.append(counted)
            for row, (_, text) in zip(_firsts(features).tolist(), part, strict=True):
                if isinstance(text, Ids):
                    self._put(text, features, row)
            yield features

    def _count(
        self, counts: Iterable[TextCounts], text: str = "text", limit: int | None = None, several: str = ""
    ) -> None:
        """Add to the counts of all texts, and say how many of these were cut."""
        total = sum(counts, TextCounts())
        with self._programs.lock:
            self.counts += total
        if total.cut:
            are = "is" if total.cut == 1 else "are"
            texts = counted(total.cut, text, several)
            said = f"{texts} {are} longer than {limit or self.max_seq_length} tokens and {are} cut"
            warnings.warn(said, TextsCutWarning, stacklevel=_levels_to_caller())

    def _put(self, text: Ids, features: Arrays, row: int) -> None:
        """Write what is tokenized already into a row of features; raises InputError where the model knows no such."""
        size, known = len(text.input_ids), self.config.vocab_size
        types = min(2, self.config.type_vocab_size)
        if not 1 <= size <= self.max_seq_length or size != len(text.type_ids):
            raise InputError(
                f"a text has {size} ids and {len(text.type_ids)} types",
                f"give as many types as ids, at most {self.max_seq_length}",
            )
        if not all(0 <= id_ < known for id_ in text.input_ids) or not set(text.type_ids) <= set(range(types)):
            raise InputError(
                "a text has ids or types that the model does not know", f"ids end at {known - 1}, types at {types - 1}"
            )
        features["input_ids"][row, :size] = text.input_ids
        features["segment_ids"][row, :size] = text.type_ids
        features["input_mask"][row] = np.arange(self.max_seq_length) < size

    @functools.cached_property
    def _answer_texts(self) -> AnswerTexts:
        return AnswerTexts(self._tokenizer)

    @functools.cached_property
    def _no_answer(self) -> tuple[bool, float]:
        """Whether a question may have no answer, and the threshold from which on it has none."""
        may_lack = self._squad is not None and self._squad.version_2_with_negative
        return may_lack, kept_threshold(self._model) if may_lack else 0.0

    def _candidates(self, weights: Tree, asked: Sequence[WindowedQuestion]) -> Candidates:
        if not any(one.windows for one in asked):
            return NO_CANDIDATES
        features = window_arrays(asked, self._tokenizer, self._windows.max_seq_length)
        (found,) = self._programs.outputs(self._programs.spans, weights, [features])
        return Candidates(**found)


def _example(text: Text | Sequence[str], name: str, pairs: bool | None) -> TextExample:
    """The text or pair. Raises InputError, with its `name`, where it is neither, or not what the model learnt from."""
    if isinstance(text, Ids):
        return TextExample("", None, None, name)  # `_put` writes what it is
    if isinstance(text, str):
        first, second = text, None
    elif isinstance(text, tuple | list) and len(text) == 2 and all(isinstance(part, str) for part in text):
        first, second = text
    else:
        raise InputError(f"{name} is `{str(text)[:60]}`", "expected a text, or a pair of texts")
    if pairs is not None and pairs != (second is not None):
        trained, found = ("pairs of texts", "a single text") if pairs else ("single texts", "a pair of texts")
        raise InputError(
            f"the model was trained with {trained}, `{str(text)[:60]}` is {found}: {name}",
            f"give {trained}" + (", on the command line as `first ||| second`" if pairs else ""),
        )
    return TextExample(first, second, None, name)


def _firsts(features: Arrays) -> np.ndarray:
    """Of the rows of features the first one of each text, [n]."""
    return np.flatnonzero(np.diff(features["texts"], prepend=-1))


def _sentence(text: Text | Sequence[str], number: int) -> Sentence:
    """A text, or its words. Raises InputError where it is neither."""
    if isinstance(text, str):
        return Sentence.of_text(text, word_places)
    words: Any = text if isinstance(text, list | tuple | np.ndarray) else (None,)
    if not all(isinstance(word, str) and word.split() == [word] for word in words):
        raise InputError(f"text {number} is `{str(text)[:60]}`", "expected a text, or a list of its words")
    return Sentence.of_words(words)


def _levels_to_caller() -> int:
    """How many calls above the function that asks the first one is that does not stand in this file."""
    frame, levels = sys._getframe(1), 1
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame, levels = frame.f_back, levels + 1
    return levels


def _question(asked: object, number: int) -> tuple[str, str]:
    """A question and its context. Raises InputError where it is something else."""
    if not isinstance(asked, tuple | list) or len(asked) != 2 or not all(isinstance(part, str) for part in asked):
        raise InputError(f"question {number} is `{repr(asked)[:60]}`", "give two texts: the question and its context")
    return asked[0], asked[1]


def _texts(texts: Iterable[Any]) -> Iterable[Any]:
    """Texts, or pairs. Raises InputError for one alone: a pair would be read as two texts."""
    hint = "give a list of texts, or of pairs of texts: `[...]`"
    if isinstance(texts, tuple):
        raise arguments.wrong("texts", texts, hint)
    return arguments.several("texts", texts, hint)


def _best(found: Found, n_best: int) -> list[Answer]:
    """The first answers of the n-best list; no answer comes last where there is one, and else first."""
    choices = sorted(found.n_best, key=lambda choice: bool(choice.text) != bool(found.text))
    return [
        Answer(choice.text, choice.begin, choice.begin + len(choice.text) if choice.text else -1, choice.probability)
        for choice in choices[:n_best]
    ]


def _parts(text: Text) -> tuple[str, ...]:
    """The texts of a text or pair; none of one that is tokenized already."""
    return () if isinstance(text, Ids) else (text,) if isinstance(text, str) else text


def _sequences(ids: Sequence[Sequence[int]]) -> Arrays:
    """Features of n sequences of single texts."""
    sizes = np.array([len(one) for one in ids])[:, None]
    mask = np.arange(sizes.max()) < sizes
    array = np.zeros(mask.shape, np.int64)
    array[mask] = np.concatenate(ids)
    return {"input_ids": array, "input_mask": mask.astype(np.int64), "segment_ids": np.zeros_like(array)}
