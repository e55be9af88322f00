// Sums over a batch that no order changes (reference/binned.py): each entry is cut at fixed places into three parts,
// and sums of such parts are exact in double. So blocks may add theirs to one place, in whatever order they come there.
// Block (32, 8): lanes along channels, warps along rows. Memory-bound.
// Registers a thread, and occupancy, on an H100: binned_largest 32 (100 %), binned_mean 54 (50 %),
// binned_moments 54 (50 %), binned_sums 54 (50 %).

#include "rows.cuh"
#include "settle.cuh"

#define BINS 3

// out [C], zeros before: the bits of the largest magnitude of each channel of x [P, C].
extern "C" __global__ void __launch_bounds__(256)
binned_largest(const float* __restrict__ x, unsigned* __restrict__ out, const long long P, const int C)
{
    __shared__ unsigned part[ROWS][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x;
    unsigned most = 0;
    if (c < C) each_row(x, P, C, c, [&](const float v) { most = max(most, __float_as_uint(v) & 0x7fffffffu); });
    put_largest(most, out, C, part);
}

// The power of two above a magnitude, from its bits: 1 above 0, infinite above what is infinite.
__device__ __forceinline__ double power_above(const unsigned bits)
{
    if (bits == 0) return 1.0;
    if (bits >= 0x7f800000u) return __longlong_as_double(0x7ff0000000000000);
    const int exponent = bits >> 23 ? (int)(bits >> 23) - 126 : -117 - __clz((int)bits);
    return __longlong_as_double((long long)(exponent + 1023) << 52);
}

// Mean of `entries` entries from the sums of their parts, [BINS, C].
__device__ __forceinline__ double mean_of(const double s0, const double s1, const double s2, const double entries)
{
    return (s2 + s1 + s0) / entries;
}

// Adds to sums [BINS, C] those of the parts of x [P, C], or if `centred` of (x - about)^2. Threads of a channel have
// the same `top` and `about`. part: shared.
__device__ __forceinline__ void add_parts(const float* __restrict__ x, const double top, const bool centred,
                                          const double about, double* __restrict__ sums, const long long P,
                                          const int C, double (*part)[BINS][LANES], const bool back = false)
{
    const int c = blockIdx.y * LANES + threadIdx.x;
    double sum[BINS] = {0.0, 0.0, 0.0};
    if (c < C) {
        const double at[BINS] = {top * 0x1.8p30, top * 0x1.8p7, top * 0x1.8p-16};  // 1.5 * 2^(30 - 23 k)
        each_row(x, P, C, c, [&](const float v) {
            double rest = v;
            if (centred) {
                rest -= about;
                rest *= rest;
            }
#pragma unroll
            for (int k = 0; k < BINS; ++k) {
                const double h = (rest + at[k]) - at[k];
                sum[k] += h;
                rest -= h;
            }
        }, back);
    }
    for (int k = 0; k < BINS; ++k) part[threadIdx.y][k][threadIdx.x] = sum[k];
    __syncthreads();
    if (threadIdx.y >= BINS || c >= C) return;
    double total = 0.0;
    for (int r = 0; r < ROWS; ++r) total += part[r][threadIdx.y][threadIdx.x];
    atomicAdd(&sums[threadIdx.y * C + c], total);
}

// sums [BINS, C], zeros before, of x [P, C], or with a centre [C] of (x - centre)^2.
extern "C" __global__ void __launch_bounds__(256, 4)
binned_sums(const float* __restrict__ x, const double* __restrict__ top, const double* __restrict__ centre,
            double* __restrict__ sums, const long long P, const int C, const int centred)
{
    __shared__ double part[ROWS][BINS][LANES];
    const int c = min((int)(blockIdx.y * LANES + threadIdx.x), C - 1);
    add_parts(x, top[c], centred, centred ? centre[c] : 0.0, sums, P, C, part);
}

// The moments of a batch that is here as a whole, by binned_largest and these two. Each pass over x begins where the
// one before it ended, with what may still be in the cache. work, zeros before: sums and squares
// [BINS, C] each, the bits of the largest [C], and how many blocks have added their squares [gridDim.y].
extern "C" __global__ void __launch_bounds__(256, 4)
binned_mean(const float* __restrict__ x, double* __restrict__ work, const long long P, const int C)
{
    __shared__ double part[ROWS][BINS][LANES];
    const int c = min((int)(blockIdx.y * LANES + threadIdx.x), C - 1);
    add_parts(x, power_above(((const unsigned*)(work + 2 * BINS * C))[c]), false, 0.0, work, P, C, part, true);
}

// Block (b, g) adds its squares, and the last of a group of channels to do so has all of them: it goes on to the
// moments, and if `settles` to inv_std and the running statistics.
extern "C" __global__ void __launch_bounds__(256, 4)
binned_moments(const float* __restrict__ x, double* __restrict__ work, double* __restrict__ mean_out,
               double* __restrict__ var_out, const long long P, const int C, const int settles,
               float* __restrict__ running_mean, float* __restrict__ running_var, double* __restrict__ inv_std,
               const double momentum, const double eps, const double unbiased)
{
    __shared__ double part[ROWS][BINS][LANES];
    __shared__ bool last;
    const int channel = blockIdx.y * LANES + threadIdx.x, c = min(channel, C - 1);
    const double top = power_above(((const unsigned*)(work + 2 * BINS * C))[c]);
    const double mean = mean_of(work[c], work[C + c], work[2 * C + c], (double)P);
    double* const squares = work + BINS * C;
    add_parts(x, 4.0 * top * top, true, mean, squares, P, C, part);
    __threadfence();  // its squares before its count
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        unsigned* const arrived = (unsigned*)(work + (2 * BINS + 1) * C) + blockIdx.y;
        last = atomicAdd(arrived, 1u) + 1 == gridDim.x;
    }
    __syncthreads();
    if (!last || threadIdx.y || channel >= C) return;
    __threadfence();
    double sum[BINS];
    for (int k = 0; k < BINS; ++k) sum[k] = atomicAdd(&squares[k * C + c], 0.0);  // past the caches of this block
    const double var = mean_of(sum[0], sum[1], sum[2], (double)P);
    mean_out[c] = mean;
    var_out[c] = var;
    if (settles) inv_std[c] = settle(mean, var, running_mean + c, running_var + c, {momentum, eps, unbiased});
}
