"""Largest magnitudes that a kernel found on its way: those of a pass of their own, and of the right array."""

import numpy as np
import pytest

from snncore.kernels import cuda
from snncore.kernels.choice import tensor_cores
from snncore.kernels.cuda import binned, largest
from snncore.kernels.cuda.binned import largest_bits
from tests.snncore.kernels.cuda.pairs import floats, up
from tests.support.double.ledger import events


def backward(gpu, rng, channels, rows=20, bad=None, lif=False, training=True, room=True):
    """gx [5, rows, C] of batch normalisation, by the kernel that is asked for."""
    gy, x = (up(gpu, floats(rng, 5, rows, channels)) for _ in range(2))
    if bad is not None:
        gy[2, 7, channels // 2] = bad
    mean, inv_std, gamma = rng.normal(0, 1, channels), rng.uniform(0.5, 2, channels), floats(rng, channels)
    sums = np.concatenate([rng.normal(0, 5, (2, channels)), np.zeros((1, channels))])[: 2 + room]
    run = cuda.batch_norm_lif_backward if lif else cuda.batch_norm_backward
    return run(gy, x, *(up(gpu, a) for a in (mean, inv_std, gamma, sums)), 5 * rows if training else None)


def found(x):
    """(the bits, how many launches it took to have them)."""
    before = events["launch"]
    return largest_bits(x), events["launch"] - before


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize(("channels", "bad"), [(1, None), (3, np.nan), (33, -np.inf), (70, None)])
def test_backward_finds_them_on_its_way(gpu, rng, monkeypatch, channels, bad):
    monkeypatch.setattr(binned, "ALL_BLOCKS", 2)  # so that a thread takes more rows than it loads at once
    for lif, training, room in ((False, True, True), (True, True, False), (False, False, True)):
        with tensor_cores("on"):
            gx = backward(gpu, rng, channels, bad=bad, lif=lif, training=training, room=room)
        bits, launches = found(gx.reshape(-1, 10, channels))  # as a convolution sees it
        assert launches == 0
        again, launches = found(gx.copy())
        assert launches == 1
        np.testing.assert_array_equal(bits.get(), again.get())
        expected = np.abs(gx.get()).max((0, 1))
        expected[np.isnan(expected)] = np.inf
        np.testing.assert_array_equal(bits.get().view(np.float32), expected)


def test_they_are_not_looked_for_where_nobody_asks(gpu, rng):
    with tensor_cores("off"):
        gx = backward(gpu, rng, 3)
    assert largest.remembered(gx) is None


def test_they_are_of_that_array_alone(gpu, rng):
    with tensor_cores("on"):
        gx = backward(gpu, rng, 4)
    assert largest.remembered(gx) is not None
    others = (gx + 1, gx[1:], gx[:1], gx.reshape(5, -1, 2), gx.reshape(-1), gx.view(np.int32), gx.T)
    assert all(largest.remembered(x) is None for x in others)


def test_they_are_forgotten_with_it(gpu, rng):
    with tensor_cores("on"):
        gx = backward(gpu, rng, 4)
    address, before = gx.data.ptr, len(largest._found)
    largest.remember(gx, largest.remembered(gx))  # a second time, as where it is written over
    assert address in largest._found
    assert len(largest._found) == before
    del gx
    assert address not in largest._found
