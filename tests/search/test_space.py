import itertools
import json
from functools import lru_cache
from types import SimpleNamespace

import pytest
import torch
import yaml

from collision.api import list_backbones
from collision.commands._compose import options_for
from collision.config import names_of, part
from collision.errors import ConfigError
from collision.learning.asked import setup_of
from collision.learning.head import is_chosen, is_solved
from collision.learning.losses import Targets, build_loss
from collision.search.space import Space

SPACES = names_of("space")


def write(folder, cells, **within):
    file = folder / "mine.yaml"
    file.write_text(
        f"# Mine.\n{yaml.safe_dump(sort_keys=False, data={'cells': cells, 'within': within})}"
    )
    return str(file)


@lru_cache
def feature_dims(changes):
    """D of each backbone, without its weights."""
    options = json.loads(changes)
    name = options.pop("backbone")
    if name == "fusion":
        return [
            d for n in options["backbone.parts"] for d in feature_dims(f'{{"backbone": "{n}"}}')
        ]
    (found,) = (one for one in list_backbones() if one.name == name)
    own = {k.removeprefix("backbone."): v for k, v in options.items()}
    return [found.spec(**own)["feature_dim"]]


def source_of(point):
    """What setting a training up asks of the features."""
    own = {k: v for k, v in point.changes.items() if k.partition(".")[0] == "backbone"}
    dims = feature_dims(json.dumps({"backbone": "efficientnet_lite0", **own}))
    parts = [SimpleNamespace(spec=SimpleNamespace(feature_dim=dim)) for dim in dims]
    return SimpleNamespace(parts=parts), sum(dims)


def test_the_study_has_108_000_cells_and_its_core_19_200():
    assert Space.load("study").size == 108_000 == 6 * 5 * 4 * 3 * 300
    assert Space.load("core").size == 19_200


def test_the_parts_that_the_study_names_are_there():
    cells = {d.key: {c.name for c in d.choices} for d in Space.load("study").cells}
    assert cells["head"] == {"zipformer", "retnet", "bimamba", "hybrid", "gru"}
    assert cells["pooling"] == {"attention", "mean", "last", "max"}
    assert cells["loss"] == {"focal", "bce", "label_smoothing"}
    assert len(cells["backbone"]) == 6


def test_full_has_every_part():
    cells = {d.key: d.choices for d in Space.load("full").cells}
    solved = {n for n in names_of("head") if is_chosen(part("head", n))}
    solved |= {n for n in set(names_of("head")) - solved if is_solved(part("head", n))}
    left_out = {"head": solved, "backbone": {"timm_image"}}
    for group in ("backbone", "head", "pooling", "loss", "optimizer", "scheduler"):
        named = {choice.changes[group] for choice in cells[group]}
        assert named == set(names_of(group)) - left_out.get(group, set())


@pytest.mark.parametrize("name", SPACES)
def test_a_sample_trains_a_step_and_scores(name):
    """Without the layouts of 36 to 109 million parameters, most of the time: the slow one's."""
    points = Space.load(name).sample(60, seed=1)
    light = [one for one in points if not one.changes["head"].startswith("zipformer_study")]
    try_cells(light[:30])
    assert len(light) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_large_sample_trains_a_step_and_scores(name):
    try_cells(Space.load(name).sample(300, seed=1))


def try_cells(points):
    for point in points:
        try:
            try_cell(point)
        except Exception as error:
            raise AssertionError(f"python train.py {' '.join(point.overrides)}") from error


def try_cell(point):
    torch.manual_seed(0)
    options = options_for("train", [*point.overrides, "prior=null", "components=null"])
    source, dim = source_of(point)
    setup = setup_of(options, options.sampling.build(), source=source)
    model, loss = setup.model(dim), build_loss(setup.loss)
    features = torch.randn(8, 6, model.feature_dim)
    times, mask = torch.linspace(-1.25, 0, 6).repeat(8, 1), torch.ones(8, 6, dtype=torch.bool)
    labels = torch.tensor([0.0, 1.0]).repeat(4)
    horizons = torch.tensor([0.5, 0.5, 1.0, 1.0]).repeat(2).masked_fill(labels != 1, torch.inf)
    videos = torch.arange(2).repeat_interleave(4)
    loss.fit(4.0, 4.0)
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = setup.optimizer.build().build(model, 10)
    scheduler = setup.scheduler.build().build(optimizer, 10, 5)
    loss(
        model.outputs(features, times, mask), Targets(labels, torch.ones(8), horizons, videos)
    ).backward()
    optimizer.step()
    scheduler.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert any(moved)
    with torch.no_grad():
        logits = model.eval()(features, times, mask)
    assert logits.shape == (8,) and logits.isfinite().all()


