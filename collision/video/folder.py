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

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
# What Pillow raises for files that are no image, cut off, damaged, or absurdly large.
_DAMAGES = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


def list_frames(folder: Path) -> list[Path]:
    """Give the images of a folder in the order of their numbers.

    Raises:
        VideoDecodeError: There is none, a name has no number, or a number is missing or twice.
    """
    try:
        images = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
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
        if number in by_number:
            raise VideoDecodeError(
                folder, f"{by_number[number].name!r} and {image.name!r} are both frame {number}"
            )
        by_number[number] = image
    first, last = min(by_number), max(by_number)
    if missing := last - first + 1 - len(by_number):
        absent = next(number for number in range(first, last) if number not in by_number)
        raise VideoDecodeError(
            folder, f"{missing} of {last - first + 1} frames are missing, the first is {absent}"
        )
    return [by_number[number] for number in range(first, last + 1)]


def read_image(folder: Path, image: Path, height: int | None, width: int | None) -> np.ndarray:
    """Decode one frame, squashed as videos are: ``uint8 RGB [H, W, 3]``.

    Pillow decodes: unlike OpenCV it refuses an image that is cut off, and reads PNG after decord
    has been loaded.

    Raises:
        VideoDecodeError: It is no whole image.
    """
    try:
        with Image.open(image, formats=FORMATS) as opened:
            picture = np.asarray(opened.convert("RGB"))
    except _DAMAGES as error:
        raise VideoDecodeError(folder, f"frame {image.name!r}: {error}") from error
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(
        width or frame.width, height or frame.height, "rgb24", interpolation=Interpolation.BILINEAR
    ).to_ndarray()


def read_images(folder: Path, images: list[Path], height: int, width: int) -> np.ndarray:
    """Decode frames: ``uint8 RGB [M, H, W, 3]``.

    Raises:
        VideoDecodeError: One of them is no whole image.
    """
    frames = np.empty((len(images), height, width, 3), np.uint8)
    for place, image in enumerate(images):
        frames[place] = read_image(folder, image, height, width)
    return frames
