# SPDX-License-Identifier: Apache-2.0
"""The program: `jaxbert <command> --flag=value`; lists the commands, runs one, and ends with a message and a code."""

import contextlib
import difflib
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

import jaxbert
from jaxbert.config import sweep
from jaxbert.config.flag_help import help_text
from jaxbert.config.flags import Parsed, parse, without_others
from jaxbert.config.other_flags import ELSEWHERE, RETIRED
from jaxbert.errors import IncompleteError, InputError, Interrupted

COMMANDS = {
    "train_vocab": "make a WordPiece vocabulary from text",
    "create_pretraining_data": "turn text into TFRecords for pretraining",
    "create_finetuning_data": "turn classification, regression or SQuAD data into TFRecords and metadata",
    "run_pretraining": "pretrain a BERT on records of create_pretraining_data",
    "run_classifier": "fine-tune a classifier, score it, and predict with it",
    "run_tagger": "fine-tune a tagger of words (names, parts of speech), score it, and predict with it",
    "run_multiple_choice": "fine-tune on questions with choices, as SWAG; score, and choose",
    "convert_checkpoint": "write a model for TensorFlow 1 or 2, for transformers, or as our own folder",
    "export": "write a model as SavedModel (hub module), ONNX file or Hugging Face folder",
    "run_squad": "fine-tune on SQuAD, answer questions, score the answers",
    "evaluate_squad": "score answers to SQuAD questions as the official scripts do",
    "predict": "classes, or numbers, of texts: given here, in a file, or on standard input",
    "embed": "write a vector for each text of a file",
    "extract_features": "the same in the form of google-research's script: vectors of tokens, of several layers",
    "serve": "answer requests over HTTP, and show a page to try the model",
    "sweep": "run a trainer with every combination of values, several seeds each, and choose",
    "run_glue": "fine-tune on every task of GLUE that is there, score it, make the file for the server",
    "inspect": "say what a model, records, a table, metadata or a vocabulary is",
}
FLAGS = {  # where each command's flags are: module below jaxbert.config, and dataclass
    "train_vocab": ("data", "VocabFlags"),
    "create_pretraining_data": ("data", "PretrainingDataFlags"),
    "create_finetuning_data": ("data", "FineTuningDataFlags"),
    "run_pretraining": ("trainers", "PretrainingFlags"),
    "run_classifier": ("trainers", "ClassifierFlags"),
    "run_squad": ("trainers", "SquadFlags"),
    "run_tagger": ("trainers", "TaggerFlags"),
    "run_multiple_choice": ("trainers", "MultipleChoiceFlags"),
    "convert_checkpoint": ("models", "ConvertFlags"),
    "export": ("models", "ExportFlags"),
    "predict": ("library", "PredictFlags"),
    "embed": ("library", "EmbedFlags"),
    "extract_features": ("library", "ExtractFeaturesFlags"),
    "serve": ("serving", "ServeFlags"),
    "sweep": ("sweep", "SweepFlags"),
    "run_glue": ("sweep", "GlueFlags"),
    "inspect": ("models", "InspectFlags"),
    "evaluate_squad": ("models", "EvaluateSquadFlags"),
}
HELP = ("--help", "-help", "--helpfull", "-h", "-?")
_AGAIN_SECONDS = 0.01  # until a signal comes again
BROKEN_PIPE_CODE = 128 + 13  # what a program ended by SIGPIPE leaves; Windows has no such signal to ask for


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code.

    Codes: 0 done, 1 the program, the machine or a part of the work failed, 2 wrong input, 128 + n ended by signal n.
    The command's module is imported only when it runs, so that help and wrong flags answer at once.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _signals():
            _dispatch(arguments)
            sys.stdout.flush()
        return 0
    except InputError as error:
        return _failed(2, error.message, error.hint)
    except IncompleteError as error:
        return _failed(1, error.message, error.hint)
    except KeyboardInterrupt:
        return _stopped(signal.SIGINT)
    except Interrupted as stop:
        return _stopped(stop.signal_number, stop.message)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads: let the final flush succeed
        return BROKEN_PIPE_CODE
    except Exception as error:
        return _failed_ourselves(error)


