from __future__ import annotations

import pytest
import torch

from collision.errors import MetricError
from collision.metrics.torch_metric import NexarMAP
from tests.kit.scores import HORIZONS, made_up_scores, nexar_ap


def columns() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    scored = made_up_scores(20)
    return tuple(torch.tensor(column) for column in (scored.score, scored.label, scored.horizon))


def test_batches_give_what_the_whole_gives() -> None:
    probabilities, labels, horizons = columns()
    metric = NexarMAP()
    for rows in torch.arange(len(labels)).split(7):
        metric.update(probabilities[rows], labels[rows], horizons[rows])
    result = metric.compute()
    by_horizon = nexar_ap(made_up_scores(20))
    assert result["nexar_map"].item() == pytest.approx(sum(by_horizon) / 3)
    for horizon, value in zip(HORIZONS, by_horizon, strict=True):
        assert result[f"ap_{horizon}"].item() == pytest.approx(value)
    assert len(result) == 4
    assert all(value.shape == () for value in result.values())


def test_reset_forgets() -> None:
    metric = NexarMAP()
    metric.update(torch.tensor([0.1, 0.9]), torch.tensor([1, 0]), torch.tensor([0.5, 0.5]))
    metric.reset()
    metric.update(torch.tensor([0.9, 0.1]), torch.tensor([1, 0]), torch.tensor([0.5, 0.5]))
    assert metric.compute()["nexar_map"] == 1


def test_one_class_or_nan_gives_nan_and_no_crash() -> None:
    metric = NexarMAP()
    half = torch.tensor([0.5, 0.5])
    metric.update(torch.tensor([0.9, 0.1]), torch.tensor([1, 0]), half)
    metric.update(torch.tensor([0.9, 0.1]), torch.tensor([1, 1]), half * 2)
    result = metric.compute()
    assert result["ap_0.5"] == 1
    assert result["ap_1.0"].isnan() and result["nexar_map"].isnan()
    metric.reset()
    metric.update(torch.tensor([0.9, float("nan")]), torch.tensor([1, 0]), half)
    assert metric.compute()["nexar_map"].isnan()


def test_empty_batch_gives_nan() -> None:
    metric = NexarMAP()
    metric.update(torch.empty(0), torch.empty(0), torch.empty(0))
    assert metric.compute()["nexar_map"].isnan()


def test_smoothed_labels_are_refused_rather_than_rounded() -> None:
    metric = NexarMAP()
    metric.update(torch.tensor([0.9, 0.1]), torch.tensor([0.975, 0.0]), torch.tensor([0.5, 0.5]))
    with pytest.raises(MetricError, match="Labels must be 0 or 1"):
        metric.compute()
