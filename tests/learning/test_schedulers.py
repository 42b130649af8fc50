"""The learning rate of every step."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from collision.config import names_of, part
from collision.errors import ConfigError
from collision.learning.optim import AdamW, rate_for
from collision.learning.schedulers import Constant, Cosine, Eden, OneCycle
from tests.golden.make_optimizer_golden import GOLDEN, RATES

# Rates of the optimizer that brought its schedule along: commit ddaab6b.
BEFORE = json.loads(Path(__file__).parents[1].joinpath("golden", "cosine.json").read_text())
HIGHEST = 0.5


def rates_of(scheduler, total_steps, steps_per_pass=10.0, optimizer=None):
    optimizer = optimizer or torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=HIGHEST)
    made = scheduler.build(optimizer, total_steps, steps_per_pass)
    rates = []
    for _ in range(total_steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return rates


@pytest.mark.parametrize("before", BEFORE, ids=lambda one: f"{one['total_steps']}-{one['options']}")
def test_the_cosine_is_what_it_was_to_the_bit(before):
    options, total = dict(before["options"]), before["total_steps"]
    of_optimizer = {"lr": options.pop("lr")} if "lr" in options else {}
    optimizer = AdamW(**of_optimizer).build(torch.nn.Linear(3, 2), total)
    assert rates_of(Cosine(**options), total, optimizer=optimizer) == before["rates"]


def test_biases_do_not_decay():
    optimizer = AdamW(lr=1.0).build(torch.nn.Linear(3, 2), 50)
    groups = [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups]
    assert groups == [(1, 1.0), (1, 0.0)]
    assert AdamW().build(torch.nn.Linear(3, 2), 50).param_groups[0]["lr"] == rate_for(50)


@pytest.mark.parametrize(
    ("total", "warmup"), [(10, 0.3), (10, 0.5), (60, 0.3), (60, 0.05), (137, 0.3), (137, 0.95)]
)
def test_one_cycle_is_torchs(total, warmup):
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=HIGHEST, momentum=0.9)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, HIGHEST, total_steps=total, pct_start=warmup, cycle_momentum=False
    )
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < total:
            torchs.step()
    found = rates_of(OneCycle(warmup=warmup), total)
    assert found[:-1] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found[-1] == pytest.approx(expected[-1], rel=1e-6)  # and stays there


@pytest.mark.parametrize("name", RATES)
def test_eden_is_the_published_one(name):
    options, total, steps_per_pass = RATES[name]
    expected = (HIGHEST * load_file(GOLDEN)[name]).tolist()
    assert rates_of(Eden(**options), total, steps_per_pass)[:-1] == pytest.approx(
        expected, rel=1e-9
    )


def test_eden_left_alone_falls_over_the_whole_training():
    rates = rates_of(Eden(warmup=0.0), 900, steps_per_pass=30)
    assert rates[0] == HIGHEST
    assert rates[-1] == pytest.approx(HIGHEST * 10**-0.5)  # (1 + 3²) ** -1/4 twice
    assert Eden(steps=300, passes=10, warmup=0.0) != Eden(warmup=0.0)
    assert rates == rates_of(Eden(steps=300, passes=10, warmup=0.0), 900, steps_per_pass=30)


def test_constant_rises_and_stays():
    rates = rates_of(Constant(warmup=0.2), 50)
    assert rates[:10] == pytest.approx([HIGHEST * (step + 1) / 11 for step in range(10)])
    assert set(rates[10:]) == {HIGHEST}
    assert set(rates_of(Constant(warmup=0.0), 5)) == {HIGHEST}


@pytest.mark.parametrize("name", names_of("scheduler"))
@pytest.mark.parametrize("total", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_rates_are_above_zero_and_at_most_the_highest(name, total, warmup):
    scheduler = part("scheduler", name, warmup=warmup).build()
    for steps_per_pass in (0.2, 3.7, 1000.0):
        rates = rates_of(scheduler, total, steps_per_pass)
        assert all(math.isfinite(rate) and 0 < rate <= HIGHEST for rate in rates)
        assert max(rates[: total or 1]) > HIGHEST / 3


@pytest.mark.parametrize(
    ("made", "options"),
    [
        *(
            (made, {"warmup": value})
            for made in (Cosine, Constant, OneCycle, Eden)
            for value in (-0.1, 1.1, math.nan)
        ),
        *((Cosine, {"final_fraction": 2.0}), (OneCycle, {"start_fraction": -1.0})),
        *((Eden, {"steps": 0.0}), (Eden, {"passes": -1.0}), (Eden, {"warmup_start": 1.5})),
    ],
)
def test_options_that_cannot_work(made, options):
    ((name, _),) = options.items()
    with pytest.raises(ConfigError, match=rf"scheduler\.{name}="):
        made(**options)


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"lr": -1.0}, {"weight_decay": -1.0}])
def test_options_of_adamw_that_cannot_work(options):
    ((name, _),) = options.items()
    with pytest.raises(ConfigError, match=rf"optimizer\.{name}="):
        AdamW(**options)
