# SPDX-License-Identifier: Apache-2.0
"""Flags of the trainers, with the names and defaults of the official ones."""

import dataclasses
import math
import os
import re

from jaxbert.config.data import TextDataFlags
from jaxbert.config.flags import flag, required_flag
from jaxbert.errors import InputError

REPORTERS = ("tensorboard", "wandb", "mlflow")


@dataclasses.dataclass(frozen=True)
class TrainingFlags:
    """What is trained, how, and where it goes."""

    init_checkpoint: str | None = flag(
        None,
        "Pretrained weights: a TensorFlow 1 or 2 checkpoint (prefix, index file or folder), a folder of Hugging Face or"
        " jaxbert, a hub module, or the name of a released model such as bert-base-uncased."
        " Without it training starts from random weights.",
        group="Model",
    )
    hub_module_url: str | None = flag(
        None,
        "The same for a hub module: a folder, a .tar.gz file, https://tfhub.dev/tensorflow/bert_.../1 or hf://owner/name."
        " Vocabulary and casing come with it.",
    )
    bert_config_file: str | None = flag(
        None, "Sizes of the model; default: what the checkpoint comes with, such as `bert_config.json` in its folder."
    )
    allow_partial_init: bool = flag(False, "Go on although weights of the encoder are missing in --init_checkpoint.")
    new_tokens: str = flag(
        "refuse",
        "Tokens that --vocab_file has behind those of --init_checkpoint: whether their word vectors start as the mean"
        " of the others, or at random.",
        choices=("refuse", "mean", "random"),
    )

    model_dir: str = required_flag(
        "Folder for everything the run writes; the same command run again continues from what is there.",
        group="Output",
        short="md",
    )
    save_checkpoints_steps: int = flag(1000, "Steps between saves, besides the end of each epoch.", minimum=1)
    keep_checkpoints: int = flag(
        1, "Training states that are kept, the newest ones; best and last weights are kept always.", minimum=1
    )
    log_steps: int = flag(100, "Steps between log lines; 0: only one, for the last step.", minimum=0)
    report_to: str = flag(
        "tensorboard",
        "Who is told loss, rate and metrics, besides summaries/metrics.jsonl in --model_dir: tensorboard (events in the"
        " same folder), wandb, mlflow; several with commas, or none. The last two are packages of their own, which read"
        " where they report to from their own variables, such as WANDB_MODE=offline or MLFLOW_TRACKING_URI.",
    )

    train_batch_size: int = flag(32, "Examples in a step, over all devices.", minimum=1, group="Training")
    num_train_epochs: float = flag(3.0, "Passes over the training data.", minimum=0.0)
    learning_rate: float = flag(5e-5, "Peak learning rate, reached at the end of the warm-up.", minimum=0.0)
    warmup_proportion: float = flag(
        0.1, "Share of training for the warm-up, in which the learning rate rises from 0.", minimum=0.0, maximum=1.0
    )
    end_lr: float = flag(0.0, "Learning rate at the end of the linear decay.", minimum=0.0)
    optimizer_type: str = flag(
        "adamw", "The optimizer; lamb is for batches of thousands (arXiv 1904.00962).", choices=("adamw", "lamb")
    )
    weight_decay: float = flag(
        0.01,
        "Share of each weight that a step takes away, times the learning rate; not of LayerNorm and biases.",
        minimum=0.0,
    )
    adam_bias_correction: bool = flag(
        True,
        "Correct Adam's moments for their start at zero, as the official TensorFlow 2 trainers do;"
        " --noadam_bias_correction is the optimizer of the TensorFlow 1 scripts and the paper.",
    )
    seed: int = flag(0, "Random seed of initial weights, order of examples and dropout.", minimum=0, maximum=2**32 - 1)

    dtype: str = flag(
        "auto",
        "Compute dtype of matmuls and activations; weights, softmax, LayerNorm statistics and losses stay float32."
        " auto trains in bf16 where the device is faster in it, else in fp32, and evaluates and predicts in fp32.",
        choices=("fp32", "bf16", "fp16", "auto"),
        group="Machine",
        short="dt",
    )
    loss_scale: str = flag(
        "dynamic", "Loss scale for --dtype=fp16: a number, or dynamic to adjust it by itself.", short="ls"
    )
    gradient_accumulation_steps: int = flag(
        1, "Micro-batches in which a batch is computed one after the other, to save memory; same result.", minimum=1
    )
    remat: bool = flag(
        False, "Keep only the input of each layer for the backward pass: less memory, about a third more work."
    )
    distribution_strategy: str = flag(
        "mirrored",
        "off and one_device use the first device of this machine, mirrored all of them (or --num_gpus), tpu those of"
        " the TPU and all its hosts, multi_worker_mirrored those of all hosts: start the same command on each.",
        choices=("off", "one_device", "mirrored", "multi_worker_mirrored", "tpu"),
        short="ds",
        refused={"parameter_server": "its loop was never written for BERT; multi_worker_mirrored is for several hosts"},
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
    steps_per_loop: int = flag(
        1,
        "Steps in one call of the compiled program; helps where a step takes a few milliseconds.",
        minimum=1,
    )
    compile_cache: str = flag(
        "~/.cache/jaxbert", "Folder where compiled programs are kept from run to run; empty: nowhere."
    )

    @property
    def start_checkpoint(self) -> str | None:
        """The weights to start from, which have two flags; None for random ones."""
        return self.init_checkpoint if self.hub_module_url is None else self.hub_module_url

    @property
    def reported_to(self) -> list[str]:
        """The programs of `--report_to`."""
        return [] if self.report_to in ("", "none") else [*dict.fromkeys(self.report_to.split(","))]

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        if unknown := {*self.reported_to} - {*REPORTERS}:
            raise InputError(
                f"`--report_to={self.report_to}`: `{min(unknown)}` is not known",
                f"give some of {', '.join(REPORTERS)}, with commas between them, or none",
            )
        if self.hub_module_url is not None and self.init_checkpoint not in (None, self.hub_module_url):
            raise InputError(
                f"`--hub_module_url={self.hub_module_url}` and `--init_checkpoint={self.init_checkpoint}` both say"
                " where the weights come from",
                "leave out one of them",
            )
        if self.optimizer_type == "lamb" and not self.adam_bias_correction:
            raise InputError(
                "`--noadam_bias_correction` is for `--optimizer_type=adamw`", "LAMB always corrects its moments"
            )
        if self.train_batch_size % self.gradient_accumulation_steps:
            raise InputError(
                f"`--gradient_accumulation_steps={self.gradient_accumulation_steps}` does not divide"
                f" `--train_batch_size={self.train_batch_size}`",
                "`--gradient_accumulation_steps=1` computes a batch at once",
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


@dataclasses.dataclass(frozen=True)
class FineTuningFlags(TrainingFlags):
    """What is done with a model: trained, evaluated, used, written for other programs."""

    mode: str = flag(
        "train_and_eval",
        "What to do.",
        choices=("train_and_eval", "train", "eval", "predict", "export_only"),
        group="Mode",
    )
    predict_checkpoint_path: str | None = flag(
        None,
        "Weights for --mode=predict, eval and export_only; default: the best ones in --model_dir, or the last.",
        group="Model",
    )
    vocab_file: str | None = flag(None, "Vocabulary; default: `vocab.txt` in the folder of the checkpoint.")
    do_lower_case: bool | None = flag(
        None,
        "Lower-case the text and drop accents; default: as the model says, or else unless 5 % of the words of the"
        " vocabulary have capitals.",
    )
    model_export_path: str | None = flag(
        None,
        "A new folder for the trained model as a SavedModel, written after training or with --mode=export_only;"
        " `jaxbert export` knows more formats.",
        group="Output",
    )

    records_dir: str | None = flag(
        None, "Folder for the records that are made of texts, which runs may share; default: records in --model_dir."
    )

    @property
    def records_folder(self) -> str:
        """Where the records are that are made of texts."""
        return self.records_dir or os.path.join(self.model_dir, "records")

    best_metric: str | None = flag(
        None,
        "The metric of evaluation that decides which weights are `best`: one of those that are printed, or loss. Of"
        " loss and mean_squared_error less is better. Equal ones go to the lower loss, then to the earlier."
        " Default: the task's first.",
        group="Training",
    )
    patience: int | None = flag(
        None,
        "End the training after so many evaluations one after the other without a better `best`. The learning rate does"
        " not know of it: it falls as if all epochs were trained.",
        minimum=1,
    )
    hidden_dropout_prob: float | None = flag(
        None,
        "Dropout rate of outputs in this run, also before the head unless the model has `classifier_dropout`; default:"
        " as the model's configuration says, whose file stays as it is.",
        minimum=0.0,
    )
    attention_dropout_prob: float | None = flag(
        None, "The same for attention probabilities (`attention_probs_dropout_prob`).", minimum=0.0
    )
    layer_lr_decay: float = flag(
        1.0,
        "Lower layers learn more slowly: of L layers, number l (from 0) has the learning rate times this to the power"
        " of L - 1 - l, the embeddings times this to the power of L; the last layer, pooler and head have all of it.",
        maximum=1.0,
    )
    freeze: str = flag(
        "",
        "Parts that keep their weights, separated by commas: embeddings, layer_0, layer_0-3, pooler, or encoder, which"
        " is embeddings and all layers.",
    )
    reinit_layers: int = flag(
        0, "The last so many layers, and the pooler, start at random (by --seed) in place of as loaded.", minimum=0
    )

    @property
    def trains(self) -> bool:
        """Whether the mode trains."""
        return self.mode.startswith("train")

    @property
    def export_folder(self) -> str | None:
        """Where a SavedModel is written, if the mode writes one."""
        return self.model_export_path or None if self.trains or self.mode == "export_only" else None

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.mode == "export_only" and self.export_folder is None:
            raise InputError("`--mode=export_only` needs a folder to export to", "give `--model_export_path`")
        for name in ("hidden_dropout_prob", "attention_dropout_prob"):
            if (getattr(self, name) or 0.0) >= 1.0:
                raise InputError(f"`--{name}={getattr(self, name)}`: expected 0 <= p < 1")
        if not self.layer_lr_decay > 0.0:
            raise InputError(f"`--layer_lr_decay={self.layer_lr_decay}`: expected above 0, at most 1")
        for name in ("best_metric", "patience"):
            if self.trains and not self.mode.endswith("eval") and getattr(self, name) is not None:
                raise InputError(
                    f"`--{name}={getattr(self, name)}` needs evaluations, and `--mode={self.mode}` has none",
                    "give `--mode=train_and_eval`, or leave the flag out",
                )


@dataclasses.dataclass(frozen=True)
class ClassifierFlags(TextDataFlags, FineTuningFlags):
    """Fine-tuning a classifier or regressor, from records or straight from the files of a task."""

    train_data_path: str | None = flag(
        None, "Training records as create_finetuning_data writes them, globs separated by commas.", group="Records"
    )
    eval_data_path: str | None = flag(None, "Records to evaluate on, or with --mode=predict to predict.")
    input_meta_data_path: str | None = flag(None, "The metadata file beside the records.")
    train_data_size: int | None = flag(None, "Train on only so many records, the first ones.", minimum=1)
    eval_batch_size: int = flag(
        32, "Examples evaluated together, more of short ones in the same memory.", minimum=1, group="Machine"
    )
    num_eval_per_epoch: int = flag(1, "Evaluations in an epoch.", minimum=1, group="Training")
    long_texts: str | None = flag(
        None,
        "What becomes of texts longer than --max_seq_length: cut, or read in windows, of which each is trained with the"
        " label of its text, and whose outputs are pooled where texts are evaluated and predicted. Of a pair the longer"
        " text is cut into windows, the other one is whole in each as far as half of the tokens go. Default: cut, and"
        " later as the model was trained.",
        choices=("cut", "windows"),
        group="From text to tokens",
    )
    doc_stride: int | None = flag(
        None,
        "Tokens between the beginnings of the windows of a long text; default: half of the tokens of a window.",
        minimum=1,
    )
    window_pooling: str | None = flag(
        None,
        "How the logits of its windows become those of a text: their mean (the default) or the largest.",
        choices=("mean", "max"),
    )
    class_weights: str | None = flag(
        None,
        "How much the examples of each class count in the loss of training: balanced (n examples of C classes over C"
        " times those of the class), or name:2.0,other:0.5, where others count 1. The loss is the weighted mean over"
        " the batch. Where a text may have several labels it is the weight of a label that is there; balanced is those"
        " without it over those with it.",
        group="Training",
    )
    eval_share: float = flag(
        0.0,
        "Where there is no set for evaluation: the share of the training examples that is held out for it, of each"
        " class alike, by --seed. Their ids are written to held_out_ids.txt in --model_dir.",
        minimum=0.0,
        maximum=0.9,
    )
    label_smoothing: float = flag(
        0.0,
        "Share of each label that is spread over all classes, in the loss of training alone.",
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.class_weights not in (None, "balanced"):
            weights_by_class(self.class_weights)
        if self.has_text_data and (self.train_data_path or self.eval_data_path):
            raise InputError(
                "records and text data are both given",
                "give `--train_data_path` and `--eval_data_path`, or `--data_dir`, or `--train_file` and its like",
            )
        if self.eval_share and self.trains and (self.mode == "train" or not self.has_text_data or self.eval_file):
            why = "`--mode=train` evaluates nothing" if self.mode == "train" else "there are records"
            raise InputError(
                f"`--eval_share={self.eval_share}`, but {'there is `--eval_file`' if self.eval_file else why}",
                "it is for a `--train_file` without `--eval_file`; leave it out",
            )
        if not self.has_text_data and self.input_meta_data_path is None and self.trains:
            raise InputError(
                "there is no data",
                "give `--train_file` with `--text_a_column` and `--label_column`, or `--data_dir` with the files of a"
                " task, or records by `--input_meta_data_path`, `--train_data_path` and `--eval_data_path`",
            )


def weights_by_class(text: str) -> dict[str, float]:
    """What `--class_weights` says where it is not `balanced`. Raises InputError where it is not read."""
    given: dict[str, str] = dict(re.findall(r"(.+?):([^:,]+)(?:,|$)", text))
    if ",".join(f"{name}:{weight}" for name, weight in given.items()) != text:
        raise InputError(f"`--class_weights={text}` is not read", "write `balanced`, or `name:2.0,other:0.5`")
    return {name: _weight(text, weight) for name, weight in given.items()}


def _weight(text: str, weight: str) -> float:
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"`--class_weights={text}`: `{weight}` is no number above 0")
    return value


@dataclasses.dataclass(frozen=True)
class SquadFlags(FineTuningFlags):
    """Fine-tuning on SQuAD 1.1 or 2.0, from records or straight from its JSON files; answers and their scores."""

    mode: str = flag(
        "train_and_eval",
        "What to do. train_and_eval predicts, and scores where --predict_file has answers; train_and_predict and"
        " predict only predict.",
        choices=("train_and_eval", "train_and_predict", "train", "eval", "predict", "export_only"),
        group="Mode",
    )
    train_data_path: str | None = flag(
        None, "Training records of create_finetuning_data, globs separated by commas.", group="Data"
    )
    input_meta_data_path: str | None = flag(None, "The metadata file beside the records; it says how windows are cut.")
    train_file: str | None = flag(
        None, "SQuAD file to train on, in place of records: JSON, Parquet, Arrow, or a folder of `datasets`."
    )
    predict_file: str | None = flag(None, "SQuAD files to answer, globs separated by commas; one file to score.")
    max_seq_length: int | None = flag(
        None, "Tokens in a window, special ones included; default: 384.", minimum=5, group="Data"
    )
    doc_stride: int | None = flag(
        None, "Tokens between the beginnings of the windows of a long context; default: 128.", minimum=1
    )
    max_query_length: int | None = flag(None, "Tokens of a question; longer ones are cut; default: 64.", minimum=1)
    version_2_with_negative: bool | None = flag(
        None, "SQuAD 2.0, where some questions have no answer; default: as the metadata says, or else false."
    )
    strict: bool = flag(False, "End at an answer that is not where the file says, instead of leaving its question out.")
    num_workers: int = flag(0, "Processes that make records at the same time; 0: one on each core.", minimum=0)
    predict_batch_size: int = flag(
        8, "Windows predicted together, more of short ones in the same memory.", minimum=1, group="Machine"
    )
    n_best_size: int = flag(20, "Answers to keep of each question.", minimum=1, group="Output")
    max_answer_length: int = flag(30, "Longest answer, in tokens.", minimum=1)
    null_score_diff_threshold: float | None = flag(
        None,
        "SQuAD 2.0: no answer where its score is above that of the best answer by more than this; default: what did"
        " best when the model was evaluated, or 0.",
    )

    @property
    def answers(self) -> bool:
        """Whether the mode predicts answers."""
        return self.mode not in ("train", "export_only")

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.answers and self.predict_file is None:
            raise InputError(f"`--predict_file` must be given with `--mode={self.mode}`", "`--mode=train` only trains")
        if self.trains and bool(self.train_data_path) == bool(self.train_file):
            raise InputError(
                "give `--train_data_path` with `--input_meta_data_path`, or `--train_file` with a SQuAD file"
                + ("" if self.train_file else ": there is nothing to train on"),
                "both name training data" if self.train_file else "",
            )
        if self.train_data_path and self.input_meta_data_path is None and self.trains:
            raise InputError(
                "`--input_meta_data_path` must be given with `--train_data_path`",
                "it is the file that `create_finetuning_data` wrote to `--meta_data_file_path`",
            )


@dataclasses.dataclass(frozen=True)
class TaggerFlags(FineTuningFlags):
    """Fine-tuning a model that gives each word a tag, such as the names of persons and places; its spans and scores."""

    mode: str = flag(
        "train_and_eval",
        "What to do.",
        choices=("train_and_eval", "train", "eval", "predict"),
        group="Mode",
    )
    train_file: str | None = flag(
        None,
        "Sentences to train on: columns with a word a line and blank lines between sentences (CoNLL), JSON lines with"
        " `tokens` and `tags` or with `text` and `spans`, Parquet, Arrow, or a folder of `datasets`.",
        group="Data",
    )
    eval_file: str | None = flag(None, "Sentences for evaluation.")
    test_file: str | None = flag(None, "Sentences to predict; they need no tags.")
    token_column: str | None = flag(
        None, "Column of the words: its number from 0, or its name (in the first line, in JSON its key); default: 0."
    )
    tag_column: str | None = flag(None, "Column of the tags; default: the last one, by name `tags` or `ner_tags`.")
    scheme: str | None = flag(
        None,
        "How tags of entities are written; default: as they show. iob1: B- only between two of a type; iob2: B- begins"
        " each; iobes and bilou: E- or L- ends, S- or U- is one word; plain: a tag stands for its word alone. IOB1 is"
        " learnt as IOB2.",
        choices=("iob1", "iob2", "iobes", "bilou", "plain"),
    )
    context: str | None = flag(
        None,
        "What is read together: sentences, or documents as in the paper of BERT, which begin with -DOCSTART-; default:"
        " as the model was trained, or else sentences.",
        choices=("sentence", "document"),
    )
    max_seq_length: int | None = flag(
        None,
        "Tokens that are read together, [CLS] and [SEP] included; what is longer is read in windows; default: 128 in"
        " training, of documents as many as the model has positions, and later as it was trained.",
        minimum=4,
        group="Data",
    )
    eval_batch_size: int = flag(
        32, "Windows evaluated together, more of short ones in the same memory.", minimum=1, group="Machine"
    )

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        needed = {"train": ["train_file"], "train_and_eval": ["train_file", "eval_file"], "eval": ["eval_file"]}
        for name in needed.get(self.mode, ["test_file"]):
            if getattr(self, name) is None:
                raise InputError(
                    f"`--{name}` must be given with `--mode={self.mode}`",
                    "`--mode=train` only trains" if name == "eval_file" else "",
                )
        if self.model_export_path:
            raise InputError(
                "`--model_export_path` writes a SavedModel, and none is made of a model that tags words",
                "`jaxbert convert_checkpoint --to=huggingface` writes it for `transformers`",
            )


@dataclasses.dataclass(frozen=True)
class MultipleChoiceFlags(FineTuningFlags):
    """Fine-tuning on questions with choices, straight from their files."""

    mode: str = flag(
        "train_and_eval", "What to do.", choices=("train_and_eval", "train", "eval", "predict"), group="Mode"
    )
    data_dir: str | None = flag(
        None,
        "Folder of SWAG (train.csv, val.csv, test.csv), or a data set as the library `datasets` has it.",
        group="Data",
    )
    train_file: str | None = flag(
        None,
        "Questions to train on: .csv or .tsv, JSON lines, Parquet, Arrow, a folder of `datasets`, or a pattern for"
        " several files. SWAG, RACE and ARC are known by their columns or keys; the columns of other tables are named.",
    )
    eval_file: str | None = flag(None, "Questions for evaluation.")
    test_file: str | None = flag(None, "Questions to predict; they need no answer.")
    context_column: str | None = flag(None, "Column of the text that is read first.")
    question_column: str | None = flag(None, "Column of what stands in front of each choice.")
    choice_columns: str | None = flag(
        None,
        "Columns of the choices, separated by commas, of which the last may be empty; or one column with a list of"
        " them.",
    )
    label_column: str | None = flag(
        None, "Column of the right choice: its number from 0, its letter from A, or the name of its column."
    )
    id_column: str | None = flag(None, "Column that tells the question apart; default: its number from 0.")
    max_seq_length: int | None = flag(
        None,
        "Tokens of a choice with its question and context, [CLS] and [SEP] included; longer contexts are cut; default:"
        " 128 in training, and later what the model was trained with.",
        minimum=5,
    )
    num_workers: int = flag(
        0, "Processes that tokenize at the same time; 0: one on each core.", minimum=0, group="Machine"
    )
    eval_batch_size: int = flag(32, "Choices evaluated together, more of short ones in the same memory.", minimum=1)

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.model_export_path:
            raise InputError(
                "`--model_export_path`: a model for multiple choice is not written as SavedModel",
                "`jaxbert export --format=huggingface` writes it for `transformers`",
            )
        columns = (self.context_column, self.question_column, self.choice_columns, self.label_column, self.id_column)
        if any(columns) and not (self.choice_columns and (self.context_column or self.question_column)):
            raise InputError(
                "columns of a table are given, but not all that are needed",
                "give `--choice_columns`, and `--context_column` or `--question_column` or both",
            )
        named = [name for column in columns if column for name in column.split(",")]
        if len(set(named)) < len(named) or not all(named):
            raise InputError(f"the columns {', '.join(named)} are not named apart", "name each column once")
        if self.choice_columns and not self.label_column and self.mode != "predict":
            raise InputError(f"`--label_column` must be given with `--mode={self.mode}`", "name the right choice")


@dataclasses.dataclass(frozen=True)
class PretrainingFlags(TrainingFlags):
    """Pretraining a BERT on records of `create_pretraining_data`."""

    input_files: str = required_flag("Training records, globs separated by commas.", group="Data")
    eval_files: str | None = flag(None, "Held-out records to evaluate on after each epoch, globs separated by commas.")
    max_seq_length: int | None = flag(None, "Positions of a record; default: as many as the records have.", minimum=5)
    max_predictions_per_seq: int | None = flag(
        None,
        "Masked positions of a record; default: as many as the records have, or for records without masks"
        " --max_seq_length times --masked_lm_prob.",
        minimum=1,
    )
    use_next_sentence_label: bool = flag(True, "Predict also whether the second text of a record is a random one.")
    masked_lm_prob: float | None = flag(
        None,
        "Of records without masks, which each epoch masks anew: share of the tokens to predict; default: 0.15.",
        minimum=0,
        maximum=1,
    )
    do_whole_word_mask: bool = flag(False, "Of records without masks: mask all pieces of a word or none.")
    max_ngram_size: int | None = flag(None, "With whole words: mask runs of up to this many words.", minimum=1)
    vocab_file: str | None = flag(
        None,
        "Vocabulary of the records; default: `vocab.txt` beside --init_checkpoint. It goes with the model.",
        group="Model",
    )
    do_lower_case: bool | None = flag(
        None,
        "Whether the text of the records was lower-cased; it is written beside the model; default: as the model says,"
        " or else as the records show, or the vocabulary.",
    )

    num_train_epochs: float = flag(3.0, "Times --num_steps_per_epoch.", minimum=0.0, group="Training")
    eval_batch_size: int = flag(32, "Records that are evaluated together.", minimum=1, group="Machine")
    num_steps_per_epoch: int = flag(1000, "Steps between evaluations.", minimum=1, group="Training")
    warmup_steps: float = flag(10000, "Steps of the warm-up, in which the learning rate rises from 0.", minimum=0)
    warmup_proportion: float = flag(
        0.0,
        "Share of training for the warm-up; above 0 it counts in place of --warmup_steps.",
        minimum=0.0,
        maximum=1.0,
    )
