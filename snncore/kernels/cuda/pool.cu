// Max pooling of images x [M, H, W, C], no padding, one thread an entry: of the output forward, of the input backward.
// Backward gathers: an entry looks at the windows over it, in the order of the taps, and takes the gradient of those
// whose first largest entry it is. Memory-bound; what windows share comes from the cache.
// Registers a thread, and occupancy, on an H100: max_pool_backward_f32 40 (75 %), max_pool_backward_u8 40 (75 %),
// max_pool_forward_f32 32 (100 %), max_pool_forward_u8 34 (75 %).

__device__ __forceinline__ bool larger(const float v, const float than) { return v > than || v != v; }  // NaN wins
__device__ __forceinline__ bool larger(const unsigned char v, const unsigned char than) { return v > than; }

template <class X>
__device__ __forceinline__ void forward(const X* __restrict__ x, X* __restrict__ y, const long long n, const int H,
                                        const int W, const int C, const int Ho, const int Wo, const int kh,
                                        const int kw, const int sy, const int sx)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const int c = i % C, ox = i / C % Wo, oy = i / C / Wo % Ho;
    const long long m = i / C / Wo / Ho;
    const X* const at = x + ((m * H + oy * sy) * W + ox * sx) * C + c;
    X best = at[0];
    for (int ky = 0; ky < kh; ++ky) {
        for (int kx = 0; kx < kw; ++kx) {
            const X v = at[((long long)ky * W + kx) * C];
            if (larger(v, best)) best = v;
        }
    }
    y[i] = best;
}

extern "C" __global__ void __launch_bounds__(256)
max_pool_forward_u8(const unsigned char* __restrict__ x, unsigned char* __restrict__ y, const long long n, const int H,
                    const int W, const int C, const int Ho, const int Wo, const int kh, const int kw, const int sy,
                    const int sx)
{
    forward(x, y, n, H, W, C, Ho, Wo, kh, kw, sy, sx);
}

extern "C" __global__ void __launch_bounds__(256)
max_pool_forward_f32(const float* __restrict__ x, float* __restrict__ y, const long long n, const int H, const int W,
                     const int C, const int Ho, const int Wo, const int kh, const int kw, const int sy, const int sx)
{
    forward(x, y, n, H, W, C, Ho, Wo, kh, kw, sy, sx);
}

template <class X>
__device__ __forceinline__ void backward(const float* __restrict__ gy, const X* __restrict__ x, const X* __restrict__ y,
                                         float* __restrict__ gx, const long long n, const int H, const int W,
                                         const int C, const int Ho, const int Wo, const int kh, const int kw,
                                         const int sy, const int sx)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const int c = i % C, ix = i / C % W, iy = i / C / W % H;
    const long long m = i / C / W / H;
    const X mine = x[i];
    float g = 0.0f;
    for (int ky = 0; ky < kh && ky <= iy; ++ky) {
        const int oy = (iy - ky) / sy;
        if ((iy - ky) % sy || oy >= Ho) continue;
        for (int kx = 0; kx < kw && kx <= ix; ++kx) {
            const int ox = (ix - kx) / sx;
            if ((ix - kx) % sx || ox >= Wo) continue;
            const long long o = ((m * Ho + oy) * Wo + ox) * C + c;
            if (!(mine == y[o])) continue;
            const X* const at = x + ((m * H + oy * sy) * W + ox * sx) * C + c;
            bool first = true;
            for (int tap = 0; first && tap < ky * kw + kx; ++tap)
                first = !(at[((long long)(tap / kw) * W + tap % kw) * C] == y[o]);
            if (first) g += gy[o];
        }
    }
    gx[i] = g;
}

extern "C" __global__ void __launch_bounds__(256)
max_pool_backward_u8(const float* __restrict__ gy, const unsigned char* __restrict__ x,
                     const unsigned char* __restrict__ y, float* __restrict__ gx, const long long n, const int H,
                     const int W, const int C, const int Ho, const int Wo, const int kh, const int kw, const int sy,
                     const int sx)
{
    backward(gy, x, y, gx, n, H, W, C, Ho, Wo, kh, kw, sy, sx);
}

extern "C" __global__ void __launch_bounds__(256)
max_pool_backward_f32(const float* __restrict__ gy, const float* __restrict__ x, const float* __restrict__ y,
                      float* __restrict__ gx, const long long n, const int H, const int W, const int C, const int Ho,
                      const int Wo, const int kh, const int kw, const int sy, const int sx)
{
    backward(gy, x, y, gx, n, H, W, C, Ho, Wo, kh, kw, sy, sx);
}
