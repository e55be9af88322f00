"""Every detector of the shim finds what it is for, and lets pass what is sound."""

import numpy as np
import pytest

from snncore.kernels.cuda.module import source
from tests.support.shim.build import BuildError, compiler, kernel_names
from tests.support.shim.kernel import LaunchError, load

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

SOUND = """
extern "C" __global__ void block_sum(const float* x, float* out, const int n) {
    extern __shared__ float part[];
    const int t = threadIdx.x;
    part[t] = t < n ? x[t] : 0.0f;
    __syncthreads();
    for (int h = blockDim.x >> 1; h; h >>= 1) {
        if (t < h) part[t] += part[t + h];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = part[0];
}
extern "C" __global__ void half_a_barrier(float* out) {
    if (threadIdx.x < blockDim.x / 2) __syncthreads();
    out[threadIdx.x] = 1.0f;
}
extern "C" __global__ void two_barriers(float* out) {
    if (threadIdx.x < 32) __syncthreads();
    else __syncthreads();
    out[threadIdx.x] = 1.0f;
}
extern "C" __global__ void not_in_mask(int* out) { out[threadIdx.x] = __shfl_sync(0x0000ffffu, 1, 0); }
extern "C" __global__ void from_outside(int* out) {
    if (threadIdx.x < 8) out[threadIdx.x] = __shfl_sync(0x000000ffu, 1, 20);
}
extern "C" __global__ void warp_sum(const int* x, int* out) {
    int v = x[threadIdx.x];
    for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
    if (threadIdx.x % 32 == 0) out[threadIdx.x / 32] = v;
}
extern "C" __global__ void neighbours(const float* x, float* y, const int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + x[(i + 1) % n];
}
extern "C" __global__ void fused(const float* x, float* y) { y[0] = x[0] * x[1] + x[2]; }
extern "C" __global__ void shared_before_written(float* y) {
    __shared__ float part[32];
    y[threadIdx.x] = part[threadIdx.x];
}
"""
MUTANTS = {  # what is left out or changed, the kernel it breaks, and what the detector says
    "no barrier after the load": ("0.0f;\n    __syncthreads();", "0.0f;", "block_sum", "shared memory"),
    "no barrier in the loop": ("part[t + h];\n        __syncthreads();", "part[t + h];", "block_sum", "shared memory"),
    "all blocks write one place": ("out[blockIdx.x] =", "out[0] =", "block_sum", "write after write"),
    "in place": ("y[i] = x[i] + x", "y[i] = y[i] + y", "neighbours", "(write after read|read after write)"),
    "one too many": (
        "if (i < n) y[i] = x[i] + x[(i + 1) % n]",
        "if (i < n) y[i / 2] = x[i]",
        "neighbours",
        "argument 1",
    ),
}


def run(kernels, name, order=0):
    """Launch with arguments that fit; returns what was written."""
    kernel = kernels[name]
    kernel.order = order
    x, y = np.arange(70, dtype=np.float32), np.zeros(70, np.float32)
    if name == "block_sum":
        kernel.launch((3,), (64,), (x, y, np.int32(50)), 256)
    else:
        kernel.launch((2,), (64,), (x, y, np.int32(70)))
    return y


@pytest.fixture(scope="module")
def kernels():
    return load(SOUND)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["block_sum", "neighbours"])
@pytest.mark.parametrize("order", [0, 1, 5])
def test_sound_kernels_have_no_race(name, order):
    y = run(load(SOUND, race=True), name, order)
    assert y[0] == (sum(range(50)) if name == "block_sum" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_race_is_found_and_the_place_is_named(mutant):
    before, after, name, message = MUTANTS[mutant]
    assert before in SOUND
    with pytest.raises(LaunchError, match=rf"{name}: race .*{message}"):
        run(load(SOUND.replace(before, after), race=True), name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "kernel", "before", "after"),
    [
        ("spikes", "count_spikes", "atomicAdd(count, (unsigned long long)found)", "*count += found"),
        ("batch_norm", "bn_moments", "__syncthreads();", ""),
        ("optim", "check_finite", "atomicMin(finite, 0)", "*finite = 0"),
        (
            "binned",
            "binned_moments",
            "atomicAdd(&sums[threadIdx.y * C + c], total)",
            "sums[threadIdx.y * C + c] += total",
        ),
    ],
)
def test_a_race_in_a_kernel_of_the_product_is_found(file, kernel, before, after):
    text = source(file)
    assert before in text
    broken = load(text.replace(before, after), race=True)[kernel]
    x = np.full(40 * 64, np.inf, np.float32)
    args = {
        "count_spikes": (np.ones(16 * 2048, np.uint8), np.zeros((), np.uint64), np.int64(16 * 2048)),
        "bn_moments": (x, np.zeros((2, 3, 64)), np.int64(40), np.int32(64)),
        "check_finite": (x, x.copy(), x[:1].copy(), np.ones((), np.int32), np.int64(x.size)),
        "binned_moments": (
            *(x, np.zeros(7 * 64 + 2), *np.zeros((2, 64)), np.int64(40), np.int32(64), np.int32(0), x[:64].copy()),
            *(x[:64].copy(), np.zeros(64), *np.zeros(3)),
        ),
    }[kernel]
    grid, block = ((2, 2), (32, 8)) if "moments" in kernel else ((2,), (256,))
    with pytest.raises(LaunchError, match=f"{kernel}: race"):
        broken.launch(grid, block, args)


