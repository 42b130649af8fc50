"""What is done to the bytes of a finished file of the zoo."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.kit.video import set_display_matrix, truncate, truncate_media, zero_media

# The part of a file that is kept by `cut`, and the part that `blank` overwrites.
KEPT = 0.6
BLANKED = (0.45, 0.5)
_START = b"\0\0\1"
_RATE = b"\0\1\0\0"


def spoil(data: bytes) -> bytes:
    """Overwrite the second half of a coded frame; no byte is 0, so no start code comes about."""
    half = len(data) // 2
    noise = np.random.default_rng(0).integers(1, 256, len(data) - half, dtype=np.uint8)
    return data[:half] + noise.tobytes()


def cut(path: Path) -> None:
    """Keep the first part."""
    has_index = b"moov" in path.read_bytes() and b"moof" not in path.read_bytes()
    (truncate_media if has_index else truncate)(path, path, KEPT)


def blank(path: Path) -> None:
    """Fill a part with zeros: a download that never came."""
    data = bytearray(path.read_bytes())
    if b"mdat" in data and b"moof" not in data:
        zero_media(path, path, *BLANKED)
        return
    first, last = (int(len(data) * part) for part in BLANKED)
    data[first:last] = bytes(last - first)
    path.write_bytes(data)


def display_matrix(quarters: int, is_mirrored: bool) -> tuple[int, int, int, int]:
    """Mirror left to right, then turn counterclockwise: a, b, c, d of `set_display_matrix`."""
    a, b, c, d = [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)][quarters]
    if is_mirrored:
        a, b = -a, -b
    return a, b, c, d


def turn(path: Path, quarters: int, is_mirrored: bool) -> None:
    """Write a display matrix into an mp4."""
    set_display_matrix(path, path, display_matrix(quarters, is_mirrored))


def hide_first_second(path: Path) -> None:
    """Move the start of an mp4's edit list, as cutting without encoding does."""
    data = bytearray(path.read_bytes())
    timescale = _number(data, data.index(b"mdhd") + 16)
    movie_scale = _number(data, data.index(b"mvhd") + 16)
    entry = data.index(b"elst") + 12
    assert _number(data, entry - 4) == 1, "the edit list has one part"
    for place, change in ((entry, -movie_scale), (entry + 4, timescale)):
        data[place : place + 4] = (_number(data, place) + change).to_bytes(4, "big")
    path.write_bytes(data)


def turn_inside(frame: bytes, quarters: int, is_mirrored: bool) -> bytes:
    """Put a message (SEI: display orientation) before the slices of a frame of H.264."""
    bits = f"0{is_mirrored:b}0{quarters * 0x4000:016b}01001"  # of these the last is for padding
    payload = int(bits, 2).to_bytes(3, "big")
    start_codes = (place for place in range(len(frame)) if frame[place : place + 3] == _START)
    slices = next(place for place in start_codes if frame[place + 3] & 31 in (1, 5))
    return frame[:slices] + _START + b"\x06\x2f\x03" + payload + b"\x80" + frame[slices:]


def leave_out_middle(path: Path, begin: Fraction, end: Fraction) -> None:
    """Have an mp4's edit list show what lies before ``begin`` and, at once, what lies from ``end``.

    Its index lies behind the media data, so that it can grow.
    """
    data = bytearray(path.read_bytes())
    assert data.index(b"moov") > data.index(b"mdat")
    timescale = _number(data, data.index(b"mdhd") + 16)
    movie_scale = _number(data, data.index(b"mvhd") + 16)
    entry = data.index(b"elst") + 12
    length, start = _number(data, entry), _number(data, entry + 4)
    first = (int(begin * movie_scale), start)
    second = (length - int(end * movie_scale), start + int(end * timescale))
    parts = b"".join(
        n.to_bytes(4, "big") + t.to_bytes(4, "big") + _RATE for n, t in (first, second)
    )
    data[entry - 4 : entry + 12] = (2).to_bytes(4, "big") + parts
    for box in (b"moov", b"trak", b"edts", b"elst"):
        place = data.index(box) - 4
        data[place : place + 4] = (_number(data, place) + 12).to_bytes(4, "big")
    path.write_bytes(data)


def call_all_keys(path: Path) -> None:
    """Take away an mp4's list of key frames, which says that each frame is one."""
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))


def _number(data: bytearray, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")
