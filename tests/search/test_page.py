"""The page says what the trials say: its numbers are read back and held to them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from statistics import fmean, median

import numpy as np
import pytest
from PIL import Image

from collision.report.page import Picture
from collision.report.tables import number
from collision.search.heat import shade
from collision.search.outcomes import Outcome
from collision.search.page import write_page
from collision.search.space import Choice, Dimension, Range, Space
from collision.search.trials import CONFIRM, DONE, FAILED, RUNNING, SEARCH, Trial
from collision.search.words import command
from tests.kit.pages import Tags
from tests.kit.trials import search_of

START = "python train.py dataset=synthetic"
FACTS = {"policy": "tpe", "command": START}
NAMES = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg onload="window.hacked = 1">',
    "${oops} `x` *b* \\ | ![a](http://a.b/c.png)",
)


class Page(HTMLParser):
    """Tables as rows of texts, the data, and the texts of paragraphs, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.text, self.data, self.within, self.in_cell = "", "", "", False
        self.feed(text)
        self.columns = {c["key"]: values_of(c) for c in json.loads(self.data)["columns"]}

    def handle_starttag(self, tag, attrs) -> None:
        self.within = "data" if tag == "script" and ("id", "search-data") in attrs else tag
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag) -> None:
        self.within = "" if tag in ("script", "style") else self.within
        self.in_cell &= tag not in ("td", "th")

    def handle_data(self, data) -> None:
        if self.within == "data":
            self.data += data
        elif self.within not in ("script", "style"):
            self.text += data
            if self.in_cell:
                self.tables[-1][-1][-1] += data

    def table(self, corner: str) -> list[list[str]]:
        return next(table for table in self.tables if table[0][0] == corner)


def values_of(column):
    if "values" in column:
        return column["values"]
    return ["" if code is None else column["names"][code] for code in column["codes"]]


def write(folder, space, trials, **more) -> tuple[Page, str, str]:
    path = write_page(folder, "night <1>", space, trials, FACTS, **more)
    assert path == folder / "search.html"
    text = path.read_text()
    return Page(text), text, (folder / "search.md").read_text()


@pytest.fixture(scope="module")
def search() -> tuple[Space, list[Trial]]:
    return search_of(300, running=3)


@pytest.fixture(scope="module")
def ended(tmp_path_factory) -> tuple[Space, list[Trial], Page, str, str]:
    space, trials = search_of(300)
    return space, trials, *write(tmp_path_factory.mktemp("ended"), space, trials)


def test_the_table_holds_every_trial_exactly(tmp_path, search):
    space, trials = search
    page, _, _ = write(tmp_path, space, trials)
    columns = page.columns
    assert columns["number"] == [t.number for t in trials]
    assert columns["map"] == [t.value for t in trials]
    for name in ("state", "stage", "seed", "proposer", "cause"):
        assert columns[name] == [getattr(t, name) for t in trials]
    assert columns["parameters"] == [t.num_parameters for t in trials]
    for got, trial in zip(columns["seconds"], trials, strict=True):
        assert got == (trial.seconds and pytest.approx(trial.seconds, abs=1e-3))
    for one in space.dimensions:
        chosen = [t.point.values.get(one.key) for t in trials]
        if isinstance(one, Range):
            chosen = [None if name is None else float(name) for name in chosen]
        assert columns[f"choice {one.key}"] == [
            c if isinstance(one, Range) else c or "" for c in chosen
        ]
    data = json.loads(page.data)
    assert data["parents"] == [list(t.parents) for t in trials]
    assert data["retry_of"] == [t.retry_of for t in trials]


def test_each_command_trains_the_trial_again(ended):
    _, trials, page, _, _ = ended
    data = json.loads(page.data)
    for trial, tokens in zip(trials, data["commands"], strict=True):
        whole = " ".join([data["start"], *(data["tokens"][token] for token in tokens)])
        assert whole == command(trial, START)
        assert shlex.split(whole) == [*START.split(), *trial.point.overrides, f"seed={trial.seed}"]


