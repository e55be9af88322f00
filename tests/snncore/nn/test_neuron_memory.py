"""Forgetting to reset a stateful neuron never makes memory grow: one array a membrane, cut off from the tape."""

import gc
import tracemalloc

import numpy as np
import pytest

from snncore import Tensor, nn
from snncore.tape import Node
from tests.snncore.nn.test_neurons import MAKERS, call, currents

each = pytest.mark.parametrize("name", MAKERS)


def count_nodes():
    gc.collect()
    return sum(type(x) is Node for x in gc.get_objects())  # isinstance() would ask what others left behind


@each
def test_the_membrane_is_one_array_a_state_that_owns_its_memory(rng, name):
    neuron = MAKERS[name](stateful=True)
    for _ in range(3):
        call(neuron, currents(rng, name))
        assert len(neuron.membrane) == (2 if name.startswith(("CLIF", "MLIF")) else 1)
        for v in neuron.membrane:
            assert type(v) is np.ndarray
            assert (v.shape, v.dtype, v.base) == ((2, 3), np.float32, None)


@each
def test_200_calls_without_reset_keep_no_node_and_no_memory(rng, name):
    neuron = MAKERS[name](stateful=True)
    inputs = currents(rng, name)
    nodes = count_nodes()
    tracemalloc.start()
    try:
        for _ in range(20):
            call(neuron, inputs)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            call(neuron, inputs)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count_nodes() == nodes
    assert after - before < 16384  # one call of them would hold 6 * 2 * 3 floats and a node: 200 are 100 kB and more


def test_no_gradient_reaches_back_into_an_earlier_call(rng):
    neuron = nn.LIF(stateful=True)
    first, second = (Tensor(x, requires_grad=True) for x in (*currents(rng, "LIF"), *currents(rng, "LIF")))
    neuron(first)
    neuron(second).sum().backward()
    assert first.grad is None
    assert second.grad.any()
