"""A gated recurrent network over the feature steps: of GRU cells, or of LSTM cells.

The cells are those of Cho et al. (arXiv 1406.1078) and of Hochreiter and Schmidhuber (Neural
Computation 9, 1997) as torch has them.

Shapes: B examples, L feature steps, D feature dim, E output dim.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from collision.learning.fused import is_full
from collision.learning.packing import pack_steps, unpack_steps


class GRU(nn.Module):
    """Project the features to a small dim, then run a GRU or an LSTM over the valid steps.

    Class and weights have the name of the first, by which saved heads know them.

    ``times`` is not used: steps are taken as evenly spaced. Masked steps are taken out of the
    sequence before it runs, wherever they lie, and their outputs are zero.

    Args:
        cell: ``gru`` or ``lstm``; the latter has a third more weights.
        dim: Size of the projected features and of the state, per direction.
        bidirectional: Run a second one from the newest step to the oldest. No step lies after the
            cut, so this sees no future; it doubles E.
        dropout: Of the projected features and of each layer's output.
    """

    def __init__(
        self,
        input_dim: int,
        dim: int = 64,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.3,
        cell: Literal["gru", "lstm"] = "gru",
    ):
        super().__init__()
        self.projection = nn.Linear(input_dim, dim)
        recurrent = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.gru = recurrent(
            dim,
            dim,
            num_layers=layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,  # torch applies it between layers alone
        )
        self.dropout = nn.Dropout(dropout)
        self.output_dim = dim * (2 if bidirectional else 1)
        self.causal = not bidirectional

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, E]``."""
        if is_full(mask):
            return self.dropout(self.gru(self._project(features))[0])
        steps, packed_mask, order = pack_steps(features, mask)
        projected = self._project(steps)
        if torch.compiler.is_exporting() and self.causal:  # what lies behind changes nothing before
            return unpack_steps(self.gru(projected)[0], order) * mask.unsqueeze(-1)
        # A sequence can't be packed with length 0; the outputs of such a row are zeroed below.
        lengths = packed_mask.sum(dim=1).clamp_min(1).cpu()
        packed = pack_padded_sequence(projected, lengths, batch_first=True, enforce_sorted=False)
        states, _ = self.gru(packed)
        outputs, _ = pad_packed_sequence(states, batch_first=True, total_length=mask.shape[1])
        return self.dropout(unpack_steps(outputs, order)) * mask.unsqueeze(-1)

    def _project(self, steps: Tensor) -> Tensor:
        """``[B, L, D]`` to the GRU's input, in the type of its weights: autocast has none."""
        return self.dropout(self.projection(steps)).to(self.gru.weight_ih_l0.dtype)
