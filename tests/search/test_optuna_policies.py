"""Every policy, through a study of its own; what is proper to random and tpe."""

import optuna
import pytest

from collision.config import names_of, part
from collision.errors import ConfigError
from collision.search.pareto import DIRECTIONS
from collision.search.proposing import Quest, seed_of, suggested
from collision.search.space import Space
from collision.search.storage import open_storage, open_study

MAP = [DIRECTIONS["map"]]
PLAIN = ("random", "tpe")


SPACE = Space.load("offline")


def points(folder, policy, count, space=SPACE, **quest):
    study = open_study(open_storage(None, folder), "a", MAP)
    draw = len(study.trials)
    made = Quest(space, MAP, **{"seed": 0, "worker": 0, "folder": folder, "draw": draw, **quest})
    study.sampler = part("policy", policy).build().sampler(made)
    found = []
    for number in range(count):
        trial = study.ask()
        found.append(suggested(space, trial))
        study.tell(trial, float(found[-1].cell["head"] == "gru") + number / 1000)
    return found


@pytest.mark.parametrize("policy", PLAIN)
def test_a_search_is_repeated_by_its_seed(policy, tmp_path):
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
    first = points(folders[0], policy, 30)
    assert [one.key for one in points(folders[1], policy, 30)] == [one.key for one in first]
    for folder, other in zip(folders[2:], ({"seed": 1}, {"worker": 1}), strict=True):
        assert [one.key for one in points(folder, policy, 5, **other)] != [
            one.key for one in first[:5]
        ]


@pytest.mark.parametrize("policy", PLAIN)
def test_a_worker_that_comes_back_does_not_draw_the_same_again(policy, tmp_path):
    first = points(tmp_path, policy, 5)
    again = points(tmp_path, policy, 5)
    assert not {one.key for one in first} & {one.key for one in again}


def test_seeds_differ_by_search_worker_and_time(tmp_path):
    made = {
        seed_of(Quest(SPACE, MAP, seed, worker, tmp_path, draw))
        for seed in range(4)
        for worker in range(4)
        for draw in range(4)
    }
    assert len(made) == 64


def test_tpe_learns_where_random_does_not(tmp_path):
    shares = {}
    for policy in PLAIN:
        (tmp_path / policy).mkdir()
        found = points(tmp_path / policy, policy, 80)
        shares[policy] = sum(one.cell["head"] == "gru" for one in found[40:]) / 40
    assert shares["tpe"] > 0.4 > 0.3 > shares["random"]


def test_tpe_refuses_nothing_at_all():
    for name in ("num_startup", "num_candidates"):
        with pytest.raises(ConfigError, match=f"policy.{name}=0"):
            part("policy", "tpe", **{name: 0}).build()


def test_tpe_takes_several_objectives(tmp_path):
    directions = [*MAP, DIRECTIONS["parameters"]]
    space = SPACE
    study = open_study(open_storage(None, tmp_path), "b", directions)
    quest = Quest(space, directions, 0, 0, tmp_path)
    study.sampler = part("policy", "tpe", num_startup=5).build().sampler(quest)
    for number in range(12):
        trial = study.ask()
        suggested(space, trial)
        study.tell(trial, [0.5 + number / 100, 10.0])
    assert {one.state for one in study.trials} == {optuna.trial.TrialState.COMPLETE}
    assert set(PLAIN) <= set(names_of("policy"))
