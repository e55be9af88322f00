// The gradient of a convolution's input in float32 by tensor cores that multiply numbers of float16, 11 bits each.
//
// Each pixel of gy has a power of two p, and each input channel of w another, q, at which its largest magnitude lies
// between 2^14 and 2^15. So scaled, a float32 is the sum of two halves, high = the nearest one and low = the nearest
// one to what is left, but for 2^-23 of itself or 2^-39 of that largest magnitude, whichever is more: below 2^-14,
// halves are multiples of 2^-24. Of a product, low * high + high * low + high * high are added; low * low is 2^-22 of
// it at most. Powers of two change no bit, but where numbers end.
// Splitting reads gy once and writes as many bytes. The rest is an implicit GEMM, whose columns are nowhere in memory:
// a block of 4 warps takes 128 input pixels x 64 input channels. Step by step, a tap of 16 output channels, it copies
// the halves of gy under that tap, their pixels' powers and the halves of the weights into shared memory, three steps
// in turn. Tensor cores add 16 channels, all three products of them, the small ones first; times the pixel's power
// these sums are added in float32, rounded to nearest: how tensor cores round on the way matters 16 terms long, not
// hundreds.
// With a stride, pixels are taken by what is left of (y + ph) / sy and (x + pw) / sx: those of a block then have the
// same taps, and none is multiplied with zeros.
// What a multiprocessor must do for a step of a block, on an H100: 192 products of 2048 multiplications, 290 cycles at
// two thirds of the peak; 48 KB into, through and out of shared memory and the cache before it, 380 cycles at 128 B;
// 4 warps x 250 instructions, 250 cycles. 512 blocks, which 16 x 16 pixels of 128 channels have, go at once where four
// fit in a multiprocessor (528 on 132 of them); with three, the last 116 would run alone. Fewer blocks than three for
// each are quicker with the registers of three: 1.1 times on an H100. Tried there, too: one copy of gy for a line of
// taps, and blocks of 256 pixels; they were no quicker.
// Registers a thread, and occupancy, on an H100: halves_backward_input 127 (25 %), halves_split 40 (75 %).

#define TALL 2  // sixteens of pixels of a warp
#define PIXELS (64 * TALL)
#define INS 64
#define DEEP 16  // output channels of a step
#define ROW (4 * DEEP)  // bytes: as many high halves, then low ones
#define SCALES ((PIXELS + INS) * ROW)  // where the powers lie in a stage: after rows of pixels, then of channels
#define STAGE (SCALES + 4 * PIXELS)
#define STAGES 3
#define THREADS 128
#ifndef BLOCKS
#define BLOCKS 4  // of a multiprocessor; or 3, with more registers
#endif
#define NOWHERE 0x7fff  // a row that no image has
#define INFINITE 0x7f800000u
#define TOP 14  // the largest magnitude is from 2^TOP on
#define SHARE 16  // what pixels take off of the channels' power: else sums would end before float32 does
#define MOST_OF_PIXEL (126 - SHARE)  // the largest powers: 2^-(p + SHARE) and 2^(SHARE - q) are normal numbers
#define MOST_OF_CHANNEL (126 + SHARE)
#define MOST_WEIGHT 0x7e800000u  // 2^126 and more is as infinite
#define NOT_A_NUMBER 0x7fffffffu

#include "tensor.cuh"

#ifdef __CUDACC__  // on the CPU, these are in tests/support/shim/cuda.h
// The nearest half, ties to even; and a half as float32.
__device__ __forceinline__ unsigned short to_half(const float v)
{
    unsigned short r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(v));
    return r;
}
__device__ __forceinline__ float from_half(const unsigned short h)
{
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h));
    return r;
}

// 4 bytes to shared memory, as copy16.
__device__ __forceinline__ void copy4(const Shared to, const void* from, const bool inside)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(inside ? 4 : 0) : "memory");
#else
    unsigned v = 0;
    if (inside) v = *(const unsigned*)from;
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(v) : "memory");
#endif
}

