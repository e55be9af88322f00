// What several kernels share: surrogate derivatives, firing and reset, sums over a block in a fixed order.
// Everything here is plain C++ for NVRTC, without includes. No fused multiply-add is written or wanted: compiled with
// --fmad=false, each expression rounds as NumPy's does, and a spike never depends on where it was computed.

#define LANES 32  // threads along channels: one warp reads 32 neighbouring channels
#define ROWS 8    // warps of a block, each at another pixel

// A neuron's timesteps are taken CHUNK at a time: the loads of all are under way before the first is used. module.py
// compiles the neurons for one T of up to 8 (STEPS) and for one surrogate (SURROGATE); without these names the same
// code takes any.
#ifdef STEPS
#define CHUNK STEPS
#else
#define CHUNK 2
#endif

__device__ __forceinline__ int timesteps(const int T)
{
#ifdef STEPS
    return STEPS;
#else
    return T;
#endif
}

// The first `left` of CHUNK timesteps, which lie n entries apart; zeros after those.
template <class X>
__device__ __forceinline__ void load_steps(float (&to)[CHUNK], const X* from, const long long n, const int left)
{
#pragma unroll
    for (int k = 0; k < CHUNK; ++k) to[k] = k < left ? (float)from[k * n] : 0.0f;
}

// A gradient, or where there is a second one the sum of both.
struct Gradient {
    const float* first;
    const float* also;  // null for none
};

__device__ __forceinline__ void load_gradient(float (&to)[CHUNK], const Gradient& from, const long long at,
                                              const long long n, const int left)
{
    load_steps(to, from.first + at, n, left);
    if (!from.also) return;
    float more[CHUNK];
    load_steps(more, from.also + at, n, left);
#pragma unroll
    for (int k = 0; k < CHUNK; ++k) to[k] += more[k];
}

// Derivative of the smooth step at x; the kinds are numbered in surrogates.py. The quick division is right to
// 2 ulp, and no spike depends on it.
__device__ __forceinline__ float surrogate(const int any, const float p, const float x)
{
#ifdef SURROGATE
    constexpr int kind = SURROGATE;
#else
    const int kind = any;
#endif
    const float a = fabsf(x);
    if (kind == 0) {  // sigmoid, p = slope
        const float e = expf(a * -p);
        return __fdividef(p * e, (1.0f + e) * (1.0f + e));
    }
    if (kind == 1) {  // arc tangent, p = slope
        const float y = 1.57079632679489662f * p * x;
        return __fdividef(0.5f * p, 1.0f + y * y);
    }
    if (kind == 2) return a <= 0.5f * p ? 1.0f / p : 0.0f;                    // rectangle, p = width
    if (kind == 3) return __fdividef(fmaxf(0.0f, 1.0f - __fdividef(a, p)), p);  // triangle, p = width
    if (kind == 4) return __fdividef(0.5f * p, (1.0f + p * a) * (1.0f + p * a));  // fast sigmoid, p = slope
    return p * 0.564189583547756287f * expf(-((p * x) * (p * x)));            // erf, p = slope
}

struct Neuron {
    float decay, v_threshold, v_reset;
    int hard;  // reset to v_reset; else by subtraction
};

__device__ __forceinline__ bool fires(const Neuron& k, const float potential)
{
    return potential - k.v_threshold >= 0.0f;
}

__device__ __forceinline__ float after(const Neuron& k, const float h, const bool fired)
{
    if (!fired) return h;
    return k.hard ? k.v_reset : h - k.v_threshold;
}

// Sum over one warp; lane 0 has it. The order is that of the lanes, whatever ran first.
__device__ __forceinline__ double warp_sum(double v)
{
    for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
    return v;
}

// Sum over a block of up to 1024 threads (a multiple of 32); thread 0 has it. `part` is shared, of 32 entries.
__device__ __forceinline__ double block_sum(double v, double* part)
{
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = (blockDim.x + 31) >> 5;
    v = warp_sum(v);
    if (lane == 0) part[warp] = v;
    __syncthreads();
    v = 0.0;
    if (threadIdx.x == 0) {
        for (int w = 0; w < warps; ++w) v += part[w];
    }
    __syncthreads();  // so that `part` can be used again
    return v;
}
