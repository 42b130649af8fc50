"""The three forms of retention give the same, and that is what the paper's formula gives."""

import math

import pytest
import torch

from collision.learning.retention import (
    head_decays,
    retain_chunked,
    retain_parallel,
    retain_step,
    turn,
    turn_rates,
)

HEADS, DIM = 3, 8


def make(num_steps, dtype=torch.float32):
    generator = torch.Generator().manual_seed(num_steps)
    parts = torch.randn(3, 2, HEADS, num_steps, DIM, generator=generator, dtype=dtype)
    return parts.unbind(), head_decays(HEADS, 4.0, 512.0)


def turned(queries, keys):
    angles = torch.arange(queries.shape[2], dtype=torch.float64).unsqueeze(-1) * turn_rates(DIM)
    return turn(queries, angles), turn(keys, angles)


def by_step(queries, keys, values, decays):
    state, outputs = None, []
    for step in range(queries.shape[2]):
        newest = (part[:, :, step] for part in (queries, keys, values))
        output, state = retain_step(state, *newest, decays)
        outputs.append(output)
    return torch.stack(outputs, dim=2)


def by_formula(queries, keys, values, decays):
    """Term by term, in complex numbers: equation 3 of the paper."""
    first, second = (
        torch.view_as_complex(part.double().unflatten(-1, (-1, 2)).contiguous())
        for part in (queries, keys)
    )
    result = torch.zeros_like(values, dtype=torch.float64)
    for newer in range(queries.shape[2]):
        for older in range(newer + 1):
            phase = torch.exp(1j * turn_rates(DIM) * (newer - older))
            product = (first[:, :, newer] * phase * second[:, :, older].conj()).real.sum(-1)
            weight = product * decays ** (newer - older)
            result[:, :, newer] += weight.unsqueeze(-1) * values[:, :, older]
    return result


@pytest.mark.parametrize("num_steps", [1, 2, 5, 11])
def test_all_forms_are_the_formula(num_steps):
    (queries, keys, values), decays = make(num_steps)
    wanted = by_formula(queries, keys, values, decays).float()
    found = retain_parallel(*turned(queries, keys), values, decays)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    found = by_step(queries, keys, values, decays)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    found = retain_chunked(*turned(queries, keys), values, decays, chunk=4)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 31, 32, 65, 200, 512])
@pytest.mark.parametrize("chunk", [1, 7, 32])
def test_chunks_of_any_size_give_what_the_parallel_form_gives(num_steps, chunk):
    (queries, keys, values), decays = make(num_steps)
    queries, keys = turned(queries, keys)
    wanted = retain_parallel(queries, keys, values, decays)
    found = retain_chunked(queries, keys, values, decays, chunk)
    scale = wanted.abs().max()  # sums of hundreds of terms
    torch.testing.assert_close(found / scale, wanted / scale, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [65, 512])
def test_the_recurrent_form_does_not_drift(num_steps):
    (queries, keys, values), decays = make(num_steps)
    wanted = retain_parallel(*turned(queries, keys), values, decays)
    found = by_step(queries, keys, values, decays)
    scale = wanted.abs().max()
    torch.testing.assert_close(found / scale, wanted / scale, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 9, 65])
def test_derivatives_of_all_forms_are_the_same(num_steps):
    (queries, keys, values), decays = make(num_steps, torch.float64)
    inputs = [part.requires_grad_() for part in (queries, keys, values)]
    weights = torch.linspace(-1, 2, values.numel(), dtype=torch.float64).view(values.shape)
    outcomes = []
    for form in (retain_parallel, retain_chunked, by_step):
        first, second = (queries, keys) if form is by_step else turned(queries, keys)
        output = form(first, second, values, decays)
        outcomes.append(torch.autograd.grad((output * weights).sum(), inputs))
    for found in outcomes[1:]:
        for one, other in zip(found, outcomes[0], strict=True):
            torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


def test_decays_are_those_of_the_memories():
    memories = 1 / (1 - head_decays(3, 8.0, 128.0))
    torch.testing.assert_close(memories, torch.tensor([8.0, 32.0, 128.0], dtype=torch.float64))
    assert head_decays(1, 8.0, 128.0).tolist() == pytest.approx([7 / 8])


def test_a_quarter_turn():
    found = turn(torch.tensor([1.0, 0.0, 0.0, 2.0]), torch.tensor([math.pi / 2, math.pi]))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 0.0, -2.0]), atol=1e-6, rtol=0)
