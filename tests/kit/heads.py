"""The heads that tests and benchmarks go through, and which of them take long."""

import functools
from unittest import mock

import torch

from collision.config import names_of, part
from collision.learning.head import build_model, is_chosen

LARGE = 5_000_000  # parameters

HEADS = [name for name in names_of("head") if not is_chosen(part("head", name))]


@functools.cache
def is_large(head: str) -> bool:
    """Whether each test of it takes seconds: for the slow ones."""
    as_it_is = mock.patch.object(torch.Tensor, "normal_", lambda tensor, *_, **__: tensor)
    with torch.device("meta"), as_it_is:  # no memory, and nothing drawn
        model = build_model(part("head", head), part("pooling", "mean"), 24)
    return model.num_parameters > LARGE
