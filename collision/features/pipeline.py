"""Decoding, copying, embedding and storing side by side.

    workers --shared memory--> batches cut across videos --> the embedder --> the storer

The main thread stands between them: it gives the workers their items, copies windows into batches,
and takes signals. Each stage waits for the next one where that is slower, so memory is bounded, and
cores go where there is work.

Shapes: B windows of a batch, T frames a window, H W image.
"""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from collision.devices import num_cores
from collision.features.batches import BatchCutter, Piece, Target
from collision.features.clips import Clip
from collision.features.embedding import NUM_BUFFERS, Embedded, Embedder
from collision.features.interruption import StopSignals
from collision.features.memory import Place
from collision.features.storing import STORE_EVERY, Stored, Storer
from collision.features.workers import WorkerPool
from collision.types import Backbone, Failure, Seconds

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from collision.features.clip_datamodule import ClipDataModule
    from collision.features.elsewhere import Elsewhere, ElsewherePool
    from collision.features.store import FeatureStore

_POLL: Seconds = 0.25
# Decoded windows that wait are at most so many batches.
_BATCHES_AHEAD = 4
# At first nobody knows what the backbone needs, and it has nothing to do.
_FIRST_WORKERS = 4
# How often it is asked whether another worker would help.
_REVIEW: Seconds = 0.25
# The backbone waits for frames: in more than this part of the time.
_STARVED = 0.1
# Longer than this nobody waits for a thread that is to end.
_FAREWELL: Seconds = 2.0


class Pieces(Protocol):
    """Where the work comes from."""

    @property
    def is_over(self) -> bool:
        """Whether no piece is left to give."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether all that is left is being computed elsewhere."""
        ...

    def take(self) -> Piece | None:
        """Give a piece; None where there is none now."""
        ...


@dataclass(frozen=True)
class Listener:
    """What is told of the work, in the main thread."""

    on_clip: Callable[[Target], None]
    on_stored: Callable[[Stored], None]
    on_failure: Callable[[Piece, str], None]
    on_bottleneck: Callable[[str], None]


