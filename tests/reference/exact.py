"""Comparing the counts of a run, call by call, with those of the interpreter."""

import copy

import numpy as np

from snncore import count_ops, no_grad, observe
from tests.reference.interpreter import FREE, interpret


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
