"""What a failed gradient check says beside the numbers: what kind of mistake looks like this."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snncore.tape import Function

__all__ = ["Calls", "by_doubling", "by_factor", "by_jumps", "by_lag", "labels"]


def labels(function: Callable[..., Any], count: int) -> list[str]:
    """Return `input i (name)` for each input, by the parameters of its forward; `input i` where they have no names."""
    forward = getattr(function, "forward", function)
    try:
        parameters = list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):  # a function of C says nothing of its parameters
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [f"input {i} ({names[i]})" if i < len(names) else f"input {i}" for i in range(count)]


class Calls:
    """What is known of the operations that a checked function calls, as an observer of them."""

    def __init__(self) -> None:
        self.spiking: list[str] = []  # operations that spike
        self.stepping: list[str] = []  # operations whose first output is whole numbers all the same
        self.detached: list[str] = []

    def __call__(self, call: Function, inputs: tuple, outputs: tuple) -> None:
        """Look at a call."""
        whole = outputs[0].dtype.kind != "f" and any(x is not None and x.dtype.kind == "f" for x in inputs)
        firing = getattr(call, "firing", None)
        for found, names in (
            (call.spiking, self.spiking),
            (whole, self.stepping),
            (getattr(firing, "detach_reset", False), self.detached),
        ):
            if found and call.name not in names:
                names.append(call.name)

    def hint(self, relaxed: bool) -> str:
        """Say why this function cannot pass as it is called; empty if nothing is known against it."""
        if self.spiking and not relaxed:
            return f"{', '.join(self.spiking)} spikes: check it with relaxed=True"
        if self.stepping:
            names = ", ".join(self.stepping)
            if relaxed and set(self.stepping) <= set(self.spiking):
                return f"{names} gives whole numbers in relaxed mode, too: let it fire by snncore.surrogate.fire"
            return (
                f"{names} gives whole numbers, which a small step does not change: an operation that spikes has "
                "`spiking = True`, fires by snncore.surrogate.fire, and is checked with relaxed=True"
            )
        if self.detached:
            return f"{', '.join(self.detached)} has detach_reset, which drops a term of the gradient: check without it"
        return ""


def by_factor(numeric: np.ndarray, analytic: np.ndarray) -> str:
    """Say so if backward gives one multiple of the finite differences everywhere."""
    if not (np.isfinite(numeric).all() and np.isfinite(analytic).all()):
        return ""
    if not numeric.any():
        return "finite differences are 0 everywhere: forward does not use this input, or only in steps"
    if not analytic.any():
        return "backward gives 0 everywhere: is the gradient of this input missing?"
    factor = float((numeric * analytic).sum() / np.square(numeric).sum())
    # looser than the check: it is said beside the numbers, and the factor is not known better than they are
    if numeric.size > 1 and np.abs(analytic - factor * numeric).max() <= 1e-4 * np.abs(analytic).max():
        return f"backward gives {factor:.6g} times the finite differences everywhere"
    return ""


def by_doubling(once: np.ndarray, twice: np.ndarray) -> str:
    """Say so if a backward that is given gradients twice as large does not give twice as much: it must be linear."""
    if np.allclose(twice, 2 * once, rtol=1e-6, atol=1e-12, equal_nan=True):
        return ""
    return "given twice the gradient, backward does not give twice as much: is gy missing in it, or rounded?"


def by_lag(wrong: np.ndarray, output: Sequence[int], given: Sequence[int]) -> str:
    """Say so if what is wrong is only what came from earlier timesteps.

    wrong: [entries of the output, entries of the input], both [T, ...] by their shapes `output` and `given`.
    """
    if not output or not given or output[0] != given[0] or output[0] < 2 or not wrong.any():
        return ""
    steps = output[0]
    blocks = wrong.reshape(steps, -1, steps, wrong.shape[1] // steps).any(axis=(1, 3))  # [T of output, T of input]
    lags = sorted({int(t - u) for t, u in zip(*np.nonzero(blocks), strict=True)})
    if lags[0] <= 0:
        return ""
    return (
        f"all entries within one timestep are right, and wrong are those of a current {lags[0]} or more steps before: "
        "look at what backward carries from a step to the one before"
    )


def by_jumps(slope: float, slope_over_less: float, outputs: Sequence[np.ndarray]) -> str:
    """Say so if outputs move in jumps, as what is computed in float32 or rounded does.

    slope, slope_over_less: of one output by one input, as differences over a step and over a much smaller one.
    """
    if any(y.dtype == np.float32 for y in outputs):
        return "the outputs are float32, though the inputs are float64: forward must keep the type of its inputs"
    if slope and not abs(slope_over_less - slope) <= 0.1 * abs(slope):
        return (
            "over a smaller step the finite differences are others: forward rounds (does it compute in float32?), "
            "or has a step or a kink here"
        )
    return ""