class Pipeline:
    """One run over the pieces of an extraction.

    Attributes:
        embedder: Knows how many batches and windows went through, and how long it waited.
        num_workers: Processes that decoded, at the end.
        num_elsewhere: Clips that other nodes decoded.
    """

    def __init__(
        self,
        clips: ClipDataModule,
        backbone: Backbone,
        fabric: Fabric,
        store: FeatureStore,
        batch_size: int,
        listener: Listener,
        stop: StopSignals,
    ):
        """Embed ``clips`` in batches, and keep the features in ``store``."""
        self.clips, self.listener, self.stop = clips, listener, stop
        self.cutter = BatchCutter(backbone.spec, batch_size)
        self.batch_size, self.spec = batch_size, backbone.spec
        self.num_workers = self.num_elsewhere = 0
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self.storer = Storer(
            store,
            backbone.spec,
            lambda stored: self._tell(lambda: listener.on_stored(stored)),
            lambda: self._tell(lambda: None),
        )
        self.embedder = Embedder(
            backbone, fabric, batch_size, self.storer.put, lambda: self._tell(lambda: None)
        )
        self.storer.on_copied(lambda embedded: self._tell(lambda: self._reuse(embedded)))
        self._free = [self._buffer(fabric.device) for _ in range(NUM_BUFFERS)]
        self._buffer_of: dict[int, torch.Tensor] = {}

    def run(
        self, pieces: Pieces, num_workers: int | None, elsewhere: Elsewhere | None = None
    ) -> None:
        """Work on all pieces; ``num_workers`` None: as many as it shows to need.

        What there is ``elsewhere`` decodes, too.

        Returns early where the clips' ``should_stop`` says so: once what is in flight has been
        stored, or what there is of it when the grace of the signal is over.
        """
        dataset = self.clips.share_memory()
        first = min(num_cores(), _FIRST_WORKERS) if num_workers is None else num_workers
        first = min(first, len(dataset))
        here: WorkerPool[Any] = WorkerPool(dataset, first, self.clips.timeout)
        self.pool: WorkerPool[Any] | ElsewherePool
        self.pool = here if elsewhere is None else elsewhere.beside(here, dataset)
        self.most_workers = num_cores() if num_workers is None else first
        self.begun: dict[int, tuple[Piece, Place]] = {}
        self.pieces: Pieces = pieces
        self.next: Piece | None = None
        self.storer.start()
        self.embedder.start()
        try:
            self._work()
        finally:
            self.num_workers = self.num_workers or self.pool.num_workers
            self.num_elsewhere = getattr(self.pool, "num_elsewhere", 0)
            self.pool.close()
            if self.embedder.is_alive():
                self.embedder.abandon()
                self.embedder.join(_FAREWELL)
            self.storer.put(None)
            self.storer.join()
            self._drain()
            for end in (self._wake, self._woken):
                end.close()
        self._check()

    def _work(self) -> None:
        reviewed, waited = time.monotonic(), 0.0
        while not self._is_done():
            if self.clips.should_stop():
                self._finish_what_is_begun()
                return
            self._begin()
            self._cut()
            for index, result in self.pool.ready(_POLL, [self._woken]):
                self._take(index, result)
            self._drain()
            self._check()
            now = time.monotonic()
            if now - reviewed > _REVIEW:
                self._review((self.embedder.waited - waited) / (now - reviewed))
                reviewed, waited = now, self.embedder.waited
        self.embedder.put(None)
        self._wait_for_embedder()

    def _is_done(self) -> bool:
        is_left = self.next is not None or not self.pieces.is_over
        return not (is_left or self.pool.num_begun or self.cutter.num_windows)

    def _finish_what_is_begun(self) -> None:
        self.num_workers = self.pool.num_workers
        self.pool.close()
        self.cutter.drop_untouched()
        while self.cutter.num_windows and not self.stop.is_out_of_time:
            self._cut(is_last=True)
            self._rest()
        self.embedder.put(None)
        self._wait_for_embedder()

    def _wait_for_embedder(self) -> None:
        while self.embedder.is_alive() and not self.stop.is_out_of_time:
            self._rest()

    def _rest(self) -> None:
        list(self.pool.ready(_POLL, [self._woken]))
        self._drain()
        self._check()

    def _begin(self) -> None:
        """Give workers what there is room for."""
        dataset, most = self.clips.dataset, _BATCHES_AHEAD * self.batch_size
        while self.pool.has_room() and self.cutter.num_windows < most:
            self.next = self.next or self.pieces.take()
            if self.next is None:
                return
            place = dataset.memory.take(dataset.num_bytes(self.next.index))
            if place is None:
                return
            self.begun[self.next.index] = self.next, place
            self.pool.begin(self.next.index, place)
            self.next = None

    def _take(self, index: int, result: Clip | tuple[Clip, tuple[int, ...]] | Failure) -> None:
        """Let a decoded clip's windows, or its failure, go on."""
        piece, place = self.begun.pop(index)
        memory = self.clips.dataset.memory
        if isinstance(result, Failure):
            memory.free(place)
            self.listener.on_failure(piece, result.reason)
            return
        clip = self.clips.dataset.seen(result, place)
        targets = [Target(video, clip, len(piece.end_times)) for video in piece.videos]
        for target in targets:
            self.listener.on_clip(target)
            if not target.num_windows:
                self.storer.put(target)
        self.cutter.add(targets, lambda: memory.free(place))

    def _cut(self, *, is_last: bool = False) -> None:
        """Fill free buffers; the rest of a batch waits for more unless none is being decoded.

        Then none will come, or none can before the rest has made room.
        """
        is_last = is_last or not self.pool.num_begun
        while self._free:
            at_least = 1 if is_last else self.batch_size
            batch = self.cutter.cut(self._free[-1], at_least=at_least, older_than=STORE_EVERY / 2)
            if batch is None:
                return
            self._buffer_of[id(batch)] = self._free.pop()
            self.embedder.put(batch)

    def _review(self, starved: float) -> None:
        """Add workers while the backbone waits for frames; tell what the rest waits for."""
        is_starved = starved > _STARVED
        slowest = "storing" if self.storer.is_behind else "decoding" if is_starved else "backbone"
        self.listener.on_bottleneck("another process" if self.pieces.is_waiting else slowest)
        is_left = self.next is not None or not self.pieces.is_over
        if is_starved and is_left and not self.pool.num_idle:
            count = min(self.pool.num_workers, self.most_workers - self.pool.num_workers)
            for _ in range(count):
                self.pool.add()

    def _buffer(self, device: torch.device) -> torch.Tensor:
        spec = self.spec
        size = self.batch_size * spec.num_frames * spec.height * spec.width * 3
        return torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")

    def _reuse(self, embedded: Embedded) -> None:
        self._free.append(self._buffer_of.pop(id(embedded.batch)))

    def _tell(self, event: Callable[[], None]) -> None:
        """Let the main thread do something; called by the others."""
        self._events.put(event)
        with suppress(OSError):  # it has been woken often enough, or is gone
            self._wake.send(b"x")

    def _drain(self) -> None:
        """Do what the other threads asked for."""
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with suppress(queue.Empty):
            while True:
                self._events.get_nowait()()

    def _check(self) -> None:
        """Raise what ended another thread."""
        for thread in (self.embedder, self.storer):
            if thread.error is not None:
                raise thread.error
