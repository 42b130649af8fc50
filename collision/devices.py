"""Which device and which precision: one rule for extraction, training and prediction."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast, get_args

from collision.errors import ConfigError
from collision.option_groups import Accelerator, Precision

if TYPE_CHECKING:  # names can be checked without torch
    import torch

ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def device_of(accelerator: str, group: str = "") -> torch.device:
    """Give the device of ``auto``, ``cpu`` or ``gpu``; messages name the option by its ``group``.

    ConfigError: unknown, or a GPU that is not there.
    """
    import torch

    option = f"{group}.accelerator".lstrip(".")
    _check_choice(option, accelerator, ACCELERATORS)
    has_gpu = torch.cuda.is_available()
    if accelerator == "gpu" and not has_gpu:
        raise ConfigError(f"{option}=gpu, but there is no CUDA device here. Use auto or cpu.")
    return torch.device("cuda" if has_gpu and accelerator != "cpu" else "cpu")


def precision_of(accelerator: str, precision: str | None, group: str = "") -> Precision:
    """Give the precision in Lightning's words; by default bf16 on a GPU and float32 on a CPU.

    ConfigError: unknown.
    """
    device = device_of(accelerator, group)
    if precision is None:
        return "bf16-mixed" if device.type == "cuda" else "32-true"
    _check_choice(f"{group}.precision".lstrip("."), precision, PRECISIONS)
    return cast(Precision, precision)


def _check_choice(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{option}={value}: choose one of {', '.join(known)}.")


@contextmanager
def threads_at_most(number: int) -> Iterator[None]:
    """Let torch use so many cores, one at least; waiting for each other, its threads spin."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, number)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def memory_kept() -> Iterator[None]:
    """Let what is freed serve what is made next, instead of going back to the system.

    A step of a head makes and frees some ten arrays of megabytes; pages that are new each time cost
    more than the sums on them: the linear head took 39 ms of processor time a step, 15 ms so. With
    another C library than glibc nothing changes.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None or not sys.platform.startswith("linux"):
        yield
        return
    set_option(_MMAP_THRESHOLD, 32 << 20)  # the largest there is, which glibc too may come to
    set_option(_TRIM_THRESHOLD, 512 << 20)
    try:
        yield
    finally:
        set_option(_TRIM_THRESHOLD, 64 << 20)  # twice the other, as glibc has it


def num_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))
