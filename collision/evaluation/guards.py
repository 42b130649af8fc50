"""Warnings about numbers that should not be believed yet, each with the number behind it.

Every guard is a function of plain data that gives a ``Finding`` or None. ``collision.evaluation``
asks all of them, whatever the verb; what they find stands in ``metrics.json`` under ``warnings``,
on the page and on the terminal. No run stops.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collision.evaluation.baseline import Against
from collision.evaluation.distances import Distances
from collision.learning.predictor import PAINTED
from collision.metrics.calibration import Calibration
from collision.metrics.estimate import Difference, Estimate, Plain, Z
from collision.metrics.scored import Counts
from collision.metrics.threshold import OperatingPoint
from collision.option_groups import ThresholdOptions
from collision.sampling.policy import SamplingPolicy

SATURATED = 0.985  # the study behind this project validated at this AP, and tested at .70
FAR_ABOVE = 0.1  # of validation over test mAP
UNEVEN = 0.05  # difference between the classes' shares of examples without a score
RARE = 0.025  # one-sided, as an end of the 95 % intervals


@dataclass(frozen=True)
class Finding(Plain):
    """Something to know before a number is believed, and what it rests on, as plain data."""

    name: str
    message: str
    numbers: dict[str, Any] = field(default_factory=dict)


def leaking_policy(policy: SamplingPolicy) -> Finding | None:
    """Results of whole clips say nothing about foreseeing."""
    if not policy.whole_clip:
        return None
    return Finding(
        "leaks",
        "LEAKS: whole files were looked at, the collision included. This measures recognising a "
        "collision, not foreseeing one. Do not compare it with anything.",
        {"sampling": policy.name},
    )


def validation_too_good(validation: float | None, test: Estimate) -> Finding | None:
    """Warn if the mAP that weights were chosen by is all but perfect, or far above the test's."""
    if validation is None or test.value is None:
        return None
    numbers = {"validation": validation, "value": test.value, "low": test.low, "high": test.high}
    # Without an interval the test is too small to say that the gap is more than chance.
    is_far = test.high is not None and validation > test.high
    if is_far and validation - test.value > FAR_ABOVE:
        return Finding(
            "validation_far_above_test",
            f"Validation mAP is {validation:.3f}, test mAP {test.value:.3f}. Both are cut "
            "alike, so the gap is no property of the task: look for groups or near-duplicates "
            "shared by training and validation, another source of test videos, or a validation "
            "split too small to choose on.",
            numbers,
        )
    if validation >= SATURATED:
        return Finding(
            "validation_saturated",
            f"Validation mAP is {validation:.3f}: with cuts before the event so much is hardly "
            "ever known. Look for a shortcut: `collision data` audits the set.",
            numbers,
        )
    return None


def missing_classes(counts: Mapping[str, Counts]) -> Finding | None:
    """Warn of horizons at which a class is missing, so that they have no AP, nor the mean."""
    missing = {
        key: {"positive": count.positive, "negative": count.negative}
        for key, count in counts.items()
        if not (count.positive and count.negative)
    }
    if not missing:
        return None
    listing = ", ".join(
        f"{key} s ({n['positive']} positive, {n['negative']} negative)"
        for key, n in missing.items()
    )
    said = f"A class is missing at the horizon(s) {listing}: there is no average precision there."
    if not any(count["negative"] for count in missing.values()):
        said += " Where all videos are crashes, judge cuts within them: within=[0.5,2.0]."
    return Finding("class_missing", said, missing)


def odd_times(units: Sequence[str]) -> Finding | None:
    """Warn of classes whose times look like another unit than seconds, a sentence for each."""
    return Finding("odd_times", " ".join(units), {"classes": len(units)}) if units else None


def unscored_classes(counts: Mapping[str, Counts]) -> Finding | None:
    """Warn if more of one class than of the other has no score: what is hard to read is no luck."""
    number = {
        side: sum(getattr(count, side) for count in counts.values())
        for side in ("positive", "negative", "missing_positive", "missing_negative")
    }
    shares = {
        side: number[f"missing_{side}"] / number[side] if number[side] else 0.0
        for side in ("positive", "negative")
    }
    if abs(shares["positive"] - shares["negative"]) <= UNEVEN:
        return None
    return Finding(
        "unscored_classes",
        f"{number['missing_positive']} of {number['positive']} positives and "
        f"{number['missing_negative']} of {number['negative']} negatives have no score. A positive "
        "without one counts as missed, a negative without one is left out, so the classes are no "
        "longer judged on like videos: mend the files, or lengthen the clips.",
        {**number, "shares": shares},
    )


