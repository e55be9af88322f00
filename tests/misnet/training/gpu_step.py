"""Training steps of one network on the CPU and on the double of a GPU."""

import os
from unittest import mock

import numpy as np

from misnet import MISNet
from misnet.training.step import Totals, train_step
from snncore import to_device
from snncore.optim import OPTIMIZERS
from tests.misnet.tiny import make_batch
from tests.support.double import ledger


def on_device(batch, device):
    """The arrays of a batch there."""
    return tuple(to_device(x, device) for x in batch)


def exact(device):
    """Make the CPU run the reference inside the block, which faster kernels there round differently than."""
    return mock.patch.dict(os.environ, {"SNNCORE_KERNELS": "reference"} if device == "cpu" else {})


def train(config, device, optimizer="adam", steps=3, n=3, lr=1e-2):
    """(losses, totals, weights, events of each step) of a few steps on batches that differ."""
    with exact(device):
        return _train(config, device, optimizer, steps, n, lr)


def _train(config, device, optimizer, steps, n, lr):
    model = MISNet(config, seed=1).to(device)
    chosen = OPTIMIZERS[optimizer](model.named_parameters(), lr)
    totals, losses, counted = Totals(), [], []
    for step in range(steps):
        batch = on_device(make_batch(config, n, seed=step), device)
        before = ledger.events.copy()
        losses.append(train_step(model, chosen, lr, batch, totals, step))
        counted.append(ledger.events - before)
    weights = {name: np.asarray(to_device(x, "cpu")) for name, x in model.state_dict().items()}
    return losses, totals, weights, counted
