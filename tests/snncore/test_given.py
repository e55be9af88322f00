"""What an operation of one's own may not give is named, where it gives it."""

import numpy as np
import pytest

from snncore import Function, GraphError, Tensor


class Broken(Function):
    """y = a + b, with a backward that returns whatever it was told to."""

    def __init__(self, gradients):
        self.gradients = gradients

    def forward(self, a, b):
        return a + b

    def backward(self, gy):
        return self.gradients


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ([np.ones(2), np.ones(2)], r"Broken\.backward: expected an array or a tuple of arrays, found a list"),
        ((np.ones(2), Tensor(np.ones(2))), r"numbers as the gradient of input 1, found a Tensor"),
        ((np.ones(2) * 1j, np.ones(2)), r"numbers as the gradient of input 0, found complex128"),
        ((np.ones(2, object), np.ones(2)), r"numbers as the gradient of input 0, found object"),
    ],
)
def test_a_backward_that_returns_no_arrays_of_numbers_is_named(gradients, message):
    with pytest.raises(GraphError, match=message):
        Broken(gradients)(leaf(1.0, 2.0), leaf(3.0, 4.0)).backward(np.ones(2))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, r"found NoneType; does it return anything\?"),
        ([np.ones(2)], "found list; several outputs are a tuple"),
        (Tensor(np.ones(2)), "found Tensor; it works on the arrays of tensors"),
        (np.ones(2, np.float16), r"found float16 of shape \(2,\)"),
        (np.ones(2) * 1j, r"found complex128 of shape \(2,\)"),
    ],
)
def test_a_forward_that_gives_no_array_of_numbers_is_named(given, found):
    class Gives(Function):
        def forward(self, x):
            return x, given

        def backward(self, gy, gz):
            return gy

    with pytest.raises(TypeError, match=rf"Gives\.forward: expected output 1 to be an array .*, {found}"):
        Gives()(np.ones(2))


def test_a_forward_that_kept_nothing_for_backward_is_named():
    class Forgets(Function):
        def forward(self, x, w):
            return x * w

        def backward(self, gy):
            x, w = self.saved
            return gy * w, gy * x

    with pytest.raises(GraphError, match=r"Forgets\.backward: not enough values .*; forward kept 0 by self\.save"):
        Forgets()(leaf(1.0), leaf(2.0)).backward()
