import multiprocessing

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collision.features.memory import SharedMemory


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=60))
def test_no_two_places_overlap_and_freed_ones_come_again(steps):
    memory, taken = SharedMemory(100), []
    for size, frees_first in steps:
        if frees_first and taken:
            memory.free(taken.pop(0))
        place = memory.take(size)
        used = sorted((one.begin, one.end) for one in taken)
        gaps = zip(
            [0, *(end for _, end in used)], [*(begin for begin, _ in used), 100], strict=True
        )
        assert (place is None) == all(end - begin < size for begin, end in gaps)
        if place is not None:
            assert place.begin >= 0 and place.end <= memory.size
            assert all(place.end <= begin or place.begin >= end for begin, end in used)
            taken.append(place)


def test_what_a_child_writes_is_seen_here():
    memory = SharedMemory(1000)
    memory.take(100)
    place = memory.take(24)

    def write():
        memory.view(place, (2, 3, 4))[:] = np.arange(24).reshape(2, 3, 4)

    child = multiprocessing.get_context("fork").Process(target=write)
    child.start()
    child.join()
    assert memory.view(place, (24,)).tolist() == list(range(24))
