"""Which clips are shown, and what their cards say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collision.metrics.curves import Curve
from collision.metrics.scored import Scored
from collision.report.clips import Clip, Clips
from collision.report.curve import LEFT, RIGHT, WIDTH, Axis, curve
from collision.report.footage import Footage
from collision.report.gallery import COUNTS, HARD, MAX_UNSCORED, WRONG, cards_of
from collision.report.gallery import RIGHT as SURE
from collision.report.judged import Judged
from tests.kit.report import made_up_clips, numbers_of
from tests.kit.scores import made_up_scores


def scored(rows, **tags) -> Scored:
    video, label, horizon, score = map(np.array, zip(*rows, strict=True))
    return Scored(video, video, label, horizon, score, {k: np.array(v) for k, v in tags.items()})


ROWS = [
    ("missed", 1, 0.5, 0.05),
    ("missed", 1, 1.0, 0.01),
    ("late", 1, 0.5, 0.58),
    ("false", 0, 0.5, 0.2),
    ("false", 0, 1.0, 0.99),
    ("warned", 1, 0.5, 0.3),
    ("warned", 1, 1.0, 0.97),
    ("quiet", 0, 0.5, 0.02),
    ("unread", 1, 0.5, np.nan),
]


def judged(*seeds: Scored, clips: Clips | None = None, curves=()) -> Judged:
    own = {n: list(c) for n, c in enumerate(curves)}
    found = Judged("set", "test", 9, scores=dict(enumerate(seeds)), curves=own)
    found.clips = clips or Clips()
    found.numbers = numbers_of(seeds)
    return found


def test_the_most_confident_wrong_and_right_and_the_hardest() -> None:
    cards = cards_of(judged(scored(ROWS)), {WRONG: 2, HARD: 1, SURE: 2})
    assert [(c.video, c.kind, c.choice) for c in cards] == [
        ("missed", "missed collision", WRONG),
        ("false", "false alarm", WRONG),
        ("unread", "no score", WRONG),
        ("late", "missed collision", HARD),
        ("warned", "warned", SURE),
        ("quiet", "no alarm", SURE),
    ]
    missed, false = cards[:2]
    assert (missed.score, missed.horizon, missed.error) == (0.05, "0.5", 0.95)
    assert (false.score, false.horizon) == (0.99, "1.0")
    assert [card.is_good for card in cards] == [False, False, False, False, True, True]


def test_any_number_of_clips_gives_a_page_of_bounded_length() -> None:
    most = sum(COUNTS.values()) + MAX_UNSCORED
    many = made_up_scores(672)
    assert len(cards_of(judged(many))) == sum(COUNTS.values())
    gone = replace(many, score=np.full(len(many), np.nan))
    cards = cards_of(Judged("set", "test", 9, scores={0: gone}))
    assert len(cards) == MAX_UNSCORED < most and {card.kind for card in cards} == {"no score"}


def test_several_seeds_count_by_their_mean_and_show_their_spread() -> None:
    low = scored([("a", 1, 0.5, 0.2), ("b", 0, 0.5, 0.1)])
    high = scored([("b", 0, 0.5, 0.3), ("a", 1, 0.5, 0.9)])  # in another order
    first = next(card for card in cards_of(judged(low, high)) if card.video == "a")
    assert first.score == pytest.approx(0.55) and first.by_seed == (0.2, 0.9)
    assert first.sd == pytest.approx(np.std([0.2, 0.9], ddof=1))


def test_within_clips_a_video_has_a_card_of_each_side() -> None:
    rows = [("a", 1, 0.5, 0.9), ("a", 0, 2.0, 0.8), ("b", 1, 0.5, 0.1), ("b", 0, 2.0, 0.2)]
    found = {(card.video, card.label): card.kind for card in cards_of(judged(scored(rows)))}
    assert found == {
        ("a", 1): "warned",
        ("a", 0): "false alarm",
        ("b", 1): "missed collision",
        ("b", 0): "no alarm",
    }


def test_a_curve_is_dense_where_there_are_dense_scores_else_of_the_cuts() -> None:
    one = scored([("a", 1, 0.5, 0.7), ("a", 1, 1.0, 0.4)])
    clips = made_up_clips(one)
    (card,) = cards_of(judged(one, clips=clips))
    assert [(line.times, line.scores) for line in card.lines] == [([2.0, 2.5], [0.4, 0.7])]
    assert card.cut == 2.5
    dense = Curve("a", "a", 1, 3.0, np.arange(0, 3, 0.5), np.linspace(0, 1, 6))
    (card,) = cards_of(judged(one, clips=clips, curves=[[dense]]))
    assert card.lines[0].is_dense and card.lines[0].times == dense.times.tolist()
    assert not card.lines[1].is_dense
    other = replace(dense, scores=np.linspace(0, 0.5, 6))
    (card,) = cards_of(judged(one, one, clips=clips, curves=[[dense], [other]]))
    assert card.lines[0].scores == pytest.approx(np.linspace(0, 0.75, 6))


def test_without_the_clips_times_count_back_from_the_event() -> None:
    (card,) = cards_of(judged(scored([("a", 1, 0.5, 0.7), ("a", 1, 1.5, 0.4)])))
    assert card.cut is None and card.lines[0].times == [-1.5, -0.5]
    axis = Axis.of(card, Footage())
    assert not axis.is_file and axis.start < -1.5 and axis.stop > 0
    assert ">event<" in curve(card, axis)


def test_the_picture_marks_cut_alert_event_threshold_and_alarms() -> None:
    one = scored([("a", 1, 0.5, 0.9), ("a", 1, 1.0, 0.4)])
    (card,) = cards_of(judged(one, clips=made_up_clips(one)))
    axis = Axis.of(card, Footage(start=0.0, stop=4.0))
    picture = curve(card, axis)
    inner = WIDTH - LEFT - RIGHT
    for kind, time in (("event", 3.0), ("alert", 1.5), ("cut", 2.5)):
        x = LEFT + inner * time / 4
        assert f'<line class="{kind}" x1="{x:.1f}"' in picture
    assert picture.count('class="dot alarm"') == 1 and picture.count('class="dot c0"') == 1
    assert 'class="threshold"' in picture
    assert "0.90 at 2.50 s; threshold 0.60" in picture.replace("0.40 at 2.00 s, ", "")


def test_a_missed_near_collision_is_called_so() -> None:
    rows = [("a", 1, 0.5, 0.1), ("b", 1, 0.5, 0.1), ("c", 0, 0.5, 0.1)]
    cards = cards_of(judged(scored(rows, variant=["near_collision", "collision", "harmless"])))
    assert {card.video: card.kind for card in cards} == {
        "a": "missed near-collision",
        "b": "missed collision",
        "c": "no alarm",
    }


def test_tags_are_those_of_the_clip() -> None:
    rows = [("a", 1, 0.5, 0.9), ("b", 0, 0.5, 0.1)]
    cards = cards_of(judged(scored(rows, light=["day", "night"])))
    assert {card.video: dict(card.tags) for card in cards} == {
        "a": {"light": "day"},
        "b": {"light": "night"},
    }


def test_a_clip_without_facts_is_drawn_all_the_same() -> None:
    one = scored([("a", 1, 0.5, 0.9)])
    clips = Clips(1.0, {"a": Clip("a", "/nowhere.mp4", None)})
    (card,) = cards_of(judged(one, clips=clips))
    assert card.clip and card.cut is None and card.lines[0].times == [-0.5]
