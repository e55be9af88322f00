"""Counts equal, to the last integer, those of an interpreter that executes each call scalar by scalar."""

import numpy as np
import pytest

from snncore import count_ops
from snncore import functions as F
from tests.reference.exact import check, record
from tests.reference.interpreter import FREE
from tests.snncore.functions.cases import CASES

LOSSES = ("MSE", "CrossEntropy")  # worked out by hand below


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.function.name not in LOSSES])
def test_every_function_costs_what_the_interpreter_counts(name):
    case = CASES[name]
    for spikes in {(), case.spikes}:
        inputs = case.inputs(np.float32, spikes)
        calls, ops = record(lambda inputs=inputs: case.function(*inputs))
        assert check(calls, ops) == (case.function.name not in FREE)


@pytest.mark.parametrize("seed", range(12))
def test_random_convolutions(seed):
    rng = np.random.default_rng(seed)
    kh, kw, ci, co = rng.integers(1, 5, 4)
    ph, pw = (int(v) for v in rng.integers(0, 3, 2))
    h, w = (int(rng.integers(max(1, k - 2 * p), 7)) for k, p in ((kh, ph), (kw, pw)))
    x = rng.integers(0, 3, (2, 2, h, w, ci)).astype(np.uint8) * (rng.random((2, 2, h, w, ci)) < 0.5)
    weight, bias = rng.standard_normal((kh, kw, ci, co)), rng.standard_normal(co)
    function = F.Conv2d(tuple(int(v) for v in rng.integers(1, 4, 2)), (ph, pw))
    for x_of_type in (x.astype(np.uint8), x.astype(np.float64)):
        calls, ops = record(lambda x=x_of_type: function(x, weight, bias))
        assert check(calls, ops) == 1


@pytest.mark.parametrize("seed", range(12))
def test_random_groups_and_dilations(seed):
    rng = np.random.default_rng(100 + seed)
    kh, kw, ci, co, groups = (int(v) for v in rng.integers(1, 4, 5))
    (dy, dx), (ph, pw) = rng.integers(1, 4, 2).tolist(), rng.integers(0, 3, 2).tolist()
    spans = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in ((kh, dy, ph), (kw, dx, pw))]
    h, w = (span + int(rng.integers(0, 4)) for span in spans)
    x = rng.integers(0, 3, (2, 2, h, w, ci * groups)) * (rng.random((2, 2, h, w, ci * groups)) < 0.5)
    weight = rng.standard_normal((kh, kw, ci, co * groups))
    settings = (tuple(rng.integers(1, 4, 2).tolist()), (ph, pw), (dy, dx))
    for function in [F.GroupedConv2d(*settings), *([F.Conv2d(*settings)] if groups == 1 else [])]:
        for x_of_type in (x.astype(np.uint8), x.astype(np.float64)):
            calls, ops = record(lambda x=x_of_type, f=function: f(x, weight, None))
            assert check(calls, ops) == 1


def test_losses_by_hand():
    """MSE of 6 entries: 6 - 1 + 6 additions, 6 squares, 1 / 6. Cross-entropy of 2 rows of 3."""
    p, y = np.ones((2, 3)), np.zeros((2, 3))
    with count_ops() as ops:
        F.MSE()(p, y)
    assert ops.calls[0].cost.totals() == {"elem_add": 11, "elem_mul": 7}
    with count_ops() as ops:
        F.CrossEntropy()(p, np.array([0, 2]))
    # a row: 2 comparisons, 3 subtractions, 3 exponentials, 2 additions, 1 logarithm, 3 subtractions; then the mean
    expected = {"elem_compare": 4, "elem_add": 2 * 8 + 1, "special": 8, "elem_mul": 1}
    assert ops.calls[0].cost.totals() == expected


class ConvWithoutBorders(F.Conv2d):
    """Counts every spike as if it stood in the middle of the image."""

    def cost(self, inputs, outputs):
        x, w, _ = inputs
        cost = super().cost(inputs, outputs)
        events = int((x != 0).sum())
        cost.blocks[0] = ((), {"ac_binary": events * w.shape[0] * w.shape[1] * w.shape[3]})
        return cost


class LIFThatAlwaysLeaks(F.LIF):
    """Forgets that a membrane at rest has nothing to leak."""

    def cost(self, inputs, outputs):
        cost = super().cost(inputs, outputs)
        cost.blocks[0][1]["leak_mul"] = inputs[0].size // (inputs[0].shape[0] * inputs[0].shape[1])
        return cost


@pytest.mark.parametrize(
    ("wrong", "name", "inputs"),
    [
        (ConvWithoutBorders(1, 1), "Conv2d", [np.ones((2, 1, 3, 3, 1), np.uint8), np.ones((3, 3, 1, 2)), None]),
        (LIFThatAlwaysLeaks(), "LIF", [np.ones((3, 2, 4)), None]),
    ],
)
def test_a_wrong_cost_is_caught(wrong, name, inputs, monkeypatch):
    monkeypatch.setattr(type(wrong), "name", name)
    calls, ops = record(lambda: wrong(*inputs))
    with pytest.raises(AssertionError, match=name):
        check(calls, ops)
