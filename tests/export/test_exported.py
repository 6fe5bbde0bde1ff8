# SPDX-License-Identifier: Apache-2.0
"""What of a model is exported: the kind by its heads, and all weights of the kind or a refusal."""

import pytest

from jaxbert.checkpoints import names
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.export.network import NAMES, Kind, choose_weights, kind_of
from tests.checkpoints.random_models import random_weights

_CONFIG = BertConfig(11, 6, 2, 2, 8, max_position_embeddings=7, type_vocab_size=2)


@pytest.mark.parametrize(
    ("head", "kind"),
    [("none", "encoder"), ("classifier", "classifier"), ("squad", "squad"), ("pretraining", "pretrainer"),
     ("masked LM", "pretrainer")],
)  # fmt: skip
def test_heads_say_what_a_model_is(head: str, kind: Kind) -> None:
    """Each head makes a model of its kind, which computes with all of the weights."""
    weights = random_weights(_CONFIG, head)
    assert kind_of(weights) == kind
    assert choose_weights(weights, kind, 2).keys() == weights.keys()


def test_an_encoder_can_be_taken_out_of_any_model() -> None:
    """The weights of heads stay behind."""
    weights = random_weights(_CONFIG, "classifier")
    assert list(choose_weights(weights, "encoder", 2)) == names.encoder_names(2)


def test_several_heads_need_a_choice() -> None:
    """Nobody guesses which of two heads is wanted."""
    weights = random_weights(_CONFIG, "classifier") | random_weights(_CONFIG, "squad")
    with pytest.raises(InputError, match="several heads: `squad`, `classifier`"):
        kind_of(weights)


@pytest.mark.parametrize("kind", ["classifier", "squad", "pretrainer"])
def test_a_missing_head_is_refused(kind: Kind) -> None:
    """An encoder alone is no other model."""
    with pytest.raises(InputError, match=f"there is no {NAMES[kind]}: "):
        choose_weights(random_weights(_CONFIG), kind, 2)


def test_only_answers_need_no_pooler() -> None:
    """A SQuAD model without a pooler is complete, a classifier without one is not."""
    weights = random_weights(_CONFIG, "classifier") | random_weights(_CONFIG, "squad")
    without = {name: weight for name, weight in weights.items() if name not in names.POOLER}
    assert choose_weights(without, "squad", 2).keys() == without.keys() - set(names.CLASSIFIER)
    with pytest.raises(InputError, match="bert/pooler/dense/kernel"):
        choose_weights(without, "classifier", 2)
