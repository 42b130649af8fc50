"""What ``results.html`` says is what ``metrics.json`` says; names of files stay names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from collision.errors import CheckpointError
from collision.report.cards import FOLDER
from collision.report.clips import Clip, Clips, write_clips
from collision.report.headline import headline
from collision.report.html import document, tag
from collision.report.judged import read_judged
from collision.report.run_page import remake
from tests.kit.curves import made_up_curves
from tests.kit.pages import Tags
from tests.kit.report import evaluated_run, made_up_clips, trained_run
from tests.kit.scores import made_up_scores
from tests.kit.video import numbered_frames, write_video

HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"onerror='alert(1)' x=\"",
    "${jndi:x}`${1}`",
    "![x](http://a.b/c.png) <img src=x onerror=alert(1)>",
    "]]><!--<svg onload=alert(1)>",
    "\x1b\u202e .mp4",
]


CARDS = 24  # of the run below: of its clips few are right


class Elements(HTMLParser):
    """Collects elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, name, attributes) -> None:
        self.found.append((name, dict(attributes)))

    def handle_data(self, data) -> None:
        self.text += data

    def of(self, name: str, kind: str = "") -> list[dict[str, str | None]]:
        found = [own for tag_, own in self.found if tag_ == name]
        return [one for one in found if kind in (one.get("class") or "").split()] if kind else found


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder / f"{n}.mp4", numbered_frames(80), fps=20) for n in range(2)]


@pytest.fixture(scope="module")
def run(tmp_path_factory, videos):
    """A run of two seeds with clips and dense curves; its metrics and its page."""
    folder = tmp_path_factory.mktemp("run")
    scores = [made_up_scores(30, seed=seed) for seed in range(2)]
    warnings = [{"name": "leaks", "message": "LEAKS: look out."}]
    curves = made_up_curves(30)
    about = {"clips": made_up_clips(scores[0], videos), "curves": curves, "warnings": warnings}
    metrics = trained_run(folder, *scores, **about)
    return folder, metrics, remake(folder).read_text()


def test_the_first_sentence_is_of_metrics_json(run):
    _, metrics, html = run
    (sentence,) = re.findall(r'<p class="headline">(.*?)</p>', html)
    one = metrics["warned"][0]
    recall, alarms = one["recall"], one["false_alarms"]
    numbers = [int(n) for n in re.findall(r"\d+(?= %| false)", sentence)]
    assert numbers == [round(100 * recall["value"]), round(100 * alarms["value"])]
    assert f"{metrics['warned'][0]['least_horizon']:.1f} s before or earlier" in sentence
    interval = f"{recall['value']:.1%} [{recall['low']:.1%}, {recall['high']:.1%}]"
    assert interval in html
    ap = metrics["ap"]["mean"]
    assert f"mAP {ap['value']:.3f} [{ap['low']:.3f}, {ap['high']:.3f}] (chance 0.500" in html
    assert "of the first of 2 seeds" in html


def test_near_collisions_are_named_where_the_data_set_tells_of_them(run, tmp_path):
    _, metrics, html = run
    both = "collisions and near-collisions"
    assert metrics["warned"][0]["near_collisions"] is True
    assert re.search(rf'"headline">Warns of \d+ % of {both}, .* in 100 clips with neither', html)
    assert html.count(both) >= 4
    assert f"{metrics['warned'][0]['positives']} {both}" in html
    scored = made_up_scores(30)
    plain = np.where(scored.label == 1, "collision", "harmless")
    trained_run(tmp_path, replace(scored, tags={"variant": plain}))
    alone = remake(tmp_path, "none").read_text()
    assert re.search(r'"headline">[^<]* % of collisions, [^<]* 100 clips without a coll', alone)
    assert "near-collision" not in alone


