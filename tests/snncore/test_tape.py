"""The tape: accumulation, what is kept and freed, and what is refused."""

import numpy as np
import pytest

from snncore import Function, GraphError, Tensor, no_grad
from snncore.functions import SEW, Add, Cast, Conv2d, Linear, Mul


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


class TwoOutputs(Function):
    """y = 2 x, z = 3 x; notes the gradients that backward is given."""

    def forward(self, x):
        return 2 * x, 3 * x

    def backward(self, gy, gz):
        self.given.append((gy, gz))
        return 2 * gy + 3 * gz

    def __init__(self):
        self.given = []


class Broken(Function):
    """y = a + b, with a backward that returns whatever it was told to."""

    def __init__(self, *gradients):
        self.gradients = gradients

    def forward(self, a, b):
        return a + b

    def backward(self, gy):
        return self.gradients


# -- accumulation --


def test_a_tensor_used_twice_in_one_function_gets_both_gradients():
    x = leaf(3.0, -2.0)
    (x * x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad, [6.0, -40.0])


def test_gradients_of_a_diamond_add_up():
    x = leaf(3.0)
    a = x * 2.0
    b, c = a * a, a + 1.0
    (b * c).backward()  # f = 4 x^2 (2 x + 1) = 8 x^3 + 4 x^2
    np.testing.assert_array_equal(x.grad, [24 * 9.0 + 8 * 3.0])


def test_three_uses_of_an_intermediate_add_up_and_change_no_gradient_in_flight():
    x = leaf(1.0)
    a = x * 1.0
    parts = [a * k for k in (2.0, 3.0, 4.0)]
    total = parts[0] + parts[1] + parts[2]
    g = np.array([5.0])
    total.backward(g)
    np.testing.assert_array_equal(x.grad, [45.0])
    np.testing.assert_array_equal(g, [5.0])


def test_a_sum_of_gradients_does_not_change_the_array_that_another_tensor_received():
    x, z = leaf(1.0), leaf(1.0)
    a, b = x * 1.0, z * 1.0
    d = a * 3.0
    g = np.array([5.0])
    ((a + b) + d).backward(g)  # Add gives a and b one array, to which the gradient through d is then added for a
    np.testing.assert_array_equal(x.grad, [20.0])
    np.testing.assert_array_equal(z.grad, [5.0])
    np.testing.assert_array_equal(g, [5.0])


def test_a_leaf_in_two_outputs_collects_from_both():
    x = leaf(2.0)
    (x * 3.0).backward()
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, [7.0])


def test_zero_grad_forgets():
    x = leaf(2.0)
    (x * 3.0).backward()
    x.zero_grad()
    assert x.grad is None
    (x * 4.0).backward()
    np.testing.assert_array_equal(x.grad, [4.0])


def test_leaves_own_their_gradients():
    a, b = leaf(1.0), leaf(2.0)
    g = np.array([5.0])
    (a + b).backward(g)  # Add.backward returns one array for both
    a.grad *= 0
    np.testing.assert_array_equal(b.grad, [5.0])
    np.testing.assert_array_equal(g, [5.0])


def test_backward_of_a_leaf_is_its_own_gradient():
    x = leaf(2.0)
    x.backward()
    x.backward(np.array([3.0]))
    np.testing.assert_array_equal(x.grad, [4.0])


def test_leaf_gradients_have_the_type_of_the_leaf_and_those_of_spikes_are_float32():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    s = Tensor(np.ones(2, np.uint8), requires_grad=True)
    (x * s).backward(np.ones(2))  # a float64 gradient from outside
    assert x.grad.dtype == np.float32
    s.zero_grad()
    (x * s).backward(np.ones(2, np.float32))
    assert s.grad.dtype == np.float32


