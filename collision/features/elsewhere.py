"""Decoding on nodes of a cluster of Ray that have no GPU, for an actor that has one.

    the pipeline --items--> this machine's processes
                        \\--> tasks on CPU nodes --frames through Ray's object store--> here

Frames come into the same shared memory as those of this machine's processes, in places that were
taken before a task began: memory is bounded as without. What a node gives up, for whatever reason,
is decoded here again: a lost node costs its tasks, and a failure is told as it always was.

Shapes: M distinct frames of a clip, H W image.
"""

from __future__ import annotations

import math
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from collision.features.clips import Clip, ClipDataset, IndexVideo, WindowRequest
from collision.features.memory import Place
from collision.features.workers import WorkerPool
from collision.types import BackboneSpec, Failure, Seconds

_AHEAD = 2  # tasks that a core has at once: the next one's frames need not be waited for
_LOOK: Seconds = 2.0  # how often the nodes are looked at
_POLL: Seconds = 0.1
_MOST_LOST = 3  # tasks in a row that a node may give up before it is asked no more


@dataclass(frozen=True)
class Elsewhere:
    """The CPU nodes, of which this actor has its share: one by the number of actors."""

    num_actors: int

    def beside(self, local: WorkerPool[Any], dataset: ClipDataset) -> ElsewherePool:
        """Let them decode beside the processes of this machine."""
        return ElsewherePool(local, dataset, self.num_actors)


def decode_there(
    request: WindowRequest, spec: BackboneSpec, reader: str, index: IndexVideo, timeout: Seconds
) -> Clip | Failure:
    """Decode a request, in a process of Ray's that dies if it hangs."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        return ClipDataset([request], spec, index, reader)[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass(frozen=True)
class _Task:
    """An item that a node decodes into a place."""

    index: int
    place: Place
    node: str
    since: Seconds = field(default_factory=time.monotonic)


@dataclass
class _Nodes:
    """CPU nodes that are there, with how many tasks each may have; and who gives up too often."""

    ray: Any
    num_actors: int
    room: dict[str, int] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    seen: Seconds = -math.inf

    def look(self) -> None:
        """Look who is there, now and then."""
        if time.monotonic() - self.seen < _LOOK:
            return
        self.seen = time.monotonic()
        self.room = {
            node["NodeID"]: math.ceil(_AHEAD * int(cores) / self.num_actors)
            for node in self.ray.nodes()
            if node["Alive"]
            and not node["Resources"].get("GPU", 0)
            and (cores := node["Resources"].get("CPU", 0)) >= 1
        }

    def with_room(self, begun: Counter[str]) -> str | None:
        """Give the node with the most room."""
        self.look()
        room = {
            name: most - begun[name]
            for name, most in self.room.items()
            if self.lost[name] < _MOST_LOST
        }
        name = max(room, key=lambda one: room[one], default=None)
        return name if name is not None and room[name] > 0 else None


class ElsewherePool:
    """A ``WorkerPool`` that also has tasks on CPU nodes.

    Attributes:
        num_elsewhere: Items that were decoded there.
    """

    def __init__(self, local: WorkerPool[Any], dataset: ClipDataset, num_actors: int):
        """Decode items of ``dataset`` here, by ``local``, and there."""
        import ray

        self.ray, self.local, self.dataset = ray, local, dataset
        self.num_elsewhere = 0
        self._nodes = _Nodes(ray, num_actors)
        self._index = ray.put(dataset.index)  # it may have remembered much
        self._task = ray.remote(decode_there)
        self._begun: dict[Any, _Task] = {}
        self._lock = threading.Lock()
        self._done: deque[tuple[_Task, tuple[Clip, tuple[int, ...]] | None]] = deque()
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._is_closed = threading.Event()
        self._receiver = threading.Thread(target=self._receive, daemon=True, name="receiver")
        self._receiver.start()

    @property
    def num_workers(self) -> int:
        """How many processes there are on this machine."""
        return self.local.num_workers

    @property
    def num_begun(self) -> int:
        """How many items have been begun and not given."""
        with self._lock:
            return self.local.num_begun + len(self._begun) + len(self._done)

    @property
    def num_idle(self) -> int:
        """How many processes of this machine have nothing to do."""
        return self.local.num_idle

    def add(self) -> None:
        """Start one more process here."""
        self.local.add()

    def has_room(self) -> bool:
        """Whether an item can begin without waiting long."""
        return self.local.has_room() or self._node() is not None

    def begin(self, index: int, place: Place | None = None) -> None:
        """Let an idle process here begin an item, else a node with room, else the least busy."""
        node = None if self.local.num_idle or place is None else self._node()
        if node is None or place is None:
            self.local.begin(index, place)
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        task = self._task.options(num_cpus=1, max_retries=0, scheduling_strategy=there)
        data = self.dataset
        what = data.requests[index], data.spec, data.reader, self._index
        asked = task.remote(*what, self.local.timeout)
        with self._lock:
            self._begun[asked] = _Task(index, place, node)

    def ready(self, patience: Seconds, others: Sequence[Any] = ()) -> Iterator[tuple[int, Any]]:
        """Give what is ready, as (index, result), from here and there; wait for it so long."""
        if self._is_closed.is_set():
            yield from self.local.ready(patience, others)
            return
        yield from self.local.ready(0 if self._done else patience, [*others, self._woken])
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        while self._done:
            with self._lock:
                task, found = self._done.popleft()
            if found is None:
                self._nodes.lost[task.node] += 1
                self.local.begin(task.index, task.place)
            else:
                self._nodes.lost[task.node] = 0
                self.num_elsewhere += 1
                yield task.index, found

    def close(self) -> None:
        """End all processes here, and forget the tasks there."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        self._receiver.join()
        for asked in self._begun:
            self.ray.cancel(asked, force=True)
        self._begun.clear()
        self._done.clear()
        for end in (self._wake, self._woken):
            end.close()
        self.local.close()

    def _node(self) -> str | None:
        with self._lock:
            begun = Counter(task.node for task in self._begun.values())
        return self._nodes.with_room(begun)

    def _receive(self) -> None:
        """Take frames that come, in a thread: copying them holds nobody up."""
        while not self._is_closed.is_set():
            with self._lock:
                asked = list(self._begun)
            if not asked:
                self._is_closed.wait(_POLL / 10)
                continue
            came = set(self.ray.wait(asked, timeout=_POLL)[0])
            for one in asked:
                task = self._begun[one]
                if one in came:
                    found = self._take(one, task.place)
                elif time.monotonic() - task.since > _AHEAD * self.local.timeout:
                    found = None  # the node's cores are busy with the work of others
                    self.ray.cancel(one, force=True)
                else:
                    continue
                with self._lock:
                    del self._begun[one]
                    self._done.append((task, found))
                with suppress(OSError):  # it has been woken often enough
                    self._wake.send(b"x")

    def _take(self, asked: Any, place: Place) -> tuple[Clip, tuple[int, ...]] | None:
        """Copy frames into their place; None where there are none, and it is to be done here."""
        try:
            clip = self.ray.get(asked)
        except self.ray.exceptions.RayError:
            return None
        if isinstance(clip, Failure):
            return None
        shape = clip.frames.shape
        self.dataset.memory.view(place, shape)[:] = clip.frames
        windows = clip.windows.copy()  # Ray's are for reading, and would keep its memory
        frames = np.zeros((0, *shape[1:]), np.uint8)
        return replace(clip, frames=frames, windows=windows), shape
