// The gather before a matrix product (im2col): row r of the columns holds the window under one pixel, [kh, kw, C].
// Block (32, 8): a warp takes a row, its lanes the entries of the window, which lie channel by channel. Memory-bound:
// 4 bytes written an entry; an input entry is read kh * kw times, from the cache but for the first.
// Registers a thread, and occupancy, on an H100: gather_columns_f32 38 (75 %), gather_columns_u8 38 (75 %),
// gather_gradients 46 (62 %).

template <class X>
__device__ __forceinline__ void gather(const X* __restrict__ x, float* __restrict__ columns, const long long first,
                                       const long long rows, const int H, const int W, const int C, const int Ho,
                                       const int Wo, const int kh, const int kw, const int sy, const int sx,
                                       const int ph, const int pw)
{
    const int K = kh * kw * C;
    for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < rows; r += (long long)gridDim.x * ROWS) {
        const long long pixel = first + r, m = pixel / Wo / Ho;
        const int x0 = (int)(pixel % Wo) * sx - pw, y0 = (int)(pixel / Wo % Ho) * sy - ph;
        for (int k = threadIdx.x; k < K; k += LANES) {
            const int c = k % C, iy = y0 + k / C / kw, ix = x0 + k / C % kw;
            const bool inside = iy >= 0 && iy < H && ix >= 0 && ix < W;
            columns[r * K + k] = inside ? (float)x[((m * H + iy) * W + ix) * C + c] : 0.0f;
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
gather_columns_u8(const unsigned char* __restrict__ x, float* __restrict__ columns, const long long first,
                  const long long rows, const int H, const int W, const int C, const int Ho, const int Wo, const int kh,
                  const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather(x, columns, first, rows, H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw);
}

extern "C" __global__ void __launch_bounds__(256)
gather_columns_f32(const float* __restrict__ x, float* __restrict__ columns, const long long first,
                   const long long rows, const int H, const int W, const int C, const int Ho, const int Wo,
                   const int kh, const int kw, const int sy, const int sx, const int ph, const int pw)
{
    gather(x, columns, first, rows, H, W, C, Ho, Wo, kh, kw, sy, sx, ph, pw);
}

// For the gradient of the input: row r, one input pixel, holds the entries of gy [M, Ho, Wo, C] that it went into, tap
// by tap, zero where no window put that tap there.
extern "C" __global__ void __launch_bounds__(256)
gather_gradients(const float* __restrict__ gy, float* __restrict__ columns, const long long first, const long long rows,
                 const int H, const int W, const int C, const int Ho, const int Wo, const int kh, const int kw,
                 const int sy, const int sx, const int ph, const int pw)
{
    const int K = kh * kw * C;
    for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < rows; r += (long long)gridDim.x * ROWS) {
        const long long pixel = first + r, m = pixel / W / H;
        const int x0 = (int)(pixel % W) + pw, y0 = (int)(pixel / W % H) + ph;
        for (int k = threadIdx.x; k < K; k += LANES) {
            const int c = k % C, dy = y0 - k / C / kw, dx = x0 - k / C % kw;
            const int oy = dy / sy, ox = dx / sx;
            const bool reached = dy >= 0 && dx >= 0 && dy % sy == 0 && dx % sx == 0 && oy < Ho && ox < Wo;
            columns[r * K + k] = reached ? gy[((m * Ho + oy) * Wo + ox) * C + c] : 0.0f;
        }
    }
}
