"""The pictures of the report about a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from collision.report.plots import BLUE, INK, MUTED, PURPLE, RED, drawable, styled_figure

COLOURS = {"positive": PURPLE, "negative": BLUE, "unlabelled": MUTED}
_NUM_BINS = 24  # of a histogram
_COLUMNS = 4  # of histograms

Floats: TypeAlias = NDArray[np.float64]
# ``[videos]`` by name and class, as ``collision.audit.inventory.measure`` gives them.
Measures: TypeAlias = Mapping[str, Mapping[str, Floats]]


def distributions(measures: Measures, path: Path | str) -> None:
    """Draw a histogram of each measure, as shares of each class."""
    num_rows = -(-len(measures) // _COLUMNS)
    with styled_figure(path, 11, 2.5 * num_rows + 0.3) as figure:
        panels = figure.subplots(num_rows, _COLUMNS, squeeze=False).ravel()
        for axes, (name, by_class) in zip(panels, measures.items(), strict=False):
            _histogram(axes, by_class)
            axes.set_title(name)
        for axes in panels[len(measures) :]:
            axes.set_visible(False)
        for name, colour in COLOURS.items():
            if any(name in by_class for by_class in measures.values()):
                panels[0].plot([], [], color=colour, lw=3, label=name)
        figure.legend(loc="outside lower center", ncols=len(COLOURS))


def distribution(name: str, by_class: Mapping[str, Floats], path: Path | str) -> None:
    """Draw the histogram of one measure."""
    with styled_figure(path, 3.6, 2.3) as figure:
        axes = figure.subplots()
        _histogram(axes, by_class)
        axes.set_title(name)
        for group in by_class:
            axes.plot([], [], color=COLOURS[group], lw=3, label=group)
        figure.legend(loc="outside lower center", ncols=len(COLOURS))


def _histogram(axes: Axes, by_class: Mapping[str, Floats]) -> None:
    everything = np.concatenate(list(by_class.values()))
    low, high = float(everything.min()), float(everything.max())
    if high - low < 1e-9:  # one value: a bar with room around it
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _NUM_BINS + 1).tolist()
    for name, values in by_class.items():
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, edges, weights=weights, color=COLOURS[name], alpha=0.45)
    axes.set_yticks([])
    axes.grid(visible=False)


def shortcut_marks(shortcuts: Mapping[str, Any], path: Path | str) -> None:
    """Draw each probe's AP with interval and chance, a panel for each target that has probes."""
    panels = {target: part for target, part in shortcuts.items() if "probes" in part}
    with styled_figure(path, 5.2 * len(panels) + 0.6, 2.8) as figure:
        axes_of = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (target, part) in zip(axes_of, panels.items(), strict=True):
            _marks(axes, target, part["probes"])


def shortcut_mark(target: str, probes: Mapping[str, Any], path: Path | str) -> None:
    """Draw those of one target."""
    with styled_figure(path, 4.6, 2.6) as figure:
        _marks(figure.subplots(), target, probes)


def _marks(axes: Axes, target: str, probes: Mapping[str, Any]) -> None:
    for place, result in enumerate(probes.values()):
        ap, chance = result["ap"], result["chance"]
        colour = BLUE if result["grade"] == "not shown" else RED
        axes.vlines(chance, place - 0.32, place + 0.32, INK, lw=2)
        if ap["low"] is not None:
            axes.hlines(place, ap["low"], ap["high"], colour, lw=2.4)
        axes.plot(ap["value"], place, "o", color=colour, ms=7)
    axes.set_yticks(range(len(probes)), [name.replace("_", " ") for name in probes])
    axes.set(xlim=(0, 1.02), ylim=(len(probes) - 0.5, -0.5), xlabel="average precision")
    axes.set_title(f"{drawable(target)} (bar: chance; red: a shortcut)")
    axes.grid(axis="y", visible=False)
