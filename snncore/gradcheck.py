"""Numerical gradient checks: is a backward the derivative of its forward?

from snncore import check_gradients
check_gradients(MyFunction(), [x, w])                  # raises GradientError where they differ
check_gradients(LIF(decay=0.5), [c], relaxed=True)     # spiking: the step replaced by its primitive
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from snncore.backend import Array
from snncore.given import as_array, is_number
from snncore.gradhints import Calls, by_doubling, by_factor, by_jumps, by_lag, labels
from snncore.surrogate import relaxed as relaxed_mode
from snncore.tape import Function, Tensor, no_grad, observe

__all__ = ["GradientError", "check_gradients"]

FULL_JACOBIAN_ENTRIES = 20_000  # inputs times outputs up to which every entry is compared


class GradientError(AssertionError):
    """A gradient that differs from finite differences; the message names the worst entry."""


def check_gradients(
    function: Callable[..., Any],
    inputs: Sequence[Tensor | Array | None],
    *,
    names: Sequence[str] | None = None,
    wrt: Sequence[int] | None = None,
    relaxed: bool = False,
    full: bool | None = None,
    directions: int = 4,
    eps: float = 1e-5,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    seed: int = 0,
) -> float:
    """Compare the backward of `function` with central differences in float64 and return the largest error.

        full:       J[i, j] = (f_i(x + eps e_j) - f_i(x - eps e_j)) / (2 eps), against the rows that backward gives
        directions: <gx, d> against <gy, (f(x + eps d) - f(x - eps d)) / (2 eps)> for random unit d and random gy

    The full Jacobian is compared for small sizes (`full=None`), else random directions. An error passes if it is at
    most atol + rtol * scale, with scale the largest magnitude among the compared gradients of that input.

    function: takes tensors, returns a tensor or a tuple of them; it must give the same result at each call.
    inputs: arrays, converted to float64 if they are floating point (None is passed on). wrt: which inputs to check;
    by default all floating-point ones. names: for messages; by default `input 0 (x)`, with the name in forward.
    relaxed: run with every spiking neuron in relaxed mode; a spiking function has no true gradient otherwise.
    Raises GradientError naming the input, the entry and both values, and what kind of mistake looks like this where
    one is known (`snncore.gradhints`); or if forward changes an input or backward a gradient that it was given, or two
    calls give different outputs. TypeError for a class in place of a function, an array in place of a list, or a
    function that returns no tensors; ValueError if there is nothing to check, an array has no entries or some that are
    not finite, or a setting is out of range.
    """
    if isinstance(function, type):
        name = function.__name__
        raise TypeError(f"check_gradients: expected a function or an instance, found the class {name}: write {name}()")
    if hasattr(inputs, "shape"):
        raise TypeError(f"check_gradients: expected a list of inputs, found one array of shape {inputs.shape}: [x]")
    if not callable(function) or not isinstance(inputs, Iterable):
        found = f"{type(function).__name__} and {type(inputs).__name__}"
        raise TypeError(f"check_gradients: expected a function and a list of its inputs, found {found}")
    for name, value in (("eps", eps), ("directions", directions), ("rtol", rtol), ("atol", atol)):
        positive = name in ("eps", "directions")  # and under a tolerance that is NaN, nothing would be wrong
        if not is_number(value) or not 0 <= value < np.inf or (positive and value == 0):
            raise ValueError(f"{name}: expected a finite number {'above' if positive else '>='} 0, found {value!r}")
    arrays: list[Any] = [None if x is None else _as_float64(x) for x in inputs]
    checked = [i for i, x in enumerate(arrays) if x is not None and x.dtype.kind == "f"] if wrt is None else wrt
    checked = list(checked) if isinstance(checked, Iterable) else [checked]
    if any(i not in range(len(arrays)) or arrays[i] is None for i in checked):
        raise ValueError(f"wrt: expected places of inputs that are given, among {len(arrays)}, found {wrt!r}")
    if not checked:
        found = ", ".join("None" if x is None else f"{x.dtype} {x.shape}" for x in arrays) or "none"
        raise ValueError(f"check_gradients: no floating-point input to check; found {found}")
    label = labels(function, len(arrays)) if names is None else list(names)
    if len(label) != len(arrays):
        raise ValueError(f"names: expected one for each of {len(arrays)} inputs, found {names!r}")
    for i in checked:
        if arrays[i].size == 0:
            raise ValueError(f"check_gradients: {label[i]} of shape {arrays[i].shape} has no entries to check")
        if not np.isfinite(arrays[i]).all():
            raise ValueError(f"check_gradients: {label[i]}: expected finite entries, found NaN or infinity")
    rng = np.random.default_rng(seed)
    worst = 0.0
    calls = Calls()
    with relaxed_mode() if relaxed else contextlib.nullcontext():
        with observe(calls):
            first = _evaluate(function, arrays)
        shapes = [y.shape for y in first]
        if not all(map(_same, first, _evaluate(function, arrays))):
            raise GradientError(
                "check_gradients: two calls on the same inputs gave different outputs; does it draw random numbers, "
                "or keep a state, as a neuron with stateful=True does?"
            )
        outputs = sum(int(np.prod(s)) for s in shapes)
        if outputs == 0:
            raise ValueError(f"check_gradients: the outputs, of shapes {shapes}, have no entries to check")
        for i in checked:
            everything = outputs * arrays[i].size <= FULL_JACOBIAN_ENTRIES if full is None else full
            if everything:
                numeric, analytic, entries = _jacobians(function, arrays, i, shapes, eps, label[i])
            else:
                numeric, analytic, entries = _projections(function, arrays, i, shapes, eps, directions, rng, label[i])
            error = np.abs(numeric - analytic)
            error[~np.isfinite(error)] = np.inf
            scale = float(np.max(np.abs(numeric), initial=0.0, where=np.isfinite(numeric)))
            wrong = error > atol + rtol * scale
            k = int(np.argmax(error))
            if wrong.any():
                hint = calls.hint(relaxed) or by_factor(numeric, analytic)
                if not hint:
                    grads = [rng.standard_normal(shape) for shape in shapes]
                    doubled = [2 * g for g in grads]
                    hint = by_doubling(*(_backward(function, arrays, i, g, label[i]) for g in (grads, doubled)))
                if not hint and everything and len(shapes) == 1 and calls.spiking:
                    hint = by_lag(wrong, shapes[0], arrays[i].shape)
                if not hint and everything:
                    hint = _jumps(function, arrays, i, wrong, numeric, eps, first)
                raise GradientError(
                    f"{label[i]}: {entries[k]}: backward gives {analytic.flat[k]:.9g}, finite differences "
                    f"{numeric.flat[k]:.9g}; the difference {error.flat[k]:.3g} exceeds {atol:.3g} + {rtol:.3g} * "
                    f"{scale:.3g} ({int(wrong.sum())} of {error.size} compared values do){hint and '; '}{hint}"
                )
            worst = max(worst, float(error.flat[k]))
    return worst


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _as_float64(x: Tensor | Array) -> np.ndarray:
    x = np.asarray(as_array(x.data if isinstance(x, Tensor) else x))
    return _locked(x.astype(np.float64)) if x.dtype.kind == "f" else x


def _locked(x: Array) -> np.ndarray:
    """The array, which then cannot be written to: forward and backward may only read what they are given."""
    x = np.asarray(x)
    x.flags.writeable = False
    return x


@contextlib.contextmanager
def _reading_only(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise GradientError(
            f"{name}: forward writes to an input, or backward to a gradient that it was given; both may only be read"
        ) from error


class _Meet(Function):
    """Where outputs end, with the gradients that they are to have: no operation stands between."""

    def __init__(self, grads: list[np.ndarray]) -> None:
        self.grads = grads

    def forward(self, *ys: np.ndarray) -> np.ndarray:
        return np.zeros(())

    def backward(self, gy: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(_locked(g) for g in self.grads)


def _evaluate(function: Callable, arrays: list) -> tuple[np.ndarray, ...]:
    with no_grad(), _reading_only("the inputs"):
        result = function(*(None if x is None else Tensor(x) for x in arrays))
    outputs = result if isinstance(result, tuple) else (result,)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise TypeError(
                f"check_gradients: expected a tensor or a tuple of them from function, found {type(y).__name__}"
            )
    return tuple(y.data for y in outputs)


def _backward(function: Callable, arrays: list, i: int, grads: list[np.ndarray], name: str) -> np.ndarray:
    """Gradient that backward gives for input i when the outputs have gradients `grads`."""
    tensors = [None if x is None else Tensor(x) for x in arrays]
    tensors[i] = leaf = Tensor(arrays[i], requires_grad=True)
    result = function(*tensors)
    total = _Meet(grads)(*(result if isinstance(result, tuple) else (result,)))
    if not total.requires_grad:
        raise GradientError(f"{name}: the outputs do not depend on it, as far as the tape knows")
    with _reading_only(name):
        total.backward()
    return np.zeros_like(arrays[i]) if leaf.grad is None else leaf.grad


def _difference(function: Callable, arrays: list, i: int, step: np.ndarray) -> list[np.ndarray]:
    """f(x + step) - f(x - step), output by output."""
    ahead, behind = list(arrays), list(arrays)
    ahead[i], behind[i] = _locked(arrays[i] + step), _locked(arrays[i] - step)
    pairs = zip(_evaluate(function, ahead), _evaluate(function, behind), strict=True)
    return [np.subtract(a, b, dtype=np.float64) for a, b in pairs]  # bytes would wrap, booleans cannot be subtracted


def _jacobians(
    function: Callable, arrays: list, i: int, shapes: list, eps: float, name: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    size = arrays[i].size
    numeric = np.empty((sum(int(np.prod(s)) for s in shapes), size))
    for j in range(size):
        step = np.zeros(size)
        step[j] = eps
        ahead = _difference(function, arrays, i, step.reshape(arrays[i].shape))
        numeric[:, j] = np.concatenate([d.ravel() for d in ahead]) / (2 * eps)
    analytic = np.empty_like(numeric)
    row, where = 0, []
    for k, shape in enumerate(shapes):
        for index in np.ndindex(*shape):
            grads = [np.zeros(s) for s in shapes]
            grads[k][index] = 1.0
            analytic[row] = _backward(function, arrays, i, grads, name).ravel()
            where.append(f"d output {k}{list(index)}" if len(shapes) > 1 else f"d output{list(index)}")
            row += 1
    entries = [f"{out} / d entry {list(index)}" for out in where for index in np.ndindex(*arrays[i].shape)]
    return numeric, analytic, entries


def _projections(
    function: Callable,
    arrays: list,
    i: int,
    shapes: list,
    eps: float,
    directions: int,
    rng: np.random.Generator,
    name: str,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    numeric, analytic = np.empty(directions), np.empty(directions)
    for k in range(directions):
        grads = [rng.standard_normal(s) for s in shapes]
        direction = rng.standard_normal(arrays[i].shape)
        direction /= np.linalg.norm(direction)
        change = _difference(function, arrays, i, eps * direction)
        numeric[k] = sum(float((g * d).sum()) for g, d in zip(grads, change, strict=True)) / (2 * eps)
        analytic[k] = float((_backward(function, arrays, i, grads, name) * direction).sum())
    return numeric, analytic, [f"random direction {k}" for k in range(directions)]


def _jumps(
    function: Callable, arrays: list, i: int, wrong: np.ndarray, numeric: np.ndarray, eps: float, outputs: Sequence
) -> str:
    """What the steepest of the wrong entries says of rounding in forward, by the same difference over a small step."""
    row, column = np.unravel_index(np.argmax(np.where(wrong & np.isfinite(numeric), np.abs(numeric), -1)), wrong.shape)
    step = np.zeros(arrays[i].size)
    step[column] = eps / 1000
    small = _difference(function, arrays, i, step.reshape(arrays[i].shape))
    slope = np.concatenate([d.ravel() for d in small])[row] / (2 * eps / 1000)
    return by_jumps(float(numeric[row, column]), float(slope), outputs)
