"""The page of a comparison: differences, slices, and the clips that differ most."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from collision.metrics.comparison import compare
from collision.report.clips import write_clips
from collision.report.compare_page import (
    Compared,
    as_json,
    differences_by_slice,
    differing_cards,
    sentences,
    write_compare_page,
)
from collision.report.tables import signed
from tests.kit.pages import Tags
from tests.kit.report import made_up_clips
from tests.kit.scores import made_up_scores


def compared(tmp_path, **scores) -> Compared:
    comparison = compare(scores, num_resamples=200)
    folders = dict.fromkeys(scores, tmp_path)
    return Compared(comparison, scores, folders, "made_up", "collision compare a b", "abc")


@pytest.fixture
def two(tmp_path):
    """The second is better, on one clip by far."""
    first = made_up_scores(40, seed=1, skill=1)
    second = made_up_scores(40, seed=1, skill=3)
    clip = second.video == "7_collision"
    second = replace(second, score=np.where(clip, 0.99, second.score))
    first = replace(first, score=np.where(clip, 0.01, first.score))
    write_clips(tmp_path, {"made_up": made_up_clips(first)})
    order = np.random.default_rng(0).permutation(len(second))
    return compared(tmp_path, a=[first], **{"<b>": [second.take(order)]})


def test_the_clips_that_differ_most_come_first(two):
    cards = differing_cards(two, most=5)
    assert len(cards) == 5
    first = cards[0]
    assert first.video == "7_collision" and first.score == pytest.approx(0.98)
    assert first.kind == "collision, nearer: <b>" and first.is_good
    assert [line.name for line in first.lines] == ["a", "<b>"]
    assert first.lines[0].scores == [0.01] * 3 and first.lines[1].scores == [0.99] * 3
    assert first.facts == ("a 0.01", "<b> 0.99")
    gaps = [card.error for card in cards]
    assert gaps == sorted(gaps, reverse=True)


def test_slices_are_compared_by_themselves(two):
    slices = {one.name: one for one in differences_by_slice(two)}
    assert set(slices) == {
        f"variant={v}" for v in ("collision", "near_collision", "harmless", "resolved")
    }
    first = two.aligned["a"][0]
    rows = (first.tags["variant"] == "collision") | (first.label == 0)
    own = {name: [one.take(rows) for one in seeds] for name, seeds in two.aligned.items()}
    expected = compare(own, num_resamples=200).differences["<b>"]
    assert slices["variant=collision"].differences["<b>"] == expected
    data = as_json(list(slices.values()))
    assert data["variant=collision"]["differences"]["<b>"]["value"] == expected.value


def test_the_page_is_whole_and_its_numbers_are_the_comparisons(two, tmp_path):
    slices = differences_by_slice(two)
    write_compare_page(tmp_path, two, slices)
    html = (tmp_path / "compare.html").read_text()
    tags = Tags()
    tags.feed(html)
    assert tags.open == [] and "b" in tags.seen and "<b>:" not in html
    one = two.comparison.differences["<b>"]
    interval = f"{signed(one.value)} [{signed(one.low)}, {signed(one.high)}]"
    (headline,) = re.findall(r'<p class="headline">(.*?)</p>', html)
    assert interval in headline and "&lt;b&gt; against a" in headline and "better" in headline
    for part in slices:
        assert signed(part.differences["<b>"].value) in html and part.name in html
    assert html.count('<article class="card') == 24
    assert html.count('class="risk cuts c') == 48


def test_a_sentence_for_each_verdict(tmp_path):
    same = made_up_scores(40, seed=1)
    few = [made_up_scores(9, seed=n) for n in range(2)]
    (chance,) = sentences(compared(tmp_path, a=[same], b=[same]).comparison)
    assert "no more than chance" in chance
    (little,) = sentences(compared(tmp_path, a=[few[0]], b=[few[1]]).comparison)
    assert "too little to say" in little
    worse = made_up_scores(60, seed=2, skill=0)
    better = made_up_scores(60, seed=3, skill=4)
    (said,) = sentences(compared(tmp_path, a=[better], b=[worse]).comparison)
    assert said.endswith("worse.")
    many = {name: [made_up_scores(9, seed=n)] for n, name in enumerate("abcdef")}
    assert list(sentences(compared(tmp_path, **many).comparison))[-1] == "2 more runs stand below."
