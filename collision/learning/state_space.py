"""Selective state spaces (Gu and Dao, Mamba, arXiv 2312.00752) in plain torch, in both directions.

Each channel keeps N numbers that fade and take in what comes, at a pace that the step itself
decides. Computed for all steps at once, without a loop over time.

Shapes: B examples, L steps, C channels of the block, I inner channels, N numbers of a channel's
state, R rank of the step sizes, K steps that a convolution spans.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from collision.learning.packing import reverse_steps

_PACES = 0.001, 0.1  # between them step sizes begin, as in the paper


def scan(decays: Tensor, inputs: Tensor) -> Tensor:
    """Solve ``state[t] = decays[t] * state[t - 1] + inputs[t]``: two ``[B, L, ...]`` to the same.

    Before the first step the state is zero. Decays from 0 to 1 are multiplied with each other and
    never divided, so that nothing can overflow. Derivatives of any order; they take a scan each.
    """
    result: Tensor = _Scan.apply(decays, inputs)
    return result


class _Scan(torch.autograd.Function):
    """With the derivative of autograd each level of the recursion would keep its own tensors."""

    @staticmethod
    def forward(ctx: Any, decays: Tensor, inputs: Tensor) -> Tensor:
        states = _scan(decays, inputs)
        ctx.save_for_backward(decays, states)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        decays, states = ctx.saved_tensors
        # A state passes on what it gets from later ones: the same recurrence, from the end.
        following = torch.cat((decays[:, 1:], torch.zeros_like(decays[:, :1])), dim=1)
        by_inputs = scan(following.flip(1), gradient.flip(1)).flip(1)
        before = torch.cat((torch.zeros_like(states[:, :1]), states[:, :-1]), dim=1)
        return by_inputs * before, by_inputs


def _scan(decays: Tensor, inputs: Tensor) -> Tensor:
    """Join neighbours to half as many steps, solve those, fill in between: work in proportion to L.

    This is the odd-even reduction of Blelloch (Prefix sums and their applications, 1990).
    """
    length = inputs.shape[1]
    if length == 1:
        return inputs
    even = slice(0, length - 1, 2)  # each of these has a neighbour behind it
    odd = slice(1, None, 2)
    joined = torch.addcmul(inputs[:, odd], decays[:, odd], inputs[:, even])
    at_odd = _scan(decays[:, odd] * decays[:, even], joined)
    states = torch.empty_like(inputs)
    states[:, 0], states[:, odd] = inputs[:, 0], at_odd
    rest = slice(2, None, 2)
    before = at_odd[:, : (length - 1) // 2]
    states[:, rest] = torch.addcmul(inputs[:, rest], decays[:, rest], before)
    return states


class State(NamedTuple):
    """What a stream remembers: the newest K - 1 steps before the convolution, and the state."""

    recent: Tensor  # [B, K - 1, I]
    kept: Tensor  # [B, I, N]


class Direction(nn.Module):
    """What one direction has of its own: a causal convolution, then a selective state space."""

    def __init__(self, inner_dim: int, state_dim: int, rank: int, kernel: int):
        super().__init__()
        self.state_dim, self.rank = state_dim, rank
        self.convolution = nn.Conv1d(inner_dim, inner_dim, kernel, groups=inner_dim)
        self.selection = nn.Linear(inner_dim, rank + 2 * state_dim, bias=False)
        self.pace = nn.Linear(rank, inner_dim)
        # Logarithms of how fast each number fades: 1 to N times the step size.
        rates = torch.arange(1, state_dim + 1, dtype=torch.float32)
        self.log_rates = nn.Parameter(rates.log().repeat(inner_dim, 1))
        self.skip = nn.Parameter(torch.ones(inner_dim))
        self._reset_pace()

    def forward(self, inner: Tensor) -> Tensor:
        """``[B, L, I]`` to the same; each step sees itself and those before it."""
        reach = self.convolution.kernel_size[0] - 1
        mixed = functional.silu(self._convolve(functional.pad(inner, (0, 0, reach, 0))))
        with torch.autocast(inner.device.type, enabled=False):
            decays, inputs, readers = self._discretise(mixed)
            read = scan(decays, inputs) @ readers.unsqueeze(-1)
            return read.squeeze(-1) + mixed * self.skip

    def step(self, state: State | None, inner: Tensor) -> tuple[Tensor, State]:
        """``[B, I]``, the newest step, to the same and the state after it."""
        reach = self.convolution.kernel_size[0] - 1
        recent = inner.new_zeros(len(inner), reach, inner.shape[1]) if state is None else state[0]
        window = torch.cat((recent, inner.unsqueeze(1)), dim=1)
        mixed = functional.silu(self._convolve(window))
        with torch.autocast(inner.device.type, enabled=False):
            decays, inputs, readers = self._discretise(mixed)
            kept = inputs[:, 0] if state is None else decays[:, 0] * state.kept + inputs[:, 0]
            read = (kept @ readers[:, 0].unsqueeze(-1)).squeeze(-1)
            return read + mixed[:, 0] * self.skip, State(window[:, 1:], kept)

    def _convolve(self, steps: Tensor) -> Tensor:
        """``[B, L + K - 1, I]`` to ``[B, L, I]``, at least in float32."""
        convolved = self.convolution(steps.transpose(1, 2)).transpose(1, 2)
        return convolved if convolved.dtype.itemsize > 2 else convolved.float()

    def _discretise(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give decays and inputs ``[B, L, I, N]``, readers ``[B, L, N]``, as steps choose them.

        The paper's equation 4 for the decays; of the inputs its first order, as its code does.
        """
        chosen = self.selection(mixed)
        low, writers, readers = chosen.split((self.rank, self.state_dim, self.state_dim), dim=-1)
        sizes = functional.softplus(self.pace(low)).unsqueeze(-1)
        decays = (sizes * -self.log_rates.exp()).exp()
        return decays, sizes * mixed.unsqueeze(-1) * writers.unsqueeze(-2), readers

    def _reset_pace(self) -> None:
        """Begin with step sizes that differ between channels, in even ratios."""
        bound = self.rank**-0.5
        nn.init.uniform_(self.pace.weight, -bound, bound)
        lowest, highest = map(math.log, _PACES)
        sizes = torch.empty_like(self.pace.bias).uniform_(lowest, highest).exp()
        with torch.no_grad():  # the inverse of softplus
            self.pace.bias.copy_(sizes + (-(-sizes).expm1()).log())


