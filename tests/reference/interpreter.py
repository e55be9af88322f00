"""An interpreter that executes one call scalar by scalar and counts: the definition of what an exact count is.

It knows the equations and nothing of the way in which `snncore` counts. What it computes is compared with what the
function computed, so that it cannot count operations which it does not do.
"""

import math
from collections import Counter

import numpy as np

from tests.reference import count_layers as layers
from tests.reference import count_neurons as neurons
from tests.reference.count_layers import places, read, write


def elementwise(column, operation):
    def run(n, f, *inputs):
        y = operation(*inputs)
        trains = [x for x in inputs if x.dtype.kind != "f" and x.shape == y.shape]
        for place in places(y):
            count_one(n, column, [x[place] for x in trains])
        return y

    return run


def count_one(n, column, spikes):
    """One entry of an elementwise operation; `spikes` are the events among its inputs."""
    if spikes and column == "elem_mul":  # of two trains, the first picks from the second
        n["w_select"] += spikes[0] == 1
        n["w_mul"] += spikes[0] > 1
    elif len(spikes) == 2:
        n["residual_add"] += all(spikes)
    elif spikes and column == "elem_add":
        n["elem_add"] += spikes[0] != 0
    else:
        n[column] += 1


def sew(n, f, a, s):
    o = np.zeros_like(s)
    for place in places(s):
        if f.connect == "add":
            n["residual_add"] += a[place] != 0 and s[place] != 0
            o[place] = a[place] + s[place]
        elif s[place]:
            n["residual_logic"] += 1
            stopped = a[place] if a.dtype.kind == "f" else a[place] != 0  # an event of any value stops s
            o[place] = s[place] * (a[place] if f.connect == "and" else 1 - float(stopped))
    read(n, a)
    read(n, s)
    write(n, o)
    return o


def fire(n, f, x):
    s = np.zeros(x.shape, np.uint8)
    for place in places(x):
        s[place] = neurons.fire(n, x[place], 0)
    return s


def total(n, f, x, mean=False):
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
    y = np.zeros(x.sum(axis=f.axes, keepdims=True).shape, dtype)
    seen = Counter()
    for place in places(x):
        target = tuple(0 if axis in f.axes else i for axis, i in enumerate(place))
        if x.dtype.kind == "f":
            n["elem_add"] += seen[target] > 0
        else:
            n["elem_add"] += x[place] != 0
        seen[target] += 1
        y[target] += x[place]
    if mean:
        for place in places(y):
            n["elem_mul"] += 1
            y[place] /= seen[place]
    return y if f.keepdims else y.squeeze(axis=f.axes)


def softmax(n, f, x):
    rows = np.moveaxis(x if x.dtype.kind == "f" else x.astype(np.float32), f.axis, -1)
    y = np.zeros_like(rows)
    for place in places(rows[..., 0]):
        row = rows[place]
        n["elem_compare"] += len(row) - 1
        n["elem_add"] += len(row)
        n["special"] += len(row)
        n["elem_add"] += len(row) - 1
        n["elem_div"] += len(row)
        e = np.exp(row - max(row))
        y[place] = e / sum(e)
    return np.moveaxis(y, -1, f.axis)


def batch_norm_lif(n, f, x, gamma, beta):
    return neurons.lif(n, f, neurons.batch_norm(n, f, x, gamma, beta))


def mlif(n, f, o_a, o_v, alpha_a, alpha_v, w_a, w_v, u_a, u_v):
    return neurons.mlif(n, f, o_a, alpha_a, w_a, u_a), neurons.mlif(n, f, o_v, alpha_v, w_v, u_v)


def stated(n, f, *inputs):
    for s, o, alpha, w, u0 in zip(*(inputs[i : i + f.k] for i in range(0, 5 * f.k, f.k)), strict=True):
        neurons.mlif(n, f, o, alpha, w, u0, s)
    return inputs[: f.k]


def curve(value):
    def run(n, f, x):
        y = np.zeros(x.shape, x.dtype if x.dtype.kind == "f" else np.float32)
        for place in places(x):
            n["special"] += 1
            y[place] = value(f, float(x[place]))
        return y

    return run


def power(n, f, x):
    y = curve(lambda f, v: v**f.exponent)(n, f, x)
    if f.exponent == 2:  # v * v
        n["elem_mul"] = n.pop("special")
    return y


