"""Plots of a run. Every function takes results and the file to write, and returns nothing.

Figures are made without pyplot: nothing is global, so they can be drawn from any thread.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from collision.metrics.calibration import Calibration
from collision.metrics.estimate import Estimate
from collision.metrics.nexar import horizon_key
from collision.metrics.rates import FalseAlarms, RecallByTime
from collision.metrics.scored import Scored, ranked_rows, stand_in_weights
from collision.metrics.summary import Summary
from collision.metrics.threshold import at_threshold
from collision.report.palette import LIGHT, SERIES

BLUE, ORANGE, GREEN = LIGHT["blue"], LIGHT["orange"], LIGHT["green"]
RED, PURPLE = LIGHT["red"], LIGHT["purple"]
CYCLE = tuple(LIGHT[name] for name in SERIES)
INK, MUTED, FAINT = LIGHT["ink"], LIGHT["muted"], LIGHT["line"]
WIDTH = 5.4  # inches of a plot: its letters can be read on a phone, and two stand side by side

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
    "axes.prop_cycle": cycler(color=CYCLE),
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.parse_math": False,  # a video may be called "$5.mp4"
    "savefig.dpi": 150,
}

Log: TypeAlias = Sequence[Mapping[str, str]]  # rows of the Lightning CSV log

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # that a font has no bold

# Parts of the names of fonts that have what DejaVu lacks, such as Chinese; the best first.
_FURTHER_FONTS = (
    *("CJK", "PingFang", "Hiragino", "Microsoft YaHei", "WenQuanYi", "SimHei", "Yu Gothic"),
    *("Malgun", "Droid Sans Fallback", "Noto Sans"),
)


@contextmanager
def styled_figure(path: Path | str, width: float, height: float) -> Iterator[Figure]:
    """Give a figure of that many inches in the house style; write it to ``path`` at the end."""
    of_svg = {name: matplotlib.rcParams[name] for name in ("svg.fonttype", "svg.hashsalt")}
    style = {**matplotlib.rcParamsDefault, **STYLE, **of_svg, "font.family": _fonts()}
    style["backend"] = "agg"
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # No font has it: a box is drawn, and nobody can do anything about it.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        # SVG is a part of a page, whose paper shows through; a date would make each one another.
        is_svg = Path(path).suffix == ".svg"
        own: dict[str, Any] = {"transparent": True, "metadata": {"Date": None}} if is_svg else {}
        figure.savefig(path, **own)


@cache
def _fonts() -> list[str]:
    """List the fonts in which a letter is looked for: of each further kind, one."""
    names = sorted({font.name for font in fontManager.ttflist})
    found = (next((name for name in names if kind in name), None) for kind in _FURTHER_FONTS)
    return list(dict.fromkeys(["DejaVu Sans", *filter(None, found)]))


def drawable(name: str) -> str:
    """Give a name that matplotlib can draw: bytes that are no UTF-8 become question marks."""
    return name.encode(errors="replace").decode()


def ap_by_horizon(summary: Summary, path: Path | str) -> None:
    """AP at each horizon and their mean, with interval, chance and, where known, the oracle."""
    keys = list(summary.ap)
    places = np.arange(len(keys), dtype=float)
    with styled_figure(path, WIDTH, 3.7) as figure:
        axes = figure.subplots()
        _levels(axes, summary.chance, color=MUTED, ls="--", label="chance")
        if summary.oracle:
            _levels(axes, summary.oracle, color=GREEN, ls="-", label="oracle")
        for place, key in zip(places, keys, strict=True):
            _ap_mark(axes, place, summary.ap[key])
        axes.set_xticks(places, [key if key == "mean" else f"{key} s" for key in keys])
        axes.set(ylim=(0, 1.04), xlim=(-0.6, len(keys) - 0.4), ylabel="average precision")
        axes.set_title("Average precision by time before the event")
        axes.grid(axis="x", visible=False)
        known = any(entry.low is not None for entry in summary.ap.values())
        label = "model, 95 % interval" if known else "model (no interval)"
        axes.plot([], [], "o", color=BLUE, label=label)
        axes.legend(loc="lower left", ncols=3)


def precision_recall(scored: Scored, path: Path | str) -> None:
    """Precision over recall, one curve for each horizon, with the share of positives."""
    from sklearn.metrics import precision_recall_curve  # a second, which a timeline need not pay

    with styled_figure(path, WIDTH, 3.7) as figure:
        axes = figure.subplots()
        for colour, key, share, ranked in _by_horizon(scored):
            precision, recall, _ = precision_recall_curve(*ranked[:2], sample_weight=ranked[2])
            axes.step(recall, precision, where="post", color=colour, label=key)
            axes.axhline(share, color=colour, lw=1, ls=":", zorder=1)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.set_title("Precision and recall (dotted: chance)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title="before the event", loc="lower left")


def roc(scored: Scored, path: Path | str) -> None:
    """Recall over the share of false alarms, one curve for each horizon."""
    from sklearn.metrics import roc_curve

    with styled_figure(path, WIDTH, 3.7) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=":", zorder=1)
        for colour, key, _, ranked in _by_horizon(scored):
            false_alarms, recall, _ = roc_curve(*ranked[:2], sample_weight=ranked[2])
            axes.plot(false_alarms, recall, color=colour, label=key, drawstyle="steps-post")
        axes.set(xlim=(-0.01, 1), ylim=(0, 1.02), ylabel="recall")
        axes.set_xlabel("share of false alarms among negatives")
        axes.set_title("ROC (dotted: chance)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(title="before the event", loc="lower right")


def _by_horizon(
    scored: Scored,
) -> Iterator[tuple[str, str, float, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Give colour, name, share of positives, and labels, scores and weights of each horizon."""
    ranked = ranked_rows([scored])
    for colour, horizon in zip(cycle(CYCLE), np.unique(scored.horizon), strict=False):
        own = scored.horizon == horizon
        rows, label = own & ranked, scored.label[own]
        if np.unique(scored.label[rows]).size < 2:
            continue
        weights = stand_in_weights(label, ranked[own])
        of_rows = scored.label[rows], scored.judged_score[rows], weights
        yield colour, f"{horizon_key(horizon)} s", float(label.mean()), of_rows


