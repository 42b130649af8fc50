"""Which device and which precision: one rule for extraction, training and prediction."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch

from collision.errors import ConfigError

ACCELERATORS = ("auto", "cpu", "gpu")
Precision: TypeAlias = Literal["32-true", "bf16-mixed", "16-mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def device_of(accelerator: str) -> torch.device:
    """Give the device that ``accelerator`` means on this machine.

    Raises:
        ConfigError: Unknown, or a GPU that is not there.
    """
    if accelerator not in ACCELERATORS:
        raise ConfigError(f"accelerator={accelerator!r}: choose one of {', '.join(ACCELERATORS)}.")
    has_gpu = torch.cuda.is_available()
    if accelerator == "gpu" and not has_gpu:
        raise ConfigError("accelerator=gpu, but there is no CUDA device here. Use auto or cpu.")
    return torch.device("cuda" if has_gpu and accelerator != "cpu" else "cpu")


def precision_of(accelerator: str, precision: str | None) -> Precision:
    """Give the precision in Lightning's words; by default bf16 on a GPU and float32 on a CPU.

    Raises:
        ConfigError: Unknown.
    """
    if precision is None:
        return "bf16-mixed" if device_of(accelerator).type == "cuda" else "32-true"
    device_of(accelerator)
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision!r}: choose one of {', '.join(PRECISIONS)}.")
    return precision
