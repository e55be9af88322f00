"""The surrogate gradient, its primitive, and where the membranes of a network lie under it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.style import FONT, WIDTH
from snncore.surrogate import Surrogate

__all__ = ["draw_surrogate", "share_that_learns"]

TENTH = 0.1
"""Of its peak: where the derivative is smaller, a neuron passes on next to nothing."""


def share_that_learns(surrogate: Surrogate, margin: np.ndarray) -> float:
    """Return the share of margins at which the derivative is at least a tenth of its peak."""
    peak = float(surrogate.derivative(np.zeros(1))[0])
    return float((surrogate.derivative(margin.astype(np.float64)) >= TENTH * peak).mean()) if margin.size else 0.0


def draw_surrogate(surrogate: Surrogate, margins: Sequence[np.ndarray]) -> Any:
    """Draw step, primitive and derivative, and below a histogram of all margins (charge less threshold)."""
    flat = np.concatenate([x.ravel() for x in margins]).astype(np.float64)
    low, high = np.percentile(flat, (0.5, 99.5))
    reach = min(6.0, max(1.5, abs(low), abs(high)))
    x = np.linspace(-reach, reach, 601)
    figure = new_figure(WIDTH, 3.6, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1.3, 1])
    upper.plot(x, x >= 0, color="black", linewidth=0.9, label="step: forward")
    upper.plot(x, surrogate.primitive(x), color="#0072B2", linestyle="--", label="primitive: forward in relaxed mode")
    upper.plot(x, surrogate.derivative(x), color="#D55E00", label="derivative: backward")
    upper.fill_between(x, surrogate.derivative(x), color="#D55E00", alpha=0.12)
    upper.legend(fontsize=FONT - 1, loc="upper left")
    upper.set_title(f"{surrogate}", fontsize=FONT)
    lower.hist(flat, bins=np.linspace(-reach, reach, 81), color="#999999")
    lower.axvline(0, color="black", linewidth=0.8)
    share = 100 * share_that_learns(surrogate, flat)
    outside = 100 * float((abs(flat) > reach).mean())
    lower.set_title(
        f"membranes of the sample: {share:.0f} % lie where the derivative is at least a tenth of its peak"
        + (f"; {outside:.0f} % are outside of the picture" if outside >= 1 else ""),
        fontsize=FONT,
    )
    lower.set_xlabel("membrane - threshold", fontsize=FONT - 1)
    lower.set_ylabel("neurons and timesteps", fontsize=FONT - 1)
    for ax in (upper, lower):
        ax.tick_params(labelsize=FONT - 2)
        ax.grid(alpha=0.3)
    return figure
