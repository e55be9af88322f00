"""The same bits with one thread and with two."""

import numba
import numpy as np
import pytest

from snncore.firing import Firing
from snncore.kernels import cpu
from snncore.kernels.choice import use_kernels
from tests.snncore.kernels.cpu.layers import draw_spikes
from tests.snncore.kernels.cpu.test_batch_norm_lif import problem as norm_problem
from tests.snncore.kernels.cpu.test_lif import problem as lif_problem
from tests.snncore.kernels.cpu.test_mlif import problem as mlif_problem
from tests.snncore.kernels.norms import lif_gradients

ONE = (1, 1)


def conv(rng):
    x, w = draw_spikes(rng, (5, 8, 9, 64), 0.2), rng.standard_normal((3, 3, 64, 64)).astype(np.float32)
    gy = rng.standard_normal((5, 8, 9, 64)).astype(np.float32)
    yield cpu.conv_forward(x, w, ONE, ONE)
    yield cpu.conv_forward(x.astype(np.float32), w, ONE, ONE)
    yield cpu.conv_backward_weight(x, gy, (3, 3), ONE, ONE)
    yield cpu.conv_backward_input(gy, w, x.shape, ONE, ONE)
    yield cpu.conv_backward_weight(rng.standard_normal((5, 8, 9, 3), np.float32), gy, (3, 3), ONE, ONE)
    yield cpu.conv_backward_input(gy, w, (5, 16, 18, 64), (2, 2), ONE)


def small_images(rng):
    """Few pixels and many channels: the work is cut by blocks of output channels, too."""
    x, w = draw_spikes(rng, (9, 2, 2, 64), 0.2), rng.standard_normal((3, 3, 64, 200)).astype(np.float32)
    with use_kernels("event"):
        yield cpu.conv_forward(x, w, ONE, ONE)
        yield cpu.exact_conv_forward(x, w, ONE, ONE)


def norm(rng):
    x, constants, gs = norm_problem((4, 2000, 64))
    yield from cpu.batch_norm_statistics(x)
    yield cpu.batch_norm_gradient_sums(gs, x, *constants[:2])
    neuron = (*constants, Firing())
    yield from lif_gradients(cpu, gs, x, cpu.batch_norm_lif_forward(x, *neuron), *neuron, True)


def mlif(rng):
    o, w, alpha, gs, _ = mlif_problem((4, 3, 8, 8, 64), "pixel")
    neuron = (w, alpha, None, Firing(0.5, 0.8))
    yield from cpu.mlif_backward(gs, None, o, cpu.mlif_forward(o, *neuron)[0], *neuron)[:3]


def lif(rng):
    c, gs, v0, gv = lif_problem((4, 9000))
    s, v = cpu.lif_forward(c, v0, Firing())
    yield from (s, v, *cpu.lif_backward(gs, gv, c, s, v0, Firing()))


def grouped(rng):
    x, gy = draw_spikes(rng, (5, 8, 9, 24), 0.2), rng.standard_normal((5, 8, 9, 24), np.float32)
    w = rng.standard_normal((3, 3, 1, 24), np.float32)
    yield cpu.grouped_conv_forward(x, w, ONE, ONE, ONE)
    yield cpu.grouped_conv_backward_weight(x, gy, (3, 3), 24, ONE, ONE, ONE)
    yield cpu.grouped_conv_backward_input(gy, w, x.shape, ONE, ONE, ONE)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize("kernels", [conv, small_images, norm, mlif, lif, grouped])
def test_results_do_not_depend_on_the_number_of_threads(kernels):
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            results.append(list(kernels(np.random.default_rng(1))))
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
