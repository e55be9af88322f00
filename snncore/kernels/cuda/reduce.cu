// The second half of every sum over many blocks: partial [rows, K] to out [K], in the order of the rows. One block
// takes 32 columns; its 32 warps take every 32nd row each, and the first adds the 32 results. Little work: what it
// costs is a launch.
// Registers a thread, and occupancy, on an H100: sum_all 22 (100 %), sum_chunks 32 (100 %), sum_gradients 25 (100 %),
// sum_partials 24 (100 %).

// Sum of column k; the threads of the first warp have it.
__device__ __forceinline__ double column_sum(const double* __restrict__ partial, const int k, const int rows,
                                             const int K, double (*part)[LANES])
{
    double v = 0.0;
    if (k < K) {
        for (int r = threadIdx.y; r < rows; r += blockDim.y) v += partial[(long long)r * K + k];
    }
    part[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    if (threadIdx.y == 0) {
        for (int r = 1; r < blockDim.y; ++r) v += part[r][threadIdx.x];
    }
    return v;
}

extern "C" __global__ void __launch_bounds__(1024)
sum_partials(const double* __restrict__ partial, double* __restrict__ out, const int rows, const int K)
{
    __shared__ double part[32][LANES];
    const int k = blockIdx.x * LANES + threadIdx.x;
    const double v = column_sum(partial, k, rows, K, part);
    if (threadIdx.y == 0 && k < K) out[k] = v;
}

// The same for K = 2 C, with the sums as floats too: those of the first C columns to `first`, the others to `second`.
extern "C" __global__ void __launch_bounds__(1024)
sum_gradients(const double* __restrict__ partial, double* __restrict__ out, float* __restrict__ first,
              float* __restrict__ second, const int rows, const int C)
{
    __shared__ double part[32][LANES];
    const int k = blockIdx.x * LANES + threadIdx.x;
    const double v = column_sum(partial, k, rows, 2 * C, part);
    if (threadIdx.y || k >= 2 * C) return;
    out[k] = v;
    if (k < C) first[k] = (float)v;
    else second[k - C] = (float)v;
}

// All of x [n] to one float. One block.
extern "C" __global__ void __launch_bounds__(1024)
sum_all(const double* __restrict__ x, float* __restrict__ out, const long long n)
{
    __shared__ double part[32];
    double v = 0.0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) v += x[i];
    v = block_sum(v, part);
    if (threadIdx.x == 0) *out = (float)v;
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
