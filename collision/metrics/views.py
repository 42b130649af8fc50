"""The scores of an example that is seen in several views.

Shapes: R rows (examples in their views), E examples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mean_by_example(values: Tensor, example_of: Tensor) -> Tensor:
    """Average ``[R]`` values over the rows of each example: ``[E]``.

    ``example_of int64 [R]`` has every number of 0 .. E - 1 at least once.
    """
    num_examples = int(example_of.max()) + 1 if len(example_of) else 0
    total = torch.zeros(num_examples, dtype=torch.float64)
    total = total.index_add(0, example_of, values.double())
    return (total / torch.bincount(example_of, minlength=num_examples)).to(values.dtype)