def test_what_is_not_shown_to_beat_chance_is_told_first_in_counts(run):
    folder, metrics, _ = run
    (judged,) = read_judged(folder, metrics)
    assert headline(judged).startswith("Warns of ")
    one = judged.numbers.warned[0]
    said = headline(replace(judged, warnings=[("no_better_than_chance", "It is not.")]))
    assert said.startswith("Not shown to be better than chance: it warns of ")
    counts = [int(n) for n in re.findall(r"\b(\d+)\b(?! s|\.\d)", said.replace("0.5 s", ""))]
    recall, alarms = one.recall.value * one.positives, one.false_alarms.value * one.negatives
    assert counts == [round(recall), one.positives, round(alarms), one.negatives]


def test_every_number_of_the_tiles_and_tables_is_of_metrics_json(run):
    _, metrics, html = run
    tiles = re.findall(r'<div class="tile"><b>(.*?)</b><span>(.*?)</span>', html)

    def short(value):
        return f"{value:.3f}".removeprefix("0")

    ap, auc = metrics["ap"]["mean"], metrics["auc"]["mean"]
    assert tiles[0] == (short(ap["value"]), f"[{short(ap['low'])}, {short(ap['high'])}]")
    assert tiles[1][0] == f"{metrics['warned'][0]['recall']['value']:.1%}"
    assert tiles[2][0] == f"{metrics['warned'][0]['false_alarms']['value']:.1%}"
    assert tiles[3] == (short(auc["value"]), f"[{short(auc['low'])}, {short(auc['high'])}]")
    assert tiles[4][0] == short(metrics["calibration"]["brier"]["value"])
    for name, one in metrics["slices"].items():
        assert (
            f'<td>{name}</td><td class="n" data-value="{short(one["ap"]["mean"]["value"])}"' in html
        )


def test_the_page_tells_all_that_a_run_left(run):
    folder, _, html = run
    for words in (
        *("LEAKS: look out.", "its clock is late", "unreadable", "python train.py head=gru"),
        *("abc1234def", "Recall before the event", "ROC (dotted: chance)", "Reliability diagram"),
        *("Precision and recall", "Examples by split", "step 9 of 12"),
    ):
        assert words in html, words
    assert html.index("LEAKS") < html.index("Average precision by time")
    assert (folder / "plots" / "roc.png").is_file() and (folder / "results.md").is_file()


