from __future__ import annotations

import csv
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from collision.metrics.scored import Scored
from collision.metrics.summary import summarise
from collision.report import plots
from tests.kit.pages import pixels, share_of
from tests.kit.scores import ORACLE, made_up_scores


@pytest.fixture
def scored() -> Scored:
    return made_up_scores(30)


def test_ap_by_horizon_shows_the_oracle_only_where_known(scored, tmp_path) -> None:
    for name, oracle in (("with", ORACLE), ("without", None)):
        summary = summarise(scored, oracle=oracle, num_resamples=50)
        plots.ap_by_horizon(summary, tmp_path / f"{name}.png")
    assert share_of(tmp_path / "with.png", plots.GREEN)
    assert not share_of(tmp_path / "without.png", plots.GREEN)


def test_ap_by_horizon_without_any_ap(tmp_path) -> None:
    summary = summarise(
        Scored(["a"], ["g"], [1], [0.5], [0.5]), oracle={"0.5": 0.9}, num_resamples=5
    )
    plots.ap_by_horizon(summary, tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").size


def test_precision_recall_skips_a_horizon_of_one_class(scored, tmp_path) -> None:
    one_class = replace(scored, label=np.where(scored.horizon == 1.0, 1, scored.label))
    plots.precision_recall(one_class, tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    assert share_of(image, plots.BLUE) and share_of(image, plots.GREEN)
    assert not share_of(image, plots.ORANGE)


def test_scores_with_and_without_the_tag(scored, tmp_path) -> None:
    for tag in ("variant", "light"):
        plots.score_by_variant(scored, tmp_path / "a.png", tag=tag)
        assert pixels(tmp_path / "a.png").size
    missing = replace(scored, score=np.full(len(scored), np.nan))
    plots.score_by_variant(missing, tmp_path / "missing.png")


def test_learning_curves_from_a_log(tmp_path) -> None:
    log = (
        "step,other,train/loss,val/loss,val/nexar_map\n"
        "10,9,0.7,,\n10,9,,0.69,0.55\n20,19,0.6,,\n20,19,,0.66,0.65\n30,29,0.5,,\n30,29,,0.7,nan\n"
    )
    rows = list(csv.DictReader(log.splitlines()))
    steps, values = plots._by_step(rows, "val/nexar_map")
    assert steps == [10, 20, 30]
    assert values[:2].tolist() == [0.55, 0.65] and np.isnan(values[2])
    plots.learning_curves(rows, tmp_path / "a.png")
    assert share_of(tmp_path / "a.png", plots.GREEN)
    plots.learning_curves([], tmp_path / "empty.png")


def test_style_stays_within_the_figure(scored, tmp_path) -> None:
    before = dict(matplotlib.rcParams)
    plots.precision_recall(scored, tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before
