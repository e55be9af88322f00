"""Losses of a batch: mean squared error (Eqs. 14 and 15 of the paper) and cross-entropy."""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.functions.checks import check_float, check_sizes
from snncore.given import as_array
from snncore.opcount.cost import OpCount
from snncore.tape import Function, Tensor


def check_labels(owner: str, labels: Array, classes: int) -> None:
    """Raise ValueError unless labels are integers [N] in 0 .. classes - 1.

    On a GPU their values are not looked at, for the host would have to wait.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"{owner}: expected integer labels [N], found {labels.dtype} {labels.shape}")
    if array_module(labels) is np and labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"{owner}: labels run from {labels.min()} to {labels.max()}, classes are {classes}")


def one_hot(labels: Array, classes: int, dtype: Any = np.float32) -> Array:
    """Return [N, classes] with a 1 at each label, the targets of MSE; raises ValueError as `check_labels`."""
    labels = as_array(labels.data if isinstance(labels, Tensor) else labels)
    check_sizes("one_hot", classes=classes)
    check_labels("one_hot", labels, classes)
    return array_module(labels).eye(classes, dtype=dtype)[labels]


def _check_entries(owner: str, p: Array) -> None:
    """Raise TypeError unless p is floating point, ValueError if it has no entries, of which there is no mean."""
    check_float(owner, p=p)
    if not p.size:
        raise ValueError(f"{owner}: expected predictions of at least one sample and class, found {p.shape}")


class MSE(Function):
    """L = mean of (p - y)^2 over all entries; gp = 2 (p - y) / n.

    p: float [N, K], predictions. y: same shape, targets such as labels made `one_hot`; they get no gradient.
    Raises ValueError if the shapes differ or there are no entries, TypeError if p is not float.
    """

    def forward(self, p: Array, y: Array) -> Array:
        if p.shape != y.shape:
            raise ValueError(f"MSE: expected predictions and targets of one shape, found {p.shape} and {y.shape}")
        _check_entries("MSE", p)
        difference = p - y.astype(p.dtype, copy=False)
        self.save(difference)
        return (difference * difference).mean()

    def backward(self, gy: Array) -> Any:
        (difference,) = self.saved
        return gy * difference * (2 / difference.size), None

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        n = inputs[0].size
        return OpCount(elem_add=2 * n - 1, elem_mul=n + 1)  # differences, squares, their sum, and 1 / n

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=2 * inputs[0].size)


class CrossEntropy(Function):
    """L = mean over the batch of -log softmax(p)[label]; gp = (softmax(p) - onehot) / N.

    p: float [N, K], logits. labels: integers [N] in 0 .. K - 1; they get no gradient.
    Raises TypeError if p is not float, ValueError if the shapes do not fit, there are no entries, or a label is out of
    range (not looked at on a GPU, which would have to be waited for).
    """

    def forward(self, p: Array, labels: Array) -> Array:
        if p.ndim != 2 or labels.shape != p.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(
                f"CrossEntropy: expected logits [N, K] and integer labels [N], found {p.shape} and "
                f"{labels.dtype} {labels.shape}"
            )
        xp = array_module(p)
        _check_entries("CrossEntropy", p)
        check_labels("CrossEntropy", labels, p.shape[1])
        shifted = p - p.max(axis=1, keepdims=True)
        log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))  # [N, K]
        rows = xp.arange(len(p))
        self.save(log_p, labels)
        return -log_p[rows, labels].mean()

    def backward(self, gy: Array) -> Any:
        log_p, labels = self.saved
        xp = array_module(log_p)
        gp = xp.exp(log_p)
        gp[xp.arange(len(gp)), labels] -= 1
        return gy * gp / len(gp), None

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        n, k = inputs[0].shape
        # the largest of each row, what is above it, exponentials, their sum and its logarithm, then the mean
        adds = n * k + n * (k - 1) + n * k + n - 1
        return OpCount(elem_compare=n * (k - 1), elem_add=adds, special=n * k + n, elem_mul=1)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        n, k = inputs[0].shape
        return OpCount(back_special=n * k, back_add=n, back_mul=2 * n * k)