// d [16, 8] += a [16, 16] times b [16, 8], of halves, in fragments as PTX has them for m16n8k16. In which order the
// products are added, and how that rounds, is not said.
__device__ __forceinline__ void multiply_halves(float (&d)[4], const unsigned (&a)[4], const unsigned b0,
                                                const unsigned b1)
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else  // Turing: by halves of the channels, whose fragments are parts of those
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(b0));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}
#endif

struct Layer {  // gx [M, H, W, Ci] from gy [M, Ho, Wo, Co], whose windows are [kh, kw]
    int H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw;
};

// 2^p, for p from -126 to 127.
__device__ __forceinline__ float two_to(const int p) { return __uint_as_float((unsigned)(127 + p) << 23); }

// The power of what has this largest magnitude, given in bits.
__device__ __forceinline__ int power(const unsigned bits, const int most)
{
    return min(TOP + 127 - (int)(bits >> 23), most);
}

__device__ __forceinline__ unsigned magnitude(const float v) { return __float_as_uint(v) & 0x7fffffffu; }

// v * 2^power in two steps, since 2^power may lie beyond float32; neither rounds what a half can tell from zero.
__device__ __forceinline__ void split(const float v, const int power, unsigned& high, unsigned& low)
{
    const int first = power >> 1;
    const float scaled = v * two_to(first) * two_to(power - first);
    high = to_half(scaled);
    low = to_half(scaled - from_half((unsigned short)high));
}

// Eight channels, zeros from channel `left` on. whole: they begin at 16 bytes, and `left` is a multiple of 4.
__device__ __forceinline__ void load_eight(float (&v)[8], const float* from, const int left, const bool whole)
{
    if (whole) {
#pragma unroll
        for (int k = 0; k < 8; k += 4) {
            float4 four = {0.0f, 0.0f, 0.0f, 0.0f};
            if (k < left) four = *(const float4*)(from + k);
            v[k] = four.x;
            v[k + 1] = four.y;
            v[k + 2] = four.z;
            v[k + 3] = four.w;
        }
        return;
    }
#pragma unroll
    for (int k = 0; k < 8; ++k) v[k] = k < left ? from[k] : 0.0f;
}

// gy [places, Co] to parts [sixteens of channels, 2, 2, places, 8], high then low, first eight then last, zeros where
// there is no channel, and scale [places], 2^-(p + SHARE). lanes: those of a place, a power of two up to 16, which take
// eight channels each.
__device__ __forceinline__ void split_gradient(const float* gy, unsigned short* parts, float* scale, const int block,
                                               const int lanes, const int places, const int Co, const bool whole)
{
    const int lane = threadIdx.x & (lanes - 1), at = block * (256 / lanes) + threadIdx.x / lanes;
    const int eights = 2 * ((Co + DEEP - 1) / DEEP);
    const float* const from = gy + (long long)at * Co;
    float v[8];
    unsigned most = 0;
    for (int j = lane; at < places && j < eights; j += lanes) {
        load_eight(v, from + 8 * j, Co - 8 * j, whole);
#pragma unroll
        for (int k = 0; k < 8; ++k) most = max(most, magnitude(v[k]));
    }
    for (int o = lanes >> 1; o; o >>= 1) most = max(most, __shfl_xor_sync(0xffffffffu, most, o));
    if (at >= places) return;
    const int p = power(most, MOST_OF_PIXEL);
    if (lane == 0) scale[at] = most >= INFINITE ? __uint_as_float(NOT_A_NUMBER) : two_to(-p - SHARE);
    for (int j = lane; j < eights; j += lanes) {
        if (eights > lanes) load_eight(v, from + 8 * j, Co - 8 * j, whole);  // else v has them still
        unsigned high[8], low[8];
#pragma unroll
        for (int k = 0; k < 8; ++k) split(v[k], p, high[k], low[k]);
        uint4* const to = (uint4*)parts + (long long)(4 * (j >> 1) + (j & 1)) * places + at;
        to[0] = {high[0] | high[1] << 16, high[2] | high[3] << 16, high[4] | high[5] << 16, high[6] | high[7] << 16};
        to[2LL * places] = {low[0] | low[1] << 16, low[2] | low[3] << 16, low[4] | low[5] << 16, low[6] | low[7] << 16};
    }
}

