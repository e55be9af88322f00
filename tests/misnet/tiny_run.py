"""A training run of seconds: a fixed data set of random samples in shuffled batches, and a run over it."""

import csv

import numpy as np

from misnet import MISNet
from misnet.training.run import Run
from snncore.optim import OPTIMIZERS
from snncore.rng import named_rng
from snncore.schedules import Cosine
from tests.misnet.tiny import make_batch, tiny_config

TIMES = ("samples_per_second", "peak_memory_mib")  # the figures of an epoch that differ from run to run


class Batches:
    """Batches of `samples` random samples, in an order that depends on the epoch if `shuffle`."""

    def __init__(self, config, samples, size, shuffle, seed=5):
        self.arrays, self.size, self.shuffle = make_batch(config, samples, seed=seed), size, shuffle

    def __len__(self):
        return -(-len(self.arrays[2]) // self.size)

    def epoch(self, number, start_batch=0):
        n = len(self.arrays[2])
        order = named_rng(0, "shuffle", number).permutation(n) if self.shuffle else np.arange(n)
        x_a, x_v, labels = self.arrays
        for k in range(start_batch, len(self)):
            i = order[k * self.size : (k + 1) * self.size]
            yield x_a[:, i], x_v[:, i], labels[i]


class StopAfter:
    """Asks for a stop after `batches` batches, of training or of evaluation."""

    def __init__(self, batches):
        self.left = batches

    def __call__(self):
        self.left -= 1
        return self.left == 0


def make_run(folder, config=None, optimizer="adam", epochs=2, lr=1e-2, **options):
    """A run of 3 training and 2 test batches an epoch, on fresh weights."""
    config = config or tiny_config(timesteps=2)
    folder.mkdir(parents=True, exist_ok=True)
    train = Batches(config, 10, 4, shuffle=True)
    model = MISNet(config)
    settings = {"momentum": 0.9} if optimizer == "sgd" else {}
    return Run(
        folder=folder,
        model=model,
        optimizer=OPTIMIZERS[optimizer](model.named_parameters(), lr, **settings),
        schedule=Cosine(lr, epochs * len(train)),
        train=train,
        test=Batches(config, 7, 4, shuffle=False, seed=6),
        epochs=epochs,
        log=options.pop("log", lambda line: None),
        **options,
    )


def without_times(rows):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def read_metrics(folder):
    """The rows of metrics.csv, as text."""
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))
