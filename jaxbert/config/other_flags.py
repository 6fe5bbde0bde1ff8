# SPDX-License-Identifier: Apache-2.0
"""Flags of other programs: those that mean nothing any more, and those that are written in another way here."""

_DEVICES = "JAX finds the devices of this machine by itself."
_CLOUD = "the program runs on the machine that holds the devices; start it there."
_LOOP = "every step is compiled as a whole and the host runs ahead of the device by itself."
_COMPILED = "the program is always compiled by XLA."
_REDUCE = "XLA chooses how gradients are summed over devices."
_SCALE = "there is one way: weights in float32, products in float16, scaled losses."
_THREADS = "threads are chosen from the number of cores."
_XTREME = "it is for tasks of XTREME, of which no records are made."
_MESSAGES = "messages are written to standard error, where `2>FILE` keeps them."
_GIN = "all settings are flags; keep them in a file with `--flagfile`."

# Flags of the TensorFlow BERT scripts that no longer mean anything: name -> why, in one sentence. They are accepted in
# every spelling and ignored, so that old command lines keep working.
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
    "gin_params": _GIN,
    "checkpoint_model_name": "the checkpoint that is written is restored as `model=` and as `encoder=`.",
    "converted_model": "all heads that the model has are converted.",
    "copy_pooler_dense_to_encoder": "there is one pooler, the one that was trained.",
    "sp_model_file": "words are cut by WordPiece; a model of SentencePiece is not read.",
    "translated_input_data_dir": _XTREME,
    "retrieval_task_name": _XTREME,
    "tagging_task_name": _XTREME,
    "tagging_only_use_en_train": _XTREME,
    "only_use_en_dev": _XTREME,
    # Flags of absl itself, which every official script has.
    "alsologtostderr": _MESSAGES,
    "logtostderr": _MESSAGES,
    "stderrthreshold": _MESSAGES,
    "showprefixforinfo": _MESSAGES,
    "log_dir": _MESSAGES,
    "verbosity": _MESSAGES,
    "v": _MESSAGES,
}

_INIT, _OUTPUT = ("`--init_checkpoint`",), ("`--output_dir`",)
_CONFIG, _VOCAB = ("`--bert_config_file`",), ("`--vocab_file`",)
_BATCH = ("`--train_batch_size`, which counts the examples on all devices together",)
_EVAL_BATCH = ("`--eval_batch_size`", "`--predict_batch_size`")
_EPOCHS, _RATE, _LENGTH = ("`--num_train_epochs`",), ("`--learning_rate`",), ("`--max_seq_length`",)
_STEPS = (
    "`--num_steps_per_epoch` and `--num_train_epochs`, whose product it is",
    "`--num_train_epochs`; a pass over n examples takes n / `--train_batch_size` steps",
)
_PROPORTION = "`--warmup_proportion`, the share of the training in which the learning rate rises"
_EVERY_EPOCH = ("leave it out: each epoch is evaluated and saved; `--save_checkpoints_steps` saves more often",)
_HELD_OUT = ("`--eval_file`", "`--eval_files`", "`--predict_file`")
_FRESH = ("leave it out, and give a `--model_dir` that does not exist yet",)
_EPSILON = ("leave it out: it is 1e-6, as in the official trainers",)
_BETAS = ("leave it out: they are 0.9 and 0.999",)
_ONE_BY_ONE = ("write each setting as a flag of its own; --flagfile=FILE reads them from a file",)
_PLACE = ("leave it out: `--distribution_strategy` says which devices are used",)
_CPU = ("leave it out, and set the environment variable JAX_PLATFORMS=cpu",)
_WORKERS = ("`--num_workers`", "leave it out: `--train_batch_size` examples are always read while others are computed")

