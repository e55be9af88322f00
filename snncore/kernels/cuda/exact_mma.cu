// Exact convolution of spikes on integer tensor cores: an implicit GEMM, whose columns are nowhere in memory. A block
// of 4 warps takes 128 pixels x 32 output channels. Step by step, a tap of 64 input channels, it copies the spikes
// under that tap and the four digits of the weights into shared memory, three steps in turn, and multiplies bytes into
// sums of 32 bits, which cannot overflow (exact.py). Those of the digits are joined in 64 bits and rounded to float32
// once. A warp has 64 pixels x 16 channels x 4 digits: 128 sums a thread, so that what it loads from shared memory is
// multiplied often. With TALL 2 twice as many warps have half as many each, as Blackwell needs: these products are
// longer code there, which else spills.
// Taps turn faster than parts of channels, so that the spikes of a step are mostly in the first-level cache already.
// Registers a thread, and occupancy, on an H100: exact_mma_bytes 234 (12 %), exact_mma_pieces 234 (12 %).

#define PIXELS 128
#define OUTS 32
#define DEEP 64  // bytes of a row: input channels of a step
#define STAGES 3
#ifndef TALL
#define TALL 4  // sixteens of pixels of a warp; 4 or 2
#endif
#define THREADS (512 / TALL)
#define ROWS_AT_ONCE (THREADS / 4)  // that a block copies
#define COPIES (PIXELS / ROWS_AT_ONCE)  // rows of pixels, and as many of channels, of which a thread copies 16 bytes
#define STAGE ((PIXELS + 4 * OUTS) * DEEP)  // rows of pixels, then of channels, digit by digit
#if __CUDA_ARCH__ >= 1000 || __CUDA_ARCH__ < 800  // of a multiprocessor; Turing has shared memory for no more
#define BLOCKS 1
#else
#define BLOCKS 2
#endif

#include "tensor.cuh"

struct Layer {  // x [M, H, W, Ci], a window [kh, kw] at each of Ho x Wo places
    int H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw;
};

// Where the 16 bytes `chunk` of a row of a tile lie: eight rows that are read together meet eight pairs of banks.
// A multiple of 8 rows further it is the same place there.
__device__ __forceinline__ int place(const int row, const int chunk)
{
    return row * DEEP + ((chunk ^ (row >> 1 & 3)) << 4);
}

// The sum in float32, in the order of the window: for a layer with weights that are not ordinary.
__device__ __forceinline__ float float32_sum(const unsigned char* __restrict__ x, const float* __restrict__ w,
                                             const int p, const int o, const Layer& z)
{
    const int x0 = p % z.Wo * z.sx - z.pw, y0 = p / z.Wo % z.Ho * z.sy - z.ph;
    const unsigned char* const image = x + (long long)(p / z.Wo / z.Ho) * z.H * z.W * z.Ci;
    float sum = 0.0f;
#pragma unroll 1
    for (int tap = 0; tap < z.kh * z.kw; ++tap) {
        const int iy = y0 + tap / z.kw, ix = x0 + tap % z.kw;
        const bool inside = (unsigned)iy < (unsigned)z.H && (unsigned)ix < (unsigned)z.W;
        const unsigned char* const from = image + (inside ? ((long long)iy * z.W + ix) * z.Ci : 0);
#pragma unroll 1
        for (int c = 0; c < z.Ci; ++c)
            sum += (inside ? (float)from[c] : 0.0f) * w[((long long)tap * z.Ci + c) * z.Co + o];
    }
    return sum;
}

