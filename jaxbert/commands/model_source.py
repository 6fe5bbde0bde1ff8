# SPDX-License-Identifier: Apache-2.0
"""Where a model comes from: trained weights, a checkpoint to start from, the configuration and vocabulary beside it."""

import os
import sys
from collections.abc import Mapping

import numpy as np

from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.initial import DenseHead, InitialWeights, read_initial
from jaxbert.checkpoints.matching import LoadReport, match
from jaxbert.checkpoints.tf_prefix import find_prefix
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.training import TrainingFlags
from jaxbert.errors import InputError
from jaxbert.model.weights import Table, Tree, flatten, initialize, shapes, unflatten


def say(text: str) -> None:
    """A line for the user, on standard error."""
    print(text, file=sys.stderr, flush=True)


def find_model(flags: TrainingFlags) -> str:
    """Where trained weights are: `best`, `last`, a TensorFlow checkpoint in `--model_dir`, or `--init_checkpoint`."""
    for name in ("best", "last"):
        if model_folder.has_model(os.path.join(flags.model_dir, name)):
            return os.path.join(flags.model_dir, name)
    try:
        return find_prefix(flags.model_dir)
    except InputError as error:
        if flags.init_checkpoint is not None:
            return flags.init_checkpoint
        raise InputError(
            f"there is no trained model in `{flags.model_dir}`", "train first, or give `--predict_checkpoint_path`"
        ) from error


def beside(path: str | None, name: str) -> str | None:
    """The file `name` in the folder of a checkpoint, if it is there."""
    if path is None:
        return None
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    candidate = os.path.join(folder, name)
    return candidate if os.path.isfile(candidate) else None


def read_config(flags: TrainingFlags, checkpoint: str | None) -> BertConfig:
    """The configuration of `--bert_config_file`, or the one beside the checkpoint."""
    path = flags.bert_config_file or beside(checkpoint, model_folder.CONFIG_FILE)
    if path is None:
        raise InputError("the sizes of the model are not known", "give `--bert_config_file`")
    return bert_config.read(path)


def load(
    checkpoint: str, config: BertConfig, table: Table, dense_head: DenseHead | None, allow_partial: bool
) -> tuple[dict[str, np.ndarray], LoadReport]:
    """The weights of `table` that are in the checkpoint (path -> array), and the report, which is printed."""
    initial = read_initial(checkpoint, dense_head)
    check_heads(initial, config)
    report = match(initial.weights, shapes(table), initial.source, initial.unused, allow_partial)
    say(f"{report} ({initial.layout})")
    return {path: initial.weights[path] for path in report.loaded}, report


def check_heads(initial: InitialWeights, config: BertConfig) -> None:
    """Raise `InputError` where the file shows another number of attention heads than the configuration says."""
    found = initial.attention_heads
    if found is not None and found != config.num_attention_heads:
        raise InputError(
            f"`{initial.source}` has {found} attention heads, bert_config.json says `num_attention_heads`"
            f" {config.num_attention_heads}",
            "give the configuration that belongs to the checkpoint",
        )


def start_weights(flags: TrainingFlags, config: BertConfig, table: Table, dense_head: DenseHead | None) -> Tree:
    """Weights before the first step: from `--init_checkpoint` where it has them, the others at random."""
    loaded: Mapping[str, np.ndarray] = {}
    if flags.init_checkpoint is None:
        say("no --init_checkpoint: training starts from random weights")
    else:
        loaded, _ = load(flags.init_checkpoint, config, table, dense_head, flags.allow_partial_init)
    rest = {path: weight for path, weight in table.items() if path not in loaded}
    fresh = flatten(initialize(rest, flags.seed, config.initializer_range))
    return unflatten({path: loaded[path] if path in loaded else fresh[path] for path in table})
