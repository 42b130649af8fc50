"""Average precision of one evaluation: by horizon, over seeds, in slices, beside chance and oracle.

Horizons are keyed by their seconds (``"0.5"``), their mean by ``"mean"``. Shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collision.errors import MetricError
from collision.metrics.estimate import Bootstrap, Estimate, Plain
from collision.metrics.horizons import AVERAGE_PRECISION, by_horizon
from collision.metrics.nexar import horizon_key
from collision.metrics.scored import Counts, Scored, align, ranked_rows

BOTH = "positives and negatives of this value"
NEGATIVES = "negatives of this value against all positives"
POSITIVES = "positives of this value against all negatives"


@dataclass(frozen=True)
class Slice(Plain):
    """The examples of one value of a tag; ``side`` says what they are judged against."""

    side: str
    counts: dict[str, Counts]
    chance: dict[str, float | None]
    ap: dict[str, Estimate]


@dataclass(frozen=True)
class Summary(Plain):
    """Average precision of the scores of one recipe; the mean of ``ap`` is ``nexar_map``.

    ``chance`` is the share of positives, the AP of scores that know nothing; ``lift`` is the share
    of the way from there to 1; ``oracle`` the AP of a model that is given the true state. Slices
    are called ``"variant=resolved"``; absent are tags that these data do not have.
    """

    counts: dict[str, Counts]
    chance: dict[str, float | None]
    ap: dict[str, Estimate]
    lift: dict[str, Estimate]
    oracle: dict[str, float | None] | None
    fraction_to_oracle: Estimate | None
    slices: dict[str, Slice]
    absent_slices: list[str]
    bootstrap: Bootstrap

    @property
    def headline(self) -> str:
        """The mAP with what it is worth (``beside_chance``), or why there is none."""
        mean, chance = self.ap["mean"], self.chance["mean"]
        return f"{'mAP' if mean.value is not None else 'no mAP:'} {beside_chance(mean, chance)}"


def summarise(
    *scored_by_seed: Scored,
    oracle: Mapping[str, Any] | None = None,
    slices: Sequence[str] = ("variant",),
    num_resamples: int = 10_000,
    seed: int = 0,
    nexar_rule: bool = False,
) -> Summary:
    """Judge the scores of one recipe's seeds; what cannot be judged is None with a reason.

    The interval is of the seeds' mean AP: groups are resampled, seeds are not, so it speaks of
    other clips, and ``sd`` of other seeds.

    Args:
        scored_by_seed: On the same examples.
        oracle: AP by horizon key, e.g. ``{"0.5": 0.97, "1.0": 0.93}``; other keys are ignored.
        slices: Tags whose values are judged apart.
        num_resamples: Draws of groups behind the intervals.
        seed: Of the draws.
        nexar_rule: A negative without a score counts as 0, and so as ranked perfectly, as the
            benchmark's own rule has it; else it is left out, and the scored ones stand for it.

    Raises:
        MetricError: There are no examples, the seeds hold different ones, or the oracle holds no
            numbers.
    """
    aligned = align(scored_by_seed)
    first = aligned[0]
    everything = np.ones(len(first), dtype=bool)
    ranked = everything if nexar_rule else ranked_rows(aligned)
    missing = np.array([one.missing for one in aligned])
    named = [("", "", everything), *(part for tag in slices for part in slices_of(first, tag))]
    parts = {name: rows for name, _, rows in named}
    bootstrap = Bootstrap(num_resamples, seed, num_groups=np.unique(first.group[ranked]).size)
    ap_of = by_horizon(aligned, parts, ranked, AVERAGE_PRECISION, bootstrap)
    judged = {}
    for name, side, part in named:
        counts, chance = {}, {}
        for horizon in np.unique(first.horizon):
            key, rows = horizon_key(horizon), part & (first.horizon == horizon)
            counts[key] = Counts.of(first.label, first.group, missing, rows, ranked)
            chance[key] = float(first.label[rows].mean()) if rows.any() else None
        judged[name] = Slice(side, counts, _with_mean(chance), ap_of[name])
    whole = judged.pop("")
    oracle_ap = None if oracle is None else _oracle(oracle, list(whole.counts))
    closed = None
    if oracle_ap is not None:  # of mAP and of both ends of its interval
        ap, ends = whole.ap["mean"], (whole.chance["mean"], oracle_ap["mean"])
        value, low, high = (fraction_to_oracle(v, *ends) for v in (ap.value, ap.low, ap.high))
        closed = Estimate(value, low, high)
    absent = [tag for tag in slices if tag not in first.tags]
    lift = {key: lift_of(entry, whole.chance[key]) for key, entry in whole.ap.items()}
    of_whole = (whole.counts, whole.chance, whole.ap, lift)
    return Summary(*of_whole, oracle_ap, closed, judged, absent, bootstrap)


def lift_of(ap: Estimate, chance: float | None) -> Estimate:
    """Share of the way from chance to a perfect AP: 0 is random order, 1 perfect, below 0 worse.

    (AP - chance) / (1 - chance), of the value, its interval, its seeds and their sd; chance is held
    fixed. No value where AP has none.
    """
    if ap.value is None or chance is None or chance >= 1:
        return Estimate(None, reason=ap.reason)

    def of(value: float | None) -> float | None:
        return None if value is None else (value - chance) / (1 - chance)

    seeds = tuple((value - chance) / (1 - chance) for value in ap.seeds)
    sd = None if ap.sd is None else ap.sd / (1 - chance)
    return replace(ap, value=of(ap.value), low=of(ap.low), high=of(ap.high), sd=sd, seeds=seeds)


def beside_chance(ap: Estimate, chance: float | None) -> str:
    """An AP with what it is worth: ``0.884 [0.80, 0.94] (chance 0.846, lift 25% [-30%, 61%])``."""
    lift = lift_of(ap, chance)
    if ap.value is None or lift.value is None:
        return ap.reason or "there is one class alone"
    interval = "" if ap.interval is None else f" [{ap.low:.3f}, {ap.high:.3f}]"
    reach = "" if lift.interval is None else f" [{lift.low:.0%}, {lift.high:.0%}]"
    return f"{ap.value:.3f}{interval} (chance {chance:.3f}, lift {lift.value:.0%}{reach})"


def fraction_to_oracle(
    ap: float | None, chance: float | None, oracle: float | None
) -> float | None:
    """Share of the gap from chance to the oracle that an AP closes; None where undefined."""
    if ap is None or chance is None or oracle is None or oracle <= chance:
        return None
    return (ap - chance) / (oracle - chance)


def slices_of(scored: Scored, tag: str) -> list[tuple[str, str, np.ndarray]]:
    """Name, side and rows of each value of a tag.

    A value that only one class has, such as a kind of negative, is set against all of the other
    class; a value that both have, such as a weather, is judged within itself.
    """
    if tag not in scored.tags:
        return []
    column, label = scored.tags[tag], scored.label
    result = []
    for value in sorted(set(column.tolist()) - {""}):
        rows = column == value
        side = BOTH
        if len(set(label[rows])) == 1:
            side = POSITIVES if label[rows][0] else NEGATIVES
            rows = rows | (label != label[rows][0])
        result.append((f"{tag}={value}", side, rows))
    return result


def _with_mean(by_horizon: dict[str, float | None]) -> dict[str, float | None]:
    known = [value for value in by_horizon.values() if value is not None]
    complete = len(known) == len(by_horizon)
    return {**by_horizon, "mean": float(np.mean(known)) if complete else None}


def _oracle(oracle: Mapping[str, Any], keys: Sequence[str]) -> dict[str, float | None]:
    """The oracle's AP at the horizons that were scored, and their mean if all are known."""
    if not any(isinstance(value, int | float) for value in oracle.values()):
        raise MetricError(
            f"The oracle has no AP by horizon, only {sorted(oracle)}. "
            'Give plain numbers by seconds, such as {"0.5": 0.97, "1.0": 0.93}.'
        )
    return _with_mean({key: float(oracle[key]) if key in oracle else None for key in keys})
