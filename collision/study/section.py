"""What one analysis has to show: words, tables and pictures, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collision.files import write_json
from collision.report.page import Block, Code, Heading, Picture, Text, write_page
from collision.report.tables import ABSENT, Grid, number

ALPHA = 0.05


@dataclass(frozen=True)
class Drawing:
    """A picture that is drawn when the page is written: ``draw`` is given the file."""

    name: str
    caption: str
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class Section:
    """One part of a report; ``key`` and ``data`` are its entry in the JSON file."""

    key: str
    title: str
    words: Sequence[str]
    data: Any
    grids: Sequence[Grid] = ()
    drawings: Sequence[Drawing] = ()


def write_report(
    folder: Path, title: str, sections: Sequence[Section], made: dict[str, Any], **data: Any
) -> None:
    """Write ``study.json``, ``study.md`` and the self-contained ``study.html`` with pictures."""
    found = {section.key: plain(section.data) for section in sections}
    write_json(folder / "study.json", {**data, **found, "provenance": made})
    pictures = folder / "plots"
    blocks: list[Block] = [Heading(title, level=1), Code(made["command"])]
    for section in sections:
        blocks.append(Heading(section.title))
        blocks += [Text(unmarked(words)) for words in section.words]
        for drawing in section.drawings:
            pictures.mkdir(exist_ok=True)
            path = pictures / f"{drawing.name}.png"
            drawing.draw(path)
            blocks.append(Picture(path, drawing.caption, drawing.draw))
        for grid in section.grids:
            blocks += [Heading(grid.title, 3), grid] if len(section.grids) > 1 else [grid]
    blocks.append(Text(f"Commit {made['commit'] or 'unknown'}."))
    write_page(folder, blocks, "study")


def unmarked(text: str) -> str:
    """Names from a file are no Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_<>[]#|" else sign for sign in text)


def p_text(value: float | None) -> str:
    """Give a p-value as text."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return "<.001" if value < 0.001 else number(value)


def interval_text(interval: tuple[float, float] | None) -> str:
    """Give an interval in brackets, after a blank; nothing if there is none."""
    return "" if interval is None else f" [{', '.join(share(end) for end in interval)}]"


def share(value: float) -> str:
    """Three decimals without the leading zero, of negative numbers too."""
    return number(value).replace("-0.", "-.")


def plain(value: Any) -> Any:
    """Turn dataclasses and arrays into plain data, and what is no finite number into None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
