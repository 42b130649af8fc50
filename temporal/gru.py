"""A gated recurrent unit over the feature steps (Cho et al., arXiv 1406.1078).

Shapes: B examples, L feature steps, D feature dim, E output dim.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from collision.learning.fused import is_full
from collision.learning.packing import pack_steps, unpack_steps


class GRU(nn.Module):
    """Project the features to a small dim, then run a GRU over the valid steps.

    ``times`` is not used: steps are taken as evenly spaced. Masked steps are taken out of the
    sequence before it runs, wherever they lie, and their outputs are zero.

    Args:
        dim: Size of the projected features and of the state, per direction.
        bidirectional: Run a second GRU from the newest step to the oldest. No step lies after the
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
    ):
        super().__init__()
        self.projection = nn.Linear(input_dim, dim)
        self.gru = nn.GRU(
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
        # A sequence can't be packed with length 0; the outputs of such a row are zeroed below.
        lengths = packed_mask.sum(dim=1).clamp_min(1).cpu()
        projected = self._project(steps)
        packed = pack_padded_sequence(projected, lengths, batch_first=True, enforce_sorted=False)
        states, _ = self.gru(packed)
        outputs, _ = pad_packed_sequence(states, batch_first=True, total_length=mask.shape[1])
        return self.dropout(unpack_steps(outputs, order)) * mask.unsqueeze(-1)

    def _project(self, steps: Tensor) -> Tensor:
        """``[B, L, D]`` to the GRU's input, in the type of its weights: autocast has none."""
        return self.dropout(self.projection(steps)).to(self.gru.weight_ih_l0.dtype)
