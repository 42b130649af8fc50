"""Warnings about numbers that should not be believed yet, each with the number behind it.

Every guard is a function of plain data that gives a ``Finding`` or None. A run writes what they
find into ``metrics.json`` under ``warnings``, onto its page and onto the terminal; no run stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from collision.sampling.policy import SamplingPolicy

SATURATED = 0.985  # the study behind this project validated at this AP, and tested at .70
FAR_ABOVE = 0.1  # of validation over test mAP


@dataclass(frozen=True)
class Finding:
    """Something to know before a number is believed.

    Attributes:
        name: Of the guard.
        message: In a sentence or two, for a reader of the report.
        numbers: What it rests on, as plain data.
    """

    name: str
    message: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)


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


def validation_too_good(validation: float, test: Mapping[str, Any]) -> Finding | None:
    """Warn if validation is all but perfect, or far above the test.

    Args:
        validation: mAP on which the epoch was chosen, mean over seeds.
        test: ``value``, ``low`` and ``high`` of the test mAP.
    """
    numbers = {"validation": validation, **{key: test[key] for key in ("value", "low", "high")}}
    # Without an interval the test is too small to say that the gap is more than chance.
    if (
        test["high"] is not None
        and validation > test["high"]
        and validation - test["value"] > FAR_ABOVE
    ):
        return Finding(
            "validation_far_above_test",
            f"Validation mAP is {validation:.3f}, test mAP {test['value']:.3f}. Both are cut "
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


def missing_classes(counts: Mapping[str, Mapping[str, int]]) -> Finding | None:
    """Warn of horizons at which a class is missing, so that they have no AP, nor the mean."""
    missing = {
        key: {side: count[side] for side in ("positive", "negative")}
        for key, count in counts.items()
        if not (count["positive"] and count["negative"])
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


def near_duplicates_across_splits(pairs: Sequence[tuple[str, str]]) -> Finding | None:
    """Warn of videos that look the same and lie in different splits.

    Args:
        pairs: Ids.
    """
    if not pairs:
        return None
    first = ", ".join(f"{one!r} and {other!r}" for one, other in pairs[:3])
    return Finding(
        "near_duplicates",
        f"{len(pairs)} pair(s) of videos in different splits look the same, such as {first}. Look "
        "at them (`collision data` lists all), and give them one group if they are of one drive.",
        {"pairs": len(pairs), "examples": [list(pair) for pair in pairs[:20]]},
    )


def no_better_than_shortcut(probe: str, difference: Mapping[str, Any]) -> Finding | None:
    """Warn if the head is not clearly better than a probe that sees no collision coming.

    Args:
        probe: What the probe looks at.
        difference: Of the head's mAP and the probe's, as ``paired_difference`` gives it.
    """
    low = difference["low"]
    if low is not None and low > 0:
        return None
    if low is None and difference["value"] > FAR_ABOVE:
        return None
    interval = "" if low is None else f" [{low:+.3f}, {difference['high']:+.3f}]"
    return Finding(
        "no_better_than_shortcut",
        f"The head's mAP is {difference['first']:.3f}; a probe that knows {probe} alone, fitted on "
        f"the same training videos, reaches {difference['second']:.3f}. The difference, "
        f"{difference['value']:+.3f}{interval}, does not show that the head has learned more.",
        {"probe": probe, **difference},
    )


def started_on_tested_videos(dataset: str) -> Finding:
    """Tell that a cross-validation began with a head that was trained on the same data set."""
    return Finding(
        "started_on_tested_videos",
        f"The folds started from a head that was trained on {dataset!r}, so it has learned from "
        "videos that a fold tests. Start from another data set's head, or leave init_from out.",
        {"dataset": dataset},
    )


def judged_on_validation(reason: str) -> Finding:
    """Tell that the numbers are of the split on which epochs were chosen."""
    return Finding(
        "judged_on_validation",
        f"{reason}: these numbers are of the validation split, on which the epoch was chosen, so "
        "they flatter.",
    )


def found(findings: Iterable[Finding | None]) -> list[Finding]:
    """Keep what the guards found."""
    return [finding for finding in findings if finding is not None]
