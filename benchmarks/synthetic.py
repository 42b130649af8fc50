"""Frames per second of a synthetic data set: painting, encoding, and both as it is generated.

    python -m benchmarks.synthetic
    python -m benchmarks.synthetic --config synthetic_night

Prints processor time of one process for the parts, and wall time of ``num_workers`` processes for
the whole.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2

from collision.config import part
from collision.datasets.synthetic.dataset import Synthetic
from collision.datasets.synthetic.generate import clip_writer, generate, to_planes
from collision.datasets.synthetic.paint.painter import Painter
from collision.datasets.synthetic.scene import Scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="synthetic", help="a file of configs/dataset/")
    parser.add_argument("--num-scenes", type=int, default=48)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = {"root": folder + "/set", "num_scenes": arguments.num_scenes}
        dataset = part("dataset", arguments.config, **options).build()
        scenes = dataset.scenes
        painting, encoding = measure_parts(dataset, scenes[:8], Path(folder))
        print(f"painting alone    {painting:6.0f} frames/s of processor time")
        print(f"encoding alone    {encoding:6.0f} frames/s of processor time")
        start = time.perf_counter()
        frames = sum(generate(Path(folder), scenes, dataset.domain, dataset.num_workers))
        rate = frames / (time.perf_counter() - start)
    workers = dataset.num_workers
    print(f"generated         {rate:6.0f} frames/s of wall time with {workers} processes")
    print(f"  {rate / encoding / workers:.2f} of encoding alone on as many processes")
    print(f"  {rate / painting / workers:.2f} of painting alone (shared frames are painted once)")


def measure_parts(dataset: Synthetic, scenes: list[Scene], folder: Path) -> tuple[float, float]:
    """Frames per second of processor time: painting, then encoding."""
    cv2.setNumThreads(1)
    frames, painting, encoding = 0, 0.0, 0.0
    for scene in scenes:
        clip, painter = scene.clips[0], Painter(scene, dataset.domain)
        start = time.process_time()
        pictures = [
            to_planes(painter.paint(clip.play, number)) for number in range(clip.num_frames)
        ]
        painted = time.process_time()
        size = (dataset.domain.width, dataset.domain.height)
        with clip_writer(folder / "clip.mp4.part", scene.fps, clip.crf, *size) as write:
            for planes in pictures:
                write(planes)
        frames += len(pictures)
        painting += painted - start
        encoding += time.process_time() - painted
    return frames / painting, frames / encoding


if __name__ == "__main__":
    main()
