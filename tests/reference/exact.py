"""Comparing the counts of a run, call by call, with those of the interpreter."""

import copy

import numpy as np

from snncore import count_ops, no_grad, observe
from snncore.context import context
from tests.reference.interpreter import FREE, interpret
from tests.reference.origins import Origins


def record(run):
    """Run `run` while counting, and return the calls as (function, inputs, outputs), and the counts."""
    calls, origins = [], Origins()

    def keep(function, inputs, outputs):
        function_then = copy.copy(function)
        function_then.stated = context.stated
        function_then.origin = origins.of(function, inputs, outputs, context.stated)
        calls.append((function_then, [None if x is None else x.copy() for x in inputs], outputs))

    with no_grad(), count_ops() as ops, observe(keep):
        run()
    assert len(calls) == len(ops.calls)
    return calls, ops


def check(calls, ops):
    """Compare every call with the interpreter: what it computes, and every count."""
    compared = 0
    for (function, inputs, outputs), counted in zip(calls, ops.calls, strict=True):
        found = counted.cost.totals()
        if function.name in FREE or function.stated:  # what is stated elsewhere costs nothing here
            assert found == {}
            continue
        expected_outputs, expected = interpret(function, inputs)
        for y, e in zip(outputs, expected_outputs, strict=False):
            np.testing.assert_allclose(y, e, rtol=2e-4, atol=2e-5)
        assert found == expected, function.name
        compared += 1
    return compared
