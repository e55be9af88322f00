"""SwinT blocks: which pixels attend to which, what is computed, parameters, and what cannot be built."""

import numpy as np
import pytest

from misnet import ConfigError, MISNet, MISNetConfig
from misnet.models.misnet.swin import SwinTBlock, WindowAttention, from_windows, rolled, to_windows
from snncore import Tensor, no_grad
from snncore.surrogate import relaxed
from tests.misnet.tiny import random_spikes, shaken, tiny_config

T, N, SIZE, C = 2, 2, 6, 4
SWIN = {"channels": (4, 6), "block": "swin", "window": 2, "swin_heads": 2, "v_threshold": 0.4}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def attention_of(rng, shift, **switches):
    """An attention in float64, in evaluation, whose running statistics let spikes through."""
    config = tiny_config(**(SWIN | {"window": 3, "size": 6} | switches))
    layer = shaken(WindowAttention(C, SIZE, shift, config, rng)).astype(np.float64)
    for name, p in layer.named_parameters():
        if name.endswith("conv.weight"):
            p.data *= 2
    return layer.eval()


def test_windows_hold_the_pixels_that_lie_together(rng):
    x = rng.integers(0, 9, (T, N, SIZE, SIZE, C))
    cut = to_windows(Tensor(x), 3, 2)
    assert cut.shape == (T, N, 2, 2, 2, 9, 2)
    np.testing.assert_array_equal(cut.data[1, 0, 1, 0, 1], x[1, 0, 3:6, 0:3, 2:4].reshape(9, 2))
    np.testing.assert_array_equal(from_windows(cut, 3).data, x)
    np.testing.assert_array_equal(rolled(Tensor(x), 2).data, np.roll(x, (-2, -2), (2, 3)))
    np.testing.assert_array_equal(rolled(rolled(Tensor(x), 2), -2).data, x)


def naive(q, k, v, window, shift, heads):
    """a of every pixel by a loop over all pairs: those in one shifted window that the edge does not part."""
    a, d = np.zeros(q.shape), q.shape[-1] // heads

    def home(i):
        return (i - shift) % SIZE // window, i < shift  # which window, and whether it came around the edge

    for i, j, m, n in np.ndindex(SIZE, SIZE, SIZE, SIZE):
        if (home(i), home(j)) == (home(m), home(n)):
            for h in range(heads):
                part = slice(h * d, (h + 1) * d)
                meet = (q[:, :, i, j, part] * k[:, :, m, n, part]).sum(-1, keepdims=True)
                a[:, :, i, j, part] += meet * v[:, :, m, n, part]
    return a


@pytest.mark.parametrize("shift", [0, 1])
def test_attention_is_what_a_loop_over_pixels_gives(rng, shift):
    layer = attention_of(rng, shift)
    s = Tensor(rng.integers(0, 3, (T, N, SIZE, SIZE, C), dtype=np.uint8))
    q, k, v = (part(s).data.astype(float) for part in (layer.q, layer.k, layer.v))  # pixel by pixel: order is free
    a = naive(q, k, v, 3, shift, 2)
    expected = layer.project(layer.neuron(Tensor(a), layer.bn)).data
    found = layer(s).data
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert 0.05 < found.mean() < 0.95
    assert a.max() > 4


@pytest.mark.parametrize(("shift", "reached"), [(0, {0, 1, 2}), (1, {0})])
def test_a_pixel_reaches_its_window_and_never_across_the_edge(rng, shift, reached):
    """With the windows of 3 pixels moved by 1, that of the corner pixel is its own: 1 of the 3 x 3 is on its side."""
    layer = attention_of(rng, shift)
    s = rng.random((T, N, SIZE, SIZE, C))
    other = s.copy()
    other[:, :, 0, 0] += 1
    with relaxed(), no_grad():  # smooth: what can be felt is felt
        hit = (layer(Tensor(s)).data != layer(Tensor(other)).data).any((0, 1, 4))
    rows, columns = np.nonzero(hit)
    assert set(rows) == set(columns) == reached
    assert hit.sum() == len(reached) ** 2


def test_a_block_is_shifted_only_where_windows_do_not_cover_the_map(rng):
    config = tiny_config(**SWIN)
    assert SwinTBlock(C, 4, config, rng).shifted.attention.shift == 1
    assert SwinTBlock(C, 2, config, rng).shifted.attention.mask is None
    assert SwinTBlock(C, 4, config, rng).plain.attention.shift == 0


def test_spikes_grow_by_one_at_each_residual(rng):
    block = SwinTBlock(C, SIZE, tiny_config(**SWIN), rng)
    with no_grad():
        o = block(Tensor(random_spikes(rng, T, N, SIZE, SIZE, C)))
    assert o.dtype == np.uint8
    assert o.data.max() <= 5
    assert o.data.max() > 1


def test_parameters_by_hand():
    def conv_bn(ci, co):
        return ci * co + 2 * co

    def half(c):  # q, k, v, project; BN of the attention; MLP of three times the width
        return 4 * conv_bn(c, c) + 2 * c + conv_bn(c, 3 * c) + conv_bn(3 * c, c)

    swin, sew = (MISNet(tiny_config(**s)) for s in (SWIN | {"mlp_ratio": 3}, {"channels": (4, 6)}))
    extra = sum(2 * (2 * half(c) - 2 * (9 * c * c + 2 * c)) for c in (4, 6))  # two modalities, two halves each
    assert swin.count_parameters() - sew.count_parameters() == extra
    shared = MISNet(tiny_config(sew="shared", **SWIN | {"mlp_ratio": 3}))
    assert swin.count_parameters() - shared.count_parameters() == 2 * half(4) + 2 * half(6)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"size": 8}, "window: a window of 4 pixels is larger than the map of stage 3, which is 2x2 at size 8"),
        ({"size": 24, "window": 3, "variant": "L"}, None),
        ({"size": 28}, "window: windows of 4 pixels do not fill the map of stage 2, which is 14x14 at size 28"),
        ({"swin_heads": 3}, "swin_heads: 3 heads do not divide the 64 channels of stage 1"),
        ({"size": 8, "cells": (1, 1, 0)}, None),  # no block where the window does not fit
        ({"window": 0}, "window: expected a positive integer, found 0"),
        ({"mlp_ratio": 0}, "mlp_ratio: expected a positive integer, found 0"),
        ({"swin_heads": 0}, "swin_heads: expected a positive integer, found 0"),
        ({"sew": "off"}, "block: sew=off leaves no blocks that SwinT blocks could stand for"),
        ({"block": "vit"}, "block: expected one of sew, swin, found 'vit'"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused_with_the_reason(switches, message):
    if message is None:
        assert MISNetConfig(**({"block": "swin"} | switches)).block == "swin"
        return
    with pytest.raises(ConfigError, match=message):
        MISNetConfig(**({"block": "swin"} | switches))


def test_the_paper_s_sizes_are_filled_by_windows_of_4():
    for variant in ("XS", "L"):
        for size in (32, 96, 128):
            MISNetConfig(block="swin", variant=variant, size=size)
