"""The distribution is made of the study's finished trials, whoever asks and whatever fails."""

import math
import random
import warnings
from datetime import timedelta

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from collision.config import part
from collision.errors import ConfigError
from collision.search.proposing import suggested, values_of
from tests.kit.policies import planted, quest, search, space_of, study

POPULATION = 6


@pytest.fixture
def space(tmp_path):
    return space_of(tmp_path)


@pytest.fixture
def policy():
    return part("policy", "cmaes", population=POPULATION).build()


def generation(study):
    """The generation in which the next point would be drawn."""
    return study.sampler.propose(study, len(study.trials)).notes["cmaes"]["generation"]


def asked(space, study):
    trial = study.ask()
    return trial, suggested(space, trial)


def test_the_distribution_moves_with_each_population(space, policy):
    own = study(space, policy)
    for number in range(4 * POPULATION):
        assert generation(own) == number // POPULATION
        list(search(space, [own], 1, planted))


def test_failed_and_running_trials_do_not_break_a_generation(space, policy):
    own = study(space, policy)
    for _ in range(POPULATION):
        assert generation(own) == 0
        own.tell(asked(space, own)[0], state=TrialState.FAIL)
        asked(space, own)  # a worker that is killed: it never tells
        trial, point = asked(space, own)
        own.tell(trial, planted(point))
    assert generation(own) == 1
    assert len(own.trials) == 3 * POPULATION


def test_a_retry_counts_for_the_trial_that_failed(space, policy):
    own, other = study(space, policy), study(space, policy)
    for number in range(POPULATION):
        trial, point = asked(space, own)
        twin, same = asked(space, other)
        assert same == point
        other.tell(twin, planted(point))
        if number == 2:
            own.tell(trial, state=TrialState.FAIL)
            given, at = (trial.number, point)
        else:
            own.tell(trial, planted(point))
    assert generation(own) == 0
    for _ in range(2):  # the first retry fails, too
        own.enqueue_trial(values_of(space, at), user_attrs={"retry_of": given})
        trial, point = asked(space, own)
        assert point == at
        if trial.number == POPULATION:
            given = trial.number
            own.tell(trial, state=TrialState.FAIL)
        else:
            own.tell(trial, planted(point))
    assert generation(own) == 1
    assert own.sampler.propose(own, 99) == other.sampler.propose(other, 99)


def test_points_of_others_are_not_told(space, policy):
    """A confirmation of the best, a person's own, a night with another policy."""
    own = study(space, policy)
    list(search(space, [own], 3, planted))
    for number, point in enumerate(space.sample(10, seed=5)):
        attrs = {"retry_of": 10_000} if number % 2 else {}
        own.enqueue_trial(values_of(space, point), user_attrs=attrs)
        trial, _ = asked(space, own)
        own.tell(trial, 0.9)
    foreign = own.trials[-1]
    own.add_trial(
        create_trial(params=foreign.params, distributions=foreign.distributions, value=1.0)
    )
    assert generation(own) == 0
    list(search(space, [own], 3, planted))
    assert generation(own) == 1


def test_what_does_not_apply_is_drawn_and_not_used(space, policy):
    own = study(space, policy)
    points = list(search(space, [own], 30, planted))
    assert {"loss.gamma" in point.within for point in points} == {True, False}
    for point, trial in zip(points, own.trials, strict=True):
        noted = trial.user_attrs["cmaes"]
        assert len(noted["raw"]) == 3 and len(noted["picked"]) == 5
        assert ("loss.gamma" in trial.params) == (point.cell["loss"] == "focal")
        rate = point.changes["optimizer.lr"]
        unit = min(max(noted["raw"][0], 0), 1)
        assert math.log10(rate) == pytest.approx(-5 + 4 * unit, abs=1e-5)


def test_draws_beyond_a_range_are_cut_to_it(space):
    own = study(space, part("policy", "cmaes", spread=1.0).build())
    points = list(search(space, [own], 40, planted))
    assert {point.changes["feature_dropout"] for point in points} >= {0.0, 0.5}
    raw = [one for trial in own.trials for one in trial.user_attrs["cmaes"]["raw"]]
    assert min(raw) < 0 and max(raw) > 1


def test_the_spread_is_that_of_the_first_draws(space):
    for spread in (0.05, 0.2):
        own = study(space, part("policy", "cmaes", spread=spread, population=500).build())
        list(search(space, [own], 150, planted))
        raw = np.array([trial.user_attrs["cmaes"]["raw"] for trial in own.trials])
        assert np.allclose(raw.mean(axis=0), 0.5, atol=0.3 * spread)
        assert np.allclose(raw.std(axis=0), spread, rtol=0.25)


def test_it_finds_the_choices_and_the_rate(space, policy):
    own = study(space, policy)
    points = list(search(space, [own], 200, planted))[-40:]
    assert sum(point.cell["head"] == "gru" for point in points) >= 25
    assert sum(point.cell["pooling"] == "mean" for point in points) >= 25
    rates = sorted(math.log10(point.changes["optimizer.lr"]) for point in points)
    assert rates[20] == pytest.approx(-3, abs=0.5)


def test_many_workers_lose_little(space, policy):
    """With 12 at once, what ended one generation late still moves the distribution."""
    storage = optuna.storages.InMemoryStorage()
    workers = [
        optuna.create_study(
            storage=storage,
            study_name="one",
            load_if_exists=True,
            direction="maximize",
            sampler=policy.sampler(quest(space, worker=worker)),
        )
        for worker in range(12)
    ]
    running, points, order = [], [], random.Random(0)
    for _ in range(240):
        if len(running) == len(workers):
            own, trial, point = running.pop(order.randrange(len(running)))
            own.tell(trial, planted(point))
        else:
            own = workers[len(running)]
        running.append((own, *asked(space, own)))
        points.append(running[-1][2])
    assert generation(workers[0]) >= 0.6 * 228 / POPULATION
    first, last = (sum(map(planted, some)) / 60 for some in (points[:60], points[-60:]))
    assert last > first + 0.05


