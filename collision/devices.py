"""Which device and which precision: one rule for extraction, training and prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from collision.errors import ConfigError
from collision.options import Accelerator, Precision

if TYPE_CHECKING:  # names can be checked without torch
    import torch

ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def device_of(accelerator: str, group: str = "") -> torch.device:
    """Give the device that ``accelerator`` means on this machine.

    Args:
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        group: That the option belongs to, for the message: ``trainer`` or ``extraction``.

    Raises:
        ConfigError: Unknown, or a GPU that is not there.
    """
    import torch

    option = f"{group}.accelerator".lstrip(".")
    if accelerator not in ACCELERATORS:
        raise ConfigError(f"{option}={accelerator}: choose one of {', '.join(ACCELERATORS)}.")
    has_gpu = torch.cuda.is_available()
    if accelerator == "gpu" and not has_gpu:
        raise ConfigError(f"{option}=gpu, but there is no CUDA device here. Use auto or cpu.")
    return torch.device("cuda" if has_gpu and accelerator != "cpu" else "cpu")


def precision_of(accelerator: str, precision: str | None, group: str = "") -> Precision:
    """Give the precision in Lightning's words; by default bf16 on a GPU and float32 on a CPU.

    Raises:
        ConfigError: Unknown.
    """
    device = device_of(accelerator, group)
    if precision is None:
        return "bf16-mixed" if device.type == "cuda" else "32-true"
    for known in PRECISIONS:
        if known == precision:
            return known
    option = f"{group}.precision".lstrip(".")
    raise ConfigError(f"{option}={precision}: choose one of {', '.join(PRECISIONS)}.")