def test_points_follow_from_coordinates(tmp_path):
    space = Space.load(
        write(
            tmp_path,
            {"head": ["gru", "transformer"], "trainer.batch_size": [16, 32, 64]},
            **{
                "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
                "head.bidirectional": {"choices": [True, False], "when": {"head": "gru"}},
            },
        )
    )
    assert space.size == 6 and space.about == "Mine."
    units = itertools.product([0.0, 0.5, 0.9999], [0.0, 0.34, 0.67], [0.5], [0.0])
    points = [space.at(unit) for unit in units]
    assert len({tuple(point.cell.values()) for point in points}) == 6
    first = points[0]
    assert first.cell == {"head": "gru", "trainer.batch_size": "16"}
    assert first.changes["optimizer.lr"] == pytest.approx(1e-3)
    assert first.overrides == [
        *("head=gru", "trainer.batch_size=16", "optimizer.lr=0.001", "head.bidirectional=true")
    ]
    assert "head.bidirectional" not in points[-1].changes  # it plays no part there
    assert points[-1].part("head").name == "transformer"


def test_a_sample_is_the_same_for_the_same_seed_and_reaches_every_cell(tmp_path):
    space = Space.load(write(tmp_path, {"head": ["gru", "linear"], "pooling": ["last", "max"]}))
    assert [p.cell for p in space.sample(9, 3)] == [p.cell for p in space.sample(9, 3)]
    assert len({tuple(p.cell.values()) for p in space.sample(60, 0)}) == 4


def test_a_choice_may_set_several_options(tmp_path):
    choice = {"name": "grid", "backbone": "optical_flow", "backbone.rows": 2, "backbone.columns": 3}
    space = Space.load(write(tmp_path, {"backbone": [choice, "efficientnet_lite0"]}))
    point = space.at([0.0])
    assert point.cell == {"backbone": "grid"}
    assert point.part("backbone").options["columns"] == 3
    assert options_for("train", point.overrides).backbone.options["rows"] == 2


@pytest.mark.parametrize(
    ("cells", "within", "said"),
    [
        ({"head": ["gruu"]}, {}, "No head is called 'gruu'. Did you mean gru"),
        ({"head": []}, {}, "head needs choices"),
        ({"head": ["gru", "gru"]}, {}, "each of its own name"),
        ({"head": [{"head": "gru"}]}, {}, "needs a name"),
        ({"trainer.batchsize": [1]}, {}, "trainer.batch_size"),
        ({"head": ["gru", "transformer"], "head.bidirectional": [True]}, {}, "when: {head: NAME}"),
        ({"head": ["gru"]}, {"optimizer.lr": {"low": 1.0}}, "low below high"),
        ({"head": ["gru"]}, {"optimizer.lr": {"low": 0, "high": 1, "log": True}}, "above 0"),
        ({"head": ["gru"]}, {"optimizer.rate": {"low": 0, "high": 1}}, "optimizer.rate"),
        (
            {"head": ["gru"]},
            {"head.dim": {"choices": [8], "when": {"head": "linear"}}},
            "no choice of its cells",
        ),
    ],
)
def test_what_no_training_knows_is_refused(tmp_path, cells, within, said):
    with pytest.raises(ConfigError) as refused:
        Space.load(write(tmp_path, cells, **within))
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", "- a\n", "cells: 3\n", "cells: {a: [b\n", "\x00"])
def test_a_file_that_is_no_space_is_refused(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        Space.load(str(file))
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"There is no file 'nowhere\.yaml'"):
        Space.load("nowhere.yaml")
    with pytest.raises(ConfigError, match="There are: core"):
        Space.load("studdy")


def test_a_point_is_found_again_by_its_names():
    space = Space.load("offline")
    for point in space.sample(50, seed=3):
        assert space.named(point.values) == point
        assert len(point.key) == 12
    assert len({point.key for point in space.sample(50, seed=3)}) == 50


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"head": "none"}, "no choice of the space"),
        ({"optimizer.lr": 5}, "not in the space's range"),
        ({"optimizer.lr": "nan"}, "not in the space's range"),
        ({"optimizer.lr": "fast"}, "not in the space's range"),
        ({"colour": "red"}, "has no colour"),
    ],
)
def test_names_that_are_no_point_are_refused(change, sentence):
    space = Space.load("offline")
    point = next(space.sample(1))
    with pytest.raises(ConfigError, match=sentence):
        space.named({**point.values, **change})
    with pytest.raises(ConfigError, match="needs loss"):
        space.named({key: value for key, value in point.values.items() if key != "loss"})
