# SPDX-License-Identifier: Apache-2.0
"""Exceptions that end a command with one message; every folder may raise them, `cli.py` prints them."""


class InputError(Exception):
    """Something the user gave is wrong: one message on standard error, exit code 2.

    `message` says what is wrong (the value in backticks, and the file, line or record) and what was
    expected; `hint` says what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\nhint: {hint}" if hint else message)
        self.message = message
        self.hint = hint


class IncompleteError(Exception):
    """A part of the work failed, and all that does not need it is done: one message on standard error, exit code 1.

    `message` says which part; `hint` says what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}\nhint: {hint}")
        self.message = message
        self.hint = hint


class Interrupted(BaseException):
    """A signal ended the work after it was put in order: one message, exit code 128 + `signal_number`.

    Not an `Exception`, so that code which survives failures does not survive Ctrl-C.
    """

    def __init__(self, signal_number: int, message: str = "") -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.message = message
