"""Convolution: by columns and a matrix product, and from lists of events."""

import numpy as np
import pytest

from snncore.kernels import cuda, reference
from snncore.kernels.cuda import columns
from snncore.kernels.cuda.events import compact_events
from tests.snncore.kernels.cuda.pairs import SIZES, assert_close, both, floats, up

LAYERS = [  # kernel, stride, padding
    ((3, 3), (1, 1), (1, 1)),
    ((3, 3), (2, 2), (1, 1)),
    ((1, 1), (1, 1), (0, 0)),
    ((2, 3), (2, 1), (0, 2)),
    ((1, 1), (2, 2), (0, 0)),
]
RUNS = [("dense", "spikes"), ("auto", "floats"), ("event", "spikes")]


@pytest.fixture(autouse=True)
def without_tensor_cores(monkeypatch):
    monkeypatch.setenv(
        "SNNCORE_TENSOR_CORES", "off"
    )  # with them: test_exact.py, test_exact_gradient.py, test_halves.py


def case(rng, kind, ci, co, layer):
    """x [2, 6, 5, Ci] with images that fire and one that does not, w, gy."""
    kernel, stride, padding = layer
    x = floats(rng, 2, 6, 5, ci) if kind == "floats" else rng.choice([0, 0, 0, 1, 2], (2, 6, 5, ci)).astype(np.uint8)
    x[1, 3] = 0
    w = floats(rng, *kernel, ci, co)
    return x, w, floats(rng, *reference.conv_forward(x, w, stride, padding).shape)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize(("choice", "kind"), RUNS)
@pytest.mark.parametrize("channels", [(3, 5), (33, 31), (8, 12)])
def test_forward_and_weight_gradient(gpu, rng, monkeypatch, choice, kind, channels, layer):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    x, w, gy = case(rng, kind, *channels, layer)
    kernel, stride, padding = layer
    assert_close(*both(gpu, "conv_forward", x, w, stride, padding), 1e-6, ("y",))
    expected, got = both(gpu, "conv_backward_weight", x, gy, kernel, stride, padding)
    assert_close(expected, got, 1e-6, ("gw",))
    home = gpu.full((2, *w.shape), np.nan, np.float32)[1]
    assert cuda.conv_backward_weight(up(gpu, x), up(gpu, gy), kernel, stride, padding, out=home) is home
    assert_close(got, (home.get(),), 1e-6, ("gw",))  # cuBLAS may choose by where an array lies


@pytest.mark.parametrize("channels", SIZES)
@pytest.mark.parametrize("choice", ["dense", "event"])
def test_odd_numbers_of_channels(gpu, rng, monkeypatch, choice, channels):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    for ci, co in ((channels, 2), (2, channels)):
        layer = ((2, 2), (1, 1), (1, 0))
        x, w, gy = case(rng, "spikes", ci, co, layer)
        assert_close(*both(gpu, "conv_forward", x, w, *layer[1:]), 1e-6, ("y",))
        assert_close(*both(gpu, "conv_backward_weight", x, gy, *layer), 1e-6, ("gw",))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("channels", [(3, 5), (33, 31), (12, 8)])
def test_input_gradient(gpu, rng, monkeypatch, channels, layer):
    x, w, gy = case(rng, "spikes", *channels, layer)
    assert_close(*both(gpu, "conv_backward_input", gy, w, x.shape, *layer[1:]), 1e-6, ("gx",))


