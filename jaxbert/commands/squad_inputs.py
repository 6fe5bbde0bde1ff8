# SPDX-License-Identifier: Apache-2.0
"""What a SQuAD run reads: training records, given or made from a SQuAD file, and the questions to answer."""

import collections
import dataclasses
import os

from jaxbert.checkpoints import model_folder
from jaxbert.commands.model_source import beside, find_case_rule, find_vocab
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import SquadFlags
from jaxbert.console import cores, progress, say
from jaxbert.datasets.building import records_folder
from jaxbert.datasets.squad import SquadRecipe, make_records
from jaxbert.errors import InputError
from jaxbert.features.squad import QuestionFile, WindowSettings
from jaxbert.io import files
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import lower_cases, read_vocab
from jaxbert.tfrecord.metadata import SquadMetaData

SETTINGS = WindowSettings(max_seq_length=384, doc_stride=128, max_query_length=64)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Record files and questions, and what is known of them.

    Attributes:
        meta: how windows are cut, and the version of SQuAD.
        vocab_file: the vocabulary, where it is known.
        do_lower_case: whether text is lower-cased, where it is known.
        train: paths of the training records.
        questions: the files of questions to answer.
    """

    meta: SquadMetaData
    vocab_file: str | None
    do_lower_case: bool | None
    train: tuple[str, ...]
    questions: tuple[QuestionFile, ...]


def read_inputs(flags: SquadFlags, config: BertConfig, checkpoint: str | None) -> Inputs:
    """The files that the flags name; a SQuAD file to train on is turned into records below `<model_dir>/records`, once.

    Raises:
        InputError: wrong data; flags that the meta data contradicts; windows or a vocabulary too large for the model.
    """
    path = flags.input_meta_data_path or (None if flags.trains else beside(checkpoint, model_folder.META_DATA_FILE))
    meta = SquadMetaData.read(path) if path and not flags.train_file else _of_flags(flags)
    _refuse_contradictions(flags, meta, path)
    lower_case = find_case_rule(flags.do_lower_case, checkpoint)
    vocab_file = flags.vocab_file or beside(checkpoint, model_folder.VOCAB_FILE)
    if flags.answers or flags.train_file:
        vocab_file = find_vocab(flags.vocab_file, config, checkpoint)
        lower_case = lower_cases(lower_case, read_vocab(vocab_file))
    questions: tuple[QuestionFile, ...] = ()
    if vocab_file and flags.answers:
        questions = _questions(flags, Tokenizer(read_vocab(vocab_file), bool(lower_case)), meta, config)
    if not flags.trains:
        return Inputs(meta, vocab_file, lower_case, (), questions)
    if flags.train_data_path:
        return Inputs(meta, vocab_file, lower_case, tuple(files.expand(flags.train_data_path)), questions)
    assert vocab_file is not None  # found above for `--train_file`
    train, meta = _made(flags, SquadRecipe(vocab_file, bool(lower_case), meta.settings))
    return Inputs(meta, vocab_file, lower_case, (train,), questions)


def _of_flags(flags: SquadFlags) -> SquadMetaData:
    given = {name: getattr(flags, name) for name in vars(SETTINGS)}
    settings = dataclasses.replace(SETTINGS, **{name: value for name, value in given.items() if value is not None})
    return SquadMetaData(0, settings, bool(flags.version_2_with_negative))


def _refuse_contradictions(flags: SquadFlags, meta: SquadMetaData, path: str | None) -> None:
    """SquadFlags that are given must be what the meta data says."""
    known = vars(meta.settings) | {"version_2_with_negative": meta.version_2_with_negative}
    for name, value in known.items():
        if getattr(flags, name) not in (None, value):
            raise InputError(
                f"`--{name}={str(getattr(flags, name)).lower()}`, but `{path}` says `{str(value).lower()}`",
                "leave out the flag, or make records and meta data with it",
            )


def _questions(
    flags: SquadFlags, tokenizer: Tokenizer, meta: SquadMetaData, config: BertConfig
) -> tuple[QuestionFile, ...]:
    assert flags.predict_file is not None  # the flags were checked
    paths = files.expand(flags.predict_file)
    if flags.mode.endswith("eval") and len(paths) > 1:
        raise InputError(
            f"`--predict_file={flags.predict_file}` means {len(paths)} files, one can be scored",
            "predict several with `--mode=predict` or `train_and_predict`",
        )
    found = tuple(QuestionFile(path, tokenizer, meta.settings, meta.version_2_with_negative) for path in paths)
    for questions in found:
        longest = max(questions.lengths, default=0)
        if longest > config.max_position_embeddings:
            raise InputError(
                f"`{questions.path}` makes windows of {longest} tokens, bert_config.json says"
                f" `max_position_embeddings` {config.max_position_embeddings}",
                "lower `--max_seq_length`",
            )
    names = collections.Counter(map(answers_prefix, paths))
    if len(names) < len(paths):
        raise InputError(
            f"several of `{flags.predict_file}` are called `{names.most_common(1)[0][0][:-1]}`",
            "answers are named after the files: rename one",
        )
    return found


def answers_prefix(path: str) -> str:
    """What the names of the answers begin with where several files are answered, as in the official script."""
    return f"{os.path.splitext(os.path.basename(path))[0]}-"


def _made(flags: SquadFlags, recipe: SquadRecipe) -> tuple[str, SquadMetaData]:
    """Path of the records of `--train_file`, and their meta data."""
    assert flags.train_file is not None
    version_2 = bool(flags.version_2_with_negative)
    folder = records_folder(flags.model_dir, [flags.train_file, recipe.vocab_file], (recipe, version_2, flags.strict))
    outputs = (os.path.join(folder, "train.tf_record"), os.path.join(folder, model_folder.META_DATA_FILE))
    if not files.is_file(outputs[1]):
        say(f"making records of {flags.train_file} in {folder}")
        workers = flags.num_workers or cores()
        written = make_records(flags.train_file, outputs, recipe, version_2, flags.strict, workers, progress)
        say(
            f"{written.questions} questions are {written.records} windows; {len(written.skipped)} left out because of"
            " their answer"
        )
    return outputs[0], SquadMetaData.read(outputs[1])
