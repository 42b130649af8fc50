"""A trial trains what a training here does, and tells nobody the labels that it judges by."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from collision.errors import ConfigError
from collision.learning.fit import Place, fit_head
from collision.learning.scoring import probabilities
from collision.option_groups import Limits
from collision.search.lessons import setup_as_data
from collision.search.session import Session
from collision.search.trials_of_parts import Trial, compared
from tests.kit.features import planted_splits, setup_with

SETUP = setup_with(trainer={"selection": "last", "patience": None, "validations": 1})


def test_scores_are_those_of_a_training_here(tmp_path, monkeypatch):
    """In a plain process: what walls change is tested beside them."""
    data, told, ask = planted_splits(), [], Session.ask

    def listening(session, message):
        told.append(message)
        return ask(session, message)

    monkeypatch.setattr(Session, "ask", listening)
    trained = Trial(SETUP, data, [3], None, Limits()).of_sibling(SETUP.head, "head")
    here = fit_head(SETUP, data, Place(tmp_path, 3, Console(quiet=True))).last
    expected = probabilities(here, data["val"], torch.device("cpu"))
    np.testing.assert_allclose(trained.scored[0].score, expected.numpy(), atol=1e-4)
    assert trained.num_parameters == here.num_parameters and trained.seconds > 0
    (fit,) = [one for one in told if one["do"] == "fit"]
    assert torch.equal(fit["train"]["labels"], data["train"].labels)
    after = told[told.index(fit) + 1 :]
    assert {tuple(sorted(one)) for one in after} == {("ask", "batch", "do", "handle")}
    features = torch.cat([one["batch"][0] for one in after])
    in_order = data["val"].__getitems__(torch.arange(len(data["val"])))["features"]
    assert not torch.equal(features, in_order)  # 40 rows: by chance it never is
    assert torch.equal(features.flatten(1).sort(0)[0], in_order.flatten(1).sort(0)[0])
    other = replace(trained, name="other")
    comparison = compared([trained, other], num_resamples=50)
    assert comparison.reference == "transformer"
    assert comparison.differences["other"].value == 0


@pytest.mark.parametrize(
    "trainer",
    [{"selection": "map"}, {"patience": 3}, {"refit": True}, {"accelerator": "gpu"}],
)
def test_what_a_trial_cannot_do_is_a_sentence(trainer):
    setup = replace(SETUP, trainer=replace(SETUP.trainer, **trainer))
    with pytest.raises(ConfigError, match=f"trainer.{next(iter(trainer))}"):
        setup_as_data(setup)
