# SPDX-License-Identifier: Apache-2.0
"""The table of flags that no longer mean anything."""

import pytest

from jaxbert.config import trainers
from jaxbert.config.flags import parse, rules
from jaxbert.config.retired import RETIRED
from jaxbert.config.trainers import ClassifierFlags

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


@pytest.mark.parametrize("options", [trainers.ClassifierFlags, trainers.SquadFlags, trainers.PretrainingFlags])
def test_every_common_flag_is_known(options: type) -> None:
    """Each flag that the official trainers share still means something, or is answered by a sentence."""
    live = rules(options)
    known = {*live, *(rule.short for rule in live.values()), *RETIRED}
    assert set(COMMON.split()) <= known
