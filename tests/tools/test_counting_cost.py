"""The benchmark of what counting costs, on a network that is no work."""

import numpy as np

from misnet.tools.benchmarks.counting import memory, turns
from snncore import Tensor, count_ops, nn, no_grad


def test_candidates_take_turns_and_the_first_turns_are_not_counted():
    order = []
    found = turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3)
    assert order == ["a", "b"] * 5
    assert all(0 <= clock < 1 for clock, _ in found.values())


def test_memory_of_a_data_set_is_a_few_numbers_a_sample():
    network = nn.Sequential(nn.Linear(4, 3, rng=np.random.default_rng(0)), nn.LIF(v_threshold=0.1), nn.Linear(3, 2))
    with no_grad(), count_ops(samples=2) as batch:
        network(Tensor(np.ones((2, 2, 4), np.float32)))
    (few, first), (many, last) = memory(batch, 400, details=False)
    assert (few, many) == (40, 400)
    assert (last - first) / (many - few) < 400
