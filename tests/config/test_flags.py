# SPDX-License-Identifier: Apache-2.0
"""Command lines read into a dataclass: every spelling, every mistake, flag files and retired flags."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.config import bert_config
from jaxbert.config import flags as flags_module
from jaxbert.config.flags import argument, flag, parse, required_flag, to_flagfile
from jaxbert.config.trainers import PretrainingFlags
from jaxbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class Flags:
    """One flag of each kind."""

    model_dir: str = required_flag("where", short="md")
    steps: int = flag(3, "how many", minimum=1)
    rate: float = flag(5e-5, "how fast", minimum=0.0, maximum=1.0)
    train: bool = flag(True, "whether")
    mode: str = flag("eval", "what", choices=("eval", "Predict"))
    size: int | None = flag(None, "some")
    vocab: str | None = flag(None, "which")
    kind: str | None = flag(None, "what it is", choices=("new", "old"))
    parts: str = flag("all", "of what, or of nothing")


RETIRED = {"use_tpu": "devices are found.", "master": "start it there.", "train": "live flags win."}


def read(*arguments: str) -> Flags:
    """The flags of a command line that gives the required one."""
    return parse(Flags, ["--model_dir=out", *arguments]).options


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--steps=7"], "steps", 7),
        (["--steps", "7"], "steps", 7),
        (["-steps", "7"], "steps", 7),
        (["-steps=7"], "steps", 7),
        (["--steps=7", "--steps=8"], "steps", 8),
        (["--md=other"], "model_dir", "other"),
        (["--train"], "train", True),
        (["--notrain"], "train", False),
        (["--train=true"], "train", True),
        (["--train=False"], "train", False),
        (["--train=1"], "train", True),
        (["--train=0"], "train", False),
        (["--rate=1e-3"], "rate", 1e-3),
        (["--rate=1"], "rate", 1.0),
        (["--mode=predict"], "mode", "Predict"),
        (["--size=-4"], "size", -4),
        (["--size", "-4"], "size", -4),
        (["--vocab=a=b"], "vocab", "a=b"),
        (["--parts="], "parts", ""),
        ([], "size", None),
    ],
)
def test_spellings(arguments: list[str], field: str, value: object) -> None:
    """Every spelling of the old scripts gives the value, in the field's type."""
    found = getattr(read(*arguments), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--step=7"], "unknown flag `--step`", "`--steps`"),
        (["--model_dri=x"], "unknown flag `--model_dri`", "`--model_dir`"),
        (["--mod=x"], "unknown flag `--mod`", "did you mean"),
        (["--notrian"], "unknown flag `--notrian`", "`--notrain`"),
        (["--nosteps"], "unknown flag `--nosteps`", ""),
        (["--steps=0"], "`--steps=0`: expected at least 1", ""),
        (["--steps=1.5"], "`--steps=1.5`: expected a whole number", ""),
        (["--rate=2"], "`--rate=2`: expected 0.0 to 1.0", ""),
        (["--rate=nan"], "`--rate=nan`: expected a finite number", ""),
        (["--rate=fast"], "`--rate=fast`: expected a number", ""),
        (["--train=maybe"], "`--train=maybe`: expected true or false", ""),
        (["--notrain=true"], "--notrain=true", ""),
        (["--mode=predcit"], "`--mode=predcit`: expected one of eval, Predict", "`Predict`"),
        (["--vocab= a"], "`--vocab= a`: expected text on one line", ""),
        (["--vocab=a\nb"], "expected text on one line", ""),
        (["--vocab", "--train"], "`--vocab` has no value: `--train` follows it", ""),
        (["--vocab"], "--vocab", ""),
        (["--size="], "`--size=`: expected a whole number", ""),
        (["--mode="], "`--mode=`: expected one of eval, Predict", ""),
        (["left", "over"], "`left` is not a flag", ""),
        (["--flagfile=/no/such/file"], "No such file", ""),
        (["--flagfile"], "flagfile", ""),
    ],
)
def test_mistakes(arguments: list[str], message: str, hint: str) -> None:
    """Every mistake is an `InputError` that names the flag, the value and what was expected, and suggests."""
    with pytest.raises(InputError) as error:
        read(*arguments)
    assert message in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize("given", [[], ["--model_dir="], ["--md", ""]])
