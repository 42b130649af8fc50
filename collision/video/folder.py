"""Videos that are kept as a folder of images, one a frame; ``collision.video.frames`` reads them.

Frames are ordered by the last number in their names. Such a folder has no clock: whoever names it
says at which rate its frames were taken.

Shapes: N frames of a folder, M frames read, H W image.
"""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation
from PIL import Image

from collision.errors import VideoDecodeError
from collision.files import list_folder

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
# What Pillow raises for files that are no image, cut off, damaged, or absurdly large.
_DAMAGES = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
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


def read_image(folder: Path, image: Path, height: int | None, width: int | None) -> np.ndarray:
    """Decode one frame, squashed as videos are: ``uint8 RGB [H, W, 3]``.

    Pillow decodes: unlike OpenCV it refuses an image that is cut off (VideoDecodeError), and reads
    PNG after decord has been loaded.
    """
    try:
        with Image.open(image, formats=FORMATS) as opened:
            picture = np.asarray(opened.convert("RGB"))
    except _DAMAGES as error:
        raise VideoDecodeError(folder, f"frame {image.name!r}: {error}") from error
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    size = width or frame.width, height or frame.height
    return frame.reformat(*size, "rgb24", interpolation=Interpolation.BILINEAR).to_ndarray()