def overview() -> str:
    """What `jaxbert --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            f"jaxbert {jaxbert.__version__}: BERT from raw text to scored predictions, on JAX",
            "\nusage: jaxbert <command> --flag=value ...\n",
            *lines,
            "\n`jaxbert <command> --help` lists the flags of a command.",
        ]
    )


def _dispatch(arguments: list[str]) -> None:
    if not arguments:
        raise InputError("no command given", "`jaxbert --help` lists the commands")
    command, *rest = arguments
    if command == "help" and rest:
        command, *rest = (*rest, "--help")
    if command in ("help", *HELP):
        print(overview())
    elif command == "--version":
        print(jaxbert.__version__)
    elif command not in COMMANDS:
        nearest = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean `{nearest[0]}`?" if nearest else "`jaxbert --help` lists the commands"
        raise InputError(f"unknown command `{command}`", hint)
    elif any(argument in HELP for argument in rest):
        text = help_text(flags_of(command), command, COMMANDS[command])
        print(text.replace("jaxbert sweep --", f"jaxbert sweep [{'|'.join(sweep.TRAINERS)}] --"), end="")
    else:
        _run(command, rest)


def _run(command: str, arguments: list[str]) -> None:
    options = _options(command, arguments)
    with _signals_wait():
        module = importlib.import_module(f"jaxbert.commands.{command}")
    module.run(options)


def _options(command: str, arguments: list[str]) -> object:
    """What the arguments of a command say; flags that have no effect any more are told."""
    if command == "sweep":
        is_named = bool(arguments) and not arguments[0].startswith("-")
        trainer, rest = (arguments[0], arguments[1:]) if is_named else (sweep.TRAINERS[0], arguments)
        if trainer not in sweep.TRAINERS:
            raise InputError(f"`{trainer}` does not train", f"one of {', '.join(sweep.TRAINERS)}")
        options = flags_of(trainer)
        return sweep.read_sweep(trainer, options, _own([options, sweep.SweepFlags], rest))
    if command == "run_glue":
        return sweep.read_glue(_own([flags_of("run_classifier"), sweep.GlueFlags], arguments))
    parsed: Parsed[object] = parse(flags_of(command), arguments, RETIRED, ELSEWHERE)
    _tell(parsed.notes)
    return parsed.options


def _own(options: Sequence[type], arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with the flags of all `options`, without flags of other programs."""
    own, notes = without_others(options, arguments, RETIRED, ELSEWHERE)
    _tell(notes)
    return own


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def flags_of(command: str) -> type:
    """The dataclass that holds the flags of `command`."""
    module, name = FLAGS[command]
    options: type = getattr(importlib.import_module(f"jaxbert.config.{module}"), name)
    return options


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM raises Interrupted meanwhile, Ctrl-C KeyboardInterrupt unless it is ignored, as in the background.

    Python drops what is raised while it collects garbage, for which jax has it call a function
    (findings/jax_swallows_signals.sh). What was dropped is sent again.
    """
    received: list[int] = []

    def stop(signal_number: int, frame: FrameType | None) -> None:
        received.append(signal_number)
        raise KeyboardInterrupt if signal_number == signal.SIGINT else Interrupted(signal_number)

    def send_again(dropped: "sys.UnraisableHookArgs") -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt | Interrupted) and received:
            again = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), received[-1]))
            again.daemon = True
            again.start()
        else:
            hook(dropped)

    hook, sys.unraisablehook = sys.unraisablehook, send_again
    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, stop)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except Exception as error:
        if received:  # modules that are imported may turn what was raised into an error of theirs
            raise Interrupted(received[-1]) from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals come afterwards: what one raises amid the import of compiled modules may end the process in a crash."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stopped(signal_number: int, message: str = "") -> int:
    """The user wanted it to end, which is no error."""
    by = "Ctrl-C" if signal_number == signal.SIGINT else signal.Signals(signal_number).name
    print(f"stopped by {by}" + (f": {message}" if message else ""), file=sys.stderr)
    return 128 + signal_number


def _failed(code: int, message: str, hint: str = "") -> int:
    print(f"error: {message}" + (f"\nhint: {hint}" if hint else ""), file=sys.stderr)
    return code


def _failed_ourselves(error: Exception) -> int:
    """A failure that is not the user's: one line, or the traceback when asked for."""
    if os.environ.get("JAXBERT_TRACEBACK") == "1":
        traceback.print_exception(error)
        return 1
    hint = "run again with the environment variable JAXBERT_TRACEBACK=1 to see where"
    if isinstance(error, OSError):
        return _failed(1, str(error), hint)
    first_line = next(iter(str(error).splitlines()), "")
    return _failed(1, f"jaxbert failed, which is a mistake of ours: {type(error).__name__}: {first_line}", hint)
