"""What many videos cost beside decoding and the backbone: python -m benchmarks.scale

Tiny copies of one clip that differ in a comment are indexed, looked up, extracted with a backbone
that does nothing, and looked up again; near-duplicates are looked for among made-up pictures. Each
stage runs in a process of its own; its processor time and what memory it adds are told, as a table
and, with --output, a picture. What grows faster than the number of videos bends upwards.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import nn

from collision.audit.duplicates import near_duplicates
from collision.audit.facts import DurationCache
from collision.features.clips import WindowRequest
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.missing import look_up
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.option_groups import ExtractionOptions
from collision.sampling.durations import Durations
from collision.types import BackboneSpec
from tests.kit.audit import made_up_facts, made_up_record

SIZES = (6_250, 25_000, 100_000)
END_TIMES = np.array([0.5, 0.75])
_MARK = b"the number is 000000000"
_A_FOLDER = 1000  # videos


class Nothing(nn.Module):
    """A backbone that takes no time."""

    spec = BackboneSpec(
        name="nothing",
        implementation="benchmark 1",
        num_frames=2,
        fps=10.0,
        height=32,
        width=32,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        num_steps=1,
        feature_dim=8,
        dtype="float16",
    )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(frames), 1, 8)


def make_videos(folder: Path, count: int) -> None:
    """Write one clip of a second, then others with another number in its comment."""
    first = folder / "first.mp4"
    with av.open(str(first), "w") as container:
        container.metadata["comment"] = _MARK.decode()
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for number in range(10):
            picture = np.full((32, 32, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    content = first.read_bytes()
    assert content.count(_MARK) == 1
    first.unlink()
    for number in range(count):
        path = path_of(folder, number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.replace(_MARK, _MARK[:-9] + b"%09d" % number))


def path_of(folder: Path, number: int) -> Path:
    return folder / f"{number // _A_FOLDER:04d}" / f"{number:06d}.mp4"


def source_of(folder: Path) -> FeatureSource:
    store = FeatureStore(folder / "cache", fingerprint(Nothing()))
    digests = VideoDigests(folder / "cache" / "videos.json")
    return FeatureSource(store, digests, part=None, _backbone=Nothing())  # type: ignore[arg-type]


def requests_of(folder: Path, count: int) -> list[WindowRequest]:
    return [WindowRequest(f"v{n}", path_of(folder, n), END_TIMES) for n in range(count)]


def index(folder: Path, count: int) -> Callable[[], None]:
    """Digest, look and duration of every file, as a data set is indexed."""
    records = [made_up_record(n, n % 2, path=path_of(folder, n)) for n in range(count)]

    def work() -> None:
        durations = Durations(DurationCache(folder / "cache", source_of(folder).digests))
        found, failures = durations(records)
        assert len(found) == count and not failures

    return work


def looking_up(is_done: bool) -> Callable[[Path, int], Callable[[], None]]:
    """Find what is missing: everything, or nothing."""

    def prepare(folder: Path, count: int) -> Callable[[], None]:
        requests = requests_of(folder, count)

        def work() -> None:
            source = source_of(folder)
            videos, failures = look_up(requests, source.store, source.looks)
            missing = sum(len(video.missing) for video in videos)
            assert not failures and missing == (0 if is_done else 2 * count), missing

        return work

    return prepare


def extract(folder: Path, count: int) -> Callable[[], None]:
    """Decode and store two windows of every file."""
    import collision.features.extract  # noqa: F401 - Lightning takes seconds, whatever the number

    requests = requests_of(folder, count)

    def work() -> None:
        options = ExtractionOptions(num_workers=2, accelerator="cpu")
        report = source_of(folder).extract(requests, options, progress=False)
        assert report.num_windows == 2 * count and not report.failures, report.num_windows

    return work


def duplicates(folder: Path, count: int) -> Callable[[], None]:
    """Find the few videos that show the same as another one."""
    records = [made_up_record(n, 0) for n in range(count)]
    base = made_up_facts(0)
    pictures = np.random.default_rng(0).integers(0, 2**64, (count, 12), dtype=np.uint64)
    pictures[1::1000] = pictures[0::1000][: len(pictures[1::1000])]
    facts = {
        record.id: type(base)(**{**vars(base), "hashes": own})
        for record, own in zip(records, pictures, strict=True)
    }

    def work() -> None:
        pairs = near_duplicates(records, facts, {record.id: record.id for record in records})
        assert len(pairs) == len(pictures[1::1000]), len(pairs)

    return work


STAGES: dict[str, Callable[[Path, int], Callable[[], None]]] = {
    "index": index,
    "look up": looking_up(is_done=False),
    "extract": extract,
    "look up again": looking_up(is_done=True),
    "near-duplicates": duplicates,
}


def measure(stage: str, folder: Path, count: int) -> dict[str, float]:
    """Run a stage here: seconds of the clock and of processors, and MB beyond what was used."""
    work = STAGES[stage](folder, count)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of importing and preparing
    before, began, started = _used(), _memory("VmRSS"), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    more = max(0.0, _memory("VmHWM") - began)
    return {"seconds": seconds, "processor": _used() - before, "MB": more}


def _used() -> float:
    """Seconds of processors, in Python and C, of this process and those it waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, whose))


