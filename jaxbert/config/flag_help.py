# SPDX-License-Identifier: Apache-2.0
"""The text of `jaxbert <command> --help`, made from the command's dataclass."""

import dataclasses
import textwrap
from typing import Any

from jaxbert.config.flags import Rule, kind, limits, rules

TYPE_NAMES = {str: "TEXT", int: "INTEGER", float: "NUMBER", bool: "BOOL"}
WIDTH = 100
GROUPS = (
    *("Mode", "Texts", "Text data of your own", "Text data of a known task", "From text to tokens", "Data", "Records"),
    *("Model", "Output", "Training", "Machine"),
)


def help_text(options: type[Any], command: str, summary: str) -> str:
    """Usage, then the required flags, then the others by group, in the order of `GROUPS` and of their fields."""
    positional = {name: rule for name, rule in rules(options).items() if rule.positional}
    arguments = "".join(f" <{name}>" if rule.required else f" [<{name}> ...]" for name, rule in positional.items())
    usage = f"usage: jaxbert {command}{arguments} --flag=value ... [--flagfile=FILE]"
    parts = [f"jaxbert {command}: {summary}\n\n{usage}\n"]
    for heading, names in _groups(rules(options)).items():
        parts.append(f"\n{heading}\n")
        parts += [_described(options, name) for name in names]
    return "".join(parts)


def _groups(fields: dict[str, Rule]) -> dict[str, list[str]]:
    """Heading -> flags; a field with a `group` opens it, or opens it again, and the fields after it belong to it."""
    groups: dict[str, list[str]] = {"Required": []}
    heading = "Flags"
    for name, rule in fields.items():
        heading = rule.group or heading
        groups.setdefault("Required" if rule.required else "Texts" if rule.positional else heading, []).append(name)
    ordered = ["Required", *GROUPS, *groups]
    return {heading: groups[heading] for heading in dict.fromkeys(ordered) if groups.get(heading)}


def _described(options: type[Any], name: str) -> str:
    """One flag: its spelling, default and limits on a line, what it means below."""
    rule = rules(options)[name]
    if rule.positional:
        return f"  <{name}>\n{_wrapped(rule.help)}\n"
    of_kind = kind(options, name)
    spelling = f"--[no]{name}" if of_kind is bool else f"--{name}={'|'.join(rule.choices) or TYPE_NAMES[of_kind]}"
    facts = [_default(options, name), limits(rule), f"short: --{rule.short}" if rule.short else ""]
    remarks = ", ".join(fact for fact in facts if fact)
    first = f"  {spelling}" + (f"  ({remarks})" if remarks else "")
    return f"{first}\n{_wrapped(rule.help)}\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="      ", subsequent_indent="      ")


def _default(options: type[Any], name: str) -> str:
    default = next(field.default for field in dataclasses.fields(options) if field.name == name)
    if default is dataclasses.MISSING or default is None or default == "":
        return ""
    return f"default {str(default).lower() if isinstance(default, bool) else default}"
