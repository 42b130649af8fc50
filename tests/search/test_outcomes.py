from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from collision.metrics.luck import expected_best
from collision.search.outcomes import Outcome, hours, not_dominated
from collision.search.space import Point
from collision.search.trials import CONFIRM, DONE, FAILED, RUNNING, SEARCH, WAITING, Trial
from collision.search.words import about_failures, tiles
from tests.kit.trials import NOISE, search_of


def trial(number, head, value=None, *, seed=0, stage=SEARCH, state=DONE, **more) -> Trial:
    point = Point({"head": head}, {}, {"head": head})
    return Trial(number, state, stage, point, seed, value=value, **more)


def confirmed() -> list[Trial]:
    return [
        trial(0, "a", 0.90, seed=0),
        trial(1, "b", 0.86, seed=0),
        trial(2, "c", 0.88, seed=0),
        trial(3, "a", 0.81, seed=1, stage=CONFIRM),
        trial(4, "a", 0.83, seed=2, stage=CONFIRM),
        trial(5, "b", 0.85, seed=1, stage=CONFIRM),
        trial(6, "b", 0.84, seed=2, stage=CONFIRM),
    ]


def test_the_winner_is_named_by_fresh_seeds_alone():
    outcome = Outcome.of(confirmed())
    assert outcome.leader.point.cell == {"head": "a"}
    assert outcome.winner.point.cell == {"head": "b"}
    assert outcome.winner.score == pytest.approx(0.845)
    assert outcome.winner.search_score == 0.86
    assert [one.point.cell["head"] for one in outcome.experiments] == ["b", "a", "c"]


@pytest.mark.parametrize("state", [RUNNING, WAITING])
def test_nothing_is_named_while_a_confirmation_is_open(state):
    open_one = trial(7, "c", stage=CONFIRM, state=state)
    assert Outcome.of([*confirmed(), open_one]).winner is None
    searching = Outcome.of([*confirmed(), replace(open_one, stage=SEARCH)])
    assert searching.winner and searching.running and not searching.confirming


def test_the_spread_of_seeds_is_pooled_and_luck_is_of_the_experiments_of_the_search():
    outcome = Outcome.of(confirmed())
    # Fresh seeds: .81 .83 and .85 .84, a degree of freedom each; the search's own stand alone.
    assert outcome.spread.df == 2
    assert outcome.spread.sd == pytest.approx(np.sqrt((2 * 0.01**2 + 2 * 0.005**2) / 2))
    assert outcome.luck == pytest.approx(expected_best(3) * outcome.spread.sd)
    assert Outcome.of(confirmed()[:3]).luck is None
    twice = [trial(0, "a", 0.5, seed=1), trial(1, "a", 0.5, seed=1)]  # the same training
    assert Outcome.of(twice).spread is None


def test_the_planted_noise_is_found():
    _, trials = search_of(600)
    spread = Outcome.of(trials).spread
    assert spread.sd == pytest.approx(NOISE, rel=0.25)


def test_a_front_is_what_nobody_beats():
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 6, (100, 3)).astype(float)
    rows = np.concatenate([rows, rows])  # of two equal ones both stay
    wanted = [
        i
        for i, row in enumerate(rows)
        if not any((other >= row).all() and (other > row).any() for other in rows)
    ]
    assert sorted(not_dominated(rows)) == wanted
    assert not_dominated(rows[:0]) == []


def test_a_front_wants_high_scores_small_heads_and_high_rates():
    sizes = {
        "a": (0.9, 100, 10.0),
        "b": (0.8, 10, 10.0),
        "c": (0.7, 50, 10.0),
        "d": (0.6, 100, 99.0),
    }
    trials = [
        trial(i, head, value, num_parameters=size, windows_per_second=rate)
        for i, (head, (value, size, rate)) in enumerate(sizes.items())
    ]
    trials.append(trial(4, "e", 0.99))  # of which no size is known

    def heads(*objectives):
        return [one.point.cell["head"] for one in Outcome.of(trials).front(objectives)]

    assert heads("map", "parameters") == ["a", "b"]
    assert heads("map", "windows_per_second") == ["a", "d"]
    assert heads("map", "parameters", "windows_per_second") == ["a", "b", "d"]


