"""Our network, for a worker: training steps (SGD with momentum) and inference on one batch, and its densities."""

from typing import Any

import numpy as np

import snncore.kernels.cpu  # noqa: F401  so that the memory of its imports counts as that of imports
from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.training.step import Totals, predict, train_step
from snncore import Tensor, no_grad, observe
from snncore import functions as F
from snncore.context import current_path
from snncore.nn import BatchNorm
from snncore.optim import SGD


class OurRun:
    """A MISNet with its optimizer and its batch."""

    def __init__(self, network: dict[str, Any], arrays: dict[str, np.ndarray], batch: tuple[np.ndarray, ...]) -> None:
        self.model = MISNet(MISNetConfig.from_dict(network))
        self.model.load_state_dict(arrays)
        self.batch = batch
        self.optimizer = SGD(self.model.named_parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
        self.steps = 0

    def train(self) -> float:
        self.steps += 1
        return train_step(self.model, self.optimizer, 1e-3, self.batch, Totals(), self.steps)

    def infer(self) -> np.ndarray:
        return predict(self.model, *self.batch[:2]).p.data


def recorded_calls(model: MISNet, batch: tuple[np.ndarray, ...]) -> list[tuple[str, Any, tuple]]:
    """Return (path of the layer, function, input arrays) of every operation of a training forward pass."""
    calls: list[tuple[str, Any, tuple]] = []

    def keep(function: Any, inputs: tuple, outputs: tuple) -> None:
        calls.append((current_path(), function, inputs))

    model.train()
    with no_grad(), observe(keep):
        model(Tensor(batch[0]), Tensor(batch[1]))
    return calls


def densities(calls: list[tuple[str, Any, tuple]]) -> dict[str, float]:
    """Sum of values over entries of the spikes that enter each convolution."""
    found = {}
    for path, function, inputs in calls:
        if isinstance(function, F.Conv2d) and inputs[0].dtype == np.uint8:
            found[path] = float(inputs[0].sum(dtype=np.int64) / inputs[0].size)
    return found


def shift_to_density(model: MISNet, batch: tuple[np.ndarray, ...], target: float) -> float:
    """Add one number to every bias of a BatchNorm so that the mean density at the convolutions is `target`; return it.

    For measuring a network that fires more or less than the one at hand. Found by bisection to 1e-3 of density. The
    running statistics become those of the batch, so that inference has the same spikes as training.
    """
    from misnet.audit.report import calibrate  # here, as the memory of a worker's imports is measured

    biases = [module.bias.data for module in model.modules() if isinstance(module, BatchNorm)]
    before = [bias.copy() for bias in biases]
    low, high = -4.0, 4.0
    for _ in range(14):
        shift = (low + high) / 2
        for bias, start in zip(biases, before, strict=True):
            bias[...] = start + shift
        found = float(np.mean(list(densities(recorded_calls(model, batch)).values())))
        if abs(found - target) < 1e-3:
            break
        low, high = (shift, high) if found < target else (low, shift)
    calibrate(model, *batch[:2])
    return shift
