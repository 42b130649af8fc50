"""Retention (Sun et al., Retentive Network, arXiv 2307.08621): attention that is a recurrence too.

A step reads the steps before it by the product of its query with their keys, as in attention, but
without a softmax: each is weighted by a power of the head's decay instead, and queries and keys are
turned by their positions. So the same outputs can be had in three forms: in parallel, with work
that grows with the square of the length; one step after the other, from a state of fixed size; and
in chunks, parallel within and recurrent between, with work that grows with the length.

Shapes: B examples, L steps, C channels, H heads, K channels of a head (even), T steps of a chunk,
N chunks.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from collision.errors import ConfigError
from collision.learning.packing import reverse_steps

PARALLEL_STEPS = 64  # up to which the parallel form does less work than chunks would save
CHUNK_STEPS = 32
_SLOWEST = 10_000.0  # the slowest pair of channels turns so much less a step than the fastest


def head_decays(heads: int, shortest_memory: float, longest_memory: float) -> Tensor:
    """Give the decay of each head, float64 ``[H]``: 1 - 1 / memory, memories in even ratios."""
    span = torch.linspace(
        math.log(shortest_memory), math.log(longest_memory), heads, dtype=torch.float64
    )
    return 1 - 1 / span.exp()


def turn_rates(head_dim: int) -> Tensor:
    """Give radians a step for each pair of channels, float64 ``[K/2]``, from 1 to 1/10,000."""
    return _SLOWEST ** -torch.linspace(0, 1, head_dim // 2, dtype=torch.float64)


def turn(vectors: Tensor, angles: Tensor) -> Tensor:
    """Turn channels 2i and 2i + 1 of ``[..., K]`` as a pair, by ``angles [..., K/2]`` in radians.

    The angles are float64: those of late steps are large, and what counts are their differences.
    """
    cosine, sine = _like(angles.cos(), vectors), _like(angles.sin(), vectors)
    first, second = vectors.unflatten(-1, (-1, 2)).unbind(-1)
    turned = (first * cosine - second * sine, first * sine + second * cosine)
    return torch.stack(turned, dim=-1).flatten(-2)


def retain_parallel(queries: Tensor, keys: Tensor, values: Tensor, decays: Tensor) -> Tensor:
    """Let each step read itself and the steps before it: three ``[B, H, L, K]`` to the same.

    Queries and keys are turned already; ``decays [H]`` are float64.
    """
    weights = queries @ keys.transpose(-1, -2) * _decay_matrix(decays, queries.shape[2], 0, queries)
    return weights @ values


def retain_step(
    state: Tensor | None, query: Tensor, key: Tensor, value: Tensor, decays: Tensor
) -> tuple[Tensor, Tensor]:
    """Do the newest step: three ``[B, H, K]`` to its output and the state ``[B, H, K, K]``.

    Query and key are not turned; the state is, backwards by one step each time. This is the same,
    and it stays exact in a stream without end.
    """
    new = key.unsqueeze(-1) * value.unsqueeze(-2)
    if state is not None:
        turned = turn(state.transpose(-1, -2), -turn_rates(key.shape[-1])).transpose(-1, -2)
        new = new + _like(decays, turned).view(-1, 1, 1) * turned
    return (query.unsqueeze(-2) @ new).squeeze(-2), new


def retain_chunked(
    queries: Tensor, keys: Tensor, values: Tensor, decays: Tensor, chunk: int = CHUNK_STEPS
) -> Tensor:
    """Give what ``retain_parallel`` gives, of chunks of ``chunk`` steps; any length will do."""
    length = queries.shape[2]
    missing = -length % chunk
    parts = [queries, keys, values]
    if missing:
        parts = [functional.pad(part, (0, 0, 0, missing)) for part in parts]
    queries, keys, values = (part.unflatten(2, (-1, chunk)) for part in parts)  # [B, H, N, T, K]
    inside = queries @ keys.transpose(-1, -2) * _decay_matrix(decays, chunk, 0, queries)[:, None]
    steps = torch.arange(chunk, dtype=torch.float64)
    to_end = _powers(decays, chunk - 1 - steps, queries)[:, None, :, None]  # [H, 1, T, 1]
    from_start = _powers(decays, steps + 1, queries)[:, None, :, None]
    ends = (keys * to_end).transpose(-1, -2) @ values  # [B, H, N, K, K]: what a chunk leaves
    # A chunk begins with what those before it left, faded by the chunks between: retention again.
    between = _decay_matrix(decays**chunk, queries.shape[2], 1, queries)
    starts = torch.einsum("hnm,bhmkv->bhnkv", between, ends)
    mixed = inside @ values + (queries * from_start) @ starts
    return mixed.flatten(2, 3)[:, :, :length]


def _powers(decays: Tensor, exponents: Tensor, like: Tensor) -> Tensor:
    """Raise ``[H]`` to exponents ``[...]``, none negative: ``[H, ...]``, of the type of another."""
    shape = (-1, *[1] * exponents.dim())
    return _like(decays.view(shape) ** exponents, like)


def _decay_matrix(decays: Tensor, length: int, lag: int, like: Tensor) -> Tensor:
    """Give what a step keeps of one ``lag`` or more before it, ``[H, L, L]``; 0 of later ones."""
    steps = torch.arange(length, dtype=torch.float64)
    distances = steps.unsqueeze(-1) - steps - lag
    return _powers(decays, distances.clamp_min(0), like) * _like(distances >= 0, like)


def _like(table: Tensor, values: Tensor) -> Tensor:
    """Give a table of the CPU the type and the device of values; a GPU is not waited for."""
    return table.to(values.dtype).to(values.device, non_blocking=True)


class Retention(nn.Module):
    """Multi-scale retention: heads with decays of their own, normalised each, and a swish gate.

    As in the paper's equation 8, with K channels of a value too (the paper doubles them). The
    scores' further normalisations of its section 2.4 cancel in the normalisation of the heads.

    Args:
        dim: C.
        heads: H.
        bidirectional: Add the same retention of the steps from the newest to the oldest.
        memories: Steps after which the first head's and the last head's weights have fallen to
            about a third; above 1.
    """

    def __init__(self, dim: int, heads: int, bidirectional: bool, memories: tuple[float, float]):
        super().__init__()
        if dim % (2 * heads):
            raise ConfigError(
                f"head.dim={dim} with head.heads={heads}: each head needs an even number of "
                f"channels. Give a multiple of {2 * heads}."
            )
        if not 1 < memories[0] <= memories[1] < math.inf:
            raise ConfigError(
                f"head.shortest_memory={memories[0]} and head.longest_memory={memories[1]}: give "
                "steps above 1, the longest not below the shortest, such as 4 and 512."
            )
        self.heads, self.bidirectional, self.memories = heads, bidirectional, memories
        self.in_projection = nn.Linear(dim, 4 * dim)  # queries, keys, values, gate
        # With constant parts of queries and keys a head begins as a plain average over its memory;
        # from zero they are hardly learned: the gradient of each is the other.
        nn.init.normal_(self.in_projection.bias[: 2 * dim])
        nn.init.zeros_(self.in_projection.bias[2 * dim :])
        self.out_projection = nn.Linear(dim, dim)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]`` to the same; ``mask [B, L]`` has the valid steps first; None: all are."""
        parts, gate = self._project(hidden)
        mixed = self._mix(parts)
        if self.bidirectional:
            mixed = mixed + reverse_steps(self._mix(reverse_steps(parts, mask)), mask)
        return self._close(mixed, gate)

    def step(self, state: Tensor | None, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, C]`` to the same, and the state ``[B, H, K, K]`` after it."""
        parts, gate = self._project(hidden)
        query, key, value = rearrange(parts, "b (part h k) -> part b h k", part=3, h=self.heads)
        with torch.autocast(parts.device.type, enabled=False):
            mixed, state = retain_step(state, query, self._scaled(key), value, self._decays())
        return self._close(mixed.flatten(1), gate), state

    def _project(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Give queries, keys and values in one, ``[..., 3C]``, in float32 at least; and the gate.

        Sums over hundreds of steps are too much for half precision.
        """
        parts, gate = self.in_projection(hidden).tensor_split((3 * hidden.shape[-1],), dim=-1)
        return parts if parts.dtype.itemsize > 2 else parts.float(), gate

    def _mix(self, parts: Tensor) -> Tensor:
        """``[B, L, 3C]`` to ``[B, L, C]``, by the form that is best for the length."""
        with torch.autocast(parts.device.type, enabled=False):
            split = rearrange(parts, "b l (part h k) -> part b h l k", part=3, h=self.heads)
            steps = torch.arange(parts.shape[1], dtype=torch.float64)
            angles = steps.unsqueeze(-1) * turn_rates(split.shape[-1])
            queries, keys = turn(split[:2], angles)
            retain = retain_parallel if parts.shape[1] <= PARALLEL_STEPS else retain_chunked
            mixed = retain(queries, self._scaled(keys), split[2], self._decays())
            return rearrange(mixed, "b h l k -> b l (h k)")

    def _close(self, mixed: Tensor, gate: Tensor) -> Tensor:
        """Normalise each head by itself, gate, project: two ``[..., C]`` to one."""
        by_head = mixed.unflatten(-1, (self.heads, -1))
        normal = functional.layer_norm(by_head, by_head.shape[-1:], eps=1e-6)
        return self.out_projection(normal.flatten(-2) * functional.silu(gate))

    def _scaled(self, keys: Tensor) -> Tensor:
        return keys / math.sqrt(keys.shape[-1])

    def _decays(self) -> Tensor:
        return head_decays(self.heads, *self.memories)


class RetentionBlock(nn.Module):
    """Retention, then a feed-forward module; each reads a normalised copy and adds to the sum."""

    def __init__(self, retention: Retention, feedforward_dim: int, dropout: float):
        super().__init__()
        dim = retention.out_projection.out_features
        self.retention_norm = nn.LayerNorm(dim)
        self.retention = retention
        self.feedforward_norm = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward_dim, dim),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]`` to the same; ``mask [B, L]`` has the valid steps first; None: all are."""
        return self._add(hidden, self.retention(self.retention_norm(hidden), mask))

    def step(self, state: Tensor | None, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, C]`` to the same, and the state of the retention after it."""
        mixed, state = self.retention.step(state, self.retention_norm(hidden))
        return self._add(hidden, mixed), state

    def _add(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + self.dropout(mixed)
        return hidden + self.dropout(self.feedforward(self.feedforward_norm(hidden)))
