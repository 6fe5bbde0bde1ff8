# SPDX-License-Identifier: Apache-2.0
"""Flags of the commands that read a finished model or its answers."""

import dataclasses

from jaxbert.config.flags import argument, flag, required_flag


@dataclasses.dataclass(frozen=True)
class ModelFlags:
    """The model to read, and the folder to write."""

    init_checkpoint: str = required_flag("The model to read: whatever the trainers take as `--init_checkpoint`.")
    output_dir: str = required_flag("The folder to write, new or empty.")
    bert_config_file: str | None = flag(
        None, "Sizes of the model; default: what the checkpoint comes with, such as `bert_config.json` in its folder."
    )
    vocab_file: str | None = flag(None, "The vocabulary to go with it; default: the one in the checkpoint's folder.")
    do_lower_case: bool | None = flag(
        None,
        "Whether its text is lower-cased; default: as the model says, or unless 5 % of its vocabulary has capitals.",
    )


@dataclasses.dataclass(frozen=True)
class ConvertFlags(ModelFlags):
    """A model in the format of another program."""

    to: str = required_flag(
        "tf1: names of google-research/bert; tf2: for official code in TensorFlow 2, any version; huggingface: for"
        " `transformers`; jaxbert: a model folder as our trainers write it.",
        choices=("tf1", "tf2", "huggingface", "jaxbert"),
    )


@dataclasses.dataclass(frozen=True)
class ExportFlags(ModelFlags):
    """A model as other programs run it."""

    format: str = required_flag(
        "saved_model: for TensorFlow 2, as hub module and to be served; onnx: one file for onnxruntime and others;"
        " huggingface: for `transformers`.",
        choices=("saved_model", "onnx", "huggingface"),
    )
    model: str | None = flag(
        None,
        "What to export of it; default: with the head that it has, or the encoder alone.",
        choices=("encoder", "classifier", "squad", "tagger", "choice", "pretrainer"),
    )
    optimize: bool = flag(
        False,
        "With --format=onnx: fuse operations as onnxruntime's optimizer for BERT does, for onnxruntime only; needs"
        " `pip install onnx 'onnxruntime[symbolic]'`.",
    )
    quantize: str | None = flag(
        None,
        "With --format=onnx: round weights to 8 bits, a quarter of the size, and say what it costs; needs the same.",
        choices=("int8",),
    )


@dataclasses.dataclass(frozen=True)
class InspectFlags:
    """What to look at, and what to compare it with."""

    path: str = argument(
        "A model in any format that is read (also by the name of a released one), an ONNX file (needs the package"
        " `onnx`), TFRecords, metadata, a table, SQuAD, a folder of `datasets`, a vocabulary or a configuration."
    )
    bert_config_file: str | None = flag(None, "Compare the model with this configuration.")
    vocab_file: str | None = flag(None, "Compare the model with this vocabulary, or count the tokens of a table by it.")

    init_checkpoint: str | None = flag(
        None,
        "Count the tokens of a table as this model reads them; without it and --vocab_file words are counted.",
        group="Tables of texts, and records",
    )
    max_seq_length: int = flag(128, "Longer examples, special tokens included, are counted.", minimum=4)
    eval_file: str | None = flag(
        None, "A table, or records, to evaluate on: how many of its texts are in the other as well."
    )
    text_a_column: str | None = flag(None, "Column of the (first) text; default: one of the usual names.")
    text_b_column: str | None = flag(None, "Column of the second text of a pair.")
    label_column: str | None = flag(None, "Column of the label.")
    input_meta_data_path: str | None = flag(None, "Of records: the metadata file beside them, which names the classes.")


@dataclasses.dataclass(frozen=True)
class EvaluateSquadFlags:
    """Predictions and the answers they are compared with."""

    data_file: str = argument("SQuAD file with gold answers, such as dev-v1.1.json; it says which version it is.")
    prediction_file: str = argument("JSON object of question id and answer: predictions.json.")
    null_odds: str | None = flag(
        None,
        "SQuAD 2.0: JSON object of question id and how much speaks for no answer, null_odds.json; adds the best"
        " thresholds and the average precisions.",
    )
    na_prob_thresh: float | None = flag(
        None,
        "SQuAD 2.0 with --null_odds: questions above this count as not answered, whatever was predicted; default: 1.",
    )
