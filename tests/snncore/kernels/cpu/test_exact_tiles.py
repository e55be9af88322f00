"""Exact sums on tiles: the twin in plain integers, and the instructions of AMX under an emulator, are the reference."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snncore.kernels import cpu, reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cpu import amx, amx_check, amx_tiles, exact_digits, exact_event, exact_tiles
from tests.snncore.kernels.cpu.layers import draw_spikes, layers
from tests.snncore.kernels.cpu.test_exact import LARGEST, THREADS, on_threads
from tests.support.amx import can_emulate, emulated

ONE = (1, 1)
emulates = pytest.mark.skipif(not can_emulate(), reason="needs Linux on x86-64 and a C compiler")


def convolve(x, w, stride, padding, configuration=amx_tiles.PLAIN):
    return exact_tiles.conv_forward(x, exact_tiles.pack(w), w.shape[:2], stride, padding, configuration)


@settings(max_examples=max(1, settings().max_examples // 2))
@given(layers(), LARGEST, THREADS, st.sampled_from([1, 3]), st.integers(-130, 90))
def test_the_twin_is_the_reference(layer, largest, threads, wider, power):
    x, w, stride, padding = layer
    x = np.concatenate([x] * wider, axis=2)  # rows long enough for tiles of their own
    x = draw_spikes(np.random.default_rng(x.size), x.shape, 0.3, largest) if largest > 2 else x.clip(0, largest)
    w = np.ldexp(w, power)
    y = on_threads(threads, convolve, x, w, stride, padding)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, stride, padding))


@emulates
@settings(max_examples=max(1, settings().max_examples // 4))
@given(layers(), LARGEST, THREADS, st.sampled_from([1, 3]))
def test_the_instructions_are_the_reference(layer, largest, threads, wider):
    x, w, stride, padding = layer
    x = np.concatenate([x] * wider, axis=2)
    x = draw_spikes(np.random.default_rng(x.size), x.shape, 0.3, largest)
    with emulated() as emulator:
        y = on_threads(threads, convolve, x, w, stride, padding, amx_tiles.CONFIGURATION)
        counts = emulator.counts()
        assert emulator.faults() == 0
    np.testing.assert_array_equal(y, reference.exact_conv_forward(x, w, stride, padding))
    assert set(counts) == {"configure", "release", "zero", "load", "store", "usd"}
    assert counts["configure"] == counts["release"]
    assert counts["load"] == counts["usd"]


@emulates
def test_layers_of_the_check_are_of_every_kind():
    found = list(amx_check.drawn_layers(80))
    bands = [exact_tiles.rows_of_an_item(layer.x.shape[1:3]) for layer in found if layer.w.shape[:2] == (3, 3)]
    assert min(bands) == 0 < max(bands)
    assert {int(layer.x.max()) for layer in found} >= {1, 2, 3, 255}
    assert {side for layer in found for side in layer.stride} == {1, 2, 3}
    with emulated() as emulator:
        for layer in found[:10]:
            for configuration in (amx_tiles.PLAIN, amx_tiles.CONFIGURATION):
                assert amx_check.difference(layer, configuration) == ""
        assert emulator.faults() == 0


def test_rows_long_and_short_take_their_own_way():
    assert [exact_tiles.rows_of_an_item((32, n)) for n in (1, 8, 11, 12, 16, 17, 32, 128, 500)] == [
        *(0, 0, 0),  # less than three quarters of 16
        *(8, 8),
        *(0, 4, 1, 1),  # 17 is just above one tile
    ]
    assert exact_tiles.rows_of_an_item((2, 32)) == 2


@pytest.mark.parametrize("size", [(3, 3), (2, 33)])
def test_the_deepest_sums_of_digits_fit(size):
    """Spikes of 255 and digits of -128 wherever there is one: -0.50196 * 2^24 is -128 in its second and third digit."""
    w = np.full((1, 1, 1024, 3), -(128 * 65536 + 128 * 256 + 128) / 2**24, np.float32)
    w[..., 1] *= -1
    x = np.full((1, *size, 1024), 255, np.uint8)
    np.testing.assert_array_equal(convolve(x, w, ONE, (0, 0)), reference.exact_conv_forward(x, w, ONE, (0, 0)))


def test_a_wrong_tile_is_found(rng):
    """Weights whose digits changed places: the comparison of the check says where the sums differ."""
    layer = next(amx_check.drawn_layers(1))
    pack = exact_tiles.pack

    def wrong(w):
        packed = pack(w)
        packed.weights[0, 0, 0, 0, 0, 0] += 1
        return packed

    with mock.patch.object(exact_tiles, "pack", wrong):
        assert "differ" in amx_check.difference(layer, amx_tiles.PLAIN)
        lines = []
        assert not amx_check.check(lines.append, count=2)
    assert "2 of 2 layers differ from the reference; the first: x (" in lines[1]


def test_digits_are_those_of_the_other_kernel(rng):
    w = rng.standard_normal((2, 3, 7, 20)).astype(np.float32)
    tiles, digits = exact_tiles.pack(w), exact_digits.pack(w)
    np.testing.assert_array_equal(tiles.scale, digits.scale)
    # [block, half, ky, chunk, digit, row, o, byte] to [block, digit, o, ky, k]
    ours = tiles.weights.reshape(2, 2, 2, 1, 2, 16, 16, 4).transpose(0, 1, 4, 6, 2, 3, 5, 7).reshape(2, 4, 16, 2, 64)
    theirs = digits.weights.transpose(0, 2, 1, 3).reshape(2, 4, 16, -1)[..., :42].reshape(2, 4, 16, 2, 21)
    np.testing.assert_array_equal(ours[..., :21], theirs)
    assert not ours[..., 21:].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2e30])
def test_weights_that_are_not_ordinary_are_not_packed(bad):
    w = np.ones((1, 1, 2, 2), np.float32)
    w[0, 0, 0, 0] = bad
    assert exact_tiles.pack(w) is None


@emulates
def test_the_switch_the_processor_and_the_system_choose_the_kernel(rng, monkeypatch):
    """AMX runs for spikes that are not few where all three agree; else another kernel runs, in silence."""
    ran = []
    for name, module in (("tiles", exact_tiles), ("events", exact_event)):
        own = module.conv_forward
        monkeypatch.setattr(module, "conv_forward", lambda *a, name=name, own=own: ran.append(name) or own(*a))
    x, w = draw_spikes(rng, (1, 4, 4, 16), 0.3, 1), rng.standard_normal((3, 3, 16, 16)).astype(np.float32)
    right = reference.exact_conv_forward(x, w, ONE, ONE)
    for asked, there, refused in (("on", 1, ""), ("off", 1, ""), ("on", 0, ""), ("on", 1, "not supported")):
        monkeypatch.setenv("SNNCORE_AMX", asked)
        monkeypatch.setattr(amx, "on_processor", lambda there=there: bool(there))
        monkeypatch.setattr(amx, "refusal", lambda refused=refused: refused)
        with emulated(), use_kernels("auto"):
            np.testing.assert_array_equal(cpu.exact_conv_forward(x, w, ONE, ONE), right)
    assert ran == ["tiles", "events", "events", "events"]
    monkeypatch.setattr(amx, "refusal", lambda: "")
    monkeypatch.setenv("SNNCORE_AMX", "on")
    with emulated() as emulator, use_kernels("auto"):
        cpu.exact_conv_forward(draw_spikes(rng, (1, 4, 4, 16), 0.05, 1), w, ONE, ONE)  # few
        assert not emulator.counts()
    with emulated() as emulator, use_kernels("event"):
        cpu.exact_conv_forward(x, w, ONE, ONE)
        assert not emulator.counts()
    with emulated() as emulator, use_kernels("dense"):
        y = cpu.exact_linear_forward(x.reshape(2, 8, 16), w[0, 0])
        assert emulator.counts()["usd"] > 0
    np.testing.assert_array_equal(y, reference.exact_linear_forward(x.reshape(2, 8, 16), w[0, 0]))