def test_an_output_of_bytes_has_a_float_gradient():
    a, s = (Tensor(np.array([v], np.uint8), requires_grad=True) for v in (0, 1))
    SEW("iand")(a, s).backward()  # (1 - a) s
    assert (a.grad.item(), s.grad.item()) == (-1.0, 1.0)
    assert (a.grad.dtype, s.grad.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("seed", [np.array([200, 1], np.uint8), [200, 1], np.array([200, 1], np.int64)])
def test_an_integer_gradient_from_outside_is_taken_as_floats(seed):
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    s = Tensor(np.ones(2, np.uint8), requires_grad=True)
    for _ in range(2):
        (x - s).backward(seed)
        (s + s).backward(seed)
    np.testing.assert_array_equal(x.grad, [400.0, 2.0])
    np.testing.assert_array_equal(s.grad, [400.0, 2.0])  # twice (-200 + 200 + 200)
    assert (x.grad.dtype, s.grad.dtype) == (np.float32, np.float32)
    s.zero_grad()
    s.backward(seed)
    s.backward(seed)
    np.testing.assert_array_equal(s.grad, [400.0, 2.0])


def test_a_function_that_returns_an_integer_gradient_for_bytes_gives_floats():
    s = Tensor(np.ones(1, np.uint8), requires_grad=True)
    for _ in range(2):
        Broken(np.array([200], np.uint8), None)(s, np.ones(1)).backward(np.ones(1))
    assert (s.grad.item(), s.grad.dtype) == (400.0, np.float32)


def test_intermediate_gradients_have_the_type_of_the_tensor():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = (x * 2.0).retain_grad()
    Cast(np.float64)(y).sum().backward()
    assert y.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_no_gradient_goes_where_none_is_wanted():
    x, y = leaf(2.0), Tensor(np.array([3.0]))
    z = x * y
    z.backward()
    assert y.grad is None
    np.testing.assert_array_equal(x.grad, [3.0])
    detached = x.detach() * 2.0
    assert not detached.requires_grad


# -- functions with several outputs, inputs left out --


def test_an_unused_output_has_gradient_zero():
    x, function = leaf(1.0, 2.0), TwoOutputs()
    y, _ = function(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])
    ((gy, gz),) = function.given
    np.testing.assert_array_equal(gy, [1.0, 1.0])
    np.testing.assert_array_equal(gz, [0.0, 0.0])


def test_both_outputs_are_waited_for_and_visited_once():
    x, function = leaf(1.0), TwoOutputs()
    y, z = function(x)
    (y * z).backward()  # 6 x^2
    np.testing.assert_array_equal(x.grad, [12.0])
    assert len(function.given) == 1


def test_optional_inputs_may_be_left_out_or_none():
    x, w = leaf(1.0, 2.0), np.ones((2, 1))
    first, second = Linear()(x, w), Linear()(x, w, None)
    np.testing.assert_array_equal(first.data, second.data)
    (first + second).backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_one_function_may_be_called_many_times_before_backward():
    mul = Mul()
    a, b = leaf(2.0), leaf(5.0)
    y, z = mul(a, b), mul(a, a)
    z.backward()
    y.backward()
    np.testing.assert_array_equal(a.grad, [4.0 + 5.0])
    np.testing.assert_array_equal(b.grad, [2.0])
    assert mul.saved == ()


# -- refusals --


def test_a_second_backward_is_refused_and_names_the_function():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match=r"Mul: backward\(\) was called a second time.*retain_graph=True"):
        y.backward()
    np.testing.assert_array_equal(x.grad, [4.0])


def test_a_second_loss_through_a_shared_part_that_saved_nothing_is_allowed():
    x = leaf(2.0)
    shared = x + 1.0
    first, second = shared * 2.0, shared * 3.0
    first.backward()
    second.backward()
    np.testing.assert_array_equal(x.grad, [5.0])


def test_a_second_loss_through_a_freed_part_is_refused_before_any_gradient_is_added():
    x, w = leaf(2.0), leaf(5.0)
    shared = x * x
    first, second = shared * 3.0, shared * w
    first.backward()
    with pytest.raises(GraphError, match=r"^Mul: backward\(\) was called a second time"):
        second.backward()
    assert w.grad is None  # which comes before the freed part on the way back
    np.testing.assert_array_equal(x.grad, [12.0])


def test_retain_graph_allows_another_backward():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad, [18.0])
    with pytest.raises(GraphError, match="second time"):
        y.backward()


def test_backward_of_several_entries_needs_a_gradient_of_the_right_shape():
    y = leaf(1.0, 2.0) * 2.0
    with pytest.raises(GraphError, match=r"shape \(2,\) needs grad="):
        y.backward()
    with pytest.raises(GraphError, match=r"expected grad of shape \(2,\), found \(3,\)"):
        y.backward(np.ones(3))


