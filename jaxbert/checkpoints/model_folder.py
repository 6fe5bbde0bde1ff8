# SPDX-License-Identifier: Apache-2.0
"""A folder with everything a trained model needs: weights, configuration, vocabulary, metadata.

`model.safetensors` holds the weights under their TF1 names; `bert_config.json`, `vocab.txt` and `meta_data` are as in
the released models and in `create_finetuning_data`'s output; `tokenizer_config.json` says whether text is lower-cased.
Each file appears whole or not at all, `eval_results.json` last.
"""

import json
import os
from collections.abc import Mapping

import numpy as np

from jaxbert.checkpoints.tensors import write_tensors
from jaxbert.io import files

OUR_FILE, CONFIG_FILE, VOCAB_FILE, TOKENIZER_FILE, META_DATA_FILE, RESULTS_FILE = (
    "model.safetensors",
    "bert_config.json",
    "vocab.txt",
    "tokenizer_config.json",
    "meta_data",
    "eval_results.json",
)
SWEEP_FILE, GLUE_FILE = "sweep.json", "glue.json"  # in the folders of `sweep` and of each task, and of `run_glue`
STATE_ENDING = ".safetensors"  # of a training state in remote storage


def write_model(
    folder: str, weights: Mapping[str, np.ndarray], texts: Mapping[str, str], results: Mapping[str, float]
) -> None:
    """Write weights (TF1 name -> array), the files `texts` (name -> content), and `results`: metrics of these weights.

    Where there are no results, there is no file for them.
    """
    for name, content in texts.items():
        files.write_text(os.path.join(folder, name), content)
    write_tensors(os.path.join(folder, OUR_FILE), weights)
    if results:
        write_results(folder, results)


def write_results(folder: str, results: Mapping[str, float]) -> None:
    """Write the metrics of the weights in `folder`."""
    files.write_text(os.path.join(folder, RESULTS_FILE), json.dumps(results, indent=2) + "\n")


def read_results(folder: str) -> dict[str, float]:
    """The metrics written with the weights in `folder`; empty when there are none."""
    path = os.path.join(folder, RESULTS_FILE)
    return files.read_json_object(path, "metrics by name; mend or remove the file") if files.is_file(path) else {}


def has_model(folder: str) -> bool:
    """Whether `folder` holds weights."""
    return files.is_file(os.path.join(folder, OUR_FILE))


def models_of_run(folder: str) -> list[str]:
    """The names of the models in the folder of a run; empty where it is none."""
    return [name for name in ("best", "last", "pretrained") if has_model(os.path.join(folder, name))]


def models_of_sweep(folder: str) -> list[str]:
    """The path of the model that did best, in the folder of a sweep; empty where it is none."""
    path = os.path.join(folder, SWEEP_FILE)
    best = files.read_json_object(path, "the figures of a sweep").get("best_run") if files.is_file(path) else None
    if not isinstance(best, dict):
        return []
    model = os.path.join(folder, "runs", os.path.basename(best["folder"]), "best")  # the folder may have been moved
    return [model] if has_model(model) else []


def models_of_glue(folder: str) -> list[str]:
    """The paths of the models that did best at each task, in the folder of `run_glue`; empty where it is none."""
    tasks = files.names(folder) if files.is_file(os.path.join(folder, GLUE_FILE)) else []
    return [model for task in tasks for model in models_of_sweep(os.path.join(folder, task))]


def states_folder(model_dir: str) -> str:
    """Where the states of the training are saved."""
    return os.path.join(model_dir, "checkpoints")


def saved_steps(folder: str) -> list[int]:
    """The steps whose training states are in `folder` (folders on disk, files in remote storage), ascending."""
    steps = (name.removesuffix(STATE_ENDING) for name in files.names(folder))
    return sorted(int(step) for step in steps if step.isdecimal())
