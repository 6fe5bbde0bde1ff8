# SPDX-License-Identifier: Apache-2.0
"""What a run writes down while it trains."""

from pathlib import Path

from jaxbert.train.summaries import Summaries


def test_a_metric_that_is_not_finite_is_null(tmp_path: Path) -> None:
    """Gradients of a skipped half-precision step are infinite: the line is JSON for any reader all the same."""
    summaries = Summaries(str(tmp_path), {"train": 0})
    summaries.write("train", 3, {"loss": 0.5, "gradient_norm": float("inf"), "scale": float("nan")})
    summaries.close()
    line = (tmp_path / "metrics.jsonl").read_text()
    assert line == '{"step": 3, "part": "train", "loss": 0.5, "gradient_norm": null, "scale": null}\n'
