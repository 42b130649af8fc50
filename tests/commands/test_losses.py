"""Every loss with every head, as a person asks for them."""

import itertools
import json

import pytest

from collision.config import names_of, part
from collision.learning.predictor import load_predictor
from tests.conftest import SMALL, runs_in
from tests.kit.heads import HEADS, is_large

SMALL_HEADS = [head for head in HEADS if not is_large(head)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "head"),
    list(itertools.product(names_of("loss"), SMALL_HEADS)),
)
def test_a_loss_trains_a_head_that_is_judged_again_alike(loss, head, workshop):
    before = runs_in(workshop.root)
    workshop.command("train", *SMALL, f"loss={loss}", f"head={head}", "audit=false")
    (run,) = (run for run in runs_in(workshop.root) if run not in before)
    first = json.loads((run / "metrics.json").read_text())
    assert 0 <= first["ap"]["mean"]["value"] <= 1
    model = load_predictor(run / "seed_0" / "predictor.safetensors").model
    # A solved head has one output, whatever the loss.
    wanted = 1 if head == "logistic" else part("loss", loss).build().num_outputs
    assert model.classifier.out_features == wanted
    output = workshop.command("evaluate", str(run), "num_resamples=200")
    assert f"{first['ap']['mean']['value']:.3f}".lstrip("0") in output


@pytest.mark.slow
@pytest.mark.parametrize("option", ["feature_noise=0.3", "mixup=0.2"])
def test_the_other_ways_to_train(option, workshop):
    before = runs_in(workshop.root)
    workshop.command("train", *SMALL, option, "head=gru", "audit=false")
    (run,) = (run for run in runs_in(workshop.root) if run not in before)
    name, value = option.split("=")
    assert f"{name}: {value}" in (run / "config.yaml").read_text()
