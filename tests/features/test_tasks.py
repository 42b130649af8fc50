"""What a task's environment says about its shard, as SLURM and torchrun set it."""

import pytest

from collision.errors import ConfigError
from collision.features.tasks import shard_of_task


def array(number, first, last, step=1, **more):
    """Give what a task of ``--array=first-last:step`` sees."""
    names = {"ID": number, "MIN": first, "MAX": last, "STEP": step}
    names["COUNT"] = (last - first) // step + 1
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in names.items()} | more


STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, None),
        (array(1, 1, 8), "1/8"),
        (array(7, 0, 7), "8/8"),
        (array(30, 10, 50, 10), "3/5"),
        (array(4, 4, 4), None),  # a task that is run again alone does what is left
        (STEP | {"SLURM_PROCID": "0"}, "1/4"),
        (STEP | {"SLURM_PROCID": "3"}, "4/4"),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, "2/2"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # the batch script, which runs once
        (STEP | {"SLURM_PROCID": "3", "SLURM_JOB_NAME": "interactive"}, None),
        (array(2, 1, 3) | STEP | {"SLURM_PROCID": "1"}, "6/12"),
        (TORCHRUN, "3/4"),
    ],
)
def test_a_task_has_its_part(environment, wanted):
    shard = shard_of_task(None, environment=environment)
    assert (shard and str(shard)) == wanted


def test_what_is_asked_for_counts():
    assert str(shard_of_task("3/8", environment=array(1, 1, 8))) == "3/8"
    assert shard_of_task("1/1", environment=array(1, 1, 8)).is_whole


def test_tasks_that_share_devices_are_no_shards():
    """Fabric shares the work among them; an array's tasks stay shards."""
    step = STEP | {"SLURM_PROCID": "1"}
    assert shard_of_task(None, 4, environment=step) is None
    assert shard_of_task(None, 1, 4, environment=step) is None
    assert str(shard_of_task(None, 4, environment=array(2, 1, 3) | step)) == "2/3"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SLURM_ARRAY_TASK_ID": "3"}, "SLURM_ARRAY_TASK_MIN is not there"),
        (array(3, 1, 8) | {"SLURM_ARRAY_TASK_COUNT": "x"}, "SLURM_ARRAY_TASK_COUNT is 'x'"),
        (array(5, 1, 7) | {"SLURM_ARRAY_TASK_COUNT": "3"}, "the array's 3 numbers from 1 to 7"),
        (STEP | {"SLURM_PROCID": "4"}, "task 5 of 4"),
    ],
)
def test_what_cannot_be_told_is_a_sentence(environment, message):
    with pytest.raises(ConfigError, match=f"{message}.*shard=1/8"):
        shard_of_task(None, environment=environment)
