"""Pages that are one HTML file: everything inside, nothing from the network, every text escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

_ASSETS = Path(__file__).with_name("assets")
_VOID = ("img", "input", "br", "hr", "meta")


class Html(str):
    """Text that is HTML already; any other text is escaped on its way into a page."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"


def tag(_name: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """Make an element. ``class_`` is ``class``, ``data_x`` is ``data-x``; None and False are none.

    A child that is no ``Html`` is escaped, and so is every attribute.
    """
    written = []
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(f" {name}")
        elif value is not None and value is not False:
            written.append(f' {name}="{shown(str(value))}"')
    inside = "" if _name in _VOID else f"{joined(*children)}</{_name}>"
    return Html(f"<{_name}{''.join(written)}>{inside}")


def joined(*children: Child) -> Html:
    """Put elements and texts one after the other."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(shown(child))
        elif child is not None:
            parts.append(joined(*child))
    return Html("".join(parts))


def shown(text: str) -> str:
    """Escape text; bytes that are no UTF-8, and what no page may hold, become question marks."""
    text = text.encode(errors="replace").decode()
    if not text.isprintable():  # whole pictures are: letter by letter they take seconds
        text = "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text)
    return escape(text)


@cache
def asset(name: str) -> str:
    """Give a style sheet or a script that pages share: ``look.css``, ``paged_table.js``."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def document(
    title: str,
    *body: Child,
    styles: Iterable[str] = (),
    scripts: Iterable[str] = (),
    data: Mapping[str, Any] | None = None,
    media: str = "data:",
    refresh: int | None = None,
) -> str:
    """Put a page together: the look of all pages, its scripts, and a policy that forbids all else.

    Args:
        title: Of the window.
        body: Elements.
        styles: What is its own, after the look of all pages.
        scripts: In their order; they run when the page is there.
        data: What scripts find as JSON, each in the element of its name. NaN in it: ValueError.
        media: From where clips may come: ``data:``, or also files beside the page.
        refresh: Seconds after which a browser loads it again; None: never.
    """
    style, scripts = "".join((asset("look.css"), *styles)), list(scripts)
    style = f"\n{style}"
    allowed = " ".join(f"'sha256-{_digest(text)}'" for text in scripts) or "'none'"
    whole = tag("main", *body)
    # What stands at a place of its own, as a dot on its line, needs a style there; texts have no ".
    styled = "'unsafe-inline'" if ' style="' in whole else f"'sha256-{_digest(style)}'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {styled}; img-src data:; "
        f"media-src {media}; base-uri 'none'; form-action 'none'"
    )
    head = [
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        Html(f'<meta http-equiv="refresh" content="{refresh}">') if refresh else None,
        tag("title", title),
        Html(f"<style>{style}</style>"),
    ]
    held = [_data(name, content) for name, content in (data or {}).items()]
    ends = [Html(f"<script>{text}</script>\n") for text in scripts]
    return (
        '<!doctype html>\n<html lang="en"><head>'
        f"{joined(head)}</head>\n<body>{whole}{joined(held, ends)}</body></html>\n"
    )


def _data(name: str, content: Any) -> Html:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":  # a string of the data may not end the element
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Html(f'<script type="application/json" id="{shown(name)}">{text}</script>\n')


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def data_address(content: bytes, kind: str) -> str:
    """Give bytes as an address that holds them, as ``image/jpeg``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
