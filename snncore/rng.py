"""Named random generators made from one seed, so that a run repeats bit for bit."""

import zlib

import numpy as np

__all__ = ["named_rng"]


def named_rng(seed: int, *names: object) -> np.random.Generator:
    """Return the generator that belongs to `names` under `seed`, independent of every other name.

    The same arguments always give the same stream, in any order of calls and in any process: nothing is
    shared and nothing has to be saved in a checkpoint.

        named_rng(0, "shuffle", epoch).permutation(n)

    seed: a non-negative integer. names: anything whose `str()` identifies the use.
    Raises ValueError if `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed: expected a non-negative integer, found {seed}")
    key = tuple(zlib.crc32(str(name).encode("utf-8", "surrogateescape")) for name in names)
    return np.random.default_rng(np.random.SeedSequence(entropy=int(seed), spawn_key=key))
