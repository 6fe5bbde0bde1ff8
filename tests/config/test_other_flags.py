# SPDX-License-Identifier: Apache-2.0
"""The tables of flags that no longer mean anything, and of those that are written in another way here."""

import pytest

from jaxbert.cli import COMMANDS, flags_of, main
from jaxbert.config import trainers
from jaxbert.config.data import FineTuningDataFlags, PretrainingDataFlags
from jaxbert.config.flags import named_in, parse, rules
from jaxbert.config.library import PredictFlags
from jaxbert.config.models import ExportFlags
from jaxbert.config.other_flags import ELSEWHERE, RETIRED
from jaxbert.config.trainers import ClassifierFlags
from jaxbert.errors import InputError

# The flags that the official trainers share (common_flags.py and what it takes from flags_core).
COMMON = """
    model_dir md num_gpus ng run_eagerly distribution_strategy ds worker_hosts task_index bert_config_file tpu
    init_checkpoint num_train_epochs steps_per_loop learning_rate end_lr optimizer_type scale_loss use_keras_compile_fit
    hub_module_url hub_module_trainable sub_model_export_name explicit_allreduce allreduce_bytes_per_pack log_steps
    dtype dt loss_scale ls fp16_implementation all_reduce_alg ara tf_gpu_thread_mode gt_mode per_gpu_thread_count pgtc
    datasets_num_private_threads enable_xla gin_file gin_param
"""


def test_old_command_line_runs() -> None:
    """A cloud TPU command line of the old scripts is accepted; each flag without meaning is answered by a sentence."""
    old = "--use_tpu --tpu_name=x --num_tpu_cores 8 --iterations_per_loop=1000 --norun_eagerly --enable_xla=true"
    parsed = parse(ClassifierFlags, ["--model_dir=m", "--mode=predict", *old.split()], RETIRED)
    assert len(parsed.notes) == 6
    assert all(note.endswith(".") for note in parsed.notes)


# The flags that absl's logging gives every program, as its source documents them, each in a usual spelling.
LOGGING = (
    *(["--alsologtostderr"], ["--nologtostderr"], ["-v", "1"], ["-v=-1"], ["--verbosity=0"], ["--verbosity", "1"]),
    *(["--stderrthreshold=info"], ["--showprefixforinfo=false"], ["--log_dir=logs"], ["--log_dir", "logs"]),
)


@pytest.mark.parametrize("given", LOGGING, ids=" ".join)
@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("run_classifier", "--model_dir=m --mode=predict"),
        ("create_finetuning_data", "--vocab_file=v --meta_data_file_path=m --train_data_output_path=t"),
        ("export", "--init_checkpoint=c --output_dir=o --format=onnx"),
    ],
)
def test_flags_of_logging_are_answered_by_a_sentence(command: str, own: str, given: list[str]) -> None:
    """Every official script takes the flags of absl; the command says that they have no effect, and goes on."""
    parsed = parse(flags_of(command), [*own.split(), *given], RETIRED, ELSEWHERE)
    (note,) = parsed.notes
    assert "has no effect: messages are written to standard error" in note
    assert parsed.options == parse(flags_of(command), own.split()).options


def test_a_text_behind_a_flag_without_meaning_is_kept() -> None:
    """Where a command takes texts without a flag, what follows such a flag is one of them."""
    parsed = parse(PredictFlags, ["--model=m", "-v", "a text", "--alsologtostderr", "another"], RETIRED)
    assert parsed.options.texts == ("a text", "another")


_DATA = ["--vocab_file=v", "--meta_data_file_path=m", "--train_data_output_path=t"]


def test_flags_of_official_data_that_mean_nothing_are_taken() -> None:
    """Their default values (versions 2.3 and 2.20), and those for tasks and tokens that the command does not make."""
    plain = parse(FineTuningDataFlags, _DATA).options
    old = "--tokenization=WordPiece --sp_model_file= --tfds_params= --translated_input_data_dir=x --only_use_en_dev"
    assert parse(FineTuningDataFlags, [*_DATA, *old.split()], RETIRED, ELSEWHERE).options == plain
    assert parse(FineTuningDataFlags, [*_DATA, "--tokenizer_impl=word_piece"]).options.tokenization == "word_piece"


