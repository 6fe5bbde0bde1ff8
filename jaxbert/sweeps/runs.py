# SPDX-License-Identifier: Apache-2.0
"""Many trainings, each in a process of its own: one after the other, or one on each device."""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.resolve import find_source
from jaxbert.config.sweep import Run, Sweep
from jaxbert.console import say
from jaxbert.errors import InputError, Interrupted
from jaxbert.examples.text_data import source_files
from jaxbert.io import files
from jaxbert.metrics.glue import LESS_IS_BETTER
from jaxbert.train import run_folder
from jaxbert.train.loop import uninterrupted

Results = dict[str, float]
Inputs = Mapping[str, Mapping[str, str]]
"""The `data` and the `model` that a run begins with -> a checksum of each file, by what messages call it."""
_LAST_LINES = 3  # of a run that failed, which are shown
_POLL_SECONDS = 0.2
_DATA_FLAGS = (
    *("train_file", "eval_file", "predict_file", "data_dir"),
    *("train_data_path", "eval_data_path", "input_meta_data_path"),
)
_INPUTS = {"data": "other data", "model": "another model to begin with"}
_WEIGHTS, _STATES = ("best", "last"), "checkpoints"
_DEVICES = "import jax; print(jax.default_backend(), jax.local_device_count())"


def run_all(sweep: Sweep, environment: Mapping[str, str]) -> dict[str, Results]:
    """Train what is not trained yet; returns the results of each run by its name, without those that failed.

    A run that was stopped goes on where it was. The best one has its weights in the end, also where an earlier sweep
    in the same folder removed them. Raises InputError where a run was done, or begun, with other flags, data or model.
    """
    _refuse_another_sweep(sweep)
    inputs = _inputs(sweep)
    done = _done_before(sweep, inputs)
    _refuse_other_beginnings(sweep, inputs, done)
    _train(sweep, [run for run in sweep.runs if run.name not in done], inputs, done, environment)
    while (best := best_run(sweep, done)) and not model_folder.has_model(os.path.join(best.options.model_dir, "best")):
        say(f"{best.name} did best, but its weights were removed since: it is trained again")
        files.remove(_record(sweep, best))  # now it is a run that is not done, should this be interrupted
        _remove(best, [*_WEIGHTS, _STATES])
        del done[best.name]
        _train(sweep, [best], inputs, done, environment)
    return done