class StateSpaceBlock(nn.Module):
    """A gated selective state space that reads a normalised copy and adds to the sum.

    In both directions it is the block of Vision Mamba (Zhu et al., arXiv 2401.09417): projections
    and gate are shared, convolution and state space are each direction's own, the two are summed.

    Args:
        dim: C.
        inner_dim: I.
        state_dim: N.
        kernel: K.
        bidirectional: Also read the steps from the newest to the oldest.
        dropout: Of what is added.
    """

    def __init__(
        self,
        dim: int,
        inner_dim: int,
        state_dim: int,
        kernel: int,
        bidirectional: bool,
        dropout: float,
    ):
        super().__init__()
        shape = inner_dim, state_dim, math.ceil(dim / 16), kernel
        self.norm = nn.LayerNorm(dim)
        self.in_projection = nn.Linear(dim, 2 * inner_dim, bias=False)  # to inner channels, gate
        self.forwards = Direction(*shape)
        self.backwards = Direction(*shape) if bidirectional else None
        self.out_projection = nn.Linear(inner_dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]`` to the same; ``mask [B, L]`` has the valid steps first; None: all are."""
        inner, gate = self.in_projection(self.norm(hidden)).chunk(2, dim=-1)
        mixed = self.forwards(inner)
        if self.backwards is not None:
            mixed = mixed + reverse_steps(self.backwards(reverse_steps(inner, mask)), mask)
        return self._add(hidden, mixed, gate)

    def step(self, state: State | None, hidden: Tensor) -> tuple[Tensor, State]:
        """``[B, C]`` to the same, and the state of the forward direction after it."""
        inner, gate = self.in_projection(self.norm(hidden)).chunk(2, dim=-1)
        mixed, state = self.forwards.step(state, inner)
        return self._add(hidden, mixed, gate), state

    def _add(self, hidden: Tensor, mixed: Tensor, gate: Tensor) -> Tensor:
        return hidden + self.dropout(self.out_projection(mixed * functional.silu(gate)))
