"""ScaledAdam against the published implementation, and where that one has nothing to say."""

import copy
import logging
import math

import pytest
import torch
from safetensors.torch import load_file

from collision.errors import ConfigError
from collision.learning.scaled_adam import ScaledAdam
from tests.golden.make_optimizer_golden import CASES, GOLDEN, NO_GRADIENT, NOT_FINITE, PUBLISHED


class Tensors(torch.nn.Module):
    def __init__(self, tensors):
        super().__init__()
        self.all = torch.nn.ParameterDict(tensors)


def of_case(name, kind):
    start = f"{name}.{kind}."
    stored = load_file(GOLDEN)
    return {key.removeprefix(start): stored[key] for key in stored if key.startswith(start)}


def built(tensors, **options):
    model = Tensors({name: torch.nn.Parameter(value.clone()) for name, value in tensors.items()})
    return model.all, ScaledAdam(**{**PUBLISHED, **options}).build(model, 100)


def take_step(parameters, optimizer, grads):
    for name, grad in grads.items():
        parameters[name].grad = grad.clone()
    optimizer.step()


@pytest.mark.parametrize("name", CASES)
def test_every_step_is_the_published_ones(name):
    num_steps, options = CASES[name]
    grads, after = of_case(name, "grads"), of_case(name, "after")
    parameters, optimizer = built(of_case(name, "start"), **options)
    assert NO_GRADIENT not in grads and len(after) == len(grads) + 1
    for step in range(num_steps):
        take_step(parameters, optimizer, {key: grad[step] for key, grad in grads.items()})
        for key, values in after.items():
            torch.testing.assert_close(
                parameters[key].data,
                values[step],
                atol=1e-6,
                rtol=1e-6,
                msg=lambda text, at=(step, key): f"{at}: {text}",
            )


def test_the_cases_reach_what_they_are_there_for():
    moved = {name: (of_case(name, "start"), of_case(name, "after")) for name in CASES}
    clipped = of_case("clipped", "grads")
    assert not any(
        clipped[key][at].isfinite().all()
        for key, at in zip(("vector", "matrix"), NOT_FINITE, strict=True)
    )
    assert moved["small"][1]["one"].abs().max() == 10  # the largest single number
    start, after = moved["large"]
    assert after["silent"][-1].norm() < start["silent"].norm()  # it was larger than the largest
    start, after = moved["plain"]
    assert torch.equal(after["silent"][-1], start["silent"])  # a gradient of zeros
    assert torch.equal(after[NO_GRADIENT][-1], start[NO_GRADIENT])
    assert 0 < after["zeros"][-1].abs().max() < 1e-4  # from zero, at the smallest size
    assert moved["small"][1]["zeros"][-1].abs().max() > 0.1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("at", [0, 3, 12])
def test_a_gradient_that_is_not_finite_counts_as_zeros_and_is_told(caplog, at, value):
    grads = of_case("plain", "grads")
    steps = [{key: grad[step] for key, grad in grads.items()} for step in range(20)]
    broken = [{key: grad.clone() for key, grad in step.items()} for step in steps]
    broken[at]["matrix"][0, 0] = value
    steps[at] = {key: torch.zeros_like(grad) for key, grad in steps[at].items()}
    (expected, plain), (found, optimizer) = (built(of_case("plain", "start")) for _ in range(2))
    with caplog.at_level(logging.WARNING):
        for one, other in zip(steps, broken, strict=True):
            take_step(expected, plain, one)
            take_step(found, optimizer, other)
    for key, values in expected.items():
        assert torch.equal(values, found[key]), key
    assert caplog.messages == [f"Step {at}: the gradient is not finite; it is taken for zeros."]


def test_gradients_that_are_mostly_not_finite_end_the_training():
    parameters, optimizer = built(of_case("plain", "start"), clipping=None)
    bad = {key: torch.full_like(value, math.nan) for key, value in parameters.items()}
    for _ in range(10):
        take_step(parameters, optimizer, bad)
    with pytest.raises(ConfigError, match=r"diverged.*lower optimizer.lr \(now 0.03\)"):
        take_step(parameters, optimizer, bad)
    assert all(value.isfinite().all() for value in parameters.values())


def test_gradients_of_zeros_move_nothing_and_stay_finite():
    start = of_case("plain", "start")
    parameters, optimizer = built(start, clipping=2.0)
    for _ in range(45):
        take_step(parameters, optimizer, {key: torch.zeros_like(v) for key, v in start.items()})
    assert all(torch.equal(parameters[key], value) for key, value in start.items())


def test_a_saved_state_goes_on():
    grads = of_case("clipped", "grads")
    steps = [{key: grad[step] for key, grad in grads.items()} for step in range(60)]
    whole, optimizer = built(of_case("clipped", "start"), clipping=2.0)
    for grad in steps[:23]:
        take_step(whole, optimizer, grad)
    again, other = built(whole, clipping=2.0)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for grad in steps[23:]:
        take_step(whole, optimizer, grad)
        take_step(again, other, grad)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_frozen_weights_are_left_out():
    model = Tensors({name: torch.nn.Parameter(torch.ones(2)) for name in ("a", "b")})
    model.all["a"].requires_grad_(False)
    (group,) = ScaledAdam().build(model, 10).param_groups
    assert [id(one) for one in group["params"]] == [id(model.all["b"])]


@pytest.mark.parametrize(
    "options",
    [
        *({"lr": 0.0}, {"lr": math.nan}, {"clipping": -1.0}, {"scalar_rate": 0.0}, {"period": 0}),
        *({"beta1": 1.0}, {"beta2": -0.1}, {"min_rms": 3.0}, {"max_rms": math.inf}),
    ],
)
def test_options_that_cannot_work(options):
    ((name, _),) = options.items()
    with pytest.raises(ConfigError, match=rf"optimizer\.{name}="):
        ScaledAdam(**options)
