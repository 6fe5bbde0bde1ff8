# SPDX-License-Identifier: Apache-2.0
"""Flags of the commands that make data: which texts, how they become tokens, where records go."""

import dataclasses
import os
from typing import Literal

from jaxbert.config.flags import flag, required_flag
from jaxbert.errors import InputError

TASKS = ("AX", "COLA", "MNLI", "MRPC", "PAWS-X", "QNLI", "QQP", "RTE", "SST-2", "STS-B", "WNLI", "XNLI")
_AS_TABLES = "give its examples as tables or JSON lines in `--train_file`, with `--text_a_column` and `--label_column`"
# Of later official code, whose files have other layouts.
_OTHER_TASKS = dict.fromkeys(
    ("AX-g", "BoolQ", "CB", "IMDB", "SUPERGLUE-RTE", "WIC", "XTREME-PAWS-X", "XTREME-XNLI"), _AS_TABLES
)
_WORDS = {
    name: "give a vocabulary of WordPiece, as BERT has it; SentencePiece is of ALBERT"
    for name in ("SentencePiece", "sentence_piece")
}


@dataclasses.dataclass(frozen=True)
class TextFlags:
    """How texts become tokens, which part of a known task is meant, and tables of one's own."""

    do_lower_case: bool | None = flag(
        None,
        "Lower-case the text and drop accents; default: as the model says, or else unless 5 % of the words of the"
        " vocabulary have capitals.",
        group="From text to tokens",
    )
    num_workers: int = flag(
        0,
        "Processes that make records at the same time; 0: one on each core.",
        minimum=0,
        group="From text to tokens",
    )
    mnli_type: str = flag(
        "matched",
        "Which evaluation and test set of MNLI.",
        choices=("matched", "mismatched"),
        group="Text data of a known task",
    )
    xnli_language: str = flag("en", "Language of the XNLI training set; `all` for its 15 languages.")
    pawsx_language: str = flag("en", "Language of the PAWS-X training set; `all` for its 7 languages.")
    train_file: str | None = flag(
        None,
        "Training examples instead of a known task: .tsv, .csv, .jsonl, Parquet, Arrow, or a folder of `datasets`.",
        group="Text data of your own",
    )
    eval_file: str | None = flag(None, "Examples for evaluation.")
    test_file: str | None = flag(None, "Examples to predict; they need no label.")
    text_a_column: str | None = flag(
        None,
        "Column of the (first) text: its name (in the first line, in JSON its key), or its number from 0 where there is"
        " no header. In the folder of a run the columns of its training serve again where a file has them.",
    )
    text_b_column: str | None = flag(None, "Column of the second text of a pair.")
    label_column: str | None = flag(
        None,
        "Column of the label. Where an example may have several: a column of names with | between them (in JSON a"
        " list), or columns of 1 and 0, separated by commas.",
    )
    id_column: str | None = flag(None, "Column that tells the example apart.")
    labels: str | None = flag(
        None,
        "Class names in the order of their ids, separated by commas; default: as the training file names them, or those"
        " in it, sorted.",
    )


@dataclasses.dataclass(frozen=True)
class TextDataFlags(TextFlags):
    """A known task in a folder, or tables of one's own, for a command that trains on them directly."""

    regression: bool = flag(False, "Labels are numbers.")
    multi_label: bool = flag(False, "An example may have several labels, or none.")
    data_dir: str | None = flag(
        None,
        "Folder with the files of a known task as they were downloaded, or as the library `datasets` has them.",
        group="Text data of a known task",
    )
    task_name: str | None = flag(
        None, "Which task; default: the name of the folder.", choices=TASKS, refused=_OTHER_TASKS
    )
    vocab_file: str | None = flag(None, "Vocabulary; default: `vocab.txt` in the folder of the checkpoint.")
    max_seq_length: int | None = flag(
        None,
        "Tokens of an example, [CLS] and [SEP] included; longer texts are cut; default: 128 in training, and later what"
        " the model was trained with or says.",
        minimum=4,
    )

    @property
    def label_kind(self) -> Literal["classification", "multi_label", "regression"]:
        """What labels are, by the flags for it."""
        return "regression" if self.regression else "multi_label" if self.multi_label else "classification"

    @property
    def has_text_data(self) -> bool:
        """Whether records are to be made from text."""
        return any((self.data_dir, self.train_file, self.eval_file, self.test_file))