def score_by_variant(scored: Scored, path: Path | str, tag: str = "variant") -> None:
    """Scores at each horizon, apart for each value of a tag, or for the labels without the tag."""
    plain = np.where(scored.label == 1, "collision", "no collision")
    names = scored.tags.get(tag, plain)
    positive_share = {name: scored.label[names == name].mean() for name in np.unique(names)}
    # Positives first: a reader looks for the gap between the classes.
    order = sorted(positive_share, key=lambda name: (-positive_share[name], name))
    horizons, ranked = np.unique(scored.horizon), ranked_rows([scored])
    height = 0.7 + len(horizons) * (0.45 + 0.3 * len(order))
    with styled_figure(path, WIDTH, height) as figure:
        panels = figure.subplots(len(horizons), 1, sharex=True, squeeze=False)[:, 0]
        for axes, horizon in zip(panels, horizons, strict=True):
            for place, name in enumerate(order):
                rows = ranked & (scored.horizon == horizon) & (names == name)
                colour = PURPLE if positive_share[name] > 0.5 else BLUE
                _cloud(axes, place, scored.judged_score[rows], colour)
            axes.set_yticks(range(len(order)), [drawable(name) or "unknown" for name in order])
            axes.set(xlim=(-0.02, 1.02), ylim=(len(order) - 0.5, -0.5))
            axes.set_title(f"{horizon_key(horizon)} s before", fontsize=10)
            axes.grid(axis="y", visible=False)
        panels[-1].set_xlabel("probability of a collision (purple: positives; bar: median)")


def learning_curves(rows: Sequence[Mapping[str, str]], path: Path | str) -> None:
    """Losses and ``val/nexar_map`` over optimizer steps from the rows of a ``log.csv``.

    Columns are ``step`` and any of ``train/loss``, ``val/loss`` and ``val/nexar_map``; a cell is
    empty where a row does not hold that number.
    """
    with styled_figure(path, WIDTH, 4.4) as figure:
        losses, metric = figure.subplots(2, 1, sharex=True)
        for name, colour in (("train/loss", BLUE), ("val/loss", ORANGE)):
            steps, values = _by_step(rows, name)
            if steps:
                losses.plot(steps, values, color=colour, label=name.partition("/")[0])
        losses.set(title="Loss (dashed: best mAP on validation)")
        if losses.get_lines():
            losses.legend()
        title = "mAP on validation"
        steps, values = _by_step(rows, "val/nexar_map")
        metric.plot(steps, values, color=GREEN)
        if np.isfinite(values).any():
            best = int(np.nanargmax(values))
            for axes in (losses, metric):
                axes.axvline(steps[best], color=MUTED, lw=1, ls="--", zorder=1)
            metric.plot(steps[best], values[best], "o", color=GREEN)
            metric.plot(steps[-1], values[-1], "s", color=GREEN)
            title = f"mAP on validation: last {values[-1]:.3f}, best {values[best]:.3f}"
        metric.set(xlabel="step", title=title)
        for axes in (losses, metric):
            axes.xaxis.get_major_locator().set_params(integer=True)


def reliability(calibration: Calibration, path: Path | str) -> None:
    """Draw the reliability diagram, with the number of examples in each bin below."""
    bins = [one for one in calibration.reliability if one.count]
    with styled_figure(path, WIDTH, 4.4) as figure:
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        curve.plot([0, 1], [0, 1], color=MUTED, ls="--", lw=1.2, label="perfectly calibrated")
        predicted = [one.mean_probability for one in bins]
        ends = [one.low for one in bins], [one.high for one in bins]
        curve.vlines(predicted, *ends, BLUE, lw=1.6)
        curve.plot(predicted, [one.positive_share for one in bins], "o-", color=BLUE, ms=5, lw=1)
        curve.plot([], [], "o", color=BLUE, label="observed, 95 % interval")
        curve.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of positives")
        curve.set_title("Reliability diagram")
        curve.legend(loc="upper left")
        corner: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right", "va": "bottom"}
        curve.annotate(_errors(calibration), (0.97, 0.04), fontsize=9, **corner)
        width = 0.92 / max(1, len(calibration.reliability))
        middles = [(one.start + one.stop) / 2 for one in bins]
        counts.bar(middles, [one.count for one in bins], width=width, color=BLUE)
        counts.set(xlabel="predicted probability of a collision", ylabel="examples")
        counts.set_ylim(0, None)
        counts.grid(axis="x", visible=False)
        counts.yaxis.get_major_locator().set_params(integer=True, nbins=3)


