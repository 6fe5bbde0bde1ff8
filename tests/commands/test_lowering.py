# SPDX-License-Identifier: Apache-2.0
"""What the trainers compile can be lowered for GPUs, on a machine without one."""

import jax
import pytest

from bench.programs import TRAINERS
from jaxbert.batches.devices import device_mesh
from jaxbert.config.bert_config import BertConfig

CONFIG = BertConfig(
    vocab_size=100, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, type_vocab_size=2
)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", TRAINERS)
def test_steps_lower_for_cuda(name: str, dtype: str) -> None:
    """Training steps and evaluation of each trainer become programs for CUDA; nothing in them is only for CPUs."""
    programs = TRAINERS[name](CONFIG, device_mesh(jax.devices()[:1]), 4, dtype)
    for traced in (programs.train, programs.evaluate):
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
        assert "stablehlo.dot_general" in text
        assert ("xf16>" in text, "xbf16>" in text) == (dtype == "fp16", dtype == "bf16")