def test_the_headline_names_the_confirmed_winner_and_the_tables_agree(ended):
    _, trials, page, _, markdown = ended
    fresh: dict[str, list[float]] = {}
    for trial in trials:
        if trial.stage == CONFIRM:
            fresh.setdefault(trial.experiment, []).append(trial.value)
    best = max(map(fmean, fresh.values()))
    headline = re.search(
        r"Confirmed: (.*) has (\.\d+) \[(.*?), (.*?)\] mAP .* 3 fresh seeds", page.text
    )
    assert headline and headline[2] == number(best)
    assert float(headline[3]) < best < float(headline[4])
    assert [row[1].split()[0] for row in page.table("experiment")[1:]] == [
        number(score) for score in sorted(map(fmean, fresh.values()), reverse=True)
    ]
    assert headline[0].replace("[", "\\[") in markdown
    luck = Outcome.of(trials).luck
    assert f"lie {number(luck)} above their mean" in page.text and f"lie {number(luck)}" in markdown
    counts = (
        f"{sum(t.state == DONE for t in trials)} done, {sum(t.state == FAILED for t in trials)}"
    )
    assert f"trials: {counts} failed" in page.text


def test_while_it_runs_nothing_is_called_best(tmp_path):
    space, trials = search_of(40, confirm=0, running=2)
    page, _, markdown = write(tmp_path, space, trials)
    cells: dict[str, list[float]] = {}
    for trial in trials:
        if trial.value:
            cells.setdefault(trial.experiment, []).append(trial.value)
    best = max(map(fmean, cells.values()))
    for text in (page.text, markdown):
        assert "Running, not confirmed: the best of" in text
        assert "Confirmed:" not in text
    assert f"has {number(best)} mAP" in page.text


def test_the_heat_map_says_best_mean_and_number(ended):
    space, trials, page, _, _ = ended
    rows = page.table("backbone \\ head")
    heads = rows[0][1:]
    assert heads == [choice.name for choice in space.cells[1].choices]
    seen = 0
    for name, *cells in rows[1:]:
        for head, cell in zip(heads, cells, strict=True):
            own = [
                t.value
                for t in trials
                if t.state == DONE
                and t.stage == SEARCH
                and (t.point.cell["backbone"], t.point.cell["head"]) == (name, head)
            ]
            seen += len(own)
            said = f"{number(max(own))}{number(fmean(own))} · {len(own)}" if own else "–"
            assert cell == said
    assert seen == sum(t.state == DONE and t.stage == SEARCH for t in trials)


def test_shades_rise_with_the_score_and_outliers_do_not_take_them_all():
    values = [0.1, 0.80, 0.82, 0.84, 0.86, 0.88]
    shades = [shade(value, values) for value in values]
    assert shades == sorted(shades) and shades[0] == shades[1] - shades[1] and shades[-1] == 8
    assert len(set(shades[1:])) >= 4
    assert shade(0.5, [0.5, 0.5]) == 4


def test_every_trial_is_a_mark(ended):
    _, trials, _, text, _ = ended
    (drawn,) = re.findall(r'id="growth-number".*?id="growth-hours"', text, re.DOTALL)
    marks = dict.fromkeys(("c", "ring", "failed"), 0)
    for css, path in re.findall(r'<path class="(?:dots )?(\w+)" d="([^"]*)"', drawn):
        kind = "c" if re.fullmatch(r"c\d", css) else css
        if kind in marks:
            marks[kind] += path.count("M")
    done = [t for t in trials if t.state == DONE]
    assert marks["c"] == sum(t.stage == SEARCH for t in done)
    assert marks["ring"] == sum(t.stage == CONFIRM for t in done)
    assert marks["failed"] == sum(t.state == FAILED for t in trials)


def test_the_medians_of_choices_are_theirs(ended):
    space, trials, _, text, _ = ended
    strips = re.findall(
        r'<span class="name">(.*?)</span><svg.*?</svg><span>(.*?)</span><span>(\d+)</span>', text
    )
    own: dict[str, list[float]] = {}
    for trial in trials:
        if trial.state == DONE and trial.stage == SEARCH:
            own.setdefault(trial.point.cell["head"], []).append(trial.value)
    for name, scores in own.items():
        assert (name, number(median(scores)), str(len(scores))) in strips
    assert len(strips) == sum(
        len({t.point.values[d.key] for t in trials if t.state == DONE and d.key in t.point.values})
        for d in space.dimensions
        if isinstance(d, Dimension)
    )


