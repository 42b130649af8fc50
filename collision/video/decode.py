"""Decodes chosen frames of a file with PyAV, from the entry before each on, and refuses damage.

A frame is good only if everything it was decoded from is good. FFmpeg flags the frame whose data
are damaged, not those that refer to it: all that follow, up to the next clean entry, count as
damaged, too. What FFmpeg cannot know, nobody is told: see docs/videos.md.

Shapes: M frames wanted, N frames of a file.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from collision.errors import VideoDecodeError
from collision.video.index import CodedFrames, VideoIndex
from collision.video.packets import Entry
from collision.video.streams import CONTAINERS, open_video

# What damage shows in is read before these steps of decoding, which cost half of the time.
_ONLY_CHECK = {"skip_idct": "all", "skip_loop_filter": "all"}

# To go on decoding is cheaper than to seek over fewer packets than this.
_WORTH_SEEKING = 8


def decoded_frames(
    index: VideoIndex, wanted: np.ndarray, *, only_check: bool = False
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode frames [M] (increasing numbers), and give each with its place among them.

    With ``only_check`` their pictures are of no use, and damage is found in half of the time.

    VideoDecodeError: one does not decode, is damaged, or was decoded from one that is.
    """
    assert index.coded is not None, index.path
    places = {int(rank): place for place, rank in enumerate(wanted)}
    with open_video(index.path, index.video_stream) as (container, stream):
        if only_check:
            stream.codec_context.options = _ONLY_CHECK
        for entry, ranks in _runs(index.coded, list(places)):
            decoder = _Decoder(index, container, stream, entry)
            for rank, frame in decoder.frames(ranks):
                yield places[rank], frame


def _runs(coded: CodedFrames, wanted: list[int]) -> Iterator[tuple[Entry, list[int]]]:
    """Group the ranks that are decoded in one go, with the entry from which each goes."""
    good_from = np.array([entry.good_from for entry in coded.entries])
    run: list[int] = []
    start = coded.entries[0]
    for rank in wanted:
        entry = coded.entries[int(np.flatnonzero(good_from <= rank)[-1]) if coded.number_at else 0]
        # Of what comes before a refresh is over, nothing comes out that could be seen as damaged.
        seen = np.flatnonzero(good_from <= coded.ranks[entry.number])
        entry = coded.entries[int(seen[-1])] if len(seen) else entry
        reached = coded.number_of[run[-1]] if run else -_WORTH_SEEKING
        far = entry.number > reached + _WORTH_SEEKING and coded.number_at
        if not run or far:
            if run:
                yield start, run
            start, run = entry, []
        run.append(rank)
    yield start, run


class _Decoder:
    """Decodes a file from an entry on."""

    def __init__(
        self, index: VideoIndex, container: InputContainer, stream: VideoStream, entry: Entry
    ):
        assert index.coded is not None
        self.index, self.coded = index, index.coded
        self.container, self.stream, self.entry = container, stream, entry
        self.damaged: list[int] = [*self.coded.gaps]  # packets

    def frames(self, ranks: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Give the frames of some ranks once nothing that they were decoded from is left to come.

        A frame refers to others that are stored before it, and these may be shown after it.
        """
        wanted, waiting = set(ranks), deque[tuple[int, av.VideoFrame]]()
        reached = self.entry.good_from - 1
        for rank, frame in self._all_frames():
            if rank < self.entry.good_from:
                if frame.is_corrupt:  # what an entry only lacks does not come at all
                    self.damaged.append(int(self.coded.number_of[rank]))
                continue
            self._note_damage(rank, frame, reached)
            reached = rank
            if rank in wanted:
                waiting.append((rank, frame))
            while waiting and self._is_settled(waiting[0][0], reached):
                yield self._sound(*waiting.popleft(), wanted)
            if not wanted:
                return
        while waiting:
            yield self._sound(*waiting.popleft(), wanted)
        if wanted:
            time = self.index.frame_times[min(wanted)]
            raise VideoDecodeError(self.index.path, f"the frame at {time:.3f} s does not decode")

    def _note_damage(self, rank: int, frame: av.VideoFrame, before: int) -> None:
        if rank <= before:
            times = self.index.frame_times
            wrong = f"{times[rank]:.3f} s follows {times[before]:.3f} s"
            raise VideoDecodeError(self.index.path, f"its frame times are wrong: {wrong}")
        is_avi = CONTAINERS[self.container.format.name] == "avi"  # whose order may be wrong
        if self.index.codec == "h264" and not is_avi:  # what did not come was damaged
            self.damaged += self.coded.number_of[before + 1 : rank].tolist()
        if frame.is_corrupt:
            self.damaged.append(int(self.coded.number_of[rank]))

    def _is_settled(self, rank: int, reached: int) -> bool:
        return bool(self.coded.needed[self.coded.number_of[rank]] <= reached)

    def _sound(
        self, rank: int, frame: av.VideoFrame, wanted: set[int]
    ) -> tuple[int, av.VideoFrame]:
        number = self.coded.number_of[rank]
        whole = (e.number for e in self.coded.entries if e.good_from <= rank and e.number <= number)
        begin = max(whole, default=0)
        if any(begin <= damaged <= number for damaged in self.damaged):
            time = self.index.frame_times[rank]
            why = "it, or one that it builds on, holds damaged data"
            raise VideoDecodeError(self.index.path, f"the frame at {time:.3f} s is damaged: {why}")
        wanted.discard(rank)
        return rank, frame

    def _all_frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode from the entry on; frames come with their rank, hidden ones are left out."""
        coded = self.coded
        for number, packet in self._packets():
            if number is not None:
                # The decoder hands on what it takes for a time: here, which frame it is.
                packet.pts = int(coded.ranks[number]) if coded.ranks[number] >= 0 else None
                packet.dts = None
            for frame in packet.decode():
                if frame.pts is not None and isinstance(frame, av.VideoFrame):
                    yield frame.pts, frame

    def _packets(self) -> Iterator[tuple[int | None, av.Packet]]:
        """Read from the entry on; the packet that flushes the decoder has no number."""
        number_at, count = self.coded.number_at, len(self.coded.ranks)
        if number_at:
            self._seek()
        numbers = itertools.count()
        for packet in self.container.demux(self.stream):
            if not packet.size:
                yield None, packet
                continue
            counted = next(numbers)
            number = number_at.get(packet.pos or 0) if number_at else counted
            is_late = counted == 0 and (number is None or number > self.entry.number)
            if is_late or number is None or number >= count:
                raise VideoDecodeError(self.index.path, "its frames are not found where they were")
            if number >= self.entry.number:
                yield number, packet

    def _seek(self) -> None:
        """Go to the entry, or before it; a container without a table is searched by bytes."""
        number = self.entry.number
        if CONTAINERS[self.container.format.name] in ("ts", "mpg"):
            self.container.seek(int(self.coded.places[number]), unsupported_byte_offset=True)
        elif number:
            self.container.seek(int(self.coded.clock[number]), stream=self.stream)
