// The gather before a matrix product (im2col): row r of the columns holds the window under one pixel, [kh, kw, C].
// Block (lanes, rows): the lanes of a row lie along the channels, V neighbouring channels each (four where C % 4 == 0),
// and walk through the taps of the window; where a row is costs two divisions, a tap none. Memory-bound: 4 bytes
// written an entry; an input entry is read kh * kw times, from the cache but for the first. Of a window 3 wide the
// three loads of a row of taps are under way before the first is stored.
// Instructions an entry, counted in the machine code for sm_90 at C = 64 and a 3 x 3 window: gather_columns4_u8 9,
// gather_columns4_f32 8, gather_gradients4_f32 14.
// Registers a thread, and occupancy, on an H100: gather_columns4_f32 32 (100 %), gather_columns4_u8 32 (100 %),
// gather_columns_f32 30 (100 %), gather_columns_u8 28 (100 %), gather_gradients4_f32 30 (100 %),
// gather_gradients_f32 32 (100 %).

template <class X, int V> struct Pack;  // V neighbouring channels in one load
template <> struct Pack<unsigned char, 1> { typedef unsigned char type; };
template <> struct Pack<float, 1> { typedef float type; };
template <> struct Pack<unsigned char, 4> { typedef unsigned type; };
template <> struct Pack<float, 4> { typedef float4 type; };

__device__ __forceinline__ void store(float* to, const unsigned char v) { *to = (float)v; }
__device__ __forceinline__ void store(float* to, const float v) { *to = v; }
__device__ __forceinline__ void store(float* to, const float4 v) { *(float4*)to = v; }
__device__ __forceinline__ void store(float* to, const unsigned v)  // four bytes: 2^23 + byte by its bits, less 2^23
{
    float4 wide;
    wide.x = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7540)) - 8388608.0f;
    wide.y = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7541)) - 8388608.0f;
    wide.z = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7542)) - 8388608.0f;
    wide.w = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7543)) - 8388608.0f;
    *(float4*)to = wide;
}

struct Sizes {  // x [M, H, W, C], a window [kh, kw] at each of Ho x Wo places
    int H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw;
};

// The taps of one window, whose first lies at (y0, x0) of the image; KW: its width, if that is known, else 0.
template <int KW, int V, class X>
__device__ __forceinline__ void window(const X* __restrict__ image, float* __restrict__ out, const int y0, const int x0,
                                       const Sizes& z)
{
    typedef typename Pack<X, V>::type P;
    const int kw = KW ? KW : z.kw;
    constexpr int N = KW ? KW : 1;  // taps on their way at once
    for (int c = V * threadIdx.x; c < z.C; c += V * blockDim.x) {
        const X* row = image + ((long long)y0 * z.W + x0) * z.C + c;
        float* to = out + c;
#pragma unroll 1
        for (int ky = 0; ky < z.kh; ++ky) {
            const bool within = (unsigned)(y0 + ky) < (unsigned)z.H;
#pragma unroll 1
            for (int kx = 0; kx < kw; kx += N) {
                P got[N];
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    got[i] = P{};
                    if (within && (unsigned)(x0 + kx + i) < (unsigned)z.W) got[i] = *(const P*)(row + (kx + i) * z.C);
                }
#pragma unroll
                for (int i = 0; i < N; ++i) store(to + i * z.C, got[i]);
                to += N * z.C;
            }
            row += (long long)z.W * z.C;
        }
    }
}

// The first row of the columns belongs to pixel `start` of image `first`.
template <int V, class X>
__device__ __forceinline__ void gather(const X* __restrict__ x, float* __restrict__ columns, const long long first,
                                       const int start, const int rows, const Sizes& z)
{
    const long long K = (long long)z.kh * z.kw * z.C, image = (long long)z.H * z.W * z.C;
    for (unsigned r = blockIdx.x * blockDim.y + threadIdx.y; r < (unsigned)rows; r += gridDim.x * blockDim.y) {
        const unsigned pixel = start + r, line = pixel / z.Wo, m = line / z.Ho;
        const int x0 = (int)(pixel - line * z.Wo) * z.sx - z.pw, y0 = (int)(line - m * z.Ho) * z.sy - z.ph;
        const X* const at = x + (first + m) * image;
        if (V == 4 && z.kw == 3) window<3, V>(at, columns + r * K, y0, x0, z);
        else window<0, V>(at, columns + r * K, y0, x0, z);
    }
}

