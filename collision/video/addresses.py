"""Which names mean a stream, that is read as it comes and not as a file."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

PIPE = "-"
SCHEMES = ("rtsp", "rtsps", "udp", "tcp")


def is_live(name: str) -> bool:
    """Say whether it is standard input, an address of ``SCHEMES``, a camera or a named pipe."""
    if name == PIPE or scheme_of(name) in SCHEMES:
        return True
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def scheme_of(name: str) -> str:
    """Give what stands before ``://``; nothing where that does not."""
    scheme, sign, _ = name.partition("://")
    return scheme.lower() if sign else ""


def shown(name: str) -> str:
    """Give a name as it may be printed: without the password in an address."""
    if not scheme_of(name):
        return "standard input" if name == PIPE else name
    parts = urlsplit(name)
    if "@" not in parts.netloc:
        return name
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"***@{host}"))