// w [taps, Ci, Co] to parts [sixteens of output channels, taps, tiles of 64 input channels, 64, 2, 16], high then low,
// zeros where there is no channel, and scale [tiles, 64], 2^(SHARE - q): input channel ci of them. found: shared, 8.
__device__ __forceinline__ void split_weights(const float* w, unsigned short* parts, float* scale, const int ci,
                                              const int wide, const int taps, const int Ci, const int Co,
                                              unsigned* const found)
{
    const int t = threadIdx.x, deep = (Co + DEEP - 1) / DEEP * DEEP;
    unsigned most = 0;
    for (int k = t; ci < Ci && k < taps * Co; k += 256)
        most = max(most, magnitude(w[((long long)(k / Co) * Ci + ci) * Co + k % Co]));
    for (int o = 16; o; o >>= 1) most = max(most, __shfl_xor_sync(0xffffffffu, most, o));
    if ((t & 31) == 0) found[t >> 5] = most;
    __syncthreads();
    for (int k = 0; k < 8; ++k) most = max(most, found[k]);
    const int q = power(most, MOST_OF_CHANNEL);
    if (t == 0) scale[ci] = most >= MOST_WEIGHT ? __uint_as_float(NOT_A_NUMBER) : two_to(SHARE - q);
    for (int k = t; k < taps * deep; k += 256) {
        const int tap = k / deep, co = k % deep;
        unsigned high = 0, low = 0;
        if (ci < Ci && co < Co) split(w[((long long)tap * Ci + ci) * Co + co], q, high, low);
        unsigned short* const to = parts + (((long long)(co / DEEP) * taps + tap) * wide + ci) * (2 * DEEP) + co % DEEP;
        to[0] = (unsigned short)high;
        to[DEEP] = (unsigned short)low;
    }
}

// Both: the first `wide` blocks, 64 for each tile, an input channel of w each; the others pixels of gy.
extern "C" __global__ void __launch_bounds__(256)
halves_split(const float* __restrict__ gy, unsigned short* __restrict__ gy_parts, float* __restrict__ gy_scale,
             const float* __restrict__ w, unsigned short* __restrict__ w_parts, float* __restrict__ w_scale,
             const int wide, const int lanes, const int places, const int taps, const int Ci, const int Co,
             const int whole)
{
    __shared__ unsigned found[8];
    const int block = blockIdx.x - wide;
    if (block < 0) split_weights(w, w_parts, w_scale, blockIdx.x, wide, taps, Ci, Co, found);
    else split_gradient(gy, gy_parts, gy_scale, block, lanes, places, Co, whole);
}

// Where the 16 bytes `chunk` of a row of a stage lie: eight rows that are read together meet eight groups of banks.
// A multiple of 8 rows further it is the same place there; two chunks on, bit 5 is the other.
__device__ __forceinline__ int place(const int row, const int chunk)
{
    return row * ROW + ((chunk ^ (row >> 1 & 3)) << 4);
}

