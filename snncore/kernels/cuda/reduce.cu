// The second half of every sum over many blocks: partial [rows, K] to out [K], in the order of the rows. One block
// takes 32 columns; its 32 warps take every 32nd row each, and the first adds the 32 results. Of fewer columns, the
// lanes of a warp share out its rows. Little work: what it costs is a launch, and waiting for memory.
// Registers a thread, and occupancy, on an H100: sum_chunks 32 (100 %), sum_gradients 32 (100 %), sum_mlif 32 (100 %),
// sum_partials 32 (100 %).

#define AHEAD 8  // rows whose loads are under way together

// Sum of column 32 blockIdx.x + threadIdx.x, of K columns in rows of `stride`; the threads of the first warp have it.
__device__ __forceinline__ double column_sum(const double* __restrict__ partial, const int rows, const int K,
                                             const int stride, double (*part)[LANES])
{
    int wide = LANES;  // columns of a block: the power of two from K on, if that is less
    while (wide / 2 >= K && wide > 1) wide /= 2;
    const int k = blockIdx.x * LANES + threadIdx.x % wide, together = LANES / wide;
    double v = 0.0;
    if (k < K) {
        const int step = blockDim.y * together;
        int r = threadIdx.y * together + threadIdx.x / wide;
        for (; r + (AHEAD - 1) * step < rows; r += AHEAD * step) {
            double in[AHEAD];
#pragma unroll
            for (int j = 0; j < AHEAD; ++j) in[j] = partial[(long long)(r + j * step) * stride + k];
#pragma unroll
            for (int j = 0; j < AHEAD; ++j) v += in[j];
        }
        for (; r < rows; r += step) v += partial[(long long)r * stride + k];
    }
    for (int o = wide; o < LANES; o += o) v += __shfl_xor_sync(0xffffffffu, v, o);
    part[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    if (threadIdx.y == 0) {
#pragma unroll 8
        for (int r = 1; r < blockDim.y; ++r) v += part[r][threadIdx.x];
    }
    return v;
}

// zeros: how many entries after the sums are set to zero, at most K, for what the next kernel gathers there.
extern "C" __global__ void __launch_bounds__(1024)
sum_partials(const double* __restrict__ partial, double* __restrict__ out, const int rows, const int K, const int zeros)
{
    __shared__ double part[32][LANES];
    const int k = blockIdx.x * LANES + threadIdx.x;
    const double v = column_sum(partial, rows, K, K, part);
    if (threadIdx.y || k >= K) return;
    out[k] = v;
    if (k < zeros) out[K + k] = 0.0;
}

// The same for K = 2 C, with the sums as floats too: those of the first C columns to `first`, the others to `second`.
extern "C" __global__ void __launch_bounds__(1024)
sum_gradients(const double* __restrict__ partial, double* __restrict__ out, float* __restrict__ first,
              float* __restrict__ second, const int rows, const int C, const int zeros)
{
    __shared__ double part[32][LANES];
    const int k = blockIdx.x * LANES + threadIdx.x;
    const double v = column_sum(partial, rows, 2 * C, 2 * C, part);
    if (threadIdx.y || k >= 2 * C) return;
    out[k] = v;
    if (k < zeros) out[2 * C + k] = 0.0;
    if (k < C) first[k] = (float)v;
    else second[k - C] = (float)v;
}

// Sums of an MLIF: partial [rows, 2, Q] to gw [Q], over the rows, and galpha, over all of its half. The last block does
// the latter.
extern "C" __global__ void __launch_bounds__(1024)
sum_mlif(const double* __restrict__ partial, float* __restrict__ gw, float* __restrict__ galpha, const int rows,
         const int Q)
{
    __shared__ double part[32][LANES];
    if (blockIdx.x + 1 < gridDim.x) {
        const int q = blockIdx.x * LANES + threadIdx.x;
        const double v = column_sum(partial, rows, Q, 2 * Q, part);
        if (threadIdx.y == 0 && q < Q) gw[q] = (float)v;
        return;
    }
    double v = 0.0;
    for (int r = threadIdx.y; r < rows; r += blockDim.y) {
        for (int q = threadIdx.x; q < Q; q += LANES) v += partial[((long long)r * 2 + 1) * Q + q];
    }
    v = warp_sum(v);  // a warp is a row of the block
    if (threadIdx.x == 0) part[threadIdx.y][0] = v;
    __syncthreads();
    if (threadIdx.x || threadIdx.y) return;
    for (int w = 1; w < blockDim.y; ++w) v += part[w][0];
    *galpha = (float)v;
}

// The same for floats: partial [rows, K] to out [K], a thread a column, added in double.
extern "C" __global__ void __launch_bounds__(256)
sum_chunks(const float* __restrict__ partial, float* __restrict__ out, const int rows, const long long K)
{
    const long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= K) return;
    double v = 0.0;
    for (int r = 0; r < rows; ++r) v += partial[r * K + k];
    out[k] = (float)v;
}
