"""Is a file a video that may come in? ``python -m collision.serving.probe FILE`` says it as JSON.

In a process of its own: the file is a stranger's, and no decoder is above crashing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import collision
from collision.errors import VideoDecodeError
from collision.types import Seconds

_PATIENCE: Seconds = 60.0
_MOST_PIXELS = 8192 * 4320  # of a picture; a small file can hold one that fills the memory


class Refused(Exception):
    """A sentence that says why a file may not come in."""


@dataclass(frozen=True)
class Limits:
    """What may come in.

    Attributes:
        max_size: Bytes.
        max_length: Seconds of video.
        types: Containers, as ``collision.video.streams`` names them.
    """

    max_size: int
    max_length: Seconds
    types: tuple[str, ...]

    def check(self, found: dict[str, Any]) -> None:
        """Refused: what was found in a file is not allowed."""
        if found["kind"] not in self.types:
            raise Refused(f"It is a video in {found['kind']}; {', '.join(self.types)} may come in.")
        if found["duration"] > self.max_length:
            raise Refused(
                f"It is {found['duration']:.0f} s long; at most {self.max_length:g} s may come in."
            )
        if found["pixels"] > _MOST_PIXELS:
            raise Refused(
                f"Its pictures have {found['pixels']} pixels; {_MOST_PIXELS} may come in."
            )


async def probe(path: Path) -> dict[str, Any]:
    """Give a file's ``kind`` (container), ``duration`` in seconds, and ``pixels`` of a picture.

    Refused: it is no video, or a damaged one.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(collision.__file__).parents[1],  # where `-m` finds us
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        raise Refused(f"Looking at it took longer than {_PATIENCE:g} s.") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    try:
        found = json.loads(said)
    except ValueError:
        raise Refused("Looking at it made a decoder crash: it is damaged.") from None
    if "refused" in found:
        raise Refused(found["refused"])
    assert isinstance(found, dict)
    return found


def facts(path: Path) -> dict[str, Any]:
    """Look at a file, in this process; what is wrong with it stands under ``refused``."""
    from collision.video.index import index_video
    from collision.video.streams import CONTAINERS, open_video

    try:
        with open_video(path) as (container, stream):
            kind = CONTAINERS[container.format.name]
            pixels = stream.codec_context.width * stream.codec_context.height
        if pixels > _MOST_PIXELS:  # told without decoding one
            return {"kind": kind, "duration": 0.0, "pixels": pixels}
        return {"kind": kind, "duration": float(index_video(path).duration), "pixels": pixels}
    except VideoDecodeError as error:
        return {"refused": f"It cannot be read: {error.reason}."}


if __name__ == "__main__":
    print(json.dumps(facts(Path(sys.argv[1]))))
