"""Run a Function forwards and backwards in one line."""

import numpy as np

from snncore import Tensor


def differentiate(function, inputs, output_gradients):
    """Return (outputs, gradients): arrays of all outputs, and of all inputs under the given output gradients.

    inputs: arrays, or None for those left out. output_gradients: arrays, or None for an output that nothing uses.
    """
    leaves = [None if x is None else Tensor(x, requires_grad=True) for x in inputs]
    result = function(*leaves)
    outputs = result if isinstance(result, tuple) else (result,)
    pairs = zip(outputs, output_gradients, strict=True)
    used = [(y * Tensor(g)).sum() for y, g in pairs if g is not None]
    loss = used[0]
    for term in used[1:]:
        loss = loss + term
    loss.backward()
    return [y.data for y in outputs], [None if x is None else x.grad for x in leaves]


def like(rng, *arrays):
    """Random gradients, float64, of the shapes of `arrays`."""
    return [rng.standard_normal(np.shape(x)) for x in arrays]
