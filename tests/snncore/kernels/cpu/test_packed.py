"""Spikes as bits and back: every value that fits, the sizes that are left alone, and what does not fit."""

import numpy as np
import pytest

from snncore.kernels import cpu, reference
from snncore.kernels.cpu.packed import LEAST, Packed


@pytest.mark.parametrize(("most", "share"), [(0, 8), (1, 8), (2, 4), (3, 4)])
def test_spikes_come_back_from_an_eighth_or_a_quarter_of_the_bytes(rng, most, share):
    x = rng.integers(0, most + 1, (4, LEAST // 8, 2, 3), np.uint8)
    x[0, 0, 0, 0] = most
    kept = cpu.packed_spikes(x)
    assert isinstance(kept, Packed)
    assert kept.bits.nbytes * share == x.nbytes
    y = cpu.unpacked_spikes(kept)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(y, x)


def test_each_byte_of_a_word_has_its_own_bit():
    x = np.zeros(LEAST, np.uint8)
    for place in range(8):
        x[:8] = 0
        x[place] = 1
        np.testing.assert_array_equal(cpu.unpacked_spikes(cpu.packed_spikes(x)), x)
        x[place] = 2
        np.testing.assert_array_equal(cpu.unpacked_spikes(cpu.packed_spikes(x)), x)


@pytest.mark.parametrize(
    "x",
    [
        np.ones(LEAST - 8, np.uint8),
        np.ones(LEAST + 1, np.uint8),
        np.ones((LEAST, 2), np.uint8)[:, 0],
        np.ones(LEAST, np.float32),
        np.r_[np.ones(LEAST - 1), 4].astype(np.uint8),
        np.r_[np.ones(LEAST - 1), 128].astype(np.uint8),
    ],
    ids=["few", "odd", "apart", "analog", "four", "many"],
)
def test_what_does_not_fit_is_kept_as_it_is(x):
    assert cpu.packed_spikes(x) is x
    assert cpu.unpacked_spikes(x) is x


def test_the_reference_keeps_them_as_they_are():
    x = np.ones(LEAST, np.uint8)
    assert reference.unpacked_spikes(reference.packed_spikes(x)) is x
