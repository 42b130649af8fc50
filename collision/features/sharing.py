"""The work on one cache, shared with whoever else works on it: part by part, as it gets done."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from collision.features.batches import Piece
from collision.features.claims import Claims, part_of
from collision.features.missing import WantedVideo
from collision.features.store import FeatureStore
from collision.types import Seconds

# How often it is asked whether parts that others have are done.
_ASK_EVERY: Seconds = 1.0


class SharedPieces:
    """Pieces of work, each of a part that nobody else has taken.

    What others computed since it was looked up is left out, and told to ``on_found``.
    """

    def __init__(
        self,
        pieces: Iterable[Piece],
        claims: Claims,
        store: FeatureStore,
        on_found: Callable[[Piece], None],
    ):
        """Begin anywhere, so that several processes seldom want the same part."""
        self.claims, self.store, self.on_found = claims, store, on_found
        parts: dict[str, list[Piece]] = {}
        for piece in pieces:
            parts.setdefault(part_of(piece.videos[0].digest), []).append(piece)
        names = sorted(parts)
        begin = int(claims.owner[-4:], 16) * len(names) >> 16
        self._parts = {name: parts[name] for name in [*names[begin:], *names[:begin]]}
        self._ready: deque[Piece] = deque()
        self._left: Counter[str] = Counter()
        self._ask_at = 0.0

    @property
    def is_over(self) -> bool:
        """Whether no piece is left to give."""
        return not self._parts and not self._ready

    @property
    def is_waiting(self) -> bool:
        """Whether all that is left is being computed by others."""
        return not self._ready and bool(self._parts) and not self._left

    def take(self) -> Piece | None:
        """Give a piece; None where there is none now."""
        if not self._ready and time.monotonic() >= self._ask_at:
            self._claim()
        return self._ready.popleft() if self._ready else None

    def done(self, video: WantedVideo) -> None:
        """Count what of a piece was for one video as stored, or as failed."""
        part = part_of(video.digest)
        self._left[part] -= 1
        if not self._left[part]:
            del self._left[part]
            self.claims.release(part)

    def _claim(self) -> None:
        for part in list(self._parts):
            if not self.claims.take(part):
                continue
            for piece in self._parts.pop(part):
                if self._is_stored(piece):
                    self.on_found(piece)
                else:
                    self._ready.append(piece)
                    self._left[part] += len(piece.videos)
            if self._ready:
                return
            self.claims.release(part)
        self._ask_at = time.monotonic() + _ASK_EVERY

    def _is_stored(self, piece: Piece) -> bool:
        return not any(
            len(self.store.missing(video.digest, piece.end_times, video.revision))
            for video in piece.videos
        )
