"""Components of features: those above white noise, all where the rest is not white."""

from dataclasses import replace

import pytest
import torch
from rich.console import Console

from collision.config import part
from collision.errors import ConfigError
from collision.learning import components
from collision.learning.components import num_above_noise, some_rows, std_mean
from collision.learning.fit import Place, fit_head
from collision.learning.head import HeadOptions, build_model
from tests.kit.features import FEATURE_DIM, SETUP, planted, planted_splits

DIM = 400


def factors(num: int, rows: int = 2000, seed: int = 0) -> torch.Tensor:
    """White noise of sd 1, and ``num`` factors of sd 3 in random directions."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(DIM, DIM, generator=generator)).Q[:num]
    noise = torch.randn(rows, DIM, generator=generator)
    return noise + 3 * torch.randn(rows, num, generator=generator) @ axes


@pytest.mark.parametrize("num", [1, 5, 12])
@pytest.mark.parametrize("seed", range(3))
def test_the_factors_above_white_noise_are_counted(num, seed):
    assert num_above_noise(factors(num, seed=seed)) == num
    assert num_above_noise(7 + 0.001 * factors(num, seed=seed)) == num


def test_all_are_kept_where_the_rest_is_not_white_or_none_stands_out():
    sizes = torch.logspace(0, -2, DIM)
    axes = torch.linalg.qr(torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(0))).Q
    assert num_above_noise(factors(0) * sizes @ axes) is None
    assert num_above_noise(factors(0)) is None
    assert num_above_noise(factors(5)[: 2 * DIM]) is None  # too few rows to tell
    assert num_above_noise(torch.ones(2000, DIM)) is None
    assert num_above_noise(factors(5)[:0]) is None


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_broken_features_are_told_by_name_not_by_the_components(broken, tmp_path):
    data = planted_splits()
    data["train"].bank[0, 0, 0] = broken
    setup = replace(SETUP, find_components=True)
    with pytest.raises(ConfigError, match="1 of 6 features have values that are not finite"):
        fit_head(setup, data, Place(tmp_path, 0, Console(quiet=True)))


def test_of_many_rows_as_many_are_counted_as_are_looked_at(monkeypatch):
    monkeypatch.setattr("collision.learning.components.MOST_ROWS", 1500)
    assert num_above_noise(factors(5, rows=9000)) == 5


def test_a_head_sees_the_directions_that_vary_most():
    features = factors(5)
    model = build_model(
        part("head", "linear"), part("pooling", "last"), DIM, HeadOptions(components=5)
    )
    model.fit_standardiser(features)
    seen = ((features - model.feature_mean) / model.feature_std) @ model.rotation
    assert float(seen.var(0).mean()) == pytest.approx(1, abs=0.01)
    correlation = torch.corrcoef(seen.T) - torch.eye(5)
    assert correlation.abs().max() < 1e-3
    whole = torch.linalg.matrix_rank(model.rotation)
    assert (whole, model.classifier.in_features) == (5, model.encoder.output_dim)


def test_components_count_twice_with_change_and_never_exceed_the_features():
    assert HeadOptions(components=5, change=True).num_seen(DIM) == 10
    assert HeadOptions(components=999).num_seen(DIM) == DIM
    assert HeadOptions(change=True).num_seen(DIM) == 2 * DIM
    with pytest.raises(ConfigError, match="components=0"):
        HeadOptions(components=0)


def test_training_finds_them_and_its_checkpoints_fit(tmp_path):
    setup = replace(SETUP, find_components=True, prior=part("head", "logistic"))
    place = Place(tmp_path, 0, Console(quiet=True))
    trained = fit_head(setup, planted_splits(), place)
    found = num_above_noise(planted_splits()["train"].valid_features())
    assert trained.best.options.components == found
    assert trained.best.prior.options.components == found
    again = fit_head(setup, planted_splits(), place)  # finished: read from its checkpoints
    before, after = trained.best.state_dict(), again.best.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert trained.best.feature_dim == FEATURE_DIM


def test_blocks_of_steps_have_the_moments_and_the_rows_of_all_at_once(monkeypatch):
    data = planted(40, seed=0)
    whole = data.valid_features()
    assert len(data.steps) == len(whole) and len(list(data.steps)) == 1
    moments = zip(std_mean(data.steps), std_mean(whole), strict=True)
    assert all(one.equal(other) for one, other in moments)
    monkeypatch.setattr(components, "BLOCK", 7)
    monkeypatch.setattr(components, "MOST_ROWS", 10)
    assert len(list(data.steps)) > 10
    for one, other in zip(std_mean(data.steps), std_mean(whole), strict=True):
        torch.testing.assert_close(one, other)
    assert some_rows(data.steps).equal(some_rows(whole))
