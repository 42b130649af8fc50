"""What holds for each policy: whole points, workers in turn, restarts, retries, failures."""

import random

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from collision.config import part
from collision.errors import ConfigError
from collision.search.proposing import suggested, values_of
from collision.search.space import Space
from tests.kit.policies import planted, quest, search, space_of, study

OURS = ("qmc", "cmaes", "map_elites")


@pytest.fixture(params=OURS)
def policy(request):
    small = {"map_elites": {"initial": 8}}
    return part("policy", request.param, **small.get(request.param, {})).build()


@pytest.fixture
def space(tmp_path):
    return space_of(tmp_path)


def name_of(policy):
    return policy.__module__.rpartition(".")[2]


def by_chance(point, number):
    return random.Random(number).random()


def by_chance_or_not(point, number):
    return None if number % 5 == 3 else by_chance(point, number)


def test_two_workers_take_turns_on_a_journal(policy, space, tmp_path):
    workers = [study(space, policy, worker=w, journal=tmp_path / "journal") for w in range(2)]
    points = list(search(space, workers, 24, by_chance_or_not))
    check_whole(policy, space, points, workers[1].trials)


@pytest.mark.parametrize("name", ["offline", "study"])
def test_whole_points_of_the_spaces_that_are_shipped(policy, name):
    space = Space.load(name)
    own = study(space, policy)
    check_whole(policy, space, list(search(space, [own], 80, by_chance_or_not)), own.trials)


def check_whole(policy, space, points, trials):
    assert len(trials) == len(points)
    for point, trial in zip(points, trials, strict=True):
        assert trial.user_attrs["proposer"] == name_of(policy)
        assert space.named(values_of(space, point)) == point
        assert trial.params == values_of(space, point)  # as it was proposed, and nothing else
    assert len({point.key for point in points}) >= 0.8 * len(points)


def test_what_is_proposed_next_follows_from_the_study_alone(policy, space, tmp_path):
    """So a process that is killed loses nothing, and workers agree."""
    old = study(space, policy, journal=tmp_path / "journal")
    for count in (3, 12):
        list(search(space, [old], count, by_chance_or_not))
        new = study(space, policy, worker=1, journal=tmp_path / "journal")
        number = len(old.trials)
        proposal = old.sampler.propose(old, number)
        assert new.sampler.propose(new, number) == proposal
        assert new.sampler.propose(new, number) == proposal  # asked again, the same


def test_seeds_give_other_searches(policy, space):
    keys = [
        [point.key for point in search(space, [study(space, policy, seed)], 12, by_chance)]
        for seed in (0, 0, 1)
    ]
    assert keys[0] == keys[1] != keys[2]
    assert len({*keys[0], *keys[2]}) > 20


def test_a_retry_that_is_enqueued_disturbs_nobody(policy, space):
    """A trial fails, its point comes again; the others are those that would have come anyway."""

    def run(with_retry):
        own, proposed = study(space, policy), []
        for turn in range(30):
            trial = own.ask()
            point = suggested(space, trial)
            proposed.append(point.key)
            if with_retry and turn % 6 == 2:
                own.tell(trial, state=TrialState.FAIL)
                attrs = {"retry_of": trial.number, "proposer": "whoever"}
                own.enqueue_trial(values_of(space, point), user_attrs=attrs)
                trial = own.ask()
                assert suggested(space, trial).key == point.key
            own.tell(trial, planted(point))
        assert len(own.trials) == (35 if with_retry else 30)
        return proposed

    plain, retried = run(False), run(True)
    if name_of(policy) == "qmc":
        assert retried == plain
    assert len(set(retried)) >= 25


def test_a_waiting_point_of_nobody_is_no_trouble(policy, space):
    """A person enqueues what was never proposed, in the middle of a search with two workers."""
    storage = optuna.storages.InMemoryStorage()
    workers = [
        optuna.create_study(
            storage=storage,
            study_name="one",
            load_if_exists=True,
            direction="maximize",
            sampler=policy.sampler(quest(space, worker=worker)),
        )
        for worker in range(2)
    ]
    wanted = list(space.sample(4, seed=9))
    for point in wanted:
        workers[0].enqueue_trial(values_of(space, point))
    points = list(search(space, workers, 30, by_chance))
    assert points[:4] == wanted
    proposers = [trial.user_attrs.get("proposer") for trial in workers[0].trials]
    assert proposers == [None] * 4 + [name_of(policy)] * 26


def test_all_trials_may_fail(policy, space):
    own = study(space, policy)
    points = list(search(space, [own], 30, lambda *_: None))
    assert len({point.key for point in points}) == 30


@pytest.mark.parametrize(
    ("cells", "within"),
    [
        ({"backbone": ["optical_flow"], "head": ["gru", "linear", "tcn"]}, {}),
        (
            {"backbone": ["optical_flow"], "head": ["gru"]},
            {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}},
        ),
        (
            {"backbone": ["optical_flow", "efficientnet_lite0"], "head": ["gru", "linear"]},
            {"head.cell": {"choices": ["gru", "lstm"], "when": {"head": "gru"}}},
        ),
    ],
)
def test_spaces_of_choices_alone_and_of_one_range(policy, cells, within, tmp_path):
    space = space_of(tmp_path, cells, within)
    points = list(search(space, [study(space, policy)], 40, by_chance_or_not))
    tried = len({point.key for point in points})
    fewest, most = (20, 40) if "optimizer.lr" in within else (4, 6) if within else (3, 3)
    assert fewest <= tried <= most


def test_equal_scores_do_no_harm(policy, space):
    """On a small validation set many trials tie."""
    points = list(search(space, [study(space, policy)], 40, lambda *_: 0.5))
    assert len({point.key for point in points}) >= 30


@pytest.mark.parametrize("name", ["cmaes", "map_elites"])
def test_several_objectives_are_refused(name, space):
    with pytest.raises(ConfigError, match=rf"policy={name} .* one objective; the search has 2\."):
        part("policy", name).build().sampler(quest(space, objectives=2))


def test_qmc_takes_several_objectives(space):
    sampler = part("policy", "qmc").build().sampler(quest(space, objectives=2))
    own = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(5):
        trial = own.ask()
        suggested(space, trial)
        own.tell(trial, [0.5, 100])


def best(policy, space, seed, count):
    """The best true score, where the policy sees it with the noise of a seed."""
    own = study(space, policy, seed) if policy else optuna.create_study(direction="maximize")
    if not policy:
        own.sampler = RandomSampler(seed=seed)
    noise = random.Random(seed)
    points = search(space, [own], count, lambda point, _: planted(point) + noise.gauss(0, 0.01))
    return max(planted(point) for point in points)


@pytest.mark.parametrize("name", ["cmaes", "map_elites"])
def test_what_is_learned_beats_chance(name, space):
    """Of 12 searches of 200 trials; the planted best is 1."""
    policy = part("policy", name).build()
    pairs = [(best(policy, space, s, 200), best(None, space, s, 200)) for s in range(12)]
    won = sum(ours > theirs for ours, theirs in pairs)
    missing = [sum(1 - pair[side] for pair in pairs) / len(pairs) for side in (0, 1)]
    assert won >= 7 and missing[0] < 0.6 * missing[1], (won, missing)
