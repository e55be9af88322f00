"""Convolution layers and spikes for property tests: any size, stride, padding, channels, density and threads."""

import numba
import numpy as np
from hypothesis import strategies as st

THREADS = st.integers(1, min(2, numba.config.NUMBA_NUM_THREADS))


def on_threads(count, function, *arguments):
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        return function(*arguments)
    finally:
        numba.set_num_threads(before)


@st.composite
def layers(draw, strides=(1, 2, 3)):
    """Return (x uint8 [M, H, W, Ci], w [kh, kw, Ci, Co], stride, padding) of a layer whose window fits."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    if draw(st.booleans()):  # the layer of the paper, for which there are kernels of its own
        kernel, padding = (3, 3), (1, 1)
    stride = draw(st.tuples(st.sampled_from(strides), st.sampled_from(strides)))
    size = [draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True)]
    images = draw(st.integers(1, 3))
    channels_in = draw(st.sampled_from([1, 3, 8, 16, 63, 64, 65, 130]))
    channels_out = draw(st.sampled_from([1, 5, 16, 33, 64, 96]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = draw_spikes(rng, (images, *size, channels_in), draw(st.sampled_from([0.0, 0.05, 0.3, 1.0])))
    w = rng.standard_normal((*kernel, channels_in, channels_out)).astype(np.float32)
    return x, w, stride, padding


def draw_spikes(rng, shape, density, largest=2):
    """Return uint8 spikes: 0 where they are silent, else 1 to `largest`; all ones for density 1."""
    if density == 1.0:
        return np.ones(shape, np.uint8)
    return ((rng.random(shape) < density) * rng.integers(1, largest + 1, shape)).astype(np.uint8)
