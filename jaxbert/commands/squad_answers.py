# SPDX-License-Identifier: Apache-2.0
"""One model and its answers: questions -> windows -> candidates -> answers -> files and scores."""

import collections
import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from jaxbert.batches.devices import place_whole, row_units
from jaxbert.batches.loader import Prefetched, packed_batches
from jaxbert.batches.packing import evaluation_shape
from jaxbert.batches.targets import no_targets
from jaxbert.batches.windows import window_chunks
from jaxbert.commands import training_run
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import SquadFlags
from jaxbert.features.squad import QuestionFile, WindowedQuestion
from jaxbert.metrics.squad import dividing_threshold, is_version_2, score_v1, score_v2
from jaxbert.model.encoder import Compute
from jaxbert.model.heads import answer_spans, best_positions, within_windows
from jaxbert.model.weights import Table, Tree, squad_table
from jaxbert.predictions.squad import AnswerSettings, AnswerTexts, Prediction, in_question_order, predict
from jaxbert.predictions.squad_files import write_answers, write_texts
from jaxbert.train import hosts
from jaxbert.train.evaluate import streamed_outputs
from jaxbert.train.losses import span_loss
from jaxbert.train.sharding import gathering
from jaxbert.train.step import Batch

CHUNK = 16  # batches whose windows are packed together
THRESHOLD = "null_score_diff_threshold"  # the result that later predictions take as threshold for no answer

Report = Callable[[int], None]
"""Takes the number of questions answered so far."""


@dataclasses.dataclass(frozen=True)
class Answerer:
    """A model that finds answers, on some devices: what training, evaluation and prediction have in common."""

    flags: SquadFlags
    config: BertConfig
    version_2_with_negative: bool
    mesh: Mesh

    @functools.cached_property
    def table(self) -> Table:
        """The weights of the model."""
        return squad_table(self.config)

    @functools.cached_property
    def compute(self) -> Compute:
        """How the layers are computed."""
        return training_run.compute(self.flags)

    def loss(self, weights: Tree, batch: Batch, noise: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: mean over windows of the mean cross entropy of start and end."""
        logits = answer_spans(weights, self.config, batch, noise=noise, compute=self.compute)
        positions = (batch["start_positions"], batch["end_positions"])
        return span_loss(within_windows(logits, batch), *positions, batch["answer_weights"])

    @functools.cached_property
    def candidates(self) -> "jax.stages.Wrapped":
        """Compiled: (weights, batch) -> `best_positions`."""

        def candidates(weights: Tree, batch: Batch) -> dict[str, jax.Array]:
            logits = answer_spans(weights, self.config, batch, compute=self.compute)
            return best_positions(logits, batch, self.flags.n_best_size)

        return jax.jit(gathering(candidates, self.table, self.mesh))

    def predictions(self, weights: Tree, questions: QuestionFile, threshold: float) -> Iterator[Prediction]:
        """The answer to each question in order; questions are read, packed and answered as they come."""
        flags = self.flags
        lengths = questions.lengths if len(questions.lengths) else np.ones(1, np.int64)  # contexts without a word
        shape = evaluation_shape(lengths, flags.predict_batch_size, *row_units(self.mesh))
        settings = AnswerSettings(flags.n_best_size, flags.max_answer_length, self.version_2_with_negative, threshold)
        texts = AnswerTexts(questions.tokenizer)
        asked: collections.deque[WindowedQuestion] = collections.deque()
        vocab, max_seq_length = questions.tokenizer.vocab, questions.settings.max_seq_length
        chunks = window_chunks(_noting(questions, asked), vocab, max_seq_length, CHUNK * flags.predict_batch_size)
        placed = (place_whole(batch, self.mesh) for batch in packed_batches(chunks, shape, no_targets))
        with contextlib.closing(Prefetched(placed)) as loaded:
            found = streamed_outputs(self.candidates, weights, loaded)
            yield from in_question_order(asked, found, lambda one, best: predict(one, best, settings, texts))

    def answer(
        self, weights: Tree, questions: QuestionFile, folder: str, prefix: str, threshold: float, report: Report
    ) -> None:
        """Write the files of answers."""
        self._write(folder, _counted(self.predictions(weights, questions, threshold), report), prefix)

    def evaluate(self, weights: Tree, questions: QuestionFile, folder: str, report: Report) -> dict[str, float]:
        """Write the files of answers, and score them as the official scripts do.

        Where questions may have no answer, `null_score_diff_threshold` of the results is the threshold that does best.
        It decides, unless a flag says another.
        """
        texts: dict[str, str] = {}
        odds: dict[str, float] = {}

        def noted(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
            for prediction in predictions:
                texts[prediction.id] = prediction.best_text
                odds[prediction.id] = prediction.null_odds or 0.0
                yield prediction

        predictions = noted(_counted(self.predictions(weights, questions, 0.0), report))
        self._write(folder, predictions)
        gold = questions.questions()
        if not self.version_2_with_negative:
            return dict((score_v2 if is_version_2(gold, questions.path) else score_v1)(gold, texts))
        searched = score_v2(gold, texts, odds, math.inf)
        best = dividing_threshold(gold, texts, odds)
        wanted = self.flags.null_score_diff_threshold
        threshold = best if wanted is None else wanted
        texts = {id_: "" if odds[id_] > threshold else text for id_, text in texts.items()}
        if hosts.is_first():
            write_texts(folder, texts.items())
        found = {name: value for name, value in searched.items() if name.startswith(("best_", "pr_"))}
        return {**score_v2(gold, texts), **found, THRESHOLD: best}

    def _write(self, folder: str, predictions: Iterable[Prediction], prefix: str = "") -> None:
        """Write the files of answers on the first host; the others take part in predicting."""
        if hosts.is_first():
            write_answers(folder, predictions, version_2_with_negative=self.version_2_with_negative, prefix=prefix)
        else:
            collections.deque(predictions, maxlen=0)


def _noting(
    questions: Iterable[WindowedQuestion], asked: "collections.deque[WindowedQuestion]"
) -> Iterator[WindowedQuestion]:
    """The questions, each put into `asked` before it is given out."""
    for one in questions:
        asked.append(one)
        yield one


def _counted(predictions: Iterable[Prediction], report: Report) -> Iterator[Prediction]:
    for count, prediction in enumerate(predictions, 1):
        yield prediction
        report(count)
