# SPDX-License-Identifier: Apache-2.0
"""Flags of the TensorFlow BERT scripts that no longer mean anything: name -> why, in one sentence.

They are accepted in every spelling and ignored, so that old command lines keep working.
"""

_DEVICES = "JAX finds the devices of this machine by itself."
_CLOUD = "the program runs on the machine that holds the devices; start it there."
_LOOP = "every step is compiled as a whole and the host runs ahead of the device by itself."
_COMPILED = "the program is always compiled by XLA."
_REDUCE = "XLA chooses how gradients are summed over devices."
_SCALE = "there is one way: weights in float32, products in float16, scaled losses."
_THREADS = "threads are chosen from the number of cores."
_GIN = "all settings are flags; keep them in a file with `--flagfile`."

RETIRED = {
    "use_tpu": _DEVICES,
    "tpu_name": _CLOUD,
    "tpu_zone": _CLOUD,
    "gcp_project": _CLOUD,
    "master": _CLOUD,
    "num_tpu_cores": _DEVICES,
    "iterations_per_loop": _LOOP,
    "use_one_hot_embeddings": "embeddings are looked up in the way that is fastest on the device.",
    "scale_loss": "the gradient is always the mean over the whole batch, on any number of devices.",
    "train_summary_interval": "`--log_steps` says how often metrics are written.",
    "verbose_logging": "answers are parts of their contexts by construction; nothing goes wrong that could be logged.",
    "run_eagerly": _COMPILED,
    "use_keras_compile_fit": "there is one training loop.",
    "hub_module_trainable": "weights from a hub module are trained like any others.",
    "sub_model_export_name": "every model folder is an `--init_checkpoint`, from which the encoder is taken.",
    "explicit_allreduce": _REDUCE,
    "allreduce_bytes_per_pack": _REDUCE,
    "all_reduce_alg": _REDUCE,
    "ara": _REDUCE,
    "fp16_implementation": _SCALE,
    "tf_gpu_thread_mode": _THREADS,
    "gt_mode": _THREADS,
    "per_gpu_thread_count": _THREADS,
    "pgtc": _THREADS,
    "datasets_num_private_threads": _THREADS,
    "enable_xla": _COMPILED,
    "gin_file": _GIN,
    "gin_param": _GIN,
}
