"""The zoo: kinds of video files that people have, each small, with painted frame numbers.

A kind is a codec in a container, with a kind of GOP, a clock, a turn, a damage and something more.
It says what is right for its file. Kinds are combined here, written by ``zoo_files``, and held
against FFmpeg and against our reader by ``zoo_check``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from tests.kit import zoo_files
from tests.kit.zoo_files import FPS, SKIPPED

NUM_FRAMES = 60
_WRAP = Fraction(2**33, 90_000)  # the clock of MPEG files has 33 bits
_TIMELESS = "MPEG program streams with H.264 carry no times of B frames"
# What FFmpeg's decoders neither refuse nor flag.
_HIDES = "FFmpeg hides damaged slices of HEVC without a flag"
_NO_CHECK = "each bit string is a valid frame of VP8 and VP9, which carry no check sums"
_NO_COUNT = "the codec's frames carry no number, so none is missed"
_SILENT = {
    **{("hevc", damage): _HIDES for damage in ("key", "inner")},
    **{(codec, damage): _NO_CHECK for codec in ("vp8", "vp9") for damage in ("key", "inner")},
    **{(codec, "missing"): _NO_COUNT for codec in ("mpeg4", "vp8", "vp9", "av1")},
    **{(codec, "missing"): _NO_COUNT for codec in ("mpeg1video", "mpeg2video")},
}


@dataclass(frozen=True)
class Kind:
    """A kind of file, and what is right for it.

    Attributes:
        clock: ``zero``; ``late``; ``variable`` rate; ``hole`` of 2 s; ``negative`` first times;
            ``edit`` list that hides the first second, or shows two ``parts``; 33-bit ``wrap``; two
            files ``joined`` byte by byte, or ``spliced``: marked where the clock starts again.
        turn: Quarter turns counterclockwise (in an mp4's or Matroska track's header, in MPEG-TS in
            H.264 itself), with an ``m`` if the picture is
            mirrored (left to right) before.
        damage: ``key`` or ``inner``: half of the bytes of one frame are noise; ``missing`` or
            ``missingkey``: one frame is left out; ``cut``: the end; ``zeros``: a part.
        extra: ``rear`` camera as second stream; ``sound`` or ``subtitles`` that outlast the
            picture; ``10bit``, ``full`` range, ``444`` or (in 10 bit) ``422``
            chroma; ``live`` Matroska without an
            index; an mp4 that calls ``allkeys``, all of its frames, key frames.
    """

    codec: str
    container: str
    gop: str = "closed"
    clock: str = "zero"
    turn: str = ""
    damage: str = ""
    extra: str = ""

    @property
    def name(self) -> str:
        clock = "" if self.clock == "zero" else self.clock
        turn = f"turn{self.turn}" if self.turn else ""
        parts = (self.codec, self.container, self.gop, clock, turn, self.damage, self.extra)
        return "-".join(filter(None, parts))

    def write(self, folder: Path) -> Path:
        suffix = "mp4" if self.container == "fmp4" else self.container
        return zoo_files.write(self, folder / f"{self.name}.{suffix}")

    @property
    def whole(self) -> Kind:
        """The same file without its damage."""
        return replace(self, damage="")

    @property
    def time_base(self) -> Fraction:
        return Fraction(1, 1000 if self.clock == "variable" else FPS)

    @cached_property
    def raw_times(self) -> list[Fraction]:
        """The frames' times as they are given to the encoder (of joined files: of each part)."""
        steps = [Fraction(number, FPS) for number in range(NUM_FRAMES)]
        if self.clock in ("joined", "spliced"):
            return steps[: NUM_FRAMES // 2]
        if self.clock == "variable":
            gaps = [Fraction(20 + 7 * number % 61, 1000) for number in range(NUM_FRAMES)]
            return [sum(gaps[:number], Fraction(0)) for number in range(NUM_FRAMES)]
        if self.clock == "hole":
            return [time + 2 * (time >= 1) for time in steps]
        start = {
            "negative": Fraction(-10, FPS),
            # An MPEG file starts at 1.4 s because its muxer waits.
            "late": Fraction(0 if self.container == "ts" else 60),
            "wrap": Fraction(int((_WRAP - 1) * FPS), FPS),
        }.get(self.clock, Fraction(0))
        return [start + time for time in steps]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The painted numbers in the order in which a player shows them."""
        hidden = {"negative": 10, "edit": FPS}.get(self.clock, 0)
        numbers = list(range(hidden, NUM_FRAMES))
        if self.clock == "parts":
            begin, end = SKIPPED
            numbers = [n for n in numbers if not begin <= Fraction(n, FPS) < end]
        if self.damage.startswith("missing"):
            numbers.remove(self.damaged_frame)
        return tuple(numbers)

    @property
    def times(self) -> list[float]:
        """When they are shown, in seconds since the first of them."""
        times = self.raw_times
        if self.clock in ("joined", "spliced"):
            times = [*times, *(time + Fraction(len(times), FPS) for time in times)]
        times = [times[number] - times[self.numbers[0]] for number in self.numbers]
        if self.clock == "parts":
            begin, end = SKIPPED
            times = [time if time < begin else time - (end - begin) for time in times]
        return [float(time) for time in times]

    @property
    def orientation(self) -> tuple[int, bool]:
        """What is shown: the painted picture, mirrored or not, then turned so many quarters."""
        return int(self.turn.rstrip("m") or 0), self.turn.endswith("m")

    @property
    def damaged_frame(self) -> int:
        """A frame that others refer to: a key frame, or one behind it."""
        return 27 if self.damage in ("inner", "missing") else 24

    @property
    def damaged(self) -> frozenset[int]:
        """The numbers that must not be handed out: those that hang on the damaged frame.

        Of a file that is cut or has a hole of zeros, any picture that is not as it was.
        """
        first, end = self.damaged_frame, 36  # the next key frame
        if self.damage not in ("key", "inner", "missing", "missingkey"):
            return frozenset()
        if self.gop == "intra":
            end = first + 1
        elif self.gop == "long":
            end = NUM_FRAMES
        elif self.gop == "refresh":
            end = 40  # a wave of refreshes begins at 36; then all of the picture is new
        # B frames are stored behind the frame that is shown after them.
        if (self.gop in ("closed", "sliced") and first == 27) or self.gop == "open":
            first -= 2
        return frozenset(range(first, end)) & frozenset(self.numbers)

    @property
    def cannot_tell(self) -> str:
        """Why no reader can know of the damage; empty if it has to be told."""
        if self.damage in ("key", "inner", "missing"):
            return _SILENT.get((self.codec, self.damage), "")
        return ""

    @property
    def may_be_refused(self) -> str:
        """Why our reader may refuse the file with a sentence; empty if it has to read it."""
        if self.container == "mpg" and self.codec == "h264":
            return _TIMELESS
        return ""


def _each(codecs: str, containers: str, gops: str = "closed", **more: str) -> list[Kind]:
    kinds = [
        Kind(codec, container, gop, **more)
        for codec in codecs.split()
        for container in containers.split()
        for gop in gops.split()
    ]
    # A codec is left out of the GOPs that its encoder cannot make.
    return [kind for kind in kinds if kind.codec in zoo_files.GOPS[kind.gop]]


CONTAINERS = {  # what each codec is written into
    **dict.fromkeys(("h264", "hevc"), "mp4 mov fmp4 mkv ts"),
    "mpeg4": "mp4 mov mkv ts",
    **dict.fromkeys(("mpeg1video", "mpeg2video"), "mp4 mkv ts mpg"),
}
TURNS = ("1", "2", "3", "m", "1m", "2m", "3m")

CODED = [
    *[kind for codec, into in CONTAINERS.items() for kind in _each(codec, into)],
    *_each("av1", "mp4 fmp4 mkv webm"),
    *_each("vp9", "mp4 fmp4 mkv webm", "altref plain"),
    *_each("vp8", "mkv webm", "altref plain"),
    *_each("mjpeg", "mp4 mov mkv avi", "intra"),
    *_each("prores", "mov", "intra"),
    *_each("ffv1", "mkv avi", "lossless"),
    *_each("h264 mpeg4 msmpeg4", "avi", "plain"),
    *_each("h264", "mpg", "plain closed"),
]
GROUPS = _each("h264", "mp4 ts mkv", "plain open intra refresh sliced interlaced pyramid long")
GROUPS += _each("hevc", "mp4 ts", "plain open intra refresh sliced pyramid long")
GROUPS += _each("mpeg4", "mp4 mkv", "plain open intra interlaced long")
GROUPS += _each("mpeg2video", "ts mpg", "plain open intra sliced interlaced long")
GROUPS += _each("mpeg1video", "mpg", "plain open intra long")
GROUPS += _each("av1", "mp4 webm", "plain open intra long") + _each("vp9", "webm mp4", "long")
CLOCKS = [
    *_each("h264", "ts mkv mp4 mov", "closed open refresh", clock="late"),
    *_each("hevc mpeg2video", "ts mkv", clock="late"),
    *_each("vp9", "webm", "altref", clock="late"),
    *_each("h264 hevc", "mp4 mkv ts", clock="variable"),
    *_each("vp9", "webm", "plain", clock="variable"),
    *_each("h264 hevc mpeg4", "mp4 fmp4 mkv ts", clock="hole"),
    *_each("h264 hevc mpeg4", "mp4 mov", "plain closed open", clock="edit"),
    *_each("av1 vp9", "mp4", "plain", clock="edit"),
    *_each("h264 hevc", "mp4", "plain closed open", clock="parts"),
    *_each("h264 hevc", "mp4 mov", "plain closed", clock="negative"),
    *_each("h264 hevc mpeg2video", "ts", clock="wrap"),
    *_each("mpeg2video", "mpg", clock="wrap"),
    *_each("h264 hevc mpeg2video", "ts", clock="joined"),
    *_each("h264 mpeg2video", "ts", clock="spliced"),
]
TURNED = [
    *[Kind("h264", "mp4", "closed", turn=turn) for turn in TURNS],
    *[Kind("hevc", "mov", "closed", turn=turn) for turn in ("1", "2", "3m", "m")],
    *[Kind("h264", "mkv", turn=turn) for turn in ("1", "2", "3", "m", "1m")],
    *[Kind("h264", "ts", turn=turn) for turn in ("1", "2", "3", "m", "3m")],
    *[Kind("mjpeg", "mov", "intra", turn=turn) for turn in ("3", "1m")],
]
DAMAGED = [
    *[
        kind
        for damage in ("key", "inner", "missing")
        for kind in (
            *_each("h264 hevc", "mp4 mkv ts", "plain closed", damage=damage),
            *_each("mpeg4", "mp4 avi", "plain", damage=damage),
            *_each("mpeg2video mpeg1video", "ts mkv", "plain", damage=damage),
            *_each("av1", "mp4", "plain", damage=damage),
            *_each("vp9 vp8", "webm", "plain", damage=damage),
        )
    ],
    *_each("h264 hevc mpeg2video", "mkv", "open", damage="key"),
    *_each("h264", "mp4", "refresh long sliced", damage="inner"),
    *_each("mjpeg", "mp4 avi", "intra", damage="key"),
    *_each("h264", "mp4 ts", "plain", damage="missingkey"),
    *[
        kind
        for damage in ("cut", "zeros")
        for kind in (
            *_each("h264", "mp4 fmp4 mkv ts", damage=damage),
            *_each("mpeg4", "avi", "plain", damage=damage),
            *_each("mpeg2video", "mpg", damage=damage),
            *_each("vp9", "webm", "altref", damage=damage),
        )
    ],
]
STREAMS = [
    *_each("h264", "mp4 mov mkv ts", extra="rear"),
    *_each("hevc", "mp4", extra="rear"),
    *_each("h264", "mp4 mkv ts", extra="sound"),
    *_each("mjpeg", "avi", "intra", extra="sound"),
    *_each("h264", "mkv", extra="subtitles"),
    *_each("h264", "mkv", "plain open", extra="live"),
    *_each("vp9", "webm", "altref", extra="live"),
    *_each("h264 hevc mpeg4", "mp4", "plain closed", extra="allkeys"),
    *_each("h264 hevc", "mp4 mkv", extra="10bit"),
    *_each("av1", "mp4", extra="10bit"),
    *_each("h264 hevc", "mp4", extra="full"),
    *_each("h264 hevc", "mp4", extra="444"),
    *_each("h264 hevc", "mp4 ts", extra="422"),
]
FAMILIES = {
    "codecs": CODED,
    "GOPs": GROUPS,
    "clocks": CLOCKS,
    "turns": TURNED,
    "damage": DAMAGED,
    "streams, indices, pixels": STREAMS,
}
_COPIED = {
    "mp4 mov mkv ts avi": [
        *_each("h264 mpeg4", "mp4", "plain intra"),
        *_each("mpeg2video", "mp4", "plain"),
        *_each("mpeg4", "avi", "plain"),
    ],
    "mp4 mov mkv ts": [
        *_each("h264", "mp4", "closed open refresh sliced interlaced pyramid long"),
        *_each("hevc", "mp4 ts", "closed open intra pyramid"),
        *_each("mpeg4 mpeg2video", "mp4 mkv", "closed open"),
        *_each("h264", "mkv", clock="late"),
        *_each("h264 hevc", "mp4", clock="variable"),
        *_each("h264", "ts mp4", clock="hole"),
        *_each("h264", "mp4 mkv ts", extra="rear"),
    ],
    "mp4 mkv": [*_each("vp9", "webm mp4", "altref plain"), *_each("av1", "mp4 webm", "open long")],
    "mp4 mov mkv avi": _each("mjpeg", "mp4 avi", "intra"),
}
# Each is copied, packet by packet, into these containers.
COPIED = [
    (kind, target) for into, kinds in _COPIED.items() for kind in kinds for target in into.split()
]
KINDS = {kind.name: kind for kinds in FAMILIES.values() for kind in kinds}
