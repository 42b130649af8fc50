"""How fast `read_frames` is beside bare decord and bare PyAV: `python -m benchmarks.decode`.

All three read the same files in turn, on one thread, at the size of a backbone's input, several
times; the best time of each counts. The ratio is what to compare between machines. Ours is that of
PyAV, which looks for damage, and, where it gives the right frames, that of `reader=decord`, which
lets PyAV look for it. What bare decord gives of MPEG-TS and of open GOPs are not the frames that
were asked for.

Then ten minutes of the same packets in other containers, and of HEVC: what the look at a file
takes, and one frame near its end.
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
from collision.video.readers import read_by
from tests.kit.video import numbered_frames, write_video

SIZE = 256
FPS = 30
NUM_FRAMES = 180
REPEATS = 5
OPEN_GOP = {"bf": "2", "x264-params": "open-gop=1:scenecut=0"}
PRESETS = {
    "h264": {"preset": "veryfast"},
    "hevc": {"preset": "ultrafast", "x265-params": "log-level=error"},
    "mpeg4": {"bf": "0"},
}
LONG = 18_000  # frames: ten minutes

Reader = Callable[[VideoIndex, np.ndarray], np.ndarray]


def main() -> None:
    """Write the videos, time the readers, print two tables."""
    with TemporaryDirectory() as folder:
        short(Path(folder))
        long(Path(folder))


def short(folder: Path) -> None:
    """Six seconds of 1280x720 by all readers."""
    frames = moving_texture(NUM_FRAMES)
    videos = {
        "h264 mp4": write_clip(folder / "h264.mp4", frames, "h264"),
        "h264 mp4, open GOP": write_clip(folder / "open.mp4", frames, "h264", OPEN_GOP),
        "h264 ts": write_clip(folder / "h264.ts", frames, "h264"),
        "h264 mkv": write_clip(folder / "h264.mkv", frames, "h264"),
        "hevc mp4": write_clip(folder / "hevc.mp4", frames, "hevc"),
        "mpeg4 mp4": write_clip(folder / "mpeg4.mp4", frames, "mpeg4"),
    }
    print(f"{NUM_FRAMES} frames of 1280x720 to {SIZE}x{SIZE}, one thread; frames/s of those wanted")
    print("(three windows of 16 frames: milliseconds a window, too)\n")
    header = ("video", "wanted", "ours", "by decord", "decord", "PyAV", "ours/decord", "ours/PyAV")
    row = "{:<20}{:<15}{:>15}{:>15}{:>15}{:>15}{:>13}{:>11}"
    print(row.format(*header))
    for name, path in videos.items():
        index = index_video(path)
        for wish, wanted in wishes(index).items():
            rates = frames_per_second(index, wanted)
            cells = [f"{rate:.0f}" for rate in rates]
            if wish != "all":
                cells = [f"{rate:.0f} ({16e3 / rate:.0f} ms)" for rate in rates]
            if index.not_by_decord:
                cells[1] = "-"
            ratios = [f"{rates[0] / rate:.2f}" for rate in rates[2:]]
            print(row.format(name, wish, *cells, *ratios), flush=True)


def long(folder: Path) -> None:
    """Ten minutes of small pictures: the look at the file, and a frame near its end."""
    print(f"\n{LONG} frames of 320x180, a key frame every second\n")
    header = ("video", "look", "of mp4's", "frame near the end", "of mp4's")
    row = "{:<20}{:>10}{:>10}{:>20}{:>10}"
    print(row.format(*header))
    minute = numbered_frames(60, 180, 320)[np.arange(60 * FPS) % 60]
    firsts: list[float] = []
    for codec, suffix in (("h264", "mp4"), ("h264", "ts"), ("h264", "mkv"), ("hevc", "mp4")):
        part = folder / f"minute_{codec}.mp4"
        write_video(
            part, minute, FPS, codec=codec, keyframe_every=FPS, encoder_options=PRESETS[codec]
        )
        path = repeated(part, folder / f"long_{codec}.{suffix}", LONG // len(minute))
        look = best_time(lambda path=path: index_video(path))  # type: ignore[misc]
        index = index_video(path)
        assert len(index.frame_times) == LONG, len(index.frame_times)
        wanted = np.array([LONG - 7])
        seek = best_time(lambda index=index, wanted=wanted: read_ours(index, wanted))  # type: ignore[misc]
        firsts = firsts or [look, seek]
        ratios = [f"{look / firsts[0]:.2f}", f"{seek / firsts[1]:.2f}"]
        times = f"{look:.2f} s", ratios[0], f"{seek * 1000:.0f} ms", ratios[1]
        print(row.format(f"{codec} {suffix}", *times), flush=True)


def repeated(part: Path, target: Path, times: int) -> Path:
    """Write a file's packets again and again, one time behind the other."""
    with av.open(str(target), "w") as output:
        stream, begin = None, 0
        for _ in range(times):
            with av.open(str(part)) as given:
                source = given.streams.video[0]
                stream = stream or output.add_stream_from_template(source)
                packets = [packet for packet in given.demux(source) if packet.size]
                first = min(packet.dts for packet in packets)
                step = packets[1].dts - packets[0].dts
                for packet in packets:
                    packet.dts += begin - first
                    packet.pts += begin - first
                    packet.stream = stream
                    output.mux(packet)
                begin += step * len(packets)
    return target


def moving_texture(num_frames: int) -> np.ndarray:
    """Paint uint8 [N, 720, 1280, 3]: a camera that pans over a rough surface."""
    coarse = np.random.default_rng(0).integers(0, 256, (200, 400, 3), dtype=np.uint8)
    surface = cv2.resize(coarse, (3200, 1600), interpolation=cv2.INTER_CUBIC)
    views = [surface[2 * n : 2 * n + 720, 5 * n : 5 * n + 1280] for n in range(num_frames)]
    return np.stack(views)


def write_clip(
    path: Path, frames: np.ndarray, codec: str, more: dict[str, str] | None = None
) -> Path:
    options = PRESETS[codec] | (more or {})
    return write_video(path, frames, FPS, codec=codec, keyframe_every=60, encoder_options=options)


def wishes(index: VideoIndex) -> dict[str, np.ndarray]:
    """Which frames to read: all, and what a clip model's windows take near an event."""
    ends = index.frame_times[-1] - np.array([0.5, 1.0, 1.5])
    windows = window_frame_indices(index.frame_times, ends, num_frames=16, fps=8)
    return {"all": np.arange(len(index.frame_times)), "three windows": windows.ravel()}


def frames_per_second(index: VideoIndex, wanted: np.ndarray) -> list[float]:
    """Time ours, ours by decord, decord and PyAV on the same frames."""
    readers: list[Reader] = [read_ours, read_by_decord, read_bare_decord, read_bare_pyav]
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


def read_by_decord(index: VideoIndex, wanted: np.ndarray) -> np.ndarray:
    return read_ours(read_by("decord", index, wanted), wanted)


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
