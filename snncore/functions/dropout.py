"""Dropout of floats and of spikes."""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.context import context
from snncore.functions.arithmetic import mul_cost
from snncore.given import is_number
from snncore.opcount.cost import OpCount, lead_of
from snncore.opcount.events import events
from snncore.rng import batch_random
from snncore.tape import Function


class Dropout(Function):
    """Set each entry to zero with probability `rate`, and scale the others so that the mean stays.

        y = m x,  gx = m gy,  m = 0 with probability rate, else 1 / (1 - rate)

    x: any shape. Floats keep their type. Spikes become float32, 0 or 1 / (1 - rate): the layer after them then
    multiplies while it trains, and accumulates in evaluation, where nothing is dropped (`nn.Dropout` hands on what it
    was given). With `scale=False` spikes stay uint8 and m is 0 or 1; the mean is then lower in training than after it.
    key: what `named_rng` makes the generator of the mask from; the same key gives the same mask, on any device.
    shared: one mask for all entries of the first axis, the timesteps of x [T, ...], so that a neuron that is dropped
    is silent through the whole sequence.
    Kept for backward: the mask, a byte an entry. Raises ValueError unless 0 <= rate < 1.
    Source: Srivastava et al. 2014; over time as in Lee et al. 2020, "Enabling spike-based backpropagation".
    """

    def __init__(
        self, rate: float = 0.5, key: tuple[Any, ...] = (0,), shared: bool = False, scale: bool = True
    ) -> None:
        if not is_number(rate) or not 0 <= rate < 1:
            raise ValueError(f"Dropout: expected a rate in [0, 1), found {rate!r}")
        if not isinstance(key, tuple):
            raise TypeError(f"Dropout: expected a key, a tuple that begins with a seed, found {key!r}")
        self.rate, self.key, self.shared, self.scale = rate, key, shared, scale

    def forward(self, x: Array) -> Array:
        shape = x.shape[1:] if self.shared else x.shape
        samples = 1 if x.ndim > 2 and context.timestep is None else 0  # the axis of the samples in x
        drawn = batch_random(self.key, shape, max(0, samples - self.shared), np.float32) >= self.rate  # on the host
        kept = array_module(x).asarray(drawn)
        self.save(kept)
        return self.masked(x if x.dtype.kind == "f" or not self.scale else x.astype(np.float32), kept)

    def masked(self, x: Array, kept: Array) -> Array:
        """Return x where it is kept, scaled if it is asked for."""
        y = x * kept
        if self.scale:
            y *= y.dtype.type(1 / (1 - self.rate))
        return y

    def backward(self, gy: Array) -> Array:
        (kept,) = self.saved
        return self.masked(gy, kept)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """One multiplication an entry of floats; an event of 1 picks the factor; without a factor it passes or not.

        There are no facts: in evaluation, which the rules of others are about, nothing of it runs.
        """
        (x,), y = inputs, outputs[0]
        if x.dtype.kind == "f" or self.scale:
            return mul_cost(x, y, y)
        lead = lead_of(x.shape)
        return OpCount(lead, residual_logic=events(x, lead).all)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        return OpCount(back_mul=outputs[0].size)
