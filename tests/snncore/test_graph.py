"""What a backward pass remembers of its forward: the numbers that were saved, the mode, the kernels."""

import copy
import pickle

import numpy as np
import pytest

from snncore import Function, GraphError, Tensor, nn, relaxed
from snncore.functions import LIF, Add, Linear, Mul, Reshape, Softmax
from snncore.optim import SGD
from snncore.tape import bump


def parameter(*values):
    return nn.Parameter(np.array(values))


def cube(w):
    return w * w * w


# -- numbers that were changed since --


def test_an_optimizer_step_between_two_backwards_of_one_graph_is_refused():
    w = parameter(2.0)
    optimizer = SGD([("w", w)], lr=2 / 3)
    y = cube(w)
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(w.grad, [12.0])
    optimizer.step()  # w = 2 - 8 = -6, where the gradient would be 108
    with pytest.raises(GraphError, match=r"^Mul: its input \d was saved for backward and has been changed"):
        y.backward()
    np.testing.assert_array_equal(w.grad, [12.0])
    w.zero_grad()
    cube(w).backward()
    np.testing.assert_allclose(w.grad, [108.0], rtol=1e-12)


def changed_by_a_step(model, optimizer=None):
    for p in model.parameters():
        p.grad = np.ones_like(p.data)
    (optimizer or SGD(model.named_parameters(), lr=1.0)).step()


def changed_by_loading(model):
    model.load_state_dict({name: x + 1 for name, x in model.state_dict().items()})


def changed_by_conversion(model):
    model.astype(np.float64)


def changed_in_place(model):
    model.weight.data -= 1


def changed_and_told(model):
    model.weight.data[...] = 1
    bump([model.weight])


def test_a_step_of_the_optimizer_that_trains_the_model_is_seen():
    model = nn.Linear(2, 3)
    optimizer = SGD(model.named_parameters(), lr=1.0)
    y = model(Tensor(np.ones((4, 2), np.float32), requires_grad=True)).sum()
    changed_by_a_step(model, optimizer)
    with pytest.raises(GraphError, match=r"^Linear: its input 1 was saved"):
        y.backward()


def test_an_optimizer_that_is_made_later_leaves_the_arrays_of_the_graph_as_they_were():
    w = parameter(2.0)
    y = cube(w)
    y.backward(retain_graph=True)
    SGD([("w", w)], lr=2 / 3).step()  # moves w into an array of its own, and changes that one
    w.zero_grad()
    y.backward()
    np.testing.assert_array_equal(w.grad, [12.0])  # of the weights that the forward saw
    assert w.data[0] == pytest.approx(-6.0)


@pytest.mark.parametrize("change", [changed_by_loading, changed_by_conversion, changed_in_place, changed_and_told])
def test_every_way_of_changing_a_weight_is_seen(change):
    model = nn.Linear(2, 3)
    x = Tensor(np.ones((4, 2), np.float32), requires_grad=True)
    y = model(x).sum()
    change(model)
    with pytest.raises(GraphError, match=r"^Linear: its input 1 was saved"):
        y.backward()
    assert x.grad is None


def test_a_weight_that_needs_no_gradient_is_watched_too():
    w, x = Tensor(np.full((2, 2), 3.0)), Tensor(np.ones((1, 2)), requires_grad=True)
    y = Linear()(x, w).sum()
    w.data -= 1
    with pytest.raises(GraphError, match="Linear: its input 1"):
        y.backward()


@pytest.mark.parametrize("view", [lambda w: w[1:], lambda w: w.reshape(3, 1), lambda w: w.detach(), lambda w: w[:][1:]])
def test_a_change_of_an_array_is_a_change_of_its_views(view):
    w, x = parameter(1.0, 2.0, 3.0), Tensor(np.ones(1), requires_grad=True)
    y = (x * view(w)).sum()
    w.data += 1
    with pytest.raises(GraphError, match="Mul: its input 1"):
        y.backward()


def test_a_change_through_a_view_is_a_change_of_the_array():
    w = parameter(1.0, 2.0)
    y = (w * w).sum()
    w[:1].data -= 5
    with pytest.raises(GraphError, match="Mul: its input 0"):
        y.backward()


def test_a_saved_output_is_watched():
    y = Softmax()(parameter(1.0, 2.0))
    z = (y * 2.0).sum()
    y.data *= 3
    with pytest.raises(GraphError, match=r"(Softmax: its output 0|Mul: its input 0) was saved"):
        z.backward()


def test_an_array_that_was_assigned_to_saved_is_watched_and_freed_like_one_given_to_save():
    class Square(Function):
        def forward(self, x):
            self.saved = x
            return x * x

        def backward(self, gy):
            return 2 * self.saved * gy

    w = parameter(1.0, 2.0)
    y = Square()(w).sum()
    y.backward()
    np.testing.assert_array_equal(w.grad, [2.0, 4.0])
    with pytest.raises(GraphError, match=r"Square: backward\(\) was called a second time"):
        y.backward()
    y = Square()(w).sum()
    w.data += 1
    with pytest.raises(GraphError, match="Square: its input 0 was saved"):
        y.backward()


