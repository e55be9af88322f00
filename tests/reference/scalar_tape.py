"""A reverse-mode tape over single numbers, to hold backpropagation through time with real spikes against.

Every operation notes the slope of its result by each operand; `backward` multiplies and adds them up from the last
result to the first. Arrays of scalars are NumPy object arrays: their arithmetic is that of the entries.
"""

import math

import numpy as np


def _entrywise(operation):
    """Make a number a Scalar, and leave an array to NumPy, which calls the operation for each of its entries."""

    def operator(self, other):
        if isinstance(other, np.ndarray):
            return NotImplemented
        return operation(self, other if isinstance(other, Scalar) else Scalar(other))

    return operator


class Scalar:
    """A number and where it came from: `parents` is a list of (operand, slope)."""

    def __init__(self, value, parents=()):
        self.value, self.parents, self.grad = float(value), parents, 0.0

    @_entrywise
    def __add__(self, other):
        return Scalar(self.value + other.value, [(self, 1.0), (other, 1.0)])

    @_entrywise
    def __mul__(self, other):
        return Scalar(self.value * other.value, [(self, other.value), (other, self.value)])

    @_entrywise
    def __sub__(self, other):
        return Scalar(self.value - other.value, [(self, 1.0), (other, -1.0)])

    @_entrywise
    def __truediv__(self, other):
        a, b = self.value, other.value
        return Scalar(a / b, [(self, 1 / b), (other, -a / (b * b))])

    @_entrywise
    def __rsub__(self, other):
        return other - self

    @_entrywise
    def __rtruediv__(self, other):
        return other / self

    def __neg__(self):
        return Scalar(-self.value, [(self, -1.0)])

    __radd__ = __add__
    __rmul__ = __mul__

    def detach(self):
        """The same number with no past."""
        return Scalar(self.value)

    def backward(self):
        """Add the slope of this number by every number that it came from to their `grad`."""
        order, seen, stack = [], set(), [(self, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((parent, False) for parent, _ in node.parents)
        self.grad = 1.0
        for node in reversed(order):
            for parent, slope in node.parents:
                parent.grad += node.grad * slope


def exp(x):
    y = math.exp(x.value)
    return Scalar(y, [(x, y)])


def maximum(a, b):
    """The larger; of equal ones the first takes the slope."""
    first = a.value >= b.value
    return Scalar(max(a.value, b.value), [(a, float(first)), (b, float(not first))])


def step(x, slope):
    """1 where x >= 0, else 0, with slope(x) in place of the derivative."""
    return Scalar(x.value >= 0, [(x, slope(x.value))])


def sigmoid(x):
    return 1 / (1 + exp(-x))


def scalars(x):
    """Object array of scalars with the values of x."""
    made = np.empty(np.shape(x), object)
    for i in np.ndindex(made.shape):
        made[i] = Scalar(np.asarray(x)[i])
    return made


def values(x):
    return np.array([s.value for s in np.ravel(x)]).reshape(np.shape(x))


def grads(x):
    return np.array([s.grad for s in np.ravel(x)]).reshape(np.shape(x))
