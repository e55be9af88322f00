"""Axes of time and samples: where operations that move axes say they go, and what a shape alone tells."""

import numpy as np
import pytest

from snncore import functions as F
from snncore import observe
from snncore.context import changed
from snncore.opcount.layout import Layout, by_shape, lead_of

X = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)  # every axis has its own length
MOVES = {
    "transpose": (F.Transpose(2, 0, -1, 1), {0: 1, 1: 3, 2: 0, 3: 2}),
    "turned round": (F.Transpose(), {0: 3, 1: 2, 2: 1, 3: 0}),
    "reshape": (F.Reshape(2, 3, 20), {0: 0, 1: 1}),
    "stack": (F.Stack(1), {0: 0, 1: 2, 2: 3, 3: 4}),
    "stack, last": (F.Stack(-1), {0: 0, 1: 1, 2: 2, 3: 3}),
    "concat": (F.Concat(-1), {0: 0, 1: 1, 2: 2}),
    "sum": (F.Sum(0), {0: None, 1: 0, 2: 1, 3: 2}),
    "mean of two": (F.Mean((1, -1)), {0: 0, 1: None, 2: 1, 3: None}),
    "sum, axes kept": (F.Sum(0, keepdims=True), {1: 1, 2: 2, 3: 3}),
    "first": (F.GetItem(0), {0: None, 1: 0, 2: 1, 3: 2}),
    "last of the last": (F.GetItem((..., -1)), {0: 0, 1: 1, 2: 2, 3: None}),
    "a new axis": (F.GetItem((slice(None), None, 1)), {0: 0, 1: None, 2: 2, 3: 3}),
    "all of it": (F.GetItem((Ellipsis, None, slice(None))), {0: 0, 1: 1, 2: 2, 3: 4}),
    "ReLU": (F.ReLU(), {0: 0, 1: 1, 2: 2, 3: 3}),
}


@pytest.mark.parametrize("name", MOVES)
def test_operations_say_where_axes_go(name):
    template, expected = MOVES[name]
    calls = []
    with observe(lambda function, inputs, outputs: calls.append((function, outputs[0]))):
        template(*[X] * (2 if name.startswith(("stack", "concat")) else 1))
    function, y = calls[0]
    assert {axis: function.axis_after(axis, X.ndim, y.ndim) for axis in expected} == expected
    for axis, new in expected.items():
        assert new is None or y.shape[new] == X.shape[axis]


@pytest.mark.parametrize(
    ("samples", "timesteps", "step", "shape", "features", "lead"),
    [
        (None, None, None, (4, 3, 5), 1, (4, 3)),  # told nothing: the layout of the engine
        (None, None, 0, (3, 5), 1, (3,)),
        (3, None, None, (4, 3, 5), 1, (4, 3)),
        (3, None, None, (3, 16, 5), 1, (3,)),  # [N, tokens, C]
        (3, None, None, (7, 16, 5), 1, ()),  # neither axis is that of samples
        (3, None, None, (3, 3, 5), 1, (3, 3)),  # looks alike: time, if nothing more is told
        (3, 4, None, (3, 3, 5), 1, (3,)),
        (3, 0, None, (3, 3, 5), 1, (3,)),
        (3, 4, None, (4, 3), 1, ()),  # [T, features], of three
        (3, 4, None, (3, 5, 6, 2), 3, (3,)),  # [N, H, W, C]
        (3, 4, None, (1, 3, 5), 1, (1, 3)),  # before it is repeated over time
        (3, 4, None, (12, 5), 1, ()),  # time and samples folded into one axis
        (3, 4, 2, (3, 5), 1, (3,)),
        (3, 4, 2, (1, 3, 5), 1, (1, 3)),
        (0, 4, None, (4, 0, 5), 1, (4, 0)),  # a pass over no samples
    ],
)
def test_what_a_shape_tells(samples, timesteps, step, shape, features, lead):
    with changed("samples", samples), changed("timesteps", timesteps), changed("timestep", step):
        assert lead_of(shape, features) == lead


def test_what_is_known_of_an_array_wins_over_its_shape():
    with changed("samples", 3), changed("leading", 1):
        assert lead_of((3, 3, 5)) == (3,)
        assert lead_of((4, 3, 5)) == ()  # and what does not fit is one piece
        assert by_shape((3, 3, 5)) == Layout(0, 1)
    assert [Layout(*axes).leading for axes in ((0, 1), (None, 0), (1, 0), (None, 1), (None, None))] == [2, 1, 0, 0, 0]
