# SPDX-License-Identifier: Apache-2.0
"""The flags that all trainers share, with the names and defaults of the official ones."""

import dataclasses
import math

from jaxbert.config.flags import flag, required_flag
from jaxbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class TrainingFlags:
    """What is trained, how, and where it goes."""

    model_dir: str = required_flag(
        "Folder for everything the run writes; the same command run again goes on from what is there.",
        group="Where",
        short="md",
    )
    init_checkpoint: str | None = flag(
        None,
        "Pretrained weights: a TensorFlow 1 or 2 checkpoint (prefix, index file or folder), a folder of Hugging Face or"
        " jaxbert, a hub module, or the name of a released model such as bert-base-uncased."
        " Without it training starts from random weights.",
    )
    hub_module_url: str | None = flag(
        None,
        "The same for a hub module: a folder, a .tar.gz file, https://tfhub.dev/tensorflow/bert_.../1 or hf://owner/name."
        " Vocabulary and letter case come with it.",
    )
    allow_partial_init: bool = flag(False, "Go on although weights of the encoder are missing in --init_checkpoint.")
    bert_config_file: str | None = flag(
        None, "Sizes of the model; default: what the checkpoint comes with, such as `bert_config.json` in its folder."
    )
    seed: int = flag(0, "Of initial weights, order of examples and dropout.", minimum=0, maximum=2**32 - 1)

    train_batch_size: int = flag(32, "Examples in a step, over all devices.", minimum=1, group="Training")
    gradient_accumulation_steps: int = flag(
        1, "Parts in which a batch is computed one after the other, to save memory; the result is the same.", minimum=1
    )
    num_train_epochs: float = flag(3.0, "Passes over the training data.", minimum=0.0)
    learning_rate: float = flag(5e-5, "Highest learning rate.", minimum=0.0)
    end_lr: float = flag(0.0, "Learning rate at the end of the linear decay.", minimum=0.0)
    warmup_proportion: float = flag(0.1, "Share of training in which the rate rises.", minimum=0.0, maximum=1.0)
    optimizer_type: str = flag(
        "adamw", "The optimizer; lamb is for batches of thousands (arXiv 1904.00962).", choices=("adamw", "lamb")
    )
    adam_bias_correction: bool = flag(
        True,
        "Correct Adam's moments for their start at zero, as the official TensorFlow 2 trainers do;"
        " --noadam_bias_correction is the optimizer of the TensorFlow 1 scripts and the paper.",
    )
    save_checkpoints_steps: int = flag(1000, "Steps between saves, besides the end of each epoch.", minimum=1)
    keep_checkpoints: int = flag(
        1, "Training states that are kept, the newest ones; best and last weights are kept always.", minimum=1
    )
    log_steps: int = flag(100, "Steps between log lines; 0: only one, for the last step.", minimum=0)

    dtype: str = flag(
        "fp32",
        "Number type of the products; weights, softmax, LayerNorm and losses stay float32.",
        choices=("fp32", "bf16", "fp16"),
        group="Machine",
        short="dt",
    )
    loss_scale: str = flag(
        "dynamic", "With --dtype=fp16, the factor of the loss: a number, or dynamic to find it by itself.", short="ls"
    )
    distribution_strategy: str = flag(
        "mirrored",
        "off and one_device use the first device of this machine, mirrored all of them (or --num_gpus), tpu those of"
        " the TPU and all its hosts, multi_worker_mirrored those of all hosts: start the same command on each.",
        choices=("off", "one_device", "mirrored", "multi_worker_mirrored", "tpu"),
        short="ds",
    )
    num_gpus: int | None = flag(None, "Devices of this machine to use; default: all.", minimum=0, short="ng")
    worker_hosts: str | None = flag(
        None,
        "All hosts as host:port, separated by commas, the same on each; default: what TF_CONFIG, SLURM, Open MPI,"
        " Kubernetes or Cloud TPU say.",
    )
    task_index: int = flag(-1, "Which of --worker_hosts this one is, from 0.", minimum=-1)
    tpu: str = flag("", "Empty or local: a TPU is used from its own machine; addresses mean nothing any more.")
    mesh: str = flag(
        "",
        "How devices share the work, like data:4,fsdp:2,tensor:1: examples are split over data x fsdp, stored weights"
        " over fsdp x tensor, each layer's work over tensor, which should divide the attention heads; default: data.",
    )
    scan_layers: bool = flag(
        False, "Compile one layer in place of all of them: compiles faster, runs slower on CPU and GPU."
    )
    remat: bool = flag(
        False, "Keep only what goes into each layer for the backward pass: less memory, about a third more work."
    )
    steps_per_loop: int = flag(
        1,
        "Steps in one call of the compiled program; helps where a step takes a few milliseconds.",
        minimum=1,
    )
    compile_cache: str = flag(
        "~/.cache/jaxbert", "Folder where compiled programs are kept from run to run; empty: nowhere."
    )

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together; weights to start from have two names and one place."""
        if self.hub_module_url is not None:
            if self.init_checkpoint not in (None, self.hub_module_url):
                raise InputError(
                    f"`--hub_module_url={self.hub_module_url}` and `--init_checkpoint={self.init_checkpoint}` both say"
                    " where the weights come from",
                    "leave out one of them",
                )
            object.__setattr__(self, "init_checkpoint", self.hub_module_url)
        if self.train_batch_size % self.gradient_accumulation_steps:
            raise InputError(
                f"`--gradient_accumulation_steps={self.gradient_accumulation_steps}` does not divide"
                f" `--train_batch_size={self.train_batch_size}`"
            )
        if self.loss_scale != "dynamic" and not _is_positive(self.loss_scale):
            raise InputError(
                f"`--loss_scale={self.loss_scale}` is neither `dynamic` nor a number above 0",
                "leave it out, or give a power of 2, like 1024",
            )


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
