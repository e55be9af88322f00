"""Products of tensor cores and copies to shared memory on the shim: what PTX says of them; what no card reports."""

import numpy as np
import pytest

from snncore.kernels.cuda.module import source
from tests.snncore.kernels.cuda.halves_twin import input_gradient, one_by_one, parts_of_gradient, parts_of_weights
from tests.support.shim.build import compiler
from tests.support.shim.kernel import LaunchError, load

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

PRODUCT = """
extern "C" __global__ void product(const unsigned char* a, const signed char* b, int* d) {
    __shared__ __align__(16) unsigned char rows[16 * 32], columns[8 * 32];
    const int lane = threadIdx.x, half = lane >> 3;
    copy16(shared_address(rows + 16 * lane), a + 16 * lane, true);
    if (lane < 16) copy16(shared_address(columns + 16 * lane), b + 16 * lane, true);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    unsigned left[4], right[4];
    load_matrices(left, shared_address(rows + ((half & 1) * 8 + (lane & 7)) * 32 + (half >> 1) * 16));
    load_matrices(right, shared_address(columns + (lane & 7) * 32 + (half & 1) * 16));
    int sums[4];
    for (int r = 0; r < 4; ++r) sums[r] = d[(lane / 4 + 8 * (r >> 1)) * 8 + 2 * (lane % 4) + (r & 1)];
    multiply_bytes(sums, left, right[0], right[1]);
    for (int r = 0; r < 4; ++r) d[(lane / 4 + 8 * (r >> 1)) * 8 + 2 * (lane % 4) + (r & 1)] = sums[r];
}
"""


TURNED = """
extern "C" __global__ void product(const unsigned char* a, const signed char*, int* d) {
    __shared__ __align__(16) unsigned char rows[32 * 16];
    const int lane = threadIdx.x;
    copy16(shared_address(rows + 16 * lane), a + 16 * lane, true);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    unsigned found[4];
    load_matrices_turned(found, shared_address(rows + 16 * lane));
    for (int r = 0; r < 4; ++r) d[4 * lane + r] = (int)found[r];
}
"""


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def operands(rng):
    """a [16, 32] and b [32, 8], as its columns lie one after the other, and d [16, 8]."""
    a, b = rng.integers(0, 256, (16, 32)), rng.integers(-128, 128, (8, 32))
    return a.astype(np.uint8), b.astype(np.int8), rng.integers(-(2**30), 2**30, (16, 8)).astype(np.int32)


def launch(text, arrays, threads=32, order=0, race=False):
    kernel = load(text, race)["product"]
    kernel.order = order
    kernel.launch((1,), (threads,), arrays)


@pytest.mark.parametrize("order", [0, 1, 5])
def test_a_product_of_fragments_is_that_of_the_matrices(rng, order):
    a, b, d = operands(rng)
    expected = d + a.astype(np.int32) @ b.T.astype(np.int32)
    launch(PRODUCT, (a, b, d), order=order)
    np.testing.assert_array_equal(d, expected)


def test_turned_matrices_are_the_columns_two_bytes_at_a_time(rng):
    """As PTX has it for .trans: lane l holds rows 2 (l % 4) and the next of column l / 4, which is two bytes wide."""
    a, d = rng.integers(0, 256, (32, 16)).astype(np.uint8), np.zeros(128, np.int32)
    launch(TURNED, (a, np.zeros(1, np.int8), d))
    matrices = a.view(np.uint16).reshape(4, 8, 8)  # matrix, row, pair of bytes
    expected = matrices.transpose(2, 1, 0).reshape(8, 4, 2, 4)  # pair, two rows, which of them, matrix
    np.testing.assert_array_equal(d.view(np.uint16).reshape(8, 4, 4, 2), expected.swapaxes(2, 3))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("multiply_bytes(s", "if (lane < 16) multiply_bytes(s", "deadlock, or a barrier that not every thread reaches"),
        ("wait_copies<0>();", "", "returned before its copies to shared memory were there"),
        ("rows + 16 * lane", "rows + 8 * lane", "16 bytes at an address that is not a multiple of 16"),
        ("(lane & 7)) * 32", "(lane & 7)) * 32 + 4", "16 bytes at an address that is not a multiple of 16"),
    ],
)
def test_what_is_undefined_on_a_card_is_refused(rng, before, after, message):
    assert before in PRODUCT
    with pytest.raises(LaunchError, match=message):
        launch(PRODUCT.replace(before, after), operands(rng), order=1)


