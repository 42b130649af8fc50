"""Pages of headings, texts, tables and pictures: as Markdown, and as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from markdown_it import MarkdownIt

from collision.files import write_whole
from collision.report.html import Html, asset, document, tag
from collision.report.parts import command, paragraph, picture, table, warning
from collision.report.tables import Grid, as_markdown

# Names of files may look like HTML, links or pictures; a page that needs no other file has none.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink"])


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the page's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph, in which Markdown marks names and options.

    ``kind`` is how a page shows it: first of all, as something to know before a number is believed
    (``name`` says what), or small.
    """

    text: str
    kind: Literal["plain", "headline", "warning", "small"] = "plain"
    name: str = ""


@dataclass(frozen=True)
class Code:
    """Something to copy, such as a command."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A PNG in the run folder or below it.

    With ``draw``, which is given a file to write, the HTML page draws it in its own colours.
    """

    path: Path
    caption: str
    draw: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Panels:
    """A picture whose parts the HTML page draws one by one, as many in a row as fit.

    ``parts`` are captions with what draws each.
    """

    whole: Picture
    parts: Sequence[tuple[str, Callable[[Path], None]]]


Block: TypeAlias = Heading | Text | Code | Picture | Panels | Grid
_FEWEST_LINKS = 4  # parts that get links at the top


def titled(grid: Grid, level: int = 2) -> list[Block]:
    """A table under its title; nothing if it has no rows."""
    return [Heading(grid.title, level), grid] if grid.rows else []


def write_page(folder: Path, blocks: Sequence[Block], name: str) -> None:
    """Write ``<name>.md`` and ``<name>.html`` into a folder that exists."""
    write_markdown(folder, blocks, name)
    write_whole(folder / f"{name}.html", as_html_page(blocks))


def write_markdown(folder: Path, blocks: Sequence[Block], name: str = "results") -> None:
    """Write ``<name>.md`` into a folder that exists."""
    write_whole(folder / f"{name}.md", as_markdown_page(blocks, folder))


def as_markdown_page(blocks: Sequence[Block], folder: Path) -> str:
    """The blocks as Markdown; pictures are linked relative to ``folder``."""
    return "\n\n".join(_as_markdown(block, folder) for block in blocks) + "\n"


def as_html_page(blocks: Sequence[Block]) -> str:
    """The blocks as one HTML file that needs no other file."""
    headings = [block for block in blocks if isinstance(block, Heading)]
    parts = [one for one in headings if one.level == 2]
    title = headings[0].text if headings else "Results"
    start = blocks.index(parts[0]) if parts else len(blocks)
    links = [tag("a", one.text, href=f"#part-{place}") for place, one in enumerate(parts)]
    nav = tag("nav", links, aria_label="Parts of this page")
    place_of = {id(one): place for place, one in enumerate(parts)}
    has_headline = any(isinstance(one, Text) and one.kind == "headline" for one in blocks)
    return document(
        title,
        [_as_html(one, "over" if has_headline else None) for one in blocks[:start]],
        nav if len(parts) >= _FEWEST_LINKS else None,
        [_as_html(one, place=place_of.get(id(one))) for one in blocks[start:]],
        styles=[asset("report.css")],
        scripts=[asset("page.js")],
    )


def _as_markdown(block: Block, folder: Path) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text(name=name):
            return f"**{name}**: {block.text}" if name else block.text
        case Panels():
            return _as_markdown(block.whole, folder)
        case Code():
            return f"```sh\n{block.text}\n```"
        case Picture():
            return f"![{block.caption}]({block.path.relative_to(folder).as_posix()})"
        case Grid():
            return as_markdown(block)


def _as_html(block: Block, of_title: str | None = None, place: int | None = None) -> Html:
    """``of_title`` is the title's class, ``place`` a part's among the links at the top."""
    match block:
        case Panels():
            return tag("div", [_drawn(*one) for one in block.parts], class_="plots small")
        case Picture(draw=draw) if draw is not None:
            return _drawn(block.caption, draw)
        case Picture():
            return picture(block.path, block.caption)
        case Grid():
            return table(block)
        case Code():
            return command(block.text)
        case Heading():
            css = of_title if block.level == 1 else None
            name = None if place is None else f"part-{place}"
            return tag(f"h{block.level}", block.text, class_=css, id=name)
        case Text(kind="warning"):
            return warning(block.name, block.text)
        case Text(kind="headline" | "small" as kind):
            css = "headline" if kind == "headline" else "about"
            return paragraph(block.text, class_=css)
        case Text():
            return Html(_MARKDOWN.render(block.text.encode(errors="replace").decode()))


def _drawn(caption: str, draw: Callable[[Path], None]) -> Html:
    from collision.report.figures import figure  # matplotlib: a second, only where it draws

    return figure(caption, draw)
