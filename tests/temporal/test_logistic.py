import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from collision.config import part
from collision.errors import ConfigError
from collision.learning.head import build_model
from collision.learning.scoring import probabilities
from collision.learning.solve import solve
from collision.temporal import logistic
from collision.temporal.logistic import Logistic
from tests.kit.features import FEATURE_DIM, planted


def rows_of(num_rows, num_columns, seed=0, signal=1.0):
    """Rows of which the first column tells the label, in groups of three."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(num_rows) // 3) % 2
    rows = generator.normal(size=(num_rows, num_columns)).astype(np.float32) + 5
    rows[:, 0] += signal * labels
    return rows, labels, np.ones(num_rows), np.arange(num_rows) // 3


def test_it_sees_the_last_step_and_its_differences_from_the_first_and_the_mean():
    features = torch.tensor([[[1.0], [2.0], [6.0], [0.0]], [[0.0], [0.0], [0.0], [0.0]]])
    mask = torch.tensor([[True, True, True, False], [False] * 4])
    seen = Logistic(1)(features, torch.zeros(2, 4), mask)
    assert seen.shape == (2, 4, 3)
    assert seen[0].tolist() == [[6.0, 5.0, 3.0]] * 4
    assert not seen[1].any()


@pytest.mark.parametrize("num_columns", [4, 90])
def test_the_solution_is_scikit_learns(num_columns):
    rows, labels, weights, groups = rows_of(60, num_columns)
    weights[:20] = 3.0
    balanced = weights * np.where(labels, 0.5 / weights[labels == 1].sum(), 0)
    balanced += weights * np.where(labels, 0, 0.5 / weights[labels == 0].sum())
    peer = LogisticRegression(C=0.3, tol=1e-8, max_iter=9000)
    peer.fit(rows, labels, sample_weight=60 * balanced)
    found, bias = Logistic(1, C=0.3).solve(rows, labels, weights, groups)
    assert found.shape == (num_columns,)
    assert rows @ found + bias == pytest.approx(peer.decision_function(rows), abs=0.02)


def test_the_strength_is_chosen_on_groups_that_were_left_out(monkeypatch):
    chosen = []
    regression = logistic._regression
    monkeypatch.setattr(logistic, "_regression", lambda C: chosen.append(C) or regression(C))
    Logistic(1).solve(*rows_of(300, 40, signal=4.0))
    Logistic(1).solve(*rows_of(300, 40, signal=0.0))
    signal, noise = chosen[5], chosen[-1]
    assert noise < signal


def test_the_strength_of_a_large_set_is_chosen_on_a_part(monkeypatch):
    sizes = []
    rotated = logistic._rotated
    monkeypatch.setattr(logistic, "_MOST_ROWS", 60)
    monkeypatch.setattr(logistic, "_rotated", lambda rows: sizes.append(len(rows)) or rotated(rows))
    found, _ = Logistic(1).solve(*rows_of(300, 8, signal=3.0))
    assert sizes == [300, 60] and abs(found[0]) > 3 * abs(found[1:]).max()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_handful_of_groups_is_enough(groups):
    rows, labels, weights, _ = rows_of(6, 4, signal=5.0)
    found, _ = Logistic(1).solve(rows, labels, weights, np.arange(6) % groups)
    assert np.isfinite(found).all()


def test_a_solved_head_standardises_and_scores_as_the_pipeline_would():
    train, test = planted(30, seed=0), planted(20, seed=1)
    model = build_model(part("head", "logistic", C=0.1), part("pooling", "max"), FEATURE_DIM)
    solve(model, train)

    def seen(data):
        batch = data.__getitems__(range(len(data)))
        steps = StandardScaler().fit(train.valid_features().numpy())
        return np.stack(
            [
                np.concatenate([own[-1], own[-1] - own[0], own[-1] - own.mean(0)])
                for one, mask in zip(batch["features"], batch["mask"], strict=True)
                for own in [steps.transform(one[mask].numpy())]
            ]
        )

    peer = LogisticRegression(C=0.1, tol=1e-8, max_iter=9000, class_weight="balanced")
    peer.fit(seen(train), train.labels.numpy())
    wanted = peer.predict_proba(seen(test))[:, 1]
    assert probabilities(model, test, torch.device("cpu")).numpy() == pytest.approx(
        wanted, abs=0.003
    )


@pytest.mark.parametrize(("option", "value"), [("C", 0.0), ("C", -1.0), ("folds", 1)])
def test_options_that_cannot_work_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"head.{option}={value}"):
        Logistic(4, **{option: value})
