"""From a warm cache to the first batch: time, memory, and how fast batches are gathered.

    python -m benchmarks.first_batch [--videos 20000] [--windows 7] [--steps 8] [--dim 1024]

It makes a cache of random float16 features in a temporary folder (2.3 GB by default, twice that
while it is packed), one file a video, then packs it. A fresh process each, whose pages are warm,
goes from the records of the videos to the first batch: the moments are listed, every window is
looked up in the cache, the features of training (nine videos of ten) and validation are read, the
classes are counted, and the loader gives its first batch. Left out are imports, and the look at
video files, which do not exist here: ``train`` also asks for the digest of each. Memory is the peak
of the process above what it had after the imports.

The rate of batches stands beside a bare ``torch.index_select`` of the same bytes, in turn in one
process; that of the cast to float32, which the head does on its device, beside both.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.kit import Target, print_profile, print_targets
from collision.devices import memory_kept
from collision.features.fingerprint import Fingerprint
from collision.features.packed import pack_store
from collision.features.saved import pack
from collision.features.store import FeatureStore
from collision.learning.datamodule import FeatureDataset, feature_dataset
from collision.learning.feature_datamodule import FeatureDataModule
from collision.learning.fit import check_trainable
from collision.sampling.index import index_records
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import needed_windows
from collision.types import BackboneSpec, VideoRecord

STRIDE = 0.25
MOST_SECONDS, MOST_MEMORY, LEAST_OF_BARE = 10, 1.2, 0.8


@dataclass(frozen=True)
class Size:
    """Of the cache: videos, windows of each (6 or more), and the shape of a window."""

    videos: int
    windows: int
    steps: int
    dim: int

    @property
    def policy(self) -> SamplingPolicy:
        """Cuts of training that need so many windows."""
        return SamplingPolicy(train_range=(STRIDE, STRIDE * self.windows), hard_negatives=0)

    @property
    def bytes(self) -> int:
        """Of the features."""
        return self.videos * self.windows * self.steps * self.dim * 2

    def records(self) -> list[VideoRecord]:
        """Half of them positives; the event of each at another time."""
        return [
            VideoRecord(
                id=f"{number:032x}",
                path=Path(f"{number}.mp4"),
                label=number % 2,
                split="val" if number % 20 >= 18 else "train",
                group=f"drive {number}",
                **{"event_time" if number % 2 else "mock_event_time": 10 + number % 97 / 10},
            )
            for number in range(self.videos)
        ]


def spec_of(size: Size) -> BackboneSpec:
    return BackboneSpec(
        name="random",
        implementation="benchmark",
        num_frames=16,
        fps=8.0,
        height=224,
        width=224,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        num_steps=size.steps,
        feature_dim=size.dim,
    )


def make_cache(folder: Path, size: Size) -> FeatureStore:
    """Write one file a video, as a store would, without waiting for the disk."""
    fields = {**spec_of(size).as_dict(), "weights_digest": "0", "precision": "32-true", "schema": 1}
    store = FeatureStore(folder, Fingerprint(fields))
    with store.changing():  # makes the manifest
        pass
    shape = (size.windows, size.steps, size.dim)
    pool = np.random.default_rng(0).normal(size=(17, *shape)).astype(np.float16)
    for number, record in enumerate(size.records()):
        anchor = record.event_time or record.mock_event_time or 0.0
        ends = np.round(anchor - STRIDE * np.arange(size.windows, 0, -1), 6)
        arrays = {
            "features": pool[number % len(pool)],
            "end_times": ends,
            "unavailable": np.zeros(0),
        }
        about = {"fingerprint": store.fingerprint.key, "digest": record.id, "video": record.id}
        path = store.files.place(record.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack(arrays, {**about, "reader": "1"}))
    return store


def load(folder: Path, size: Size) -> dict[str, FeatureDataset]:
    """List the moments, look every window up, read the features of both splits, count classes."""
    store, policy, records = FeatureStore.open(folder), size.policy, size.records()
    index = index_records("random", records, policy)
    everything = [example for members in index.examples.values() for example in members]
    num_missing = 0
    for (video, view), ends in needed_windows(everything, policy, store.spec).items():
        key = video + view.suffix
        num_missing += len(store.missing(key, ends, store.reader(key)))
    assert not num_missing, num_missing
    digest_of = {record.id: record.id for record in records}
    about = index.records, store, digest_of, policy
    data = {split: feature_dataset(some, *about) for split, some in index.examples.items()}
    check_trainable(data)
    return data


def peak() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def first_batch(folder: Path, size: Size, batch_size: int) -> None:
    """Print what the way to the first batch took, as JSON."""
    before, begin, cpu = peak(), time.perf_counter(), time.process_time()
    data = load(folder, size)
    module = FeatureDataModule(data["train"], data["val"], batch_size, 10, seed=0)
    batch = next(iter(module.train_dataloader()))
    assert len(batch["label"]) == batch_size
    taken = {"seconds": time.perf_counter() - begin, "processor": time.process_time() - cpu}
    num_bytes = sum(part.bank.nbytes for part in data.values())
    print(json.dumps({**taken, "memory": (peak() - before) / num_bytes, "bytes": num_bytes}))


def in_a_fresh_process(folder: Path, size: Size, batch_size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.first_batch", "--child", str(folder)]
    command += [f"--{name}={value}" for name, value in asdict(size).items()]
    command += [f"--batch={batch_size}"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def gathering(data: FeatureDataset, batch_size: int, repeats: int) -> dict[str, np.ndarray]:
    """Seconds a batch, run by run: of the loader, of the bare gathering, and with the cast."""
    module = FeatureDataModule(data, data, batch_size, 64, seed=0)
    loader = module.train_dataloader()
    rows = data.window_index.flatten()
    order = rows[torch.randperm(len(rows))].split(batch_size)[: len(loader)]

    def bare() -> None:
        for chosen in order:
            data.bank.index_select(0, chosen)

    def cast() -> None:
        for chosen in order:
            data.bank.index_select(0, chosen).float()

    def batches() -> None:
        for _ in loader:
            pass

    with memory_kept():  # as training does
        found = in_turn({"batches": batches, "bare": bare, "cast": cast}, repeats)
    if np.median(found["bare"] / found["batches"]) < LEAST_OF_BARE:
        print_profile("batches of one pass", batches)
    return {name: times / len(loader) for name, times in found.items()}


def in_turn(ways: dict[str, Callable[[], None]], repeats: int) -> dict[str, np.ndarray]:
    """Give the seconds of each, run by run; the first of each is a warm-up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if repeat:
                found[name].append(time.perf_counter() - begin)
    return {name: np.array(times) for name, times in found.items()}


