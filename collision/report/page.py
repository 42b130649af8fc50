"""Pages of headings, texts, tables and pictures: as Markdown, and as one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from markdown_it import MarkdownIt

from collision.files import write_whole
from collision.report.html import Html, asset, document, tag
from collision.report.parts import command, picture, table
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
    """A paragraph, in which Markdown marks names and options."""

    text: str


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


Block: TypeAlias = Heading | Text | Code | Picture | Grid


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
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Results")
    return document(
        title,
        map(_as_html, blocks),
        styles=[asset("report.css")],
        scripts=[asset("page.js")],
    )


def _as_markdown(block: Block, folder: Path) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return block.text
        case Code():
            return f"```sh\n{block.text}\n```"
        case Picture():
            return f"![{block.caption}]({block.path.relative_to(folder).as_posix()})"
        case Grid():
            return as_markdown(block)


def _as_html(block: Block) -> Html:
    match block:
        case Picture(draw=draw) if draw is not None:
            from collision.report.figures import figure  # matplotlib: a second, only where it draws

            return figure(block.caption, draw)
        case Picture():
            return picture(block.path, block.caption)
        case Grid():
            return table(block)
        case Code():
            return command(block.text)
        case Heading():
            return tag(f"h{block.level}", block.text)
        case Text():
            return Html(_MARKDOWN.render(block.text.encode(errors="replace").decode()))