@pytest.mark.parametrize("layer", LAYERS[:2], ids=str)
@pytest.mark.parametrize(("ci", "co"), [(3, 4), (4, 3)])
def test_columns_in_several_blocks(gpu, rng, monkeypatch, ci, co, layer):
    monkeypatch.setenv("SNNCORE_KERNELS", "dense")
    monkeypatch.setattr(columns, "COLUMN_BYTES", 4 * 27 * 7)  # seven rows at a time, which end inside images
    x, w, gy = case(rng, "spikes", ci, co, layer)
    assert_close(*both(gpu, "conv_forward", x, w, *layer[1:]), 1e-6, ("y",))
    assert_close(*both(gpu, "conv_backward_weight", x, gy, *layer), 1e-6, ("gw",))
    assert_close(*both(gpu, "conv_backward_input", gy, w, x.shape, *layer[1:]), 1e-6, ("gx",))
    home = gpu.full(w.shape, np.nan, np.float32)
    assert cuda.conv_backward_weight(up(gpu, x), up(gpu, gy), *layer, out=home) is home
    assert_close((reference.conv_backward_weight(x, gy, *layer),), (home.get(),), 1e-6, ("gw",))


def test_blocks_of_columns_have_one_size():
    assert columns.balanced_block(131072, 576) == 65536  # 288 MiB: two halves, not 256 MiB and the rest
    assert columns.balanced_block(100, 576) == 100
    assert columns.balanced_block(3, 1 << 27) == 1  # a row that is larger than a block is one


@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("channels", [4, 64, 260])
@pytest.mark.parametrize("window", [(3, 3), (1, 1), (3, 2)])
def test_gathered_columns_are_the_windows_to_the_bit(gpu, rng, channels, window, spikes):
    """With weights that pick one entry of the window, the product is the gathered column itself."""
    x = rng.integers(0, 256, (2, 4, 3, channels)).astype(np.uint8) if spikes else floats(rng, 2, 4, 3, channels)
    picked = rng.integers(0, channels, 5)
    w = np.zeros((*window, channels, window[0] * window[1] * 5), np.float32)
    for k, tap in enumerate(np.ndindex(*window)):
        w[(*tap, picked, k * 5 + np.arange(5))] = 1
    (y,), (got,) = both(gpu, "conv_forward", x, w, (1, 1), (1, 0))
    np.testing.assert_array_equal(got, y)


def test_images_that_do_not_begin_at_a_multiple_of_four_channels(gpu, rng):
    layer = LAYERS[0]
    x, w, _ = case(rng, "spikes", 8, 4, layer)
    flat = up(gpu, np.concatenate([np.zeros(3, np.uint8), x.ravel()]))
    y = cuda.conv_forward(flat[3:].reshape(x.shape), up(gpu, w), *layer[1:])
    np.testing.assert_array_equal(y.get(), cuda.conv_forward(up(gpu, x), up(gpu, w), *layer[1:]).get())


@pytest.mark.parametrize("channels", SIZES)
def test_lists_hold_every_event_in_order(gpu, rng, channels):
    x = rng.choice([0, 0, 1, 2], (2, 3, 3, channels)).astype(np.uint8)
    events, count = compact_events(up(gpu, x))
    events, count = events.get(), count.get()
    for p, row in enumerate(x.reshape(-1, channels)):
        fired = np.flatnonzero(row)
        assert count[p] == len(fired)
        np.testing.assert_array_equal(events[p, : len(fired)] & 0xFFFF, fired)
        np.testing.assert_array_equal(events[p, : len(fired)] >> 16, row[fired])


def test_float64_is_left_to_the_reference(gpu, rng):
    x, w, _ = case(rng, "spikes", 3, 4, LAYERS[0])
    y = cuda.conv_forward(up(gpu, x), up(gpu, w.astype(np.float64)), (1, 1), (1, 1))
    np.testing.assert_allclose(y.get(), reference.conv_forward(x, w.astype(np.float64), (1, 1), (1, 1)), rtol=1e-12)
    home, gy = gpu.zeros(w.shape, np.float64), rng.standard_normal(y.shape)
    assert cuda.conv_backward_weight(up(gpu, x), up(gpu, gy), *LAYERS[0], out=home) is home
    np.testing.assert_allclose(home.get(), reference.conv_backward_weight(x, gy, *LAYERS[0]), rtol=1e-9)
