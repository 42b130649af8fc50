"""What every backbone promises: one suite, for the tests and for proposed backbones.

As in ``conformance``, the verdict is made here, from features alone.

Shapes: B windows, T frames a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from collision.config import part
from collision.features.clips import Clip, ClipDataset, WindowRequest
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.ranks import Ranks
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.heatmap.occlusion import of_occlusion
from collision.learning.head import build_model
from collision.learning.predictor import Predictor
from collision.option_groups import ExtractionOptions
from collision.report.footage import encoded
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.search.backbone_subject import BackboneSubject
from collision.search.verdicts import NotConformant, check_close, named
from collision.types import UNLABELLED, BackboneSpec, Example, VideoRecord

if TYPE_CHECKING:
    from collision.config import Part

_TOLERANCE = 1e-3  # of sums that another batch takes in another order
_RATE = 20.0  # frames/s of the videos that are painted here
_MOST_BYTES = 1 << 25  # of the frames of one window


class Frames(nn.Module):
    """A subject where extraction wants a backbone; its weights, if any, are not here."""

    def __init__(self, subject: BackboneSubject):
        super().__init__()
        self.spec = subject.facts.spec
        self._subject = subject

    def forward(self, frames: Tensor) -> Tensor:
        """Turn ``uint8 [B, T, H, W, 3]`` into ``float [B, S, D]``."""
        return self._subject.embed(frames)


def source_of_subject(subject: BackboneSubject, own: Part, cache: Path) -> FeatureSource:
    """Give an empty cache of its features, in a folder of its own."""
    module = Frames(subject)
    store = FeatureStore(cache, fingerprint(module))
    return FeatureSource(store, VideoDigests(cache / "videos.json"), own, _backbone=module)


def _windows(spec: BackboneSpec, count: int = 3, seed: int = 0) -> Tensor:
    """Draw noise, ``uint8 [B, T, H, W, 3]``."""
    shape = (count, spec.num_frames, spec.height, spec.width, 3)
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def the_spec_is_complete(subject: BackboneSubject) -> None:
    """And says what can be true."""
    spec = subject.facts.spec
    if empty := [name for name in ("name", "implementation", "source") if not getattr(spec, name)]:
        raise NotConformant(f"Its spec has no {' and no '.join(empty)}.")
    sizes = ("num_frames", "fps", "height", "width", "num_steps", "feature_dim")
    if wrong := [name for name in sizes if not getattr(spec, name) > 0]:
        raise NotConformant(f"spec.{wrong[0]} is {getattr(spec, wrong[0])}: give more than 0.")
    if len(spec.mean) != 3 or len(spec.std) != 3:
        raise NotConformant("spec.mean and spec.std have three numbers each.")
    if spec.dtype not in ("float16", "float32"):
        raise NotConformant(f"spec.dtype is {spec.dtype!r}: give float16 or float32.")
    if not 1 <= spec.least_frames <= spec.num_frames:
        raise NotConformant(f"spec.min_frames is {spec.min_frames} of {spec.num_frames} frames.")
    if spec.num_frames * spec.height * spec.width * 3 > _MOST_BYTES:
        raise NotConformant(f"One window is more than {_MOST_BYTES >> 20} MiB of frames.")


def features_fit_the_spec(subject: BackboneSubject) -> None:
    """In their shape; and finite, in the type in which they are stored."""
    spec = subject.facts.spec
    for count in (1, 3):
        _fitting(subject, _windows(spec, count), [count, spec.num_steps, spec.feature_dim])
    stored = subject.embed(_windows(spec)).numpy().astype(spec.dtype)
    if not stored.std() > 0:
        raise NotConformant("All its features of noise are the same number.")


def _fitting(subject: BackboneSubject, frames: Tensor, wanted: list[int]) -> Tensor:
    features, dtype = subject.embed(frames), subject.facts.spec.dtype
    if list(features.shape) != wanted or not features.is_floating_point():
        raise NotConformant(
            f"Of frames {list(frames.shape)} it makes {list(features.shape)} {features.dtype}, not "
            f"{wanted} floating-point numbers."
        )
    with np.errstate(over="ignore"):
        stored = features.numpy().astype(dtype)
    if not np.isfinite(stored).all():
        raise NotConformant(f"Features are not finite as {dtype}, in which they are stored.")
    return features


def an_empty_picture_is_told_from_a_busy_one(subject: BackboneSubject) -> None:
    """Black and white need not differ: to optical flow they don't."""
    spec = subject.facts.spec
    frames = _windows(spec)
    frames[1], frames[2] = 0, 255
    busy, black, white = _fitting(subject, frames, [3, spec.num_steps, spec.feature_dim])
    if torch.allclose(busy, black) or torch.allclose(busy, white):
        raise NotConformant("Noise and an empty picture have the same features.")