def recall_by_time(recall: RecallByTime, rates: FalseAlarms, path: Path | str) -> None:
    """Draw the share of positives that have alarmed, over the time left before the event.

    Recall and false alarms are those of one threshold.
    """
    seconds = recall.seconds
    with styled_figure(path, WIDTH, 4.4) as figure:
        axes = figure.subplots()
        axes.step(seconds, recall.scored, where="mid", color=MUTED, lw=1.2, ls="--")
        axes.fill_between(seconds, recall.low, recall.high, color=BLUE, alpha=0.18, lw=0)
        axes.plot(seconds, recall.recall, "o-", color=BLUE, ms=3.5)
        axes.plot([], [], color=MUTED, lw=1.2, ls="--", label="scored by then")
        axes.plot([], [], "o-", color=BLUE, ms=3.5, label="alarmed by then, 95 % interval")
        furthest = max(seconds, default=1.0)
        axes.set(xlim=(furthest, 0), ylim=(0, 1.02))  # time runs to the right, to the event
        where = at_threshold(recall.threshold, recall.threshold_range, "{:.2f}".format)
        told = f"{where[:1].upper()}{where[1:]}.\n{_false_alarms(rates)}"
        axes.set_xlabel(f"seconds before the event\n\n{told}")
        axes.set_ylabel("share of positives")
        axes.set_title("Recall before the event")
        figure.legend(loc="outside lower center", ncols=2)
        if not seconds:
            reason = recall.reason or "no time was asked for"
            axes.annotate(reason, (0.5, 0.5), xycoords="axes fraction", ha="center", color=MUTED)


def _levels(axes: Axes, values: Mapping[str, float | None], **style: Any) -> None:
    """A short level line at each horizon whose value is known."""
    heights = np.array(list(values.values()), dtype=float)  # None becomes NaN
    places = np.arange(len(values))
    axes.hlines(heights, places - 0.3, places + 0.3, lw=1.8, **style)


def _ap_mark(axes: Axes, place: float, entry: Estimate) -> None:
    if entry.value is None:
        axes.annotate("not defined", (place, 0.5), ha="center", color=MUTED, fontsize=9)
        return
    if entry.interval:
        axes.vlines(place, *entry.interval, BLUE, lw=2.4)
    axes.plot(place, entry.value, "o", color=BLUE, ms=7)
    beside: dict[str, Any] = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
    over_chance = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    at = (place, entry.value)
    axes.annotate(f"{entry.value:.2f}", at, fontsize=9, bbox=over_chance, **beside)


def _cloud(axes: Axes, place: float, scores: np.ndarray, colour: str) -> None:
    """Every score as a dot, spread across by its rank so that none hides another."""
    if not scores.size:
        return
    golden = (math.sqrt(5) - 1) / 2
    spread = np.empty(scores.size)
    spread[np.argsort(scores, kind="stable")] = np.arange(scores.size) * golden % 1.0 - 0.5
    axes.plot(scores, place + 0.6 * spread, "o", color=colour, ms=5, alpha=0.6, mew=0)
    axes.vlines(np.median(scores), place - 0.36, place + 0.36, INK, lw=1.8, zorder=3)


def _by_step(rows: Sequence[Mapping[str, str]], name: str) -> tuple[list[int], np.ndarray]:
    """Epochs that hold this number, counted from 1, and the last value each of them logged."""
    values = {}
    for row in rows:
        if row.get(name) and row.get("step"):
            values[int(float(row["step"]))] = float(row[name])
    return sorted(values), np.array([values[step] for step in sorted(values)])


def _errors(calibration: Calibration) -> str:
    brier, error = calibration.brier, calibration.ece
    if brier.value is None or error.value is None:
        return f"not defined:\n{brier.reason}"
    return (
        f"expected calibration error {error.value:.3f}\nBrier score {brier.value:.3f}\n"
        f"of the base rate alone {calibration.brier_of_base_rate:.3f}"
    )


def _false_alarms(rates: FalseAlarms) -> str:
    lines = []
    kinds = (("normal videos", rates.normal_videos), ("before events", rates.before_events))
    for words, rate in kinds:
        rest = "none scored"
        if rate.per_hour is not None:
            rest = f"{rate.per_hour:.1f} [{rate.low:.1f}, {rate.high:.1f}] in {rate.hours:.2f} h"
        lines.append(f"{words}: {rest}")
    return "False alarms per hour in " + "\nand ".join(lines)
