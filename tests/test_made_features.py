"""The benchmark on made features: its best AP is the best, and its rules hide what they should."""

import json

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks import made_features as made
from benchmarks.made_features import LAST_STEP, Cell, Sizes, finished, make, patterns

RULES = sorted(made.HEIGHTS)
SMALL = Sizes(train=1000, val=400, test=3000, feature_dim=24)


@pytest.mark.parametrize("rule", RULES)
def test_the_likelihood_ratio_is_that_of_the_two_mixtures(rule):
    factors = np.random.default_rng(0).normal(0, 4, (20, 8, 2))
    covariance = made.STEP_SD**2 * np.eye(8) + made.OFFSET_SD**2
    density = multivariate_normal(np.zeros(16), np.kron(np.eye(2), covariance)).pdf
    flat = factors.transpose(0, 2, 1).reshape(20, 16)
    positive, negative = (
        np.mean([density(flat - mean.T.reshape(16)) for mean in means], axis=0)
        for means in patterns(rule, 8)
    )
    expected = np.log(positive / negative)
    np.testing.assert_allclose(made.log_likelihood_ratio(factors, rule), expected, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_the_best_ap_leaves_room(rule):
    """Also where white noise surrounds the factors, whose variance it adds to."""
    _, best = make(rule, 20_000, SMALL, seed=0, split=0)
    assert 0.9 < best < 0.95


@pytest.mark.parametrize("rule", RULES)
def test_the_features_are_distributed_as_the_likelihood_ratio_takes_it(rule):
    """In 16 dims the factors fill the space, so that all variance is known."""
    data, _ = make(rule, 4000, Sizes(feature_dim=16), seed=0, split=0)
    assert data.labels.mean() == 0.5
    features = data.bank[:-1].numpy().astype(np.float64)
    changes = features[:, 0] - features[:, -1]
    total = features[:, -1].var(axis=0).sum()
    if rule != "level":  # whose positives are shifted in the last step
        wanted = 16 * (made.STEP_SD**2 + made.OFFSET_SD**2)
        assert total == pytest.approx(wanted, rel=0.03)
    if rule == "order":  # and the offset of a video is in all its steps
        assert changes.var(axis=0).sum() == pytest.approx(32 * made.STEP_SD**2, rel=0.03)


def test_what_the_rules_hide():
    """The last step of change and order; also first step and mean of order."""
    for rule in ("change", "order"):
        assert not np.any([means[:, -1] for means in patterns(rule, 8)])
    positive, negative = patterns("order", 8)
    assert not positive[:, 0].any() and not negative[:, 0].any()
    sums = np.concatenate([positive.sum(axis=1), negative.sum(axis=1)])
    np.testing.assert_allclose(sums, made.HEIGHTS["order"])
    assert patterns("level", 8)[0][:, -1].any()


@pytest.mark.parametrize(
    ("rule", "head", "least", "most"),
    [
        ("level", LAST_STEP, 0.3, 0.7),
        ("change", LAST_STEP, -0.12, 0.12),
        ("order", LAST_STEP, -0.12, 0.12),
        ("level", "logistic", 0.5, 1),
        ("change", "logistic", 0.7, 1),
        ("order", "logistic", -0.12, 0.12),
    ],
)
def test_linear_rules_reach_what_they_can_see_and_no_more(rule, head, least, most):
    row = finished(Cell(rule, head, 0, SMALL))
    assert least < row["ratio"] < most
    assert row["ap"] < row["best_ap"]


def test_a_trained_head_reads_the_order():
    """Which no linear rule on last step, first step and mean can, with any settings."""
    overrides = (
        "optimizer.lr=1e-2",
        "feature_dropout=0",
        "head.dropout=0",
        "trainer.max_steps=100",
    )
    row = finished(Cell("order", "gru", 0, SMALL, overrides))
    assert 0.3 < row["ratio"] < 1
    assert row["last_step"] <= 100


def test_a_cell_in_the_file_is_not_computed_again(tmp_path, monkeypatch, capsys):
    ratios = [0.7, 0.5]

    def stub(cell):
        return cell.key() | {"ratio": ratios.pop(), "best_ap": 0.92, "seconds": 3.0}

    monkeypatch.setattr(made, "finished", stub)
    path = tmp_path / "made.jsonl"
    command = ["--heads", "gru", "--rules", "level", "--workers", "1", "--results", str(path)]
    made.main([*command, "--seeds", "1"])
    assert "| level | 4000 | 0.920 | 0.500 |" in capsys.readouterr().out
    made.main([*command, "--seeds", "2"])
    assert "| level | 4000 | 0.920 | 0.600 ± 0.141 |" in capsys.readouterr().out
    assert [json.loads(line)["seed"] for line in path.read_text().splitlines()] == [0, 1]
    with pytest.raises(IndexError):  # another setting is another cell
        made.main([*command, "--seeds", "1", "--set", "optimizer.lr=1e-3"])


def test_every_size_has_a_row_and_means_of_its_own(tmp_path, monkeypatch, capsys):
    def stub(cell):
        size = cell.sizes.train
        ratio = {10: 0.25, 20: 0.75}[size] + {"gru": 0, "linear": 0.125}[cell.head]
        return cell.key() | {"ratio": ratio, "best_ap": 0.9 + size / 1000, "seconds": size}

    monkeypatch.setattr(made, "finished", stub)
    command = ["--heads", "gru", "linear", "--rules", "level", "--seeds", "2", "--workers", "1"]
    made.main([*command, "--train", "10", "20", "20"])
    assert capsys.readouterr().out.splitlines() == [
        "| rule | training cuts | best AP | gru | linear |",
        "| --- | --- | --- | --- | --- |",
        "| level | 10 | 0.910 | 0.250 ± 0.000 | 0.375 ± 0.000 |",
        "| level | 20 | 0.920 | 0.750 ± 0.000 | 0.875 ± 0.000 |",
        "| time a cell | 10 | | 10 s | 10 s |",
        "| time a cell | 20 | | 20 s | 20 s |",
    ]


def test_a_seed_gives_the_same_features_and_another_seed_others():
    sizes = Sizes(feature_dim=16)
    first, again, other = (make("order", 10, sizes, seed, 0)[0].bank for seed in (0, 0, 1))
    assert first.equal(again) and not first.equal(other)
