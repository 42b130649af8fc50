"""One HTML file that needs no other: styles, scripts and data inside, and a policy against others.

Text is escaped wherever ``element`` puts it; only what ``element`` made is taken for markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from collision.report.tables import Grid

_ASSETS = Path(__file__).with_name("assets")
_EMPTY = {"br", "img", "input", "meta", "path"}  # elements that hold nothing and are not closed


class Html(str):
    """Markup; any other text is escaped."""

    __slots__ = ()


def element(name: str, /, *inside: str, **attributes: str | bool | None) -> Html:
    """Make an element; ``class_`` and ``data_of`` become ``class`` and ``data-of``.

    An attribute that is None or False is left out; True has no value.
    """
    written = "".join(
        f" {_attribute(key)}" + ("" if value is True else f'="{escape(clean(str(value)))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY:
        return Html(f"<{name}{written}>" if name != "path" else f"<{name}{written}/>")
    return Html(f"<{name}{written}>{joined(*inside)}</{name}>")


def joined(*parts: str) -> Html:
    """Put texts, which are escaped, and markup beside each other."""
    return Html("".join(p if isinstance(p, Html) else escape(clean(p)) for p in parts))


def clean(text: str) -> str:
    """Give text that a page can hold: what is no letter of UTF-8, or NUL, becomes a mark."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def table(grid: Grid, **attributes: str) -> Html:
    """Make a table that scrolls where it is too wide; all columns but the first hold numbers."""
    if not grid.rows:
        return Html("")
    head = element("tr", *(element("th", name, scope="col") for name in grid.header))
    rows = (element("tr", *(element("td", cell) for cell in row)) for row in grid.rows)
    whole = element("table", element("thead", head), element("tbody", *rows), **attributes)
    return scrolled(whole, grid.title)


def scrolled(inside: str, label: str) -> Html:
    """Let what is wider than the screen scroll, by keyboard too."""
    return element("div", inside, class_="scroll", role="region", aria_label=label, tabindex="0")


def picture(path: Path, caption: str) -> Html:
    """Put a PNG into the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    image = element("img", alt=caption, src=f"data:image/png;base64,{data}")
    return element("figure", image, element("figcaption", caption))


def asset(name: str) -> str:
    """Give a style or script that pages share: ``base.css``, ``paged_table.js``."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def document(
    title: str,
    body: Html,
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
) -> str:
    """Give the whole file.

    Scripts run as they are listed, after the page is there; they find each entry of ``data`` as
    JSON in the element of its name. The page's policy lets nothing be loaded from anywhere, and
    no script run but these. NaN in ``data``: ValueError.
    """
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
        f"form-action 'none'; script-src {allowed}"
    )
    head = joined(
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        Html(f"<style>\n{''.join((asset('base.css'), *styles))}</style>"),
    )
    held = (_data(name, content) for name, content in (data or {}).items())
    run = (Html(f"<script>{script}</script>\n") for script in scripts)
    whole = element("body", element("main", body), *held, *run)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n{whole}</html>\n'


def _data(name: str, content: Any) -> Html:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":  # a string of the data may not end the element
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Html(f'<script type="application/json" id="{escape(name)}">{text}</script>\n')


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
