"""Zipformer (Yao et al., arXiv 2310.11230): a transformer whose stacks run at several rates.

In eval mode it computes what the published reference computes from the same weights, for each
example as if it were alone and unpadded; ``tests/golden`` holds an example. Left out, because
they serve large speech models and long schedules: Balancer and Whitener (they shape gradients
alone), scheduled values, random skipping, causal chunks, and the downsampling of the output.

Shapes: B examples, L steps, D feature dim, C channels of a stack, H heads, P numbers of a position,
E output dim. Within, a mask is None where it is known that no step is masked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from collision.errors import ConfigError
from collision.learning.fused import bypass, depthwise, is_full, swoosh
from collision.learning.packing import pack_steps, take_steps, unpack_steps

# Sizes that the paper keeps at every model width.
QUERY_HEAD_DIM = 32
VALUE_HEAD_DIM = 12
POSITION_HEAD_DIM = 4
POSITION_DIM = 48


@dataclass(eq=False, repr=False)
class Zipformer(nn.Module):
    """Project the features to the first stack's dim, then run stacks of blocks at several rates.

    ``times`` is not used: steps are taken as evenly spaced, and their distances are what the
    relative positions encode. Masked steps are taken out before anything runs, wherever they lie.

    Attributes:
        dims: Channels; here and in ``layers``, ``heads``, ``downsampling``: one value a stack.
        downsampling: Steps that are averaged into one while the stack runs.
        kernel: Steps that a convolution spans, at the stack's rate; odd.
        feedforward_factor: Hidden channels of the middle feed-forward module as a multiple of the
            stack's; the first has 3/4, the last 5/4 of that.
        dropout: Of the projected features and within the feed-forward modules, where it drops a
            channel for the whole sequence.
        projection_dim: Project the features to so many numbers first, and those to the first
            stack's, unless they are as many; None: at once.
    """

    input_dim: int
    dims: Sequence[int] = (32, 48, 32)
    layers: Sequence[int] = (1, 1, 1)
    heads: Sequence[int] = (4, 4, 4)
    downsampling: Sequence[int] = (1, 2, 1)
    kernel: int = 5
    feedforward_factor: float = 2.0
    dropout: float = 0.2
    projection_dim: int | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self._check_options()
        self.output_dim = max(self.dims)
        first = self.projection_dim or self.dims[0]
        self.projection = nn.Linear(self.input_dim, first)
        is_same = first == self.dims[0]
        self.entry = nn.Identity() if is_same else nn.Linear(first, self.dims[0])
        self.input_dropout = nn.Dropout(self.dropout)
        self.stacks = nn.ModuleList()
        per_stack = zip(self.dims, self.layers, self.heads, self.downsampling, strict=True)
        for dim, layers, heads, factor in per_stack:
            shape = dim, heads, self.kernel, int(self.feedforward_factor * dim), self.dropout
            self.stacks.append(Stack([Block(*shape) for _ in range(layers)], dim, factor))

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, E]``; zeros under the mask."""
        if is_full(mask):
            return self._encode(features, None)
        steps, packed_mask, order = pack_steps(features, mask)
        return unpack_steps(self._encode(steps, packed_mask), order) * mask.unsqueeze(-1)

    def _encode(self, steps: Tensor, mask: Tensor | None) -> Tensor:
        hidden = self.entry(self.input_dropout(self.projection(steps)))
        outputs: list[Tensor] = []
        for stack, dim in zip(self.stacks, self.dims, strict=True):
            # Channels are cut off, or zeros appended, on the way from one stack to the next.
            if hidden.shape[-1] != dim:
                hidden = functional.pad(hidden, (0, dim - hidden.shape[-1]))
            hidden = stack(hidden, mask)
            outputs.append(hidden)
        return _widest(outputs)

    def _check_options(self) -> None:
        names = ("dims", "layers", "heads", "downsampling")
        lengths = {name: len(getattr(self, name)) for name in names}
        if len(set(lengths.values())) != 1 or not self.dims:
            raise ConfigError(
                f"head.{', '.join(names)} need one value a stack each; they have {lengths}."
            )
        for name in names:
            if min(getattr(self, name)) < 1:
                raise ConfigError(f"head.{name}={list(getattr(self, name))}: give 1 or more each.")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(f"head.kernel={self.kernel}: give an odd number, such as 5.")
        if self.feedforward_factor * min(self.dims) < 2 or min(self.dims) < 2:
            raise ConfigError(
                f"head.dims={list(self.dims)} and head.feedforward_factor="
                f"{self.feedforward_factor} leave a module without channels: raise one of them."
            )
        if self.projection_dim is not None and self.projection_dim < 1:
            raise ConfigError(f"head.projection_dim={self.projection_dim}: give 1 or more.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"head.dropout={self.dropout}: it is a share, from 0 to below 1.")


class Stack(nn.Module):
    """Blocks at one rate: downsample, run, upsample, combine with the input by a learned bypass."""

    def __init__(self, blocks: Sequence[Block], dim: int, downsampling: int):
        super().__init__()
        self.downsampling = downsampling
        self.blocks = nn.ModuleList(blocks)
        if downsampling > 1:
            self.downsample = Downsample(downsampling)
            self.bypass = Bypass(dim)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]`` with the valid steps first, to the same shape."""
        factor = self.downsampling
        if factor == 1:
            return self._run(hidden, mask)
        slow_mask = None if mask is None else mask[:, ::factor]
        slow = self._run(self.downsample(hidden, mask), slow_mask)
        fast = slow.unsqueeze(2).expand(-1, -1, factor, -1).flatten(1, 2)
        return self.bypass(hidden, fast[:, : hidden.shape[1]])

    def _run(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        positions = relative_positions(hidden.shape[1], hidden.device, hidden.dtype)
        for block in self.blocks:
            hidden = block(hidden, positions, mask)
        return hidden


class Block(nn.Module):
    """One layer: attention weights, computed once, serve three modules that mix steps."""

    def __init__(self, dim: int, heads: int, kernel: int, feedforward_dim: int, dropout: float):
        super().__init__()
        self.attention_weights = AttentionWeights(dim, heads)
        self.feedforward1 = FeedForward(dim, feedforward_dim * 3 // 4, dropout)
        self.nonlinear_attention = NonlinearAttention(dim)
        self.attention1 = SelfAttention(dim, heads)
        self.convolution1 = Convolution(dim, kernel)
        self.feedforward2 = FeedForward(dim, feedforward_dim, dropout)
        self.bypass_middle = Bypass(dim)
        self.attention2 = SelfAttention(dim, heads)
        self.convolution2 = Convolution(dim, kernel)
        self.feedforward3 = FeedForward(dim, feedforward_dim * 5 // 4, dropout)
        self.norm = BiasNorm(dim)
        self.bypass_end = Bypass(dim)

    def forward(self, original: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]``, positions ``[2L - 1, P]`` and mask ``[B, L]`` to ``[B, L, C]``."""
        weights = self.attention_weights(original, positions, mask)
        hidden = _added(original, self.feedforward1(original))
        # As in the reference, the non-linear attention uses the first head's weights alone.
        hidden = _added(hidden, self.nonlinear_attention(hidden, weights[:, 0]))
        hidden = _added(hidden, self.attention1(hidden, weights))
        hidden = _added(hidden, self.convolution1(hidden, mask))
        hidden = _added(hidden, self.feedforward2(hidden))
        hidden = self.bypass_middle(original, hidden)
        hidden = _added(hidden, self.attention2(hidden, weights))
        hidden = _added(hidden, self.convolution2(hidden, mask))
        hidden = _added(hidden, self.feedforward3(hidden))
        return self.bypass_end(original, self.norm(hidden))


