"""Layers without weights: elementwise functions, flattening, dropout."""

from snncore import functions as F
from snncore.context import context
from snncore.nn.module import Module
from snncore.rng import step_key
from snncore.tape import Function, Tensor

__all__ = ["Dropout", "Flatten", "ReLU", "Sigmoid", "Tanh"]


class _Elementwise(Module):
    """Base of layers that are one function and nothing else."""

    kind: type[Function]

    def forward(self, x: Tensor) -> Tensor:
        return self.kind()(x)


class ReLU(_Elementwise):
    """max(x, 0); see `functions.ReLU`."""

    kind = F.ReLU


class Sigmoid(_Elementwise):
    """1 / (1 + e^-x); see `functions.Sigmoid`."""

    kind = F.Sigmoid


class Tanh(_Elementwise):
    """tanh x; see `functions.Tanh`."""

    kind = F.Tanh


class Flatten(Module):
    """Join the axes from `start` on into one: [T, N, H, W, C] to [T, N, H W C], channels fastest.

    start: 2 in the layout of this engine; 1 for arrays [N, ...] without a time axis, as in PyTorch.
    """

    def __init__(self, start: int = 2) -> None:
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.ndim <= self.start:
            raise ValueError(f"Flatten: expected more than {self.start} axes, found {x.shape}")
        return x.flatten(self.start)


class Dropout(Module):
    """Drop entries in training, hand on the same tensor in evaluation or at rate 0; see `functions.Dropout`.

    shared_over_time: one mask for all timesteps, as is usual for spiking networks. Of arrays [T, N, ...] of three and
    more axes the first is time; those of fewer axes have none; inside `at_timestep` every timestep gets the same mask.
    Give False for a network whose arrays have no time axis. scale: see the function.
    Inside `snncore.training_step(seed, step)` the mask depends on these two and the path of this module alone, so that
    a run which is resumed repeats bit for bit; outside, it is drawn from the stream of `snncore.manual_seed`.
    """

    def __init__(self, rate: float = 0.5, shared_over_time: bool = True, scale: bool = True) -> None:
        self.rate = F.Dropout(rate).rate  # checked there
        self.shared_over_time, self.scale = shared_over_time, scale

    def forward(self, x: Tensor) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if not self.training or self.rate == 0:
            return x
        shared = self.shared_over_time and context.timestep is None and x.ndim >= 3
        key = step_key("dropout", shared_over_time=self.shared_over_time)
        return F.Dropout(self.rate, key, shared, self.scale)(x)
