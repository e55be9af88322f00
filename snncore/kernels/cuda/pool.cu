// Max pooling of images x [M, H, W, C], no padding. Where windows lie side by side (stride = kernel) and C % 4 == 0, a
// thread takes four channels of one window, forward and backward. Else it takes one entry, of the output forward, of
// the input backward; backward then gathers: an entry looks at the windows over it, in the order of the taps, and takes
// the gradient of those whose first largest entry it is. Memory-bound; what windows share comes from the cache.
// Registers a thread, and occupancy, on an H100: max_pool4_backward_f32 42 (62 %), max_pool4_backward_u8 40 (75 %),
// max_pool4_forward_f32 37 (75 %), max_pool4_forward_u8 28 (100 %), max_pool_backward_f32 40 (75 %),
// max_pool_backward_u8 40 (75 %), max_pool_forward_f32 32 (100 %), max_pool_forward_u8 34 (75 %).

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

// Four channels of a window.
template <class X> struct Four;
template <> struct Four<float> { typedef float4 type; };
template <> struct Four<unsigned char> { typedef unsigned type; };  // its bytes

__device__ __forceinline__ float4 largest(const float4 v, const float4 best)
{
    float4 r;
    r.x = larger(v.x, best.x) ? v.x : best.x;
    r.y = larger(v.y, best.y) ? v.y : best.y;
    r.z = larger(v.z, best.z) ? v.z : best.z;
    r.w = larger(v.w, best.w) ? v.w : best.w;
    return r;
}
__device__ __forceinline__ unsigned largest(const unsigned v, const unsigned best) { return __vmaxu4(v, best); }

// Which of four entries are equal, a bit each.
__device__ __forceinline__ unsigned same(const float4 v, const float4 y)
{
    return (v.x == y.x ? 1u : 0u) | (v.y == y.y ? 2u : 0u) | (v.z == y.z ? 4u : 0u) | (v.w == y.w ? 8u : 0u);
}
__device__ __forceinline__ unsigned same(const unsigned v, const unsigned y)
{
    const unsigned d = v ^ y;
    return (d & 0xffu ? 0u : 1u) | (d & 0xff00u ? 0u : 2u) | (d & 0xff0000u ? 0u : 4u) | (d & 0xff000000u ? 0u : 8u);
}

// Block (lanes, windows). K: height and width of the window, if that is 2, else 0.
template <int K, class X>
__device__ __forceinline__ void forward4(const X* __restrict__ x, X* __restrict__ y, const int windows, const int H,
                                         const int W, const int C, const int Ho, const int Wo, const int kh,
                                         const int kw)
{
    typedef typename Four<X>::type P;
    const unsigned r = blockIdx.x * blockDim.y + threadIdx.y;
    if (r >= (unsigned)windows) return;
    const unsigned line = r / Wo, m = line / Ho, ox = r - line * Wo, oy = line - m * Ho;
    const int height = K ? K : kh, width = K ? K : kw;
    for (int c = 4 * threadIdx.x; c < C; c += 4 * blockDim.x) {
        const X* const at = x + (((long long)m * H + oy * height) * W + ox * width) * C + c;
        P best = *(const P*)at;
#pragma unroll 2
        for (int ky = 0; ky < height; ++ky) {
#pragma unroll 2
            for (int kx = 0; kx < width; ++kx) best = largest(*(const P*)(at + ((long long)ky * W + kx) * C), best);
        }
        *(P*)(y + (long long)r * C + c) = best;
    }
}