class AttentionWeights(nn.Module):
    """Which step looks at which: by content and by relative position, for each head."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.sizes = [heads * size for size in (QUERY_HEAD_DIM, QUERY_HEAD_DIM, POSITION_HEAD_DIM)]
        # This scale, on queries and keys, stands for the usual division by sqrt(head dim).
        self.in_projection = _scaled_linear(dim, sum(self.sizes), QUERY_HEAD_DIM**-0.25)
        self.position_projection = _scaled_linear(
            POSITION_DIM, heads * POSITION_HEAD_DIM, 0.05, bias=False
        )

    def forward(self, hidden: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        """Give ``[B, H, L, L]``: looking step, then step looked at; rows sum to 1."""
        queries, keys, position_queries = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.in_projection(hidden).split(self.sizes, dim=-1)
        )
        position_keys = self.position_projection(positions).unflatten(-1, (self.heads, -1))
        by_position = position_queries @ position_keys.permute(1, 2, 0)  # [B, H, L, 2L - 1]
        scores = queries @ keys.transpose(-1, -2) + _from_distances(by_position)
        if mask is not None:
            # Lowest finite number, not -inf: a row without a valid step must not become NaN.
            lowest = torch.finfo(scores.dtype).min
            scores = scores.masked_fill(~mask[:, None, None, :], lowest)
        return scores.softmax(dim=-1)


class SelfAttention(nn.Module):
    """Average the other steps' values by given weights."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_projection = nn.Linear(dim, heads * VALUE_HEAD_DIM)
        self.out_projection = _scaled_linear(heads * VALUE_HEAD_DIM, dim, 0.05)

    def forward(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """``[B, L, C]`` and weights ``[B, H, L, L]`` to ``[B, L, C]``."""
        values = self.in_projection(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        mixed = weights.to(values.dtype) @ values
        return self.out_projection(mixed.transpose(1, 2).flatten(-2))


class NonlinearAttention(nn.Module):
    """A gate before and a gate after the average over steps."""

    def __init__(self, dim: int):
        super().__init__()
        hidden_dim = 3 * dim // 4
        self.in_projection = nn.Linear(dim, 3 * hidden_dim)
        self.out_projection = _scaled_linear(hidden_dim, dim, 0.05)

    def forward(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """``[B, L, C]`` and one head's weights ``[B, L, L]`` to ``[B, L, C]``."""
        gate, values, outer_gate = self.in_projection(hidden).chunk(3, dim=-1)
        mixed = weights.to(values.dtype) @ (values * gate.tanh())
        return self.out_projection(mixed * outer_gate)


class Convolution(nn.Module):
    """Gated depthwise convolution over the steps."""

    def __init__(self, dim: int, kernel: int):
        super().__init__()
        self.in_projection = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.out_projection = _scaled_linear(dim, dim, 0.05)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]`` to ``[B, L, C]``; steps under the mask count as zeros, like the border."""
        gated = functional.glu(self.in_projection(hidden), dim=-1)
        if mask is not None:
            gated = gated.masked_fill(~mask.unsqueeze(-1), 0.0)
        assert self.depthwise.bias is not None
        convolved = depthwise(gated, self.depthwise.weight, self.depthwise.bias)
        return self.out_projection(swoosh_right(convolved))


class FeedForward(nn.Module):
    """Two linear layers with SwooshL between them."""

    def __init__(self, dim: int, hidden_dim: int, dropout: float):
        super().__init__()
        self.in_projection = nn.Linear(dim, hidden_dim)
        self.dropout = nn.Dropout(dropout)
        self.out_projection = _scaled_linear(hidden_dim, dim, 0.1)

    def forward(self, hidden: Tensor) -> Tensor:
        """``[B, L, C]`` to ``[B, L, C]``."""
        activated = swoosh_left(self.in_projection(hidden))
        if self.training and self.dropout.p:
            # One draw for all steps: what one step loses, the next would still tell.
            activated = activated.mul_(self.dropout(torch.ones_like(activated[:, :1])))
        return self.out_projection(activated)


class Bypass(nn.Module):
    """A learned mix, per channel, of what came in (0) and what came out (1)."""

    def __init__(self, dim: int):
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), 0.5))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Two ``[B, L, C]`` to one."""
        return bypass(before, after, self.scale)


class BiasNorm(nn.Module):
    """Divide by the root mean square around a learned bias, so that some length information stays.

    The published formula has no epsilon; 1e-8 keeps a step of all zeros finite.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(dim).normal_(0.0, 1e-4))
        self.log_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, hidden: Tensor) -> Tensor:
        """``[B, L, C]`` to ``[B, L, C]``."""
        wide = hidden if hidden.dtype.itemsize > 2 else hidden.float()
        norm = torch.linalg.vector_norm(wide - self.bias, dim=-1, keepdim=True)
        mean_square = norm.square() / hidden.shape[-1]
        return hidden * ((mean_square + 1e-8).rsqrt() * self.log_scale.exp())


class Downsample(nn.Module):
    """Average groups of neighbouring steps by learned weights.

    An incomplete last group is filled up with the last valid step.
    """

    def __init__(self, factor: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(factor))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]`` with the valid steps first, to ``[B, ceil(L / factor), C]``."""
        factor = len(self.logits)
        num_groups = math.ceil(hidden.shape[1] / factor)
        filled = hidden
        if mask is not None:
            last = mask.sum(dim=1, keepdim=True).clamp_min(1) - 1
            steps = torch.arange(num_groups * factor, device=hidden.device)
            steps = steps.expand(hidden.shape[0], -1)
            filled = take_steps(hidden, steps.minimum(last))
        elif missing := num_groups * factor - hidden.shape[1]:
            filled = torch.cat((hidden, hidden[:, -1:].expand(-1, missing, -1)), dim=1)
        groups = filled.unflatten(1, (num_groups, factor))
        weights = self.logits.softmax(dim=0).to(groups.dtype)
        return (weights.unsqueeze(0) @ groups).squeeze(2)


def relative_positions(num_steps: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Encode the distances from ``1 - L`` (L steps before) to ``L - 1``: ``[2L - 1, P]``.

    Distances are compressed, logarithmically and by arctan, to a finite interval of which the
    encoding is a Fourier series: near steps are told apart exactly, far ones roughly.
    """
    precise = dtype if dtype.itemsize > 2 else torch.float32
    distances = torch.arange(1 - num_steps, num_steps, device=device, dtype=precise).unsqueeze(-1)
    reach = math.sqrt(POSITION_DIM)
    compressed = distances.sign() * reach * (distances.abs() / reach).log1p()
    angles = (compressed * (2 * math.pi / POSITION_DIM)).atan()
    angles = angles * torch.arange(1, POSITION_DIM // 2 + 1, device=device)
    encoding = torch.stack((angles.cos(), angles.sin()), dim=-1).flatten(-2)
    encoding[..., -1] = 1.0  # stands for a bias
    return encoding.to(dtype)


def _from_distances(scores: Tensor) -> Tensor:
    """View ``[B, H, L, 2L - 1]``, by distance, as ``[B, H, L, L]``, by step looked at."""
    batch, heads, steps, _ = scores.shape
    if torch.compiler.is_exporting():  # ONNX knows no strides
        own = torch.arange(steps, device=scores.device)
        seen = (own + steps - 1 - own.unsqueeze(1)).expand(batch, heads, -1, -1)
        return scores.gather(-1, seen)
    outer, *rows, column = scores.stride()
    strides = (outer, rows[0], rows[1] - column, column)
    first = scores.storage_offset() + column * (steps - 1)
    return scores.as_strided((batch, heads, steps, steps), strides, first)


def _added(hidden: Tensor, change: Tensor) -> Tensor:
    """Add what a module gave, where possible into its own memory: nobody else reads that."""
    return change.add_(hidden) if change.dtype == hidden.dtype else hidden + change


def swoosh_left(values: Tensor) -> Tensor:
    """SwooshL of the paper: for modules that are mostly off."""
    return swoosh(values, 4.0, 0.035)


def swoosh_right(values: Tensor) -> Tensor:
    """SwooshR of the paper: passes through the origin."""
    return swoosh(values, 1.0, 0.313261687)


def _widest(outputs: Sequence[Tensor]) -> Tensor:
    """Take every channel from the latest stack that has it."""
    combined = outputs[-1]
    for output in reversed(outputs[:-1]):
        combined = torch.cat((combined, output[..., combined.shape[-1] :]), dim=-1)
    return combined


def _scaled_linear(input_dim: int, output_dim: int, scale: float, bias: bool = True) -> nn.Linear:
    """A linear layer that starts small, so that each module begins close to doing nothing."""
    linear = nn.Linear(input_dim, output_dim, bias=bias)
    with torch.no_grad():
        linear.weight.mul_(scale)
        if bias:
            linear.bias.uniform_(-0.1 * scale, 0.1 * scale)
    return linear
