"""The archive of MAP-Elites (Mouret and Clune 2015, arXiv 1504.04909): the best of each niche.

A niche is a pair of choices of two dimensions of the cells, the axes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from collision.errors import ConfigError
from collision.search.space import Dimension, Point, Space
from collision.search.trials import DONE, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Niche = tuple[str, str]


@dataclass
class Experiment:
    """A point that was tried, with the scores of its seeds and the numbers of its trials."""

    point: Point
    scores: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The number of its first trial."""
        return min(self.numbers)

    @property
    def mean(self) -> float:
        """Of all seeds: one lucky seed counts no more than it is worth."""
        return fmean(self.scores)


class Archive:
    """What was tried, by niche.

    Attributes:
        rows: First axis; so ``columns``.
    """

    def __init__(self, space: Space, axes: Sequence[str]):
        """ConfigError: ``axes`` are not two dimensions of the space's cells."""
        self.rows, self.columns = _axes(space, axes)
        self._tried: dict[Niche, dict[str, Experiment]] = defaultdict(dict)
        self._elites: dict[Niche, Experiment] = {}

    def add(self, number: int, point: Point, score: float) -> None:
        """Add a trial that ended."""
        niche = point.cell[self.rows.key], point.cell[self.columns.key]
        tried = self._tried[niche].setdefault(point.key, Experiment(point))
        tried.scores.append(score)
        tried.numbers.append(number)
        self._elites.pop(niche, None)  # looked for again when somebody asks

    def elites(self) -> dict[Niche, Experiment]:
        """Give the best experiment of each niche where something was tried; of equals, the first.

        In the same order whichever trial was added first.
        """
        for niche in self._tried.keys() - self._elites.keys():
            self._elites[niche] = max(self._tried[niche].values(), key=_merit)
        return dict(sorted(self._elites.items()))

    def num_trials(self, niche: Niche) -> int:
        """Count the trials of a niche."""
        return sum(len(one.numbers) for one in self._tried.get(niche, {}).values())


def archive_of(trials: Sequence[Trial], space: Space, axes: Sequence[str]) -> Archive:
    """Give the archive of all trials that have a score, whoever proposed them."""
    archive = Archive(space, axes)
    for trial in trials:
        if trial.state == DONE and trial.value is not None:
            archive.add(trial.number, trial.point, trial.value)
    return archive


def draw_archive(
    trials: Sequence[Trial], space: Space, axes: Sequence[str], path: Path | str
) -> None:
    """Draw the best mean score of each niche, with its number of trials; empty ones are hatched.

    ``path`` ends in ``.svg`` or ``.png``.
    """
    from collision.report.plots import drawable, styled_figure  # a second, which no worker pays

    archive = archive_of(trials, space, axes)
    names = [[c.name for c in axis.choices] for axis in (archive.rows, archive.columns)]
    scores = np.full([len(one) for one in names], np.nan)
    for niche, elite in archive.elites().items():
        scores[names[0].index(niche[0]), names[1].index(niche[1])] = elite.mean
    longest = max(map(len, names[0])) * 0.08
    size = max(6.0, 2.2 + longest + 0.62 * scores.shape[1]), 2.4 + 0.46 * scores.shape[0]
    with styled_figure(path, *size) as figure:
        panel = figure.subplots()
        _heat_map(figure, panel, scores)
        for place in np.argwhere(np.isfinite(scores)):
            row, column = place
            count = archive.num_trials((names[0][row], names[1][column]))
            _label(panel, row, column, scores[row, column], count)
        panel.set_xticks(range(scores.shape[1]), list(map(drawable, names[1])), rotation=40)
        panel.set_xticklabels(panel.get_xticklabels(), ha="right", rotation_mode="anchor")
        panel.set_yticks(range(scores.shape[0]), list(map(drawable, names[0])))
        panel.set(xlabel=archive.columns.key, ylabel=archive.rows.key)
        filled = len(archive.elites())
        panel.set_title(f"Best of each niche, and its trials: {filled} of {scores.size} niches")


def _heat_map(figure: Figure, panel: Axes, scores: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    from collision.report.plots import FAINT

    # Cividis: the same order of lightness for everybody, and in grey print.
    image = panel.imshow(np.ma.masked_invalid(scores), cmap="cividis", aspect="auto")
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    for row, column in np.argwhere(~np.isfinite(scores)):
        empty = Rectangle((column - 0.5, row - 0.5), 1, 1, fc="white", ec=FAINT, hatch="///", lw=0)
        panel.add_patch(empty)
    if np.isfinite(scores).any():
        bar = figure.colorbar(image, ax=panel, label="mAP on validation, mean of seeds")
        bar.outline.set_visible(False)
    else:
        white = {"facecolor": "white", "edgecolor": "none"}
        said, middle = "no trial has a score yet", panel.transAxes
        panel.text(0.5, 0.5, said, transform=middle, ha="center", va="center", bbox=white)


def _label(panel: Axes, row: int, column: int, score: float, count: int) -> None:
    from collision.report.plots import INK

    red, green, blue, _ = panel.images[0].to_rgba(np.array([score]))[0]
    colour = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else INK
    text = f"{score:.3f}\nn {count}"
    panel.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)


def _merit(one: Experiment) -> tuple[float, int]:
    return one.mean, -one.first


def _axes(space: Space, axes: Sequence[str]) -> tuple[Dimension, Dimension]:
    there = {dimension.key: dimension for dimension in space.cells}
    wrong = [key for key in axes if key not in there]
    if wrong or len(axes) != 2 or len(set(axes)) < 2:
        what = f"its cells have no {wrong[0]}" if wrong else "give two different dimensions"
        raise ConfigError(
            f"axes=[{','.join(axes)}] of the archive of space {space.name}: {what}. "
            f"There are: {', '.join(there)}."
        )
    first, second = axes
    return there[first], there[second]
