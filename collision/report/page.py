"""Pages of headings, texts, tables and pictures: as Markdown, and as one HTML file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeAlias

from markdown_it import MarkdownIt

from collision.files import write_whole
from collision.report.tables import Grid, as_markdown

PAGE_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;
margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}img{max-width:100%}
pre{background:#f5f5f5;padding:.7rem;white-space:pre-wrap}"""

# Names of files may look like HTML, links or pictures; a page that needs no other file has none.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_MARKDOWN.disable(["link", "image", "autolink"])


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
    """A PNG in the run folder or below it."""

    path: Path
    caption: str


Block: TypeAlias = Heading | Text | Code | Picture | Grid


def titled(grid: Grid, level: int = 2) -> list[Block]:
    """A table under its title; nothing if it has no rows."""
    return [Heading(grid.title, level), grid] if grid.rows else []


def write_page(folder: Path, blocks: Sequence[Block], name: str = "results") -> None:
    """Write ``<name>.md`` and ``<name>.html`` into a folder that exists."""
    write_whole(folder / f"{name}.md", as_markdown_page(blocks, folder))
    write_whole(folder / f"{name}.html", as_html_page(blocks))


def as_markdown_page(blocks: Sequence[Block], folder: Path) -> str:
    """The blocks as Markdown; pictures are linked relative to ``folder``."""
    return "\n\n".join(_as_markdown(block, folder) for block in blocks) + "\n"


def as_html_page(blocks: Sequence[Block]) -> str:
    """The blocks as one HTML file that needs no other file."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Results")
    body = "".join(map(_as_html, blocks))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{PAGE_STYLE}</style></head><body>\n{body}</body></html>\n"
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


def _as_html(block: Block) -> str:
    if isinstance(block, Picture):
        data = base64.b64encode(block.path.read_bytes()).decode("ascii")
        return f'<p><img alt="{escape(block.caption)}" src="data:image/png;base64,{data}"></p>\n'
    return _MARKDOWN.render(_as_markdown(block, Path()))
