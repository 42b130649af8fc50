"""The colours of the pages: contrast by WCAG 2, and what colour-blind eyes make of them."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from collision.report.html import asset
from collision.report.palette import DARK, LIGHT, SERIES
from tests.conftest import ROOT

# Machado, Oliveira and Fernandes 2009, full severity, on linear RGB.
EYES = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
SCHEMES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])


def linear(colour: str) -> np.ndarray:
    shares = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    low, high = sorted(float(linear(one) @ TO_XYZ[1]) for one in (first, second))
    return (high + 0.05) / (low + 0.05)


def lab(colour: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB: distances are about what eyes see."""
    x, y, z = np.cbrt(TO_XYZ @ colour.clip(0, 1) / TO_XYZ.sum(1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_contrast_and_distance_are_what_others_compute() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # WebAIM's example
    assert lab(linear("#ff0000")) == pytest.approx([53.2, 80.1, 67.2], abs=0.2)


@SCHEMES
def test_letters_and_lines_stand_out_from_what_is_behind_them(colours) -> None:
    assert set(SERIES) < set(colours) and {"ink", "muted", "warned"} < set(colours)
    for behind in ("paper", "card", "soft"):
        for name in ("ink", "muted", "blue", "red", "green", "purple"):
            assert contrast(colours[name], colours[behind]) >= 4.5, (name, behind)
        for name in ("orange", "sky"):  # lines, no letters
            assert contrast(colours[name], colours[behind]) >= 3, (name, behind)
    assert contrast(colours["ink"], colours["warned"]) >= 4.5


@SCHEMES
@pytest.mark.parametrize("eyes", EYES)
def test_no_two_lines_look_alike_to_any_eyes(colours, eyes) -> None:
    """13 is what one sees at a glance; the threshold and an alarm were 7 apart once."""
    seen = {name: lab(EYES[eyes] @ linear(colours[name])) for name in SERIES}
    for first, second in combinations(SERIES, 2):
        assert np.linalg.norm(seen[first] - seen[second]) >= 13, (first, second)


@SCHEMES
def test_grey_paper_keeps_the_order_of_shades(colours) -> None:
    lightness = {name: lab(linear(colours[name]))[0] for name in ("paper", "soft", "line", "muted")}
    steps = np.diff(list(lightness.values()))
    assert (steps < 0).all() or (steps > 0).all()


def test_each_colour_stands_in_one_file_alone() -> None:
    """Other sheets name colours; shades of the map of two dimensions are the one exception."""
    assert not set(re.findall(r"#[0-9a-f]{6}\b", asset("report.css") + asset("clips.css")))
    known = {*LIGHT.values(), *DARK.values()} - {"#ffffff"}
    for path in (ROOT / "collision").rglob("*.[cp][sy]*"):
        if path.suffix in (".css", ".py") and path.name != "look.css":
            found = set(re.findall(r"#[0-9a-f]{6}\b", path.read_text().lower()))
            assert not found & known, path


def test_every_colour_that_a_sheet_names_is_there() -> None:
    names = set(re.findall(r"--(\w+):", asset("look.css"))) | {"own"}
    for path in (ROOT / "collision").rglob("*.css"):
        assert set(re.findall(r"var\(--(\w+)", path.read_text())) <= names, path
