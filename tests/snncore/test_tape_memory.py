"""What the tape keeps alive and for how long; depth; threads; observers."""

import gc
import threading
import weakref

import numpy as np
import pytest

from snncore import Function, Tensor, nn, no_grad, observe, relaxed
from snncore.context import context
from snncore.functions import Add, Fire, Mul
from snncore.tape import Node


def leaf(*values):
    return Tensor(np.array(values), requires_grad=True)


class KeepsItsOutput(Function):
    """y = exp(x), with gy * y going back."""

    def forward(self, x):
        y = np.exp(x)
        self.save(y)
        return y

    def backward(self, gy):
        return gy * self.saved[0]


def test_what_was_saved_dies_with_backward():
    x = leaf(1.0)
    y = KeepsItsOutput()(x)
    total = y.sum()
    saved = weakref.ref(y.data)
    del y
    assert saved() is not None
    total.backward()
    assert saved() is None
    np.testing.assert_allclose(x.grad, np.exp([1.0]), rtol=1e-15)


def test_an_intermediate_that_no_function_saved_dies_while_the_graph_lives():
    x = leaf(1.0, 2.0)
    y = x + 1.0
    array = weakref.ref(y.data)
    z = y + 1.0  # Add saves nothing
    del y
    assert array() is None
    z.sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])


def test_the_graph_dies_with_its_last_tensor_without_the_garbage_collector():
    gc.disable()
    try:
        x = leaf(1.0)
        y = x * 2.0
        node, z = weakref.ref(y.node.function), y * y
        del y
        assert node() is not None
        del z
        assert node() is None
    finally:
        gc.enable()


def test_no_grad_records_and_keeps_nothing():
    x = leaf(1.0)
    with no_grad():
        y = KeepsItsOutput()(x)
        assert (y.requires_grad, y.node) == (False, None)
        array = weakref.ref(y.data)
        z = y * 2.0
        del y
        assert array() is None
    assert (z.requires_grad, z.node) == (False, None)
    np.testing.assert_allclose(z.data, 2 * np.exp([1.0]), rtol=1e-15)


def test_inputs_that_need_nothing_record_nothing():
    y = KeepsItsOutput()(Tensor(np.ones(1)))
    assert (y.requires_grad, y.node) == (False, None)


def test_needs_tells_which_inputs_want_a_gradient():
    seen = []
    with observe(lambda call, _, __: seen.append(call.needs)):
        Mul()(leaf(1.0), np.ones(1))
        with no_grad():
            Mul()(leaf(1.0), leaf(1.0))
    assert seen == [(True, False), (False, False)]


def test_a_chain_of_5000_additions_goes_back_and_dies_without_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(5000):
        y = y + x
    y.backward()
    np.testing.assert_array_equal(x.grad, [5001.0])
    last = weakref.ref(y.node)
    del y
    assert last() is None


def test_a_chain_of_5000_additions_that_never_goes_back_dies_without_recursion():
    before = count_nodes()
    y = leaf(1.0)
    for _ in range(5000):
        y = y + 1.0
    assert count_nodes() == before + 5000
    del y
    assert count_nodes() == before


def count_nodes():
    gc.collect()
    return sum(type(x) is Node for x in gc.get_objects())


def test_backward_visits_a_shared_part_once_however_many_paths_lead_there():
    x = leaf(1.0)
    y = x * 1.0
    for _ in range(60):
        y = y + y  # 2^60 paths
    y.backward()
    np.testing.assert_array_equal(x.grad, [2.0**60])


# -- threads --


def in_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join()
    return result[0]


def test_no_grad_of_one_thread_does_not_reach_another():
    def recorded():
        return (leaf(1.0) * 2.0).requires_grad

    with no_grad():
        assert in_thread(recorded)
        assert not recorded()
    assert recorded()


def test_relaxed_mode_and_observers_of_one_thread_do_not_reach_another():
    def fired():
        return Fire()(np.zeros(1)).dtype

    seen = []
    with relaxed(), observe(lambda *call: seen.append(call)):
        assert in_thread(fired) == np.uint8
        assert seen == []
        assert fired() == np.float64
        assert len(seen) == 1


def test_two_threads_go_back_through_their_own_graphs_at_once():
    def gradient():
        x = leaf(1.0)
        y = x
        for _ in range(200):
            y = y * x
        y.backward()
        return x.grad.item()

    results = []
    threads = [threading.Thread(target=lambda: results.append(gradient())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [201.0] * 4


# -- observers --


def test_observers_see_every_call_with_its_arrays_and_the_modules_around_it():
    class Net(nn.Module):
        def __init__(self):
            self.inner = nn.Sequential(nn.Linear(2, 3), nn.LIF())

        def forward(self, x):
            return self.inner(x) + 1.0

    net, seen = Net(), []

    def note(function, inputs, outputs):
        seen.append((function.name, [np.shape(a) for a in inputs], [y.shape for y in outputs], list(context.scope)))

    x = np.ones((4, 2), np.float32)
    with observe(note):
        net(x)
    net(x)
    linear, lif = net.inner.children()
    assert seen == [
        ("Linear", [(4, 2), (2, 3), (3,)], [(4, 3)], [net, net.inner, linear[1]]),
        ("LIF", [(4, 3), ()], [(4, 3)], [net, net.inner, lif[1]]),
        ("Add", [(4, 3), ()], [(4, 3)], [net]),
    ]
    assert context.scope == []


def test_scope_is_left_also_by_an_error():
    linear = nn.Linear(2, 3)
    with pytest.raises(ValueError, match="Linear"):
        linear(np.ones((4, 5), np.float32))
    assert context.scope == []


def test_observers_see_calls_under_no_grad_and_nest():
    outer, inner = [], []
    with no_grad(), observe(lambda f, *_: outer.append(f.name)):
        with observe(lambda f, *_: inner.append(f.name)):
            Add()(np.ones(1), np.ones(1))
        Mul()(np.ones(1), np.ones(1))
    assert (outer, inner) == (["Add", "Mul"], ["Add"])
