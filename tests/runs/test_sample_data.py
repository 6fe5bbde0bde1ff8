# SPDX-License-Identifier: Apache-2.0
"""The script that writes the tasks of the demo."""

from pathlib import Path

from jaxbert.config import bert_config, trainers
from jaxbert.config.flags import parse
from jaxbert.examples.glue import find_task, glue_dataset
from runs import sample_reviews
from runs.sample_data import main
from runs.sample_events import SIZES


def test_what_is_written_can_be_trained_on(tmp_path: Path) -> None:
    """The flag file parses, its paths exist, the task's reader finds all examples, the vocabulary fits the model."""
    main(str(tmp_path))
    flags = parse(trainers.ClassifierFlags, [f"--flagfile={tmp_path / 'flags.txt'}"]).options
    assert flags.data_dir is not None
    assert flags.vocab_file is not None
    assert flags.bert_config_file is not None
    dataset = glue_dataset(find_task(Path(flags.data_dir).name), flags.data_dir)
    for split, size in zip((dataset.train, dataset.dev, dataset.test[""]), SIZES.values(), strict=True):
        assert split is not None
        assert sum(1 for _ in split()) == size
    assert bert_config.read(flags.bert_config_file).vocab_size == len(Path(flags.vocab_file).read_text().splitlines())


def test_answers_stand_beside_the_test_file(tmp_path: Path) -> None:
    """There is one answer for each line of the test file, with its index."""
    main(str(tmp_path), seed=7)
    test, answers = (
        (tmp_path / "MRPC" / name).read_text().splitlines()[1:] for name in ("test.tsv", "test_answers.tsv")
    )
    assert [line.split("\t")[0] for line in test] == [line.split("\t")[0] for line in answers]
    assert [line.split("\t")[1] for line in answers].count("1") == SIZES["test"] // 2


def test_text_to_pretrain_on_and_what_needs_it(tmp_path: Path) -> None:
    """Both flag files parse, the task's reader finds all sentences, the answers have a line for each to judge."""
    main(str(tmp_path))
    reviews = tmp_path / "reviews"
    pretraining = parse(trainers.PretrainingFlags, [f"--flagfile={reviews / 'pretrain.flags'}"]).options
    assert bert_config.read(str(pretraining.bert_config_file)) == sample_reviews.model_config()
    judging = [f"--flagfile={reviews / 'judge.flags'}", f"--model_dir={tmp_path / 'model'}"]
    flags = parse(trainers.ClassifierFlags, judging).options
    dataset = glue_dataset(find_task("SST-2"), str(flags.data_dir))
    splits = (dataset.train, dataset.dev, dataset.test[""])
    sizes = [sum(1 for _ in split()) for split in splits if split is not None]
    assert sizes == list(sample_reviews.SIZES.values())
    assert len((reviews / "SST-2" / "test_answers.tsv").read_text().splitlines()) == sizes[-1] + 1
    assert (reviews / "text.txt").read_text().count("\n\n") == sample_reviews.REVIEWS - 1
