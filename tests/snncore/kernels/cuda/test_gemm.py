"""Products of matrices, against those in float64."""

import numpy as np
import pytest

from snncore.backend import asnumpy
from snncore.kernels import reference
from snncore.kernels.cuda import gemm

f32 = np.float32
SHAPES = [(3, 4, 5), (1, 7, 2), (6, 1, 4), (5, 3, 1), (33, 65, 17)]  # m, k, n


def matrix(gpu, rng, rows, columns, turned):
    x = rng.standard_normal((columns, rows) if turned else (rows, columns)).astype(f32)
    return gpu.asarray(x).T if turned else gpu.asarray(x)


def check(found, expected):
    np.testing.assert_allclose(asnumpy(found), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_products_in_every_layout(gpu, rng, turned):
    for shape in SHAPES:
        check_product(gpu, rng, shape, turned)


def check_product(gpu, rng, shape, turned):
    m, k, n = shape
    a, b = matrix(gpu, rng, m, k, turned[0]), matrix(gpu, rng, k, n, turned[1])
    expected = asnumpy(a).astype(float) @ asnumpy(b).astype(float)
    assert gemm.can_record()
    check(gemm.matmul(a, b), expected)
    whole = gpu.full((m + 2, n), 7.0, f32)
    gemm.matmul(a, b, out=whole[1 : m + 1])  # rows of a larger matrix, and no others
    check(whole[1 : m + 1], expected)
    assert (asnumpy(whole)[[0, -1]] == 7).all()


def test_rows_with_gaps_and_other_types_are_taken(gpu, rng):
    a = gpu.asarray(rng.standard_normal((6, 8)).astype(f32))[:, ::2]
    b = gpu.asarray(rng.standard_normal((8, 6)).astype(f32))[::2, 1:4]
    check(gemm.matmul(a, b), asnumpy(a).astype(float) @ asnumpy(b).astype(float))
    wide = gemm.matmul(a.astype(np.float64), b.astype(np.float64))
    assert wide.dtype == np.float64
    check(wide, asnumpy(a).astype(float) @ asnumpy(b).astype(float))


def test_rows_of_spikes_times_weights(gpu, rng):
    x, w = (rng.random((2, 3, 5)) < 0.4).astype(np.uint8), rng.standard_normal((5, 4)).astype(f32)
    gy = rng.standard_normal((2, 3, 4)).astype(f32)
    check(gemm.linear_forward(gpu.asarray(x), gpu.asarray(w)), reference.linear_forward(x, w))
    check(gemm.linear_forward(gpu.asarray(gy), gpu.asarray(w).T), reference.linear_forward(gy, w.T))
    check(gemm.linear_backward_weight(gpu.asarray(x), gpu.asarray(gy)), reference.linear_backward_weight(x, gy))


def test_without_the_library_cupy_multiplies(gpu, rng, monkeypatch):
    monkeypatch.setattr(gemm, "_handle", lambda cupy: None)
    a, b = matrix(gpu, rng, 3, 4, False), matrix(gpu, rng, 4, 2, True)
    assert not gemm.can_record()
    check(gemm.matmul(a, b), asnumpy(a).astype(float) @ asnumpy(b).astype(float))