@pytest.mark.parametrize(
    ("options", "given", "hint"),
    [
        (FineTuningDataFlags, "--tokenization=SentencePiece", "give a vocabulary of WordPiece"),
        (FineTuningDataFlags, "--tokenizer_impl=sentence_piece", "give a vocabulary of WordPiece"),
        (PretrainingDataFlags, "--tokenization=SentencePiece", "give a vocabulary of WordPiece"),
        (FineTuningDataFlags, "--classification_task_name=XTREME-XNLI", "give its examples as tables"),
        (FineTuningDataFlags, "--fine_tuning_task_type=tagging", "`jaxbert run_tagger`"),
        (FineTuningDataFlags, "--tfds_params=dataset=glue", "as the library `datasets` has it"),
        (FineTuningDataFlags, "--xlnet_format", "a question stands before its context"),
        (ClassifierFlags, "--task_name=boolq", "give its examples as tables"),
        (ClassifierFlags, "-ds=parameter_server", "its loop was never written for BERT"),
        (ExportFlags, "--export_type=model_with_mlm", "for model_with_mlm `--model=pretrainer`"),
        (ExportFlags, "--model_type=squad", "`--model=encoder` or `--model=squad`"),
        (ExportFlags, "--encoder_config_file=x", "`--bert_config_file`"),
    ],
)
def test_values_that_mean_something_else_are_refused_with_a_reason(options: type, given: str, hint: str) -> None:
    """What official scripts can and the command cannot is named, with what to do, and no other flag of a like name."""
    with pytest.raises(InputError) as caught:
        parse(options, [given], RETIRED, ELSEWHERE)
    assert given.partition("=")[2] in caught.value.message or "not a flag of this command" in caught.value.message
    assert hint in caught.value.hint
    assert "did you mean" not in caught.value.hint


def test_an_old_command_line_with_empty_variables_runs() -> None:
    """Scripts name a checkpoint or a hub module and leave the other empty: it says nothing, as in the old code."""
    empty = ["--hub_module_url=", "--bert_config_file=", "--predict_checkpoint_path=", "--eval_data_path="]
    flags = parse(ClassifierFlags, ["--model_dir=m", "--mode=predict", "--init_checkpoint=c", *empty]).options
    assert flags == ClassifierFlags(model_dir="m", mode="predict", init_checkpoint="c")


@pytest.mark.parametrize("options", [trainers.ClassifierFlags, trainers.SquadFlags, trainers.PretrainingFlags])
def test_every_common_flag_is_known(options: type) -> None:
    """Each flag that the official trainers share still means something, or is answered by a sentence."""
    live = rules(options)
    known = {*live, *(rule.short for rule in live.values()), *RETIRED}
    assert set(COMMON.split()) <= known


def test_an_old_command_is_told_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    """All flags of the TensorFlow 1 script that mean something are answered at once, in any spelling."""
    given = ["--do_train=true", "--nodo_eval", "--output_dir", "out", "--data_dir=MRPC", "--num_train_steps=100"]
    assert main(["run_classifier", *given]) == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert (
        message == "error: `--do_train`, `--do_eval`, `--output_dir`, `--num_train_steps`: not a flag of this command"
    )
    for right in ("`--mode=train_and_eval`", "`--output_dir`: `--model_dir`", "`--num_train_epochs`"):
        assert right in hint


def test_the_answer_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Each sentence names flags that the command has, and every sentence is the answer of one command at least."""
    live = {
        command: {name for rule_name, rule in rules(options).items() for name in (rule_name, rule.short)}
        for command, options in ((command, flags_of(command)) for command in COMMANDS)
    }
    for command in ("sweep", "run_glue"):  # their runs are the trainer's
        live[command] |= live["run_classifier"]
    unused = {(name, text) for name, texts in ELSEWHERE.items() for text in texts}
    for command, names in live.items():
        for name in ELSEWHERE.keys() - names:
            assert main([command, f"--{name}=1"]) == 2
            hint = capsys.readouterr().err.partition(f"hint: for `--{name}`: ")[2].strip()
            assert set(named_in(hint)) <= names
            unused.discard((name, hint))
    assert not unused


def test_a_flag_of_the_command_is_never_one_of_others() -> None:
    """`--warmup_steps` belongs to run_pretraining, and so does `--train_file` to run_classifier."""
    own = ["--model_dir=m", "--input_files=r", "--warmup_steps=5"]
    assert parse(trainers.PretrainingFlags, own, RETIRED, ELSEWHERE).options.warmup_steps == 5
    text = ["--model_dir=m", "--train_file=t.csv"]
    assert parse(ClassifierFlags, text, RETIRED, ELSEWHERE).options.train_file == "t.csv"
