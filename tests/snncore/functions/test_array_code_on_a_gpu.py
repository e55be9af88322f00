"""Operations that are plain array code run on the strict double of CuPy, which refuses host arrays, as on the CPU."""

import copy

import numpy as np
import pytest

from snncore import Tensor
from tests.snncore.calls import like
from tests.snncore.functions.cases import CASES
from tests.support import double

KINDS = ("Exp", "Log", "Tanh", "Sigmoid", "Sqrt", "Abs", "Power", "Max", "LayerNorm", "Dropout")


@pytest.fixture(scope="module")
def cupy():
    with double.installed() as module:
        yield module


def run(function, inputs, gy):
    leaves = [Tensor(x, requires_grad=True) for x in inputs]
    y = copy.deepcopy(function)(*leaves)
    y.backward(gy)
    return [y.data, *(x.grad for x in leaves)]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.function.name in KINDS])
def test_the_numbers_are_those_of_the_cpu(cupy, name):
    case = CASES[name]
    for spikes in {(), case.spikes}:
        inputs = case.inputs(np.float32, spikes)
        (gy,) = like(np.random.default_rng(0), case.function(*inputs).data)
        expected = run(case.function, inputs, gy)
        found = run(case.function, [cupy.asarray(x) for x in inputs], cupy.asarray(gy))
        for x, right in zip(found, expected, strict=True):
            assert type(x) is cupy.ndarray
            np.testing.assert_allclose(cupy.asnumpy(x), right, rtol=1e-6, atol=1e-6)


def test_methods_of_a_tensor(cupy):
    x = Tensor(cupy.asarray(np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)), requires_grad=True)
    y = ((x**2 + [1, 2]).flatten() - np.float64(1)).max()
    y.backward()
    assert y.item() == 9.0
    np.testing.assert_array_equal(cupy.asnumpy(x.grad), [[0, 0], [6, 0]])
    assert type(x.numpy()) is np.ndarray
    assert bool((x > -2).all())
