# SPDX-License-Identifier: Apache-2.0
"""Many trainings from one command line: each combination once, all read before any begins."""

import itertools

import pytest

from jaxbert.config.sweep import Sweep, read_glue, read_sweep
from jaxbert.config.trainers import ClassifierFlags
from jaxbert.errors import InputError

DATA = ["--data_dir=glue/MRPC", "--model_dir=out"]


def read(*arguments: str) -> Sweep:
    """A sweep of the classifier."""
    return read_sweep("run_classifier", ClassifierFlags, [*DATA, *arguments])


def test_each_combination_is_trained_with_each_seed() -> None:
    """The paper's own grid: every setting once before any twice; each run has a folder of its own."""
    sweep = read("--learning_rate=2e-5,3e-5,5e-5", "--train_batch_size", "16,32", "--noremat", "--seeds=3", "--seed=7")
    expected = [(seed, rate, size) for seed, rate, size in itertools.product((7, 8, 9), (2e-5, 3e-5, 5e-5), (16, 32))]
    options = [run.options for run in sweep.runs]
    assert [(one.seed, one.learning_rate, one.train_batch_size) for one in options] == expected
    assert all(one.data_dir == "glue/MRPC" and not one.remat for one in options)
    assert len({one.model_dir for one in options}) == len(expected)
    assert {one.records_folder for one in options} == {"out/records"}
    assert sweep.runs[1].setting == (("learning_rate", "2e-5"), ("train_batch_size", "32"))


def test_choices_and_texts_have_lists_too() -> None:
    """Commas belong to texts, whose values have `|` between them; the last of two flags counts."""
    sweep = read("--optimizer_type=adamw,lamb", "--init_checkpoint=a,b|c/d", "--learning_rate=1,2", "--learning_rate=1")
    found = [(run.options.optimizer_type, run.options.init_checkpoint, run.options.learning_rate) for run in sweep.runs]
    assert found == [(kind, path, 1.0) for kind in ("adamw", "lamb") for path in ("a,b", "c/d")]


def test_flags_that_are_lists_keep_their_commas() -> None:
    """Parts to freeze and weights of classes are each one value; an empty first one stands for none."""
    sweep = read("--freeze=|embeddings,layer_0-3|encoder", "--class_weights=a:1,b:2", "--report_to=tensorboard,wandb")
    assert [run.options.freeze for run in sweep.runs] == ["", "embeddings,layer_0-3", "encoder"]
    assert {(run.options.class_weights, run.options.report_to) for run in sweep.runs} == {
        ("a:1,b:2", "tensorboard,wandb")
    }
    assert len({run.options.model_dir for run in sweep.runs}) == 3


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--train_file=a/b.csv|a-b.csv", "would both be called `train_file-a-b.csv_seed-0`"),
        ("--learning_rate=2e-5,x", "`--learning_rate=x`: expected a number"),
        ("--learning_rate=2e-5,2e-5", "the same value twice"),
        ("--learning_rate=2e-5,", "an empty one"),
        ("--learning_rat=2e-5", "unknown flag `--learning_rat`"),
        ("--seed=1,2", "`--seed=1,2`: expected one whole number"),
        ("--seeds=0", "`--seeds=0`: expected at least 1"),
        ("--mode=predict", "`--mode=predict`: every run trains and evaluates"),
        ("--model_dir=gs://a/b", "is remote"),
        ("--model_dir=", "`--model_dir` must be given"),
        ("--learning_rate", "`--learning_rate` has no value"),
        ("word", "`word` is not a flag"),
        ("--use_tpu", "unknown flag `--use_tpu`"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(argument: str, message: str) -> None:
    """As the trainer says it."""
    with pytest.raises(InputError) as caught:
        read(argument)
    assert message in caught.value.message


@pytest.mark.parametrize("argument", ["--task_name=MRPC", "--train_file=x", "--mnli_type=matched"])
def test_all_tasks_have_no_flags_of_one(argument: str) -> None:
    """`run_glue` refuses them."""
    with pytest.raises(InputError, match="every task has its own"):
        read_glue([*DATA, argument])