// WHOLE: Ci is a multiple of 16, and so is where x begins. memory: shared, of STAGES stages.
template <bool WHOLE>
__device__ __forceinline__ void convolve(const unsigned char* __restrict__ x, const signed char* __restrict__ digits,
                                         const float* __restrict__ w, const float* __restrict__ scale,
                                         const int* __restrict__ flags, float* __restrict__ y, const int pixels,
                                         const int checks, const Layer& z, unsigned char* const memory)
{
    const int t = threadIdx.x, lane = t & 31, warp = t >> 5;
    const int pixel_of_warp = warp % (8 / TALL) * 16 * TALL, out_of_warp = warp / (8 / TALL) * 16;
    const int first = blockIdx.x * PIXELS, first_out = blockIdx.y * OUTS;
    int bad = 0;
    for (int i = lane; i < checks; i += 32) bad |= flags[i];
    if (__any_sync(0xffffffffu, bad)) {
#pragma unroll 1
        for (int k = t; k < PIXELS * OUTS; k += THREADS) {
            const int p = first + k / OUTS, o = first_out + k % OUTS;
            if (p < pixels && o < z.Co) y[(long long)p * z.Co + o] = float32_sum(x, w, p, o, z);
        }
        return;
    }
    const int row = t >> 2, chunk = t & 3;  // this thread copies 16 bytes of rows row + ROWS_AT_ONCE * i
    long long window[COPIES];  // where windows begin in x, be it outside
    int x0[COPIES], y0[COPIES];
#pragma unroll
    for (int i = 0; i < COPIES; ++i) {
        const int p = first + row + ROWS_AT_ONCE * i, q = p < pixels ? p : 0, line = q / z.Wo, image = line / z.Ho;
        x0[i] = (q - line * z.Wo) * z.sx - z.pw;
        y0[i] = (line - image * z.Ho) * z.sy - z.ph;
        window[i] = (((long long)image * z.H + y0[i]) * z.W + x0[i]) * z.Ci + 16 * chunk;
        if (p >= pixels) y0[i] = -(1 << 30);
    }
    const long long wide = (long long)gridDim.y * OUTS * DEEP;  // bytes of a digit of a step
    const signed char* from = digits + (row >> 5) * wide + (first_out + (row & 31)) * DEEP + 16 * chunk;
    const int steps = z.kh * z.kw * ((z.Ci + DEEP - 1) / DEEP);
    int ky = 0, kx = 0, c0 = 0, within = 0;  // of the step that is copied next; its place in a window
    const Shared base = shared_address(memory);
    auto copy = [&](const int stage) {
#pragma unroll
        for (int i = 0; i < COPIES; ++i) {
            const int iy = y0[i] + ky, ix = x0[i] + kx, left = z.Ci - c0 - 16 * chunk;
            const bool inside = (unsigned)iy < (unsigned)z.H && (unsigned)ix < (unsigned)z.W && left > 0;
            const unsigned char* const at = x + (inside ? window[i] + within : 0);
            const int to = stage + place(row, chunk) + ROWS_AT_ONCE * DEEP * i;
            if (WHOLE) copy16(base + to, at, inside);
            else copy_bytes(memory + to, at, inside ? left : 0);
        }
#pragma unroll
        for (int i = 0; i < COPIES; ++i)
            copy16(base + stage + place(row, chunk) + (PIXELS + ROWS_AT_ONCE * i) * DEEP,
                   from + i * (ROWS_AT_ONCE / OUTS) * wide, true);
        from += 4 * wide;
        within += z.Ci;
        if (++kx == z.kw) {
            kx = 0;
            within += (z.W - z.kw) * z.Ci;
            if (++ky == z.kh) {
                ky = 0;
                c0 += DEEP;
                within = c0;
            }
        }
    };
    int sums[4][TALL][2][4] = {};  // digit, 16 pixels, 8 channels, entries of a thread
    const bool works = first + pixel_of_warp < pixels && first_out + out_of_warp < z.Co;
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < steps) copy(s * STAGE);
        commit_copies();
    }
    int now = 0, next = (STAGES - 1) * STAGE;  // where this step lies, and where the one goes that is copied meanwhile
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        wait_copies<STAGES - 2>();
        __syncthreads();  // the copies of all threads are there, and nobody reads the stage before this one any more
        if (step + STAGES - 1 < steps) copy(next);
        commit_copies();
        const Shared stage = base + now;
        now = now == (STAGES - 1) * STAGE ? 0 : now + STAGE;
        next = next == (STAGES - 1) * STAGE ? 0 : next + STAGE;
        if (!works) continue;
#pragma unroll
        for (int k = 0; k < DEEP / 32; ++k) {
            unsigned a[TALL][4];
#pragma unroll
            for (int i = 0; i < TALL; ++i)
                load_matrices(a[i], stage + place(pixel_of_warp + (lane & 15), 2 * k + (lane >> 4)) + 16 * DEEP * i);
#pragma unroll
            for (int d = 0; d < 4; ++d) {
                unsigned b[4];
                const int channel = out_of_warp + (lane & 7) + (lane >> 4) * 8;
                load_matrices(b, stage + place(channel, 2 * k + (lane >> 3 & 1)) + (PIXELS + d * OUTS) * DEEP);
#pragma unroll
                for (int i = 0; i < TALL; ++i) {
                    multiply_bytes(sums[d][i][0], a[i], b[0], b[1]);
                    multiply_bytes(sums[d][i][1], a[i], b[2], b[3]);
                }
            }
        }
    }
    if (!works) return;
#pragma unroll
    for (int i = 0; i < TALL; ++i) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const int p = first + pixel_of_warp + 16 * i + 8 * h + (lane >> 2);
            if (p >= pixels) continue;
            float* const to = y + (long long)p * z.Co;
#pragma unroll
            for (int n = 0; n < 2; ++n) {
                const int o = first_out + out_of_warp + 8 * n + 2 * (lane & 3);
                float out[2];
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    const int r = 2 * h + e;
                    const long long high = (long long)sums[3][i][n][r] * 256 + sums[2][i][n][r];
                    const long long low = (long long)sums[1][i][n][r] * 256 + sums[0][i][n][r];
                    out[e] = (float)(high * 65536 + low) * (o + e < z.Co ? scale[o + e] : 0.0f);
                }
                if (o + 1 < z.Co && z.Co % 2 == 0) *(float2*)(to + o) = {out[0], out[1]};
                else
                    for (int e = 0; e < 2; ++e)
                        if (o + e < z.Co) to[o + e] = out[e];
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
exact_mma_pieces(const unsigned char* __restrict__ x, const signed char* __restrict__ digits,
                 const float* __restrict__ w, const float* __restrict__ scale, const int* __restrict__ flags,
                 float* __restrict__ y, const int pixels, const int checks, const int H, const int W,
                 const int Ci, const int Ho, const int Wo, const int Co, const int kh, const int kw, const int sy,
                 const int sx, const int ph, const int pw)
{
    __shared__ __align__(128) unsigned char memory[STAGES * STAGE];
    const Layer layer = {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw};
    convolve<true>(x, digits, w, scale, flags, y, pixels, checks, layer, memory);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
exact_mma_bytes(const unsigned char* __restrict__ x, const signed char* __restrict__ digits,
                const float* __restrict__ w, const float* __restrict__ scale, const int* __restrict__ flags,
                float* __restrict__ y, const int pixels, const int checks, const int H, const int W,
                const int Ci, const int Ho, const int Wo, const int Co, const int kh, const int kw, const int sy,
                const int sx, const int ph, const int pw)
{
    __shared__ __align__(128) unsigned char memory[STAGES * STAGE];
    const Layer layer = {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw};
    convolve<false>(x, digits, w, scale, flags, y, pixels, checks, layer, memory);
}
