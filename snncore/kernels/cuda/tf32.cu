// The gradient of a convolution's input in float32 by tensor cores, which multiply numbers of 10 bits of mantissa
// (TF32): each float32 is the sum of two such numbers, high = the nearest one and low = the nearest one to what is
// left, and a product is low * high + high * low + high * high. What is left out, low * low, is 2^-22 of it at most.
// An implicit GEMM, whose columns are nowhere in memory: a block of 4 warps takes 128 input pixels x 64 input channels.
// Step by step, a tap of 16 output channels, it copies gy under that tap and both parts of the weights into shared
// memory, three steps in turn. Tensor cores add eight channels, all three products of them, and these sums are added
// in float32, rounded to nearest: how tensor cores round on the way then matters eight terms long, not hundreds.
// With a stride, pixels are taken by what is left of (y + ph) / sy and (x + pw) / sx: those of a block then have the
// same taps, and none is multiplied with zeros.
// A warp has 32 pixels x 64 channels: 64 sums a thread.
// Instructions of a warp and eight channels, counted in the machine code for sm_90: 48 products, 64 additions of their
// sums, 56 to split the gradient, 10 loads from shared memory, some 45 of all else.
// Registers a thread, and occupancy, on an H100: tf32_gradient_floats 168 (19 %), tf32_gradient_pieces 168 (19 %),
// tf32_split_weights 32 (100 %).

#define PIXELS 128
#define INS 64
#define DEEP 16  // floats of a row: output channels of a step
#define ROW (4 * DEEP)
#define STAGES 3
#define STAGE ((PIXELS + 2 * INS) * ROW)  // rows of pixels, then of channels: high parts, low parts
#define THREADS 128
#define NOWHERE 0x7fff  // a row that no image has

#include "tensor.cuh"

#ifdef __CUDACC__  // on the CPU, these are in tests/support/shim/cuda.h
// A float32 to the nearest number of 10 bits of mantissa, halves away from zero. Above (2 - 2^-11) 2^127 that is
// infinite; what is not finite stays so.
__device__ __forceinline__ unsigned round_tf32(const float v)
{
    unsigned r = 0;
#if __CUDA_ARCH__ >= 800
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
#endif
    return r;
}

// d [16, 8] = a [16, 8] times b [8, 8], of numbers in TF32; in fragments as PTX has them for m16n8k8. In which order
// eight products are added, and how that rounds, is not said. Turing cannot.
__device__ __forceinline__ void multiply_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned b0,
                                              const unsigned b1)
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%10, %10, %10, %10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
#else
    asm volatile("trap;");
#endif
}

// The same, added to d.
__device__ __forceinline__ void multiply_add_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned b0,
                                                  const unsigned b1)
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
#endif

struct Layer {  // gx [M, H, W, Ci] from gy [M, Ho, Wo, Co], whose windows are [kh, kw]
    int H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw;
};

__device__ __forceinline__ void split(const float v, unsigned& high, unsigned& low)
{
    high = round_tf32(v);
    low = round_tf32(v - __uint_as_float(high));
}

// w [taps, Ci, Co] to parts [parts of 16 output channels, taps, tiles of 64 input channels, 2, 64, 16]: high, then low;
// zeros where there is no channel. entries: of one half of that.
extern "C" __global__ void __launch_bounds__(256)
tf32_split_weights(const float* __restrict__ w, float* __restrict__ parts, const long long entries, const int taps,
                   const int Ci, const int Co)
{
    const int tiles = (Ci + INS - 1) / INS;
    for (long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x; k < entries;
         k += (long long)gridDim.x * blockDim.x) {
        const int within = (int)(k % (INS * DEEP));
        const long long tile = k / (INS * DEEP), tap = tile / tiles;
        const long long ci = tile % tiles * INS + within / DEEP, co = tap / taps * DEEP + within % DEEP;
        unsigned high = 0, low = 0;
        if (ci < Ci && co < Co) split(w[(tap % taps * Ci + ci) * Co + co], high, low);
        float* const to = parts + 2 * tile * INS * DEEP + within;
        to[0] = __uint_as_float(high);
        to[INS * DEEP] = __uint_as_float(low);
    }
}

