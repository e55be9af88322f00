"""Where arrays come from, followed call by call: which are input from outside, means of spikes, or repeated over time.

Rules by the name of each operation, and nothing of the way in which `snncore` follows arrays.
"""

from types import SimpleNamespace

import numpy as np

MOVES = ("Reshape", "Transpose", "GetItem", "Concat", "Stack", "Cast")
SCALES = (*MOVES, "Add", "Sub", "Mul", "Div", "AvgPool2d", "GlobalAvgPool", "Sum", "Mean", "BatchNorm", "Dropout")
AVERAGES = ("AvgPool2d", "GlobalAvgPool", "Sum", "Mean")
FEATURES = {"Conv2d": 3, "GroupedConv2d": 3, "Conv1d": 2, "Linear": 1, "BatchNorm": 1}


class Origins:
    """Ask `of` for each call in order; it says what is known of the first input, and remembers the outputs."""

    def __init__(self):
        self.made = {}  # id -> (array, facts); the array is kept, so that no other gets its id

    def known(self, x):
        array, facts = self.made.get(id(x), (None, None))
        return facts if array is x else SimpleNamespace(outside=True, averaged=False, repeated=None)

    def of(self, function, inputs, outputs, stated):
        given = [(x, self.known(x)) for x in inputs if x is not None]
        x, first = given[0]
        repeated = first.repeated
        if repeated is None and first.outside and not stated and function.name in FEATURES:
            repeated = repeats(x, FEATURES[function.name])
        here = SimpleNamespace(averaged=first.averaged, repeated=repeated)
        pixels = function.name in FEATURES and not getattr(function, "training", False)
        facts = SimpleNamespace(
            outside=not stated and function.name in SCALES and all(k.outside for _, k in given),
            averaged=not stated and averaged(function.name, given),
            repeated=repeated if pixels else None,
        )
        if function.name == "Add" and all(x.dtype.kind != "f" for x, _ in given):
            facts.outside = False  # a residual addition
        for y in outputs:
            self.made[id(y)] = y, facts
        return here


def averaged(name, given):
    means = [x.dtype.kind != "f" or k.averaged for x, k in given]
    if name in AVERAGES:
        return means[0]
    if name in MOVES or name == "MaxPool2d":
        return all(means)
    return (
        name in ("Mul", "Dropout")
        and means.count(True) == 1
        and all(m or x.size == 1 for m, (x, _) in zip(means, given, strict=True))
    )


def repeats(x, features):
    """[T, N] booleans: the cells of x [T, N, ...] that are equal to those of the timestep before."""
    if x.ndim - features < 2:
        return None
    found = np.zeros(x.shape[:2], bool)
    for t, n in np.ndindex(*found.shape):
        found[t, n] = t > 0 and np.array_equal(x[t, n], x[t - 1, n])
    return found
