"""A clip comes in: counted as it comes, looked at before anybody works on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from collision.serving.probe import Limits, Refused, probe
from collision.types import Seconds

MIB = 2**20
_SILENCE: Seconds = 60.0  # after which a sender counts as gone
_LONGEST_NAME = 120


def shown_name(header: str) -> str:
    """Give a clip's name as it is shown, from its percent-encoded header; it is no path of ours."""
    last = unquote(header).replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in last if letter.isprintable()).strip()
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 8]}…{name[-7:]}"
    return name or "clip"


async def receive(chunks: AsyncIterator[bytes], folder: Path, limits: Limits) -> dict[str, Any]:
    """Write a clip into a folder and look at it; give what ``probe`` found, and its ``path``.

    Refused: it is too large or too long, no video, or of a kind that may not come in.
    """
    part = folder / "coming"
    size = 0
    with part.open("wb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks, b""), _SILENCE)
            except TimeoutError:
                raise Refused(f"Nothing came for {_SILENCE:g} s.") from None
            if not chunk:  # Starlette ends with an empty one
                break
            size += len(chunk)
            if size > limits.max_size:
                raise too_large(limits)
            await asyncio.to_thread(file.write, chunk)
    if not size:
        raise Refused("The file is empty.")
    found = await probe(part)
    limits.check(found)
    path = folder / f"clip.{found['kind']}"  # by its content
    part.rename(path)
    return {**found, "path": path}


def too_large(limits: Limits) -> Refused:
    """Say how much may come in."""
    return Refused(f"It is larger than {limits.max_size / MIB:.0f} MiB, the most that may come in.")