def test_backward_from_nothing_that_needs_a_gradient_is_refused():
    with pytest.raises(GraphError, match="made under no_grad"):
        (Tensor(np.ones(1)) * 2.0).backward()


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ((np.ones(2),), r"Broken\.backward: expected 2 gradients, found 1"),
        ((np.ones(2), np.ones(2), None), r"Broken\.backward: expected 2 gradients, found 3"),
        ((np.ones(2), np.ones(3)), r"Broken\.backward: input 1 has shape \(2,\), its gradient \(3,\)"),
        ((np.ones(()), np.ones(2)), r"Broken\.backward: input 0 has shape \(2,\), its gradient \(\)"),
    ],
)
def test_a_backward_that_returns_the_wrong_number_or_shape_is_named(gradients, message):
    y = Broken(*gradients)(leaf(1.0, 2.0), leaf(3.0, 4.0))
    with pytest.raises(GraphError, match=message):
        y.backward(np.ones(2))


def test_a_backward_may_return_none_for_an_input_that_needs_nothing():
    a = leaf(1.0)
    Broken(np.array([7.0]), None)(a, np.ones(1)).backward()
    np.testing.assert_array_equal(a.grad, [7.0])


def test_a_tensor_of_a_tensor_is_refused():
    with pytest.raises(TypeError, match=r"found a Tensor; use \.detach\(\)"):
        Tensor(leaf(1.0))


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5)])
def test_a_numpy_scalar_becomes_an_array_that_can_be_changed_in_place(number):
    x = Tensor(number, requires_grad=True)
    assert isinstance(x.data, np.ndarray)
    assert (x.shape, x.dtype) == ((), number.dtype)
    x.data[...] = 2.0
    assert x.item() == 2.0


def test_float16_is_refused_by_name_and_cast_takes_it():
    half = np.ones((1, 3, 3, 16), np.float16)
    for function, inputs in [(Conv2d(), (half, np.ones((2, 2, 16, 16), np.float16))), (Add(), (1.0, half))]:
        with pytest.raises(TypeError, match=r"expected input \d in float32, float64 or integers, found float16"):
            function(*inputs)
    np.testing.assert_array_equal(Cast(np.float32)(half).data, np.ones((1, 3, 3, 16), np.float32))


# -- retain_grad --


def test_retain_grad_keeps_the_gradient_of_an_intermediate():
    x = leaf(2.0)
    y = (x * 3.0).retain_grad()
    z = y * y + y
    z.backward()
    np.testing.assert_array_equal(y.grad, [2 * 6.0 + 1.0])
    np.testing.assert_array_equal(x.grad, [39.0])


def test_retained_gradients_are_arrays_of_their_own_that_can_be_written_to():
    x = leaf(1.0, 2.0)
    y = (x * 3.0).retain_grad()
    w = (x * 5.0).retain_grad()
    z = (y + w).retain_grad()
    g = np.array([1.0, 10.0])
    z.backward(g)  # Add hands one array to both
    for tensor in (x, y, w, z):
        tensor.grad *= 0.5
    for tensor, expected in ((x, [4.0, 40.0]), (y, [0.5, 5.0]), (w, [0.5, 5.0]), (z, [0.5, 5.0])):
        np.testing.assert_array_equal(tensor.grad, expected)
    np.testing.assert_array_equal(g, [1.0, 10.0])
    total = (x * 1.0).retain_grad()
    total.sum().backward()  # Sum hands out a broadcast array, which is read-only
    total.grad[0] = 7.0
    np.testing.assert_array_equal(total.grad, [7.0, 1.0])


def test_without_retain_grad_an_intermediate_keeps_none():
    x = leaf(2.0)
    y = x * 3.0
    (y * y).backward()
    assert y.grad is None


# -- Tensor --


def test_a_tensor_tells_its_shape_type_and_maker():
    x = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    assert (x.shape, x.ndim, x.size, x.dtype) == ((2, 3), 2, 6, np.float32)
    assert repr(Add()(x, x)).endswith("made by Add)")
    assert "made by" not in repr(x)
    assert Tensor(2.5).item() == 2.5


def test_no_grad_inside_is_undone_by_an_error():
    def fail():
        with no_grad():
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert (leaf(1.0) * 2.0).requires_grad
