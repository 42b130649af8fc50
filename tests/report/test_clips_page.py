"""The page of many clips: what it says, and that nothing of a file's name gets out of its place."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from collision.metrics.alarms import Alarm
from collision.report.clips_page import ClipCard, headline, write_clips_page

HOSTILE = [
    "</script><script>alert(1)</script>",
    '" onload="alert(1)" x="',
    "${7*7} {{7*7}} <img src=x onerror=alert(1)>",
    "a&b<c>'d\"e",
    "行车\u202e4pm",
]


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text += data

    def all(self, tag, css=None):
        return [a for t, a in self.found if t == tag and css in (None, a.get("class"))]


def card(name="a", highest=0.9, alarms=(), **changes):
    times = np.arange(8) / 4
    values = np.array([np.nan, 0.1, 0.2, highest, 0.4, 0.3, np.nan, 0.2])
    part = times == 0.25
    given = {"first_time": 0.2, "duration": 2.0, "threshold": 0.5, "alarms": alarms, **changes}
    return ClipCard(name, f"/clips/{name}.mp4", times, values, part, **given)


def page_of(tmp_path, *cards, **more):
    write_clips_page(tmp_path / "page.html", cards, **more)
    return (tmp_path / "page.html").read_text()


def test_cards_come_by_their_highest_risk_and_failures_last(tmp_path):
    failed = ClipCard.without_scores("z", "/z.mp4", "it is broken")
    page = Elements(
        page_of(tmp_path, failed, card("low", 0.3), card("high", 0.95), card("mid", 0.6))
    )
    names = [article["data-name"] for article in page.all("article")]
    assert names == ["high", "mid", "low", "z"]
    assert [a["data-kind"] for a in page.all("article")] == ["quiet"] * 3 + ["failed"]
    assert page.all("article")[0]["data-peak"] == "0.950000"
    assert "it is broken" in page.text and "1 clip failed" in page.text


def test_the_headline_says_how_often_alarms_come_and_what_helps_against_brief_ones():
    brief, long = Alarm(1.0, 1.0, 1.0, 0.9), Alarm(1.0, 2.0, 1.0, 0.9)
    said = headline([card("a", alarms=[brief, brief], duration=1800), card("b", duration=1800)])
    assert said == "2 clips (1.0 h): 1 clip with 2 alarms (2.0 an hour)."
    said = headline([card("a", alarms=[brief, long, brief], duration=600)])
    assert "with 3 alarms (18 an hour). 2 of 3 alarms last no longer than a moment" in said
    assert "alarms.min_length=SECONDS" in said
    assert "moment" not in headline([card("a", alarms=[brief, long, long, brief])])


def test_numbers_of_a_card_are_those_of_the_clip(tmp_path):
    alarms = [Alarm(0.75, 1.0, 0.75, 0.9), Alarm(1.5, 1.75, 1.75, 0.7)]
    one = card("a", 0.9, alarms, event_time=1.9, distance=2.5, player="a.mp4", notes=["odd"])
    page = Elements(page_of(tmp_path, one))
    for words in (
        "highest 0.90 at 0.75 s",
        "2 alarms, the first at 0.75 s",
        "event at 1.90 s",
        "warned 1.15 s before",
        "0.75–1.00 s, highest 0.90",
        "distance from the training's videos: 2.50",
        "odd",
    ):
        assert words in page.text, words
    assert [b["data-time"] for b in page.all("button")] == ["0.750", "1.500"]
    (limit,) = page.all("line", "threshold")
    assert limit["y1"] == "50.0"
    (event,) = page.all("line", "event")
    assert float(event["x1"]) == pytest.approx(600 * 1.9 / 2)
    bands = [(float(r["x"]), float(r["width"])) for r in page.all("rect", "alarm")]
    assert bands == [(225.0, 75.0), (450.0, 75.0)]
    (risk,), (part,) = page.all("path", "risk"), page.all("path", "part")
    assert "L225.0 10.0" in risk["d"] and "75.0 90.0" in part["d"]  # .9 at .75 s; .1 at .25 s
    assert "nan" not in risk["d"] + part["d"]
    (video,) = page.all("video")
    assert video["src"] == "a.mp4" and video["preload"] == "none"


def test_a_long_curve_is_thinned_and_keeps_its_peaks(tmp_path):
    times, values = np.arange(40_000) / 4, np.full(40_000, 0.2)
    values[12_345], values[20_000:20_100] = 0.99, np.nan
    long = ClipCard("l", "l", times, values, values > 2, duration=10_000.0)
    page = page_of(tmp_path, long)
    assert len(page) < 120_000 and f"{12_345 / 40_000 * 600:.1f} 1.0" in page
    assert "nan" not in page.lower().split("<main>")[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(tmp_path, name):
    one = card(name, failure=name, player=name, notes=[name], links={name: name}, poster=name)
    text = page_of(tmp_path, one, warnings=[name], about=name)
    page = Elements(text)
    assert page.all("article")[0]["data-name"] == name
    assert len(page.all("script")) == 1 and not [a for t, a in page.found if t == "img"]
    for _, attributes in page.found:
        assert not [key for key in attributes if key.startswith("on")], attributes
    assert page.text.count(name) >= 4


def test_the_policy_lets_its_own_script_run_and_nothing_be_fetched(tmp_path):
    text = page_of(tmp_path, card(player="a.mp4"))
    page = Elements(text)
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and "http" not in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not [a for _, a in page.found if "style" in a]  # the policy would refuse it
    for _, attributes in page.found:
        for key in ("src", "href"):
            assert not attributes.get(key, "").startswith(("http", "//"))


def test_the_headline_counts():
    alarms = [Alarm(0.75, 1.0, 0.75, 0.9)]
    said = headline([card(alarms=alarms), card()])
    assert said == "2 clips (0.1 min): 1 clip with 1 alarm (900 an hour)."
    assert headline([card(threshold=None)]) == "1 clip (0.0 min)."
    assert headline([]) == "0 clips (0.0 min)."
