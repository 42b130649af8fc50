"""The encoder that encodes nothing: what is left is a linear model of the features.

Shapes: B examples, L feature steps, D feature dim.
"""

from __future__ import annotations

from torch import Tensor, nn


class Linear(nn.Module):
    """Hand the features on as they are.

    With mean or last pooling the classifier is then a logistic regression on pooled features: the
    baseline that every other head has to beat, and the hardest to overfit.
    """

    causal = True

    def __init__(self, input_dim: int):
        super().__init__()
        self.output_dim = input_dim

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to the same ``[B, L, D]``; neither ``times`` nor ``mask`` is needed."""
        return features
