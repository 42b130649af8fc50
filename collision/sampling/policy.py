"""Which moments of which video are scored, and with what label.

The anchor of a video is the moment that cuts are counted from: its event, its mock event, or the
end of a file that was cut before its event. Every cut and every window's end lies on the grid
``anchor - j * stride``, so that 0.5, 1.0 and 1.5 s are exact at any frame rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from collision.errors import ConfigError
from collision.types import BackboneSpec, Seconds, View

_EPSILON = 1e-6
_CHOICES = {"positives_from": ("farthest", "alert"), "mock_events": ("drawn", "midpoint")}


@dataclass(frozen=True)
class SamplingPolicy:
    """How videos become examples; the YAML files in ``configs/sampling`` are instances of it.

    Attributes:
        name: Of the policy, for reports.
        horizons: Cuts of validation and test examples, in seconds before the anchor.
        train_range: Nearest and farthest training cut before the anchor.
        stride: Between neighbouring training cuts.
        positives_from: Where a positive's training cuts begin: at the ``farthest`` of
            ``train_range``, or at its ``alert``, if known; if none is left, the nearest alone.
        alert_weight: Weight in the loss of positive cuts between alert and event; others count 1.
        fade: Positive cuts count ``exp(-(seconds to the event) / fade)``; None: all count alike.
        hard_negatives: At most so many moments of a crash video, long before its event.
        hard_negative_gap: They end at least this long before ``min(alert, event - train_range)``.
        balanced: As many positives as negatives in every pass: the rarer class comes again.
        mock_events: ``drawn`` from the positives' relative positions, or the ``midpoint``.
        flip: Look at every window mirrored, too; in judging, all views are averaged.
        strides: Views with time stretched so many times: frames of a clip model's window, or the
            windows of a frame model, lie that much further apart. 1 is as the backbone wants it.
        context: Seconds of features the head sees. None: 2 s of a frame model's frames, a single
            window of a clip model.
        window_stride: Between the ends of neighbouring windows within the context.
        dense: Also score every test video every so many seconds, for metrics of anticipation.
        seed: Of the draws of mock events and hard negatives.
        within: (near, far): cuts of crash videos near their event against far ones, instead of
            ``horizons``; in training also one stride to either side. Normal videos are cut near.
        whole_clip: Windows are spread over whole files, event included: marked as leaking.
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
        """Take lists from YAML and refuse what cannot work: ConfigError with the option's value."""
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
        for option, is_right, wanted in self._checks():
            if not is_right:
                value = getattr(self, option)
                shown = list(value) if isinstance(value, tuple) else value
                group = "" if option == "within" else "sampling."  # `evaluate` has it, too
                raise ConfigError(f"{group}{option}={shown}: {wanted}.")
        for horizon in self.horizons:
            if abs(horizon / self.stride - round(horizon / self.stride)) > _EPSILON:
                raise ConfigError(
                    f"sampling.stride={self.stride} does not divide the horizon {horizon}: "
                    "windows would miss the cut. Use 0.25 or 0.125."
                )
        if self.whole_clip and not self.allow_leak:
            raise ConfigError(
                "sampling=whole_clip looks at whole files, in which the collision itself can be "
                "seen: such a score says nothing about foreseeing it. To measure how much that "
                "flatters, add sampling.allow_leak=true; the results are marked as leaking."
            )

    def _checks(self) -> Iterator[tuple[str, bool, str]]:
        """Give each option with whether it can work, and what to give where it cannot."""
        within, reach, strides = self.within, self.train_range, self.strides
        for option in ("stride", "window_stride", "fade", "dense"):
            value = getattr(self, option)
            yield option, value is None or value > 0, "must be above 0"
        for option in ("hard_negatives", "alert_weight"):
            yield option, getattr(self, option) >= 0, "give 0 or more"
        for option, choices in _CHOICES.items():
            yield option, getattr(self, option) in choices, f"give {' or '.join(choices)}"
        is_right = within is None or (len(within) == 2 and 2 * self.stride <= within[0] < within[1])
        wanted = "give [near, far] in seconds before the event, near at least two strides"
        yield "within", is_right, f"{wanted} ({2 * self.stride} s), such as [0.5, 2.0]"
        yield "horizons", min(self.horizons, default=0) > 0, "give seconds above 0"
        is_right = len(reach) == 2 and 0 < reach[0] <= reach[1]
        wanted = "give [nearest, farthest] in seconds before the event, such as [0.25, 1.5]"
        yield "train_range", is_right, wanted
        yield "context", self.context is None or self.context >= 0, "give seconds, 0 or more"
        is_right = min(strides, default=0) > 0 and len(set(strides)) == len(strides)
        yield "strides", is_right, "give different numbers above 0, such as [1, 2]"

    @property
    def views(self) -> tuple[View, ...]:
        """The ways in which every example is looked at."""
        flips = (False, True) if self.flip else (False,)
        return tuple(View(flip, stride) for flip in flips for stride in self.strides)

    def num_windows(self, spec: BackboneSpec) -> int:
        """Say how many windows of ``spec`` one example needs."""
        default = 2.0 if spec.num_frames == 1 else 0.0
        context = default if self.context is None else self.context
        return max(1, round(context / self.window_stride))
