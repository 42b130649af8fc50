"""A point put together from parts is what the command line makes of its overrides."""

import math
from functools import partial

import pytest
import yaml

from collision.commands._compose import options_for
from collision.errors import ConfigError
from collision.search.recipe import Recipe
from collision.search.space import Space

COMPOSE = partial(options_for, "train")
BASE = ("trainer.max_steps=12", "sampling.seed=3", "optimizer.lr=0.5", "mixup=0.1", "limit=9")


def space_of(folder, cells, **within):
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"cells": cells, "within": within}))
    return Space.load(str(file))


def check(space, base, count, seed=0):
    recipe = Recipe.of(space, base, COMPOSE)
    for point in space.sample(count, seed=seed):
        found = recipe.options(point, space, 5)
        assert found == options_for("train", [*base, *point.overrides, "seed=5"]), point


def test_points_of_offline_are_what_train_makes_of_them(monkeypatch):
    space = Space.load("offline")
    # next_step takes no mixup, and the space has the rate.
    base = [one for one in BASE if not one.startswith(("mixup", "optimizer.lr"))]
    fused = [p for p in space.sample(60, seed=1) if "fusion" in p.within]
    plain = [p for p in space.sample(60, seed=1) if "fusion" not in p.within]
    monkeypatch.setattr(Space, "sample", lambda *_, **__: [*fused[:2], *plain[:1]])
    assert {p.changes["fusion"] for p in fused[:2]} & {"late", "gated"}
    check(space, base, 3)


def test_what_is_chosen_within_a_part_and_beside_parts(tmp_path):
    space = space_of(
        tmp_path,
        {
            "head": ["gru", {"name": "wide", "head": "tcn", "head.dropout": 0.3}],
            "trainer": [{"name": "short", "trainer.max_steps": 7, "mixup": 0.2}],
            "sampling.context": [1, 2],
        },
        **{
            "head.cell": {"choices": ["gru", "lstm"], "when": {"head": "gru"}},
            "prior": {"choices": [None, "logistic"]},
            "feature_dropout": {"low": 0.1, "high": 0.4},
        },
    )
    check(space, ["sampling.seed=3", "optimizer.lr=0.5", "limit=9"], 6)


def test_an_experiment_is_a_base(tmp_path):
    space = space_of(tmp_path, {"head": ["gru", "linear"], "loss": ["bce", "focal"]})
    check(space, ["experiment=nexar_vjepa2_zipformer", "seeds=1", "loss.pos_weight=2"], 4)


def test_what_does_not_go_together_is_a_sentence(tmp_path):
    space = space_of(
        tmp_path, {"trainer.max_steps": [5]}, **{"trainer.passes": {"low": 1, "high": 2}}
    )
    recipe = Recipe.of(space, [], COMPOSE)
    (point,) = space.sample(1)
    with pytest.raises(ConfigError, match="both say how long"):
        recipe.options(point, space, 0)


@pytest.mark.parametrize(
    "given", ["seeds=3", "folds=2", "evaluate_on=[ccd]", "init_from=runs/latest", "logger=wandb"]
)
def test_what_a_search_does_in_its_own_way_is_refused(tmp_path, given):
    space = space_of(tmp_path, {"head": ["gru", "linear"]})
    with pytest.raises(ConfigError, match=given.partition("=")[0]):
        Recipe.of(space, [given], COMPOSE)


@pytest.mark.parametrize("given", ["head=tcn", "head.dropout=0.1", "trainer.max_steps=9"])
def test_what_each_point_sets_itself_is_refused(tmp_path, given):
    cells = {"head": ["gru", {"name": "wide", "head": "tcn", "head.dropout": 0.3}]}
    space = space_of(tmp_path, cells, **{"trainer.max_steps": {"choices": [5, 6]}})
    with pytest.raises(ConfigError, match=f"{given}: the space has {given.partition('=')[0]}"):
        Recipe.of(space, ["head.hidden=8", given], COMPOSE)


def test_numbers_survive_the_way_of_a_command_line(tmp_path):
    space = space_of(
        tmp_path, {"head": ["gru"]}, **{"optimizer.lr": {"low": 1e-9, "high": 1e-2, "log": True}}
    )
    check(space, [], 6, seed=3)
    recipe = Recipe.of(space, [], COMPOSE)
    (point,) = space.sample(1, seed=8)
    rate = recipe.options(point, space, 0).optimizer.options["lr"]
    assert math.isclose(rate, point.changes["optimizer.lr"], rel_tol=1e-12)
