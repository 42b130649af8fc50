from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from collision.evaluation.numbers import judge
from collision.report.page import Text, as_html_page
from collision.report.run_page import write_results
from tests.kit.scores import ORACLE, made_up_scores


class Tags(HTMLParser):
    """Counts opening tags and fails on one that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def write(folder, **changes):
    scored = made_up_scores(30)
    given = {
        "title": "zipformer on <synthetic>",
        "command": "python train.py head=zipformer",
        "facts": {"commit": "abc1234", "selected on": "val/nexar_map"},
        "summary": judge([scored], None, ORACLE, 50, thresholds=[0.5]),
        "scored": scored,
        **changes,
    }
    write_results(folder, **given)
    return (folder / "results.md").read_text(), (folder / "results.html").read_text()


def test_page_tells_the_run_and_links_pictures_that_exist(tmp_path) -> None:
    log = [{"epoch": "0", "train/loss": "0.7"}, {"epoch": "0", "val/nexar_map": "0.6"}]
    counts = {"test": {"0.5": {"positive": 30, "negative": 30}}}
    markdown, html = write(tmp_path, log=log, counts=counts)
    for text in ("head=zipformer", "abc1234", "val/nexar_map", "30 groups resampled 50 times"):
        assert text in markdown and text in html
    assert "0 of 180 examples have no score" in markdown
    pictures = re.findall(r"!\[.*\]\((.*)\)", markdown)
    assert len(pictures) == 5
    assert all((tmp_path / name).is_file() for name in pictures)


def test_html_is_whole_and_needs_no_other_file(tmp_path) -> None:
    _, html = write(tmp_path)
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert tags.seen.count("img") == 4
    assert set(re.findall(r'src="([^"]{10})', html)) == {"data:image"}
    assert "<synthetic>" not in html and "&lt;synthetic&gt;" in html


def test_page_counts_what_is_missing_and_names_what_is_absent(tmp_path) -> None:
    scored = made_up_scores(5)
    scored = replace(scored, score=np.where(scored.horizon == 0.5, np.nan, 0.5))
    summary = judge([scored], None, None, 50, slices=("weather",))
    markdown, _ = write(tmp_path, summary=summary, scored=scored)
    assert "10 of 30 examples have no score and count as 0" in markdown
    assert "Not in these data: tag weather" in markdown
    assert "only 5 groups" in markdown
    assert "No score is on the wrong side of 0.5" in markdown


def test_warnings_come_first_and_the_other_numbers_stand_with_theirs(tmp_path) -> None:
    scored = made_up_scores(30)
    summary = judge([scored], None, ORACLE, 50, thresholds=[0.5])
    summary["warnings"] = [{"name": "leaks", "message": "LEAKS: look out.", "numbers": {}}]
    markdown, html = write(tmp_path, summary=summary)
    assert "LEAKS: look out." in html
    assert markdown.index("LEAKS") < markdown.index("## Result")
    for row in ("AUC, mean of the horizons", "Brier score", "calibration error", "recall"):
        assert re.search(rf"\| {row}.* \| \.\d", markdown)


def test_the_name_of_a_warning_is_bold_on_the_page() -> None:
    page = as_html_page([Text("**leaks**: a < b and 2 ** 3")])
    assert "<p><b>leaks</b>: a &lt; b and 2 ** 3</p>" in page
