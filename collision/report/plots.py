"""Plots of a run. Every function takes results and the file to write, and returns nothing.

Figures are made without pyplot: nothing is global, so they can be drawn from any thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from collision.metrics.estimate import Estimate
from collision.metrics.nexar import horizon_key
from collision.metrics.scored import Scored, ranked_rows, stand_in_weights
from collision.metrics.summary import Summary

# Okabe and Ito's colours: told apart by colour-blind readers and in grey print.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
)
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
INK, MUTED, FAINT = "#222222", "#6B6B6B", "#DDDDDD"

STYLE: dict[Any, Any] = {  # Any: matplotlib's stubs spell out every key
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.parse_math": False,  # a video may be called "$5.mp4"
    "savefig.dpi": 150,
}


@contextmanager
def styled_figure(path: Path | str, width: float, height: float) -> Iterator[Figure]:
    """Give a figure of that many inches in the house style; write it to ``path`` at the end."""
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE, "backend": "agg"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(path)


def ap_by_horizon(summary: Summary, path: Path | str) -> None:
    """AP at each horizon and their mean, with interval, chance and, where known, the oracle."""
    keys = list(summary.ap)
    places = np.arange(len(keys), dtype=float)
    with styled_figure(path, 6, 3.6) as figure:
        axes = figure.subplots()
        _levels(axes, keys, summary.chance, color=MUTED, ls="--", label="chance")
        if summary.oracle:
            _levels(axes, keys, summary.oracle, color=GREEN, ls="-", label="oracle")
        for place, key in zip(places, keys, strict=True):
            _ap_mark(axes, place, summary.ap[key])
        axes.set_xticks(places, [key if key == "mean" else f"{key} s" for key in keys])
        axes.set(ylim=(0, 1.04), xlim=(-0.6, len(keys) - 0.4), ylabel="average precision")
        axes.set_title("Average precision by time before the event")
        axes.grid(axis="x", visible=False)
        known = any(entry.low is not None for entry in summary.ap.values())
        label = "model, 95 % interval" if known else "model (no interval, see the table)"
        axes.plot([], [], "o", color=BLUE, label=label)
        axes.legend(loc="lower left", ncols=3)


def precision_recall(scored: Scored, path: Path | str) -> None:
    """Precision over recall, one curve for each horizon, with the share of positives."""
    with styled_figure(path, 5.2, 4.4) as figure:
        axes = figure.subplots()
        ranked = ranked_rows([scored])
        for colour, horizon in zip(cycle(CYCLE), np.unique(scored.horizon), strict=False):
            own = scored.horizon == horizon
            rows, label = own & ranked, scored.label[own]
            if np.unique(scored.label[rows]).size < 2:
                continue
            weights = stand_in_weights(label, ranked[own])
            precision, recall, _ = precision_recall_curve(
                scored.label[rows], scored.judged_score[rows], sample_weight=weights
            )
            axes.step(
                recall, precision, where="post", color=colour, label=f"{horizon_key(horizon)} s"
            )
            axes.axhline(label.mean(), color=colour, lw=1, ls=":", zorder=1)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.set_title("Precision-recall curves (dotted: chance)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title="before the event", loc="lower left")


def score_by_variant(scored: Scored, path: Path | str, tag: str = "variant") -> None:
    """Scores at each horizon, apart for each value of a tag, or for the labels without the tag."""
    names = scored.tags.get(tag, np.where(scored.label == 1, "positive", "negative"))
    # Positives first: a reader looks for the gap between the classes.
    order = sorted(
        set(names.tolist()), key=lambda name: (-scored.label[names == name].mean(), name)
    )
    horizons, ranked = np.unique(scored.horizon), ranked_rows([scored])
    with styled_figure(path, max(5.0, 2.4 * len(horizons) + 1), 3.8) as figure:
        panels = figure.subplots(1, len(horizons), sharey=True, squeeze=False)[0]
        for axes, horizon in zip(panels, horizons, strict=True):
            for place, name in enumerate(order):
                rows = ranked & (scored.horizon == horizon) & (names == name)
                colour = RED if scored.label[names == name].mean() > 0.5 else BLUE
                _cloud(axes, place, scored.judged_score[rows], colour)
            axes.set_xticks(range(len(order)), [name or "unknown" for name in order])
            axes.tick_params(axis="x", rotation=30)
            axes.set(ylim=(-0.03, 1.03), title=f"{horizon_key(horizon)} s before")
            axes.grid(axis="x", visible=False)
        panels[0].set_ylabel("probability of a collision")
        figure.suptitle("Scores (orange: positives, blue: negatives; bar: median)", fontsize=10)


def learning_curves(rows: Sequence[Mapping[str, str]], path: Path | str) -> None:
    """Losses and ``val/nexar_map`` over epochs from the rows of a Lightning CSV log.

    Args:
        rows: By column: ``epoch`` and any of ``train/loss``, ``val/loss`` and
            ``val/nexar_map``, cells empty where a row does not hold that number.
        path: The picture to write.
    """
    with styled_figure(path, 8, 3.4) as figure:
        losses, metric = figure.subplots(1, 2)
        for name, colour in (("train/loss", BLUE), ("val/loss", ORANGE)):
            epochs, values = _by_epoch(rows, name)
            if epochs:
                losses.plot(epochs, values, color=colour, label=name.partition("/")[0])
        losses.set(xlabel="epoch", title="Loss (dashed: best epoch)")
        if losses.get_lines():
            losses.legend()
        title = "nexar_map"
        epochs, values = _by_epoch(rows, "val/nexar_map")
        metric.plot(epochs, values, color=GREEN)
        if np.isfinite(values).any():
            best = int(np.nanargmax(values))
            for axes in (losses, metric):
                axes.axvline(epochs[best], color=MUTED, lw=1, ls="--", zorder=1)
            metric.plot(epochs[best], values[best], "o", color=GREEN)
            title = f"nexar_map: {values[best]:.3f} in epoch {epochs[best]}"
        metric.set(xlabel="epoch", title=title)
        for axes in (losses, metric):
            axes.xaxis.get_major_locator().set_params(integer=True)


def _levels(
    axes: Axes, keys: Sequence[str], values: Mapping[str, float | None], **style: Any
) -> None:
    """A short level line at each horizon whose value is known."""
    heights = np.array([values[key] for key in keys], dtype=float)  # None becomes NaN
    places = np.arange(len(keys))
    axes.hlines(heights, places - 0.3, places + 0.3, lw=1.8, **style)


def _ap_mark(axes: Axes, place: float, entry: Estimate) -> None:
    if entry.value is None:
        axes.annotate("not defined", (place, 0.5), ha="center", color=MUTED, fontsize=9)
        return
    if entry.interval:
        axes.vlines(place, *entry.interval, BLUE, lw=2.4)
    axes.plot(place, entry.value, "o", color=BLUE, ms=7)
    axes.annotate(
        f"{entry.value:.2f}",
        (place, entry.value),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},  # over the line of chance
    )


def _cloud(axes: Axes, place: float, scores: np.ndarray, colour: str) -> None:
    """Every score as a dot, spread sideways by its rank so that none hides another."""
    if not scores.size:
        return
    golden = (math.sqrt(5) - 1) / 2
    spread = np.empty(scores.size)
    spread[np.argsort(scores, kind="stable")] = np.arange(scores.size) * golden % 1.0 - 0.5
    axes.plot(place + 0.6 * spread, scores, "o", color=colour, ms=3, alpha=0.5, mew=0)
    axes.hlines(np.median(scores), place - 0.36, place + 0.36, INK, lw=1.8, zorder=3)


def _by_epoch(rows: Sequence[Mapping[str, str]], name: str) -> tuple[list[int], np.ndarray]:
    """Epochs that hold this number, counted from 1, and the last value each of them logged."""
    values = {}
    for row in rows:
        if row.get(name) and row.get("epoch"):
            values[int(float(row["epoch"])) + 1] = float(row[name])  # Lightning's begin at 0
    return sorted(values), np.array([values[epoch] for epoch in sorted(values)])