def _memory(what: str) -> float:
    """MB of this process by Linux: VmRSS, what it has now; VmHWM, the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1000


def measured_apart(stage: str, folder: Path, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", "--stage", stage, "--folder", str(folder)]
    done = subprocess.run([*command, "--sizes", str(count)], check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Say it by stage and size; the last column is 1 for what grows as the number of videos does.

    That is how often the processor time of a video among the most is that among the fewest.
    """
    lines = ["| stage | videos | s | processor s | ms a video | MB more | against fewest |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for stage, by_size in results.items():
        first = next(iter(by_size))
        for count, found in by_size.items():
            each = found["processor"] / count
            growth = each / (by_size[first]["processor"] / first)
            cells = (f"{found['seconds']:.1f}", f"{found['processor']:.1f}", f"{1000 * each:.2f}")
            numbers = " | ".join((*cells, f"{found['MB']:.0f}", f"{growth:.2f}"))
            lines.append(f"| {stage} | {count:,} | {numbers} |")
    return "\n".join(lines)


def draw(results: dict[str, dict[int, dict[str, float]]], file: Path) -> None:
    from matplotlib.ticker import LogLocator

    from collision.report.plots import MUTED, styled_figure

    counts = np.array(list(next(iter(results.values()))), float)
    with styled_figure(file, 10, 4) as figure:
        axes = figure.subplots(1, 2)
        for axis, name, label in zip(
            axes, ("processor", "MB"), ("processor time [s]", "memory added [MB]"), strict=True
        ):
            for stage, by_size in results.items():
                values = [max(found[name], 0.1) for found in by_size.values()]  # 0 has no logarithm
                axis.loglog(list(by_size), values, marker="o", label=stage)
            most = max(max(found[name] for found in by.values()) for by in results.values())
            axis.loglog(counts, most * counts / counts[-1], ":", color=MUTED, label="in proportion")
            axis.set(xlabel="videos", title=label)
            axis.set_xticks(counts, [f"{count:,.0f}" for count in counts])
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:,g}")
            axis.minorticks_off()
        axes[0].legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--output", type=Path, help="a folder for scale.md and scale.png")
    parser.add_argument(
        "--folder", type=Path, help="where videos and cache are made; a scratch disk"
    )
    parser.add_argument(
        "--stage", choices=STAGES, help="of one size, whose videos are made already"
    )
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(measure(options.stage, options.folder, options.sizes[0])))
        return
    results: dict[str, dict[int, dict[str, Any]]] = {stage: {} for stage in STAGES}
    for count in sorted(options.sizes):
        folder = Path(tempfile.mkdtemp(prefix="scale", dir=options.folder))
        try:
            make_videos(folder, count)
            for stage, by_size in results.items():
                by_size[count] = measured_apart(stage, folder, count)
                print(f"{count:>8,} {stage:<16} {by_size[count]}", file=sys.stderr, flush=True)
        finally:
            shutil.rmtree(folder)
    text = table(results)
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "scale.md").write_text(text + "\n")
        draw(results, options.output / "scale.png")


if __name__ == "__main__":
    main()