extern "C" __global__ void __launch_bounds__(256)
gather_columns_u8(const unsigned char* __restrict__ x, float* __restrict__ columns, const long long first, const int
                  start, const int rows, const int H, const int W, const int C, const int Ho, const int Wo, const int
                  kh, const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather<1>(x, columns, first, start, rows, {H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw});
}

extern "C" __global__ void __launch_bounds__(256)
gather_columns_f32(const float* __restrict__ x, float* __restrict__ columns, const long long first, const int start,
                   const int rows, const int H, const int W, const int C, const int Ho, const int Wo, const int kh,
                   const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather<1>(x, columns, first, start, rows, {H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw});
}

extern "C" __global__ void __launch_bounds__(256)
gather_columns4_u8(const unsigned char* __restrict__ x, float* __restrict__ columns, const long long first, const int
                   start, const int rows, const int H, const int W, const int C, const int Ho, const int Wo, const int
                   kh, const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather<4>(x, columns, first, start, rows, {H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw});
}

extern "C" __global__ void __launch_bounds__(256)
gather_columns4_f32(const float* __restrict__ x, float* __restrict__ columns, const long long first, const int start,
                    const int rows, const int H, const int W, const int C, const int Ho, const int Wo, const int kh,
                    const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather<4>(x, columns, first, start, rows, {H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw});
}

// For the gradient of the input with a stride: row r, one input pixel, holds the entries of gy [M, Ho, Wo, C] that it
// went into, tap by tap, zero where no window put that tap there. Tap kx reached pixel x from window
// (x + pw - kx) / sx, if there is no remainder; both are counted down from tap to tap.
template <int V>
__device__ __forceinline__ void gather_back(const float* __restrict__ gy, float* __restrict__ columns,
                                            const long long first, const int start, const int rows, const Sizes& z)
{
    typedef typename Pack<float, V>::type P;
    const long long K = (long long)z.kh * z.kw * z.C, image = (long long)z.Ho * z.Wo * z.C;
    for (unsigned r = blockIdx.x * blockDim.y + threadIdx.y; r < (unsigned)rows; r += gridDim.x * blockDim.y) {
        const unsigned pixel = start + r, line = pixel / z.W, m = line / z.H;
        const unsigned x0 = pixel - line * z.W + z.pw, y0 = line - m * z.H + z.ph;
        const int ox0 = x0 / z.sx, rest0 = x0 - ox0 * z.sx;
        const float* const at = gy + (first + m) * image;
        for (int c = V * threadIdx.x; c < z.C; c += V * blockDim.x) {
            float* to = columns + r * K + c;
#pragma unroll 1
            for (int ky = 0; ky < z.kh; ++ky) {
                const unsigned oy = (y0 - ky) / z.sy;  // large where tap ky lies above the image
                const bool row = (unsigned)ky <= y0 && oy * z.sy == y0 - ky && oy < (unsigned)z.Ho;
                const float* from = at + ((long long)(row ? oy : 0) * z.Wo + ox0) * z.C + c;
                int ox = ox0, rest = rest0;
#pragma unroll 1
                for (int kx = 0; kx < z.kw; ++kx) {
                    P got = P{};
                    if (row && rest == 0 && (unsigned)ox < (unsigned)z.Wo) got = *(const P*)from;
                    store(to, got);
                    to += z.C;
                    if (--rest < 0) {
                        rest = z.sx - 1;
                        --ox;
                        from -= z.C;
                    }
                }
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
gather_gradients_f32(const float* __restrict__ gy, float* __restrict__ columns, const long long first, const int start,
                     const int rows, const int H, const int W, const int C, const int Ho, const int Wo, const int kh,
                     const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather_back<1>(gy, columns, first, start, rows, {H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw});
}

extern "C" __global__ void __launch_bounds__(256)
gather_gradients4_f32(const float* __restrict__ gy, float* __restrict__ columns, const long long first, const int start,
                      const int rows, const int H, const int W, const int C, const int Ho, const int Wo, const int kh,
                      const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather_back<4>(gy, columns, first, start, rows, {H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw});
}
