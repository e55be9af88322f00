"""The reference on NumPy and the same kernel in CUDA C, side by side."""

import numpy as np

from snncore.backend import asnumpy
from snncore.kernels import cuda, reference
from tests.support.double.ledger import events

SIZES = (1, 31, 33, 257)  # not multiples of a warp or a block


def up(cupy, x):
    """An array on the device; everything else as it is."""
    return cupy.asarray(x) if isinstance(x, np.ndarray) else x


def both(cupy, name, *args, module=cuda):
    """(results of the reference, results of the kernels on the device, as NumPy arrays); each a tuple.

    Fails if the kernels waited or copied, or if nothing was launched: the reference would then be compared to itself.
    """
    on_device = [up(cupy, a) for a in args]
    before = events.copy()
    got = getattr(module, name)(*on_device)
    done = events - before
    assert set(done) == {"launch"}, done
    expected = getattr(reference, name)(*args)
    expected, got = (r if isinstance(r, tuple) else (r,) for r in (expected, got))
    return expected, tuple(None if g is None else asnumpy(g) for g in got)


def assert_close(expected, got, rtol, names):
    """Each array to rtol of its largest entry, of the same type and shape.

    A result smaller than the first, a sum over its entries, may be off by rtol of what such a sum of terms of any sign
    grows to, for its terms may cancel: the largest entry of the first times the root of their number.
    """
    assert len(expected) == len(got) == len(names)
    for e, g, name in zip(expected, got, names, strict=True):
        if e is None:
            assert g is None, name
            continue
        assert (g.shape, g.dtype) == (e.shape, e.dtype), name
        terms = expected[0].size / e.size
        scale = max(np.abs(e).max(), np.abs(expected[0]).max() * terms**0.5 if terms > 1 else 0)
        np.testing.assert_allclose(g, e, rtol=0, atol=rtol * scale, err_msg=name)


def floats(rng, *shape, mean=0.3, std=1.0):
    """Normal float32."""
    return rng.normal(mean, std, shape).astype(np.float32)
