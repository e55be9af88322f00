"""Learning-rate schedules: the rate as a function of the step alone, so that a resumed run needs no saved state."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

__all__ = ["Constant", "Cosine", "Schedule", "Step"]


@dataclass(frozen=True)
class Schedule(ABC):
    """Learning rate at each optimizer step k = 0, 1, 2, ..., after a linear warm-up.

        rate(k) = lr * (k + 1) / warmup_steps       for k < warmup_steps
        rate(k) = proper(k - warmup_steps)          from there on, as the subclass defines it

    lr: the highest rate, finite and >= 0. warmup_steps: >= 0, in optimizer steps.
    Raises ValueError for a setting out of range.
    """

    lr: float
    warmup_steps: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        _check("lr", self.lr, 0 <= self.lr < math.inf, "a finite number >= 0")
        _check("warmup_steps", self.warmup_steps, self.warmup_steps >= 0, "a number of steps >= 0")

    def __call__(self, step: int) -> float:
        """Return the rate for optimizer step `step`, counted from 0; raises ValueError if it is negative."""
        _check("step", step, step >= 0, "a number of steps >= 0")
        if step < self.warmup_steps:
            return self.lr * ((step + 1) / self.warmup_steps)
        return self.proper(step - self.warmup_steps)

    @abstractmethod
    def proper(self, k: int) -> float:
        """Return the rate k steps after the warm-up; lr at k = 0, and never rising."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate at every step: proper(k) = lr. Settings and errors as Schedule."""

    def proper(self, k: int) -> float:
        """Return lr."""
        return self.lr


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from lr down to final_lr, which is reached at total_steps and kept.

        proper(k) = final_lr + (lr - final_lr) * (1 + cos(pi * k / n)) / 2,   n = total_steps - warmup_steps

    total_steps: optimizer steps of the whole run, the warm-up included, > warmup_steps. final_lr: in [0, lr].
    Raises ValueError for a setting out of range.
    Source: Loshchilov and Hutter, ICLR 2017, Eq. 5, without restarts.
    """

    total_steps: int
    final_lr: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        enough = self.total_steps > self.warmup_steps
        _check("total_steps", self.total_steps, enough, f"more than warmup_steps={self.warmup_steps}")
        _check("final_lr", self.final_lr, 0 <= self.final_lr <= self.lr, f"a number in [0, lr={self.lr}]")

    def proper(self, k: int) -> float:
        """Return the rate k steps after the warm-up."""
        share = (1 + math.cos(math.pi * min(1.0, k / (self.total_steps - self.warmup_steps)))) / 2
        return share * self.lr + (1 - share) * self.final_lr  # so written, both ends are met exactly


@dataclass(frozen=True)
class Step(Schedule):
    """The rate times `factor` after every `every` steps: proper(k) = lr * factor^floor(k / every).

    every: >= 1, in optimizer steps. factor: in (0, 1]. Raises ValueError for a setting out of range.
    """

    every: int
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("every", self.every, self.every >= 1, "a number of steps >= 1")
        _check("factor", self.factor, 0 < self.factor <= 1, "a number in (0, 1]")

    def proper(self, k: int) -> float:
        """Return the rate k steps after the warm-up."""
        return self.lr * self.factor ** (k // self.every)


def _check(name: str, value: float, right: bool, wanted: str) -> None:
    if not right:
        raise ValueError(f"{name}: expected {wanted}, found {value!r}")
