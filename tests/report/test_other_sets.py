"""A run's page and those of its evaluations lead to each other, and say the same numbers."""

from __future__ import annotations

import json
import re

import pytest

from collision.metrics.scored import Scored
from collision.report.other_sets import tell_run
from collision.report.run_page import remake
from tests.kit.report import evaluated_run, trained_run
from tests.kit.scores import made_up_scores


def evaluated(folder, run, **sets: list[Scored]):
    """An evaluation with its page; its ``metrics.json``."""
    metrics = {**evaluated_run(folder, **sets), "checkpoint": str(run)}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    remake(folder, "none")
    return metrics


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "2026-01-31_a run_gru"
    trained_run(folder, made_up_scores(30))
    remake(folder, "none")
    return folder


def told(run):
    """Of each data set that a run's page tells of: its name, where its page is, and the text."""
    found = re.findall(
        r'<p class="beside"><b>On <a href="(.*?)">(.*?)</a></b>(.*?)</p>',
        (run / "results.html").read_text(),
    )
    return {name: (link, text) for link, name, text in found}


def test_both_pages_link_to_the_other_and_agree(run):
    night = run.parent / "2026-02-01_evaluate_night"
    metrics = evaluated(night, run, night=[made_up_scores(30, seed=3)])["datasets"]["night"]
    assert told(run) == {}
    page = (run / "results.html").read_text()
    tell_run(night, run)
    link, text = told(run)["night"]
    assert link == "../2026-02-01_evaluate_night/results.html"
    assert (run / link).resolve() == night / "results.html"
    mean = metrics["ap"]["mean"]
    shown = [f"{mean[key]:.3f}"[1:] for key in ("value", "low", "high")]
    assert "mAP {} [{}, {}] (chance .500)".format(*shown) in text
    (headline,) = re.findall(r'"headline">(.*?)</p>', (night / "results.html").read_text())
    assert headline in text and ", split test: Warns of" in text
    back = '<a href="../2026-01-31_a%20run_gru/results.html">2026-01-31_a run_gru</a>'
    assert back in (night / "results.html").read_text()
    before, after = (re.split("<!--other sets-->.*?<!--end-->", one, flags=re.DOTALL)
                     for one in (page, (run / "results.html").read_text()))  # fmt: skip
    assert before == after, "nothing else of the page changes"
    assert remake(run, "none").read_text().count(link) == 1, "made again it still tells"


def test_of_each_data_set_the_latest_evaluation_counts(run):
    for day, skill in enumerate((0.0, 2.5)):
        folder = run.parent / f"2026-02-0{day + 1}_evaluate_a_b"
        sets = {name: [made_up_scores(30, skill=skill)] for name in ("a", "b")}
        evaluated(folder, run, **sets)
        tell_run(folder, run)
    assert {name: link for name, (link, _) in told(run).items()} == dict.fromkeys(
        ("a", "b"), "../2026-02-02_evaluate_a_b/results.html"
    )


def test_what_belongs_to_others_or_is_damaged_is_not_told(run, tmp_path):
    other = run.parent / "2026-02-01_evaluate_night"
    evaluated(other, run.parent / "another", night=[made_up_scores(30)])
    damaged = run.parent / "2026-02-02_evaluate_x"
    damaged.mkdir()
    for name, text in (("metrics.json", '{"datasets": 3}'), ("results.html", "")):
        (damaged / name).write_text(text)
    elsewhere = tmp_path / "elsewhere" / "2026-02-03_evaluate_night"
    evaluated(elsewhere, run, night=[made_up_scores(30)])
    assert "judged here" not in (other / "results.html").read_text()
    assert "judged here" not in (elsewhere / "results.html").read_text()
    for folder in (other, elsewhere):
        tell_run(folder, run)
    remake(run, "none")
    assert told(run) == {}


def test_names_stay_names_and_earlier_pages_stay_as_they_are(run):
    folder = run.parent / "2026-02-01_evaluate_x"
    evaluated(folder, run, **{"<b>x<!--end-->": [made_up_scores(30)]})
    tell_run(folder, run)
    assert list(told(run)) == ["&lt;b&gt;x&lt;!--end--&gt;"]
    (run / "results.html").write_text("<p>of an earlier version</p>")
    tell_run(folder, run)
    assert (run / "results.html").read_text() == "<p>of an earlier version</p>"