// Where the 16 bytes `chunk` of a row of a tile lie: eight rows that are read together meet eight pairs of banks.
// A multiple of 8 rows further it is the same place there.
__device__ __forceinline__ int place(const int row, const int chunk)
{
    return row * ROW + ((chunk ^ (row >> 1 & 3)) << 4);
}

// Four channels of a row into shared memory one by one, zeros from channel `left` on.
__device__ __forceinline__ void copy_floats(void* to, const float* from, const int left)
{
    float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int k = 0; k < 4; ++k)
        if (k < left) v[k] = from[k];
    *(float4*)to = {v[0], v[1], v[2], v[3]};
}

// WHOLE: Co is a multiple of 4, and gy begins at one of 16 bytes. memory: shared, of STAGES stages.
template <bool WHOLE>
__device__ __forceinline__ void gradient(const float* __restrict__ gy, const float* __restrict__ parts,
                                         float* __restrict__ gx, const int images, const Layer& z,
                                         unsigned char* const memory)
{
    // the pixels of this block are (ay + sy * i, ax + sx * j): tap (ry + sy * s, rx + sx * t) of them lies in the
    // windows at (dy + i - s, dx + j - t), and no other tap in any
    const int ay = blockIdx.z / z.sx, ax = blockIdx.z % z.sx;
    const int rows = (z.H - ay + z.sy - 1) / z.sy, columns = (z.W - ax + z.sx - 1) / z.sx;
    const int pixels = ay < z.H && ax < z.W ? images * rows * columns : 0, first = blockIdx.x * PIXELS;
    if (first >= pixels) return;
    const int dy = (ay + z.ph) / z.sy, ry = ay + z.ph - dy * z.sy, dx = (ax + z.pw) / z.sx, rx = ax + z.pw - dx * z.sx;
    const int taps_y = (z.kh - ry + z.sy - 1) / z.sy, taps_x = (z.kw - rx + z.sx - 1) / z.sx;
    const int steps = ry < z.kh && rx < z.kw ? taps_y * taps_x * ((z.Co + DEEP - 1) / DEEP) : 0;
    const int t = threadIdx.x, lane = t & 31, pixel_of_warp = t & ~31, first_in = blockIdx.y * INS;
    const int row = t >> 2, chunk = t & 3;  // what this thread copies: 16 bytes of rows row + 32 i of a stage
    int window[4], place0[4];  // the window that step 0 reads, of all images; its y and x, in 16 bits each
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int p = first + row + 32 * i, q = p < pixels ? p : 0;
        const int y = dy + q / columns % rows, x = dx + q % columns;
        window[i] = (q / columns / rows * z.Ho + y) * z.Wo + x;
        place0[i] = (p < pixels ? y : NOWHERE) << 16 | x;
    }
    gy += 4 * chunk;
    const int tile = 2 * INS * DEEP;  // floats of the weights of a step
    const float* const mine = parts + (long long)blockIdx.y * tile + row * DEEP + 4 * chunk;
    int s = 0, r = 0, c0 = 0;  // of the step that is copied next
    const Shared base = shared_address(memory);
    auto copy = [&](const int stage) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int oy = (place0[i] >> 16) - s, ox = (place0[i] & 0xffff) - r, left = z.Co - c0 - 4 * chunk;
            const bool inside = (unsigned)oy < (unsigned)z.Ho && (unsigned)ox < (unsigned)z.Wo && left > 0;
            const float* const at = gy + (inside ? (long long)(window[i] - s * z.Wo - r) * z.Co + c0 : -4 * chunk);
            const int to = stage + place(row, chunk) + 32 * ROW * i;
            if (WHOLE) copy16(base + to, at, inside);
            else copy_floats(memory + to, at, inside ? left : 0);
        }
        const int tap = (ry + z.sy * s) * z.kw + rx + z.sx * r;
        const float* const from = mine + ((long long)(c0 / DEEP) * z.kh * z.kw + tap) * gridDim.y * tile;