def test_a_clock_that_is_behind_makes_no_difference_between_workers(space, policy):
    """A trial comes to light that ended, by its machine's clock, before others that were told."""
    own = study(space, policy)
    list(search(space, [own], 2 * POPULATION + 2, planted))
    assert generation(own) == 2
    late = own.trials[POPULATION + 1]
    own.add_trial(
        create_trial(
            params=late.params,
            distributions=late.distributions,
            user_attrs=late.user_attrs,
            value=2.0,
        )
    )
    stored = own.get_trials(deepcopy=False)[-1]
    stored.datetime_complete = own.trials[0].datetime_complete - timedelta(seconds=1)
    fresh = policy.sampler(quest(space))
    number = len(own.trials)
    assert own.sampler.propose(own, number) == fresh.propose(own, number)


def test_flat_scores_and_one_range_raise_no_warning(tmp_path):
    space = space_of(tmp_path, {"head": ["gru"]}, {"feature_dropout": {"low": 0, "high": 0.5}})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        own = study(space, part("policy", "cmaes").build())
        list(search(space, [own], 60, lambda *_: 0.5))
        assert generation(own) >= 10


RANGES = {"feature_dropout": {"low": 0, "high": 0.5}, "optimizer.lr": {"low": 1e-4, "high": 1e-1}}


def near(target):
    return lambda point, _: -((point.changes["feature_dropout"] - target) ** 2)


@pytest.mark.parametrize("converged", [None, 0.01])
def test_once_it_has_converged_it_begins_anew(tmp_path, converged):
    """Without restarts the last draws lie within a thousandth of each other."""
    space = space_of(tmp_path, {"head": ["gru", "linear"]}, RANGES)
    own = study(space, part("policy", "cmaes", population=8, converged=converged).build())
    list(search(space, [own], 500, lambda point, _: planted_twice(point)))
    noted = [trial.user_attrs["cmaes"] for trial in own.trials]
    spread = np.std([one["raw"] for one in noted[-100:]], axis=0).max()
    if converged is None:
        assert {one["restarts"] for one in noted} == {0} and spread < 1e-3
        return
    assert noted[-1]["restarts"] >= 1 and spread > 0.01
    starts = [n for n, one in enumerate(noted) if one["restarts"] == 1]
    first = noted[starts[0] : starts[0] + 16]  # a population of twice 8
    assert {(one["restarts"], one["generation"]) for one in first} == {(1, 0)}
    assert noted[starts[16]]["generation"] == 1
    before = np.array([one["raw"] for one in noted[starts[0] - 8 : starts[0]]])
    assert before.std(axis=0).max() < 0.03
    assert np.array([one["raw"] for one in first]).std(axis=0).min() > 0.08


def planted_twice(point):
    at = 0.2 if point.cell["head"] == "gru" else 0.4
    away = (point.changes["feature_dropout"] - at) ** 2
    return (point.cell["head"] == "gru") - away - point.changes["optimizer.lr"]


def test_choices_alone_converge_too(tmp_path):
    space = space_of(tmp_path, {"head": ["gru", "linear", "tcn"], "loss": ["bce", "focal"]}, {})
    own = study(space, part("policy", "cmaes", population=6).build())
    list(search(space, [own], 200, lambda point, _: float(point.cell["head"] == "gru")))
    assert own.trials[-1].user_attrs["cmaes"]["restarts"] >= 1


def test_whoever_asks_restarts_at_the_same_trial(tmp_path):
    """And trials that were drawn before a restart say nothing after it."""
    space = space_of(tmp_path, {"head": ["gru"]}, RANGES)
    policy = part("policy", "cmaes", population=6, converged=0.05).build()
    own = study(space, policy)
    late, _ = asked(space, own)
    count = 0
    while generation_of(own)["restarts"] == 0:
        list(search(space, [own], 1, near(0.3)))
        count += 1
        assert count < 500
    own.tell(late, 1.0)
    assert generation_of(own) == {"restarts": 1, "generation": 0}
    list(search(space, [own], 11, near(0.3)))
    assert generation_of(own) == {"restarts": 1, "generation": 0}  # 11 of 12: `late` is not one
    list(search(space, [own], 1, near(0.3)))
    assert generation_of(own) == {"restarts": 1, "generation": 1}
    fresh, number = policy.sampler(quest(space)), len(own.trials)
    assert own.sampler.propose(own, number) == fresh.propose(own, number)


def generation_of(study):
    notes = study.sampler.propose(study, len(study.trials)).notes["cmaes"]
    return {name: notes[name] for name in ("restarts", "generation")}


def test_a_space_without_a_choice_is_a_sentence(tmp_path):
    space = space_of(tmp_path, {"head": ["gru"], "loss": ["bce"]}, {})
    with pytest.raises(ConfigError, match="space mine leaves nothing to choose"):
        part("policy", "cmaes").build().sampler(quest(space))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"population": 3}, "policy.population=3: give 4 or more"),
        ({"spread": 0}, "policy.spread=0: give more than 0"),
        ({"spread": 2.0}, "policy.spread=2.0: give 1 or less"),
        ({"converged": 0}, "policy.converged=0: give more than 0"),
    ],
)
def test_options_without_sense_are_a_sentence(option, said):
    with pytest.raises(ConfigError, match=said):
        part("policy", "cmaes", **option).build()