def test_what_was_not_saved_may_change():
    w = parameter(1.0, 2.0)
    y = Softmax()(w)  # keeps y alone
    z = (Reshape(2, 1)(y) + w.reshape(2, 1)).sum()
    w.data += 1
    z.backward()
    np.testing.assert_allclose(w.grad, [1.0, 1.0], rtol=0, atol=1e-15)  # of the softmax, whose entries sum to 1: 0


class Second(Function):
    """The second of two inputs, as a view."""

    def forward(self, a, b):
        return b[...]

    def backward(self, gy):
        return None, gy


def test_parameters_in_the_buffer_of_an_optimizer_are_told_apart():
    """They are parts of one array, but share no entry."""
    layer = nn.Linear(3, 2)
    SGD(layer.parameters(), lr=1.0)
    x = Tensor(np.ones((1, 3), np.float32), requires_grad=True)
    y, right = layer(x).sum(), layer.weight.data.sum(axis=1)
    layer.bias.data -= 1  # not saved: gx = gy w
    y.backward()
    np.testing.assert_allclose(x.grad[0], right, rtol=1e-6)
    cubed = cube(Second()(layer.bias, layer.weight)).sum()
    layer.weight.data -= 1
    with pytest.raises(GraphError, match="has been changed in place"):
        cubed.backward()


def test_another_array_in_its_place_leaves_the_saved_one_as_it_was():
    w = parameter(3.0)
    y = w * w
    w.data = np.array([100.0])
    y.backward()
    np.testing.assert_array_equal(w.grad, [6.0])


def test_the_weights_of_another_network_may_change():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    y = second(first(np.ones((1, 2), np.float32)).detach()).sum()
    changed_by_a_step(first)
    y.backward()
    np.testing.assert_array_equal(second.bias.grad, [1.0, 1.0])


def test_a_training_loop_is_not_refused():
    w = parameter(4.0)
    optimizer = SGD([("w", w)], lr=0.1)
    for _ in range(3):  # w = w - 0.1 * 2 w
        optimizer.zero_grad()
        (w * w).backward()
        optimizer.step()
    np.testing.assert_allclose(w.data, [4.0 * 0.8**3], rtol=1e-14)


# -- the mode and the kernels --


def test_a_relaxed_call_goes_back_relaxed_wherever_backward_is_called():
    c = np.random.default_rng(0).normal(1.0, 1.0, (5, 3))
    gradients = []
    for outside in (False, True):
        x = Tensor(c, requires_grad=True)
        with relaxed():
            s = LIF(decay=0.5)(x)
            if not outside:
                s.backward(np.ones((5, 3)))
        if outside:
            s.backward(np.ones((5, 3)))
        gradients.append(x.grad)
    np.testing.assert_array_equal(gradients[0], gradients[1])

    hard = Tensor(c, requires_grad=True)
    s = LIF(decay=0.5)(hard)
    with relaxed():
        s.backward(np.ones((5, 3)))
    again = Tensor(c, requires_grad=True)
    LIF(decay=0.5)(again).backward(np.ones((5, 3)))
    np.testing.assert_array_equal(hard.grad, again.grad)
    assert abs(hard.grad - gradients[0]).max() > 0.01  # the two modes differ, or nothing would be shown


def test_backward_runs_on_the_kernels_of_its_forward(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    y = Add()(parameter(1.0), np.ones(2))
    monkeypatch.setenv("SNNCORE_KERNELS", "auto")
    assert y.node.function.kernels.__name__ == "snncore.kernels.reference"
    other = Mul()(parameter(1.0), np.ones(2))
    assert other.node.function.kernels.__name__ == "snncore.kernels.cpu"


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_tensor_with_a_past_is_not_copied_and_one_without_is(copied):
    x = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(TypeError, match=r"a tensor that Mul made cannot be copied with its past; .* \.detach\(\)"):
        copied(x * 2)
    copied((x * 2).detach())
    copied(x)


@pytest.mark.parametrize(
    ("grad", "message"),
    [
        (np.ones(2) * 1j, r"expected grad to be an array of numbers, found complex128"),
        (Tensor(np.ones(2)), r"expected grad to be an array of numbers, found a Tensor"),
        (np.array([None, None]), r"expected grad to be an array of numbers, found object"),
    ],
)
def test_a_gradient_from_outside_that_is_none_is_named(grad, message):
    x = Tensor(np.ones(2), requires_grad=True)
    for y in (x, x * 2):
        with pytest.raises(GraphError, match=rf"backward\(\): {message}"):
            y.backward(grad)
    assert x.grad is None
