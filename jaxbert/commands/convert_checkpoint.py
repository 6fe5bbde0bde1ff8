# SPDX-License-Identifier: Apache-2.0
"""Write a model in the format of another world: TensorFlow 1, TensorFlow 2, Hugging Face or our own."""

import os
from collections.abc import Collection

from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.tf_bundle import STATE_FILE, write_bundle
from jaxbert.checkpoints.tf_graph import write_tf2
from jaxbert.commands.whole_model import Model, compare, read_model, write_huggingface, write_texts
from jaxbert.config import bert_config
from jaxbert.config.models import ConvertFlags
from jaxbert.console import say
from jaxbert.io import files

_PREFIX = "bert_model.ckpt"  # as in the released archives
_TF1_ACTIVATIONS = ("gelu", "relu", "tanh", "linear")


def run(flags: ConvertFlags) -> None:
    """Read, check, write, and compare what was written with what was read."""
    files.refuse_filled_folder(flags.output_dir)
    model = read_model(flags)
    with files.whole_folder(flags.output_dir) as folder:
        stored = _write(model, flags.to, folder)
        compare(folder, {name: model.weights[name] for name in stored})
        written = sorted(os.listdir(folder))
    say(f"wrote {len(stored)} tensors, and read them back bit for bit: {', '.join(written)} in {flags.output_dir}")


def _write(model: Model, to: str, folder: str) -> Collection[str]:
    """Write all files; the names of the weights that are in them."""
    texts = {model_folder.CONFIG_FILE: bert_config.to_json(model.config), **model.texts}
    if to == "jaxbert":
        model_folder.write_model(folder, model.weights, texts, {})
    elif to == "huggingface":
        return write_huggingface(model, folder)
    else:
        _write_tensorflow(model, to, folder)
        state = f'model_checkpoint_path: "{_PREFIX}"\nall_model_checkpoint_paths: "{_PREFIX}"\n'
        write_texts(folder, texts | {STATE_FILE: state})
    return model.weights


def _write_tensorflow(model: Model, to: str, folder: str) -> None:
    prefix, activation = os.path.join(folder, _PREFIX), model.config.hidden_act
    if to == "tf1":
        write_bundle(prefix, model.weights)
    else:
        write_tf2(prefix, model.weights, model.config.num_attention_heads)
    if activation == "gelu_erf":
        say(
            "note: official code has no exact GELU and will refuse `gelu_erf`; its `gelu` is the tanh form, close to it"
        )
    elif to == "tf1" and activation not in _TF1_ACTIVATIONS:
        say(f"note: google-research/bert does not know `hidden_act` `{activation}` and will refuse it")
