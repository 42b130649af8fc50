"""What `predict` says of clips: lines for each, with marks, and once at the end what is common."""

from __future__ import annotations

from collections.abc import Sequence

from collision.commands._predicted import Outcome, suffix
from collision.prediction import KNOWN, UNLIKE, Prediction
from collision.report.clips_page import an_hour, brief_alarms

# How a kind of warning is marked on a clip, and told of many: with their number, of so many.
_MARKS = {KNOWN: "known from the training", UNLIKE: "unlike the training's videos"}
_OF_MANY = {
    KNOWN: "The predictor knows {number} of the {of} clips from its own training: their scores "
    "flatter. Judge the predictor on clips that it has not seen.",
    UNLIKE: "{number} of {of} clips are unlike the videos that the predictor learned from "
    "(distance above 1): their scores need not mean here what they meant there.",
}


def marks_of(said: Prediction) -> list[str]:
    """Mark in a few words each why a clip's scores should not be believed."""
    return [mark for kind, mark in _MARKS.items() if _has(said, kind)]


def lines_of(outcome: Outcome) -> list[str]:
    """Give what is to be known of a clip; its warnings are marks here, told in full at the end.

    Clips of one file name are told apart by the path that was given.
    """
    said, kept = outcome.prediction, outcome.finished
    if said is None or kept is None:
        return [f"failed: {outcome.failure}"]
    made = ", ".join(suffix(kind) for kind in kept.made)
    before = "" if outcome.is_new else " (finished before)"
    lines = [f"{outcome.given or said.path}: {said.words} -> {kept.name}{before}: {made}"]
    lines += [f"  note: {note}" for note in kept.notes]
    if said.distance is not None:
        mark = ": unlike them" if _has(said, UNLIKE) else ""
        lines.append(f"  distance from the training's videos: {said.distance:.2f} (limit 1){mark}")
    if _has(said, KNOWN):
        lines.append(f"  {_MARKS[KNOWN]}")
    return lines + ([f"  failed: {outcome.failure}"] if outcome.failure else [])


def told_of_all(outcomes: Sequence[Outcome]) -> list[str]:
    """Say once what all clips are warned of, and how many are known, or strange.

    Of a single clip, its own warnings.
    """
    said = [one.prediction for one in outcomes if one.prediction is not None]
    if len(said) == 1 == len(outcomes):
        return list(said[0].warnings)
    texts = dict.fromkeys(text for one in said for text in one.warnings)
    found = [text for text in texts if not text.startswith(tuple(_OF_MANY))]
    for kind, text in _OF_MANY.items():
        if number := sum(_has(one, kind) for one in said):
            found.append(text.format(number=number, of=len(said)))
    return found


def _has(said: Prediction, kind: str) -> bool:
    return any(text.startswith(kind) for text in said.warnings)


def alarms_said(outcomes: Sequence[Outcome], is_fallback: bool = False) -> str:
    """Count the alarms of all clips, and how often that is; mark a threshold that is a fallback."""
    done = [(o.finished, o.prediction) for o in outcomes if o.finished and o.prediction]
    if not done:
        return "Alarms: not known, for no clip was predicted."
    known = [(kept, said) for kept, said in done if said.threshold is not None]
    if not known:
        return "Alarms: not known, for the predictor has no threshold."
    counts = [len(said.alarms) for _, said in known]
    hours = sum(kept.duration for kept, _ in known) / 3600
    hint = brief_alarms([alarm for _, said in known for alarm in said.alarms])
    mark = ", at a threshold that is a fallback" if is_fallback else ""
    often = an_hour(sum(counts), hours)
    return (
        f"Alarms: {sum(counts)} in {60 * hours:.1f} minutes of video{often}, in "
        f"{sum(map(bool, counts))} of {len(known)} clips{mark}" + (f". {hint}" if hint else "")
    )
