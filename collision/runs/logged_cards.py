"""The cards of a run's page as plain data and pictures, for loggers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from collision.report.cards import moment_words, seen_of
from collision.report.footage import Footage
from collision.report.gallery import Card, cards_of
from collision.report.judged import read_judged, read_metrics
from collision.report.risk_plot import risk_picture
from collision.runs.logged import Cell, LoggedTable

NAME = "test/cards"
COLUMNS = (
    *("clip", "label", "kind", "shown as", "horizon", "score", "seeds' spread", "error"),
    *("threshold", "tags"),
)
PICTURES = ("at the cut", "frames", "risk")  # columns of loggers that hold pictures in tables


@dataclass(frozen=True)
class LoggedCard:
    """A card: its ``row`` under ``COLUMNS``, and its pictures.

    Attributes:
        cut: The frame at the cut; None where the video cannot be shown.
        frames: Words and picture of each moment of the strip.
        risk: The risk curve.
    """

    row: list[Cell]
    cut: Image.Image | None
    frames: list[tuple[str, Image.Image]]
    risk: Image.Image

    @property
    def words(self) -> str:
        """The times of the strip."""
        return ", ".join(words for words, _ in self.frames)

    @property
    def strip(self) -> Image.Image | None:
        """The strip as one picture."""
        return side_by_side([picture for _, picture in self.frames])

    @property
    def whole(self) -> Image.Image:
        """All its pictures below each other, for loggers that show one a name."""
        pictures = [one for one in (self.cut, self.strip, self.risk) if one is not None]
        size = max(one.width for one in pictures), sum(one.height for one in pictures)
        sheet, top = Image.new("RGB", size, "white"), 0
        for one in pictures:
            sheet.paste(one, (0, top))
            top += one.height
        return sheet


def logged_cards(run_folder: Path) -> list[LoggedCard]:
    """Give the cards of ``results.html`` in its order; none where nothing was judged yet.

    CheckpointError: the run's files are damaged.
    """
    if not (run_folder / "metrics.json").is_file():
        return []
    judged = read_judged(run_folder, read_metrics(run_folder))
    return [_logged(card, seen_of(card, False)) for one in judged for card in cards_of(one)]


def cards_table(cards: Sequence[LoggedCard]) -> LoggedTable:
    """Give what the cards say, without their pictures."""
    return LoggedTable([*COLUMNS], [card.row for card in cards])


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image | None:
    """Join pictures from left to right; None of none."""
    if not pictures:
        return None
    size = sum(one.width for one in pictures), max(one.height for one in pictures)
    sheet, left = Image.new("RGB", size, "white"), 0
    for one in pictures:
        sheet.paste(one, (left, 0))
        left += one.width
    return sheet


def _logged(card: Card, footage: Footage) -> LoggedCard:
    tags = ", ".join(f"{name}: {value}" for name, value in sorted(card.tags.items()) if value)
    row: list[Cell] = [card.video, card.label, card.kind, card.choice, card.horizon, card.score]
    row += [card.sd, card.error, card.threshold, tags]
    frames = [(moment_words(card, time), _picture(data)) for time, data in footage.strip]
    cut = None if footage.picture is None else _picture(footage.picture)
    return LoggedCard(row, cut, frames, risk_picture(card, footage))


def _picture(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")
