"""How fast `read_frames` is beside bare decord and bare PyAV: `python -m benchmarks.decode`.

All three read the same files in turn, on one thread, at the size of a backbone's input, several
times; the best time of each counts. The ratio is what to compare between machines. What ours does
beyond bare decord: it compares frame counts and looks for repeated frames.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import decord
import numpy as np

from collision.video.frames import read_frames, window_frame_indices
from collision.video.index import VideoIndex, index_video
from tests.kit.video import write_video

SIZE = 256
FPS = 30
NUM_FRAMES = 180
REPEATS = 5
OPEN_GOP = {"bf": "2", "x264-params": "open-gop=1:scenecut=0"}

Reader = Callable[[VideoIndex, np.ndarray], np.ndarray]


def main() -> None:
    """Write the videos, time the readers, print a table."""
    with TemporaryDirectory() as folder:
        frames = moving_texture(NUM_FRAMES)
        videos = {
            "h264": write_clip(Path(folder) / "h264.mp4", frames, "h264", {}),
            "h264, open GOP": write_clip(Path(folder) / "open.mp4", frames, "h264", OPEN_GOP),
            "mpeg4": write_clip(Path(folder) / "mpeg4.mp4", frames, "mpeg4", {"bf": "0"}),
        }
        print(f"{NUM_FRAMES} frames of 1280x720 to {SIZE}x{SIZE}; wanted frames/s, one thread\n")
        header = ("video", "wanted", "frames", "reader", "ours", "decord", "PyAV", "ours/decord")
        row = "{:<16}{:<16}{:>8}{:>9}{:>9}{:>9}{:>9}{:>13}"
        print(row.format(*header))
        for name, path in videos.items():
            index = index_video(path)
            for wish, wanted in wishes(index).items():
                rates = frames_per_second(index, wanted)
                ratio = f"{rates[0] / rates[1]:.2f}"
                cells = [f"{rate:.0f}" for rate in rates]
                print(row.format(name, wish, len(wanted), index.reader, *cells, ratio))
            seconds = best_time(lambda path=path: index_video(path))  # type: ignore[misc]
            print(f"{name:<16}indexing took {seconds * 1000:.1f} ms")


def moving_texture(num_frames: int) -> np.ndarray:
    """Paint uint8 [N, 720, 1280, 3]: a camera that pans over a rough surface."""
    coarse = np.random.default_rng(0).integers(0, 256, (200, 400, 3), dtype=np.uint8)
    surface = cv2.resize(coarse, (3200, 1600), interpolation=cv2.INTER_CUBIC)
    views = [surface[2 * n : 2 * n + 720, 5 * n : 5 * n + 1280] for n in range(num_frames)]
    return np.stack(views)


def write_clip(path: Path, frames: np.ndarray, codec: str, options: dict[str, str]) -> Path:
    preset = {"preset": "veryfast"} if codec == "h264" else {}
    return write_video(
        path, frames, FPS, codec=codec, keyframe_every=60, encoder_options=preset | options
    )


def wishes(index: VideoIndex) -> dict[str, np.ndarray]:
    """Which frames to read: all, and what a clip model's windows take near an event."""
    ends = index.frame_times[-1] - np.array([0.5, 1.0, 1.5])
    windows = window_frame_indices(index.frame_times, ends, num_frames=16, fps=8)
    return {"all": np.arange(len(index.frame_times)), "three windows": windows.ravel()}


def frames_per_second(index: VideoIndex, wanted: np.ndarray) -> list[float]:
    """Time ours, decord and PyAV on the same frames."""
    readers: list[Reader] = [read_ours, read_bare_decord, read_bare_pyav]
    best = [np.inf] * len(readers)
    for _ in range(REPEATS):  # in turn, so that a busy moment of the machine hits all alike
        for number, reader in enumerate(readers):
            begin = time.perf_counter()
            reader(index, wanted)
            best[number] = min(best[number], time.perf_counter() - begin)
    return [len(wanted) / seconds for seconds in best]


def best_time(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def read_ours(index: VideoIndex, wanted: np.ndarray) -> np.ndarray:
    return read_frames(index, wanted, SIZE, SIZE)


def read_bare_decord(index: VideoIndex, wanted: np.ndarray) -> np.ndarray:
    reader = decord.VideoReader(str(index.path), width=SIZE, height=SIZE, num_threads=1)
    return reader.get_batch(wanted.tolist()).asnumpy()


def read_bare_pyav(index: VideoIndex, wanted: np.ndarray) -> np.ndarray:
    last = wanted.max()
    chosen = set(wanted.tolist())
    pictures = {}
    with av.open(str(index.path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in chosen:
                frame = frame.reformat(SIZE, SIZE, "rgb24", interpolation="BILINEAR")
                pictures[number] = frame.to_ndarray()
            if number == last:
                break
    return np.stack([pictures[number] for number in wanted.tolist()])


if __name__ == "__main__":
    main()
