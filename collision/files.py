"""Files that are whole or not there: every file that this software writes goes through here."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes | str) -> None:
    """Put content under a name at once: readers see the old file or the new one, never half of it.

    Text is UTF-8; bytes of file names that are none survive.

    Raises:
        OSError: The disk is full or not writable; the old file stays.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole; NaN and infinity are refused, since other programs cannot read them."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")