#pragma unroll
        for (int i = 0; i < 4; ++i)
            copy16(base + stage + place(row, chunk) + (PIXELS + 32 * i) * ROW, from + 32 * DEEP * i, true);
        if (++r == taps_x) {
            r = 0;
            if (++s == taps_y) {
                s = 0;
                c0 += DEEP;
            }
        }
    };
    float sums[2][8][4] = {};  // 16 pixels, 8 channels, entries of a thread
    const bool works = first + pixel_of_warp < pixels;
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
        now = now == (STAGES - 1) * STAGE ? 0 : now + STAGE;
        if (!works) continue;
#pragma unroll 1  // else the loads of the second eight come so early that registers spill
        for (int k = 0; k < DEEP / 8; ++k) {
            unsigned high[2][4], low[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                load_matrices(low[i], stage + place(pixel_of_warp + (lane & 15), 2 * k + (lane >> 4)) + 16 * ROW * i);
#pragma unroll
                for (int e = 0; e < 4; ++e) split(__uint_as_float(low[i][e]), high[i][e], low[i][e]);
            }
#pragma unroll
            for (int n = 0; n < 8; n += 2) {
                if (n == 4 && first_in + 32 >= z.Ci) break;
                unsigned w_high[4], w_low[4];
                const Shared from = stage + place((lane & 7) + (lane >> 4) * 8, 2 * k + (lane >> 3 & 1)) +
                                    (PIXELS + 8 * n) * ROW;
                load_matrices(w_high, from);
                load_matrices(w_low, from + INS * ROW);
                float eight[2][2][4];  // sums over eight channels
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    multiply_tf32(eight[j >> 1][j & 1], low[j >> 1], w_high[2 * (j & 1)], w_high[2 * (j & 1) + 1]);
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    multiply_add_tf32(eight[j >> 1][j & 1], high[j >> 1], w_low[2 * (j & 1)], w_low[2 * (j & 1) + 1]);
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    multiply_add_tf32(eight[j >> 1][j & 1], high[j >> 1], w_high[2 * (j & 1)], w_high[2 * (j & 1) + 1]);
#pragma unroll
                for (int j = 0; j < 4; ++j)
#pragma unroll
                    for (int e = 0; e < 4; ++e) sums[j >> 1][n + (j & 1)][e] += eight[j >> 1][j & 1][e];
            }
        }
    }
    if (!works) return;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int p = first + pixel_of_warp + 8 * i + (lane >> 2);
        if (p >= pixels) continue;
        const int y = ay + z.sy * (p / columns % rows), x = ax + z.sx * (p % columns);
        float* const to = gx + (long long)((p / columns / rows * z.H + y) * z.W + x) * z.Ci;
#pragma unroll
        for (int n = 0; n < 8; ++n) {
            const int c = first_in + 8 * n + 2 * (lane & 3);
            const float* const two = sums[i >> 1][n] + 2 * (i & 1);
            if (c + 1 < z.Ci && z.Ci % 2 == 0) *(float2*)(to + c) = {two[0], two[1]};
            else
                for (int e = 0; e < 2; ++e)
                    if (c + e < z.Ci) to[c + e] = two[e];
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
tf32_gradient_pieces(const float* __restrict__ gy, const float* __restrict__ parts, float* __restrict__ gx,
                     const int images, const int H, const int W, const int Ci, const int Ho, const int Wo,
                     const int Co, const int kh, const int kw, const int sy, const int sx, const int ph, const int pw)
{
    __shared__ __align__(128) unsigned char memory[STAGES * STAGE];
    gradient<true>(gy, parts, gx, images, {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw}, memory);
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
tf32_gradient_floats(const float* __restrict__ gy, const float* __restrict__ parts, float* __restrict__ gx,
                     const int images, const int H, const int W, const int Ci, const int Ho, const int Wo,
                     const int Co, const int kh, const int kw, const int sy, const int sx, const int ph, const int pw)
{
    __shared__ __align__(128) unsigned char memory[STAGES * STAGE];
    gradient<false>(gy, parts, gx, images, {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw}, memory);
}
