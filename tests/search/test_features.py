"""What trials learn from: no test split, each set once, within a limit."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import yaml

from collision.commands._compose import options_for
from collision.config import part
from collision.errors import ConfigError
from collision.learning.fit import fit_head
from collision.learning.head import HeadModel
from collision.search.features import Loaded, Shelf, feature_points, indexed, key_of
from collision.search.obstacles import without
from collision.search.space import Space
from tests.kit.features import SETUP, planted_splits
from tests.kit.layouts import nexar


def test_the_test_split_is_not_there(tmp_path):
    given = nexar.write(tmp_path / "nexar", "kaggle")
    options = options_for("train", [*given, "backbone=optical_flow", f"cache_root={tmp_path}"])
    whole = indexed(options)
    assert {record.split for record in whole.records.values()} == {"train", "val"}
    assert set(whole.folds[0].index.examples) == {"train", "val"}
    (tmp_path / "nexar" / "solution.csv").unlink()
    for file in (tmp_path / "nexar" / "test").iterdir():
        file.write_bytes(b"no video")
    again = indexed(options)
    assert again.folds[0].index.examples == whole.folds[0].index.examples


def test_moments_along_videos_are_not_read_for_nothing(tmp_path):
    given = [*nexar.write(tmp_path / "nexar"), "backbone=optical_flow", "sampling=anticipation"]
    options = options_for("train", [*given, f"cache_root={tmp_path}"])
    assert options.sampling.options["dense"]
    assert set(indexed(options).folds[0].index.examples) == {"train", "val"}


def shelf(limit, sizes):
    loads = []

    def load(options):
        loads.append(options.limit)
        return Loaded({}, None, sizes[options.limit])

    return Shelf(limit, load), loads


def asked(limit):
    sampling, backbone, data = (SimpleNamespace(target="x", options={}) for _ in range(3))
    extraction = SimpleNamespace(reader=None, precision=None, accelerator="cpu")
    return SimpleNamespace(
        limit=limit,
        sampling=sampling,
        backbone=backbone,
        dataset=data,
        extraction=extraction,
        val_fraction=0.2,
        skip_failures=False,
    )


def test_the_least_recently_used_features_go():
    kept, loads = shelf(100, {1: 40, 2: 40, 3: 40})
    for number in (1, 2, 1, 3, 1, 2):
        kept.get(asked(number))
    assert loads == [1, 2, 3, 2] and kept.num_bytes <= 100


def test_features_that_are_larger_than_the_limit_are_kept_alone():
    kept, loads = shelf(10, {1: 40, 2: 40})
    assert kept.get(asked(1)) is kept.get(asked(1))
    kept.get(asked(2))
    assert loads == [1, 2] and kept.num_bytes == 40


def test_features_hang_on_data_backbone_and_sampling_alone():
    base = options_for("train", ["backbone=optical_flow"])
    same = ("head=gru", "seed=3", "loss=focal", "trainer.max_steps=9", "components=null")
    for given in same:
        assert key_of(options_for("train", ["backbone=optical_flow", given])) == key_of(base)
    others = ("sampling.context=1", "limit=3", "backbone.width=96", "val_fraction=0.3")
    for given in others:
        assert key_of(options_for("train", ["backbone=optical_flow", given])) != key_of(base)


def test_what_is_solved_once_gives_what_each_training_solves(tmp_path):
    data = planted_splits()
    setup = replace(SETUP, prior=part("head", "logistic"), find_components=True)
    have = Loaded(data, None, 0)
    settled = have.settled(setup)
    assert settled == setup.settled(data["train"]) and have.settled(setup) == settled
    prior = have.prior(settled)
    assert prior is have.prior(settled) and isinstance(prior, HeadModel)
    from rich.console import Console

    from collision.learning.fit import Place

    places = [Place(tmp_path / name, 3, Console(quiet=True)) for name in "ab"]
    alone = fit_head(setup, data, places[0])
    warm = fit_head(settled, data, places[1], prior=prior)
    assert warm.best_value == alone.best_value
    weights = alone.best.state_dict()
    assert all(torch.equal(value, weights[n]) for n, value in warm.best.state_dict().items())
    assert have.prior(SETUP) is None


def space_of(folder, cells, **within):
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"cells": cells, "within": within}))
    return Space.load(str(file))


def test_few_points_need_all_features(tmp_path):
    space = space_of(
        tmp_path,
        {
            "head": ["gru", "linear", "tcn"],
            "backbone": ["optical_flow", "efficientnet_lite0"],
            "sampling.context": [1, 2],
        },
        **{"backbone.width": {"choices": [96, 128], "when": {"backbone": "optical_flow"}}},
    )
    points = feature_points(space)
    assert len(points) == 2 * 2 + 2 and {one.cell["head"] for one in points} == {"gru"}
    ranged = space_of(tmp_path, {"head": ["gru"]}, **{"sampling.context": {"low": 1, "high": 2}})
    with pytest.raises(ConfigError, match=r"sampling.context is a range"):
        feature_points(ranged)
    assert len(feature_points(Space.load("offline"))) == 9
    assert len(feature_points(Space.load("study"))) == 30


def test_what_cannot_be_had_is_left_out_or_refused():
    space = Space.load("offline")
    gone = {"lite0+flow": "no weights", "lite2+flow": "neither"}
    with pytest.raises(ConfigError) as error:
        without(space, gone, skip=False)
    text = str(error.value)
    assert "2 of 9 backbones of offline" in text and "lite2+flow: neither" in text
    assert "skip_unbuildable=true" in text
    left = without(space, gone, skip=True)
    assert left.size == space.size * 7 // 9 and without(space, {}, skip=False) is space
    everything = {choice.name: "no" for choice in space.cells[0].choices}
    with pytest.raises(ConfigError, match="None is left"):
        without(space, everything, skip=True)