def test_missing_required_flag(given: list[str]) -> None:
    """A required flag that is not given, or has no text, is named: an empty path would be the current folder."""
    with pytest.raises(InputError, match="`--model_dir` must be given"):
        parse(Flags, given)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Two arguments that are no flags, and a flag."""

    source: str = argument("From where.")
    steps: int = flag(3, "How many.")
    target: str = argument("To where.")


def test_positional_arguments() -> None:
    """Arguments that are no flags go to their fields in order, wherever flags stand between them."""
    assert parse(Arguments, ["a", "--steps=4", "b"]).options == Arguments(source="a", steps=4, target="b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "<source> <target> must be given"),
        (["a"], "<target> must be given"),
        (["a", "b", "c"], "`c` is not a flag"),
    ],
)
def test_wrong_number_of_positional_arguments(arguments: list[str], message: str) -> None:
    """Missing arguments are named, and so is the first one too many."""
    with pytest.raises(InputError, match=message):
        parse(Arguments, arguments)


@pytest.mark.parametrize("empty", [["--vocab="], ["--vocab", ""], ["--vocab=a", "--vocab="], ["--size=4", "--kind="]])
def test_an_empty_text_is_not_given(empty: list[str]) -> None:
    """A variable that a script left empty gives no value where a flag has none by itself, as in the official code."""
    parsed = parse(Flags, ["--model_dir=out", *empty])
    assert (parsed.options.vocab, parsed.options.kind) == (None, None)


@pytest.mark.parametrize(
    "arguments",
    [["--use_tpu"], ["--nouse_tpu"], ["--use_tpu=False"], ["-use_tpu", "true"], ["--use_tpu", "--use_tpu=1"]],
)
def test_retired_flag_in_every_spelling(arguments: list[str]) -> None:
    """A retired flag gives one sentence, however it is spelled and however often."""
    parsed = parse(Flags, ["--md=x", *arguments, "--steps=9"], RETIRED)
    assert parsed.notes == ("`--use_tpu` has no effect: devices are found.",)
    assert parsed.options.steps == 9


def test_live_flag_is_never_retired() -> None:
    """A flag that the command has is read, although other commands have retired it."""
    parsed = parse(Flags, ["--md=x", "--notrain", "--master", "local"], RETIRED)
    assert not parsed.options.train
    assert len(parsed.notes) == 1


def test_flag_file(tmp_path: Path) -> None:
    """Flag files may hold comments, blank lines, retired flags and other flag files; what comes later wins."""
    inner, outer = tmp_path / "inner.txt", tmp_path / "outer.txt"
    inner.write_text("--steps=5\n--rate=0.5\n")
    outer.write_text(f"# a comment\n\n--model_dir=out\n--nouse_tpu\n--flagfile={inner}\n--notrain\n")
    parsed = parse(Flags, [f"--flagfile={outer}", "--steps=6"], RETIRED)
    assert parsed.options == Flags(model_dir="out", steps=6, rate=0.5, train=False)
    assert len(parsed.notes) == 1


LINE = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20).filter(lambda text: not text.startswith("--"))


@given(
    options=st.builds(
        Flags,
        model_dir=LINE.filter(bool),
        steps=st.integers(1, 10**12),
        rate=st.floats(0, 1),
        train=st.booleans(),
        mode=st.sampled_from(["eval", "Predict"]),
        size=st.none() | st.integers(),
        vocab=st.none() | LINE.filter(bool),
        parts=LINE,
    )
)
def test_flag_file_reproduces_any_options(options: Flags, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What `to_flagfile` writes reads back as the same dataclass, to the last bit of a float."""
    path = tmp_path_factory.mktemp("flags") / "flags.txt"
    path.write_text(to_flagfile(options), encoding="utf-8")
    assert parse(Flags, [f"--flagfile={path}"]).options == options


def test_recipes_come_with_the_program() -> None:
    """`recipe:NAME` is a flag file, or the sizes of a model, that is installed; flags behind it count more."""
    parsed = parse(
        PretrainingFlags,
        [
            "--flagfile=recipe:pretrain_classic",
            "--num_train_epochs=1",
            "--bert_config_file=recipe:bert_tiny",
            "--model_dir=out",
            "--input_files=x",
        ],
    )
    flags = parsed.options
    assert (flags.train_batch_size, flags.adam_bias_correction, flags.num_train_epochs) == (256, False, 1)
    assert flags.bert_config_file is not None
    assert bert_config.read(flags.bert_config_file, tokens=99).num_hidden_layers == 2
    with pytest.raises(InputError, match="`vocab_size` is missing"):
        bert_config.read(flags.bert_config_file)


@pytest.mark.parametrize("name", ["flagfile", "bert_config_file"])
def test_an_unknown_recipe_is_refused(name: str) -> None:
    """With the names of those that there are."""
    with pytest.raises(InputError, match="there is no recipe `nothing`") as caught:
        parse(PretrainingFlags, [f"--{name}=recipe:nothing", "--model_dir=out", "--input_files=x"])
    assert "bert_tiny" in caught.value.hint


@pytest.mark.parametrize("path", sorted(Path(flags_module.__file__).parent.glob("recipes/*.flags")))
def test_each_recipe_is_of_flags_that_there_are(path: Path) -> None:
    """And names no file; each flag is given once."""
    names = [line.split("=")[0] for line in path.read_text().splitlines() if not line.startswith("#")]
    assert names
    assert len({*names}) == len(names)
    parse(PretrainingFlags, [f"--flagfile=recipe:{path.stem}", "--model_dir=out", "--input_files=x"])


@pytest.mark.parametrize("path", sorted(Path(flags_module.__file__).parent.glob("recipes/*.json")))
def test_each_recipe_of_sizes_is_a_model_of_google(path: Path) -> None:
    """Layers and widths of the released models (arXiv 1908.08962, table 1): heads of 64, four times as wide within."""
    sizes = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512), "base": (12, 768)}
    config = bert_config.read(str(path), tokens=99)
    layers, hidden = {**sizes, "large": (24, 1024)}[path.stem.removeprefix("bert_")]
    assert (config.num_hidden_layers, config.hidden_size, config.head_size) == (layers, hidden, 64)
    assert (config.intermediate_size, config.type_vocab_size) == (4 * hidden, 2)
