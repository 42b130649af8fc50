"""The first sentences of a page: what a predictor does, for somebody who reads nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from collision.evaluation.baseline import Baseline
from collision.metrics.estimate import Estimate
from collision.metrics.nexar import horizon_key
from collision.metrics.summary import Summary
from collision.metrics.threshold import at_threshold
from collision.metrics.warned import Warned
from collision.report.judged import Judged

NO_BETTER = "no_better_than_chance"  # a warning's name
_HARDLY = 0.05  # of the variance of log-odds
_NO_SPREAD = 0.0005  # an sd of mAP, below which it is shown as .000
NO_LABELS = "The labels are secret: nothing is judged."


def headline(judged: Judged) -> str:
    """Say in a sentence of how many positives it warns, and how often in vain."""
    if judged.numbers is None:
        return NO_LABELS
    said = sentence(judged.numbers.warned, [name for name, _ in judged.warnings])
    ranking = judged.numbers.summary.headline
    return said or f"{ranking[:1].upper()}{ranking[1:]}."


def sentence(warned: Sequence[Warned], warnings: Iterable[str]) -> str | None:
    """Say what the first seed's threshold does to clips; None: that is not known.

    ``warnings`` are the names of those of its run.
    """
    one = next(iter(warned), None)
    if one is None or one.recall.value is None or one.false_alarms.value is None:
        return None
    what, time = one.positives_in_words, f"{horizon_key(one.least_horizon)} s before or earlier"
    if NO_BETTER in warnings:
        # In so few clips a share says more than is known.
        found, vain = one.recall.value * one.positives, one.false_alarms.value * one.negatives
        return (
            f"Not shown to be better than chance: it warns of {found:.0f} of {one.positives} "
            f"{what}, {time}, and alarms in {vain:.0f} of {one.negatives} others."
        )
    count = whole(one.false_alarms.value)
    alarms = "false alarm" if count == "1" else "false alarms"
    return (
        f"Warns of {whole(one.recall.value)} % of {what}, {time}, at {count} {alarms} in 100 "
        f"{_others(one)}."
    )


def _others(one: Warned) -> str:
    either = "either, or with neither" if one.near_collisions else "a collision, or without one"
    if one.within:
        return f"clips at moments long before {either}"
    return "clips with neither" if one.near_collisions else "clips without a collision"


def whole(share: float) -> str:
    """A share in whole percent; a half is rounded up, as people do."""
    return str(math.floor(100 * share + 0.5 + 1e-9))


def beside(judged: Judged) -> list[str]:
    """Give the intervals and chance of the headline's numbers, and how well clips are ranked."""
    numbers = judged.numbers
    if numbers is None:
        return []
    said = []
    one = next(iter(numbers.warned), None)
    if one is not None and one.recall.value is not None and one.false_alarms.value is not None:
        said += [_shares(one), _chance(one)]
        of_first = f", of the first of {len(numbers.warned)} seeds" * (len(numbers.warned) > 1)
        where = at_threshold(one.threshold, one.threshold_range)
        said.append(f"{where[:1].upper()}{where[1:]}{of_first}.")
    said.append(f"Ranking: {numbers.summary.headline}.")
    return said


def measured_on(judged: Judged) -> str:
    """Say what was looked at."""
    if judged.numbers is None:
        return f"{judged.name}, split {judged.split}: {judged.videos} videos."
    one = next(iter(judged.numbers.warned), None)
    counts = judged.numbers.summary.counts
    horizons = ", ".join(f"{key} s" for key in counts)
    examples = sum(c.positive + c.negative for c in counts.values())
    clips = ""
    if one:
        clips = f"{one.positives} {one.positives_in_words}, {one.negatives} other clips, "
    seeds = len(judged.scores)
    learned = f" It learned from {judged.trained_on}." if judged.trained_on else ""
    return (
        f"Measured on {judged.name}, split {judged.split}: {clips}{examples} cuts {horizons} "
        f"before the event, {seeds} seed{'s' * (seeds != 1)}.{learned}"
    )


def _shares(one: Warned) -> str:
    what = f"{one.positives} {one.positives_in_words}"
    return (
        f"{_with_interval(one.recall)} of {what}; false alarms in "
        f"{_with_interval(one.false_alarms)} of {one.negatives} others."
    )


def _chance(one: Warned) -> str:
    return (
        "Alarms that know nothing and come as often would warn of "
        f"{whole(one.chance or 0.0)} % of {one.positives_in_words}."
    )


def _with_interval(one: Estimate) -> str:
    if one.value is None:
        return "none"
    text = f"{one.value:.1%}"
    if one.interval is None:
        return f"{text} (no interval: {one.reason})" if one.reason else text
    return f"{text} [{one.low:.1%}, {one.high:.1%}]"


def hardly_left(summary: Summary, baseline: Baseline | None) -> str:
    """Say why seeds hardly differ, where they all start as one regression; else nothing."""
    sd, seeds = summary.ap["mean"].sd, len(summary.ap["mean"].seeds)
    if sd is None or sd >= _NO_SPREAD or baseline is None or baseline.added is None:
        return ""
    agree = " They agree as they have hardly left it; prior=null starts without it."
    return (
        f"An sd of .000 over {seeds} seeds: all start as the same logistic regression, and what "
        f"the head adds is {baseline.added:.2%} of the variance of the log-odds (1 - r2 with the "
        f"regression's own).{agree if baseline.added < _HARDLY else ''}"
    )
