"""Arrays on cache lines, scratch memory, and memory that is kept."""

import sys

import numpy as np
import pytest

from snncore.kernels.cpu.memory import LINE, aligned, keep_memory, round_up, scratch


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 5), (0, 4), (1,), (2, 3, 7)])
def test_arrays_start_on_a_line(shape, dtype):
    for _ in range(5):
        x = aligned(shape, dtype, zero=True)
        assert (x.shape, x.dtype) == (shape, np.dtype(dtype))
        assert x.size == 0 or x.ctypes.data % LINE == 0
        assert not x.any()
        assert x.flags.c_contiguous


def test_scratch_memory_is_one_room_that_grows():
    first, second = scratch(10, 5)
    first[:], second[:] = 7, 8
    assert first.ctypes.data % LINE == second.ctypes.data % LINE == 0
    assert first.tolist() == [7] * 10  # they do not overlap
    assert scratch(4)[0].tolist() == [7] * 4
    room = first.base
    assert scratch(3)[0].base is room
    large, small = scratch(room.size + 1, 3)
    assert (large.size, small.size) == (room.size + 1, 3)
    assert not large.any()
    assert scratch(room.size)[0].base is large.base


def test_multiples():
    assert [round_up(n, 6) for n in (0, 1, 6, 7)] == [0, 6, 6, 12]


def test_memory_is_kept_where_the_c_library_can(monkeypatch):
    assert keep_memory() in (True, False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory() is False