NOTHING_LOADED = "inline void nothing(unsigned (&)[4], Shared) {}" + PRODUCT.replace("load_matrices", "nothing")


@pytest.mark.parametrize("text", [PRODUCT, NOTHING_LOADED])
def test_a_warp_that_is_not_whole_has_no_matrices(rng, text):
    with pytest.raises(LaunchError, match="matrices for a warp of fewer than 32 threads"):
        launch(text, operands(rng), threads=16)


HALVES = """
extern "C" __global__ void product(const unsigned short* a, const unsigned short* b, float* d) {
    __shared__ __align__(16) unsigned short rows[16 * 16], columns[8 * 16];
    const int lane = threadIdx.x, half = lane >> 3;
    copy16(shared_address(rows + 8 * lane), a + 8 * lane, true);
    for (int k = 0; k < 2; ++k) copy4(shared_address(columns + 4 * lane + 2 * k), b + 4 * lane + 2 * k, lane < 31);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    unsigned left[4], right[4];
    load_matrices(left, shared_address(rows + ((half & 1) * 8 + (lane & 7)) * 16 + (half >> 1) * 8));
    load_matrices(right, shared_address(columns + (lane & 7) * 16 + (half & 1) * 8));
    float sums[4] = {};
    multiply_halves(sums, left, right[0], right[1]);
    multiply_halves(sums, left, right[0], right[1]);
    for (int r = 0; r < 4; ++r) d[(lane / 4 + 8 * (r >> 1)) * 8 + 2 * (lane % 4) + (r & 1)] = sums[r];
}
"""


@pytest.mark.parametrize("order", [0, 1, 5])
def test_a_product_of_halves_adds_terms_one_by_one(rng, order):
    a, b = rng.standard_normal((16, 16)).astype(np.float16), rng.standard_normal((8, 16)).astype(np.float16)
    a[0, :3], b[:, 5] = (2.0**-24, -3 * 2.0**-24, 2.0**-15), 2.0**-20  # what is below 2^-14 counts
    d, expected = np.full((16, 8), np.nan, np.float32), np.zeros((16, 8), np.float32)
    launch(HALVES, (a.view(np.uint16), b.view(np.uint16), d), order=order)
    b[7, 12:] = 0  # four halves that lane 31 did not copy
    for _ in range(2):
        expected = one_by_one(expected, a, b.T)
    np.testing.assert_array_equal(d, expected)


ROUND = """
extern "C" __global__ void product(const float* a, unsigned short* b, float* d) {
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    b[k] = to_half(a[k]);
    d[k] = from_half(b[k]);
}
"""


