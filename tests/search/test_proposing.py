"""Between a policy and Optuna: what is proposed is what runs, whole and said by whom."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler

from collision.errors import ConfigError
from collision.search.proposing import (
    OwnSampler,
    Proposal,
    distributions,
    suggested,
    values_of,
)
from collision.search.space import Range, Space
from tests.kit.policies import quest, space_of


class Listed(OwnSampler):
    """Proposes what it is given, in turn."""

    def __init__(self, space, proposals):
        super().__init__(quest(space))
        self.proposals = iter(proposals)

    def propose(self, study, number):
        return next(self.proposals)


@pytest.fixture
def space(tmp_path):
    return space_of(tmp_path)


@pytest.mark.parametrize("name", ["offline", "study", "full"])
def test_a_point_goes_to_optuna_and_back(name):
    space = Space.load(name)
    listed = distributions(space)
    for point in space.sample(100, seed=2):
        values = values_of(space, point)
        assert space.named(values) == point
        assert set(values) == set(point.values) <= set(listed)
        for key, value in values.items():
            assert listed[key]._contains(listed[key].to_internal_repr(value))


def test_the_distributions_are_those_of_the_space(space):
    listed = distributions(space)
    assert [*listed] == [dimension.key for dimension in space.dimensions]
    assert listed["head"] == CategoricalDistribution(["gru", "linear", "tcn", "transformer"])
    rate = listed["optimizer.lr"]
    assert (rate.low, rate.high, rate.log) == (1e-5, 1e-1, True)
    assert not listed["feature_dropout"].log


def test_what_is_proposed_runs_with_who_did_and_from_what(space):
    points = list(space.sample(30, seed=1))
    noted = [{"why": f"reason {number}"} for number in range(30)]
    proposals = [
        Proposal(values_of(space, point), f"agent {number}", [number], noted[number])
        for number, point in enumerate(points)
    ]
    study = optuna.create_study(direction="maximize", sampler=Listed(space, proposals))
    for number, point in enumerate(points):
        trial = study.ask()
        assert suggested(space, trial) == point
        assert trial.user_attrs == {
            "proposer": f"agent {number}",
            "parents": [number],
            **noted[number],
        }
        assert set(trial.params) == set(point.values)  # nothing that plays no part there
        study.tell(trial, 0.5)


def test_names_are_taken_as_numbers_of_ranges(space):
    """What a language model answers, or ``Point.values``."""
    (point,) = space.sample(1)
    proposal = Proposal(point.values, "somebody")
    study = optuna.create_study(sampler=Listed(space, [proposal]))
    assert suggested(space, study.ask()) == point


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"head": "none"}, "head=none is no choice of the space"),
        ({"optimizer.lr": 1.0}, "optimizer.lr=1.0 is not in the space's range"),
        ({"optimizer.lr": float("nan")}, "not in the space's range"),
        ({"colour": 1}, "has no colour"),
        ({"pooling": None}, "needs pooling"),
    ],
)
def test_what_is_no_point_of_the_space_is_a_sentence(space, change, said):
    (point,) = space.sample(1)
    values = {**values_of(space, point), **change}
    kept = {key: value for key, value in values.items() if value is not None}
    study = optuna.create_study(sampler=Listed(space, [Proposal(kept, "somebody")]))
    with pytest.raises(ConfigError, match=said):
        suggested(space, study.ask())


def test_a_policy_never_leaves_a_dimension_to_chance(space):
    """Optuna would ask ``sample_independent``: of what is not in the space, for instance."""
    points = [Proposal(values_of(space, point), "somebody") for point in space.sample(1)]
    trial = optuna.create_study(sampler=Listed(space, points)).ask()
    with pytest.raises(AssertionError, match="lacked a dimension"):
        trial.suggest_float("trainer.max_steps", 1, 5)


def test_an_enqueued_point_runs_and_no_policy_is_asked(space):
    (point,) = space.sample(1, seed=4)
    study = optuna.create_study(sampler=Listed(space, []))
    study.enqueue_trial(values_of(space, point), user_attrs={"retry_of": 3})
    trial = study.ask()
    assert suggested(space, trial) == point
    assert trial.user_attrs == {"retry_of": 3}


def test_optunas_own_sampler_draws_points_with_what_applies(space):
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(60):
        trial = study.ask()
        point = suggested(space, trial)
        assert ("loss.gamma" in point.within) == (point.cell["loss"] == "focal")
        assert ("head.cell" in point.within) == (point.cell["head"] == "gru")
        assert set(trial.params) == set(point.values)
        for dimension in space.within:
            if isinstance(dimension, Range) and dimension.key in point.within:
                assert dimension.low <= point.changes[dimension.key] <= dimension.high
        study.tell(trial, 0.0)