def largest(n, f, x):
    rows = x.reshape(-1) if f.axis is None else np.moveaxis(x, f.axis, -1)
    y = np.zeros(rows.shape[:-1], x.dtype)
    for place in np.ndindex(*rows.shape[:-1]):
        best = rows[place][0]
        for v in rows[place][1:]:
            n["elem_compare"] += 1
            best = max(v, best)
        y[place] = best
    return np.expand_dims(y, f.axis) if f.keepdims else y


def layer_norm(n, f, x, gamma, beta):
    y = np.zeros_like(x)
    for place in places(x[..., 0]):
        row = [float(v) for v in x[place]]
        mean = sum(row) / len(row)
        var = sum((v - mean) ** 2 for v in row) / len(row)
        n["elem_add"] += 2 * (len(row) - 1) + len(row) + 1  # two sums, v - mean, var + eps
        n["elem_mul"] += 2 + len(row)  # two times 1 / n, the squares
        n["special"] += 1
        n["elem_div"] += 1
        for i, v in enumerate(row):
            n["elem_mul"] += 2
            n["elem_add"] += 1
            y[(*place, i)] = (v - mean) / (var + f.eps) ** 0.5 * gamma[i] + beta[i]
    return y


def dropout(n, f, x):
    (kept,) = f.saved
    kept, factor = np.broadcast_to(kept, x.shape), 1 / (1 - f.rate) if f.scale else 1
    y = np.zeros(x.shape, np.float32 if f.scale else x.dtype)
    for place in places(x):
        if x.dtype.kind == "f":
            n["elem_mul"] += 1
        elif not f.scale:
            n["residual_logic"] += x[place] != 0
        else:
            n["w_select"] += x[place] == 1
            n["w_mul"] += x[place] > 1
        y[place] = x[place] * factor if kept[place] else 0
    return y


def conv1d(n, f, x, w, b):
    return layers.conv(n, f, x[..., None, :, :], w[None], b)[..., 0, :, :]


RULES = {
    "Exp": curve(lambda f, v: math.exp(v)),
    "Log": curve(lambda f, v: math.log(v)),
    "Tanh": curve(lambda f, v: math.tanh(v)),
    "Sigmoid": curve(lambda f, v: 1 / (1 + math.exp(-v))),
    "Sqrt": curve(lambda f, v: math.sqrt(v)),
    "Power": power,
    "Abs": elementwise("elem_compare", lambda x: abs(x).astype(x.dtype if x.dtype.kind == "f" else np.float32)),
    "Max": largest,
    "LayerNorm": layer_norm,
    "Dropout": dropout,
    "Conv1d": conv1d,
    "Conv2d": layers.conv,
    "GroupedConv2d": layers.conv,
    "Linear": layers.linear,
    "MatMul": layers.matmul,
    "MaxPool2d": layers.max_pool,
    "AvgPool2d": layers.avg_pool,
    "GlobalAvgPool": layers.global_pool,
    "BatchNorm": neurons.batch_norm,
    "BatchNormLIF": batch_norm_lif,
    "LIF": neurons.lif,
    "PLIF": neurons.plif,
    "CLIF": neurons.clif,
    "MLIF": mlif,
    "StatedNeuron": stated,
    "StatedCurrent": neurons.current,
    "Fire": fire,
    "SEW": sew,
    "Add": elementwise("elem_add", lambda a, b: a + b),
    "Sub": elementwise("elem_add", lambda a, b: a - b),
    "Mul": elementwise("elem_mul", lambda a, b: a * b),
    "Div": elementwise("elem_div", lambda a, b: a / b),
    "ReLU": elementwise("elem_compare", lambda x: np.maximum(x, 0)),
    "Sum": total,
    "Mean": lambda n, f, x: total(n, f, x, mean=True),
    "Softmax": softmax,
}
FREE = ("Cast", "Reshape", "Transpose", "GetItem", "Concat", "Stack")


def interpret(function, inputs):
    """Return (outputs, counts by column without zeros) of one call on arrays."""
    n = Counter()
    result = RULES[function.name](n, function, *inputs)
    outputs = result if isinstance(result, tuple) else (result,)
    return outputs, {name: int(v) for name, v in n.items() if v}
