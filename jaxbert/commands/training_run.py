# SPDX-License-Identifier: Apache-2.0
"""What every trainer does with its flags: where the model comes from, what its folder holds, which devices it uses."""

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from jaxbert import files
from jaxbert.batches.device import data_mesh, replicated
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.initial import DenseHead, InitialWeights, check_source, read_initial
from jaxbert.checkpoints.matching import LoadReport, match
from jaxbert.checkpoints.tf_prefix import find_prefix
from jaxbert.checkpoints.training_state import TrainingStates
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.flags import parse, to_flagfile
from jaxbert.config.training import TrainingFlags
from jaxbert.errors import InputError
from jaxbert.model.weights import Table, Tree, flatten, initialize, shapes, unflatten
from jaxbert.train.optimizers import AdamW
from jaxbert.train.step import State, initial_state

FLAG_FILE = "flags.txt"
# Flags that may change from one command in a folder to the next without making it another training.
FREE_FLAGS = frozenset(
    {
        "mode",
        "model_dir",
        "eval_data_path",
        "eval_batch_size",
        "predict_checkpoint_path",
        "test_file",
        "num_workers",
        "log_steps",
        "save_checkpoints_steps",
        "keep_checkpoints",
        "compile_cache",
        "distribution_strategy",
        "num_gpus",
        "tpu",
    }
)


def say(text: str) -> None:
    """A line for the user, on standard error."""
    print(text, file=sys.stderr, flush=True)


def listed(results: Mapping[str, float]) -> str:
    """Metrics on one line."""
    return "  ".join(f"{name} {value:.4f}" for name, value in results.items())


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
    _check_heads(initial, config)
    report = match(initial.weights, shapes(table), initial.source, initial.unused, allow_partial)
    say(f"{report} ({initial.layout})")
    return {path: initial.weights[path] for path in report.loaded}, report


def _check_heads(initial: InitialWeights, config: BertConfig) -> None:
    found = initial.attention_heads
    if found is not None and found != config.num_attention_heads:
        raise InputError(
            f"`{initial.source}` has {found} attention heads, bert_config.json says `num_attention_heads`"
            f" {config.num_attention_heads}",
            "give the configuration that belongs to the checkpoint",
        )


def start_state(states: TrainingStates, table: Table, optimizer: AdamW, start: Callable[[], Tree], mesh: Mesh) -> State:
    """The newest saved state, or the first one, with the weights that `start` gives; on the devices of `mesh`."""
    latest = states.latest_step()
    if latest is None:
        state: State = jax.device_put(initial_state(start(), optimizer), replicated(mesh))
        return state
    say(f"going on after step {latest}")
    like = jax.eval_shape(lambda: initial_state(initialize(table, seed=0, stddev=1.0), optimizer))
    restored: State = states.restore(latest, like, replicated(mesh))
    return restored


def start_weights(flags: TrainingFlags, config: BertConfig, table: Table, dense_head: DenseHead) -> Tree:
    """Weights before the first step: from `--init_checkpoint` where it has them, the others at random."""
    loaded: Mapping[str, np.ndarray] = {}
    if flags.init_checkpoint is None:
        say("no --init_checkpoint: training starts from random weights")
    else:
        loaded, _ = load(flags.init_checkpoint, config, table, dense_head, flags.allow_partial_init)
    rest = {path: weight for path, weight in table.items() if path not in loaded}
    fresh = flatten(initialize(rest, flags.seed, config.initializer_range))
    return unflatten({path: loaded[path] if path in loaded else fresh[path] for path in table})


def devices(flags: TrainingFlags) -> Mesh:
    """The devices that `--distribution_strategy` and `--num_gpus` name."""
    found = jax.local_devices()
    wanted = 1 if flags.distribution_strategy in ("off", "one_device") else (flags.num_gpus or len(found))
    if wanted > len(found):
        raise InputError(f"`--num_gpus={wanted}`: this machine has {len(found)} devices ({found[0].platform})")
    return data_mesh(found[:wanted])


def check_paths(flags: TrainingFlags) -> None:
    """Fail before any work where `--model_dir` cannot be used or holds another run, or no checkpoint can be found."""
    files.check_folder(flags.model_dir)
    if TrainingStates.exist(_states_folder(flags)):
        names = [field.name for field in dataclasses.fields(flags) if field.name not in FREE_FLAGS]
        refuse_changes(flags, names)
    elif flags.init_checkpoint is not None:
        check_source(flags.init_checkpoint)


def open_states(flags: TrainingFlags) -> TrainingStates:
    """The saved states of `--model_dir`, beside which the flags of the run are written."""
    states = TrainingStates(_states_folder(flags), flags.keep_checkpoints)
    files.write_text(os.path.join(flags.model_dir, FLAG_FILE), to_flagfile(flags))
    return states


def _states_folder(flags: TrainingFlags) -> str:
    return os.path.join(flags.model_dir, "checkpoints")


def refuse_changes(flags: TrainingFlags, names: Sequence[str]) -> None:
    """Raise `InputError` when one of these flags differs from what `--model_dir` was trained with."""
    path = os.path.join(flags.model_dir, FLAG_FILE)
    if not os.path.exists(path):
        return
    previous = parse(type(flags), [f"--flagfile={path}"], {}).options
    other = [name for name in names if getattr(previous, name) != getattr(flags, name)]
    if other:
        changes = ", ".join(f"--{name} was `{getattr(previous, name)}`, is `{getattr(flags, name)}`" for name in other)
        raise InputError(
            f"`{flags.model_dir}` holds another run: {changes}",
            f"choose another `--model_dir`, or go on with `--flagfile={path}`",
        )
