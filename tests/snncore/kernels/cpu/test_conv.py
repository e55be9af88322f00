"""The choice of a convolution kernel by density and by SNNCORE_KERNELS."""

import numpy as np
import pytest

from snncore.kernels import reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cpu import conv, conv_dense, conv_event, conv_event_weight, conv_weight, winograd
from tests.snncore.kernels.agreement import assert_agrees
from tests.snncore.kernels.cpu.layers import draw_spikes

ONE = (1, 1)


@pytest.fixture
def called(monkeypatch):
    """Names of the kernels that ran, in order."""
    names = []

    def watch(module, name, label):
        kernel = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **kw: names.append(label) or kernel(*args, **kw))

    watch(conv_event, "conv_forward", "event")
    watch(conv_event_weight, "conv_backward_weight", "event")
    watch(winograd, "conv3x3", "winograd")
    watch(conv_dense, "conv_forward", "dense")
    watch(conv_dense, "scatter_columns", "scatter")
    watch(conv_weight, "conv_backward_weight", "windows")
    watch(reference, "conv_forward", "reference")
    watch(reference, "conv_backward_weight", "reference")
    watch(reference, "conv_backward_input", "reference")
    return names


def weights(rng, kernel=3, channels=16):
    return rng.standard_normal((kernel, kernel, channels, 16)).astype(np.float32)


@pytest.mark.parametrize(
    ("choice", "density", "kernel"),
    [
        ("auto", 0.1, "event"),
        ("auto", 1.0, "winograd"),
        ("event", 1.0, "event"),
        ("dense", 0.1, "winograd"),
    ],
)
def test_forward_follows_the_density_unless_forced(rng, called, choice, density, kernel):
    x, w = draw_spikes(rng, (2, 6, 6, 16), density), weights(rng)
    with use_kernels(choice):
        y = conv.conv_forward(x, w, ONE, ONE)
    assert called == [kernel]
    assert_agrees(y, reference.conv_forward(x, w.astype(np.float64), ONE, ONE), 2e-6)


@pytest.mark.parametrize(
    ("make", "stride", "kernels"),
    [
        (lambda rng: draw_spikes(rng, (2, 6, 6, 16), 0.1), (2, 2), ["event", "windows", "scatter"]),
        (lambda rng: rng.standard_normal((2, 6, 6, 16), np.float32), ONE, ["winograd", "windows", "winograd"]),
        (lambda rng: rng.standard_normal((2, 6, 6, 3), np.float32), ONE, ["dense", "windows", "winograd"]),
        (
            lambda rng: draw_spikes(rng, (2, 6, 6, 16), 0.1).astype(np.int64),
            ONE,
            ["reference", "reference", "winograd"],
        ),
        (lambda rng: np.full((2, 6, 6, 16), 200, np.uint8), ONE, ["winograd", "windows", "winograd"]),
    ],
    ids=["stride", "analog", "few channels", "other integers", "no train of spikes"],
)
def test_what_the_layer_and_input_allow(rng, called, make, stride, kernels):
    x = make(rng)
    w = weights(rng, channels=x.shape[-1])
    exact = reference.conv_forward(x, w.astype(np.float64), stride, ONE)
    gy = rng.standard_normal(exact.shape).astype(np.float32)
    wide = (gy.astype(np.float64), w.astype(np.float64))
    exact_gw = reference.conv_backward_weight(x, wide[0], (3, 3), stride, ONE)
    exact_gx = reference.conv_backward_input(*wide, x.shape, stride, ONE)
    called.clear()
    assert_agrees(conv.conv_forward(x, w, stride, ONE), exact, 2e-6)
    assert_agrees(conv.conv_backward_weight(x, gy, (3, 3), stride, ONE), exact_gw, 3e-6)
    assert_agrees(conv.conv_backward_input(gy, w, x.shape, stride, ONE), exact_gx, 3e-5)
    assert called == kernels


def test_other_types_are_the_reference_to_the_bit(rng):
    x, w = draw_spikes(rng, (2, 5, 5, 16), 0.3), rng.standard_normal((3, 3, 16, 8))
    y = conv.conv_forward(x, w, ONE, ONE)
    gy = rng.standard_normal(y.shape)
    np.testing.assert_array_equal(y, reference.conv_forward(x, w, ONE, ONE))
    found = conv.conv_backward_weight(x, gy, (3, 3), ONE, ONE)
    np.testing.assert_array_equal(found, reference.conv_backward_weight(x, gy, (3, 3), ONE, ONE))
    found = conv.conv_backward_input(gy, w, x.shape, ONE, ONE)
    np.testing.assert_array_equal(found, reference.conv_backward_input(gy, w, x.shape, ONE, ONE))


def test_no_images_make_no_output():
    y = conv.conv_forward(np.zeros((0, 6, 6, 16), np.uint8), np.ones((3, 3, 16, 4), np.float32), ONE, ONE)
    assert y.shape == (0, 6, 6, 4)


@pytest.mark.parametrize("padding", [(0, 0), (0, 1), (2, 0), (1, 2), (2, 1)])
@pytest.mark.parametrize("channels", [3, 16, 40])
def test_each_axis_has_its_own_padding(rng, called, padding, channels):
    x = rng.standard_normal((2, 5, 8, 16), np.float32)
    w = rng.standard_normal((3, 3, 16, channels), np.float32)
    wide = w.astype(np.float64)
    exact = reference.conv_forward(x, wide, ONE, padding)
    gy = rng.standard_normal(exact.shape).astype(np.float32)
    exact_gx = reference.conv_backward_input(gy.astype(np.float64), wide, x.shape, ONE, padding)
    called.clear()
    assert_agrees(conv.conv_forward(x, w, ONE, padding), exact, 2e-6)
    assert_agrees(conv.conv_backward_input(gy, w, x.shape, ONE, padding), exact_gx, 3e-5)
    assert called == ["winograd", "winograd" if channels >= 16 else "dense"]
