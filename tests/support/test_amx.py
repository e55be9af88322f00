"""The emulator of AMX against what its manual says, with numbers worked out by hand, and what it must refuse."""

import numpy as np
import pytest

from snncore.kernels.cpu.amx_tiles import CONFIGURATION, ROWS, _instructions
from snncore.kernels.cpu.compiled import compiled
from tests.support.amx import can_emulate, emulated

pytestmark = pytest.mark.skipif(not can_emulate(), reason="needs Linux on x86-64 and a C compiler")
_products = {
    kind: _instructions(
        f"ldtilecfg ($0); tileloadd ($1,$4,1), %tmm1; tileloadd ($2,$4,1), %tmm2; {name} %tmm2, %tmm1, %tmm0; "
        "tilestored %tmm0, ($3,$4,1); tilerelease",
        "r,r,r,r,r,~{memory}",
        5,
    )
    for kind, name in (("usd", "tdpbusd"), ("ssd", "tdpbssd"), ("bf16", "tdpbf16ps"))
}
usd, ssd, bf16 = _products.values()
_unready = _instructions("tilerelease; tilezero %tmm3", "", 0)


@compiled()
def multiply(kind, configuration, left, right, product):
    step = 64
    places = (configuration.ctypes.data, left.ctypes.data, right.ctypes.data, product.ctypes.data, step)
    if kind == 0:
        usd(places)
    elif kind == 1:
        ssd(places)
    elif kind == 2:
        bf16(places)
    else:
        _unready(())


def run(kind, left, right, product, configuration=CONFIGURATION):
    multiply(kind, configuration, left.view(np.uint8), right.view(np.uint8), product.view(np.uint8))
    return product


def test_bytes_of_either_sign_meet_by_fours():
    """Row 2 holds 255 at depth 5; column 3 of the right tile has depth 5 in row 1, as the second of four bytes."""
    left, right = np.zeros((ROWS, 64), np.uint8), np.zeros((ROWS, 16, 4), np.int8)
    left[2, 5], right[1, 3, 1], right[1, 4, 1] = 255, -128, 127
    with emulated() as emulator:
        for kind, value in ((0, 255), (1, -1)):
            product = run(kind, left, right, np.full((ROWS, 16), 9, np.int32))
            expected = np.zeros((ROWS, 16), np.int32)
            expected[2, 3:5] = -128 * value, 127 * value
            np.testing.assert_array_equal(product, expected)
        assert emulator.counts() == {"configure": 2, "release": 2, "load": 4, "store": 2, "usd": 1, "ssd": 1}
        assert emulator.faults() == 0


def test_a_tile_may_have_fewer_rows_and_bytes():
    """Of 3 rows and 5 columns, 2 fours deep."""
    configuration = CONFIGURATION.copy()
    configuration[16:22:2], configuration[48:51] = (20, 8, 20), (3, 3, 2)
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (3, 64)).astype(np.uint8), rng.integers(-128, 128, (2, 64)).astype(np.int8)
    with emulated() as emulator:
        product = run(0, left, right, np.full((3, 16), 7, np.int32), configuration)
        assert emulator.faults() == 0
    fours = right[:, :20].reshape(2, 5, 4).astype(np.int32)
    expected = np.einsum("mki,kni->mn", left[:, :8].reshape(3, 2, 4), fours)
    np.testing.assert_array_equal(product[:, :5], expected)
    assert (product[:, 5:] == 7).all()


def test_halves_of_floats_meet_by_pairs():
    left, right = np.zeros((ROWS, 32), np.uint16), np.zeros((ROWS, 16, 2), np.uint16)
    left[1, 7], right[3, 2, 1] = 0x4020, 0xBF80  # 2.5 and -1
    with emulated():
        product = run(2, left, right, np.zeros((ROWS, 16), np.float32))
    assert product[1, 2] == -2.5
    assert np.count_nonzero(product) == 1


def test_what_a_processor_would_refuse_is_counted():
    """Tiles without a configuration, of no rows, and factors that do not fit each other."""
    shapes = [np.zeros(64, np.uint8), CONFIGURATION.copy()]
    shapes[1][48:51] = 16, 8, 16
    tile = np.zeros((ROWS, 64), np.uint8)
    with emulated() as emulator:
        run(3, tile, tile, tile)
        assert (emulator.faults(), emulator.counts()) == (1, {"release": 1})
        for n, configuration in enumerate(shapes):
            before = emulator.faults()
            run(0, tile, tile, tile.copy(), configuration)
            assert emulator.faults() > before, n