def every_frame_of_a_window_is_used(subject: BackboneSubject) -> None:
    """One that is turned to its negative changes something."""
    spec = subject.facts.spec
    frames = _windows(spec, 1)
    features = subject.embed(frames)
    for number in range(spec.num_frames):
        changed = frames.clone()
        changed[:, number] = 255 - changed[:, number]
        if torch.allclose(features, subject.embed(changed)):
            raise NotConformant(f"Frame {number} of {spec.num_frames} changes nothing.")


def windows_do_not_see_each_other(subject: BackboneSubject) -> None:
    """Neither in a batch, in whatever order, nor one after the other.

    The windows of a clip overlap: one that is known from another shows the future.
    """
    spec = subject.facts.spec
    frames = _windows(spec, 4)
    together = subject.embed(frames)
    order = torch.tensor([2, 0, 3, 1])
    where = "windows in another order"
    check_close(subject.embed(frames[order]), together[order], _TOLERANCE, where)
    alone = torch.cat([subject.embed(frame[None]) for frame in frames])
    check_close(alone, together, _TOLERANCE, "four windows together, against each alone")
    subject.embed(_windows(spec, 2, seed=1))
    if not torch.equal(subject.embed(frames), together):
        raise NotConformant(
            "Asked again for the same windows, with others in between, it gives other features."
        )


def it_is_frozen(subject: BackboneSubject) -> None:
    """Nothing trains, nothing is in training mode, and use leaves its weights as they were."""
    before = subject.facts
    if before.num_trained or before.in_training:
        raise NotConformant(
            f"{before.num_trained} parameters would be trained, {before.in_training} modules are "
            "in training mode: end its constructor with self.eval().requires_grad_(False)."
        )
    subject.embed(_windows(before.spec, 2))
    if subject.facts.digest != before.digest:
        raise NotConformant("Its weights or buffers change when it is used.")


def built_again_it_is_the_same(subject: BackboneSubject) -> None:
    """With the same weights, from its YAML or from a saved state, and without drawing on chance."""
    if subject.facts.moved_chance:
        raise NotConformant("Building it moves torch's random numbers: use torch.random.fork_rng.")
    frames = _windows(subject.facts.spec, 2)
    features = subject.embed(frames)
    for what, other in (("Built again", subject.changed()), ("Loaded", subject.reloaded())):
        if other is None or other.facts.digest != subject.facts.digest:
            raise NotConformant(f"{what}, it has other weights: cached features would be of both.")
        if not torch.equal(other.embed(frames), features):
            raise NotConformant(f"{what}, it gives other features of the same frames.")


def shorter_windows_have_fewer_steps(subject: BackboneSubject) -> None:
    """Where it says ``min_frames``."""
    spec = subject.facts.spec
    for count in range(spec.least_frames, spec.num_frames):
        features = subject.embed(_windows(spec, 2)[:, -count:])
        steps = features.shape[1] if features.dim() == 3 else -1
        if not 0 <= steps <= spec.num_steps:
            raise NotConformant(
                f"Of {count} frames it makes {list(features.shape)}; min_frames promises at most "
                f"{spec.num_steps} steps."
            )
        _fitting(subject, _windows(spec, 2)[:, -count:], [2, steps, spec.feature_dim])


