"""Which moments of which video are scored, and with what label.

Plain functions of plain data: nothing here opens a video. Times are seconds in the time of the
file. The anchor of a video is the moment that cuts are counted from: its event, its mock event,
or the end of a file that was cut before its event. Every cut and every window's end lies on the
grid ``anchor - j * stride``, so that 0.5, 1.0 and 1.5 s are exact at any frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from collision.errors import ConfigError
from collision.types import (
    BackboneSpec,
    Seconds,
    View,
)

_EPSILON = 1e-6


@dataclass(frozen=True)
class SamplingPolicy:
    """How videos become examples; the YAML files in ``configs/sampling`` are instances of it.

    Attributes:
        name: Of the policy, for reports.
        horizons: Cuts of validation and test examples, in seconds before the anchor.
        train_range: Nearest and farthest training cut before the anchor.
        stride: Between neighbouring training cuts.
        positives_from: Where a positive's training cuts begin: at the ``farthest`` of
            ``train_range``, or at its ``alert``, where one is annotated; if that leaves none, the
            nearest alone.
        alert_weight: Weight in the loss of positive cuts between alert and event; others count 1.
        fade: Positive cuts count ``exp(-(seconds to the event) / fade)``; None: all count alike.
        hard_negatives: At most so many moments of each crash video, from long before its event,
            as further negatives.
        hard_negative_gap: They end at least this long before ``min(alert, event - train_range)``.
        balanced: Every epoch sees as many positives as negatives: the rarer class comes again.
        mock_events: Of negatives without one: ``drawn`` from the positives' relative positions,
            or the ``midpoint`` of the video.
        flip: Look at every window mirrored, too: in training as further examples, in judging the
            probabilities of all views are averaged.
        strides: Views with time stretched so many times: frames of a clip model's window, or the
            windows of a frame model, lie that much further apart. 1 is as the backbone wants it.
        context: Seconds of features the head sees. None: 2 s of a frame model's frames, a single
            window of a clip model.
        window_stride: Between the ends of neighbouring windows within the context.
        dense: Also score the whole of every test video, every so many seconds up to its event, for
            the metrics of anticipation. None: no.
        seed: Of the draws of mock events and hard negatives.
        within: (near, far): cuts of crash videos near their event against cuts of the same videos
            far from it, instead of ``horizons``; in training also one stride to either side.
            Normal videos, cut at ``near``, are further negatives.
        whole_clip: Look at whole files, the event and what follows included, windows spread evenly
            over them. This shows the future; results are marked as leaking.
        allow_leak: Without it ``whole_clip`` refuses to run.
    """

    name: str = "nexar"
    horizons: tuple[Seconds, ...] = (0.5, 1.0, 1.5)
    train_range: tuple[Seconds, Seconds] = (0.25, 1.5)
    stride: Seconds = 0.25
    positives_from: Literal["farthest", "alert"] = "farthest"
    alert_weight: float = 1.0
    fade: Seconds | None = None
    hard_negatives: int = 1
    hard_negative_gap: Seconds = 1.5
    balanced: bool = False
    mock_events: Literal["drawn", "midpoint"] = "drawn"
    flip: bool = False
    strides: tuple[float, ...] = (1.0,)
    context: Seconds | None = None
    window_stride: Seconds = 0.25
    dense: Seconds | None = None
    seed: int = 0
    within: tuple[Seconds, Seconds] | None = None
    whole_clip: bool = False
    allow_leak: bool = False

    def __post_init__(self) -> None:
        """Take lists from YAML and refuse what cannot work.

        Raises:
            ConfigError: With the option's name and value.
        """
        for option in ("horizons", "train_range", "strides", "within"):
            values = getattr(self, option)
            if values is None and option == "within":
                continue
            try:
                object.__setattr__(self, option, tuple(float(value) for value in values))
            except (TypeError, ValueError):
                raise ConfigError(
                    f"sampling.{option}={values!r}: give a list of numbers, such as [0.5, 1.0]."
                ) from None
        self._check_cuts()
        self._check_views()
        for option, choices in (
            ("positives_from", ("farthest", "alert")),
            ("mock_events", ("drawn", "midpoint")),
        ):
            if getattr(self, option) not in choices:
                raise ConfigError(
                    f"sampling.{option}={getattr(self, option)}: give {' or '.join(choices)}."
                )
        if self.hard_negatives < 0:
            raise ConfigError(f"sampling.hard_negatives={self.hard_negatives}: give 0 or more.")
        if self.alert_weight < 0:
            raise ConfigError(f"sampling.alert_weight={self.alert_weight}: give 0 or more.")
        if self.whole_clip and not self.allow_leak:
            raise ConfigError(
                "sampling=whole_clip looks at whole files, in which the collision itself can be "
                "seen: such a score says nothing about foreseeing it. To measure how much that "
                "flatters, add sampling.allow_leak=true; the results are marked as leaking."
            )

    def _check_cuts(self) -> None:
        if self.within is not None and (
            len(self.within) != 2 or not 2 * self.stride <= self.within[0] < self.within[1]
        ):
            raise ConfigError(
                f"within={list(self.within)}: give [near, far] in seconds before the event, "
                f"near at least two strides ({2 * self.stride} s), such as [0.5, 2.0]."
            )
        if not self.horizons or min(self.horizons) <= 0:
            raise ConfigError(f"sampling.horizons={list(self.horizons)}: give seconds above 0.")
        if len(self.train_range) != 2 or not 0 < self.train_range[0] <= self.train_range[1]:
            raise ConfigError(
                f"sampling.train_range={list(self.train_range)}: give [nearest, farthest] in "
                "seconds before the event, such as [0.25, 1.5]."
            )
        for option in ("stride", "window_stride", "fade", "dense"):
            value = getattr(self, option)
            if value is not None and value <= 0:
                raise ConfigError(f"sampling.{option}={value}: must be above 0.")
        for horizon in self.horizons:
            if abs(horizon / self.stride - round(horizon / self.stride)) > _EPSILON:
                raise ConfigError(
                    f"sampling.stride={self.stride} does not divide the horizon {horizon}: "
                    "windows would miss the cut. Use 0.25 or 0.125."
                )

    def _check_views(self) -> None:
        if self.context is not None and self.context < 0:
            raise ConfigError(f"sampling.context={self.context}: give seconds, 0 or more.")
        if not self.strides or min(self.strides) <= 0 or len(set(self.strides)) < len(self.strides):
            raise ConfigError(
                f"sampling.strides={list(self.strides)}: give different numbers above 0, such as "
                "[1, 2]."
            )

    @property
    def views(self) -> tuple[View, ...]:
        """The ways in which every example is looked at."""
        flips = (False, True) if self.flip else (False,)
        return tuple(View(flip, stride) for flip in flips for stride in self.strides)

    def num_windows(self, spec: BackboneSpec) -> int:
        """Say how many windows of ``spec`` one example needs."""
        context = self.context
        if context is None:
            context = 2.0 if spec.num_frames == 1 else 0.0
        return max(1, round(context / self.window_stride))
