"""Plots as parts of a page: SVG whose colours and letters are those of the page."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

from collision.report.html import Html, tag
from collision.report.html import shown as escaped
from collision.report.palette import LIGHT, SERIES

# What a plot is drawn with, and what the page's style sheet calls it.
_COLOURS = {
    LIGHT[name]: f"var(--{name})" for name in (*SERIES, "ink", "muted", "line", "soft", "paper")
}
_PIXELS_A_POINT = 1.4
_OUTSIDE = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", re.DOTALL
)
_TAG = re.compile(r"<[^>]*>")
_OWN_IDS = re.compile(r'\sid="[a-zA-Z.\d]+_\d+"')  # of its groups; what is referred to has no _


def figure(caption: str, draw: Callable[..., None], *shown: Any) -> Html:
    """Draw a plot with its caption; ``draw`` takes what is shown and the file to write."""
    picture = Html(themed(svg_of(draw, *shown), caption))
    return tag("figure", picture, tag("figcaption", caption), class_="drawing")


def svg_of(draw: Callable[..., None], *shown: Any) -> str:
    """Draw as SVG with its letters as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plot.svg"
        with matplotlib.rc_context(
            {"svg.fonttype": "none", "svg.hashsalt": getattr(draw, "__name__", "plot")}
        ):
            draw(*shown, path)
        return path.read_text(encoding="utf-8")


def themed(svg: str, about: str) -> str:
    """Take off what an SVG file has around it, and let the page choose colours, font and width.

    Texts stay as they are: matplotlib has escaped them, so that none looks like an element.
    """
    text = _TAG.sub(lambda found: _themed_tag(found[0], about), _OUTSIDE.sub("", svg).strip())
    text = "".join(one if one.isprintable() or one == "\n" else "?" for one in text)
    return re.sub(r">\s+<", "><", text)


def _themed_tag(text: str, about: str) -> str:
    if text.startswith("<svg"):
        size = re.search(r'viewBox="([\d. ]*)"', text)
        if not size:
            return text
        # Letters of one size on a wide screen, whatever the plot's width; a narrow one shrinks it.
        width = round(_PIXELS_A_POINT * float(size[1].split()[2]))
        return f'<svg viewBox="{size[1]}" width="{width}" role="img" aria-label="{escaped(about)}">'
    text = _OWN_IDS.sub("", text)
    for colour, name in _COLOURS.items():
        text = re.sub(re.escape(colour), name, text, flags=re.IGNORECASE)
    text = re.sub(r"font: ([\w ]*?)([\d.]+)px [^;\"]*", r"font: \1\2px var(--font)", text)
    text = re.sub(r"; font-family: [^;\"]*", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    text = re.sub(r" \n?(?=[LMzQC])", "", text).replace("\n", "")
    return re.sub(r"(\.\d\d)\d+", r"\1", text)  # of a point: finer is not seen
