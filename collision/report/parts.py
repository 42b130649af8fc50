"""Parts that pages share: tables, dots with intervals, warnings, tiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from collision.metrics.estimate import Estimate
from collision.report.html import Child, Html, data_address, tag
from collision.report.tables import ABSENT, Grid

# Names of files may look like HTML, links or pictures; a page that needs no other file has none.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink"])
_NUMBER = re.compile(r"^[<+\-−]*\.?\d[\d.,%]*( ?s| ?h)?( ?\[.*\]| ?\(.*\))?$")
_MANY_WORDS = 24  # letters from which a cell may break into lines


def words(text: str) -> Html:
    """A sentence, in which Markdown marks names and options."""
    return Html(_MARKDOWN.renderInline(text.encode(errors="replace").decode()))


def paragraph(text: str, **attributes: str) -> Html:
    """A paragraph of ``words``."""
    return tag("p", words(text), **attributes)


def table(
    grid: Grid,
    cells: Sequence[Sequence[Child]] | None = None,
    sortable: bool = True,
    css: str = "",
) -> Html:
    """A table that sorts by its headings; ``cells`` may say otherwise what is shown of ``grid``.

    Columns of numbers are set right, words left. Without rows there is none.
    """
    if not grid.rows:
        return Html("")
    columns = range(len(grid.header))
    is_number = [_is_number([row[at] for row in grid.rows]) for at in columns]
    is_long = [any(len(row[at]) > _MANY_WORDS for row in grid.rows) for at in columns]

    def kind(at: int) -> str | None:
        if is_number[at]:
            return "n"
        return "words" if is_long[at] else None

    head = [tag("th", name, class_=kind(at), scope="col") for at, name in enumerate(grid.header)]
    rows = [
        tag("tr", [tag("td", cell, class_=kind(at)) for at, cell in enumerate(row)])
        if cells is None
        else tag(
            "tr",
            [
                # A picture of a number is sorted by the number.
                tag("td", cell, class_=kind(at), data_value=row[at] if row[at] != cell else None)
                for at, cell in enumerate(cells[place])
            ],
        )
        for place, row in enumerate(grid.rows)
    ]
    body = tag("thead", tag("tr", head)), tag("tbody", rows)
    kinds = f"sortable {css}" if sortable and len(rows) > 2 else css
    label = grid.title or f"table: {', '.join(filter(None, grid.header[:3]))}".replace("\n", " ")
    return scrolled(tag("table", *body, class_=kinds.strip() or None), label)


def scrolled(inside: Html, label: str) -> Html:
    """Let what is wider than the screen scroll, by keyboard too."""
    return tag("div", inside, class_="scroll", role="group", aria_label=label, tabindex="0")


def picture(path: Path, caption: str) -> Html:
    """Put a PNG into the page."""
    image = tag("img", alt=caption, src=data_address(path.read_bytes(), "image/png"))
    return tag("figure", image, tag("figcaption", caption), class_="drawing")


def _is_number(column: Iterable[str]) -> bool:
    known = [text for text in column if text not in ("", ABSENT)]
    return bool(known) and all(_NUMBER.match(text) for text in known)


@dataclass(frozen=True)
class Scale:
    """Where values lie on a track: its ends."""

    low: float
    high: float

    def at(self, value: float) -> str:
        """As a share of the track's length."""
        share = (value - self.low) / max(self.high - self.low, 1e-9)
        return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def track(one: Estimate, scale: Scale, mark: float | None = None) -> Html:
    """A dot with its interval on a line; ``mark`` is dotted: chance, or no difference."""
    if one.value is None:
        return tag("span", one.reason or "", class_="about")
    parts = [tag("u", style=f"left:{scale.at(mark)}")] if mark is not None else []
    is_held = False
    if one.interval is not None:
        low, high = one.interval
        width = f"calc({scale.at(high)} - {scale.at(low)})"
        parts.append(tag("i", style=f"left:{scale.at(low)};width:{width}"))
        is_held = mark is not None and low <= mark <= high
    parts.append(tag("b", style=f"left:{scale.at(one.value)}"))
    interval = "" if one.interval is None else f", interval {one.low:.3f} to {one.high:.3f}"
    said = f"{one.value:.3f}{interval}" + ("" if mark is None else f"; mark at {mark:.3f}")
    kind = "track held" if is_held else "track"
    return tag("span", parts, class_=kind, role="img", aria_label=said, title=said)


def tile(value: str, *about: str) -> Html:
    """A number to be seen from afar, with what it is."""
    return tag("div", tag("b", value), [tag("span", text) for text in about], class_="tile")


def warning(name: str, message: str) -> Html:
    """Something to know before a number is believed; its name is that in ``metrics.json``."""
    return tag("div", tag("b", name), words(message), class_="warning", role="note")


def command(text: str) -> Html:
    """Something to copy."""
    return tag("pre", tag("code", text))


def section(name: str, title: str, *body: Child, level: int = 2) -> Html:
    """A part under its heading, or nothing where the part is empty."""
    return tag("section", tag(f"h{level}", title), *body, id=name)
