"""Who works on what, where several processes fill one cache: on one machine, or on many.

    <store>/claims/<part>.json     who has it; touched while that process lives

The videos of a store lie in 4096 parts by their key. A process takes a part before it computes what
is missing in it, and gives it back when that is stored. A part whose owner has not been heard of
for the lease, or has ended on this machine, can be taken by another: should the owner live after
all, what it computes is computed twice, which harms nothing, for a file is replaced whole.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from collision.features.saved import not_written
from collision.files import load_json, locked
from collision.types import Seconds

LEASE: Seconds = 120.0
_PART_DIGITS = 3  # hex: 4096 parts


def part_of(key: str) -> str:
    """Name the part in which a video's key lies."""
    return key[:_PART_DIGITS]


class Claims:
    """This process's parts of one store; while it is entered, others hear that it lives."""

    def __init__(self, folder: Path, lease: Seconds = LEASE):
        """Keep claims in ``folder``, made with the first one."""
        self.folder, self.lease = folder, lease
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"
        self._mine: set[Path] = set()
        self._is_made = False
        self._is_over = threading.Event()
        self._pulse = threading.Thread(target=self._live, daemon=True, name="claims")

    def __enter__(self) -> Self:
        self._pulse.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        for file in list(self._mine):
            self.release(file.stem)
        with suppress(OSError):
            self._own_pulse.unlink()

    def take(self, part: str) -> bool:
        """Take a part, if nobody has it; CollisionError where the folder cannot be written."""
        file = self._file(part)
        if file in self._mine:
            return True
        try:
            if not self._is_made:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._is_made = True
            try:
                with file.open("x") as new:
                    new.write(json.dumps({"owner": self.owner}))
            except FileExistsError:
                if not self._take_over(file):
                    return False
        except OSError as error:
            raise not_written(file, error) from error
        self._mine.add(file)
        return True

    def _take_over(self, file: Path) -> bool:
        """Take a part whose owner is not heard of; one of several that want to succeeds."""
        if self._is_held(file):
            return False
        with locked(self.folder / ".lock"):
            if self._is_held(file):
                return False
            file.write_text(json.dumps({"owner": self.owner}))
        return True

    def release(self, part: str) -> None:
        """Give a part back, unless another has taken it meanwhile."""
        file = self._file(part)
        self._mine.discard(file)
        with suppress(OSError):
            if _owner(file) == self.owner:
                file.unlink()

    def _file(self, part: str) -> Path:
        return self.folder / f"{part}.json"

    @property
    def _own_pulse(self) -> Path:
        return self.folder / f".{self.owner.rpartition(':')[2]}.pulse"

    def _is_held(self, file: Path) -> bool:
        """Whether another process, which is alive as far as one knows, has a part."""
        owner = _owner(file)
        host, _, rest = owner.partition(":")
        if host == socket.gethostname() and not is_running(rest.partition(":")[0]):
            return False
        try:
            since = self._now() - file.stat().st_mtime
        except FileNotFoundError:
            return False
        return since <= self.lease

    def _now(self) -> float:
        """Tell the time by the clock of the disk, as others' signs of life do."""
        self._own_pulse.touch()
        return self._own_pulse.stat().st_mtime

    def _live(self) -> None:
        while not self._is_over.wait(self.lease / 6):
            for file in list(self._mine):
                with suppress(OSError):
                    if _owner(file) == self.owner:
                        os.utime(file)


def _owner(file: Path) -> str:
    """Read who has a part; empty where it is being written, or cannot be read."""
    try:
        content = load_json(file)
    except (OSError, ValueError):
        return ""
    owner = content.get("owner") if isinstance(content, dict) else None
    return owner if isinstance(owner, str) else ""


def is_running(process_id: str) -> bool:
    """Whether a process of this machine lives; where that cannot be told it does."""
    try:
        os.kill(int(process_id), 0)
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except ProcessLookupError:
        return False
    except (OSError, ValueError):  # another user's; no /proc
        return True
    return stat.rpartition(")")[2].split()[:1] != ["Z"]