def measure(size: Size, batch_size: int, repeats: int) -> list[Target]:
    """Measure and print all of it; give the ratios that have a target."""
    targets = []
    gigabytes = size.bytes / 1e9
    print(f"{size.videos} videos x {size.windows} x [{size.steps}, {size.dim}]: {gigabytes:.2f} GB")
    print(f"{torch.get_num_threads()} threads; medians of {repeats}")
    print(f"{'cache':<18} {'seconds':>8} {'processor s':>12} {'peak memory / features':>23}")
    with tempfile.TemporaryDirectory() as folder:
        store = make_cache(Path(folder), size)
        for name in ("one file a video", "packed"):
            if name == "packed":
                begin = time.perf_counter()
                pack_store(store)
                print(f"{'(packing)':<18} {time.perf_counter() - begin:>8.2f}")
            runs = [in_a_fresh_process(store.folder, size, batch_size) for _ in range(repeats + 1)][
                1:
            ]  # the first warms the pages
            middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            print(
                f"{name:<18} {middle['seconds']:>8.2f} {middle['processor']:>12.2f} "
                f"{middle['memory']:>23.2f}"
            )
            seconds, memory = (np.array([run[k] for run in runs]) for k in ("seconds", "memory"))
            targets.append(Target(f"{name}: seconds", seconds, most=MOST_SECONDS))
            targets.append(Target(f"{name}: memory / features", memory, most=MOST_MEMORY))
        found = gathering(load(store.folder, size)["train"], batch_size, repeats)
    print(f"\nbatches of {batch_size}      ms")
    for name, times in found.items():
        print(f"{name:<12} {1000 * np.median(times):>8.2f}")
    ratios = found["bare"] / found["batches"]
    return [*targets, Target("batches: bare gathering / ours", ratios, least=LEAST_OF_BARE)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Size(20_000, 7, 8, 1024)).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = Size(options.videos, options.windows, options.steps, options.dim)
    if options.child:
        first_batch(options.child, size, options.batch)
    else:
        print_targets(measure(size, options.batch, options.repeats))


if __name__ == "__main__":
    main()
