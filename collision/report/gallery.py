"""Which clips a page shows: the most confident wrong ones, the hardest, the most confident right.

A clip is judged by the highest of its scored moments, as the page's first sentence counts clips;
of several seeds by their mean, against the threshold of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from collision.metrics.curves import Curve
from collision.metrics.nexar import horizon_key
from collision.metrics.scored import Scored, align
from collision.report.clips import Clip
from collision.report.judged import Judged
from collision.report.tables import missed
from collision.types import Seconds

WRONG, HARD, RIGHT = "wrong", "hardest", "right"
COUNTS = {WRONG: 16, HARD: 10, RIGHT: 10}  # of each data set
MAX_UNSCORED = 3
NO_SCORE = "no score"
PLAIN_THRESHOLD = 0.5  # where none was chosen on validation


@dataclass(frozen=True)
class Line:
    """A risk curve: seconds and probabilities, dense along the clip or at its cuts alone."""

    times: list[Seconds]
    scores: list[float]
    is_dense: bool = False
    name: str = ""


@dataclass(frozen=True)
class Card:
    """A clip as the gallery shows it.

    Attributes:
        kind: ``missed collision``, ``missed near-collision``, ``false alarm``, ``warned``, ``no
            alarm`` or ``no score``.
        choice: Why it is shown: ``wrong``, ``hardest`` or ``right``.
        horizon: Of its highest moment, which ends at ``cut``.
        score: There, the mean over seeds, whose own are ``by_seed``; None: it has none.
        error: Distance from the label; 1 of a clip without a score.
        threshold: None: none is drawn.
        lines: One of each run; times are before the event (negative) where the file is not known.
        facts: More to be told.
        form, about_score: How the score is written, and what it is.
    """

    dataset: str
    video: str
    label: int
    kind: str
    choice: str
    horizon: str
    score: float | None
    by_seed: tuple[float, ...]
    error: float
    threshold: float | None
    cut: Seconds | None
    lines: list[Line]
    is_good: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    clip: Clip | None = None
    seen: Seconds = 0.0
    facts: tuple[str, ...] = ()
    form: str = "{:.2f}"
    about_score: str = "highest probability of a collision"

    @property
    def sd(self) -> float:
        """Of the seeds' scores."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else 0.0


def cards_of(judged: Judged, counts: Mapping[str, int] | None = None) -> list[Card]:
    """Choose the clips of a data set, in the order in which they are shown."""
    if not judged.scores:
        return []
    counts = counts or COUNTS
    threshold = PLAIN_THRESHOLD if judged.threshold is None else judged.threshold
    units = list(units_of(align(list(judged.scores.values()))))
    everything = [card_of(judged, unit, threshold) for unit in units]
    unscored = [one for one in everything if one.score is None][:MAX_UNSCORED]
    scored = [one for one in everything if one.score is not None]
    wrong = _both(sorted((c for c in scored if c.choice == WRONG), key=lambda c: -c.error))
    chosen = wrong[: counts[WRONG]]
    taken = {id(card) for card in chosen}
    near = sorted(scored, key=lambda card: abs((card.score or 0.0) - (card.threshold or 0.0)))
    hard = [card for card in near if id(card) not in taken][: counts[HARD]]
    taken |= {id(card) for card in hard}
    right = sorted((c for c in scored if c.choice == RIGHT), key=lambda c: c.error)
    right = _both(card for card in right if id(card) not in taken)[: counts[RIGHT]]
    return [*chosen, *unscored, *(_as_hard(card) for card in hard), *right]


def _both(cards: Iterable[Card]) -> list[Card]:
    """Take the classes in turn: else the surer class would fill the page."""
    by_label: dict[int, list[Card]] = {1: [], 0: []}
    for card in cards:
        by_label[card.label].append(card)
    longest = max(map(len, by_label.values()))
    return [own[n] for n in range(longest) for own in by_label.values() if n < len(own)]


def _as_hard(card: Card) -> Card:
    return replace(card, choice=HARD)


@dataclass(frozen=True)
class Unit:
    """The scored moments of one clip: rows of the aligned tables of all seeds."""

    seeds: Sequence[Scored]
    rows: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """``[rows]`` mean over seeds; NaN where one has no score."""
        return np.mean([one.score[self.rows] for one in self.seeds], axis=0)


def units_of(aligned: Sequence[Scored]) -> Iterable[Unit]:
    """Part the examples by clip and label: within clips, a video has moments of both."""
    first, rows_of = aligned[0], dict[tuple[str, int], list[int]]()
    pairs = zip(first.video.tolist(), first.label.tolist(), strict=True)
    for row, pair in enumerate(pairs):
        rows_of.setdefault(pair, []).append(row)
    for rows in rows_of.values():
        yield Unit(aligned, np.array(rows))


def card_of(judged: Judged, unit: Unit, threshold: float) -> Card:
    """Describe a clip by its highest moment."""
    first, rows, mean = unit.seeds[0], unit.rows, unit.mean
    label, video = int(first.label[rows[0]]), str(first.video[rows[0]])
    is_scored = not np.isnan(mean).all()
    top = int(np.nanargmax(mean)) if is_scored else 0
    score = float(mean[top]) if is_scored else None
    clip = judged.clips.clips.get(video)
    if clip is not None and clip.threshold is not None:
        threshold = clip.threshold
    horizons = [horizon_key(value) for value in first.horizon[rows]]
    times = [clip.cuts.get(key) if clip else None for key in horizons]
    known = all(time is not None for time in times)
    if not known:
        times = [-float(value) for value in first.horizon[rows]]
    tags = {name: str(values[rows[0]]) for name, values in first.tags.items()}
    kind, choice = _kind(label, score, threshold, tags)
    return Card(
        dataset=judged.name,
        video=video,
        label=label,
        kind=kind,
        choice=choice,
        horizon=horizons[top],
        score=score,
        by_seed=tuple(float(one.score[rows[top]]) for one in unit.seeds) if is_scored else (),
        error=1.0 if score is None else abs(label - score),
        threshold=threshold,
        cut=times[top] if known else None,
        lines=lines_of(judged, video, list(zip(times, mean.tolist(), strict=True)), known),
        tags=tags,
        is_good=choice == RIGHT,
        clip=clip,
        seen=judged.clips.seen,
    )


def _kind(
    label: int, score: float | None, threshold: float, tags: Mapping[str, str]
) -> tuple[str, str]:
    if score is None:
        return NO_SCORE, WRONG
    alarms = score >= threshold
    if label:
        return ("warned", RIGHT) if alarms else (missed(tags.values()), WRONG)
    return ("false alarm", WRONG) if alarms else ("no alarm", RIGHT)


def lines_of(
    judged: Judged, video: str, moments: Sequence[tuple[float | None, float]], known: bool
) -> list[Line]:
    """Give the curve along the clip where it was scored densely, and the moments at its cuts."""
    at_cuts = sorted((time, one) for time, one in moments if time is not None and one == one)
    lines = [Line([time for time, _ in at_cuts], [one for _, one in at_cuts])]
    own = judged.curves_of.get(video, [])
    if known and own and own[0].times.size:
        lines.insert(0, Line(own[0].times.tolist(), _mean(own), is_dense=True))
    return lines


def _mean(curves: Sequence[Curve]) -> list[float]:
    """Of all seeds, if they were scored at the same moments; else the first."""
    is_same = all(np.array_equal(one.times, curves[0].times) for one in curves)
    found: list[float] = np.mean(
        [c.scores for c in (curves if is_same else curves[:1])], 0
    ).tolist()
    return found