@dataclasses.dataclass(frozen=True)
class FineTuningDataFlags(TextFlags):
    """Records and metadata for fine-tuning, from the files of a task or from files of one's own."""

    fine_tuning_task_type: str = flag(
        "classification",
        "Whether an example has a class, any number of classes, a number, or answers to a question; the known tasks"
        " decide for themselves.",
        choices=("classification", "multi_label", "regression", "squad"),
        group="What to make",
        refused={
            "tagging": "`jaxbert run_tagger` reads words and tags from their own files, without records",
            "retrieval": "`jaxbert embed` makes vectors of texts from their own files, without records",
        },
    )
    vocab_file: str = required_flag("Vocabulary of the checkpoint, one token a line.")
    tokenization: str = flag(
        "WordPiece",
        "How words are cut; the only way there is, which scripts of version 2.3 call word_piece.",
        choices=("WordPiece", "word_piece"),
        short="tokenizer_impl",
        refused=_WORDS,
    )
    max_seq_length: int = flag(128, "Tokens in a record, [CLS] and [SEP] included; longer texts are cut.", minimum=4)
    input_data_dir: str | None = flag(
        None,
        "Folder with the files of the task as they were downloaded, or as the library `datasets` has them.",
        group="Text data of a known task",
    )
    classification_task_name: str = flag("MNLI", "Which task.", choices=TASKS, refused=_OTHER_TASKS)
    squad_data_file: str | None = flag(
        None, "SQuAD file, version 1.1 or 2.0, to train on: JSON, Parquet, Arrow, a folder.", group="SQuAD"
    )
    doc_stride: int = flag(128, "Tokens between the beginnings of the windows of a long context.", minimum=1)
    max_query_length: int = flag(64, "Tokens of a question; longer ones are cut.", minimum=1)
    version_2_with_negative: bool = flag(False, "SQuAD 2.0, where some questions have no answer.")
    strict: bool = flag(
        False, "End at an answer that is not where the file says it is, instead of leaving its question out."
    )
    train_data_output_path: str | None = flag(None, "Record file to write for training.", group="Output")
    eval_data_output_path: str | None = flag(None, "Record file to write for evaluation.")
    test_data_output_path: str | None = flag(
        None, "Record file to write for prediction; for tasks in several languages, `{}` stands for the language."
    )
    meta_data_file_path: str = required_flag("JSON file to write: sizes and labels, which the trainer reads.")

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        records = self.outputs[:-1]
        if self.fine_tuning_task_type == "squad":
            if not self.squad_data_file or not self.train_data_output_path:
                raise InputError(
                    "`--squad_data_file` and `--train_data_output_path` must be given with"
                    " `--fine_tuning_task_type=squad`"
                )
            if len(records) > 1:
                raise InputError(
                    "of SQuAD only training records are made",
                    "predictions and scores are made from the JSON files themselves",
                )
        elif not records:
            raise InputError("there is nothing to make", "give `--train_data_output_path=...`, for example")
        if len(set(self.outputs)) < len(self.outputs):
            named = ", ".join(f"`{path}`" for path in self.outputs)
            raise InputError(f"two outputs are the same file: {named}", "name them apart")

    @property
    def outputs(self) -> list[str]:
        """The files to write: records, then the metadata."""
        records = (self.train_data_output_path, self.eval_data_output_path, self.test_data_output_path)
        return [*filter(None, records), self.meta_data_file_path]


