"""Probes: small models that are shown what lies around a clip, never what happens in it.

What a probe sees of an example that ends at t is known at t: frames and coded bytes up to t. One
probe breaks this rule and says so, ``whole_file``: it shows what a careless reader would leak.

Shapes: N examples, F numeric and W categorical values of an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from collision.audit.facts import LUMA, Facts, Records, VideoFacts
from collision.errors import MetricError
from collision.types import Example, Seconds, VideoRecord
from collision.video.frames import TIME_NOISE

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

# Categories that fewer examples have are one: a probe must not learn single videos.
_MIN_EXAMPLES = 3
_REGULARISATION = 0.1  # scikit-learn's C; the numbers are standardised


@dataclass(frozen=True)
class Probe:
    """What one probe is shown of an example: ``[F]`` floats and ``[W]`` categories.

    ``is_causal`` says whether all of it is known at the cut.
    """

    description: str
    numeric: Callable[[VideoFacts, Seconds], list[float]]
    categorical: Callable[[VideoRecord, VideoFacts, Seconds], list[str]]
    is_causal: bool = True


def _file_numbers(facts: VideoFacts, cut: Seconds) -> list[float]:
    """Rate, size and coded bytes of the frames that are shown by the cut."""
    count = max(1, int(np.searchsorted(facts.frame_times, cut + TIME_NOISE, side="right")))
    sizes = facts.frame_bytes[:count].astype(float) + 1  # a frame may have no bytes of its own
    gaps = np.diff(facts.frame_times[:count])
    rate = 1 / float(np.median(gaps)) if len(gaps) else 0.0
    pixels = facts.width * facts.height
    mean = sizes.mean()
    levels = [facts.width, facts.height, mean, mean * max(rate, 1.0), mean / pixels]
    levels += [sizes[0], np.median(sizes)]
    return [rate, *np.log(levels), sizes.std() / mean]


def _file_categories(record: VideoRecord, facts: VideoFacts, cut: Seconds) -> list[str]:
    size, rate = f"{facts.width}x{facts.height}", f"{_file_numbers(facts, cut)[0]:.1f}"
    return [size, rate, facts.codec, record.path.suffix.lower()]


def _first_frame_numbers(facts: VideoFacts, cut: Seconds) -> list[float]:
    """Grey cells, and mean and spread of each colour."""
    picture = facts.thumbnail / 255
    colours = [*picture.mean(axis=(0, 1)), *picture.std(axis=(0, 1))]
    return [*(picture @ LUMA).ravel(), *colours]


def _whole_file_numbers(facts: VideoFacts, cut: Seconds) -> list[float]:
    sizes = np.log([facts.file_bytes, facts.file_bytes / facts.duration])
    rates = [float(len(facts.frame_times)), facts.native_fps]
    return [facts.duration, *sizes, *rates, cut / facts.duration, facts.duration - cut]


PROBES: dict[str, Probe] = {
    "file": Probe("the file's facts up to the cut", _file_numbers, _file_categories),
    "position": Probe(
        "the time of the cut",
        lambda facts, cut: [cut],
        # Whole seconds follow any curve; tenths find cuts that are all at one moment.
        lambda record, facts, cut: [f"{cut:.0f}", f"{cut:.1f}"],
    ),
    "first_frame": Probe(
        "the first frame", _first_frame_numbers, lambda record, facts, cut: ["any"]
    ),
    "whole_file": Probe(
        "the whole file's facts (its length, its bytes, what comes after the cut)",
        _whole_file_numbers,
        lambda record, facts, cut: [f"{facts.duration:.1f}", f"{cut / facts.duration:.1f}"],
        is_causal=False,
    ),
}


class Design:
    """Turns what a probe sees into columns for a linear model; knows no labels."""

    def __init__(self, probe: Probe, records: Records, facts: Facts):
        from sklearn.preprocessing import OneHotEncoder, StandardScaler  # a second

        self.probe, self.records, self.facts = probe, records, facts
        self.scaler = StandardScaler()
        self.encoder = OneHotEncoder(
            min_frequency=_MIN_EXAMPLES, handle_unknown="infrequent_if_exist", sparse_output=False
        )

    def fit(self, examples: Sequence[Example]) -> Design:
        """Learn means, spreads and categories; every example has facts."""
        numeric, categorical = self._values(examples)
        self.scaler.fit(numeric)
        self.encoder.fit(categorical)
        return self

    def columns(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Give ``[N, columns]`` of examples."""
        numeric, categorical = self._values(examples)
        # Beyond five spreads a number says no more than "unusual": it must not outweigh the rest.
        scaled = np.clip(self.scaler.transform(numeric), -5, 5)
        return np.hstack([scaled, self.encoder.transform(categorical)])

    def _values(self, examples: Sequence[Example]) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
        seen = [(self.records[e.video], self.facts[e.video], e.end_time) for e in examples]
        numeric = [self.probe.numeric(fact, cut) for _, fact, cut in seen]
        categorical = [self.probe.categorical(record, fact, cut) for record, fact, cut in seen]
        return np.array(numeric, dtype=np.float64), np.array(categorical, dtype=np.str_)


def linear_model() -> LogisticRegression:
    """Make the model of every probe. Balanced: its scores must not follow a fold's prevalence."""
    from sklearn.linear_model import LogisticRegression  # a second: only where one is fitted

    return LogisticRegression(C=_REGULARISATION, class_weight="balanced", max_iter=500)


def probe_scores(
    train_examples: Sequence[Example],
    test_examples: Sequence[Example],
    records: Records,
    facts: Facts,
) -> dict[str, NDArray[np.float64]]:
    """Fit every causal probe on training examples, and score ``[N]`` test examples.

    A head that ranks the test examples no better than these has learned shortcuts, or nothing.
    Gives probabilities of a collision by the probe's name; where the video has no facts, because it
    cannot be read, NaN.

    Raises:
        MetricError: The training examples hold one class.
    """
    known = [e for e in train_examples if e.video in facts]
    labels = np.array([e.label for e in known])
    if len(np.unique(labels)) < 2:
        raise MetricError(
            f"{len(known)} training examples with file facts hold one class or none: no shortcut "
            "can be learned from them. Give both classes."
        )
    weights = np.array([e.weight for e in known])
    places = [place for place, e in enumerate(test_examples) if e.video in facts]
    scores = {}
    for name, probe in PROBES.items():
        if not probe.is_causal:
            continue
        design = Design(probe, records, facts).fit(known)
        model = linear_model().fit(design.columns(known), labels, sample_weight=weights)
        scores[name] = np.full(len(test_examples), np.nan)
        if places:
            tested = design.columns([test_examples[p] for p in places])
            scores[name][places] = model.predict_proba(tested)[:, 1]
    return scores
