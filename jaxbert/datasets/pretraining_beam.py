# SPDX-License-Identifier: Apache-2.0
"""The same shards and outputs made by an Apache Beam runner, on as many machines as it has.

Inputs, vocabulary, outputs and the folder of shards must be where every machine finds them under the same path.
"""

from collections.abc import Sequence
from typing import Any

from jaxbert.datasets.pretraining_build import Work, finished, write_output, write_shard
from jaxbert.errors import InputError


def make_shards(work: Work, runner: str, options: Sequence[str]) -> None:
    """Make the missing shards, each on some machine.

    Args:
        work: what to do.
        runner: Beam's name of it.
        options: further options of the runner, as on its command line.
    """
    beam, pipeline = _open(runner, options)
    with pipeline:
        shards = pipeline | beam.Create(work.missing()) | beam.Reshuffle()
        _ = shards | beam.Map(write_shard, work.recipe, work.folder)


def write_outputs(work: Work, runner: str, options: Sequence[str]) -> None:
    """Put the outputs together from the shards, each on some machine; arguments as in `make_shards`."""
    beam, pipeline = _open(runner, options)
    with pipeline:
        numbers = pipeline | beam.Create(range(len(work.outputs))) | beam.Reshuffle()
        _ = numbers | beam.Map(write_output, work.outputs, finished(work), work.folder)


def _open(runner: str, options: Sequence[str]) -> tuple[Any, Any]:
    """Beam, which is large and optional, and a new pipeline."""
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise InputError(f"`--runner` needs Apache Beam: {error}", "pip install apache-beam") from error
    return beam, beam.Pipeline(options=PipelineOptions([f"--runner={runner}", *options]))
