// Sums over a batch that no order changes (reference/binned.py): each entry is cut at fixed places into three parts,
// and sums of such parts are exact in double. Block (32, 8): lanes along channels, warps along rows. Memory-bound.
// Registers a thread, and occupancy, on an H100: binned_largest 32 (100 %), binned_sums 54 (50 %).

#define BINS 3

// partial [gridDim.x, BINS, C]: sums over rows of the parts of x [P, C], or with a centre [C] of (x - centre)^2.
extern "C" __global__ void __launch_bounds__(256, 4)
binned_sums(const float* __restrict__ x, const double* __restrict__ top, const double* __restrict__ centre,
            double* __restrict__ partial, const long long P, const int C, const int centred)
{
    __shared__ double part[ROWS][BINS][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x;
    double sum[BINS] = {0.0, 0.0, 0.0};
    if (c < C) {
        const double about = centred ? centre[c] : 0.0, most = top[c];
        const double at[BINS] = {most * 0x1.8p30, most * 0x1.8p7, most * 0x1.8p-16};  // 1.5 * 2^(30 - 23 k)
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
            double rest = x[r * C + c];
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
        }
    }
    for (int k = 0; k < BINS; ++k) part[threadIdx.y][k][threadIdx.x] = sum[k];
    __syncthreads();
    if (threadIdx.y >= BINS || c >= C) return;
    double total = 0.0;
    for (int r = 0; r < ROWS; ++r) total += part[r][threadIdx.y][threadIdx.x];
    partial[((long long)blockIdx.x * BINS + threadIdx.y) * C + c] = total;
}

// out [C], zeros before: the bits of the largest magnitude of each channel of x [P, C], of an infinity for a NaN.
// Bits of floats that are not negative rise with them, and a largest integer has no order.
extern "C" __global__ void __launch_bounds__(256)
binned_largest(const float* __restrict__ x, unsigned* __restrict__ out, const long long P, const int C)
{
    __shared__ unsigned part[ROWS][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x;
    unsigned most = 0;
    if (c < C)
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS)
            most = max(most, __float_as_uint(x[r * C + c]) & 0x7fffffffu);
    part[threadIdx.y][threadIdx.x] = most;
    __syncthreads();
    if (threadIdx.y > 0 || c >= C) return;
    for (int r = 1; r < ROWS; ++r) most = max(most, part[r][threadIdx.x]);
    atomicMax(&out[c], min(most, 0x7f800000u));
}
