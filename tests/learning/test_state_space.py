"""The scan of all steps at once is the recurrence, far out too, and so are its derivatives."""

import pytest
import torch

from collision.learning.state_space import Direction, StateSpaceBlock, scan


def by_recurrence(decays, inputs):
    state, states = torch.zeros_like(inputs[:, 0]), []
    for step in range(inputs.shape[1]):
        state = decays[:, step] * state + inputs[:, step]
        states.append(state)
    return torch.stack(states, dim=1)


def make(num_steps, dtype, kind="mixed"):
    """Decays and inputs; near 1 sums pile up, near 0 products of decays are lost altogether."""
    generator = torch.Generator().manual_seed(num_steps)
    draw = torch.rand(2, num_steps, 3, 4, generator=generator, dtype=dtype)
    decays = {"mixed": draw, "slow": 1 - 1e-3 * draw, "fast": (-100 * draw).exp()}[kind]
    inputs = torch.randn(2, num_steps, 3, 4, generator=generator, dtype=dtype)
    return decays.requires_grad_(), inputs.requires_grad_()


def derivatives(states, *inputs):
    weights = torch.linspace(-1, 2, states.numel(), dtype=states.dtype).view(states.shape)
    return torch.autograd.grad((weights * states).sum(), inputs)


@pytest.mark.parametrize("kind", ["mixed", "slow", "fast"])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 4, 7, 64, 65, 512])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_a_scan_is_the_recurrence(num_steps, kind, dtype, error):
    given = make(num_steps, dtype, kind)
    wanted, found = by_recurrence(*given), scan(*given)
    assert found.dtype == dtype
    pairs = [(found, wanted)]
    pairs += zip(derivatives(found, *given), derivatives(wanted, *given), strict=True)
    for one, other in pairs:
        scale = other.abs().max().clamp_min(1)  # slow decays sum up hundreds of inputs
        torch.testing.assert_close(one / scale, other / scale, atol=error, rtol=error)


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_derivatives_are_those_of_the_differences_twice(num_steps):
    given = make(num_steps, torch.float64)
    assert torch.autograd.gradcheck(scan, given)
    assert torch.autograd.gradgradcheck(scan, given)


def run_step_by_step(direction, inner):
    state, outputs = None, []
    for newest in inner.unbind(dim=1):
        output, state = direction.step(state, newest)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("num_steps", [2, 3, 9, 512])
@pytest.mark.parametrize("kernel", [1, 4])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_outputs_and_derivatives_are_those_of_the_recurrence(num_steps, kernel, dtype, error):
    torch.manual_seed(0)
    direction = Direction(inner_dim=6, state_dim=16, rank=2, kernel=kernel).to(dtype)
    with torch.no_grad():
        direction.pace.bias.add_(2.0)  # large steps too: decays from 1 down to nothing
    inner = torch.randn(2, num_steps, 6, dtype=dtype).requires_grad_()
    wanted, found = run_step_by_step(direction, inner), direction(inner)
    torch.testing.assert_close(found, wanted, atol=error, rtol=error)
    given = (inner, *direction.parameters())
    for one, other in zip(derivatives(found, *given), derivatives(wanted, *given), strict=True):
        scale = other.abs().max().clamp_min(1)  # sums over all steps
        torch.testing.assert_close(one / scale, other / scale, atol=error, rtol=error)


@torch.no_grad()
def test_both_directions_are_two_readings_that_share_projections():
    torch.manual_seed(0)
    both = StateSpaceBlock(8, 16, 4, 3, bidirectional=True, dropout=0.0)
    state, hidden, alone = both.state_dict(), torch.randn(2, 9, 8), {}
    for own in ("forwards", "backwards"):
        alone[own] = StateSpaceBlock(8, 16, 4, 3, bidirectional=False, dropout=0.0)
        names = alone[own].state_dict()
        alone[own].load_state_dict({name: state[name.replace("forwards", own)] for name in names})
    forth = alone["forwards"](hidden, None) - hidden
    back = (alone["backwards"](hidden.flip(1), None) - hidden.flip(1)).flip(1)
    torch.testing.assert_close(both(hidden, None), hidden + forth + back, atol=1e-5, rtol=1e-5)


def test_huge_features_stay_finite():
    torch.manual_seed(0)
    block = StateSpaceBlock(8, 16, 16, 4, bidirectional=True, dropout=0.0)
    inner = 1e4 * torch.randn(2, 512, 16).requires_grad_()
    outputs = block.forwards(inner)
    outputs.sum().backward()
    assert outputs.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in block.forwards.parameters())


def test_step_sizes_begin_between_a_thousandth_and_a_tenth():
    sizes = torch.nn.functional.softplus(Direction(500, 4, 2, 4).pace.bias)
    assert sizes.min() >= 0.001 - 1e-6 and sizes.max() <= 0.1 + 1e-6
    assert sizes.max() / sizes.min() > 50
