"""Which task of a job array, or of several that a launcher started at once, this process is.

Without devices or nodes to share (``devices=1``), each task does its shard of the videos.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from collision.errors import ConfigError
from collision.sampling.shards import Shard

_OWN_WAY = "Say which part this task does: shard=1/8 to shard=8/8; shard=1/1 is everything."


def shard_of_task(
    given: str | int | None,
    devices: int | str = 1,
    num_nodes: int = 1,
    environment: Mapping[str, str] = os.environ,
) -> Shard | None:
    """Give the shard that was asked for, or that of this task; None where it has no sisters.

    A SLURM array counts by its own numbers; the tasks of a step, or of torchrun, share what one
    task of the array has. ConfigError: variables that do not fit together.
    """
    if given is not None:
        return Shard.parse(given)
    number, count = _of_array(environment)
    if (devices, num_nodes) == (1, 1):
        own, of = _of_step(environment)
        number, count = number * of + own, count * of
    if not 0 <= number < count:
        raise ConfigError(f"This is task {number + 1} of {count}, which cannot be. {_OWN_WAY}")
    return Shard(number + 1, count) if count > 1 else None


def local_number(environment: Mapping[str, str] = os.environ) -> int:
    """Give the number, from 0, of this task among those of its machine."""
    name = "LOCAL_RANK" if "TORCHELASTIC_RUN_ID" in environment else "SLURM_LOCALID"
    return _number(environment, name, 0)


def _of_array(environment: Mapping[str, str]) -> tuple[int, int]:
    """Give the number, from 0, in a SLURM array, and how many there are; (0, 1) outside of one."""
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return 0, 1
    names = ("ID", "MIN", "COUNT", "STEP")
    values = [_number(environment, f"SLURM_ARRAY_TASK_{name}", None) for name in names]
    number, first, count, step = values
    last = _number(environment, "SLURM_ARRAY_TASK_MAX", first + (count - 1) * step)
    if step < 1 or (number - first) % step or (last - first) // step + 1 != count:
        raise ConfigError(
            f"SLURM_ARRAY_TASK_ID={number}, but the array's {count} numbers from {first} to {last} "
            f"do not lie evenly: which part that is cannot be told. {_OWN_WAY}"
        )
    return (number - first) // step, count


def _of_step(environment: Mapping[str, str]) -> tuple[int, int]:
    """Give the number, from 0, among what a launcher started, and how many it did."""
    if "TORCHELASTIC_RUN_ID" in environment:
        return _number(environment, "RANK", 0), _number(environment, "WORLD_SIZE", 1)
    number = _number(environment, "SLURM_PROCID", 0)
    steps = ("SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_TASKS")
    # A batch script, which runs once, has SLURM_PROCID=0 and the number of tasks as well.
    is_step = number > 0 or any(name in environment for name in steps)
    if not is_step or environment.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return 0, 1
    whole = _number(environment, "SLURM_NTASKS", 1)
    return number, _number(environment, "SLURM_STEP_NUM_TASKS", whole)


def _number(environment: Mapping[str, str], name: str, default: int | None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        shown = "is not there" if text is None else f"is {text!r}"
        raise ConfigError(f"{name} {shown}, where a number is wanted. {_OWN_WAY}") from None
