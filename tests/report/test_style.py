"""The colours of the pages can be read: contrast by WCAG 2, in light and in dark."""

from __future__ import annotations

import re

import pytest

from collision.report.html import part_of_page


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * one for one in digits) if len(digits) == 3 else digits
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(f * s for f, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_letters_stand_out_from_what_is_behind_them(scheme) -> None:
    blocks = re.findall(r":root\{(.*?)\}", part_of_page("page.css"), re.DOTALL)
    colours = dict(re.findall(r"--(\w+):(#[0-9a-fA-F]+)", blocks[scheme]))
    assert {"ink", "muted", "blue", "red", "green", "orange", "paper"} <= set(colours)
    for behind in ("paper", "card", "soft"):
        for name in ("ink", "muted", "blue", "red", "green", "purple"):
            assert contrast(colours[name], colours[behind]) >= 4.5, (name, behind)
        assert contrast(colours["orange"], colours[behind]) >= 3, behind  # lines, no letters
    assert contrast(colours["ink"], colours["warn"]) >= 4.5
