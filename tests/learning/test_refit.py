from dataclasses import replace

import pytest
import torch
from rich.console import Console

from collision.learning.fit import Place, fit_head
from collision.learning.refit import FOLDER, joined, refitted
from tests.kit.features import SETUP, planted, planted_splits, setup_with


def test_joined_examples_are_those_of_both_with_their_own_windows():
    first, second = planted(6, seed=0), planted(4, seed=1)
    second = replace(second, num_steps=torch.tensor([1] * 11 + [0, 1]))
    both = joined(first, second)
    assert len(both) == len(first) + len(second)
    assert both.records == first.records + second.records
    batch = both.__getitems__(range(len(both)))
    for name in ("features", "mask", "times", "label"):
        parts = [data.__getitems__(range(len(data)))[name] for data in (first, second)]
        assert torch.equal(batch[name], torch.cat(parts))
    assert (batch["mask"].sum() < batch["mask"].numel()).item()


def test_refitting_learns_from_validation_as_long_as_was_chosen(tmp_path):
    data = planted_splits()
    place = Place(tmp_path, 0, Console(quiet=True))
    setup = setup_with(trainer={"refit": True})
    trained = fit_head(setup, data, place)
    final = refitted(setup, data, trained, place)
    log = (tmp_path / FOLDER / "log.csv").read_text().splitlines()
    wanted = trained.best_step * (1 + len(data["val"]) / len(data["train"]))
    assert int(log[-1].partition(",")[0]) == pytest.approx(wanted, abs=2)
    both = joined(data["train"], data["val"]).valid_features()
    torch.testing.assert_close(final.feature_mean, both.mean(0))
    assert not torch.allclose(final.feature_mean, trained.best.feature_mean)


def test_without_refit_nothing_is_trained_again(tmp_path):
    fit_head(SETUP, planted_splits(), Place(tmp_path, 0, Console(quiet=True)))
    assert not (tmp_path / FOLDER).exists()