def test_trials_lost_with_their_worker_are_told_apart_from_failures():
    trials = [
        trial(0, "a", state=FAILED, cause="its worker is gone", lost=True),
        trial(1, "a", 0.5, retry_of=0),
        trial(2, "b", state=FAILED, cause="no room"),
        trial(3, "b", 0.4, retry_of=2),
    ]
    outcome = Outcome.of(trials)
    assert [one.cause for one in outcome.failures()] == ["no room"] and outcome.retried() == (1, 1)
    assert about_failures(outcome) == (
        "1 of 4 trials failed; 1 were tried again, 1 of these came through. "
        "1 lost with their worker, asked again."
    )
    assert any("1 failed, 1 lost with their worker" in text for _, text in tiles(outcome))


def test_failures_are_grouped_but_for_their_numbers_and_retries_followed():
    trials = [
        trial(0, "a", state=FAILED, cause="out of memory: 12 MiB"),
        trial(1, "a", state=FAILED, cause="out of memory: 7.5 MiB", retry_of=0),
        trial(2, "a", 0.5, retry_of=1),
        trial(3, "b", state=FAILED, cause="no\nsuch file"),
        trial(4, "c", state=FAILED, cause=""),
        trial(5, "c", state=FAILED, cause="", retry_of=4),
    ]
    outcome = Outcome.of(trials)
    assert [(f.cause, len(f.trials)) for f in outcome.failures()] == [
        ("out of memory: 12 MiB", 2),
        ("no cause was noted", 2),
        ("no\nsuch file", 1),
    ]
    assert outcome.retried() == (2, 1)


def test_descent_and_gains_over_parents():
    trials = [
        trial(0, "a", 0.5, proposer="random"),
        trial(1, "b", 0.6, proposer="random"),
        trial(2, "c", 0.7, proposer="elites", parents=(0, 1)),
        trial(3, "d", 0.65, proposer="elites", parents=(2,)),
        trial(4, "e", state=FAILED, proposer="elites", parents=(2,)),
        trial(5, "f", 0.8, proposer="elites", parents=(3,)),
        trial(6, "f", 0.8, stage=CONFIRM, proposer="elites", parents=(5, 99)),
    ]
    outcome = Outcome.of(trials)
    assert outcome.deepest() == 4
    assert [one.number for one in outcome.line_of(outcome.winner)] == [5, 3, 2, 1]
    elites, random = outcome.proposals()
    assert (elites.proposer, len(elites.trials), elites.made_from_others) == ("elites", 4, 4)
    assert (elites.better, elites.compared) == (2, 3)
    assert random.compared == 0 and random.scores == (0.5, 0.6)


def test_a_score_that_is_none_counts_for_nothing():
    trials = [trial(0, "a", float("nan")), trial(1, "b"), trial(2, "c", 0.0)]
    outcome = Outcome.of(trials)
    assert [one.point.cell["head"] for one in outcome.experiments] == ["c"]
    assert outcome.tied() == 1


def warned(trials) -> str:
    return " ".join(Outcome.of(trials).warnings())


def test_warnings_come_when_they_must_and_not_otherwise():
    many = [trial(i, f"h{i}", 0.5 + i / 1000, seed=i) for i in range(57)]
    tied = [trial(60 + i, f"t{i}", 0.9) for i in range(3)]
    assert "3 of 60 trials share the best" not in warned([*many, *tied])  # 5 %, not more
    tied.append(trial(63, "t3", 0.9))
    assert "4 of 61 trials share the best score exactly" in warned([*many, *tied])
    assert "share" not in warned([*many[:30], *tied])  # too few to tell
    assert "Nothing is confirmed" in warned(many)
    assert "Nothing is confirmed" not in warned([*many, trial(90, "x", state=RUNNING)])
    assert warned(confirmed()) == ""
    assert "The winner has 2 fresh seeds, others have 3" in warned(
        [*confirmed(), trial(7, "a", 0.8, seed=3, stage=CONFIRM)]
    )
    failed = [trial(100 + i, "a", state=FAILED) for i in range(7)]
    assert "7 of 64 trials failed" in warned([*many, *failed])
    assert "trials failed" not in warned([*many, *failed[:6]])


def test_hours_of_the_clock_and_of_training():
    trials = [
        trial(0, "a", 0.5, started=0.0, ended=1800.0, seconds=1700.0, overhead=100.0),
        trial(1, "b", 0.5, started=0.0, ended=3600.0, seconds=3600.0),
    ]
    assert hours(trials) == (1.0, 1.5)
    assert hours([trial(0, "a")]) == (0.0, 0.0)
