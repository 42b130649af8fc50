"""What a step frees is there for the next one."""

import platform
import resource

import pytest
import torch

from collision.devices import memory_kept

SIZE = 2_000_000  # numbers: 8 MB, 2,000 pages


def new_pages():
    """Count the pages that 20 arrays, made and freed one after the other, are given."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(SIZE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_is_used_again():
    with memory_kept():
        torch.ones(SIZE)
        assert new_pages() < 10_000  # anew each time: 40,000
