"""How fast data sets are read beside bare decoders: `python -m benchmarks.data_sets`.

The full check (`collision data check=full`) against a pool of processes that only decode the same
files; a folder of images against Pillow and OpenCV alone, on one thread. What ours does beyond
them: it looks for damage and standing pictures, keeps results as they come, and squashes as videos
are squashed. The ratio is what to compare between machines.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from PIL import Image

from benchmarks.decode import FPS, SIZE, moving_texture, write_clip
from collision.audit.check import check_all
from collision.audit.jobs import Job, Pool
from collision.video.frames import read_frames
from collision.video.index import index_video

NUM_VIDEOS, NUM_FRAMES, REPEATS = 8, 180, 3


def main() -> None:
    """Write videos and images, time the readers, print two tables."""
    frames = moving_texture(NUM_FRAMES)
    with TemporaryDirectory() as name:
        folder = Path(name)
        time_full_check(folder, frames)
        time_images(folder, frames)


def time_full_check(folder: Path, frames: np.ndarray) -> None:
    """Print frames/s of the check and of the pool that only decodes."""
    paths = [write_clip(folder / "0.mp4", frames, "h264", {})]
    paths += [folder / f"{number}.mp4" for number in range(1, NUM_VIDEOS)]
    for path in paths[1:]:
        path.write_bytes(paths[0].read_bytes())
    jobs = {path.stem: Job(path.stem, path.stem, path, None) for path in paths}
    processes = len(os.sched_getaffinity(0))
    pool = Pool(processes, progress=False)
    caches = (folder / f"cache{repeat}" for repeat in range(REPEATS))  # each checks all anew
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: check_all(jobs, next(caches), pool),
        "decoding": lambda: decode_all(paths, processes),
    }
    best = dict.fromkeys(works, np.inf)
    for _ in range(REPEATS):  # in turn, so that a busy moment of the machine hits both
        for name, work in works.items():
            best[name] = min(best[name], seconds_of(work))
    rates = {name: NUM_VIDEOS * NUM_FRAMES / seconds for name, seconds in best.items()}
    print(
        f"full check of {NUM_VIDEOS} videos, {NUM_FRAMES} frames of 1280x720, {processes} processes"
    )
    print(f"  ours {rates['ours']:.0f} frames/s, decoding alone {rates['decoding']:.0f}", end="")
    print(f", ratio {rates['ours'] / rates['decoding']:.2f}\n")


def time_images(folder: Path, frames: np.ndarray) -> None:
    """Print frames/s of reading a folder of JPEGs, and of two decoders alone."""
    images = folder / "images"
    images.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(images / f"{number:06d}.jpg", quality=90)
    index = index_video(images, FPS)
    wanted = np.arange(NUM_FRAMES)
    readers: dict[str, Callable[[], object]] = {
        "ours": lambda: read_frames(index, wanted, SIZE, SIZE),
        "Pillow": lambda: [np.asarray(Image.open(path)) for path in index.images],
        "OpenCV": lambda: [cv2.imread(str(path)) for path in index.images],
    }
    best = dict.fromkeys(readers, np.inf)
    for _ in range(REPEATS):
        for name, read in readers.items():
            best[name] = min(best[name], seconds_of(read))
    rates = {name: NUM_FRAMES / seconds for name, seconds in best.items()}
    print(f"{NUM_FRAMES} JPEGs of 1280x720, one thread; the others do not shrink them")
    for name, rate in rates.items():
        print(f"  {name:<8}{rate:>6.0f} frames/s, ours is {rates['ours'] / rate:.2f} of it")


def decode_all(paths: list[Path], processes: int) -> None:
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(decode, paths))


def decode(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def seconds_of(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
