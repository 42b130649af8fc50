"""The page of a data set says first what is to be looked at; all its numbers are the report's."""

from __future__ import annotations

import re

import pytest

from collision.report.data_page import headline, write_data_page
from tests.kit.data_report import made_up_data_report, made_up_measures
from tests.kit.pages import Tags

HOSTILE = "<img src=x onerror=alert(1)>`*[x](http://a.b)"


def written(folder, **options):
    report = made_up_data_report(**options)
    write_data_page(folder, report, made_up_measures(), "collision data dataset=x")
    return report, (folder / "data.html").read_text()


def test_the_first_sentence_counts_what_is_there_and_what_is_odd(tmp_path):
    sound = made_up_data_report(is_odd=False)
    assert headline(sound) == "80 videos in 40 groups: 40 positive, 40 negative; nothing odd found."
    report, html = written(tmp_path)
    warnings = re.findall(r'<div class="warning" role="note"><b>(.*?)</b>(.*?)</div>', html)
    (said,) = re.findall(r'<p class="headline">(.*?)</p>', html)
    assert said == headline(report) and said.endswith(f"; {len(warnings)} things to look at first.")
    assert [name for name, _ in warnings] == [
        *("missing", "damaged", "annotations", "groups", "near-duplicates"),
        *(f"shortcut, label: {name}" for name in ("file", "first_frame", "whole_file")),
    ]
    assert warnings[0][1] == "30 videos are missing or unreadable."
    assert "**shortcut, label: file**: From file much" in (tmp_path / "data.md").read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"faults": [{"video": "a", "fault": "b"}]}, "1 thing to look at first"),
        ({"check": {}, "shortcuts": {}, "duplicates": {}}, "nothing odd found"),
    ],
)
def test_what_was_not_looked_at_is_no_finding(changes, said):
    assert said in headline({**made_up_data_report(is_odd=False), **changes})


def test_links_lead_to_its_parts_and_each_measure_is_a_picture(tmp_path):
    _, html = written(tmp_path)
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    links = re.findall(r'<a href="#(.*?)">(.*?)</a>', html)
    headings = re.findall(r'<h2 id="(.*?)">(.*?)</h2>', html)
    assert links == headings and len(headings) == len(set(dict(headings))) > 8
    for name in made_up_measures():
        assert html.count(f'aria-label="{name} by class, as shares of each class"') == 1
    assert html.count('class="drawing"') == len(made_up_measures()) + 2
    assert "<img" not in html and "/data.html" not in html
    assert "![Distributions by class](distributions.png)" in (tmp_path / "data.md").read_text()
    assert (tmp_path / "distributions.png").is_file() and (tmp_path / "shortcuts.png").is_file()


def test_names_stay_names(tmp_path):
    _, html = written(tmp_path, name=HOSTILE)
    assert "<img" not in html and 'href="http' not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
