# SPDX-License-Identifier: Apache-2.0
"""The program from outside: what it prints where, how it ends, and how fast it answers."""

import gc
import importlib
import inspect
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable

import pytest

import jaxbert
from jaxbert.cli import COMMANDS, flags_of, main
from jaxbert.config.models import InspectFlags
from jaxbert.errors import InputError, Interrupted

HEAVY = ("jax", "numpy", "scipy", "rich", "orbax", "tensorboardX", "safetensors")


def run_instead(monkeypatch: pytest.MonkeyPatch, action: Callable[[InspectFlags], None]) -> None:
    """Let `inspect` do `action`."""
    module = types.SimpleNamespace(run=action)
    monkeypatch.setitem(sys.modules, "jaxbert.commands.inspect", module)  # type: ignore[arg-type]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command stands in the overview with its line, and has its own help."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command, summary in COMMANDS.items():
        assert command in text
        assert summary in text
        assert main([command, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"jaxbert {command}: {summary}\n")


def test_every_command_has_flags_and_run() -> None:
    """Each row of the table has its two modules."""
    for command in COMMANDS:
        assert importlib.util.find_spec(f"jaxbert.commands.{command}") is not None
        assert flags_of(command).__doc__


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help is answered before any of the large libraries is imported."""
    code = f"import sys, jaxbert.cli as m; m.main({arguments!r}); print(*({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_help_answers_at_once() -> None:
    """The best of three starts takes less than half a second."""
    durations = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "jaxbert", "--help"], stdout=subprocess.DEVNULL, check=True)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.5


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`jaxbert help`, and `jaxbert help run_squad`, say what `--help` says."""
    for asked, same in ((["help"], ["--help"]), (["help", "run_squad"], ["run_squad", "--help"])):
        assert main(asked) == 0
        said = capsys.readouterr().out
        assert main(same) == 0
        assert said == capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the package's version alone."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{jaxbert.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: no command given\nhint: `jaxbert --help` lists the commands\n"),
        (["run_clasifier"], "error: unknown command `run_clasifier`\nhint: did you mean `run_classifier`?\n"),
        (["run_classifier", "--modl_dir=x"], "error: unknown flag `--modl_dir`\nhint: did you mean `--model_dir`?\n"),
    ],
)
def test_wrong_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong input ends with one message on standard error, nothing on standard output, and code 2."""
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", message)


def test_retired_flag_is_noted_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A retired flag gives a line on standard error; the command runs with the others."""
    run_instead(monkeypatch, lambda flags: print(flags.path))
    assert main(["inspect", "--use_tpu=False", "x"]) == 0
    out, err = capsys.readouterr()
    assert out == "x\n"
    assert err.startswith("note: `--use_tpu` has no effect: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["sweep", "run_glue"])
def test_a_command_of_many_runs_takes_the_old_flags_of_one(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Retired flags give a line, empty ones of other programs nothing, others are answered by what to write here."""
    data = ["--data_dir=nowhere", "--model_dir=m", "--init_checkpoint=nowhere"]
    assert main([command, *data, "--use_tpu", "--tpu_name", "x", "--tfds_params=", "--mode=predict"]) == 2
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert [note.split("`")[1] for note in notes] == ["--use_tpu", "--tpu_name"]
    assert main([command, *data, "--epochs=3"]) == 2
    assert "hint: for `--epochs`: `--num_train_epochs`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("`x` is bad", "mend it"), 2, "error: `x` is bad\nhint: mend it\n"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C\n"),
        (Interrupted(signal.SIGTERM, "saved at step 3"), 143, "stopped by SIGTERM: saved at step 3\n"),
        (Interrupted(signal.SIGINT, "saved at step 3"), 130, "stopped by Ctrl-C: saved at step 3\n"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each way to end has its code and its message; only wrong input is an error."""

    def action(flags: InspectFlags) -> None:
        raise error

    run_instead(monkeypatch, action)
    assert main(["inspect", "x"]) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(("wish", "has_traceback"), [("", False), ("1", True)])
def test_own_failure(
    wish: str, has_traceback: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure of the program is called one in two lines; the traceback is shown to who asks for it."""

    def action(flags: InspectFlags) -> None:
        raise ZeroDivisionError("first\nsecond")

    run_instead(monkeypatch, action)
    monkeypatch.setenv("JAXBERT_TRACEBACK", wish)
    assert main(["inspect", "x"]) == 1
    text = capsys.readouterr().err
    assert ("Traceback" in text) == has_traceback
    assert has_traceback or text.splitlines() == [
        "error: jaxbert failed, which is a mistake of ours: ZeroDivisionError: first",
        "hint: run again with the environment variable JAXBERT_TRACEBACK=1 to see where",
    ]


def test_sigterm_ends_a_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGTERM ends a command that does not handle it with code 143, and the handler before is back."""
    before = signal.getsignal(signal.SIGTERM)
    run_instead(monkeypatch, lambda flags: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["inspect", "x"]) == 143
    assert capsys.readouterr().err == "stopped by SIGTERM\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_amid_garbage_collection_ends_a_run(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python drops what is raised there, where most signals come while jax is imported: it is raised after that."""

    def interrupt(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            signal.raise_signal(number)

    def collect(flags: InspectFlags) -> None:
        gc.callbacks.append(interrupt)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(interrupt)
        time.sleep(5)

    run_instead(monkeypatch, collect)
    assert main(["inspect", "x"]) == 128 + number
    assert "stopped by" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_imports(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled modules may crash where one raises something amid their import; then it ends the command."""
    done: list[str] = []

    def slow(name: str) -> object:
        if name != "jaxbert.commands.inspect":
            return sys.modules[name]
        signal.raise_signal(number)
        done.append("imported")
        return types.SimpleNamespace(run=lambda flags: done.append("run"))

    importlib.import_module("jaxbert.config.models")
    monkeypatch.setattr("importlib.import_module", slow)
    assert main(["inspect", "x"]) == 128 + number
    assert done == ["imported"]


def test_a_signal_that_a_library_calls_its_error_ends_a_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is raised amid the import of some modules comes out as another exception, which is none of ours."""

    def action(flags: InspectFlags) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise ImportError("initialization failed") from error

    run_instead(monkeypatch, action)
    assert main(["inspect", "x"]) == 143
    assert capsys.readouterr().err == "stopped by SIGTERM\n"


def test_reader_that_leaves_is_no_error() -> None:
    """`jaxbert ... | head -1` ends quietly."""
    command = f'{sys.executable} -c \'import sys, jaxbert.cli as m; sys.exit(m.main(["run_classifier", "--help"]))\''
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False
    )
    assert done.stderr == b""
    assert done.returncode in (0, 141)  # 0 when all was written before the reader left


@pytest.mark.parametrize("code", [1, 2, 143])
def test_a_process_that_failed_or_was_stopped_ends_at_once(code: int) -> None:
    """With all that was printed and its exit code, and without taking the interpreter apart under working threads."""
    program = f"""
        import atexit, sys
        from jaxbert import __main__, cli
        cli.main = lambda: print("printed") or {code}
        atexit.register(print, "taken apart")
        __main__.main()
    """
    ended = subprocess.run(
        [sys.executable, "-c", inspect.cleandoc(program)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "printed\n", "")


def test_prediction_imports_nothing_of_training() -> None:
    """What saves states and writes summaries takes a second to import."""
    code = "import sys, jaxbert.commands.predict; print(*({'orbax', 'tensorboardX'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
