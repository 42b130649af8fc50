from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collision.evaluation.numbers import judge
from collision.report.judged import Judged
from collision.report.run_page import write_results
from collision.report.tables import datasets_grid
from collision.report.words import RunDescription
from tests.kit.pages import Tags
from tests.kit.scores import ORACLE, made_up_scores


def judged(name, scored, numbers, warnings=()) -> Judged:
    about = {"warnings": list(warnings), "notes": ["1 video (v1): its clock is late"]}
    return Judged(name, "test", 60, numbers, {0: scored}, **about)


def write(folder, scored=None, numbers=None, counts=None, warnings=(), log=()) -> tuple[str, str]:
    scored = scored or made_up_scores(30)
    numbers = numbers or judge([scored], oracle=ORACLE, num_resamples=50, thresholds=[0.5])
    facts = {"commit": "abc1234", "selected on": "val/nexar_map"}
    run = RunDescription(
        "zipformer on <synthetic>", "python train.py head=zipformer", facts, counts
    )
    write_results(folder, run, [judged("made_up", scored, numbers, warnings)], log)
    return (folder / "results.md").read_text(), (folder / "results.html").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> tuple[Path, str, str]:
    """A folder, ``results.md`` and ``results.html``."""
    folder = tmp_path_factory.mktemp("page")
    log = [{"step": "5", "train/loss": "0.7"}, {"step": "5", "val/nexar_map": "0.6"}]
    counts = {"test": {"0.5": {"positive": 30, "negative": 30}}}
    leaks = ("leaks", "LEAKS: look out.")
    return folder, *write(folder, log=log, counts=counts, warnings=[leaks])


def test_page_tells_the_run_and_links_pictures_that_exist(page) -> None:
    folder, markdown, html = page
    told = ("head=zipformer", "abc1234", "val/nexar_map", "30 groups resampled 50 times")
    for text in (*told, "1 video (v1): its clock is late"):
        assert text in markdown and text in html
    assert "0 of 90 positive examples, which count as 0, and 0 of 90 negative ones" in markdown
    pictures = re.findall(r"!\[.*\]\((.*)\)", markdown)
    assert len(pictures) == 6
    assert all((folder / name).is_file() for name in pictures)


def test_html_is_whole_and_needs_no_other_file(page) -> None:
    _, _, html = page
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert tags.seen.count("figure") == 6
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "<synthetic>" not in html and "&lt;synthetic&gt;" in html


def test_page_counts_what_is_missing_and_names_what_is_absent(tmp_path) -> None:
    scored = made_up_scores(5)
    scored = replace(scored, score=np.where(scored.horizon == 0.5, np.nan, 0.5))
    numbers = judge([scored], num_resamples=50, slices=("weather",))
    markdown, _ = write(tmp_path, scored, numbers)
    assert "5 of 15 positive examples, which count as 0, and 5 of 15 negative ones" in markdown
    assert "Not in these data: tag weather" in markdown
    assert "not defined at every horizon" in markdown
    assert "No score is on the wrong side of 0.5" in markdown


def test_warnings_come_first_and_the_other_numbers_stand_with_theirs(page) -> None:
    _, markdown, html = page
    assert "LEAKS: look out." in html
    assert markdown.index("LEAKS") < markdown.index("## Result")
    for row in ("AUC, mean of the horizons", "Brier score", "expected calibration error", "recall"):
        assert re.search(rf"\| {row}.* \| \.\d", markdown)


def test_a_line_for_each_data_set() -> None:
    day, night = made_up_scores(30), made_up_scores(30, seed=1).take(np.arange(120))
    night = replace(night, horizon=night.horizon + 1)
    results = [
        judged(name, s, judge([s], num_resamples=20), [("leaks", "look out")])
        for name, s in (("day", day), ("night", night))
    ]
    grid = datasets_grid(results)
    assert grid.header[2:] == [
        "chance",
        "lift",
        *["0.5 s", "1.0 s", "1.5 s", "2.0 s", "2.5 s"],
        *grid.header[-3:],
    ]
    assert [row[0] for row in grid.rows] == ["day (test)", "night (test)"]
    assert grid.rows[1][4:6] == ["–", "–"] and grid.rows[0][-2:] == ["60", "1"]