# Flags of the TensorFlow 1 scripts, later official ones and transformers that mean something: name -> what to write
# here. They are refused with that. Of several sentences the first one counts all of whose flags the command has.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "do_train": (
        "`--mode=train_and_eval` (the default) or `--mode=train`",
        "leave it out: training on `--input_files` is what the command does",
    ),
    "do_eval": (
        "`--mode=eval`, or `--mode=train_and_eval` (the default), which trains before",
        "leave it out: `--eval_files` are evaluated after each epoch",
    ),
    "do_predict": ("`--mode=predict`",),
    "output_dir": ("`--model_dir`",),
    "overwrite_output_dir": _FRESH,
    "overwrite_cache": _FRESH,
    "resume_from_checkpoint": ("leave it out: the same command with the same `--model_dir` goes on",),
    "metric_for_best_model": ("`--best_metric`",),
    "greater_is_better": ("leave it out: of losses and errors less is better, of all else more",),
    "early_stopping_patience": ("`--patience`",),
    "label_smoothing_factor": ("`--label_smoothing`",),
    "load_best_model_at_end": ("leave it out: `best` in `--model_dir` holds the weights that did best",),
    "model_name_or_path": _INIT,
    "model_name": _INIT,
    "model": _INIT,
    "init_checkpoint": ("`--model`",),
    "tf_checkpoint_path": _INIT,
    "checkpoint_to_convert": _INIT,
    "model_checkpoint_path": _INIT,
    "converted_checkpoint_path": _OUTPUT,
    "pytorch_dump_path": ("`--output_dir`, with `--to=huggingface`",),
    "pytorch_dump_output": ("`--output_dir`, with `--to=huggingface`",),
    "export_path": ("`--model_export_path`", *_OUTPUT),
    "export_dir": ("`--model_export_path`", *_OUTPUT),
    "export_type": (
        "`--model=encoder`, or for model_with_mlm `--model=pretrainer`, with `--format=saved_model`; no model for"
        " preprocessing is written",
    ),
    "model_type": ("`--model=encoder` or `--model=squad`, with `--format=saved_model`",),
    "encoder_config_file": ("`--bert_config_file`, with the sizes as JSON",),
    "config_name": _CONFIG,
    "tokenizer_name": _VOCAB,
    "dataset_name": ("`--data_dir` or `--train_file`, with files on this machine", "`--train_file` with a SQuAD file"),
    "tfds_params": (
        "`--train_file` and `--eval_file`, with the data set as the library `datasets` has it, or as tables,"
        " and `--text_a_column`, `--label_column`",
    ),
    "translated_squad_data_folder": ("leave it out, and make records of each file with `--squad_data_file`",),
    "xlnet_format": ("leave it out: a question stands before its context, as in BERT",),
    "dataset_config_name": ("`--task_name`",),
    "validation_file": _HELD_OUT,
    "dev_file": _HELD_OUT,
    "input_file": ("`--input_files`, with records of `jaxbert create_pretraining_data`",),
    "train_file": ("`--input_files`, with records of `jaxbert create_pretraining_data`",),
    "max_train_samples": ("`--train_data_size`",),
    "max_eval_steps": ("leave it out: all of `--eval_files` is evaluated",),
    "max_length": _LENGTH,
    "max_len": _LENGTH,
    "per_device_train_batch_size": _BATCH,
    "per_gpu_train_batch_size": _BATCH,
    "batch_size": _BATCH,
    "per_device_eval_batch_size": _EVAL_BATCH,
    "per_gpu_eval_batch_size": _EVAL_BATCH,
    "eval_batch_size": _EVAL_BATCH[1:],
    "predict_batch_size": _EVAL_BATCH[:1],
    "num_train_steps": _STEPS,
    "max_steps": _STEPS,
    "epochs": _EPOCHS,
    "num_epochs": _EPOCHS,
    "lr": _RATE,
    "warmup_steps": (_PROPORTION,),
    "num_warmup_steps": ("`--warmup_steps`", _PROPORTION),
    "warmup_ratio": (_PROPORTION,),
    "lr_scheduler_type": ("leave it out: after the warm-up the rate always falls in a line, to `--end_lr`",),
    "optim": ("`--optimizer_type`",),
    "max_grad_norm": ("leave it out: it is 1 with `--optimizer_type=adamw`, and lamb does not clip",),
    "adam_epsilon": _EPSILON,
    "adam_beta1": _BETAS,
    "adam_beta2": _BETAS,
    "fp16": ("`--dtype=fp16`",),
    "bf16": ("`--dtype=bf16`",),
    "use_fp16": ("`--dtype=fp16`",),
    "gradient_checkpointing": ("`--remat`",),
    "logging_steps": ("`--log_steps`",),
    "save_steps": ("`--save_checkpoints_steps`",),
    "save_total_limit": ("`--keep_checkpoints`",),
    "keep_checkpoint_max": ("`--keep_checkpoints`",),
    "eval_steps": ("`--num_eval_per_epoch`", "`--num_steps_per_epoch`", *_EVERY_EPOCH),
    "eval_strategy": _EVERY_EPOCH,
    "evaluation_strategy": _EVERY_EPOCH,
    "save_strategy": _EVERY_EPOCH,
    "mlm_probability": ("`--masked_lm_prob`",),
    "dataloader_num_workers": _WORKERS,
    "preprocessing_num_workers": _WORKERS,
    "n_gpu": ("`--num_gpus`",),
    "local_rank": _PLACE,
    "no_cuda": _CPU,
    "use_cpu": _CPU,
    "experiment": _ONE_BY_ONE,
    "config_file": _ONE_BY_ONE,
    "params_override": _ONE_BY_ONE,
}
