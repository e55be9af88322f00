"""The gradient of weights on the shim, whole and broken: each thing that it must get right is missed without it."""

import numpy as np
import pytest

from snncore.kernels.cuda.module import source
from tests.support.shim.build import compiler
from tests.support.shim.kernel import LaunchError, load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(compiler() is None, reason="g++ is not installed"),
]


def gradient(text, order=0, race=False):
    """(gw of exact_gradient.cu, and of whole numbers) of a window of 3 x 3, 80 channels to 32, 150 places."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (2, 5, 15, 80)).astype(np.uint8)
    q = rng.integers(-(2**30), 2**30, (150, 32))
    q[0] = 0x7F7F7F00  # its power is 0
    gy = q.astype(np.float32)
    q = gy.astype(np.int64)
    digits, total = np.zeros((3, 4, 32, 64), np.int8), np.ones(9 * 80 * 32, np.uint64)
    bits, gw = abs(gy).max(axis=0).view(np.uint32), np.full((9, 80, 32), np.nan, np.float32)
    kernels = load(text, race)
    for kernel in kernels.values():
        kernel.order = order
    last = np.int32(32), np.int64(total.size)
    kernels["exact_gradient_digits"].launch((3, 1), (256,), (gy, bits, digits, total, np.int32(150), *last))
    by = np.int64(0), np.int64(x.size), np.int64(0), np.int32(64 % 15), np.int32(64 // 15)  # 64 places: 4 lines and 4
    sizes = map(np.int32, (3, 0, 5, 15, 80, 5, 15, 32, 3, 3, 1, 1, 1, 1))
    kernels["exact_gradient_pieces"].launch((9, 1, 2), (256,), (x, digits, bits, total, gw, *by, *sizes))
    kernels["exact_gradient_round"].launch((90,), (256,), (total, bits, gw, *last))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x.astype(np.int64), ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), (1, 2)
    )  # [2, 5, 15, 80, 3, 3]
    expected = np.einsum("mijcyx,mijo->yxco", windows, q.reshape(2, 5, 15, 32)).reshape(gw.shape)
    return gw, expected.astype(np.float32)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("words[d][i >> 2]", "words[DIGITS - 1 - d][i >> 2]"),  # digits in the wrong order
        ("0x7531);  // row 8", "0x6420);  // row 8"),  # the even channel twice
        ("+ 2 * (j & 1) + (r & 1)", "+ 2 * (r & 1) + (j & 1)"),  # places in another order
        ("place_of_spikes(row, chunk + k);", "place_of_digits(row, chunk + k);"),  # not where it is read
        ("(signed char)(q & 255)", "(q & 255)"),  # digits without a sign
        ("wait_copies<STAGES - 2>()", "wait_copies<STAGES - 1>()"),  # a step too early
        ("total[i] = 0;", "{}"),
    ],
)
def test_a_broken_gradient_has_other_sums(before, after):
    text = source("exact_gradient")
    assert before in text
    try:
        gw, expected = gradient(text.replace(before, after) if before else text, order=1)
    except LaunchError as error:
        assert before
        assert "returned before its copies" in str(error)  # noqa: PT017
    else:
        assert (gw == expected).all() == (not before)


@pytest.mark.parametrize(
    ("kernel", "barrier"),
    [
        ("pieces", "__syncthreads();  // the copies of all threads are there"),
        ("digits", "__syncthreads();\n#pragma unroll\n    for (int k = t; k < DIGITS"),
    ],
)
def test_a_gradient_without_a_barrier_is_a_race(kernel, barrier):
    text = source("exact_gradient")
    assert barrier in text
    with pytest.raises(LaunchError, match=rf"exact_gradient_{kernel}: race .*shared memory"):
        gradient(text.replace(barrier, barrier.replace("__syncthreads();", "").replace("  //", "//")), race=True)
