"""Log runs for TensorBoard: files in the run folder, read by ``tensorboard --logdir runs``.

Each trained head (a seed, or a seed of a fold) is one of its runs, and one more, ``summary``, holds
the final numbers, tables and pictures. Without ``logger=tensorboard`` nothing imports this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from collision.config import dotted
from collision.metrics.nexar import horizon_key
from collision.runs.logged import (
    as_text,
    curves_of,
    learned_from,
    pictures_of,
    predictions,
    scalars_of,
    tables_of,
)
from collision.runs.logged_cards import NAME, cards_table, logged_cards
from collision.runs.sweep import sweep_name
from collision.runs.tracker import not_installed
from collision.untrusted import read_config

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from collision.evaluation.numbers import Numbers

FOLDER = "tensorboard"
_SUMMARY = "summary"


class TensorBoardTracker:
    """Writes event files below ``RUN/tensorboard``.

    ConfigError: the package tensorboard does not load.
    """

    def __init__(self) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError as error:
            raise not_installed("tensorboard", "tensorboard>=2.18,<3", error) from error

    def logger(self, run_folder: Path, part: str, config: Mapping[str, Any]) -> TensorBoardLogger:
        """Start logging a head (``seed_0``, ``fold_1/seed_0``); a resumed one goes on beside it."""
        logger = TensorBoardLogger(
            save_dir=run_folder / FOLDER, name="", version=part, default_hp_metric=False
        )
        logger.experiment.add_text("configuration", as_text(config))
        return logger

    def where(self, logger: TensorBoardLogger) -> str:
        """Say in a line what shows it."""
        return f"TensorBoard: tensorboard --logdir {logger.save_dir}"

    def finish(self, logger: TensorBoardLogger, predictor: Path, origin: Mapping[str, Any]) -> None:
        """Log what a head is and where its file lies, and close its event file."""
        facts = {"file": str(predictor), **origin}
        logger.experiment.add_text("predictor", as_text(facts))
        logger.finalize("success")

    def summary(self, run_folder: Path, numbers: Numbers) -> None:
        """Log a finished run's numbers, tables, curves, plots, and what was chosen beside mAP."""
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(run_folder / FOLDER / _SUMMARY)) as writer:
            for name, value in scalars_of(numbers).items():
                writer.add_scalar(name, value, 0)
            for name, table in {**tables_of(run_folder, numbers), **curves_of(run_folder)}.items():
                writer.add_text(name, table.as_markdown(), 0)
            for name, path in pictures_of(run_folder).items():
                with Image.open(path) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                writer.add_image(f"plots/{name}", pixels, 0, dataformats="HWC")
            writer.add_text("provenance", as_text(learned_from(run_folder)), 0)
            _add_curves(writer, run_folder)
            _add_cards(writer, run_folder)
            _add_choices(writer, run_folder, numbers)


def _add_curves(writer: SummaryWriter, run_folder: Path) -> None:
    """Add TensorBoard's own precision-recall curves, of the first seed's scored examples."""
    for scored in list(predictions(run_folder).values())[:1]:
        for horizon in np.unique(scored.horizon):
            rows = (scored.horizon == horizon) & ~scored.missing
            if np.unique(scored.label[rows]).size == 2:
                name = f"precision_recall/{horizon_key(horizon)} s"
                writer.add_pr_curve(name, scored.label[rows], scored.score[rows], 0)


def _add_cards(writer: SummaryWriter, run_folder: Path) -> None:
    """Add what the page's cards say as a table, and the pictures of each as one."""
    cards = logged_cards(run_folder)
    if cards:
        writer.add_text(NAME, cards_table(cards).as_markdown(), 0)
    for number, card in enumerate(cards):
        name = f"cards/{number:02d} {card.row[2]}: {card.row[0]}"
        writer.add_image(name, np.asarray(card.whole), 0, dataformats="HWC")


def _add_choices(writer: SummaryWriter, run_folder: Path, numbers: Numbers) -> None:
    """Let runs be compared by what was chosen: TensorBoard's HPARAMS."""
    plain = dotted(read_config(run_folder))
    chosen = {k: v for k, v in plain.items() if isinstance(v, bool | int | float | str)}
    if name := sweep_name():
        chosen["sweep"] = name
    reached = numbers.summary.ap["mean"].value
    if reached is not None:
        writer.add_hparams(chosen, {"test/nexar_map": reached}, run_name=".")
