"""Several heads as one: the mean of their logits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from collision.learning.head import HeadModel, HeadOptions

_PREFIX = "members."


class Ensemble(nn.Module):
    """Heads of one make and of several seeds; takes what a head takes and gives what it gives."""

    def __init__(self, members: Iterable[HeadModel]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """Score a batch: logits ``[B]``."""
        logits = [member(features, times, mask) for member in self.members]
        return torch.stack(logits).mean(dim=0)

    @property
    def options(self) -> HeadOptions:
        """What its heads see."""
        first = self.members[0]
        assert isinstance(first, HeadModel)
        return first.options


def states_of(state: Mapping[str, Tensor]) -> Sequence[dict[str, Tensor]]:
    """Part the weights of an ensemble by its heads, in their order; of a head they are its own."""
    numbers = {name.removeprefix(_PREFIX).partition(".")[0] for name in state}
    if not all(name.startswith(_PREFIX) for name in state) or not state:
        return [dict(state)]
    count = len(numbers)
    heads = [f"{_PREFIX}{number}." for number in range(count)]
    return [
        {name.removeprefix(head): one for name, one in state.items() if name.startswith(head)}
        for head in heads
    ]
