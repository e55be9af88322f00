"""Counts equal, to the last integer, those of an interpreter that executes each call scalar by scalar."""

import copy

import numpy as np
import pytest

from misnet import MISNet
from snncore import Tensor, count_ops, no_grad, observe
from snncore import functions as F
from tests.misnet.tiny import make_batch, shaken, tiny_config
from tests.reference.interpreter import FREE, RULES, interpret
from tests.snncore.functions.cases import CASES

LOSSES = ("MSE", "CrossEntropy")  # worked out by hand below


def record(run):
    """Run `run` while counting, and return the calls as (function, inputs, outputs), and the counts."""
    calls = []

    def keep(function, inputs, outputs):
        calls.append((copy.copy(function), [None if x is None else x.copy() for x in inputs], outputs))

    with no_grad(), count_ops() as ops, observe(keep):
        run()
    assert len(calls) == len(ops.calls)
    return calls, ops


def check(calls, ops):
    """Compare every call with the interpreter: what it computes, and every count."""
    compared = 0
    for (function, inputs, outputs), counted in zip(calls, ops.calls, strict=True):
        found = counted.cost.totals()
        if function.name in FREE:
            assert found == {}
            continue
        expected_outputs, expected = interpret(function, inputs)
        for y, e in zip(outputs, expected_outputs, strict=False):
            np.testing.assert_allclose(y, e, rtol=2e-4, atol=2e-5)
        assert found == expected, function.name
        compared += 1
    return compared


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


SWITCHES = {
    "paper": {},
    "public code": {"neuron": "clif", "sew": "shared", "cell_residual": True, "pooling": "avg", "head_pool": 2},
    "plif, hard reset, per channel": {"neuron": "plif", "reset": "hard", "spatial_weight": "channel"},
    "if, iand, no W": {"neuron": "if", "connect": "iand", "spatial_weight": "none", "head": "hadamard"},
    "and, independent": {"connect": "and", "mlif": "independent", "head": "sum"},
    "mlp": {"mlif_fusion": "mlp", "head": "mlp"},
    "attention": {"mlif_fusion": "attention", "head": "attention"},
    "fused charge": {"mlif": "fused-charge", "decay": 0.0, "tau": 2.0},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SWITCHES)
def test_whole_networks(name, training):
    config = tiny_config(timesteps=2, size=4 if name != "public code" else 8, v_threshold=0.4, **SWITCHES[name])
    model = shaken(MISNet(config)).train(training)
    x_a, x_v, _ = make_batch(config, n=2)
    calls, ops = record(lambda: model(Tensor(x_a), Tensor(x_v)))
    assert {function.name for function, _, _ in calls} <= set(RULES) | set(FREE)
    assert check(calls, ops) > 20
    assert ops.totals()["spikes"] > 0


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
