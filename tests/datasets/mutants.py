"""Damaged copies of a file, for readers that must refuse them or read them rightly."""

import os

MUTANTS = int(os.environ.get("SNNCORE_TEST_MUTANTS", "150"))  # of each file; more on request


def mutant(data, rng):
    """One to eight bytes changed, or a stretch cut out, doubled or cut off at the end."""
    data = bytearray(data)
    kind = rng.integers(4)
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, 64))
    if kind == 0:
        for place in rng.integers(len(data), size=rng.integers(1, 9)):
            data[place] = rng.integers(256)
    elif kind == 1:
        del data[start : start + length]
    elif kind == 2:
        data[start:start] = data[start : start + length]
    else:
        del data[start:]
    return bytes(data)
