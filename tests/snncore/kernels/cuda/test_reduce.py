"""Sums of partial sums: every column, of few columns and of many, and the same in any order of threads."""

import numpy as np
import pytest

from snncore.kernels.cuda.reduce import sum_mlif, sum_partials
from tests.snncore.kernels.cuda.pairs import up


@pytest.mark.parametrize("columns", [1, 3, 8, 17, 33])
@pytest.mark.parametrize("rows", [31, 1025])
def test_columns(gpu, rng, rows, columns):
    x = rng.integers(-(2**40), 2**40, (rows, columns)).astype(np.float64)  # whole numbers: no order has another sum
    np.testing.assert_array_equal(sum_partials(up(gpu, x)).get(), x.sum(axis=0))
    if columns == 8:
        followed = sum_partials(up(gpu, x), zeros=5).get()
        np.testing.assert_array_equal(followed, [*x.sum(axis=0), *[0.0] * 5])
        halves = gpu.full(columns // 2, np.nan, np.float32), gpu.full(columns // 2, np.nan, np.float32)
        np.testing.assert_array_equal(sum_partials(up(gpu, x), halves).get(), x.sum(axis=0))
        np.testing.assert_array_equal(sum_partials(up(gpu, x), halves, 5).get(), followed)
        for half, expected in zip(halves, np.split(x.sum(axis=0).astype(np.float32), 2), strict=True):
            np.testing.assert_array_equal(half.get(), expected)


@pytest.mark.parametrize("pixels", [5, 33])
def test_sums_of_an_mlif(gpu, rng, pixels):
    x = rng.integers(-(2**40), 2**40, (70, 2, pixels)).astype(np.float64)
    gw, galpha = gpu.full(pixels, np.nan, np.float32), gpu.full((), np.nan, np.float32)
    sum_mlif(up(gpu, x), gw, galpha)
    np.testing.assert_array_equal(gw.get(), x[:, 0].sum(axis=0).astype(np.float32))
    np.testing.assert_array_equal(galpha.get(), x[:, 1].sum().astype(np.float32))
