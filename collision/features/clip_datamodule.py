"""The LightningDataModule of decoded clips: the way into extraction, usable alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from lightning import LightningDataModule

from collision.devices import num_cores
from collision.features.clips import MAX_PIECE_BYTES, Clip, ClipDataset, IndexVideo, WindowRequest
from collision.features.memory import Place, SharedMemory
from collision.features.workers import WorkerPool
from collision.types import BackboneSpec, Failure, Seconds
from collision.video.index import index_video

# Decoded frames that nobody has taken yet are held in at most so much memory.
_SHARED_BYTES = 4 * MAX_PIECE_BYTES
_POLL: Seconds = 0.25


class ClipLoader:
    """Gives (position of the request, its frames or failure), the first that is ready first."""

    def __init__(self, clips: ClipDataModule):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips.dataset)

    def __iter__(self) -> Iterator[tuple[int, Clip | Failure]]:
        clips = self.clips
        dataset = clips.share_memory()
        number = num_cores() if clips.num_workers is None else clips.num_workers
        pool: WorkerPool[Any] = WorkerPool(dataset, min(number, len(dataset)), clips.timeout)
        pending, places = deque(range(len(dataset))), dict[int, Place]()
        try:
            while (pending or pool.num_begun) and not clips.should_stop():
                while pending and pool.has_room():
                    place = dataset.memory.take(dataset.num_bytes(pending[0]))
                    if place is None:
                        break
                    places[pending[0]] = place
                    pool.begin(pending.popleft(), place)
                for index, result in pool.ready(_POLL):
                    place = places.pop(index)
                    if not isinstance(result, Failure):
                        clip = dataset.seen(result, place)
                        result = replace(clip, frames=clip.frames.copy())
                    dataset.memory.free(place)
                    yield index, result
                    if clips.should_stop():
                        return
        finally:
            pool.close()


class ClipDataModule(LightningDataModule):
    """Clips of video, decoded in worker processes; a batch is one video's windows.

    torch's DataLoader is not used: one worker that dies would end a night's job. ``num_workers`` 0
    decodes in this process, None uses every core; ``should_stop`` is asked between videos,
    ``index`` what a file holds; ``reader`` as of ``collision.video.readers.read_by``.
    """

    def __init__(
        self,
        requests: Sequence[WindowRequest],
        spec: BackboneSpec,
        num_workers: int | None = None,
        timeout: Seconds = 120.0,
        should_stop: Callable[[], bool] = lambda: False,
        index: IndexVideo = index_video,
        reader: str = "pyav",
    ):
        super().__init__()
        self.dataset = ClipDataset(requests, spec, index, reader)
        self.num_workers, self.timeout, self.should_stop = num_workers, timeout, should_stop

    def predict_dataloader(self) -> ClipLoader:
        """Give each request's ``Clip`` (``uint8`` frames and window indices) or ``Failure``."""
        return ClipLoader(self)

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Leave frames in main memory: which of a clip's windows to move, and when, is the model's.

        (Lightning would look into the clip, and refuses to.)
        """
        return batch

    def share_memory(self) -> ClipDataset:
        """Give the data set memory that workers, started after this, write frames into."""
        dataset = self.dataset
        largest = max((dataset.num_bytes(index) for index in range(len(dataset))), default=0)
        dataset.memory = SharedMemory(max(_SHARED_BYTES, largest))
        return dataset
