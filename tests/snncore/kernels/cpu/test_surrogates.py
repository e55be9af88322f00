"""Compiled derivatives of the surrogates against `snncore.surrogate`: at edges, far away, on infinities and NaN."""

import numpy as np
import pytest

from snncore import surrogate as S
from snncore.kernels.cpu.compiled import Kernel
from snncore.kernels.cpu.surrogates import CODES, code_of, derivative

EDGES = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 8.0, np.inf])
SURROGATES = [kind(value) for kind in CODES for value in (0.5, 1.0, 2.0)]


def differentiate(code, scale, x):
    derivative(code, scale, x)


KERNEL = Kernel(differentiate, False, {"error_model": "numpy"})


@pytest.fixture(autouse=True)
def anywhere(tmp_path, monkeypatch):
    """Keep the test's kernel out of the folders of tests."""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))


def compiled_derivative(surrogate, x):
    found = x.astype(np.float32)
    KERNEL(*code_of(surrogate), found)
    return found


@pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)
def test_the_derivative_is_the_surrogates(surrogate, rng):
    x = np.concatenate([EDGES, -EDGES, rng.normal(0, 2, 1000)]).astype(np.float32)
    exact = surrogate.derivative(x.astype(np.float64))
    np.testing.assert_allclose(compiled_derivative(surrogate, x), exact, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_the_edges_of_the_rectangle_belong_to_it(width):
    edge = np.float32(width / 2)
    x = np.array([-edge, edge, np.nextafter(edge, np.float32(9)), -np.nextafter(edge, np.float32(9))])
    assert compiled_derivative(S.Rectangle(width), x).tolist() == [1 / width, 1 / width, 0, 0]


@pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)
@pytest.mark.parametrize("n", [1, 37])
def test_the_derivative_of_nan_is_the_references(surrogate, n):
    """NaN, but for the rectangle: a NaN is not inside it."""
    x = np.zeros(n, np.float32)
    x[::3] = np.nan
    np.testing.assert_array_equal(np.isnan(compiled_derivative(surrogate, x)), np.isnan(surrogate.derivative(x)))
    assert np.isnan(surrogate.derivative(x)).any() == (type(surrogate) is not S.Rectangle)
