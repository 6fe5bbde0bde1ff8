# SPDX-License-Identifier: Apache-2.0
"""Write a model as other programs run it: SavedModel, ONNX or Hugging Face, and compare its results with ours."""

import dataclasses
from typing import Literal, cast

import numpy as np

from jaxbert.checkpoints import huggingface, model_folder
from jaxbert.commands.result_comparison import Arrays, largest_difference, our_results, random_inputs
from jaxbert.commands.whole_model import Model, compare, read_model, write_huggingface, write_texts
from jaxbert.config import bert_config, trainers
from jaxbert.config.models import ExportFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.export.evaluation import run_onnx, run_saved_model
from jaxbert.export.network import MASK, NAMES, Exported, Kind, choose_weights, kind_of
from jaxbert.export.onnx import INPUTS, OUTPUTS, write_onnx
from jaxbert.export.saved_model import write_saved_model
from jaxbert.io import files
from jaxbert.tasks.fine_tuning import trained_checkpoint

Format = Literal["saved_model", "onnx", "huggingface"]
_SEED = 0


def run(flags: ExportFlags) -> None:
    """Read the model, choose what of it is exported, and export it."""
    files.refuse_filled_folder(flags.output_dir)
    chosen = cast(Kind | None, flags.model)
    model = read_model(flags, chosen if chosen in ("classifier", "squad") else None)
    export(model, chosen or kind_of(model.weights), cast(Format, flags.format), flags.output_dir)


def export_trained(flags: trainers.ClassifierFlags | trainers.SquadFlags, kind: Kind, output_dir: str) -> None:
    """Write the model in `--model_dir`, or of `--predict_checkpoint_path`, as a SavedModel."""
    trained = ExportFlags(
        init_checkpoint=trained_checkpoint(flags),
        output_dir=output_dir,
        bert_config_file=flags.bert_config_file,
        vocab_file=flags.vocab_file,
        do_lower_case=flags.do_lower_case,
        format="saved_model",
        model=kind,
    )
    run(trained)


def export(model: Model, kind: Kind, to: Format, output_dir: str) -> None:
    """Write a model of this kind into a new or empty folder, and say how far its results are from ours.

    Raises InputError where the model has not all weights of the kind, or broken ones, or the folder holds something.
    """
    weights = choose_weights(model.weights, kind, model.config.num_hidden_layers)
    if broken := [name for name, weight in weights.items() if not np.isfinite(weight).all()]:
        raise InputError(f"the model is broken: `{broken[0]}` holds numbers that are not finite", "train it again")
    model = dataclasses.replace(model, weights=weights)
    with files.whole_folder(output_dir) as folder:
        if to == "huggingface":
            stored = write_huggingface(model, folder)
            compare(folder, {name: weights[name] for name in stored})
            result = "it reads back bit for bit"
        else:
            exported = Exported(
                kind,
                model.config,
                weights,
                model.texts.get(model_folder.VOCAB_FILE),
                None if model.rules is None else model.rules.lower_case,
            )
            (_write_saved_model if to == "saved_model" else _write_onnx)(model, exported, folder)
            result = f"its results differ from ours by at most {_difference(exported, to, folder):.1e} on random inputs"
    say(f"wrote the {NAMES[kind]} to {output_dir}; {result}")


def _write_saved_model(model: Model, exported: Exported, folder: str) -> None:
    """Beside the module its configuration, which programs of TensorFlow do not look for, and ours do."""
    write_saved_model(folder, exported)
    texts = {name: text for name, text in model.texts.items() if name == model_folder.META_DATA_FILE}
    write_texts(folder, texts | {model_folder.CONFIG_FILE: bert_config.to_json(model.config)})
    if exported.vocab is None:
        say("note: no vocabulary is known, so the module comes without one")


def _write_onnx(model: Model, exported: Exported, folder: str) -> None:
    """Beside the file what else is needed to use it: configuration and tokenizer."""
    write_onnx(folder, exported)
    write_texts(folder, {model_folder.CONFIG_FILE: bert_config.to_json(model.config), **model.texts})
    if model.rules is not None:
        huggingface.write_tokenizer(folder, model.config, model.rules)


def _difference(exported: Exported, to: Format, folder: str) -> float:
    """Between what is computed from the written files and what we compute."""
    inputs = random_inputs(exported.config, _SEED)
    found = run_saved_model(folder, inputs) if to == "saved_model" else _run_onnx(folder, inputs)
    return largest_difference(found, our_results(exported, inputs), inputs[MASK])


def _run_onnx(folder: str, inputs: Arrays) -> Arrays:
    """The file's results under official names."""
    results = run_onnx(folder, {name: inputs[official].astype(np.int64) for official, name in INPUTS.items()})
    return {official: results[name] for official, name in OUTPUTS.items() if name in results}