def _train(
    sweep: Sweep,
    runs: Sequence[Run],
    inputs: Mapping[str, Inputs],
    done: dict[str, Results],
    environment: Mapping[str, str],
) -> None:
    """Train these runs, and note in `done` the results of those that do not fail.

    Signals stop those that are under way, which save what they have. A signal waits where a run would be lost sight of:
    while it is started, or its results are written.
    """
    waiting = deque(runs)
    places = _places(sweep, len(runs), environment)
    active: dict[subprocess.Popen[bytes], tuple[Run, int, float]] = {}
    try:
        while waiting or active:
            while waiting and len(active) < len(places):
                run = waiting.popleft()
                place = next(place for place in range(len(places)) if place not in [at for _, at, _ in active.values()])
                with uninterrupted():
                    _note_beginning(run, inputs[run.name])
                    active[_start(sweep, run, {**environment, **places[place]})] = (run, place, time.monotonic())
            for process in [process for process in active if process.poll() is not None]:
                with uninterrupted():
                    run, _, started = active.pop(process)
                    seconds = time.monotonic() - started
                    if (found := _ended(sweep, run, inputs[run.name], process.returncode, seconds)) is not None:
                        done[run.name] = found
                        _remove_weights(sweep, done)
                    say(f"{len(done)} of {len(sweep.runs)} runs are done")
            time.sleep(_POLL_SECONDS if active else 0)
    except (KeyboardInterrupt, Interrupted) as stop:
        _stop(list(active))
        number = stop.signal_number if isinstance(stop, Interrupted) else signal.SIGINT
        told = f"{len(done)} of {len(sweep.runs)} runs are done; the same command goes on from there"
        raise Interrupted(number, told) from stop


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let them save what they have and end; with a second signal they end at once, with a third they are killed."""
    for is_last in (False, False, True):
        with contextlib.suppress(KeyboardInterrupt, Interrupted):
            for process in processes:
                process.kill() if is_last else process.terminate()
            if processes and not is_last:
                say("stopping: what is under way is saved; a second signal does not wait for it")
            for process in processes:
                process.wait()
            return


def best_run(sweep: Sweep, done: Mapping[str, Results]) -> Run | None:
    """The run whose evaluation is the best; None without any."""
    finished = [run for run in sweep.runs if run.name in done]
    return max(finished, key=lambda run: rank(done[run.name], metric_of(sweep, done)), default=None)


def metric_of(sweep: Sweep, done: Mapping[str, Results]) -> str:
    """What runs are compared by, as their best epochs were chosen: `--best_metric`, or F1 where the trainer goes by it,
    or else the first metric of their results."""
    given: str | None = sweep.runs[0].options.best_metric
    if given is not None or sweep.trainer in ("run_squad", "run_tagger"):
        return given or "f1"
    return next((name for results in done.values() for name in results if name != "step"), "")


def goodness(results: Results, metric: str) -> float:
    """More is better."""
    return -results[metric] if metric in LESS_IS_BETTER else results[metric]


def rank(results: Results, metric: str) -> tuple[float, float]:
    """The larger one is better: by the metric, where that is equal by the loss; equal ones are as they come."""
    return goodness(results, metric), -results.get("loss", 0.0)


def _places(sweep: Sweep, runs: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """For each of the `runs` that go at a time, what its environment has more: which devices it sees.

    With one run at a time it sees all of them.
    """
    if sweep.flags.jobs == 1 or runs <= 1:
        return [{}]
    asked = subprocess.run(
        [sys.executable, "-c", _DEVICES], env=environment, capture_output=True, text=True, check=True
    )
    platform, count = asked.stdout.split()
    if platform == "cpu":
        return [{}] * (sweep.flags.jobs or 1)
    jobs = sweep.flags.jobs or int(count)
    return [visible_device(platform, number % int(count), environment) for number in range(jobs)]


def visible_device(platform: str, number: int, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a process sees one device only, this one of those that are visible here."""
    if platform == "tpu":
        visible = (environment.get("TPU_VISIBLE_CHIPS") or "").split(",")
        chip = visible[number] if len(visible) > number and visible[number] else str(number)
        return {"TPU_VISIBLE_CHIPS": chip, "TPU_PROCESS_BOUNDS": "1,1,1", "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1"}
    name = "CUDA_VISIBLE_DEVICES" if platform in ("gpu", "cuda") else "ROCR_VISIBLE_DEVICES"
    visible = (environment.get(name) or "").split(",")
    return {name: visible[number] if len(visible) > number and visible[number] else str(number)}


