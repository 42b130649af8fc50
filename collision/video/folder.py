"""Videos that are kept as a folder of images, one a frame; ``collision.video.frames`` reads them.

Frames are ordered by the last number in their names. Such a folder has no clock: whoever names it
says at which rate its frames were taken.

An image is read as a viewer shows it, turned by its EXIF orientation, in 8 bits a colour: of 16,
the upper 8. Transparency is left out, as where a video has it: what is stored counts, not what is
behind. Refused are images of another size than the first, and files of several pictures.

Shapes: H W image.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation
from PIL import ExifTags, Image

from collision.errors import VideoDecodeError
from collision.files import list_folder
from collision.video.turn import Turn

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
# What Pillow raises for files that are no image, cut off, damaged, or absurdly large.
_DAMAGES = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")  # Pillow's names of 16-bit grey
# What is done to the picture for each EXIF orientation.
_TURNS = {
    2: Turn(False, True, False),
    3: Turn(False, True, True),
    4: Turn(False, False, True),
    5: Turn(True, False, False),
    6: Turn(True, True, False),
    7: Turn(True, True, True),
    8: Turn(True, False, True),
}
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


def list_frames(folder: Path) -> list[Path]:
    """Give a folder's images in the order of their numbers; VideoDecodeError if one is missing."""
    try:
        images = list_folder(folder, SUFFIXES)
    except OSError as error:
        raise VideoDecodeError(folder, error.strerror or str(error)) from error
    if not images:
        raise VideoDecodeError(folder, f"the folder holds no image ({', '.join(SUFFIXES)})")
    by_number: dict[int, Path] = {}
    for image in images:
        found = _LAST_NUMBER.search(image.stem)
        if found is None:
            raise VideoDecodeError(folder, f"the name of {image.name!r} holds no frame number")
        number = int(found.group(1))
        other = by_number.setdefault(number, image)
        if other is not image:
            both = f"{other.name!r} and {image.name!r}"
            raise VideoDecodeError(folder, f"{both} are both frame {number}")
    first, last = min(by_number), max(by_number)
    if missing := last - first + 1 - len(by_number):
        absent = next(number for number in range(first, last) if number not in by_number)
        lack = f"{missing} of {last - first + 1} frames are missing"
        raise VideoDecodeError(folder, f"{lack}, the first is {absent}")
    return [by_number[number] for number in range(first, last + 1)]


def read_image(folder: Path, image: Path, size: tuple[int, int]) -> np.ndarray:
    """Decode one frame: ``uint8 RGB [H, W, 3]``; VideoDecodeError if it has another size."""
    picture, _ = _decode(folder, image)
    if picture.shape[:2] != size:
        height, width = picture.shape[:2]
        other = f"it is {width}x{height}, the first is {size[1]}x{size[0]}"
        raise VideoDecodeError(folder, f"frame {image.name!r}: {other}")
    return picture


def look_at_image(folder: Path, image: Path) -> tuple[int, int, int]:
    """Give height, width, and the VERSION of the index since which it is read as it is now."""
    picture, is_odd = _decode(folder, image)
    return *picture.shape[:2], 2 if is_odd else 1


def _decode(folder: Path, image: Path) -> tuple[np.ndarray, bool]:
    """Decode an image, and tell whether it is turned or deep.

    Pillow decodes: unlike OpenCV it refuses an image that is cut off (VideoDecodeError), and reads
    PNG after decord has been loaded.
    """
    try:
        with Image.open(image, formats=FORMATS) as opened:
            count = getattr(opened, "n_frames", 1)
            # Cameras put previews behind the picture (MPO).
            if count > 1 and opened.format != "MPO":
                raise ValueError(f"it holds {count} pictures; a frame is a file of its own")
            picture, turn = _in_rgb(opened), _turn(opened)
            is_odd = opened.mode in _DEEP or turn != Turn()
    except _DAMAGES as error:
        raise VideoDecodeError(folder, f"frame {image.name!r}: {error}") from error
    return np.ascontiguousarray(turn(picture)), is_odd


def _in_rgb(opened: Image.Image) -> np.ndarray:
    if opened.mode in _DEEP:  # convert() would clip it
        return np.repeat((np.asarray(opened) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    # Pillow warns of palettes with transparency that go to RGB at once.
    with_alpha = opened.convert("RGBA") if "transparency" in opened.info else opened
    return np.asarray(with_alpha.convert("RGB"))


def _turn(opened: Image.Image) -> Turn:
    """Read the turn of a decoded image; damaged EXIF data say nothing, to viewers neither."""
    try:
        return _TURNS.get(opened.getexif().get(ExifTags.Base.Orientation, 1), Turn())
    except (SyntaxError, struct.error):
        return Turn()


def squashed(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale ``uint8 RGB [H, W, 3]`` as videos are."""
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame = frame.reformat(width, height, "rgb24", interpolation=Interpolation.BILINEAR)
    return frame.to_ndarray()
