"""Optimizers that change parameters in place: SGD, Adam, AdamW."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from snncore import backend
from snncore.backend import Array
from snncore.clipping import clip_grad_norm, clip_grad_value
from snncore.flat import FlatParameters
from snncore.opcount import Call, Ops
from snncore.optimizer import Optimizer, Parameters, setting

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "add_step", "clip_grad_norm", "clip_grad_value"]


class SGD(Optimizer):
    """Gradient descent with momentum, w the parameter and g its gradient.

        g   = g + weight_decay * w
        buf = momentum * buf + g            buf = 0 at the start
        w   = w - lr * buf                  nesterov: w - lr * (g + momentum * buf)

    momentum: in [0, 1). weight_decay: >= 0. Average kept if momentum > 0: `momentum/<name>`, as w.
    Raises ValueError as Optimizer does, and for nesterov without momentum.
    Source: torch.optim.SGD with dampening 0; Sutskever et al., ICML 2013.
    """

    flattens, factors_of_a_part = True, 1

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = setting("momentum", momentum, below=1.0)
        self.weight_decay = setting("weight_decay", weight_decay)
        self.nesterov = nesterov
        if nesterov and self.momentum == 0:
            raise ValueError("nesterov: expected momentum > 0 with it, found momentum=0.0")
        if self.momentum:
            self._allocate("momentum")

    def _update(self, name: str, w: Array, g: Array) -> None:
        averages = {"momentum": self._averages[f"momentum/{name}"]} if self.momentum else {}
        self._update_block(w, g, averages, 0)

    def _update_block(self, w: Array, g: Array, averages: Mapping[str, Array], updates: int) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * w
        if self.momentum:
            buf = averages["momentum"]
            buf *= self.momentum
            buf += g
            g = g + self.momentum * buf if self.nesterov else buf
        w -= self.lr * g

    def _entry_cost(self) -> dict[str, int]:
        steps = 1 + bool(self.weight_decay) + bool(self.momentum) + self.nesterov  # each a product and a sum
        return {"mul": steps, "add": steps}

    def baked(self) -> tuple[object, ...]:
        return self.momentum, self.weight_decay, self.nesterov

    def _factors(self, updates: int) -> tuple[float, ...]:
        return (self.lr,)

    def _run_compiled(self, flat: FlatParameters, span: slice, updates: int) -> bool:
        from snncore.kernels.cpu.optim import sgd_step

        average = self._buffers["momentum"][span] if self.momentum else None
        settings = (self.momentum, self.weight_decay, self.nesterov)
        sgd_step(flat.w[span], flat.g[span], average, self._factors(updates), *settings)
        return True

    def _launch(self, flat: FlatParameters, span: slice, finite: Array, factors: Any) -> None:
        from snncore.kernels.cuda.optim import sgd_step

        average = self._buffers["momentum"][span] if self.momentum else None
        settings = (self.momentum, self.weight_decay, self.nesterov)
        sgd_step(flat.w[span], flat.g[span], average, finite, factors, *settings)


class Adam(Optimizer):
    """Steps scaled by running averages of the gradient g and of its square, k counting the updates of w from 1.

        g = g + weight_decay * w
        m = beta1 * m + (1 - beta1) * g                  m = 0 at the start
        v = beta2 * v + (1 - beta2) * g * g              v = 0 at the start
        w = w - lr * (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + eps)

    betas: both in [0, 1). eps: > 0. weight_decay: >= 0. Averages kept: m as `exp_avg/<name>` and v as
    `exp_avg_sq/<name>`, both as w; k as `updates/<name>`, int64 of shape (), for a parameter may sit out some steps.
    Raises ValueError as Optimizer does.
    Source: torch.optim.Adam; Kingma and Ba, ICLR 2015, Algorithm 1.
    """

    flattens, factors_of_a_part = True, 3

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ValueError(f"betas: expected two numbers, found {betas!r}")
        self.betas = setting("betas[0]", betas[0], below=1.0), setting("betas[1]", betas[1], below=1.0)
        self.eps = setting("eps", eps)
        if self.eps == 0:
            raise ValueError("eps: expected a number > 0, found 0.0")  # 0 / 0 where no gradient has come yet
        self.weight_decay = setting("weight_decay", weight_decay)
        self._allocate("exp_avg")
        self._allocate("exp_avg_sq")
        # On the host also for a GPU: reading the count must not wait for the device.
        self._updates = np.zeros(len(self.parameters), np.int64)
        self._averages |= {f"updates/{name}": self._updates[k, ...] for k, name in enumerate(self.parameters)}

    def _update(self, name: str, w: Array, g: Array) -> None:
        averages = {kind: self._averages[f"{kind}/{name}"] for kind in ("exp_avg", "exp_avg_sq")}
        self._update_block(w, g, averages, int(self._averages[f"updates/{name}"]))

    def _update_block(self, w: Array, g: Array, averages: Mapping[str, Array], updates: int) -> None:
        beta1, beta2 = self.betas
        shrink, decay = self._decay()
        m, v = averages["exp_avg"], averages["exp_avg_sq"]
        if shrink != 1:
            w *= shrink
        if decay:
            g = g + decay * w
        if 1 - beta1 < 0.5:
            m += (1 - beta1) * (g - m)
        else:  # m + (g - m) is not g where m is much larger: begin from the end that is nearer
            m[...] = g - beta1 * (g - m)
        v *= beta2
        v += (1 - beta2) * g * g
        denominator = backend.array_module(w).sqrt(v)
        denominator /= math.sqrt(1 - beta2**updates)
        denominator += self.eps
        w -= self.lr / (1 - beta1**updates) * m / denominator

    def _entry_cost(self) -> dict[str, int]:
        """m: a product, two sums; v: three products, a sum; then root, / sqrt(1 - beta2^k), + eps; lr m / that, w -."""
        shrink, decay = self._decay()
        coupled = int(decay != 0)  # g + decay * w
        return {"mul": 7 + coupled + int(shrink != 1), "add": 5 + coupled, "special": 1}

    def _count(self, names: Collection[str], by: int = 1) -> dict[str, int]:
        if len(names) == len(self.parameters):  # as ever: one by one would take a GPU's host 0.3 ms a step
            self._updates += by
            return dict(zip(self.parameters, self._updates.tolist(), strict=True))
        counts = {name: self._averages[f"updates/{name}"] for name in names}
        for count in counts.values():
            count += by
        return {name: int(count) for name, count in counts.items()}

    def baked(self) -> tuple[object, ...]:
        return self.betas, self.eps, self._decay()[1]

    def _factors(self, updates: int) -> tuple[float, ...]:
        beta1, beta2 = self.betas
        return self._decay()[0], self.lr / (1 - beta1**updates), math.sqrt(1 - beta2**updates)

    def _run_compiled(self, flat: FlatParameters, span: slice, updates: int) -> bool:
        from snncore.kernels.cpu.optim import adam_step

        m, v = (self._buffers[kind][span] for kind in ("exp_avg", "exp_avg_sq"))
        factors = self._factors(updates)
        adam_step(flat.w[span], flat.g[span], m, v, factors, self.betas, self.eps, self._decay()[1])
        return True

    def _launch(self, flat: FlatParameters, span: slice, finite: Array, factors: Any) -> None:
        from snncore.kernels.cuda.optim import adam_step

        m, v = (self._buffers[kind][span] for kind in ("exp_avg", "exp_avg_sq"))
        adam_step(flat.w[span], flat.g[span], m, v, finite, factors, self.betas, self.eps, self._decay()[1])

    def _decay(self) -> tuple[float, float]:
        """Return what w is multiplied with first, and the weight decay that enters the gradient."""
        return 1.0, self.weight_decay


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter directly and does not enter the averages.

        w = (1 - lr * weight_decay) * w, then Adam's update with the bare gradient

    Settings, averages and errors as Adam; weight_decay is 0.01 unless given.
    Source: torch.optim.AdamW; Loshchilov and Hutter, ICLR 2019, Algorithm 2 with its schedule multiplier in lr.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _decay(self) -> tuple[float, float]:
        return 1 - self.lr * self.weight_decay, 0.0


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
"""Optimizers by the name that configurations use."""


def add_step(ops: Ops, optimizer: Optimizer) -> None:
    """Add to what was counted one step of the optimizer, for the gradients that there are, as a layer `optimizer`."""
    ops.calls.append(Call("optimizer", type(optimizer).__name__, optimizer.cost(), None, max(0, ops.batches - 1)))
