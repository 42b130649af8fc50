"""The few data types that every part shares. Times are seconds in the time of the video file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

if TYPE_CHECKING:  # what can be answered without torch must not wait for it
    import torch

Seconds: TypeAlias = float
Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One row of a data set's index; made without opening the video.

    Attributes:
        id: Unique in the data set; class-qualified where file stems repeat.
        path: The video file, or a folder of images.
        label: 1 if the video shows a collision or near collision, else 0. ``UNLABELLED`` (-1)
            where the owners keep it secret: such a clip is scored at its end and not judged.
        split: ``train``, ``val`` or ``test``.
        group: The source event or drive. Videos of one group never meet in two splits.
        event_time: When the collision or near collision happens; positives only.
        alert_time: When it could first be foreseen, where annotated.
        mock_event_time: A negative's stand-in for the event, if the data set defines one.
        cut_horizon: The file was cut this long before its event; its end is the cut. 0 where
            nobody says how long.
        frame_rate: Frames a second by which the frames are timed (frame n is shown at
            n / frame_rate) in place of the file's own clock. A folder of images needs it; so does
            a data set whose annotations count frames.
        tags: Anything to slice results by.
    """

    id: str
    path: Path
    label: int
    split: Split
    group: str
    event_time: Seconds | None = None
    alert_time: Seconds | None = None
    mock_event_time: Seconds | None = None
    cut_horizon: Seconds | None = None
    frame_rate: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """A way to look at the frames of a window.

    Attributes:
        flip: Mirrored left to right.
        stride: Frames lie this many times as far apart as the backbone asks for.
    """

    flip: bool = False
    stride: float = 1.0

    @property
    def suffix(self) -> str:
        """What is added to the name of features that were made this way; empty for ``PLAIN``."""
        return ("-flip" if self.flip else "") + (
            f"-stride{self.stride:.12g}" if self.stride != 1 else ""
        )


PLAIN = View()


@dataclass(frozen=True, slots=True)
class Example:
    """A scored moment of a video: what is known at ``end_time``.

    Attributes:
        video: The record's id.
        end_time: The nominal cut: nothing after it is seen.
        label: 1 if a collision follows.
        horizon: Seconds from the cut to the event or mock event.
        weight: Factor of this example's loss.
        hard_negative: A moment of a crash video, long before its event.
        window_stride: Seconds between its windows, if not the policy's.
        context: Nothing that lies farther back from ``end_time`` is looked at, in seconds; None:
            all that the policy wants.
    """

    video: str
    end_time: Seconds
    label: int
    horizon: Seconds
    weight: float = 1.0
    hard_negative: bool = False
    window_stride: Seconds | None = None
    context: Seconds | None = None


@dataclass(frozen=True)
class Failure:
    """A video that gave no features, and why; a value, so that the other videos go on."""

    video: str
    path: Path
    reason: str


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone wants to see and what it gives. Every field is part of the fingerprint.

    Attributes:
        name: Model and weights in words, e.g. ``timm/tf_efficientnet_lite0``.
        implementation: Library and version that computes the features.
        num_frames: Frames in one window (T); 1 for a frame model.
        fps: Rate at which the window's frames are taken; for a frame model irrelevant.
        height: Input height in pixels.
        width: Input width in pixels.
        resize: How a frame becomes ``height`` x ``width``; ``squash`` ignores the aspect ratio.
        mean: Per channel, of values scaled to 0..1.
        std: Per channel, of values scaled to 0..1.
        num_steps: Feature steps a window gives (S).
        feature_dim: Size of one feature (D).
        token_pooling: How tokens or pixels became one feature a step.
        dtype: Of the stored features: ``float16`` or ``float32``.
        source: Where the weights come from (package, hub id or path's name).
        licence: Of the weights.
    """

    name: str
    implementation: str
    num_frames: int
    fps: float
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_steps: int
    feature_dim: int
    resize: str = "squash"
    token_pooling: str = "mean"
    dtype: str = "float16"
    source: str = ""
    licence: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


@runtime_checkable
class Backbone(Protocol):
    """A frozen ``torch.nn.Module`` that turns windows into features.

    ``forward`` takes ``uint8 [B, T, H, W, 3]`` and gives ``float [B, S, D]``; it normalises on its
    own device. Everything it depends on is in ``spec`` and in its parameters and buffers.
    """

    spec: BackboneSpec

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Embed windows."""
        ...


class Dataset(Protocol):
    """What a file in ``datasets/`` gives. Its YAML's ``_target_`` names the class.

    A data set may also have

    - ``oracle() -> dict | None``: the AP that a model given the true state of the scenes reaches;
    - ``write_submission(path, scores)``: write the test clips' scores (probability by id) in the
      form in which the owners take them;
    - ``unknown_groups: str``: why clips of one source event or drive count as independent, so that
      intervals over groups are too narrow; empty where they don't.
    """

    name: str

    def prepare(self, splits: Sequence[Split] | None = None) -> None:
        """Check that the files are there, or make them where the data set can.

        Args:
            splits: Those whose videos are needed; None: all.

        Raises:
            DatasetNotFoundError: They are not, with the list of those expected.
        """

    def records(self) -> list[VideoRecord]:
        """Give the index, in a fixed order, without opening a video."""
        ...


class Encoder(Protocol):
    """What a file in ``temporal/`` gives: a module over a sequence of features.

    ``forward(features [B, L, D], times [B, L], mask [B, L]) -> [B, L, output_dim]``. ``times`` are
    seconds relative to the cut (0 is the cut, negative before it), oldest first; ``mask`` is True
    where a step holds data. What lies under a False mask must not change any valid step's output.
    The constructor takes ``input_dim`` (D) beside the options in its YAML.
    """

    output_dim: int

    def __call__(
        self, features: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Encode a sequence."""
        ...
