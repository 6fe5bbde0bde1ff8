# SPDX-License-Identifier: Apache-2.0
"""Flags of the commands that ask a finished model."""

import dataclasses
from typing import ClassVar

from jaxbert.config.flags import arguments, flag, required_flag
from jaxbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class TextsFlags:
    """Where texts stand in a table, how much of them is read, and how the model computes."""

    text_a_column: str | None = flag(
        None,
        "Column of the (first) text in a table: its name in the first line, or its number from 0 without header.",
        group="Texts",
    )
    text_b_column: str | None = flag(None, "Column of the second text of a pair.")
    id_column: str | None = flag(None, "Column that tells a text apart; default: the number of its row, from 0.")
    max_seq_length: int | None = flag(
        None, "Tokens of a text, special ones included; longer texts are cut; default: as the model says.", minimum=4
    )
    dtype: str = flag(
        "fp32",
        "Compute dtype of matmuls and activations; auto is bf16 where the device is faster in it, else fp32.",
        choices=("fp32", "bf16", "fp16", "auto"),
        group="Machine",
    )
    compile_cache: str = flag(
        "~/.cache/jaxbert", "Folder where compiled programs are kept from run to run; empty: nowhere."
    )

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        for name in ("text_b_column", "id_column"):
            if getattr(self, name) is not None and self.text_a_column is None:
                raise InputError(f"`--{name}` is of a table, in which `--text_a_column` is not given", "give both")


@dataclasses.dataclass(frozen=True)
class AskedModelFlags(TextsFlags):
    """The model that is asked."""

    init_checkpoint: str = required_flag(
        "The model: the folder of a run, or whatever the trainers take as `--init_checkpoint`.", group="Model"
    )
    bert_config_file: str | None = flag(
        None, "Sizes of the model; default: what the checkpoint comes with, such as `bert_config.json` in its folder."
    )
    vocab_file: str | None = flag(None, "Its vocabulary; default: the one in the checkpoint's folder.")
    do_lower_case: bool | None = flag(
        None, "Whether its text is lower-cased; default: as the model says, or unless the vocabulary has capitals."
    )


@dataclasses.dataclass(frozen=True)
class PredictFlags(TextsFlags):
    """Texts for a classifier or regressor."""

    texts: tuple[str, ...] = arguments(
        "Texts, `first ||| second` for a pair; default: those of --input_file, or the lines of standard input."
    )
    model: str = required_flag(
        "The model: the folder of a run, or whatever the trainers take as `--init_checkpoint`.", group="Model"
    )
    input_file: str | None = flag(
        None,
        "Texts: one a line, or `first ||| second` for a pair; or a table (.tsv, .csv, .jsonl, Parquet, Arrow) whose"
        " columns are named.",
        group="Texts",
    )
    output_file: str | None = flag(
        None, "Where the lines go, JSON with id, label and probabilities; default: standard output.", group="Output"
    )
    with_text: bool = flag(False, "Write the text, too.")

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        if self.texts and self.input_file is not None:
            raise InputError(f"there are texts, and `--input_file={self.input_file}`", "give one of them")
        if self.text_a_column is not None and self.input_file is None:
            raise InputError("`--text_a_column` is of a table, and there is none", "give it as `--input_file`")


@dataclasses.dataclass(frozen=True)
class EmbedFlags(AskedModelFlags):
    """Vectors of texts."""

    input_file: str = required_flag(
        "Texts: one a line, or `first ||| second` for a pair; or a table (.tsv, .csv, .jsonl, Parquet, Arrow) whose"
        " columns are named.",
        group="Texts",
    )
    output_file: str = required_flag(
        "What to write: .npy for an array [texts, hidden], or [texts, layers, hidden] for several layers; .parquet for"
        " columns id and vector; else JSON lines with id and vector.",
        group="Vectors",
    )
    pooling: str | None = flag(
        None,
        "The vector of a text: the mean or the largest values over its tokens, that of [CLS], or what BERT's pooler"
        " makes of it. tokens: one for each token, as JSON lines in the form of google-research's extract_features."
        " Default: as the model says (a folder of sentence-transformers), or else the mean.",
        choices=("mean", "max", "cls", "pooler", "tokens"),
    )
    layers: str = flag("-1", "Whose outputs: numbers with commas between them; -1 is the last layer, 0 the embeddings.")
    normalize: bool | None = flag(
        None, "Give vectors the length 1; default: as the model says where `--pooling` is its own."
    )
    usual_length: ClassVar[int | None] = None  # tokens where `max_seq_length` is not given; None: as the model says

    @property
    def layer_numbers(self) -> list[int]:
        """The layers."""
        return [int(number) for number in self.layers.split(",")]

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        super().__post_init__()
        try:
            self.layer_numbers  # noqa: B018
        except ValueError as error:
            raise InputError(f"`--layers={self.layers}` are no numbers", "write them like `-1,-2`") from error
        if self.pooling == "tokens" and self.output_file.endswith((".npy", ".parquet")):
            raise InputError(
                f"texts have different numbers of tokens, which `{self.output_file}` cannot hold",
                "choose another `--pooling`, or give `--output_file` a name that ends in `.jsonl`",
            )


@dataclasses.dataclass(frozen=True)
class ExtractFeaturesFlags(EmbedFlags):
    """The same with the defaults of google-research's `extract_features.py`: vectors of all tokens, of four layers."""

    pooling: str | None = flag("tokens", "As in `embed`.", choices=("mean", "max", "cls", "pooler", "tokens"))
    layers: str = flag("-1,-2,-3,-4", "Whose outputs: numbers with commas between them; -1 is the last layer.")
    max_seq_length: int | None = flag(
        None,
        "Tokens of a text, special ones included; longer texts are cut; default: 128, or the positions of a model that"
        " has fewer.",
        minimum=4,
    )
    usual_length: ClassVar[int | None] = 128
