"""The LightningDataModule of decoded clips: the way into extraction, usable alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lightning import LightningDataModule

from collision.features.clips import Clip, ClipDataset, IndexVideo, WindowRequest
from collision.features.workers import decode_all
from collision.types import BackboneSpec, Failure, Seconds
from collision.video.index import index_video


class ClipLoader:
    """Gives (position of the request, its frames or failure), the first that is ready first."""

    def __init__(self, clips: ClipDataModule):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips.dataset)

    def __iter__(self) -> Iterator[tuple[int, Clip | Failure]]:
        clips = self.clips
        return decode_all(clips.dataset, clips.num_workers, clips.timeout, clips.should_stop)


class ClipDataModule(LightningDataModule):
    """Clips of video, decoded in worker processes; a batch is one video's windows.

    torch's DataLoader is not used: one worker that dies would end a night's job. ``num_workers`` 0
    decodes in this process; ``should_stop`` is asked between videos, ``index`` what a file holds;
    ``reader`` as of ``collision.video.readers.read_by``.
    """

    def __init__(
        self,
        requests: Sequence[WindowRequest],
        spec: BackboneSpec,
        num_workers: int = 1,
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
