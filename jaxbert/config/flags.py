# SPDX-License-Identifier: Apache-2.0
"""Flags from a frozen dataclass: absl reads the spellings, the dataclass holds types, defaults, ranges and help."""

import dataclasses
import difflib
import itertools
import math
import os
import re
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

from absl import flags as absl_flags

from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.io.storage import is_remote

T = TypeVar("T")

_RECIPE = "recipe:"
_RECIPES = os.path.join(os.path.dirname(__file__), "recipes")
TRUE, FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the dataclass field cannot say by itself about its flag."""

    help: str
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    group: str = ""
    short: str = ""
    positional: bool = False
    optional: bool = False
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Parsed(Generic[T]):
    """One command line, read.

    Attributes:
        options: the dataclass of the command.
        notes: one sentence for each retired flag that was given.
    """

    options: T
    notes: tuple[str, ...] = ()


def flag(
    default: T,
    help: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    group: str = "",
    short: str = "",
    refused: Mapping[str, str] | None = None,
) -> T:
    """A dataclass field that is a flag.

    Args:
        default: value when the flag is not given; None needs a field of type `X | None`.
        help: a sentence or two; say the unit and where the number comes from.
        choices: the allowed texts; case does not matter on the command line, the spelling here is what the field gets.
        minimum: smallest allowed number.
        maximum: largest allowed number.
        group: opens a group in the help text; the fields that follow belong to it until the next one opens.
        short: a second, short name.
        refused: choice of other programs -> what to do in its place.
    """
    rule = Rule(
        *(help, False, tuple(choices), minimum, maximum, group, short), optional=default is None, refused=refused or {}
    )
    return dataclasses.field(default=default, kw_only=True, metadata={"flag": rule})


def required_flag(help: str, *, choices: Sequence[str] = (), group: str = "", short: str = "") -> Any:
    """A dataclass field that is a flag without default: the command line must give it."""
    rule = Rule(help, True, tuple(choices), group=group, short=short)
    return dataclasses.field(kw_only=True, metadata={"flag": rule})


def argument(help: str) -> Any:
    """A dataclass field that is no flag: the command line must give it without a name, in the order of such fields."""
    return dataclasses.field(kw_only=True, metadata={"flag": Rule(help, required=True, positional=True)})


def arguments(help: str) -> Any:
    """The same for a last field `tuple[str, ...]`: any number of arguments, or none."""
    return dataclasses.field(default=(), kw_only=True, metadata={"flag": Rule(help, positional=True)})


def parse(
    options: type[T],
    argv: Sequence[str],
    retired: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, Sequence[str]] | None = None,
) -> Parsed[T]:
    """Read the arguments of one command.

    Args:
        options: a frozen dataclass whose fields come from `flag`, `required_flag` and `argument`.
        argv: the arguments after the command's name.
        retired: name -> sentence for flags that are accepted, in any spelling, and do nothing.
        elsewhere: name -> what to write here, for flags of other programs: the first sentence counts all whose flags
            this command has.

    Raises:
        InputError: unknown flag, wrong type, value out of range, missing flag, too many or too few arguments.
    """
    fields = {name: rule for name, rule in rules(options).items() if not rule.positional}
    values = absl_flags.FlagValues()
    values.set_gnu_getopt(True)
    for field, rule in fields.items():
        _define(values, field, kind(options, field), rule)
    arguments, notes = without_others([options], argv, retired or {}, elsewhere or {})
    _refuse_missing_values(arguments, {name for name in values if not values[name].boolean})
    negations = [f"no{name}" for name in fields if kind(options, name) is bool]
    rest = _read(values, arguments, [*fields, *negations])
    positional = _named(rest, {name: rule for name, rule in rules(options).items() if rule.positional})
    given = {name: values[name].value for name in fields if values[name].value is not None}
    missing = [f"`--{name}`" for name, rule in fields.items() if rule.required and given.get(name, "") == ""]
    if missing:
        raise InputError(f"{', '.join(missing)} must be given", "`--help` says what each flag means")
    return Parsed(options(**given, **positional), notes)


def without_others(
    options: Sequence[type[Any]],
    argv: Sequence[str],
    retired: Mapping[str, str],
    elsewhere: Mapping[str, Sequence[str]],
) -> tuple[list[str], tuple[str, ...]]:
    """The arguments of a command whose flags are those of all `options`, without flags of other programs.

    Flag files are opened. `retired` and `elsewhere` are as `parse` takes them; a sentence for each of the former that
    was given comes back, too. Raises InputError for one of the latter that has a value.
    """
    own = {name: rule for of_one in options for name, rule in rules(of_one).items()}
    live = {name for name, rule in own.items() if not rule.positional} | {rule.short for rule in own.values()}
    arguments, notes = _without_retired(
        _expanded(absl_flags.FlagValues(), argv),
        {name: text for name, text in retired.items() if name not in live},
        elsewhere.keys() - live,
        may_follow=not any(rule.positional for rule in own.values()),
    )
    _refuse_others(arguments, live, elsewhere)
    return arguments, notes


def parse_known(options: type[T], argv: Sequence[str]) -> tuple[T, list[str]]:
    """The flags of `options` among the arguments, which are spelled `--flag=value`, and the other arguments.

    Flag files are opened. Raises InputError as `parse` does.
    """
    pattern = re.compile(rf"--?(?:{'|'.join(rules(options))})=.*", re.DOTALL)
    expanded = _expanded(absl_flags.FlagValues(), argv)
    own = [argument for argument in expanded if pattern.fullmatch(argument)]
    return parse(options, own).options, [argument for argument in expanded if not pattern.fullmatch(argument)]


def to_flagfile(options: Any) -> str:
    """The text of a flag file with which the same command gets the same `options`."""
    lines = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is not None:
            lines.append(f"--{field.name}={_spelled(value)}\n")
    return "".join(lines)


class _Parser(absl_flags.ArgumentParser[Any]):
    """Turns the text of one flag into its value; what is wrong is said here, not by absl."""

    def __init__(self, name: str, kind: type, rule: Rule) -> None:
        self.name, self.kind, self.rule = name, kind, rule

    def parse(self, argument: Any) -> Any:
        text = str(argument)
        if not text and self.kind is str and self.rule.optional:
            return None  # as in the official code: a variable that a script left empty gives no value
        if text != text.strip() or len(text.splitlines()) > 1:
            raise self._error(repr(text)[1:-1], "text on one line, without blanks around it")
        value = self._converted(text)
        rule = self.rule
        if rule.choices:
            value = next((choice for choice in rule.choices if choice.lower() == text.lower()), None)
            if value is None:
                elsewhere = {choice.lower(): hint for choice, hint in rule.refused.items()}
                hint = elsewhere.get(text.lower()) or _nearest(text, rule.choices, "")
                raise self._error(text, f"one of {', '.join(rule.choices)}", hint)
        if isinstance(value, int | float) and _outside(value, rule):
            raise self._error(text, limits(rule))
        return value

    def _converted(self, text: str) -> Any:
        try:
            if self.kind is str:
                return packaged(text)
            if self.kind is bool:
                return _boolean(text)
            value = self.kind(text)
        except ValueError:
            expected = {int: "a whole number", float: "a number", bool: "true or false"}[self.kind]
            raise self._error(text, expected) from None
        if self.kind is float and not math.isfinite(value):
            raise self._error(text, "a finite number")
        return value

    def _error(self, text: str, expected: str, hint: str = "") -> InputError:
        return InputError(f"`--{self.name}={text}`: expected {expected}", hint)


def packaged(value: str) -> str:
    """The path of the file that `recipe:NAME` stands for: flags, or sizes of a model, that are installed with jaxbert.

    Raises:
        InputError: there is no such file.
    """
    name = value.removeprefix(_RECIPE)
    if name == value:
        return value
    found = {os.path.splitext(file)[0]: os.path.join(_RECIPES, file) for file in sorted(os.listdir(_RECIPES))}
    if name not in found:
        raise InputError(f"there is no recipe `{name}`", f"there are {', '.join(found)}")
    return found[name]


def rules(options: type[Any]) -> dict[str, Rule]:
    """The flag of each field of a dataclass, in order."""
    return {field.name: field.metadata["flag"] for field in dataclasses.fields(options)}


def kind(options: type[Any], name: str) -> type:
    """`int` for a field of type `int` or `int | None`."""
    annotation = typing.get_type_hints(options)[name]
    kinds = [part for part in typing.get_args(annotation) or (annotation,) if part is not types.NoneType]
    if len(kinds) != 1 or kinds[0] not in (str, int, float, bool):
        raise TypeError(f"the type of field {name} cannot be a flag: {annotation}")
    return typing.cast(type, kinds[0])


def _boolean(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError(text)


def _outside(value: float, rule: Rule) -> bool:
    return (rule.minimum is not None and value < rule.minimum) or (rule.maximum is not None and value > rule.maximum)


def limits(rule: Rule) -> str:
    """The allowed numbers in words; empty when there is no limit."""
    if rule.minimum is None:
        return "" if rule.maximum is None else f"at most {rule.maximum}"
    return f"at least {rule.minimum}" if rule.maximum is None else f"{rule.minimum} to {rule.maximum}"


def _define(values: absl_flags.FlagValues, name: str, kind: type, rule: Rule) -> None:
    """Declare one flag; its absl default is never used, so that only given flags reach the dataclass."""
    values[name] = absl_flags.Flag(
        parser=_Parser(name, kind, rule),
        serializer=None,
        name=name,
        default=None,
        help_string=rule.help,
        short_name=rule.short or None,
        boolean=kind is bool,
    )


def _expanded(values: absl_flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """`argv` with the content of its flag files in their place."""
    try:
        return values.read_flags_from_files([line for argument in argv for line in _lines(argument)])
    except (absl_flags.Error, OSError) as error:
        reason = str(error.__context__ or error)
        raise InputError(
            f"`--flagfile`: {reason}", "check the path; a flag file holds one `--flag=value` a line"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("`--flagfile`: the file is not UTF-8 text") from error


def _lines(argument: str) -> list[str]:
    """The argument, or the lines of a remote flag file in its place; absl opens those on disk itself."""
    name, _, path = argument.partition("=")
    if name.lstrip("-") != "flagfile":
        return [argument]
    path = packaged(path)
    if not is_remote(path):
        return [f"{name}={path}"] if path else [argument]
    lines = (line.strip() for line in files.read_text(path).splitlines())
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _without_retired(
    arguments: Sequence[str], retired: Mapping[str, str], others: Collection[str], *, may_follow: bool
) -> tuple[list[str], tuple[str, ...]]:
    """The arguments without retired flags (`--x`, `--nox`, `--x=1`, `--x 1`), and a sentence for each one found.

    A word is the value of the one before it where it `may_follow`: where the command has no arguments but flags. Of
    `others`, flags that only other programs have, those with an empty value (`--x=`) count as not given, like our own.
    """
    kept: list[str] = []
    notes: dict[str, str] = {}
    waiting = False  # the argument before was a retired flag without `=`: a plain word now is its value
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*kept, *arguments[index:]], tuple(notes.values())
        if name := _spelled_of(retired, argument):
            notes[name] = f"`{'-' * min(len(name), 2)}{name}` has no effect: {retired[name]}"
        elif argument.endswith("=") and argument[:-1].lstrip("-") in others:
            pass  # it has no value
        elif not waiting or argument.startswith("-"):
            kept.append(argument)
        waiting = bool(name) and "=" not in argument and may_follow
    return kept, tuple(notes.values())


def _spelled_of(names: Collection[str], argument: str) -> str:
    """Which of `names` an argument spells (`--x`, `--nox`, `--x=1`); empty for none."""
    match = re.fullmatch(r"--?(\w+)(=.*)?", argument, re.DOTALL)
    spelled = match[1] if match else ""
    return next((name for name in (spelled, spelled.removeprefix("no")) if name in names), "")


def _refuse_others(arguments: Sequence[str], live: Collection[str], elsewhere: Mapping[str, Sequence[str]]) -> None:
    """Raise `InputError` for flags that other programs have, all of them at once, with what to write here."""
    before_values = itertools.takewhile(lambda argument: argument != "--", arguments)
    found = dict.fromkeys(_spelled_of(elsewhere.keys() - live, argument) for argument in before_values)
    answers = {
        f"`--{name}`": sentence
        for name in found
        for sentence in [next((text for text in elsewhere.get(name, ()) if set(named_in(text)) <= {*live}), "")]
        if sentence
    }
    if answers:
        hints = "; ".join(f"for {name}: {sentence}" for name, sentence in answers.items())
        raise InputError(f"{', '.join(answers)}: not a flag of this command", hints)


def _refuse_missing_values(arguments: Sequence[str], valued: Collection[str]) -> None:
    """Raise `InputError` for a flag that needs a value, and is followed by another flag in its place."""
    for argument, following in itertools.pairwise(itertools.takewhile(lambda argument: argument != "--", arguments)):
        name = argument.lstrip("-")
        if argument.startswith("-") and name in valued and following.startswith("--"):
            raise InputError(f"`--{name}` has no value: `{following}` follows it", f"write `--{name}=value`")


def named_in(text: str) -> list[str]:
    """The flags that a sentence names."""
    return re.findall(r"`--(\w+)", text)


def _read(values: absl_flags.FlagValues, arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Let absl read the flags into `values`; returns the arguments that are no flags."""
    try:
        return list(values(["jaxbert", *arguments])[1:])
    except absl_flags.UnrecognizedFlagError as error:
        hint = _nearest(error.flagname, names, "--") or "`--help` lists the flags"
        raise InputError(f"unknown flag `--{error.flagname}`", hint) from error
    except (absl_flags.Error, ValueError) as error:  # a flag at the end without its value, `--noflag=value`
        raise InputError(str(error), "flags are spelled `--flag=value`") from error


