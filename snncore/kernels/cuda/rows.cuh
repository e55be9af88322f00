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
