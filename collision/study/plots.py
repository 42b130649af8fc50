"""Pictures of an analysis, in the house style. Each takes results and the file to write."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from collision.report.plots import (
    BLUE,
    CYCLE,
    INK,
    MUTED,
    ORANGE,
    WIDTH,
    drawable,
    styled_figure,
)
from collision.study.analysis import Analysis
from collision.study.best import CURVES, running_best
from collision.study.efficiency import Efficiency
from collision.study.rankings import Ranked

MOST_LEVELS = 40  # more lines are no picture


def effects(analysis: Analysis, path: Path | str) -> None:
    """Draw omega squared of every effect with its interval, the largest on top."""
    shown = [e for e in analysis.anova.effects if e.omega_squared is not None]
    shown.sort(key=lambda e: -(e.omega_squared or 0.0))
    with styled_figure(path, WIDTH, 1.3 + 0.36 * max(1, len(shown))) as figure:
        axes = figure.subplots()
        axes.axvline(0, color=MUTED, lw=1, ls="--", zorder=1)
        for place, effect in enumerate(shown):
            sure = analysis.sure[effect.name]
            matters = effect.name in analysis.matters
            colour = BLUE if matters else MUTED
            if sure.interval:
                axes.hlines(place, *sure.interval, colour, lw=2.4)
            # Filled or not: the difference is seen without colours too.
            fill = colour if matters else "white"
            axes.plot(effect.omega_squared or 0.0, place, "o", color=colour, mfc=fill, ms=7)
        _names(axes, [e.name for e in shown])
        axes.set_xlim(min(-0.02, axes.get_xlim()[0]), max(0.1, axes.get_xlim()[1]))
        axes.set_xlabel(
            f"omega squared of {drawable(analysis.score)}, 95 % interval\n"
            f"{len(analysis.runs)} runs; filled: p, corrected, at most .05"
        )
        _title(figure, "What explains the scores")


def levels(analysis: Analysis, path: Path | str) -> None:
    """Draw every level's mean with its 95 % interval, over the dots of its runs."""
    factors = list(analysis.runs.factors)
    counts = [len(np.unique(c)) for c in analysis.runs.factors.values()]
    rng = np.random.default_rng(0)
    with styled_figure(path, WIDTH, 1 + sum(0.55 + 0.32 * count for count in counts)) as figure:
        panels = figure.subplots(
            len(factors), 1, sharex=True, squeeze=False, height_ratios=[c + 1 for c in counts]
        )[:, 0]
        for axes, factor in zip(panels, factors, strict=True):
            own = [level for level in analysis.levels if level.factor == factor]
            for place, level in enumerate(own):
                score = analysis.runs.score[analysis.runs.factors[factor] == level.name]
                spread = rng.uniform(-0.25, 0.25, len(score))
                dot: dict[str, Any] = {"color": MUTED, "ms": 3, "alpha": 0.35, "mew": 0}
                axes.plot(score, place + spread, "o", **dot)
                if level.sd is not None:
                    reach = 1.96 * level.sd / level.runs**0.5
                    axes.hlines(place, level.mean - reach, level.mean + reach, BLUE, lw=2.4)
                axes.plot(level.mean, place, "D", color=BLUE, ms=6)
            _names(axes, [f"{level.name} (n {level.runs})" for level in own])
            axes.set_title(drawable(factor))
        panels[-1].set_xlabel(f"{drawable(analysis.score)} (dots: runs; bars: 95 % of the mean)")