def test_halves_are_the_nearest(rng):
    """As NumPy has them: ties to even, small ones, what is too large and what is not finite."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = every[np.isfinite(every)]
    between = ((every[:-1].astype(float) + every[1:]) / 2).astype(np.float32)
    ends = np.array([65519.996, 65520, -65520, np.inf, -np.inf, 2.0**-25, np.nextafter(2.0**-25, 1), 1e-40], np.float32)
    x = np.concatenate([every, between, np.nextafter(between, np.float32(np.inf)), ends])
    x = np.resize(x, -(-x.size // 256) * 256)
    half, back = np.zeros(x.size, np.uint16), np.zeros(x.size, np.float32)
    load(ROUND)["product"].launch((x.size // 256,), (256,), (x, half, back))
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(half, expected.view(np.uint16))
    np.testing.assert_array_equal(back, expected.astype(np.float32))


def gradient(text, order=0, race=False):
    """(gx of halves.cu, and of its twin) of a window of 3 x 3, 40 channels from 24, lines of 4 pixels."""
    rng = np.random.default_rng(0)
    gy, w = (rng.standard_normal(s).astype(np.float32) for s in ((1, 5, 4, 24), (3, 3, 40, 24)))
    of_gy, of_w = np.zeros((2, 2, 2, 20, 8), np.float16), np.zeros((2, 9, 1, 64, 2, 16), np.float16)
    (both, gy_scale), (w_both, w_scale) = parts_of_gradient(gy), parts_of_weights(w)
    for k in range(2):
        of_gy[:, k] = np.pad(both[k].reshape(20, 24), ((0, 0), (0, 8))).reshape(20, 2, 2, 8).transpose(1, 2, 0, 3)
        padded = np.pad(w_both[k].reshape(9, 40, 24), ((0, 0), (0, 24), (0, 8)))
        of_w[:, :, 0, :, k] = padded.reshape(9, 64, 2, 16).transpose(2, 0, 1, 3)
    gx = np.full((1, 5, 4, 40), np.nan, np.float32)
    kernel = load(text, race)["halves_backward_input"]
    kernel.order = order
    arrays = of_gy.view(np.uint16), gy_scale, of_w.view(np.uint16), np.pad(w_scale, (0, 24)), gx
    sizes = map(np.int32, (5, 4, 40, 5, 4, 24, 3, 3, 1, 1, 1, 1))
    kernel.launch((1, 1, 1), (128,), (*arrays, np.int32(1), *sizes))
    return gx, input_gradient(gy, w, gx.shape, (1, 1), (1, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("wait_copies<STAGES - 2>()", "wait_copies<STAGES - 1>()"),  # a step too early
        ("place(lane & 7, lane >> 3);", "place(lane & 7, lane >> 4);"),  # another order of the matrices
        ("SCALES + 4 * (t + THREADS * i)", "SCALES + 4 * (t ^ 1)"),  # another pixel's power
    ],
)
def test_a_broken_gradient_has_other_sums(before, after):
    text = source("halves")
    assert before in text
    try:
        gx, expected = gradient(text.replace(before, after) if before else text, order=1)
    except LaunchError as error:
        assert before
        assert "returned before its copies" in str(error)  # noqa: PT017
    else:
        assert (gx == expected).all() == (not before)


@pytest.mark.slow
def test_a_stage_of_the_gradient_overwritten_while_it_is_read_is_a_race():
    text, barrier = source("halves"), "__syncthreads();  // the copies of all threads are there"
    assert barrier in text  # with it there is no race: test_halves.py
    with pytest.raises(LaunchError, match=r"halves_backward_input: race .*shared memory"):
        gradient(text.replace(barrier, "//"), race=True)


def convolve(text, order=0, race=False):
    """(y of exact_mma.cu, and of whole numbers) of a window of 3 x 3, 80 channels to 32."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 3, (1, 8, 8, 80)).astype(np.uint8), rng.integers(-128, 128, (3, 3, 80, 32))
    digits = np.zeros((2, 9, 4, 32, 64), np.int8)  # parts of 64 channels, taps, digits, channels out, channels
    digits[0, :, 0] = w[:, :, :64].reshape(9, 64, 32).swapaxes(1, 2)
    digits[1, :, 0, :, :16] = w[:, :, 64:].reshape(9, 16, 32).swapaxes(1, 2)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.int64), (3, 3), (1, 2))  # [1, 6, 6, 80, 3, 3]
    y = np.full((1, 6, 6, 32), np.nan, np.float32)
    scale, flags = np.ones(32, np.float32), np.zeros(4, np.int32)
    sizes = map(np.int32, (36, 4, 8, 8, 80, 6, 6, 32, 3, 3, 1, 1, 0, 0))
    kernel = load(text, race)["exact_mma_pieces"]
    kernel.order = order
    kernel.launch((1, 1), (128,), (x, digits, w.astype(np.float32), scale, flags, y, *sizes))
    return y, np.einsum("mijcyx,yxco->mijo", windows, w)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("wait_copies<STAGES - 2>()", "wait_copies<STAGES - 1>()"),  # a step too early
        (
            "place(row, chunk) + ROWS_AT_ONCE * DEEP * i;",
            "row * DEEP + 16 * chunk + ROWS_AT_ONCE * DEEP * i;",
        ),  # not where it is read
        ("(lane >> 3 & 1)", "(lane >> 4)"),  # another order of the matrices
    ],
)
def test_a_broken_kernel_has_other_sums(before, after):
    text = source("exact_mma")
    assert before in text
    try:
        y, expected = convolve(text.replace(before, after) if before else text, order=1)
    except LaunchError as error:
        assert before
        assert "returned before its copies" in str(error)  # noqa: PT017
    else:
        assert (y == expected).all() == (not before)


@pytest.mark.slow
def test_a_stage_overwritten_while_it_is_read_is_a_race():
    text, barrier = source("exact_mma"), "__syncthreads();  // the copies of all threads are there"
    assert barrier in text
    y, expected = convolve(text, race=True)
    assert (y == expected).all()
    with pytest.raises(LaunchError, match=r"exact_mma_pieces: race .*shared memory"):
        convolve(text.replace(barrier, "//"), race=True)
