"""What users and operations of their own give: arrays as they come, and what is refused, by name."""

import numpy as np
import pytest

from snncore import Function, GraphError, MonitorError, Tensor, functions, monitor, nn
from snncore.kernels.choice import use_kernels


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


@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_an_array_of_the_other_byte_order_is_read_as_the_numbers_it_holds(rng, kernels):
    """The compiled max pooling compares bytes."""
    x = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
    other = x.astype(x.dtype.newbyteorder())
    with use_kernels(kernels):
        assert functions.MaxPool2d(2)(other).data.tobytes() == functions.MaxPool2d(2)(x).data.tobytes()
        mean = functions.Mean()(Tensor(other)).data
    assert mean.dtype == np.dtype("=f4")
    assert mean == functions.Mean()(x).data
    p = nn.Parameter(x)
    p.data = other
    assert p.data.dtype.isnative
    assert nn.Buffer(other).data.tolist() == x.tolist()


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_subclass_of_an_array_is_what_it_holds_in_the_same_memory():
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    x = Tensor(matrix)
    assert type(x.data) is np.ndarray
    assert (x * x).data.tolist() == [[1.0, 4.0], [9.0, 16.0]]  # the product of matrices is another
    x.data[0, 0] = 7.0
    assert matrix[0, 0] == 7.0
    plain = np.ones(2)
    assert Tensor(plain).data is plain


def test_masked_entries_are_refused_and_counted_and_a_mask_that_hides_nothing_is_dropped():
    hidden = np.ma.masked_greater([1.0, 2.0, 3.0], 1.5)
    message = r"expected an array without a mask, found 2 of 3 entries masked; .* \.filled\(value\)"
    with pytest.raises(TypeError, match=message):
        Tensor(hidden)
    with pytest.raises(TypeError, match=message):
        functions.Exp()(hidden)
    with pytest.raises(TypeError, match=message):
        nn.Buffer(hidden)
    assert type(Tensor(np.ma.masked_greater([1.0], 5)).data) is np.ndarray


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.ones(2, np.complex64), r"complex64 of shape \(2,\)$"),
        (
            np.ones(2, np.longdouble),
            rf"{np.dtype(np.longdouble)} of shape \(2,\); convert it, .*\.astype\(np\.float32\)",
        ),
        (np.array(["a"]), r"<U1 of shape \(1,\)$"),
        (nn.LIF(), "a LIF$"),
        (np.array([None]), r"object of shape \(1,\)$"),
    ],
)
def test_an_input_of_a_type_that_no_kernel_takes_is_named(x, found):
    if np.dtype(np.longdouble) == np.float64 and getattr(x, "dtype", None) == np.longdouble:
        pytest.skip("long doubles are float64 here")
    with pytest.raises(TypeError, match=rf"Add: expected input 1 in float32, float64 or integers, found {found}"):
        functions.Add()(np.ones(2, np.float32), x)


def test_a_long_double_is_cast():
    assert functions.Cast(np.float32)(np.array([1.5], np.longdouble)).data.dtype == np.float32


def test_a_buffer_made_of_a_list_is_an_array_in_the_type_of_layers():
    assert nn.Buffer([0, 1]).data.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: functions.Abs()(None), r"Abs: expected an array as input 0 \(x\), found None"),
        (lambda: functions.Add()(np.ones(2), None), r"Add: expected an array as input 1 \(b\), found None"),
        (lambda: functions.LIF()(None, np.ones(2)), r"LIF: expected an array as input 0 \(c\), found None"),
    ],
)
def test_an_input_left_out_that_is_needed_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_an_attribute_error_of_a_forward_itself_is_kept():
    class Misspelt(Function):
        def forward(self, x, b=None):
            return x.shap

        def backward(self, gy):
            return gy

    with pytest.raises(AttributeError, match="shap"):
        Misspelt()(np.ones(2))


def test_a_masked_output_of_a_forward_is_refused():
    class Masks(Function):
        def forward(self, x):
            return np.ma.masked_greater(x, 1)

        def backward(self, gy):
            return gy

    with pytest.raises(TypeError, match="expected an array without a mask, found 1 of 2 entries masked"):
        Masks()(np.array([1.0, 2.0]))


def test_layers_are_named_by_text_and_a_limit_may_be_of_numpy():
    net = nn.Sequential(nn.LIF())
    for layer in (net[0], 0, ["0"]):
        with (
            pytest.raises(MonitorError, match="layers: expected paths such as 'Sequential', found"),
            monitor(net, layer),
        ):
            pass
    with pytest.raises(ValueError, match=r"record: expected some of spikes, .* found None"), monitor(net, record=None):
        pass
    with monitor(net, limit=np.int64(1)) as seen:
        net(np.ones((2, 3, 1), np.float32))
    assert seen["0"].spikes.shape == (2, 1, 1)