def pair(analysis: Analysis, path: Path | str) -> None:
    """Draw the mean of every combination of the two factors that say most, as a heat map."""
    names = pair_of(analysis)
    assert names is not None
    columns = [analysis.runs.factors[name] for name in names]
    rows, row = np.unique(columns[0], return_inverse=True)
    others, other = np.unique(columns[1], return_inverse=True)
    shape = len(rows), len(others)
    counts, sums = np.zeros(shape), np.zeros(shape)
    np.add.at(counts, (row, other), 1)
    np.add.at(sums, (row, other), analysis.runs.score)
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    with styled_figure(path, 2.6 + 0.8 * len(others), 1.8 + 0.5 * len(rows)) as figure:
        axes = figure.subplots()
        axes.set_facecolor("#eeeeee")
        picture = axes.imshow(mean, cmap="cividis", aspect="auto")
        middle = (np.nanmin(mean) + np.nanmax(mean)) / 2
        for place in np.ndindex(*shape):
            text = f"{mean[place]:.3f}\nn {counts[place]:.0f}" if counts[place] else "none"
            dark = counts[place] and mean[place] < middle
            colour = "#fcfcfc" if dark else "#101010"  # on the cell, whatever the page's scheme
            axes.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color=colour)
        axes.set_xticks(
            range(len(others)), [_short(str(n)) for n in others], rotation=30, ha="right"
        )
        axes.set_yticks(range(len(rows)), [_short(str(n)) for n in rows])
        axes.grid(visible=False)
        axes.set(xlabel=drawable(names[1]), ylabel=drawable(names[0]))
        figure.colorbar(picture, ax=axes, label=f"mean {drawable(analysis.score)}")


