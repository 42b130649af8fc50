"""What the bits of H.264 say: units, recovery points, and whether a picture is missing.

Sections, tables and names are those of ITU-T H.264.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from av.video.stream import VideoStream

_SLICES, IDR, _SEI, _SPS = (1, 2, 5), 5, 6, 7
_RECOVERY_POINT = 6
# Profiles whose sequence parameter sets tell of chroma and scaling (7.3.2.1.1).
_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
_HEAD = 24  # bytes of a slice in which its frame_num lies


def length_size(stream: VideoStream) -> int:
    """Give the bytes of each unit's length in H.264 and HEVC; 0 where start codes part them."""
    data = stream.codec_context.extradata or b""
    if not data or data[0] != 1:
        return 0
    if stream.codec_context.codec.canonical_name == "hevc":
        return (data[21] & 3) + 1 if len(data) > 21 else 0
    return (data[4] & 3) + 1 if len(data) > 4 else 0


def nal_units(data: bytes, length: int) -> Iterator[bytes]:
    """Take the units of a packet apart; each starts with its header."""
    if length:
        place = 0
        while place + length < len(data):
            size = int.from_bytes(data[place : place + length], "big")
            place += length
            yield data[place : place + size] or b"\0"
            place += size
        return
    for unit in data.split(b"\0\0\1")[1:]:
        if unit:
            yield unit


class _Bits:
    """Reads numbers off bytes; ValueError beyond their end."""

    def __init__(self, data: bytes):
        self.value, self.left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise ValueError("the bits end here")
        return self.value >> self.left & (1 << count) - 1

    def golomb(self) -> int:
        """Read an Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


class PictureCount:
    """Follows ``frame_num``, by which pictures that others refer to are counted (7.4.3)."""

    def __init__(self, extradata: bytes, length: int):
        """``length`` as ``length_size`` gives it."""
        self._length = length
        self._bits: int | None = None  # of frame_num; None where it does not tell
        self._last: int | None = None
        self._has_planes = False
        self._learn(_parameter_sets(extradata) if length else nal_units(extradata, 0))

    def follow(self, data: memoryview) -> tuple[bool, bool]:
        """Take the next packet: do others refer to it, and is one before it missing?"""
        head = self._first_slice(data)
        if not head:
            return True, False
        is_reference, is_gap = head[0] & 0x60 > 0, False
        if head[0] & 31 == IDR:
            self._last = 0
        elif self._bits is not None:
            number = self._frame_num(head)
            if number is not None and self._last is not None:
                # 0 and 1 may also follow a picture that starts the count anew (operation 5).
                skips = (number - self._last) % (1 << self._bits) > 1
                is_gap = skips and number > 1
            if is_reference:
                self._last = number
        return is_reference, is_gap

    def _first_slice(self, data: memoryview) -> bytes:
        length = self._length
        if length and len(data) > length and data[length] & 31 in _SLICES:
            return bytes(data[length : length + _HEAD])  # most packets begin with it
        for unit in nal_units(bytes(data[:4096]), length):
            if unit[0] & 31 == _SPS:
                self._learn([unit])
            if unit[0] & 31 in _SLICES:
                return unit[:_HEAD]
        return b""

    def _frame_num(self, head: bytes) -> int | None:
        bits = _Bits(_unescaped(head[1:]))
        try:
            for _ in range(3):  # first macroblock, type of slice, picture parameter set
                bits.golomb()
            bits.take(2 * self._has_planes)
            return bits.take(self._bits or 0)
        except ValueError:
            return None

    def _learn(self, units: Iterable[bytes]) -> None:
        """Read how frame_num is written; where sets differ, or gaps are meant, it tells nothing."""
        known = set()
        for unit in units:
            if unit[0] & 31 == _SPS:
                try:
                    known.add(_frame_num_format(_Bits(_unescaped(unit[1:]))))
                except ValueError:
                    known.add((None, False))
        if known:
            self._bits, self._has_planes = known.pop() if len(known) == 1 else (None, False)


def _frame_num_format(bits: _Bits) -> tuple[int | None, bool]:
    """Read a sequence parameter set: bits of frame_num, and whether slices name a colour plane."""
    profile, _, _ = bits.take(8), bits.take(16), bits.golomb()
    has_planes = False
    if profile in _HIGH:
        chroma = bits.golomb()
        has_planes = chroma == 3 and bool(bits.take(1))
        bits.golomb(), bits.golomb(), bits.take(1)  # depths of luma and chroma, bypass
        if bits.take(1):
            for number in range(12 if chroma == 3 else 8):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    count = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1), bits.signed(), bits.signed()
        for _ in range(bits.golomb()):
            bits.signed()
    bits.golomb()  # reference frames
    gaps_are_meant = bool(bits.take(1))
    return None if gaps_are_meant else count, has_planes


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size if bits.take(1) else 0):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _parameter_sets(extradata: bytes) -> Iterator[bytes]:
    """Take the sequence parameter sets of an mp4's or Matroska's header (ISO 14496-15)."""
    place = 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        size = int.from_bytes(extradata[place : place + 2], "big")
        yield extradata[place + 2 : place + 2 + size] or b"\0"
        place += 2 + size


def _unescaped(data: bytes) -> bytes:
    """Take out the bytes that keep start codes from appearing (7.4.1)."""
    return data.replace(b"\0\0\3", b"\0\0")


def recovery_counts(unit: bytes) -> Iterator[int]:
    """Give ``recovery_frame_cnt`` of the recovery points in an SEI unit of H.264 (D.1.8)."""
    if unit[0] & 31 != _SEI:
        return
    data, place = _unescaped(unit[1:]), 0
    while place + 2 < len(data):
        kind, place = _sei_number(data, place)
        size, place = _sei_number(data, place)
        if kind == _RECOVERY_POINT:
            yield _Bits(data[place : place + size]).golomb()
        place += size


def _sei_number(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    while place < len(data):
        value += data[place]
        place += 1
        if data[place - 1] != 255:
            break
    return value, place