def groups_in_several_splits(shared: Mapping[str, Sequence[str]]) -> Finding | None:
    """Warn of source events or drives that the owners' splits part."""
    crossing = {group: list(splits) for group, splits in shared.items()}
    if not crossing:
        return None
    first = ", ".join(repr(group) for group in list(crossing)[:3])
    return Finding(
        "shared_groups",
        f"{len(crossing)} group(s) lie in more than one split, such as {first}: what is learned on "
        "one clip is tested on its twin.",
        {"groups": len(crossing), "examples": dict(list(crossing.items())[:20])},
    )


def learned_from_judged(seen: Mapping[str, int], num_videos: int) -> Finding | None:
    """Warn if judged videos, or their groups, were ``seen`` in training: counts by its splits."""
    count = sum(seen.values())
    if not count:
        return None
    parts = " and ".join(f"{n} in {split}" for split, n in seen.items() if n)
    return Finding(
        "learned_from_judged",
        f"The predictor knows {count} of the {num_videos} videos that it is judged on, or others "
        f"of their groups, from its own training ({parts}): these numbers flatter. Judge it on "
        "videos that it has not seen.",
        {"seen": dict(seen), "videos": num_videos},
    )


def judged_on(split: str, is_test_secret: bool = False) -> Finding | None:
    """Warn if the numbers are of a split that the head was fitted or chosen on."""
    if split == "test":
        return None
    reason = "The test split's labels are secret: these" if is_test_secret else "These"
    use = "weights were chosen" if split == "val" else "heads were fitted"
    return Finding(
        "judged_on_validation" if split == "val" else "judged_on_training",
        f"{reason} numbers are of the split {split!r}, on which {use}, so they flatter.",
        {"split": split},
    )


def unknown_groups(reason: str) -> Finding | None:
    """Warn where nobody says which clips are of one event: ``reason`` says why; empty: all do."""
    if not reason:
        return None
    return Finding(
        "unknown_groups",
        f"Every clip counts as independent, so the intervals are too narrow: {reason}",
        {"reason": reason},
    )


def near_duplicates_across_splits(pairs: Sequence[tuple[str, str]]) -> Finding | None:
    """Warn of videos, by their ids, that look the same and lie in different splits."""
    if not pairs:
        return None
    first = ", ".join(f"{one!r} and {other!r}" for one, other in pairs[:3])
    return Finding(
        "near_duplicates",
        f"{len(pairs)} pair(s) of videos in different splits look the same, such as {first}. Look "
        "at them (`collision data` lists all), and give them one group if they are of one drive.",
        {"pairs": len(pairs), "examples": [list(pair) for pair in pairs[:20]]},
    )


def worse_than_base_rate(calibration: Calibration) -> Finding | None:
    """Warn if a constant prediction of the share of positives would be nearer to the truth.

    Where there are too few groups for an interval, what was found is told with their number.
    """
    over = calibration.over_base_rate
    if over is None or (over.value if over.low is None else over.low) <= 0:
        return None
    said = (
        f"The Brier score is {over.first:.3f}; always predicting the share of positives has "
        f"{over.second:.3f}. "
    )
    if over.interval is None:
        groups = calibration.counts["groups"]
        said += (
            f"These are {groups} groups, too few to say how far this is chance; but nothing here "
            "shows that the probabilities, or a threshold on them, mean anything on such videos."
        )
    else:
        said += (
            f"The difference is {over.value:+.3f} [{over.low:+.3f}, {over.high:+.3f}]. These "
            "probabilities, and a threshold on them, mean nothing on these videos; their order "
            "may still."
        )
    return Finding("worse_than_base_rate", said, over.as_json())


def no_better_than_chance(
    auc: Estimate, counts: Mapping[str, Counts], headline: str
) -> Finding | None:
    """Warn if the order of the scores is not shown to be better than a random one.

    By the interval of the AUC; where there is none, by what random orders of as many groups reach:
    the AUC's standard deviation is then sqrt((P + N + 1) / (12 P N)), of P positive and N negative
    groups (Mann and Whitney, 1947).
    """
    if auc.value is None:
        return None
    positive = min(count.positive_groups for count in counts.values())
    negative = min(count.negative_groups for count in counts.values())
    reach = Z * math.sqrt((positive + negative + 1) / (12 * positive * negative))
    if auc.interval is not None:
        is_shown = auc.interval[0] > 0.5
        why = f" [{auc.interval[0]:.3f}, {auc.interval[1]:.3f}]"
    else:
        is_shown = auc.value > 0.5 + reach
        why = f"; of {positive} positive and {negative} negative groups in random order one in "
        why += f"forty has {min(1.0, 0.5 + reach):.3f} or more"
    if is_shown:
        return None
    return Finding(
        "no_better_than_chance",
        f"Nothing shows that these scores order the videos better than chance: the AUC is "
        f"{auc.value:.3f}{why}, where chance is .500. Read the AP beside its chance: {headline}.",
        {**auc.as_json(), "positive_groups": positive, "negative_groups": negative},
    )