def pair_of(analysis: Analysis) -> tuple[str, str] | None:
    """Name the two factors with the largest shares; None: there is one, or too many levels."""
    shares = {e.name: e.eta_squared for e in analysis.anova.effects}
    names = sorted(analysis.runs.factors, key=lambda name: -shares[name])[:2]
    few = all(len(np.unique(analysis.runs.factors[n])) <= MOST_LEVELS // 2 for n in names)
    return (names[0], names[1]) if len(names) == 2 and few else None


def growth(analysis: Analysis, path: Path | str) -> None:
    """Draw the best so far, over what luck alone does in any order, and the curves through it."""
    assert analysis.growth is not None
    score = analysis.runs.score
    best, n = running_best(score), np.arange(1, len(score) + 1)
    rng = np.random.default_rng(0)
    shuffled = np.array([running_best(rng.permutation(score)) for _ in range(300)])
    low, high = np.quantile(shuffled, (0.025, 0.975), axis=0)
    with styled_figure(path, WIDTH, 4.2) as figure:
        axes = figure.subplots()
        label = "the same runs in any order, 95 %"
        axes.fill_between(n, low, high, color=MUTED, alpha=0.2, lw=0, label=label)
        axes.step(n, best, where="post", color=INK, lw=2, label=f"best so far ({len(n)} runs)")
        for colour, style, fit in zip(
            CYCLE, cycle(("--", "-.", ":", (0, (5, 1)))), analysis.growth.fits, strict=False
        ):
            if not fit.values:
                continue
            curve = CURVES[fit.name].function(n.astype(float), *fit.values.values())
            known = "" if fit.not_identified is None else ", not identified"
            axes.plot(n, curve, ls=style, color=colour, lw=1.3, label=f"{fit.name}{known}")
        axes.set(xlabel="runs", ylabel=f"best {drawable(analysis.score)}", xlim=(1, len(n)))
        reach = max(float(np.ptp(best)), 1e-3)
        axes.set_ylim(float(best[0]) - 0.3 * reach, float(best[-1]) + 0.3 * reach)
        axes.legend(loc="lower right", fontsize=8)
        axes.set_title("The best so far")


def entropy(analysis: Analysis, path: Path | str) -> None:
    """Draw how varied what was tried was, over the runs."""
    assert analysis.growth is not None
    trajectory = analysis.growth.entropy
    with styled_figure(path, WIDTH, 3) as figure:
        axes = figure.subplots()
        axes.plot(trajectory.runs, trajectory.value, "o-", color=BLUE, ms=3)
        possible = float(np.log2(len(np.unique(analysis.runs.cells))))
        axes.axhline(possible, color=MUTED, ls="--", lw=1)
        above: dict[str, Any] = {"xytext": (0, 3), "textcoords": "offset points", "fontsize": 8}
        axes.annotate("all equally often", (trajectory.runs[0], possible), color=MUTED, **above)
        axes.set(xlabel="runs", ylabel="bits", ylim=(0, possible * 1.15 + 0.05))
        axes.set_title("Entropy of the combinations within a sliding window")


def slopes(ranked: Sequence[Ranked], path: Path | str) -> None:
    """Draw how the levels of one factor stand in each context, a line a level."""
    levels = list(dict.fromkeys(level for one in ranked for level in one.levels))
    width = 3.4 + 1.7 * len(ranked)
    with styled_figure(path, width, max(3.0, 1.4 + 0.3 * len(levels))) as figure:
        axes = figure.subplots()
        looks = zip(cycle(CYCLE), cycle("osD^vPX"), strict=False)
        ends = []
        for (colour, mark), level in zip(looks, levels, strict=False):
            places, values, errors = [], [], []
            for place, one in enumerate(ranked):
                if level in one.levels:
                    at = one.levels.index(level)
                    error = 0.0 if one.covariance is None else float(one.covariance[at, at]) ** 0.5
                    places.append(place)
                    values.append(float(one.effect[at]))
                    errors.append(1.96 * error)
            axes.errorbar(
                places, values, errors, color=colour, marker=mark, ms=6, lw=1.6, capsize=2
            )
            ends.append((values[-1], places[-1], level, colour))
        _labels(axes, ends)
        axes.axhline(0, color=MUTED, lw=1, ls="--", zorder=1)
        names = [f"{_short(one.context, 24)}\nn {one.runs}" for one in ranked]
        axes.set_xticks(range(len(ranked)), [drawable(name) for name in names])
        axes.set_xlim(-0.25, len(ranked) - 0.1)
        axes.set_ylabel("from the mean of levels, 95 %")
        axes.set_title(drawable(ranked[0].factor))
        axes.grid(axis="x", visible=False)


def efficiency_curves(one: Efficiency, path: Path | str) -> None:
    """Draw the mean best so far of every policy, with its interval."""
    with styled_figure(path, WIDTH, 4.4) as figure:
        axes = figure.subplots()
        ordered = sorted(one.courses, key=lambda course: -course.mean[-1])
        for colour, style, course in zip(
            cycle(CYCLE), cycle(("-", "--", "-.", ":")), ordered, strict=False
        ):
            axes.fill_between(one.trials, course.low, course.high, color=colour, alpha=0.18, lw=0)
            label = f"{course.policy} ({course.repeats} repeats)"
            axes.plot(
                one.trials, course.mean, color=colour, ls=style, lw=1.8, label=drawable(label)
            )
        axes.axhline(one.optimum, color=ORANGE, lw=1, ls=":", zorder=1)
        axes.annotate("optimum", (1, one.optimum), color=MUTED, fontsize=8, va="bottom")
        axes.set(xscale="log", xlim=(1, max(2, one.budget)))
        axes.set(xlabel="trials", ylabel="best so far, mean with 95 % interval")
        axes.legend(loc="lower right")
        axes.set_title("How soon policies find")


def _labels(axes: Axes, ends: Sequence[tuple[float, int, str, str]]) -> None:
    """Name lines at their right ends, apart from each other."""
    low, high = axes.get_ylim()
    apart, last = (high - low) * 0.055, -np.inf
    for value, place, level, colour in sorted(ends):
        last = max(value, last + apart)
        axes.annotate(
            drawable(_short(level, 24)), (place + 0.06, last), fontsize=8, color=colour, va="center"
        )
    axes.set_ylim(low, max(high, last + apart))


def _names(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def _title(figure: Any, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")


def _short(name: str, length: int = 36) -> str:
    return drawable(name if len(name) <= length else name[: length - 1] + "…")
