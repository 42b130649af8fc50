"""Extraction on a cluster of Ray: backbones wherever GPUs are, on nodes that come and go.

    this process: the list of videos --chunks--> an actor a GPU: today's extraction of a chunk
    nodes without a GPU --decoded frames--> the actors

An actor decodes on the cores of its node, and on those of nodes without a GPU, and stores what it
computes, in the cache that all nodes see under one path. Of a node that is lost, the chunk goes to
another actor: what was stored counts. Where no node has a GPU, each has one actor.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collision.errors import CollisionError, ConfigError
from collision.features.clips import WindowRequest
from collision.features.digest import VideoDigests
from collision.features.elsewhere import Elsewhere
from collision.features.extract import ExtractionReport, extract
from collision.features.interruption import StopSignals
from collision.features.progress import ExtractionProgress
from collision.features.source import FeatureSource
from collision.types import Failure, Seconds

if TYPE_CHECKING:
    from collision.option_groups import ExtractionOptions

_FIRST = 8  # files of an actor's first chunk: its rate is not known
_CHUNK: Seconds = 60.0  # later ones take so long: little is lost with a node, and little waited
_POLL: Seconds = 1.0
_MOST_LOSSES = 3  # actors that one chunk may cost

_HOW = (
    "Start one by `ray start --head`, name another's (ray.address=HOST:PORT), or ray.address=local."
)


@contextmanager
def connected(address: str) -> Iterator[bool]:
    """Join a cluster, or start one here (``local``); gives whether one of its nodes has a GPU.

    ConfigError: Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "engine=ray, but Ray is not installed. Run: pip install 'dashcam-collision[cluster]'"
        ) from None
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"ray.address={address}: there is no such cluster. {_HOW}") from error
    try:
        yield ray.cluster_resources().get("GPU", 0) > 0
    finally:
        ray.shutdown()


def extract_on_cluster(
    source: FeatureSource, requests: Sequence[WindowRequest], options: ExtractionOptions
) -> ExtractionReport:
    """As ``extract``, on all nodes of the cluster that this process has joined.

    Raises:
        CollisionError: A node does not see the cache, or as an actor's extraction.
    """
    started = time.monotonic()
    with source.store.changing():
        pass  # the folder is there, and may be written to
    with StopSignals() as stop, ExtractionProgress(True) as display:
        report = _Driver(source, requests, options, display).run(stop)
        report.signal, report.seconds = stop.signal, time.monotonic() - started
    return report


class _Actor:
    """The extraction of a node's share: chunk by chunk, with the backbone built once."""

    def __init__(
        self,
        source: FeatureSource,
        options: ExtractionOptions,
        num_threads: int,
        elsewhere: Elsewhere | None,
    ):
        import torch

        torch.set_num_threads(num_threads)
        self.source, self.options = replace(source, elsewhere=elsewhere), options

    def sees(self, token: Path) -> bool:
        """Whether a file of the driver's is there."""
        return token.exists()

    def work(self, requests: Sequence[WindowRequest]) -> ExtractionReport | str:
        """Extract a chunk; what a user can mend comes back as its sentence."""
        try:
            return extract(self.source, requests, self.options, is_task=True, progress=False)
        except CollisionError as error:
            return str(error)


@dataclass(eq=False)
class _Chunk:
    """Files that are given out at once, with all that is wanted of each."""

    files: list[list[WindowRequest]]
    num_lost: int = 0
    since: Seconds = field(default_factory=time.monotonic)

    @property
    def requests(self) -> list[WindowRequest]:
        return [request for file in self.files for request in file]


@dataclass(eq=False)
class _Worker:
    """An actor of a node, its answer to come, and how many files it does in a second."""

    handle: Any
    answer: Any
    chunk: _Chunk | None = None
    rate: float = 0.0