@dataclasses.dataclass(frozen=True)
class PretrainingDataFlags:
    """Records for pretraining, from text."""

    input_file: str = required_flag(
        "Files of text, Parquet or Arrow, or folders of `datasets`: globs, separated by commas; read in this order."
    )
    input_format: str = flag(
        "auto",
        "auto: as the beginning of each file shows, lines where it shows nothing. lines: a sentence a line,"
        " a blank line between documents. documents: every file is a document of running text."
        " jsonl: a document a line, in `text`. wikiextractor: what WikiExtractor writes, <doc ...> to </doc>."
        " Parquet and Arrow are always read as such: a document a row, in the column `text`.",
        choices=("auto", "lines", "documents", "jsonl", "wikiextractor"),
        group="What to make",
    )
    output_file: str = required_flag("Record files to write, separated by commas; the records go to them in turn.")
    vocab_file: str = required_flag("Vocabulary, one token a line.")
    do_lower_case: bool | None = flag(
        None,
        "Lower-case the text and drop accents; default: as the files beside the vocabulary say, or else unless 5 % of"
        " its words have capitals.",
    )
    max_seq_length: int = flag(128, "Tokens in a record, [CLS] and [SEP] included.", minimum=5, maximum=1 << 16)
    dupe_factor: int = flag(10, "How often every document is used, each time cut and masked anew.", minimum=1)
    short_seq_prob: float = flag(
        0.1, "Share of passes over a document that make shorter records, for what comes later.", minimum=0, maximum=1
    )
    random_seed: int = flag(12345, "The same seed and flags give the same records, on any number of workers.")
    tokenization: str = flag(
        "WordPiece", "How words are cut; the only way there is.", choices=("WordPiece",), refused=_WORDS
    )
    masking: str = flag(
        "static",
        "static: the records say which tokens are masked. dynamic: they hold no masks, and the trainer masks anew"
        " each time it reads one; 1 is then enough as `--dupe_factor`.",
        choices=("static", "dynamic"),
        group="Masks",
    )
    masked_lm_prob: float = flag(0.15, "Share of the tokens to predict.", minimum=0, maximum=1)
    max_predictions_per_seq: int = flag(
        20, "Most tokens to predict in a record; about `--max_seq_length` times `--masked_lm_prob`.", minimum=1
    )
    do_whole_word_mask: bool = flag(False, "Mask all pieces of a word or none; each is still replaced by itself.")
    max_ngram_size: int | None = flag(
        None,
        "With whole words: mask runs of up to this many words, short ones more often (1/n), all their pieces in the"
        " same way; as tf-models-official from 2.4 on, where 1 is the default for whole words.",
        minimum=1,
    )
    gzip_compress: bool = flag(False, "Compress the record files.", group="Output")
    use_v2_feature_names: bool = flag(
        False, "Call the features input_word_ids and input_type_ids in place of input_ids and segment_ids."
    )
    num_workers: int = flag(0, "Processes that work at the same time; 0: one on each core.", minimum=0, group="Work")
    shard_mb: int = flag(
        8,
        "Megabytes of text that a worker holds at a time. Random next sentences come from the same shard, and records"
        " are shuffled within it: another number gives other records.",
        minimum=1,
    )
    same_draws_as_google: bool = flag(
        False,
        "Draw the random numbers of google-research's script one by one, for exactly its records; all text in memory,"
        " one process, about a third of the speed.",
    )
    runner: str = flag("", "Apache Beam runner, such as DirectRunner or DataflowRunner; default: without Beam.")
    beam_options: str = flag("", "Further options for the runner, as one text: `--project=... --region=...`.")

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        if len({*map(os.path.normpath, self.outputs)}) < len(self.outputs):
            raise InputError(f"`--output_file={self.output_file}` names a file twice", "name them apart")
        if self.max_ngram_size and not self.do_whole_word_mask:
            raise InputError("`--max_ngram_size` masks runs of whole words", "add `--do_whole_word_mask`")
        if self.masking == "dynamic":
            names = ("masked_lm_prob", "max_predictions_per_seq", "do_whole_word_mask", "max_ngram_size")
            defaults = {field.name: field.default for field in dataclasses.fields(self)}
            if given := [f"`--{name}`" for name in names if getattr(self, name) != defaults[name]]:
                raise InputError(
                    f"{', '.join(given)} with `--masking=dynamic`: the records hold no masks",
                    "give such flags to `jaxbert run_pretraining`, which makes the masks",
                )
        if self.beam_options and not self.runner:
            raise InputError(f"`--beam_options={self.beam_options}` without a runner", "add `--runner`")

    @property
    def outputs(self) -> list[str]:
        """The record files to write."""
        return self.output_file.split(",")


@dataclasses.dataclass(frozen=True)
class VocabFlags:
    """A vocabulary from text."""

    input_file: str = required_flag(
        "Files of text, Parquet or Arrow, or folders of `datasets`: globs, separated by commas."
    )
    input_format: str = flag(
        "auto",
        "How the files are written; as in `create_pretraining_data`.",
        choices=("auto", "lines", "documents", "jsonl", "wikiextractor"),
    )
    output_file: str = required_flag("The vocabulary to write, one token a line: `vocab.txt`.")
    vocab_size: int = flag(30522, "Tokens, special ones included; the default is BERT's, uncased.", minimum=6)
    do_lower_case: bool = flag(True, "Lower-case the text and drop accents; use the vocabulary with the same setting.")
    num_unused: int = flag(
        99,
        "Free tokens [unused1] and so on, to fill later; 99 gives special tokens the ids of BERT's models.",
        minimum=0,
    )
    min_frequency: int = flag(2, "How often two pieces must stand together to be joined.", minimum=1)
    limit_alphabet: int = flag(1000, "Most characters to keep; Chinese and Japanese need several thousand.", minimum=1)
