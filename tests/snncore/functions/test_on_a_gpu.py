"""Operations that have no kernel in CUDA C of their own run on arrays of the device, and make nobody wait."""

import numpy as np
import pytest

from snncore import Tensor
from snncore import functions as F
from snncore.backend import asnumpy
from tests.support import double
from tests.support.double.ledger import events
from tests.support.shim.build import compiler

IMAGES = (2, 3, 5, 4, 4)
CALLS = [
    (F.GroupedConv2d(1, 1), (IMAGES, (3, 3, 1, 8), (8,))),
    (F.GroupedConv2d((2, 1), (0, 1), (2, 1)), (IMAGES, (2, 3, 2, 2), (2,))),
    (F.Conv2d(1, 1, (1, 2)), (IMAGES, (2, 2, 4, 3), (3,))),
    (F.MaxPool2d(3, 2, 1), (IMAGES,)),
    (F.Linear(), ((3, 2, 4), (4, 5), (5,))),
    (F.MatMul(), ((3, 2, 4), (4, 5))),
    (F.MatMul(), ((3, 2, 4), (3, 4, 5))),
    (F.SEW("iand"), ((3, 4), (3, 4))),
    (F.SEW("add"), ((3, 4), (3, 4))),
    (F.SEW("and"), ((3, 4), (3, 4))),
    (F.Add(), ((3, 4), (4,))),
    (F.Mul(), ((3, 4), (3, 4))),
    (F.Div(), ((3, 4), (3, 4))),
]


@pytest.fixture(scope="module")
def cupy():
    if compiler() is None:
        pytest.skip("the kernels run on the CPU through g++, which is not installed")
    with double.installed() as module:
        yield module


def called(function, arrays):
    """Outputs and gradients of one call on the arrays, which may be the device's."""
    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    y = function(*leaves)
    gy = y.data.astype(np.float32) * 0 + 1
    y.backward(gy)
    return [y.data, *(x.grad for x in leaves)]


@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize(("function", "shapes"), CALLS)
def test_the_device_gives_what_the_host_gives_and_nothing_waits(cupy, rng, function, shapes, spikes):
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    for i in range(2 if function.name in ("SEW", "Add", "Mul") else 1) if spikes else ():
        arrays[i] = rng.integers(0, 3, shapes[i]).astype(np.uint8)
    expected = called(function, arrays)
    on_device = [cupy.asarray(x) for x in arrays]
    before = events.copy()
    got = called(function, on_device)
    assert set(events - before) <= {"launch"}
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(asnumpy(g), e, rtol=1e-5, atol=1e-5)
