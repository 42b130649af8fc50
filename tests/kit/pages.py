"""What the tests of pages and pictures look with."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image


class Tags(HTMLParser):
    """Counts opening tags and fails on one that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "input", "br", "hr"):
            self.open.append(tag)

    def handle_data(self, data) -> None:
        self.text += data

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def share_of(image: np.ndarray | Path, colour: str) -> float:
    """Share of a picture's pixels that have a colour such as ``#0072B2``."""
    image = pixels(image) if isinstance(image, Path) else image
    red_green_blue = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return float((np.abs(image.astype(int) - red_green_blue).max(axis=2) < 8).mean())
