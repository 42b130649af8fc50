"""Names that people give, as the pictures draw them: in any script, and in none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.font_manager import FontEntry, fontManager, get_font

from collision.metrics.comparison import compare
from collision.report import plots
from collision.report.comparison import forest
from collision.report.data_plots import shortcut_marks
from collision.report.timeline import Timeline, draw_timeline
from tests.kit.pages import pixels
from tests.kit.scores import made_up_scores

NAMES = [
    "行车记录仪.mp4",
    "블랙박스 ドラレコ हिन्दी 🚗",
    b"\xd0\xd0\xb3\xb5.mp4".decode(errors="surrogateescape"),  # a Chinese camera's GBK
    "\ud800 \ue000 \t\x1b\0 $x_{$\n",
]


DEJAVU = [font for font in fontManager.ttflist if font.name == "DejaVu Sans"]
# No font of a script is sure to be here: one of symbols stands for it, which has no bold letters.
(SYMBOLS,) = [
    font
    for font in fontManager.ttflist
    if (font.name, font.weight) == ("STIXNonUnicode", 400) and font.style == "normal"
]
SCRIPT = replace(SYMBOLS, name="Kit Sans CJK SC")


@pytest.fixture
def fonts(monkeypatch) -> Iterator[list[FontEntry]]:
    """The fonts of the machine: those that matplotlib brings."""
    fonts = [*DEJAVU]
    monkeypatch.setattr(fontManager, "ttflist", fonts)
    plots._fonts.cache_clear()
    yield fonts
    plots._fonts.cache_clear()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_drawn_without_a_word(name, fonts, tmp_path, capfd) -> None:
    draw_timeline(Timeline([2.0], [0.5], 2.0, title=name), tmp_path / "timeline.png")
    scored = made_up_scores(9)
    tagged = replace(scored, tags={name: np.where(scored.label, name, "other")})
    plots.score_by_variant(tagged, tmp_path / "scores.png", tag=name)
    scores = {key: [made_up_scores(9, seed=len(key))] for key in (name, name * 9)}
    forest(compare(scores, num_resamples=9), tmp_path / "forest.png")
    ap = {"value": 0.6, "low": 0.5, "high": 0.7}
    probe = {"ap": ap, "chance": 0.5, "grade": "not shown"}
    shortcut_marks({name: {"probes": {"length": probe}}}, tmp_path / "shortcuts.png")
    assert all(pixels(file).std() for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("error")
def test_a_font_that_has_the_letter_is_found(fonts, tmp_path, caplog) -> None:
    known, further = (set(get_font(one.fname).get_charmap()) for one in (DEJAVU[0], SCRIPT))
    pictures = {}
    for installed in ([], [SCRIPT]):
        fonts[:] = [*DEJAVU, *installed]
        plots._fonts.cache_clear()
        for title in (chr(min(further - known)) * 40, "clip 7.mp4"):
            draw_timeline(Timeline([2.0], [0.5], 2.0, title=title), tmp_path / "a.png")
            pictures.setdefault(title, []).append(pixels(tmp_path / "a.png"))
    assert not caplog.records
    assert plots._fonts() == ["DejaVu Sans", "Kit Sans CJK SC"]
    (boxes, letters), plain = pictures.values()
    assert (boxes != letters).any()
    assert (plain[0] == plain[1]).all()
