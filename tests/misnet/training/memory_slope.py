"""Memory over many steps: `python -m tests.misnet.training.memory_slope --steps 2000` prints its slope.

Training steps of a tiny network on always other samples, with an evaluation and a checkpoint every hundred steps. The
blocks that Python has given out (each array is one at least, and so is each node of a tape) and the resident memory of
the process are read every ten steps; the slope is that of a line through them, the first half left out, in which the
interpreter still warms up.
"""

import argparse
import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from misnet import MISNet
from misnet.training.state import State, save_newest
from misnet.training.step import Totals, evaluate, train_step
from snncore.optim import Adam
from tests.misnet.tiny import make_batch, tiny_config

EVERY = 10
WARM = 100  # steps before the first reading, with an evaluation and a checkpoint, which fill what is kept once
LARGEST = 0.1
"""Blocks a step that are no leak: one array that is kept at every tenth step."""


def resident():
    """Bytes of this process in memory, NaN where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return float("nan")


def training(folder):
    """Return step(k), which trains on samples of its own, evaluates and saves now and then."""
    config = tiny_config(timesteps=1, channels=(2,), cells=(1,), size=4)
    model = MISNet(config)
    optimizer, totals = Adam(model.named_parameters(), 1e-3), Totals()

    def step(k):
        batch = make_batch(config, n=2, seed=k)
        train_step(model, optimizer, 1e-3, batch, totals, k)
        if k % 100 == 99:
            evaluate(model, [batch])
            save_newest(folder, {**model.state_dict(), **optimizer.state_dict()}, State(batch=k, totals=totals))

    return step


def slopes(step, steps):
    """Return how much more there is after each step: blocks of Python, and bytes of the process."""
    for k in range(WARM):
        step(k)
    held, taken = np.zeros((2, steps // EVERY))  # not lists, whose numbers would be what grows
    gc.collect()
    gc.freeze()  # collecting among all that a suite of tests has loaded takes a second each time
    try:
        for k in range(WARM, WARM + steps):
            step(k)
            at, rest = divmod(k - WARM + 1, EVERY)
            if rest == 0:
                gc.collect()  # what refers to itself is no leak
                held[at - 1], taken[at - 1] = sys.getallocatedblocks(), resident()
    finally:
        gc.unfreeze()
    first = len(held) // 2
    x = EVERY * np.arange(first, len(held))
    return tuple(float(np.polyfit(x, y[first:], 1)[0]) for y in (held, taken))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        held, taken = slopes(training(Path(folder)), given.steps)
    print(f"{given.steps} steps: {held:.3f} blocks a step held by Python, {taken:.0f} bytes by the process")
    return int(held > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
