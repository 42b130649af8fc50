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
        group: The source event or drive. Videos of one group never meet in two splits.
        event_time: When the collision or near collision happens; positives only.
        alert_time: When it could first be foreseen, where annotated.
        mock_event_time: A negative's stand-in for the event, if the data set defines one.
        cut_horizon: The file was cut this long before its event; its end is the cut. 0 where
            nobody says how long.
        frame_rate: Frame n is shown at n / frame_rate, whatever the file's own clock says. A folder
            of images needs it; so does a data set whose annotations count frames.
        video_stream: Which of the file's video streams is meant, counted from 0; None: the default
            one, or the first.
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
    video_stream: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """A way to look at a window: mirrored, or frames ``stride`` times as far apart as asked for.

    ``frames``: only so many of its newest; None: all.
    """

    flip: bool = False
    stride: float = 1.0
    frames: int | None = None

    @property
    def suffix(self) -> str:
        """What is added to the name of features that were made this way; empty for ``PLAIN``."""
        stride = f"-stride{self.stride:.12g}" if self.stride != 1 else ""
        newest = f"-last{self.frames}" if self.frames is not None else ""
        return ("-flip" if self.flip else "") + stride + newest


PLAIN = View()


@dataclass(frozen=True, slots=True)
class Example:
    """A scored moment of a video: what is known at ``end_time``.

    Attributes:
        video: The record's id.
        end_time: The nominal cut: nothing after it is seen.
        label: 1 if a collision follows.
        horizon: From the cut to the event or mock event.
        weight: Factor of this example's loss.
        hard_negative: A moment of a crash video, long before its event.
        window_stride: Between its windows, if not the policy's.
        context: Nothing farther back from ``end_time`` is seen; None: all that the policy wants.
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

    But ``min_frames`` where it is None, so that older features keep theirs.

    Attributes:
        name: Model and weights in words, e.g. ``timm/tf_efficientnet_lite0``.
        implementation: Library and version that computes the features.
        num_frames: T, of a window; 1 for a frame model.
        fps: Of the window's frames; for a frame model irrelevant.
        height, width: Of the input, in pixels.
        mean, std: Per channel, of values scaled to 0..1.
        num_steps: S, that a window gives.
        feature_dim: D.
        resize: How a frame becomes ``height`` x ``width``; ``squash`` ignores the aspect ratio.
        token_pooling: How tokens or pixels became one feature a step.
        dtype: Of the stored features: ``float16`` or ``float32``.
        source: Of the weights: package, hub id or path's name.
        licence: Of the weights.
        min_frames: A window that the beginning of its file cuts short may have so few frames, its
            newest: ``[B, n, H, W, 3]`` gives the newest of the S steps. None: it must be whole.
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
    min_frames: int | None = None

    @property
    def least_frames(self) -> int:
        """How many frames a window has at least."""
        return self.num_frames if self.min_frames is None else self.min_frames

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; without ``min_frames`` where windows are whole, as of old."""
        fields = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        if self.min_frames is None:
            del fields["min_frames"]
        return fields


@dataclass(frozen=True, eq=False)
class TokenLayer:
    """Where the tokens of a picture lie in a transformer.

    Attributes:
        block: The last one; its first argument is ``[B, before + n * rows * columns, C]``.
        rows, columns: Of tokens over a picture, row by row; several pictures follow each other.
        before: Tokens of no place, such as a class token.
    """

    block: torch.nn.Module
    rows: int
    columns: int
    before: int = 0


@runtime_checkable
class Backbone(Protocol):
    """A frozen ``torch.nn.Module`` that turns windows into features.

    Everything that its output depends on is in ``spec`` and in its parameters and buffers. A
    transformer may also have ``token_layer() -> TokenLayer | None``: its heat maps are then made by
    gradients, which are had where gradients are enabled.
    """

    spec: BackboneSpec

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Turn ``uint8 [B, T, H, W, 3]`` into ``float [B, S, D]``; normalise on the own device.

        With ``spec.min_frames``, fewer frames (all windows of a batch as many) give fewer steps.
        """
        ...


class Dataset(Protocol):
    """What a file in ``datasets/`` gives. Its YAML's ``_target_`` names the class.

    Options that several share: ``root``, the folder of its files; ``allow_links``, take files that
    are links out of the root, too; ``frame_rate``, by which frames are timed by their number;
    ``name`` in reports. A data set may also have

    - ``oracle() -> dict | None``: the AP that a model given the true state of the scenes reaches;
    - ``write_submission(path, scores)``: write test scores (probability by id) in the owners' form;
    - ``unknown_groups: str``: why clips of one source event or drive count as independent, so that
      intervals over groups are too narrow; empty where they don't;
    - ``is_painted: bool``: its videos are painted by a program; footage where it says nothing;
    - ``has_near_collisions: bool``: its positives are near-collisions, too; pages name both.
    """

    name: str

    def prepare(self, splits: Sequence[Split] | None = None) -> None:
        """Check that the files of some splits (None: all) are there, or make them.

        DatasetNotFoundError: they are not, with the list of those expected.
        """

    def records(self) -> list[VideoRecord]:
        """Give the index, in a fixed order, without opening a video."""
        ...


class Encoder(Protocol):
    """What a file in ``temporal/`` gives: a module over a sequence of features.

    The constructor takes ``input_dim`` (D) beside the options in its YAML. An encoder without
    weights, all of whose steps have the same output, may also have ``solve(rows [R, E], labels [R],
    weights [R], groups [R])``, which finds the classifier's weights ``[E]`` and bias without
    training, as in ``temporal/logistic.py``. One whose outputs each depend on steps up to their own
    alone says so by ``causal = True``.
    """

    output_dim: int

    def __call__(
        self, features: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Turn ``[B, L, D]`` into ``[B, L, output_dim]``.

        Args:
            features: Oldest first.
            times: ``[B, L]``, seconds relative to the cut: 0 is the cut, negative before it.
            mask: ``[B, L]``, True where a step holds data; what lies under False must not change
                any valid step's output.
        """
        ...
