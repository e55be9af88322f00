"""Random generators made from one seed, by name, by process or by training step, so that a run repeats bit for bit."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from snncore.capture import refuse_while_capturing
from snncore.context import changed, context, current_path
from snncore.given import is_integer

__all__ = ["batch_random", "manual_seed", "named_rng", "step_key", "training_step", "weight_rng"]


def named_rng(seed: int, *names: object) -> np.random.Generator:
    """Return the generator that belongs to `names` under `seed`, independent of every other name.

    The same arguments always give the same stream, in any order of calls and in any process: nothing is
    shared and nothing has to be saved in a checkpoint.

        named_rng(0, "shuffle", epoch).permutation(n)

    seed: a non-negative integer. names: anything whose `str()` identifies the use.
    Raises ValueError if `seed` is negative.
    """
    if not is_integer(seed) or seed < 0:
        raise ValueError(f"seed: expected a non-negative integer, found {seed!r}")
    key = tuple(zlib.crc32(str(name).encode("utf-8", "surrogateescape")) for name in names)
    return np.random.default_rng(np.random.SeedSequence(entropy=int(seed), spawn_key=key))


def manual_seed(seed: int) -> None:
    """Start the random stream of this process anew, from which layers made without `rng` draw their weights.

    Each layer draws what comes next, so that no two are equal; the same layers made in the same order after the same
    seed are. A process that never calls this starts with seed 0. Raises ValueError if `seed` is negative.
    """
    context.process.weights = named_rng(seed, "weights")


def weight_rng(rng: np.random.Generator | None = None) -> np.random.Generator:
    """Return `rng`, or the stream of this process if there is none."""
    if rng is not None:
        if not hasattr(rng, "standard_normal"):
            raise TypeError(f"rng: expected a generator, such as np.random.default_rng(0), found {rng!r}")
        return rng
    if context.process.weights is None:
        context.process.weights = named_rng(0, "weights")
    return context.process.weights


@contextmanager
def training_step(seed: int, step: int) -> Iterator[None]:
    """Say which step of which run the block is, so that what a layer draws in it (dropout) is drawn again on resuming.

        with training_step(seed, step):
            loss = criterion(model(x), labels)

    What is drawn depends on the seed, the step and the path of the module alone. Raises ValueError if one is negative.
    """
    if not is_integer(seed) or not is_integer(step) or seed < 0 or step < 0:
        raise ValueError(f"training_step: expected a seed and a step of at least 0, found {seed!r} and {step!r}")
    with changed("seed", int(seed)), changed("train_step", int(step)), changed("draws", {}):
        yield


def step_key(*names: object, shared_over_time: bool = False) -> tuple[Any, ...]:
    """Return what `named_rng(*key)` makes the generator from that the running module is to draw with now.

    Inside `training_step` it is made of its seed and step, the path of the module, how often the module has drawn in
    this step, and `names`. In a network that loops over time (`at_timestep`), `shared_over_time` gives every timestep
    the same numbers. Outside `training_step` each key is drawn from the stream of the process (`manual_seed`).
    """
    refuse_while_capturing("random numbers are drawn on the host in each step")
    if context.seed is None:
        return (int(weight_rng().integers(2**63)), *names)
    path, t = current_path(), context.timestep
    before = context.draws.get((path, t, names), 0)
    context.draws[path, t, names] = before + 1
    return (context.seed, "step", context.train_step, path, before, None if shared_over_time else t, *names)


def batch_random(key: tuple[Any, ...], shape: tuple[int, ...], axis: int, dtype: Any = np.float64) -> np.ndarray:
    """Return numbers in [0, 1) of this shape from `named_rng(*key)`; axis: of the samples.

    Where a batch is spread over ranks, these are the numbers of the samples here: all ranks together draw what one rank
    draws that has the whole batch.
    """
    share, rng = context.share, named_rng(*key)
    if share is None or axis >= len(shape) or shape[axis] != share.here:
        return rng.random(shape, dtype)
    whole = rng.random((*shape[:axis], share.total, *shape[axis + 1 :]), dtype)
    return whole[(slice(None),) * axis + (slice(share.start, share.stop),)]
