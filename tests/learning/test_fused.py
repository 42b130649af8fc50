"""Formulas with derivatives of their own, against the plain formulas and torch's derivatives."""

import pytest
import torch
from torch.nn import functional

from collision.learning.fused import bypass, depthwise, swoosh


def outcome(function, *inputs):
    """Value and derivatives by all inputs, under a gradient that differs everywhere."""
    inputs = [value.clone().requires_grad_() for value in inputs]
    value = function(*inputs)
    factors = torch.linspace(-1.0, 2.0, value.numel(), dtype=value.dtype).view(value.shape)
    return [value.detach(), *torch.autograd.grad((value * factors).sum(), inputs)]


def assert_same(found, wanted, **tolerances):
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, **tolerances)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("offset", "constant"), [(4.0, 0.035), (1.0, 0.313261687)])
def test_swoosh_is_its_formula_near_zero_and_far_out(dtype, offset, constant):
    values = torch.cat([torch.linspace(-8, 8, 33), torch.tensor([-300.0, -90.0, 90.0, 300.0])])

    def plain(values):
        return functional.softplus(values - offset, threshold=50) - 0.08 * values - constant

    found = outcome(lambda values: swoosh(values, offset, constant), values.to(dtype))
    assert_same(found, outcome(plain, values.to(dtype)), atol=1e-6, rtol=1e-6)


def test_bypass_is_its_formula():
    torch.manual_seed(0)
    inputs = torch.randn(3, 5, 7), torch.randn(3, 5, 7), torch.rand(7)

    def plain(before, after, scale):
        return before + (after - before) * scale

    assert_same(outcome(bypass, *inputs), outcome(plain, *inputs), atol=1e-5, rtol=1e-5)


def test_bypass_of_mixed_precision_keeps_the_more_precise():
    mixed = bypass(torch.zeros(1, 2, 3), torch.ones(1, 2, 3).bfloat16(), torch.full((3,), 0.3))
    torch.testing.assert_close(mixed, torch.full((1, 2, 3), 0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", [1, 5, 15])
@pytest.mark.parametrize("steps", [1, 2, 7, 31, 32, 33, 70])  # one chunk, and several
def test_depthwise_is_a_convolution(steps, kernel, dtype):
    torch.manual_seed(0)
    shapes = (3, steps, 6), (6, 1, kernel), (6,)
    inputs = [torch.randn(shape, dtype=dtype) for shape in shapes]

    def plain(values, weight, bias):
        columns = functional.conv1d(
            values.transpose(1, 2), weight, bias, padding=kernel // 2, groups=6
        )
        return columns.transpose(1, 2)

    assert_same(outcome(depthwise, *inputs), outcome(plain, *inputs), atol=1e-4, rtol=1e-4)


def test_depthwise_does_not_mind_how_its_input_lies_in_memory():
    torch.manual_seed(0)
    weight, bias, values = torch.randn(6, 1, 3), torch.randn(6), torch.randn(3, 8, 6)
    turned = values.transpose(0, 2).contiguous().transpose(0, 2)
    found, wanted = (outcome(depthwise, each, weight, bias) for each in (turned, values))
    assert_same(found, wanted, atol=1e-5, rtol=1e-5)