// gx, from the halves of gy and of w and their scales.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
halves_backward_input(const unsigned short* __restrict__ gy, const float* __restrict__ gy_scale,
                      const unsigned short* __restrict__ w, const float* __restrict__ w_scale, float* __restrict__ gx,
                      const int images, const int H, const int W, const int Ci, const int Ho, const int Wo,
                      const int Co, const int kh, const int kw, const int sy, const int sx, const int ph, const int pw)
{
    __shared__ __align__(128) unsigned char memory[STAGES * STAGE];
    const Layer z = {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw};
    // the pixels of this block are (ay + sy * i, ax + sx * j): tap (ry + sy * s, rx + sx * t) of them lies in the
    // windows at (dy + i - s, dx + j - t), and no other tap in any
    const int ay = blockIdx.z / z.sx, ax = blockIdx.z % z.sx;
    const int rows = (z.H - ay + z.sy - 1) / z.sy, columns = (z.W - ax + z.sx - 1) / z.sx;
    const int pixels = ay < z.H && ax < z.W ? images * rows * columns : 0, first = blockIdx.x * PIXELS;
    if (first >= pixels) return;
    const int dy = (ay + z.ph) / z.sy, ry = ay + z.ph - dy * z.sy, dx = (ax + z.pw) / z.sx, rx = ax + z.pw - dx * z.sx;
    const int taps_y = (z.kh - ry + z.sy - 1) / z.sy, taps_x = (z.kw - rx + z.sx - 1) / z.sx;
    const int parts = (z.Co + DEEP - 1) / DEEP, steps = ry < z.kh && rx < z.kw ? taps_y * taps_x * parts : 0;
    const int t = threadIdx.x, lane = t & 31, pixel_of_warp = 16 * TALL * (t >> 5), first_in = blockIdx.y * INS;
    // This thread copies rows t + 128 i of pixels, all four chunks of them, and 32 bytes of the weights.
    int window[TALL / 2], place0[TALL / 2];  // the window that step 0 reads, of all images; its y and x, 16 bits each
#pragma unroll
    for (int i = 0; i < TALL / 2; ++i) {
        const int p = first + t + THREADS * i, q = p < pixels ? p : 0;
        const int y = dy + q / columns % rows, x = dx + q % columns;
        window[i] = (q / columns / rows * z.Ho + y) * z.Wo + x;
        place0[i] = (p < pixels ? y : NOWHERE) << 16 | x;
    }
    const long long plane = 8LL * images * z.Ho * z.Wo;  // eight channels of all places
    int s = 0, r = 0, tap = ry * z.kw + rx;  // of the step that is copied next
    const Shared base = shared_address(memory);
    auto copy = [&](const int stage) {  // chunks 0 and 1 of a row are high halves, 2 and 3 low ones
#pragma unroll
        for (int i = 0; i < TALL / 2; ++i) {
            const int oy = (place0[i] >> 16) - s, ox = (place0[i] & 0xffff) - r;
            const bool inside = (unsigned)oy < (unsigned)z.Ho && (unsigned)ox < (unsigned)z.Wo;
            const unsigned at = inside ? window[i] - s * z.Wo - r : 0;
#pragma unroll
            for (int k = 0; k < 4; ++k)
                copy16(base + stage + place(t, k) + THREADS * ROW * i, gy + k * plane + 8ULL * at, inside);
            copy4(base + stage + SCALES + 4 * (t + THREADS * i), gy_scale + at, inside);
        }
        const unsigned short* const from =
            w + (tap * (long long)gridDim.y + blockIdx.y) * (2 * DEEP * INS) + 8 * t;  // four threads a row
#pragma unroll
        for (int i = 0; i < INS / 32; ++i)
            copy16(base + stage + place(t >> 2, t & 3) + (PIXELS + 32 * i) * ROW, from + 32 * 2 * DEEP * i, true);
        tap += z.sx;
        if (++r == taps_x) {
            r = 0;
            tap += z.sy * z.kw - z.sx * taps_x;
            if (++s == taps_y) {
                s = 0;
                tap += z.kh * z.kw - z.sy * z.kw * taps_y;
                gy += 4 * plane;
            }
        }
    };
    float sums[TALL][8][4] = {};  // 16 pixels, 8 channels, entries of a thread
    const bool works = first + pixel_of_warp < pixels;
    const int of_pixels = place(pixel_of_warp + (lane & 15), lane >> 4);
    const int of_channels = PIXELS * ROW + place(lane & 7, lane >> 3);
#pragma unroll
    for (int k = 0; k < STAGES - 1; ++k) {
        if (k < steps) copy(k * STAGE);
        commit_copies();
    }
    int now = 0;  // where this step lies
#pragma unroll 1
    for (int still = steps; still > 0; --still) {  // steps to go
        wait_copies<STAGES - 2>();
        __syncthreads();  // the copies of all threads are there, and nobody reads the stage before this one any more
        if (still >= STAGES) copy(now == 0 ? (STAGES - 1) * STAGE : now - STAGE);  // the stage before it
        commit_copies();
        const Shared stage = base + now;
        const float* const scales = (const float*)(memory + now + SCALES) + pixel_of_warp + (lane >> 2);
        now = now == (STAGES - 1) * STAGE ? 0 : now + STAGE;
        if (!works) continue;
        unsigned high[TALL][4], low[TALL][4];
        float scale[TALL][2];  // of rows lane / 4 and 8 + lane / 4
#pragma unroll
        for (int i = 0; i < TALL; ++i) {
            load_matrices(high[i], stage + of_pixels + 16 * ROW * i);
            load_matrices(low[i], stage + (of_pixels ^ 32) + 16 * ROW * i);
            scale[i][0] = scales[16 * i];
            scale[i][1] = scales[16 * i + 8];
        }
#pragma unroll
        for (int n = 0; n < 8; ++n) {
            if (n % 2 == 0 && n && first_in + 8 * n >= z.Ci) break;  // and no loads come so early that registers spill
            unsigned b[4];  // of 8 channels: high halves of the first and last eight of 16, then low ones
            load_matrices(b, stage + of_channels + 8 * ROW * n);
            float sixteen[TALL][4] = {};  // sums over 16 channels
#pragma unroll
            for (int i = 0; i < TALL; ++i) multiply_halves(sixteen[i], low[i], b[0], b[1]);
#pragma unroll
            for (int i = 0; i < TALL; ++i) multiply_halves(sixteen[i], high[i], b[2], b[3]);
#pragma unroll
            for (int i = 0; i < TALL; ++i) multiply_halves(sixteen[i], high[i], b[0], b[1]);
#pragma unroll
            for (int i = 0; i < TALL; ++i)
#pragma unroll
                for (int e = 0; e < 4; ++e)  // times a power of two: fused, it rounds as a sum does
                    sums[i][n][e] = fmaf(sixteen[i][e], scale[i][e >> 1], sums[i][n][e]);
        }
    }
    if (!works) return;
    float* to[2 * TALL];
#pragma unroll
    for (int i = 0; i < 2 * TALL; ++i) {
        const int p = first + pixel_of_warp + 8 * i + (lane >> 2);
        const int y = ay + z.sy * (p / columns % rows), x = ax + z.sx * (p % columns);
        to[i] = p < pixels ? gx + (long long)((p / columns / rows * z.H + y) * z.W + x) * z.Ci : nullptr;
    }
#pragma unroll
    for (int n = 0; n < 8; ++n) {
        const int c = first_in + 8 * n + 2 * (lane & 3);
        const float2 scale = *(const float2*)(w_scale + c);
#pragma unroll
        for (int i = 0; i < 2 * TALL; ++i) {
            const float two[2] = {sums[i >> 1][n][2 * (i & 1)] * scale.x, sums[i >> 1][n][2 * (i & 1) + 1] * scale.y};
            if (!to[i]) continue;
            if (c + 1 < z.Ci && z.Ci % 2 == 0) *(float2*)(to[i] + c) = {two[0], two[1]};
            else
                for (int e = 0; e < 2; ++e)
                    if (c + e < z.Ci) to[i][c + e] = two[e];
        }
    }
}
