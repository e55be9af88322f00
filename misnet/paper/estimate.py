"""How long the cells of a table will take on this machine: one measured step of each model, scaled by operations.

    seconds = seconds of a training step / operations of its batch * operations of a sample * samples * epochs

A quarter is added for evaluation. The step is the quickest of three, or of one that takes more than a second, by the
clock or by the time of the processors, whichever is less, so that other programs that run meanwhile count little. It is
an estimate: small networks do fewer operations a second than large ones.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from misnet.audit.report import dense_operations
from misnet.models.config import ModelConfig
from misnet.models.registry import build
from misnet.training.step import Totals, train_step
from snncore.optim import OPTIMIZERS

__all__ = ["SAMPLES", "Cost", "cost_of", "seconds_an_operation"]

BATCH = 32  # as in training, but for large networks
EVALUATION = 1.25
LARGEST = 500_000_000  # operations of a sample that are measured rather than scaled to
OF_BATCH = 2_000_000_000  # operations of a batch above which a smaller one is measured
LONG = 1.0  # seconds of a step that need no second look

SAMPLES = {
    "dialpad": 1437,
    "mnist-fsdd": 60000,
    "cifar10-av": 50000,
    "urbansound8k-av": 7859,
    "crema-d": 6698,
    "ave": 3339,
    "mnist-dvs-ntidigits": 9000,
}
"""Training samples of each data set by its source; CREMA-D as the paper splits it."""


@dataclass(frozen=True)
class Cost:
    """Of one network: learnable parameters, and dense multiply-accumulates of a sample over all timesteps."""

    parameters: int
    operations: int


def cost_of(model: str, config: ModelConfig) -> Cost:
    """Return parameters and operations of a network, by building it and running it on no samples."""
    network = build(model, config)
    return Cost(network.count_parameters(), dense_operations(network)["dense_mac"])


def seconds_an_operation(model: str, configs: Sequence[tuple[ModelConfig, Cost]]) -> float:
    """Return the seconds of a training step a dense operation, measured on one of some networks of a model.

    It is the largest that a step of takes seconds at most, as small ones do fewer operations a second.
    """
    fitting = [pair for pair in configs if pair[1].operations <= LARGEST]
    config, cost = max(fitting or [min(configs, key=_operations)], key=_operations)
    network = build(model, config)
    optimizer = OPTIMIZERS["adam"](network.named_parameters(), 1e-3)
    rng, batch = np.random.default_rng(0), max(2, min(BATCH, OF_BATCH // max(1, cost.operations)))
    streams = [rng.standard_normal((s[0], batch, *s[1:])).astype(np.float32) for s in config.shapes().values()]
    labels = np.arange(batch) % config.classes
    spent = []
    for step in range(4):  # the first compiles and fills caches
        began = time.perf_counter(), time.process_time()
        train_step(network, optimizer, 1e-3, (*streams, labels), Totals(), step)
        spent.append(min(time.perf_counter() - began[0], time.process_time() - began[1]))
        if step > 0 and spent[-1] > LONG:
            break
    return min(spent[1:]) / (batch * cost.operations)


def _operations(pair: tuple[ModelConfig, Cost]) -> int:
    return pair[1].operations