def odd_sizes_work_or_are_refused(subject: BackboneSubject) -> None:
    """Where its YAML has ``height`` and ``width``: what it builds with others, it can run."""
    if not {"height", "width"} <= set(subject.options):
        return
    spec = subject.facts.spec
    for height, width in ((spec.height // 2 + 1, spec.width // 2 + 3), (97, 161)):
        other = subject.changed(height=height, width=width)
        if other is None:
            continue  # it says which sizes it takes
        found = other.facts.spec
        if (found.height, found.width) != (height, width):
            raise NotConformant(
                f"Built for {height} x {width}, its spec says {found.height} x {found.width}."
            )
        _fitting(other, _windows(found, 2), [2, found.num_steps, found.feature_dim])


def cached_features_are_live_ones(subject: BackboneSubject) -> None:
    """Extracted from video files into a cache, against the same frames one by one."""
    spec = subject.facts.spec
    span = (spec.num_frames - 1) / spec.fps
    with tempfile.TemporaryDirectory() as place:
        cache, requests = Path(place) / "cache", []
        for number in range(2):
            path = Path(place) / f"{number}.mp4"
            path.write_bytes(encoded(_painted(int((span + 1) * _RATE) + 1, number), _RATE))
            ends = np.array([span + 0.1, span + 0.43, span + 0.8]).round(2)
            requests.append(WindowRequest(path.stem, path, ends[number:]))
        source = source_of_subject(subject, None, cache)  # type: ignore[arg-type] # built already
        how = ExtractionOptions(batch_size=3, num_workers=0, accelerator="cpu")
        report = source.extract(requests, how, progress=False)
        if report.failures:
            raise NotConformant(f"No features come into a cache: {report.failures[0].reason}")
        for number, request in enumerate(requests):
            clip = ClipDataset(requests, spec)[number]
            assert isinstance(clip, Clip)  # it was painted here, and extracted
            frames = torch.from_numpy(clip.frames[clip.windows])
            live = torch.cat([subject.embed(frame[None]) for frame in frames])
            stored, there = source.store.read(
                source.digests.digest(request.path), request.end_times
            )
            if not there.all():
                raise NotConformant("Some windows of a clip that is long enough have no features.")
            found = torch.from_numpy(stored.astype(np.float32))
            check_close(found, live.float(), 2 * _TOLERANCE, "cached features, against live ones")


def heat_maps_of_it_are_finite(subject: BackboneSubject) -> None:
    """Where a head on it looked is found by occlusion, as ``heatmap=true`` does it."""
    spec = subject.facts.spec
    span, longer = (spec.num_frames - 1) / spec.fps, 3
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "clip.mp4"
        path.write_bytes(encoded(_painted(int((span + 1) * _RATE) + 1, seed=2), _RATE))
        source = source_of_subject(subject, None, Path(place) / "cache")  # type: ignore[arg-type]
        record = VideoRecord("clip", path, UNLABELLED, "test", "")
        moment = Example(record.id, round(span + 0.5, 2), UNLABELLED, 0.0)
        about = DataIndex("clip", {record.id: record}, {"test": [moment]})
        fabric = Ranks("cpu", source.fingerprint.precision, 1, 1, is_task=True).fabric
        falls = of_occlusion(
            _untrained(source), [(source, fabric)], about, (4, longer), lambda _: None
        )
    wanted = (1, 2, longer)  # of a picture of 96 x 144
    if falls.shape != wanted:
        raise NotConformant(f"A heat map of one moment is {list(falls.shape)}, not {list(wanted)}.")
    if not np.isfinite(falls).all():
        raise NotConformant(
            "Its heat map is not finite: with a part of the picture painted over in one colour, "
            "it gives features that are not."
        )


def _untrained(source: FeatureSource) -> Predictor:
    """Give a linear head as it begins, on the last window alone."""
    parts = {group: part(group, name) for group, name in (("head", "linear"), ("pooling", "last"))}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(parts["head"], parts["pooling"], source.spec.feature_dim)
    policy = SamplingPolicy(context=0.0)
    return Predictor(model.eval(), parts, policy, source.fingerprint)


def _painted(count: int, seed: int) -> np.ndarray:
    """Paint blocks that move, ``uint8 [N, H, W, 3]``."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    picture = blocks.repeat(12, axis=0).repeat(12, axis=1)
    return np.stack([np.roll(picture, 2 * number, axis=1) for number in range(count)])


# In the order of what breaks first.
CHECKS = named(
    the_spec_is_complete,
    features_fit_the_spec,
    an_empty_picture_is_told_from_a_busy_one,
    every_frame_of_a_window_is_used,
    windows_do_not_see_each_other,
    it_is_frozen,
    built_again_it_is_the_same,
    shorter_windows_have_fewer_steps,
    odd_sizes_work_or_are_refused,
    cached_features_are_live_ones,
    heat_maps_of_it_are_finite,
)