class _Driver:
    """Holds the list; gives chunks to actors, and those of lost ones to others."""

    def __init__(
        self,
        source: FeatureSource,
        requests: Sequence[WindowRequest],
        options: ExtractionOptions,
        display: ExtractionProgress,
    ):
        import ray

        self.ray, self.display = ray, display
        files: dict[Path, list[WindowRequest]] = {}
        for request in requests:
            path = request.path.absolute()
            files.setdefault(path, []).append(replace(request, path=path))
        self.left = list(files.values())[::-1]
        self.again: list[_Chunk] = []
        self.reports: list[ExtractionReport] = []
        self.workers: dict[tuple[str, int], _Worker] = {}
        steps = {str(path): len(some) for path, some in files.items()}
        display.start("Extracting", steps, sum(len(r.end_times) for r in requests), "windows")
        root = source.store.folder.absolute().parent
        source = replace(source, digests=VideoDigests(root / "videos.json"))
        source.store.folder = source.store.folder.absolute()
        self.made_of = ray.put(source), options

    def run(self, stop: StopSignals) -> ExtractionReport:
        """Work until all is done, or a signal comes: what is in flight then is not kept."""
        folder = self.ray.get(self.made_of[0]).store.folder
        self.token = folder / f".seen-{secrets.token_hex(8)}"
        self.token.touch()
        try:
            while not stop.is_requested() and (self.left or self.again or self._is_busy()):
                self._meet_nodes()
                answers = {worker.answer: place for place, worker in self.workers.items()}
                waiting = list(answers)
                if not waiting:
                    time.sleep(_POLL)
                    continue
                for answer in self.ray.wait(waiting, timeout=_POLL)[0]:
                    self._take(answers[answer], answer)
        finally:
            self.token.unlink(missing_ok=True)
            for worker in self.workers.values():
                self.ray.kill(worker.handle)
        return ExtractionReport.of_all(self.reports or [ExtractionReport()])

    def _is_busy(self) -> bool:
        return any(worker.chunk is not None for worker in self.workers.values())

    def _meet_nodes(self) -> None:
        """Start an actor wherever there is room for one."""
        nodes = {node["NodeID"]: node for node in self.ray.nodes() if node["Alive"]}
        num_gpus = sum(int(node["Resources"].get("GPU", 0)) for node in nodes.values())
        has_gpu = num_gpus > 0
        for name, node in nodes.items():
            count = int(node["Resources"].get("GPU", 0)) if has_gpu else 1
            for number in range(count):
                if (name, number) not in self.workers and (self.left or self.again):
                    self.workers[name, number] = self._start(name, node, num_gpus)

    def _start(self, name: str, node: dict[str, Any], num_gpus: int) -> _Worker:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        cores = int(node["Resources"].get("CPU", 1)) or 1
        threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or cores
        there = NodeAffinitySchedulingStrategy(name, soft=False)
        kind = self.ray.remote(_Actor).options(
            num_gpus=int(num_gpus > 0), num_cpus=0, scheduling_strategy=there
        )
        elsewhere = Elsewhere(num_gpus) if num_gpus else None
        handle: Any = kind.remote(*self.made_of, threads, elsewhere)
        return _Worker(handle, handle.sees.remote(self.token))

    def _take(self, place: tuple[str, int], answer: Any) -> None:
        """Take an actor's answer and give it more; where it is lost, keep its chunk."""
        worker = self.workers[place]
        try:
            found = self.ray.get(answer)
        except self.ray.exceptions.RayError as error:
            self._lose(place, error)
            return
        if isinstance(found, str):
            raise CollisionError(found)
        if found is False:
            raise CollisionError(
                f"Node {place[0]} does not see the cache {str(self.token.parent)!r}. With "
                "engine=ray the cache and the videos lie under one path on all nodes: give "
                "cache_root= and data_root= on a disk that they share."
            )
        if worker.chunk is not None:
            self.reports.append(found)
            worker.rate = len(worker.chunk.files) / max(1e-3, time.monotonic() - worker.chunk.since)
            self._advance(worker.chunk)
        worker.chunk = self._next(worker.rate)
        if worker.chunk is None:
            self.ray.kill(worker.handle)
            del self.workers[place]
        else:
            worker.chunk.since = time.monotonic()
            worker.answer = worker.handle.work.remote(worker.chunk.requests)

    def _next(self, rate: float) -> _Chunk | None:
        if self.again:
            return self.again.pop()
        most = max(1, len(self.left) // (2 * len(self.workers)))
        count = min(most, int(rate * _CHUNK) if rate else _FIRST)
        files = [self.left.pop() for _ in range(min(len(self.left), max(1, count)))]
        return _Chunk(files) if files else None

    def _lose(self, place: tuple[str, int], error: Exception) -> None:
        """Give the chunk of a lost actor to another; one that costs several has failed."""
        chunk = self.workers.pop(place).chunk
        if chunk is None:
            return
        chunk.num_lost += 1
        if chunk.num_lost < _MOST_LOSSES:
            self.again.append(chunk)
            return
        reason = (
            f"the process that computed it died {chunk.num_lost} times ({type(error).__name__})"
        )
        failures = {r.video: Failure(r.video, r.path, reason) for r in chunk.requests}
        self.reports.append(ExtractionReport(failures=list(failures.values())))
        self._advance(chunk)

    def _advance(self, chunk: _Chunk) -> None:
        for request in chunk.requests:
            self.display.advance(str(request.path), len(request.end_times))
