// Rows of x [P, C] that a thread of a block (32, 8) takes: every (8 gridDim.x)-th.

#define ROWS_AHEAD 8  // whose loads are under way together: what hides the wait for memory

// f of each entry of channel c in these rows, in their order; back: with rows counted from the last one.
template <class F>
__device__ __forceinline__ void each_row(const float* __restrict__ x, const long long P, const int C, const int c, F f,
                                         const bool back = false)
{
    const long long step = (long long)gridDim.x * ROWS;
    const float* const from = x + (back ? (P - 1) * C + c : c);
    const long long pitch = back ? -C : C;
    long long r = (long long)blockIdx.x * ROWS + threadIdx.y;
    for (; r + (ROWS_AHEAD - 1) * step < P; r += ROWS_AHEAD * step) {
        float v[ROWS_AHEAD];
#pragma unroll
        for (int k = 0; k < ROWS_AHEAD; ++k) v[k] = from[(r + k * step) * pitch];
#pragma unroll
        for (int k = 0; k < ROWS_AHEAD; ++k) f(v[k]);
    }
    for (; r < P; r += step) f(from[r * pitch]);
}

// Largest [C], zeros before, becomes the bits of the largest magnitude of each channel, of an infinity for a NaN; most:
// that of a thread's entries, without their sign. Bits of floats that are not negative rise with them, and a largest
// integer has no order. part: shared.
__device__ __forceinline__ void put_largest(unsigned most, unsigned* __restrict__ largest, const int C,
                                            unsigned (*part)[LANES])
{
    const int c = blockIdx.y * LANES + threadIdx.x;
    part[threadIdx.y][threadIdx.x] = most;
    __syncthreads();
    if (threadIdx.y > 0 || c >= C) return;
    for (int r = 1; r < ROWS; ++r) most = max(most, part[r][threadIdx.x]);
    atomicMax(&largest[c], min(most, 0x7f800000u));
}

// The two sums of a block, of each thread's, to partial [gridDim.x, 2, C]: of a gradient, and of it times z. part:
// shared.
__device__ __forceinline__ void put_sums(const double sum, const double with_z, double* __restrict__ partial,
                                         const int C, double (*part)[2][LANES])
{
    const int c = blockIdx.y * LANES + threadIdx.x;
    part[threadIdx.y][0][threadIdx.x] = sum;
    part[threadIdx.y][1][threadIdx.x] = with_z;
    __syncthreads();
    if (threadIdx.y > 1 || c >= C) return;
    double total = 0.0;  // warp 0 adds the one, warp 1 the other
    for (int r = 0; r < ROWS; ++r) total += part[r][threadIdx.y][threadIdx.x];
    partial[((long long)blockIdx.x * 2 + threadIdx.y) * C + c] = total;
}