def test_a_barrier_that_half_the_block_reaches_is_found(kernels):
    with pytest.raises(LaunchError, match=r"a barrier that not every thread reaches.*line 14.*has returned"):
        kernels["half_a_barrier"].launch((1,), (64,), (np.zeros(64, np.float32),))


def test_barriers_at_different_lines_are_found(kernels):
    with pytest.raises(LaunchError, match=r"__syncthreads reached at different lines.*line 18.*line 19"):
        kernels["two_barriers"].launch((1,), (64,), (np.zeros(64, np.float32),))


@pytest.mark.parametrize(
    ("name", "message"), [("not_in_mask", "is not in the mask it gave"), ("from_outside", "shuffle reads lane 20")]
)
def test_a_wrong_mask_is_found(kernels, name, message):
    with pytest.raises(LaunchError, match=message):
        kernels[name].launch((1,), (32,), (np.zeros(32, np.int32),))


def test_shuffles_add_a_warp_in_any_order(kernels):
    for order in (0, 1, 9):
        kernels["warp_sum"].order = order
        out = np.zeros(2, np.int32)
        kernels["warp_sum"].launch((1,), (64,), (np.arange(64, dtype=np.int32), out))
        assert out.tolist() == [sum(range(32)), sum(range(32, 64))]


def test_shared_memory_starts_poisoned(kernels):
    y = np.zeros(32, np.float32)
    kernels["shared_before_written"].launch((1,), (32,), (y,))
    assert np.isnan(y).all()


def test_products_and_sums_round_one_by_one(kernels):
    x, y = np.array([1 + 2**-13, 1 - 2**-13, -1], np.float32), np.ones(1, np.float32)
    kernels["fused"].launch((1,), (1,), (x, y))
    assert y[0] == 0  # fused, it would be -2**-26


X, N = np.zeros(64, np.float32), np.int32(8)


@pytest.mark.parametrize(
    ("grid", "block", "args", "message"),
    [
        ((0,), (64,), (X, X, N), "empty launch"),
        ((1,), (2048,), (X, X, N), "over the limits"),
        ((1, 70000), (64,), (X, X, N), "over the limits"),
        ((1,), (64,), (X, N), "2 arguments for 3"),
        ((1,), (64,), (X, X, 8), "argument 2: int; CuPy sends"),
        ((1,), (64,), (X, X, np.int64(8)), "argument 2: int64 for i4"),
        ((1,), (64,), (X.astype(np.float64), X, N), r"argument 0: array of float64 for r\*f4"),
        ((1,), (64,), (X, X[::2], N), "argument 1: not C-contiguous"),
        ((1,), (64,), (X, 0.5, N), "argument 1: float for a pointer"),
    ],
)
def test_a_launch_with_wrong_arguments_is_refused(kernels, grid, block, args, message):
    with pytest.raises(LaunchError, match=message):
        kernels["neighbours"].launch(grid, block, args)


def test_a_source_that_does_not_compile_shows_the_line():
    with pytest.raises(BuildError, match=r"kernel\.cu:2"):
        load('extern "C" __global__ void f(float* x)\n{ x[0] = nothing; }\n')


def test_shared_memory_in_a_template_which_would_not_be_watched_is_refused():
    body = "template <int N>\n__device__ void f(int* y)\n{\n    __shared__ int part[N];\n    y[0] = part[0];\n}\n"
    with pytest.raises(BuildError, match="__shared__ in a template"):
        load(body + 'extern "C" __global__ void g(int* y)\n{\n    f<3>(y);\n}\n')


def test_kernels_in_comments_are_none():
    assert kernel_names(
        "// __global__ void a(\n/* __global__ void b( */ __global__ void __launch_bounds__(8)\nc(int x)"
    ) == ["c"]
