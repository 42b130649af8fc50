"""Paints what a predictor says onto a video's frames: the curve, the threshold, alarm and time.

The curve stands in the lowest sixth of the picture, the words in the highest; what lies between,
the road, is left as it is. Drawn brightly is what was known by then; what comes is faint.

Shapes: N moments, H W image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from collision.report.palette import DARK, LIGHT
from collision.types import Seconds
from collision.video.redraw import Draw

_FINER = 3  # curves are drawn this much larger, and shrunk: lines without steps
_SHADE = 0.6  # of the picture behind the curve and behind words
_NOISE: Seconds = 1e-6
# The band is dark; white letters stand on the alarm's red.
RISK, LEVEL, ALARM, EVENT = DARK["blue"], DARK["orange"], DARK["red"], DARK["purple"]
ALARM_PAPER = LIGHT["red"]


@dataclass(frozen=True, eq=False)
class Course:
    """What is painted: probabilities ``[N]`` (NaN: nothing seen) at rising seconds ``[N]``.

    ``is_on [N]`` says when it alarms; ``end`` is the video's, in seconds; ``from_part [N]`` says
    where less was seen than the head looks at, which is dotted.
    """

    times: np.ndarray
    probabilities: np.ndarray
    is_on: np.ndarray
    threshold: float | None
    event_time: Seconds | None
    end: Seconds
    from_part: np.ndarray


class Painter:
    """Paints a course onto frames of one size, one after the other."""

    def __init__(self, course: Course, height: int, width: int, under: Draw | None = None):
        """Take what is painted first of all, on the picture itself, beside the course."""
        self.under, self.course, self.height, self.width = under, course, height, width
        self.band = min(height, max(6, height // 6))
        self.text = max(7, min(round(height / 15), round(width / 16), self.band - 2))
        self.span = max(course.end, float(course.times[-1]), 1e-3)
        self.bright, self.faint = self._panel(RISK, 255), self._panel("#FFFFFF", 110)

    def __call__(self, picture: np.ndarray, time: Seconds) -> np.ndarray:
        """Paint what is known at a time, onto a copy of ``uint8 [H, W, 3]``."""
        painted = picture.copy() if self.under is None else self.under(picture, time)
        place = int(np.searchsorted(self.course.times, time + _NOISE, side="right")) - 1
        self._paint_curve(painted, time)
        self._paint_words(painted, time, place)
        return painted

    def words(self, time: Seconds, place: int) -> tuple[str, str]:
        """Give the time, and what is known then, as they are painted."""
        known = place >= 0 and not np.isnan(self.course.probabilities[place])
        risk = f"risk {self.course.probabilities[place]:.2f}" if known else "risk -"
        return f"{time:.3f} s", risk

    def _paint_curve(self, painted: np.ndarray, time: Seconds) -> None:
        at = min(self.width - 1, int(time / self.span * (self.width - 1)))
        panel = np.concatenate([self.bright[:, : at + 1], self.faint[:, at + 1 :]], axis=1)
        _blend(painted[self.height - self.band :], panel)
        thick = max(1, self.width // 400)
        painted[self.height - self.band :, max(0, at - thick + 1) : at + 1] = 255

    def _paint_words(self, painted: np.ndarray, time: Seconds, place: int) -> None:
        stamp, risk = self.words(time, place)
        gap = max(1, self.text // 4)
        across = self._put(painted, stamp, gap, "#FFFFFF", "#000000")
        across = self._put(painted, risk, across + gap, "#FFFFFF", "#000000")
        if place >= 0 and self.course.is_on[place]:
            self._put(painted, "ALARM", across + gap, "#FFFFFF", ALARM_PAPER)
            edge = max(1, self.height // 120)
            colour = _rgb(ALARM_PAPER)
            painted[:edge], painted[-edge:] = colour, colour
            painted[:, :edge], painted[:, -edge:] = colour, colour

    def _put(self, painted: np.ndarray, words: str, left: int, ink: str, paper: str) -> int:
        """Paint words at the top, on their paper; give where they end."""
        label = label_of(words, self.text, ink, paper)
        top = max(1, self.text // 4)
        room = painted[top : top + label.shape[0], left : left + label.shape[1]]
        room[:] = label[: room.shape[0], : room.shape[1]]
        return left + label.shape[1]

    def _panel(self, colour: str, strength: int) -> np.ndarray:
        """Draw the whole course: ``uint8 [band, W, 4]``, what it covers in the last."""
        course, size = self.course, (self.width * _FINER, self.band * _FINER)
        image = Image.new("RGBA", size, (0, 0, 0, round(255 * _SHADE)))
        pen = ImageDraw.Draw(image)
        line = max(_FINER, size[1] // 30)
        rim = 1.5 * line

        def at(time: float, value: float) -> tuple[float, float]:
            across = time / self.span * (size[0] - 1)
            return across, rim + (1 - value) * (size[1] - 2 * rim)

        if course.threshold is not None:
            _, level = at(0, course.threshold)
            for left in range(0, size[0], 8 * line):
                pen.line([(left, level), (left + 4 * line, level)], LEVEL, max(1, line // 2))
        if course.event_time is not None:
            across, _ = at(course.event_time, 0)
            pen.line([(across, 0), (across, size[1])], EVENT, line)
        points = list(zip(course.times.tolist(), course.probabilities.tolist(), strict=True))
        ink = (*_rgb(colour), strength)
        is_part, walked = course.from_part.tolist(), 0.0
        for number, (first, second) in enumerate(pairwise(points)):
            if np.isnan(first[1] + second[1]):
                continue
            ends = at(*first), at(*second)
            if is_part[number] or is_part[number + 1]:
                walked = _dot(pen, ends, ink, line, walked)
            else:
                pen.line(ends, ink, line)
        values = np.append(course.probabilities, np.nan)  # so that the first and last have two
        for number, ((time, value), is_on) in enumerate(
            zip(points, course.is_on.tolist(), strict=True)
        ):
            is_alone = np.isnan(values[number - 1]) and np.isnan(values[number + 1])
            if not np.isnan(value) and (is_on or is_alone or not is_part[number]):
                across, level = at(time, value)
                box = (across - line, level - line, across + line, level + line)
                pen.ellipse(box, (*_rgb(ALARM), 255) if is_on else ink)
        small = image.resize((self.width, self.band), Image.Resampling.BOX)
        return np.asarray(small)


@lru_cache(maxsize=256)
def label_of(words: str, size: int, ink: str, paper: str) -> np.ndarray:
    """Draw words on their paper, letters about ``size`` pixels high: ``uint8 [h, w, 3]``."""
    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(words)
    up, down = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (size, 2)
    margin = max(1, size // 4)
    image = Image.new("RGB", (int(right - left) + 2 * margin, up + down), paper)
    ImageDraw.Draw(image).text((margin - left, 0), words, ink, font)
    return np.asarray(image)


def _dot(
    pen: ImageDraw.ImageDraw,
    ends: tuple[tuple[float, float], tuple[float, float]],
    ink: tuple[int, int, int, int],
    line: int,
    walked: float,
) -> float:
    """Draw a dotted line between two points that goes on from one ``walked`` so far; give how far.

    A dot is as long as the line is thick, a gap twice as long.
    """
    first, second = map(np.array, ends)
    length = float(np.linalg.norm(second - first))
    places = np.arange(-(walked % (3 * line)), length, 3 * line)
    for start in places:
        low, high = max(0.0, start), min(length, start + line)
        if high > low:
            piece = [tuple(first + (second - first) * (at / length)) for at in (low, high)]
            pen.line(piece, ink, line)
    return walked + length


def _blend(room: np.ndarray, panel: np.ndarray) -> None:
    share = panel[..., 3:].astype(np.uint16)
    mixed = room.astype(np.uint16) * (255 - share) + panel[..., :3].astype(np.uint16) * share
    room[:] = (mixed // 255).astype(np.uint8)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
