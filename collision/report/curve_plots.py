"""Plots of probabilities and of scores over time: calibration, and recall before the event.

Like ``collision.report.plots``: results in, one PNG out.
"""

from __future__ import annotations

from pathlib import Path

from collision.metrics.calibration import Calibration
from collision.metrics.rates import FalseAlarms, RecallByTime
from collision.report.plots import BLUE, MUTED, styled_figure


def reliability(calibration: Calibration, path: Path | str) -> None:
    """Draw the reliability diagram, with the number of examples in each bin below."""
    bins = [one for one in calibration.reliability if one.count]
    with styled_figure(path, 4.8, 5.2) as figure:
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
        curve.annotate(
            _errors(calibration),
            (0.97, 0.04),
            xycoords="axes fraction",
            ha="right",
            va="bottom",
            fontsize=9,
        )
        width = 0.92 / max(1, len(calibration.reliability))
        middles = [(one.start + one.stop) / 2 for one in bins]
        counts.bar(middles, [one.count for one in bins], width=width, color=BLUE)
        counts.set(xlabel="predicted probability of a collision", ylabel="examples")
        counts.set_ylim(0, None)
        counts.grid(axis="x", visible=False)
        counts.yaxis.get_major_locator().set_params(integer=True, nbins=3)


def recall_by_time(recall: RecallByTime, rates: FalseAlarms, path: Path | str) -> None:
    """Draw the share of positives that have alarmed, over the time left before the event.

    Args:
        recall: At one threshold.
        rates: False alarms at that threshold.
        path: The picture to write.
    """
    seconds = recall.seconds
    with styled_figure(path, 6, 4.4) as figure:
        axes = figure.subplots()
        axes.step(seconds, recall.scored, where="mid", color=MUTED, lw=1.2, ls="--")
        axes.fill_between(seconds, recall.low, recall.high, color=BLUE, alpha=0.18, lw=0)
        axes.plot(seconds, recall.recall, "o-", color=BLUE, ms=3.5)
        axes.plot([], [], color=MUTED, lw=1.2, ls="--", label="scored by then")
        axes.plot([], [], "o-", color=BLUE, ms=3.5, label="alarmed by then, 95 % interval")
        furthest = max(seconds, default=1.0)
        axes.set(xlim=(furthest, 0), ylim=(0, 1.02))  # time runs to the right, to the event
        axes.set_xlabel(f"seconds before the event\n\n{_false_alarms(rates)}")
        axes.set_ylabel("share of positives")
        axes.set_title(f"Recall before the event at threshold {recall.threshold:.2f}")
        figure.legend(loc="outside lower center", ncols=2)
        if not seconds:
            axes.annotate(
                recall.reason or "no time was asked for",
                (0.5, 0.5),
                xycoords="axes fraction",
                ha="center",
                color=MUTED,
            )


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
        if rate.per_hour is None:
            lines.append(f"{words}: none scored")
        else:
            lines.append(
                f"{words}: {rate.per_hour:.1f} [{rate.low:.1f}, {rate.high:.1f}] "
                f"in {rate.hours:.2f} h"
            )
    return "False alarms per hour in " + "\nand ".join(lines)