def _named(arguments: Sequence[str], fields: Mapping[str, Rule]) -> dict[str, Any]:
    """The arguments that are no flags by the names of their fields."""
    names = [name for name, rule in fields.items() if rule.required]
    if last := next((name for name, rule in fields.items() if not rule.required), None):
        of_names = _named(arguments[: len(names)], {name: fields[name] for name in names})
        return {**of_names, last: tuple(arguments[len(names) :])}
    if len(arguments) > len(names):
        raise InputError(f"`{arguments[len(names)]}` is not a flag", "flags are spelled `--flag=value`")
    if len(arguments) < len(names):
        missing = " ".join(f"<{name}>" for name in names[len(arguments) :])
        raise InputError(f"{missing} must be given", "`--help` says what each argument means")
    return dict(zip(names, arguments, strict=True))


def _nearest(text: str, known: Sequence[str], prefix: str) -> str:
    """A hint with the known name that looks most like `text`; empty when none does."""
    by_lower = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(text.lower(), by_lower, n=1, cutoff=0.6)
    starts = [name for name in known if len(text) > 2 and name.lower().startswith(text.lower())]
    best = matches[0] if matches else ""
    name = by_lower.get(best) or (starts[0] if starts else "")
    return f"did you mean `{prefix}{name}`?" if name else ""


def _spelled(value: object) -> str:
    """A flag's value as text that reads back as the same value."""
    return str(value).lower() if isinstance(value, bool) else str(value)