def test_the_page_is_whole_and_lets_nothing_in(run):
    _, _, html = run
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    elements = Elements(html)
    (policy,) = [m["content"] for m in elements.of("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy and "unsafe-eval" not in policy and "file:" not in policy
    assert "script-src 'unsafe" not in policy
    for _, own in elements.found:
        for name in ("src", "href", "poster", "xlink:href"):
            assert (own.get(name) or "#").startswith(("#", "data:")), own
        assert not [name for name in own if name.startswith("on")]
    assert [m["content"] for m in elements.of("meta") if m.get("name") == "viewport"]


def test_cards_hold_what_filters_and_players_need(run):
    _, _, html = run
    elements = Elements(html)
    cards = elements.of("article", "card")
    assert len(cards) == len(elements.of("video")) == CARDS
    assert all(one["src"].startswith("data:video/mp4") for one in elements.of("video"))
    assert {card["data-choice"] for card in cards} == {"wrong", "hardest", "right"}
    assert {card["data-label"] for card in cards} == {"0", "1"}
    assert all(float(c["data-from"]) < float(c["data-to"]) for c in cards)
    assert {"variant"} == {name for c in cards for name, _ in json.loads(c["data-tags"])}
    assert len(elements.of("polyline", "risk")) >= CARDS
    choices = {one["name"] for one in elements.of("select")}
    assert choices == {"choice", "label", "kind", "horizon", "tag", "sort"}


def test_clips_beside_the_page_and_none(run):
    folder, _, before = run
    html = remake(folder, "link").read_text()
    names = [one["src"] for one in Elements(html).of("video")]
    assert len(names) == CARDS and all((folder / name).is_file() for name in names)
    assert "media-src data: 'self' file:" in html and len(html) < len(before)
    html = remake(folder, "none").read_text()
    assert not Elements(html).of("video") and len(Elements(html).of("img")) > CARDS
    assert not list((folder / FOLDER).glob("*.mp4")), "of the page that is gone"
    assert remake(folder, "none").read_text() == html, "made again it is the same"


def test_a_video_that_is_gone_leaves_its_card(tmp_path):
    scored = made_up_scores(6)
    trained_run(tmp_path, scored, clips=made_up_clips(scored))
    html = remake(tmp_path).read_text()
    assert html.count("The video is gone: there is no /nowhere/gone.mp4") == 12
    (tmp_path / "clips.json").unlink()  # as of a run of an earlier version
    html = remake(tmp_path).read_text()
    assert html.count("Where the clip lies is not known") == 12
    assert len(Elements(html).of("svg", "curve")) == 12


def test_names_from_files_stay_names(tmp_path):
    """Each name is that of a clip, of a tag, of its value, of a path, and in a warning."""
    scored = made_up_scores(8)
    ids = list(dict.fromkeys(scored.video.tolist()))
    names = {old: f"{new}{old}" for old, new in zip(ids, HOSTILE, strict=False)}
    video = np.array([names.get(one, one) for one in scored.video.tolist()])
    tags = {"variant": scored.tags["variant"], **{name: video for name in HOSTILE}}
    scored = replace(scored, video=video, tags=tags)
    clips = {
        one: Clip(one, f"/nowhere/{one}", None, cuts={"0.5": 1.0, "1.0": 0.5, "1.5": 0.2})
        for one in video.tolist()
    }
    warnings = [{"name": name, "message": name} for name in HOSTILE]
    trained_run(tmp_path, scored, clips=Clips(1.0, clips), warnings=warnings)
    html = remake(tmp_path).read_text(encoding="utf-8")
    whole = Tags()
    whole.feed(html)
    assert whole.open == []
    elements = Elements(html)
    assert len(elements.of("script")) == 2, "the page's own"
    assert not [own for _, own in elements.found if any(key.startswith("on") for key in own)]
    assert all(one["href"].startswith("#") for one in elements.of("a"))
    assert not elements.of("img") and not elements.of("iframe")
    shown = {card["data-name"] for card in elements.of("article", "card")}
    for name in HOSTILE[:4]:
        assert any(one.startswith(name) for one in shown), name
        assert name in elements.text


def test_an_evaluation_of_several_data_sets_is_one_page(tmp_path):
    evaluated_run(tmp_path, day=[made_up_scores(30)], night=[made_up_scores(30, seed=3, skill=0)])
    html = remake(tmp_path).read_text()
    assert len(re.findall(r'<p class="headline">', html)) == 2
    assert 'name="set"' in html and "All data sets" in html
    assert len(set(re.findall(r'<section id="(.*?)"', html))) == html.count("<section")
    assert "Evaluation of first" in html


def test_without_results_there_is_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match=r"resume=.*report runs"):
        remake(tmp_path)


def test_a_page_of_an_earlier_version_has_its_numbers(tmp_path):
    metrics = trained_run(tmp_path, made_up_scores(30))
    for name in ("warned", "examples"):
        del metrics[name]
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    html = remake(tmp_path).read_text()
    assert re.search(r'<p class="headline">MAP|<p class="headline">mAP 0\.', html)


def test_text_is_escaped_and_html_is_not():
    assert tag("p", "<b>", tag("i", "&"), title='"x"') == (
        '<p title="&quot;x&quot;">&lt;b&gt;<i>&amp;</i></p>'
    )
    assert "<title>&lt;a&gt;</title>" in document("<a>")


def test_no_list_of_clips_is_needed_to_write_one(tmp_path):
    write_clips(tmp_path, {})
    assert json.loads((tmp_path / "clips.json").read_text()) == {"format": 1, "datasets": {}}