def test_a_front_where_objectives_ask_for_it_and_an_aside_where_sizes_are_known(tmp_path, search):
    space, trials = search
    page, _, markdown = write(tmp_path, space, trials)
    assert "Aside: the best by size of the head" in page.text and "## Aside" in markdown
    page, text, markdown = write(tmp_path, space, trials, objectives=("map", "windows_per_second"))
    assert "Pareto front" in page.text and "Aside" not in page.text and "## Pareto" in markdown
    assert text.count("large: on the front") == text.count('class="through"') == 1
    whole = ("map", "parameters", "windows_per_second")
    _, text, _ = write(tmp_path, space, trials, objectives=whole)
    assert text.count("large: on the front") == 2 and 'class="through"' not in text
    bare = [replace(t, num_parameters=None) for t in trials]
    page, _, _ = write(tmp_path, space, bare)
    assert "Aside" not in page.text and "parameters" not in page.columns


def test_hostile_names_are_text_in_page_and_markdown(tmp_path):
    cells = tuple(
        Dimension(f"{key}{NAMES[0]}", tuple(Choice(name, {"head": name}) for name in NAMES))
        for key in ("a", "b")
    )
    space = Space("<b>", "", cells, (Range(NAMES[1], 0.0, 1.0),))
    trials = []
    for i, point in enumerate(space.sample(40)):
        name, stage = NAMES[i % 4], CONFIRM if i > 35 else SEARCH
        more = {"proposer": name, "owner": name, "started": 1.0 * i, "ended": 2.0 * i}
        own = {"cause": name} if i % 5 == 0 else {"value": 0.5 + i / 100, "num_parameters": i}
        trials.append(Trial(i, DONE if "value" in own else FAILED, stage, point, i, **more, **own))
    path = write_page(tmp_path, NAMES[0], space, trials, {NAMES[1]: NAMES[2], "command": NAMES[3]})
    text = path.read_text()
    tags = Tags()
    tags.feed(text.replace("<br>", ""))
    assert "img" not in tags.seen and tags.seen.count("script") == 3  # the data, and two of ours
    assert text.count("onload=") == text.count("svg onload=&quot;") + json_part(text).count(
        "onload="
    )
    assert Page(text).columns["cause"] == [t.cause for t in trials]
    markdown = (tmp_path / "search.md").read_text()
    prose, _ = markdown.split("```sh")
    assert "<script" not in prose and "<img" not in prose
    assert not re.search(r"(?<!\\)\[", prose)


def json_part(text: str) -> str:
    return re.findall(r'id="search-data">(.*?)</script>', text, re.DOTALL)[0]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_trials_make_a_page(tmp_path, count):
    space, trials = search_of(count, confirm=0)
    page, text, markdown = write(tmp_path, space, trials)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert ("No trial has a score." in page.text) == (not any(t.value for t in trials))
    assert markdown.startswith("# Search night &lt;1>")


def test_trials_that_all_run_or_have_failed_make_a_page(tmp_path, search):
    space, trials = search
    for state in (RUNNING, FAILED):
        unscored = [replace(t, state=state, value=None, started=None, ended=None) for t in trials]
        page, _, _ = write(tmp_path, space, unscored)
        assert "No trial has a score" in page.text and len(page.columns["number"]) == len(trials)


def test_a_space_of_one_dimension_has_no_map(tmp_path):
    space = Space("one", "", (Dimension("head", (Choice("gru", {"head": "gru"}),)),))
    (point,) = space.sample(1)
    page, _, _ = write(tmp_path, space, [Trial(0, DONE, SEARCH, point, 0, value=0.5)])
    assert "head by" not in page.text and page.columns["choice head"] == ["gru"]


def test_a_further_picture_stands_in_the_page(tmp_path, search):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "archive.png")
    picture = Picture(tmp_path / "archive.png", "The archive of <MAP-Elites>")
    page, text, _ = write(tmp_path, *search, pictures=[picture])
    assert 'src="data:image/png;base64,' in text and "The archive of <MAP-Elites>" in page.text


def test_many_trials_make_a_page_that_is_not_large(tmp_path):
    space, trials = search_of(3000)
    page, text, _ = write(tmp_path, space, trials)
    assert len(page.columns["number"]) == len(trials) > 3000
    assert len(text) < 1_000_000
