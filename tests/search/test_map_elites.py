"""Random at first, then changes to elites."""

import pytest

from collision.config import part
from collision.errors import ConfigError
from collision.search.proposing import suggested, values_of
from tests.kit.policies import planted, quest, search, space_of, study


@pytest.fixture
def space(tmp_path):
    return space_of(tmp_path)


def policy(**options):
    return part("policy", "map_elites", **options).build()


def test_random_at_first_then_changes_to_an_elite(space):
    own = study(space, policy(initial=10, changes=2, again=0.0))
    points = list(search(space, [own], 60, planted))
    for trial, point in zip(own.trials, points, strict=True):
        parents = trial.user_attrs["parents"]
        assert len(parents) == (trial.number >= 10)
        for parent in parents:
            assert parent < trial.number
            before = points[parent]
            both = before.values.keys() & point.values.keys()
            assert 1 <= sum(before.values[key] != point.values[key] for key in both) <= 2
            # The parent was the best of its niche at that time.
            rivals = [
                planted(one)
                for one in points[: trial.number]
                if all(one.cell[key] == before.cell[key] for key in ("backbone", "head"))
            ]
            assert planted(before) == max(rivals)


def test_an_elite_is_repeated_to_see_whether_it_was_lucky(space):
    own = study(space, policy(initial=5, again=1.0))
    points = list(search(space, [own], 20, planted))
    keys = {point.key for point in points[:5]}
    assert {point.key for point in points[5:]} <= keys
    rare = study(space, policy(initial=5, again=0.3))
    points = list(search(space, [rare], 200, planted))
    same = sum(
        points[parent].key == points[trial.number].key
        for trial in rare.trials
        for parent in trial.user_attrs["parents"]
    )
    assert 35 <= same <= 85


def test_the_best_of_more_rivals_is_better(space):
    scores = []
    for tournament in (1, 6):
        own = study(space, policy(initial=60, tournament=tournament))
        points = list(search(space, [own], 160, planted))
        parents = [one for t in own.trials for one in t.user_attrs["parents"]]
        scores.append(sum(planted(points[parent]) for parent in parents) / len(parents))
    assert scores[1] > scores[0] + 0.02


def test_what_others_tried_is_in_the_archive(space):
    """A confirmation, or a night at random before; the start is by what was asked."""
    own = study(space, policy(initial=2, again=0.0))
    best = space.named(
        {
            "backbone": "optical_flow",
            "head": "gru",
            "pooling": "mean",
            "loss": "bce",
            "optimizer.lr": 1e-3,
            "feature_dropout": 0.2,
            "head.cell": "gru",
        }
    )
    own.enqueue_trial(values_of(space, best))
    trial = own.ask()
    assert suggested(space, trial) == best
    own.tell(trial, planted(best))
    list(search(space, [own], 40, planted))
    parents = [trial.user_attrs.get("parents") for trial in own.trials]
    assert parents[:3] == [None, [], []] and all(parents[3:])
    assert [0] in parents


def test_without_a_score_it_goes_on_at_random(space):
    own = study(space, policy(initial=2))
    points = list(search(space, [own], 12, lambda *_: None))
    assert len({point.key for point in points}) == 12
    assert all(trial.user_attrs["parents"] == [] for trial in own.trials)


def test_a_lucky_seed_is_no_parent_for_long(space):
    """Its next seeds are told, and another elite takes its place."""
    own = study(space, policy(initial=1, again=0.5, axes=["pooling", "loss"]))
    lucky, steady = list(space.sample(40, seed=8))[:2]
    steady = space.named({**lucky.values, "head": "tcn", "backbone": steady.cell["backbone"]})
    for point, score in ((lucky, 0.95), (steady, 0.8), (lucky, 0.4), (lucky, 0.45)):
        own.enqueue_trial(values_of(space, point))
        trial = own.ask()
        suggested(space, trial)
        own.tell(trial, score)
    own.ask().relative_params  # noqa: B018 - the first, at random
    for number in range(5, 25):
        assert own.sampler.propose(own, number).parents == [1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"axes": ["backbone", "colour"]}, "its cells have no colour"),
        ({"axes": ["backbone"]}, "give two different dimensions"),
    ],
)
def test_wrong_axes_are_a_sentence(space, options, said):
    with pytest.raises(ConfigError, match=said):
        policy(**options).sampler(quest(space))


def test_a_space_without_the_usual_axes_says_what_there_is(tmp_path):
    space = space_of(tmp_path, {"head": ["gru", "tcn"], "loss": ["bce", "focal"]}, {})
    with pytest.raises(ConfigError, match=r"no backbone\. There are: head, loss\."):
        policy().sampler(quest(space))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"initial": -1}, "policy.initial=-1: give 0 or more"),
        ({"changes": 0}, "policy.changes=0: give 1 or more"),
        ({"step": 0.0}, "policy.step=0.0: give more than 0"),
        ({"again": 1.5}, "policy.again=1.5: give 1 or less"),
        ({"tournament": 0}, "policy.tournament=0: give 1 or more"),
    ],
)
def test_options_without_sense_are_a_sentence(option, said):
    with pytest.raises(ConfigError, match=said):
        policy(**option)