def _start(sweep: Sweep, run: Run, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    say(f"{run.name} is running")
    command = [sys.executable, "-m", "jaxbert", sweep.trainer, *run.arguments]
    os.makedirs(os.path.dirname(_log(sweep, run)), exist_ok=True)
    with open(_log(sweep, run), "ab") as log:
        # Ctrl-C reaches this process alone, which tells the others.
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def _ended(sweep: Sweep, run: Run, inputs: Inputs, code: int, seconds: float) -> Results | None:
    """What came of a run; None where it failed, which is said."""
    if code:
        with open(_log(sweep, run), encoding="utf-8", errors="replace") as log:
            last = "".join(deque(log, _LAST_LINES)).rstrip()
        say(f"{run.name} failed with code {code}, see {_log(sweep, run)}:\n{last}")
        return None
    results = _results(run)
    kept = {"arguments": run.arguments, **inputs, "seconds": round(seconds, 1), "results": results}
    files.write_text(_record(sweep, run), json.dumps(kept, indent=2) + "\n")
    told = "  ".join(f"{name} {value:.4f}" for name, value in results.items() if name != "step")
    say(f"{run.name}: {told}  ({seconds:.0f} s)")
    return results


def _results(run: Run) -> Results:
    """The evaluation of its best epoch."""
    return model_folder.read_results(os.path.join(run.options.model_dir, "best"))


def _inputs(sweep: Sweep) -> dict[str, Inputs]:
    """What each run begins with, and is trained and evaluated on, as it is now."""
    checksum, model_files = functools.cache(files.checksum), functools.cache(_model_files)
    return {
        run.name: {
            "data": {f"`{path}`": checksum(path) for path in _data_files(run)},
            "model": {
                name: checksum(path)
                for name, path in model_files(
                    *(run.options.start_checkpoint, run.options.bert_config_file, run.options.vocab_file)
                ).items()
            },
        }
        for run in sweep.runs
    }


def _model_files(checkpoint: str | None, *others: str | None) -> dict[str, str]:
    """What messages call each file of the model to begin with -> its path; empty where no model is found.

    The run itself says then what is wrong. Files of a checkpoint go by it: where it is fetched to may change.
    """
    found = {f"`{path}`": path for path in others if path and files.is_file(path)}
    if checkpoint is None:
        return found
    try:
        source = find_source(checkpoint)
        beside = [(path.removeprefix(os.path.join(source.folder, "")), path) for path in source.files]
    except InputError:
        return {}
    return found | {f"`{name}` of `{checkpoint}`": path for name, path in beside}


def _data_files(run: Run) -> list[str]:
    given = filter(None, (getattr(run.options, name, None) for name in _DATA_FLAGS))
    return [file for path in given for file in source_files(*([path] if files.exists(path) else files.expand(path)))]


def _done_before(sweep: Sweep, inputs: Mapping[str, Inputs]) -> dict[str, Results]:
    """The results of the runs that are done. Raises InputError where one had other flags, data or model."""
    done: dict[str, Results] = {}
    for run in sweep.runs:
        if not files.is_file(_record(sweep, run)):
            continue
        kept: dict[str, Any] = files.read_json_object(_record(sweep, run), "the results of a run")
        if kept["arguments"] != list(run.arguments):
            raise InputError(
                f"`{sweep.folder}` has a run `{run.name}` with other flags: {' '.join(kept['arguments'])}",
                "give another `--model_dir`, or the same flags",
            )
        _refuse_other_inputs(sweep, run, kept, inputs[run.name])
        done[run.name] = kept["results"]
    return done


def _refuse_other_inputs(sweep: Sweep, run: Run, before: Mapping[str, Any], now: Inputs) -> None:
    """Raise InputError where files have changed since; what is not known of one of both times is not compared."""
    for name, others in _INPUTS.items():
        old = before.get(name)
        if old and now[name] and (changes := run_folder.changes_of_data(old, now[name])):
            raise InputError(
                f"`{sweep.folder}` has a run `{run.name}` with {others}: {', '.join(changes)}",
                "give another `--model_dir`, or restore what was changed",
            )


def _remove_weights(sweep: Sweep, done: Mapping[str, Results]) -> None:
    """Remove training states of finished runs, and the weights of all but the best one, unless all are kept."""
    best = best_run(sweep, done)
    for run in sweep.runs:
        if run.name in done:
            _remove(run, [_STATES] if run is best or sweep.flags.keep == "all" else [*_WEIGHTS, _STATES])


def _remove(run: Run, names: Sequence[str]) -> None:
    for name in names:
        shutil.rmtree(os.path.join(run.options.model_dir, name), ignore_errors=True)


def _refuse_another_sweep(sweep: Sweep) -> None:
    if model_folder.models_of_run(sweep.folder):
        raise InputError(f"`{sweep.folder}` is the folder of one run", "give another `--model_dir`")


def _refuse_other_beginnings(sweep: Sweep, inputs: Mapping[str, Inputs], done: Mapping[str, Results]) -> None:
    """Raise InputError where a run was begun with other flags, data or model, before any is trained."""
    for run in sweep.runs:
        if run.name not in done:
            try:
                goes_on = run_folder.check(run.options)
            except InputError as error:
                raise InputError(error.message, "give another `--model_dir`, or the same flags") from error
            if goes_on and files.is_file(_beginning(run)):
                before = files.read_json_object(_beginning(run), "what a run was begun with")
                _refuse_other_inputs(sweep, run, before, inputs[run.name])


def _note_beginning(run: Run, inputs: Inputs) -> None:
    """Write what a run is begun with, unless it goes on."""
    if not model_folder.saved_steps(model_folder.states_folder(run.options.model_dir)):
        files.write_text(_beginning(run), json.dumps(inputs, indent=2) + "\n")


def _beginning(run: Run) -> str:
    return os.path.join(run.options.model_dir, "begun_with.json")


def _log(sweep: Sweep, run: Run) -> str:
    return os.path.join(sweep.folder, "logs", f"{run.name}.txt")


def _record(sweep: Sweep, run: Run) -> str:
    return os.path.join(sweep.folder, "results", f"{run.name}.json")


def settings(sweep: Sweep, done: Mapping[str, Results]) -> list[tuple[tuple[tuple[str, str], ...], Sequence[Results]]]:
    """Each setting with the results of its runs, in the order of the sweep."""
    order = dict.fromkeys(run.setting for run in sweep.runs)
    return [(one, [done[run.name] for run in sweep.runs if run.setting == one and run.name in done]) for one in order]