// `windows` of M x Hc x Wc, which cover the image: those that reach beyond it are none of the output, and get zeros.
template <int K, class X>
__device__ __forceinline__ void backward4(const float* __restrict__ gy, const X* __restrict__ x,
                                          const X* __restrict__ y, float* __restrict__ gx, const int windows,
                                          const int H, const int W, const int C, const int Ho, const int Wo,
                                          const int Hc, const int Wc, const int kh, const int kw)
{
    typedef typename Four<X>::type P;
    const unsigned r = blockIdx.x * blockDim.y + threadIdx.y;
    if (r >= (unsigned)windows) return;
    const unsigned line = r / Wc, m = line / Hc;
    const int ox = r - line * Wc, oy = line - m * Hc, height = K ? K : kh, width = K ? K : kw;
    const bool whole = ox < Wo && oy < Ho;
    for (int c = 4 * threadIdx.x; c < C; c += 4 * blockDim.x) {
        const long long o = (((long long)m * Ho + oy) * Wo + ox) * C + c;
        const long long corner = (((long long)m * H + oy * height) * W + ox * width) * C + c;
        float4 g = float4();
        P best = P();
        unsigned free = 0u;  // channels whose largest entry was not met yet
        if (whole) {
            g = *(const float4*)(gy + o);
            best = *(const P*)(y + o);
            free = 15u;
        }
#pragma unroll 2
        for (int ky = 0; ky < height; ++ky) {
#pragma unroll 2
            for (int kx = 0; kx < width; ++kx) {
                if (oy * height + ky >= H || ox * width + kx >= W) continue;
                const long long i = corner + ((long long)ky * W + kx) * C;
                const unsigned hit = same(*(const P*)(x + i), best) & free;
                free &= ~hit;
                float4 out;
                out.x = hit & 1u ? g.x : 0.0f;
                out.y = hit & 2u ? g.y : 0.0f;
                out.z = hit & 4u ? g.z : 0.0f;
                out.w = hit & 8u ? g.w : 0.0f;
                *(float4*)(gx + i) = out;
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, 4)
max_pool4_forward_u8(const unsigned char* __restrict__ x, unsigned char* __restrict__ y, const int windows, const int H,
                     const int W, const int C, const int Ho, const int Wo, const int kh, const int kw)
{
    if (kh == 2 && kw == 2) forward4<2>(x, y, windows, H, W, C, Ho, Wo, kh, kw);
    else forward4<0>(x, y, windows, H, W, C, Ho, Wo, kh, kw);
}

extern "C" __global__ void __launch_bounds__(256, 4)
max_pool4_backward_u8(const float* __restrict__ gy, const unsigned char* __restrict__ x, const unsigned char*
                      __restrict__ y, float* __restrict__ gx, const int windows, const int H, const int W, const int C,
                      const int Ho, const int Wo, const int Hc, const int Wc, const int kh, const int kw)
{
    if (kh == 2 && kw == 2) backward4<2>(gy, x, y, gx, windows, H, W, C, Ho, Wo, Hc, Wc, kh, kw);
    else backward4<0>(gy, x, y, gx, windows, H, W, C, Ho, Wo, Hc, Wc, kh, kw);
}

extern "C" __global__ void __launch_bounds__(256, 4)
max_pool4_forward_f32(const float* __restrict__ x, float* __restrict__ y, const int windows, const int H, const int W,
                      const int C, const int Ho, const int Wo, const int kh, const int kw)
{
    if (kh == 2 && kw == 2) forward4<2>(x, y, windows, H, W, C, Ho, Wo, kh, kw);
    else forward4<0>(x, y, windows, H, W, C, Ho, Wo, kh, kw);
}

extern "C" __global__ void __launch_bounds__(256, 4)
max_pool4_backward_f32(const float* __restrict__ gy, const float* __restrict__ x, const float* __restrict__ y, float*
                       __restrict__ gx, const int windows, const int H, const int W, const int C, const int Ho, const
                       int Wo, const int Hc, const int Wc, const int kh, const int kw)
{
    if (kh == 2 && kw == 2) backward4<2>(gy, x, y, gx, windows, H, W, C, Ho, Wo, Hc, Wc, kh, kw);
    else backward4<0>(gy, x, y, gx, windows, H, W, C, Ho, Wo, Hc, Wc, kh, kw);
}