def unlike_training(distances: Distances | None) -> Finding | None:
    """Warn if more videos are unlike the training's than there would be of its own kind."""
    if distances is None or distances.p_value > RARE:
        return None
    count = round(distances.unlike * distances.videos)
    return Finding(
        "unlike_training",
        f"{count} of {distances.videos} videos ({distances.unlike:.0%}) are unlike those that the "
        f"predictor learned from, where {distances.expected:.0%} of videos like them would be "
        f"(median distance {distances.median:.2f}; 19 of 20 of its own kind stay within 1). What "
        "it learned need not hold here: believe no number of its own test for such videos, and "
        "train on some of them.",
        distances.as_json(),
    )


def painted_meets_footage(is_painted: bool | None, is_judged_painted: bool) -> Finding | None:
    """Warn if a predictor that has seen painted scenes alone is judged on footage."""
    if not is_painted or is_judged_painted:
        return None
    return Finding("painted_meets_footage", PAINTED)


def no_better_than_shortcut(probe: str, difference: Difference) -> Finding | None:
    """Warn if the head's mAP is not clearly above that of a probe that sees no collision coming."""
    low = difference.low
    is_better = difference.value > FAR_ABOVE if low is None else low > 0
    if is_better:
        return None
    interval = "" if low is None else f" [{low:+.3f}, {difference.high:+.3f}]"
    return Finding(
        "no_better_than_shortcut",
        f"The head's mAP is {difference.first:.3f}; a probe that knows {probe} alone, fitted on "
        f"the same training videos, reaches {difference.second:.3f}. The difference, "
        f"{difference.value:+.3f}{interval}, does not show that the head has learned more.",
        {"probe": probe, **difference.as_json()},
    )


def no_better_than_baseline(against: Against | None) -> Finding | None:
    """Warn if the head is not shown to be better than a logistic regression on the same windows."""
    if against is None:
        return None
    difference, low = against.difference, against.difference.low
    if difference.value > FAR_ABOVE if low is None else low > 0:
        return None
    interval = "" if low is None else f" [{low:+.3f}, {difference.high:+.3f}]"
    return Finding(
        "no_better_than_baseline",
        f"The head's mAP is {difference.first:.3f}; a logistic regression on the same windows has "
        f"{difference.second:.3f}. The difference, {difference.value:+.3f}{interval}, does not "
        "show that the head is better: head=logistic may do as well, and is trained in seconds.",
        difference.as_json(),
    )


def threshold_not_reached(
    points: Sequence[OperatingPoint | None], wanted: ThresholdOptions, heads: str = "heads"
) -> Finding | None:
    """Tell of how many heads no threshold has on validation what was wanted of the suggested one.

    Theirs is that of the best F1; ``heads`` says what the points are of.
    """
    known = [point for point in points if point]
    if wanted.precision is not None:
        got = [p.precision for p in known if p.precision < wanted.precision]
        what, share = f"a precision of {wanted.precision:g}", "a precision of"
        remedy = "threshold.precision=SHARE asks for less"
    else:
        rate = wanted.false_alarm_rate or 0.0
        got = [p.false_alarm_rate for p in known if p.false_alarm_rate > rate]
        what, share = f"a false-alarm rate of {rate:g} or less", "a rate of"
        remedy = "threshold.false_alarm_rate=RATE allows more"
    if not got:
        return None
    where = f"In {len(got)} of {len(known)} {heads} no" if len(known) > 1 else "No"
    low, high = f"{min(got):.3f}", f"{max(got):.3f}"
    return Finding(
        "threshold_not_reached",
        f"{where} threshold has {what} on validation. The one with the best F1 there is taken "
        f"instead, with {share} {low if low == high else f'{low} to {high}'}. {remedy}.",
        {"heads": len(got), "of": len(known), "low": min(got), "high": max(got)},
    )


def found(findings: Iterable[Finding | None]) -> list[Finding]:
    """Keep what the guards found."""
    return [finding for finding in findings if finding is not None]
