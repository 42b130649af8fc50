"""What stands around the steps of a training: the mean of their weights, and what is not said."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.callbacks import EMAWeightAveraging, WeightAveraging

from collision.learning.schedule import Schedule


def averaging(kind: str, schedule: Schedule) -> list[WeightAveraging]:
    """Average weights over steps: over about a tenth of them, or over the last quarter."""
    if kind == "ema":
        return [EMAWeightAveraging(decay=1 - 10 / max(schedule.total, 20))]
    return [_LastQuarter(schedule.total * 3 // 4)] if kind == "swa" else []


class _LastQuarter(WeightAveraging):
    """The plain mean of the weights from a step on (arXiv 1803.05407)."""

    def __init__(self, first_step: int):
        super().__init__()
        self.first_step = first_step

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Take a step's weights into the mean."""
        return step_idx is not None and step_idx >= self.first_step


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what Lightning says that a reader can do nothing about."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in (".*many workers.*", ".*Checkpoint directory.*", ".*LeafSpec.*"):
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
