# SPDX-License-Identifier: Apache-2.0
"""Ways to damage a file, and what a command must say of it."""

import json
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path], None]


def assert_refused(result: tuple[int, str, str], problem: str, hint: str = "") -> None:
    """The command ended with code 2; its last lines are `error: ...` with `problem` and, if any, `hint: ...`."""
    code, out, err = result
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    message, _, found_hint = err[err.index("error: ") :].partition("\nhint: ")
    assert problem in message, err
    assert "\n" not in message.strip()
    assert hint in found_hint, err


def write(content: str | bytes) -> Damage:
    """Replace the file."""
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode()) and None


def cut(path: Path) -> None:
    """Take away the end."""
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    """Change a byte of the last payload."""
    content = bytearray(path.read_bytes())
    content[-20] ^= 0x20
    path.write_bytes(content)


def edit(**keys: object) -> Damage:
    """Change keys of a JSON file; None takes one away."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text()) | keys
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return change


def replace(old: str, new: str) -> Damage:
    """Change text, the first time it occurs."""
    return lambda path: path.write_text(path.read_text().replace(old, new, 1)) and None


def cut_tensor(path: Path) -> None:
    """Take away the end of a checkpoint's data."""
    cut(path.with_name("bert_model.ckpt.data-00000-of-00001"))
