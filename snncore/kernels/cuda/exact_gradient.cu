// Gradient of the weights of a convolution of spikes, on integer tensor cores:
//
//     gw[ky, kx, c, o] = 2^-p_o * sum over images and places of x[m, i sy + ky - ph, j sx + kx - pw, c] * q[m, i, j, o]
//
// where q_o = gy_o * 2^p_o to the nearest integer (ties to even), and p_o is the largest power of two at which those
// of output channel o have four signed digits of a byte. Sums of integers have no order, and are rounded to float32
// once. An implicit GEMM: its rows are taps x input channels, its columns output channels x digits, and it sums over
// places (pixels of the output). A block of 4 warps takes 2 slots x 64 input channels by 32 output channels x 4
// digits, and some of the steps of 64 places; a warp a slot by 16 channels x 4 digits: 128 sums a thread, or half as
// many in twice as many warps (TALL 2), as in exact_mma.cu. A slot is a tap of 64 input channels; taps turn faster than
// parts of channels, so that the two slots of a block mostly read the same spikes. Sums of 32 bits
// cannot overflow over 1024 steps (255 * 128 * 65536 < 2^31); joined in 64 bits, those of different blocks are added by
// atomics on integers: no order changes a bit. The spikes lie channel by channel, but
// `mma` wants the places of a channel side by side. ldmatrix turns pairs of bytes, of two channels at two places; two
// such pairs and two byte permutations make four places of either channel, so that turning costs one instruction a
// register. Which rows ldmatrix takes is free: they are chosen so that the places end up in their order, and the
// digits of gy, written anew anyway, are written place by place.
// Registers a thread, and occupancy, on an H100: exact_gradient_bytes 205 (12 %), exact_gradient_digits 36 (75 %),
// exact_gradient_pieces 205 (12 %), exact_gradient_round 16 (100 %).

#define SLOT 64  // input channels of a slot, and bytes of any row in shared memory
#define PLACES 64  // of a step
#define OUTS 32
#define DIGITS 4
#define TOP 0x7f7f7f7f  // the largest integer of so many digits
#define INFINITE 0x7f800000u
#define STAGES 3
#ifndef TALL
#define TALL 4  // sixteens of rows of a warp; 4 or 2
#endif
#define THREADS (512 / TALL)
#define PARTS (4 / TALL)  // warps of a slot
#define PIECES (256 / THREADS)  // of 16 bytes of a row, that a thread copies
#define STAGE ((2 * PLACES + DIGITS * OUTS) * SLOT)  // spikes, slot by slot, then digits of a channel, digit by digit
#if __CUDA_ARCH__ >= 1000 || __CUDA_ARCH__ < 800  // of a multiprocessor, as in exact_mma.cu
#define BLOCKS 1
#else
#define BLOCKS 2
#endif

#include "tensor.cuh"

typedef unsigned long long ull;

// 2^p, for p from -126 to 127, and in double.
__device__ __forceinline__ float two_to_float(const int p) { return __uint_as_float((unsigned)(127 + p) << 23); }
__device__ __forceinline__ double two_to(const int p) { return __longlong_as_double((long long)(1023 + p) << 52); }

// g * 2^p to the nearest integer. In two steps, since 2^p may lie beyond float32; neither rounds, unless the result is
// below a half anyway.
__device__ __forceinline__ int integer(const float g, const int p)
{
    const int half = p >> 1;
    return (int)rintf(g * two_to_float(half) * two_to_float(p - half));
}

// The power of a channel, from the bits of its largest magnitude; 0 for a channel of zeros.
__device__ __forceinline__ int power(const unsigned bits)
{
    if (bits == 0 || bits >= INFINITE) return 0;
    const int exponent = bits >> 23 ? (int)(bits >> 23) - 127 : -118 - __clz((int)bits);
    const int p = 8 * DIGITS - 2 - exponent;
    return integer(__uint_as_float(bits), p) > TOP ? p - 1 : p;
}

// One rounding, then a power of two: NaN where the channel holds a number that is not finite.
__device__ __forceinline__ float rounded(const long long total, const unsigned bits)
{
    if (bits >= INFINITE) return __uint_as_float(0x7fffffffu);
    return (float)((double)(float)total * two_to(-power(bits)));
}

// digits [steps, DIGITS, wide, PLACES] of gy [places, Co], wide the next multiple of OUTS; zeros where there is no
// place or channel. Block (s, b): step s, 32 channels. A warp reads 8 places, and each thread turns them into the
// digits of one channel; through shared memory, so that rows are written whole. total [entries]: made zeros.
extern "C" __global__ void __launch_bounds__(256)
exact_gradient_digits(const float* __restrict__ gy, const unsigned* __restrict__ bits, signed char* __restrict__ digits,
                      ull* __restrict__ total, const int places, const int Co, const long long entries)
{
    __shared__ __align__(16) unsigned room[DIGITS][OUTS][PLACES / 4];
    const int t = threadIdx.x, lane = t & 31, warp = t >> 5, first_out = blockIdx.y * OUTS, o = first_out + lane;
    const long long threads = 256LL * gridDim.x * gridDim.y, block = blockIdx.x + (long long)gridDim.x * blockIdx.y;
    for (long long i = 256 * block + t; i < entries; i += threads) total[i] = 0;
    const unsigned most = o < Co ? bits[o] : 0u;
    const int p = power(most);
    unsigned words[DIGITS][2] = {};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int at = blockIdx.x * PLACES + 8 * warp + i;
        int q = at < places && o < Co && most < INFINITE ? integer(gy[(long long)at * Co + o], p) : 0;
#pragma unroll
        for (int d = 0; d < DIGITS; ++d) {
            const int low = (signed char)(q & 255);
            words[d][i >> 2] |= (unsigned)(low & 255) << 8 * (i & 3);
            q = (q - low) >> 8;
        }
    }
    const int turn = lane >> 1 & 7;  // of the pairs of words of a row: the lanes of a warp meet different banks
#pragma unroll
    for (int d = 0; d < DIGITS; ++d) {
        room[d][lane][2 * (warp ^ turn)] = words[d][0];
        room[d][lane][2 * (warp ^ turn) + 1] = words[d][1];
    }
    __syncthreads();
#pragma unroll
    for (int k = t; k < DIGITS * OUTS * 4; k += 256) {  // 16 bytes
        const int d = k >> 7, row = k >> 2 & 31, pair = 2 * (k & 3), turned = row >> 1 & 7;
        const unsigned* const from = room[d][row];
        const int low = 2 * (pair ^ turned), high = 2 * ((pair + 1) ^ turned);
        const long long at = ((long long)blockIdx.x * DIGITS + d) * gridDim.y * OUTS + first_out + row;
        signed char* const to = digits + at * PLACES;
        *(uint4*)(to + 8 * pair) = {from[low], from[low + 1], from[high], from[high + 1]};
    }
}

struct Layer {  // x [M, H, W, Ci], a window [kh, kw] at each of Ho x Wo places
    int H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw;
};

// Where the 16 bytes `chunk` of a row lie. Eight rows that are read together must meet eight groups of banks: of digits
// they are neighbours; of spikes 4 j and 4 j + 1, or 4 j + 2 and 4 j + 3, for four j.
__device__ __forceinline__ int place_of_digits(const int row, const int chunk)
{
    return row * SLOT + ((chunk ^ (row >> 1 & 3)) << 4);
}
__device__ __forceinline__ int place_of_spikes(const int row, const int chunk)
{
    return row * SLOT + ((chunk ^ (row >> 2 & 3)) << 4);
}

struct Slot {  // of the rows of the product
    int y, x, c0;  // where the tap begins, and the first channel
};

__device__ __forceinline__ Slot slot_of(const int number, const Layer& z)
{
    const int taps = z.kh * z.kw, tap = number % taps;
    return {tap / z.kw - z.ph, tap % z.kw - z.pw, number / taps * SLOT};
}

// from a step to the next: PLACES, as bytes of whole images, lines and the rest; end: bytes of all images
struct Stride {
    long long end, image;
    int x, y;
};

// WHOLE: Ci is a multiple of 16, and so is where x begins. memory: shared, of STAGES stages. first: a step's number in
// x, the digits begin with it; steps and places: of the digits. With `total` the sums are added to it; without, this
// block has all of them, and gw is written.
template <bool WHOLE>
__device__ __forceinline__ void gradient(const unsigned char* __restrict__ x, const signed char* __restrict__ digits,
                                         const unsigned* __restrict__ bits, ull* __restrict__ total,
                                         float* __restrict__ gw, const long long first, const Stride& by,
                                         const int steps, const Layer& z, unsigned char* const memory)
{
    const int t = threadIdx.x, lane = t & 31, warp = t >> 5;
    const int row = t * PIECES >> 2, chunk = t * PIECES & 3;  // this thread copies from there on
    const int first_out = blockIdx.y * OUTS;
    const int begin = (int)((long long)steps * blockIdx.z / gridDim.z);
    const int end = (int)((long long)steps * (blockIdx.z + 1) / gridDim.z);
    const Slot slots[2] = {slot_of(2 * blockIdx.x, z), slot_of(2 * blockIdx.x + 1, z)};
    const int size = z.H * z.W * z.Ci;  // of an image

    // The place of this thread's row, moved on by a step at a time without a division.
    const long long at_first = (first + begin) * PLACES + row;
    int ox = (int)(at_first % z.Wo), oy = (int)(at_first / z.Wo % z.Ho);
    long long image = at_first / z.Wo / z.Ho * size + 16 * chunk;

    const long long wide = (long long)gridDim.y * OUTS * PLACES;  // bytes of a digit of a step
    const signed char* from = digits + begin * DIGITS * wide + (row >> 5) * wide + (first_out + (row & 31)) * PLACES;
    from += 16 * chunk;
    const Shared base = shared_address(memory);
    auto copy = [&](const int stage) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int iy = oy * z.sy + slots[i].y, ix = ox * z.sx + slots[i].x, left = z.Ci - slots[i].c0 - 16 * chunk;
            const bool inside = (unsigned)iy < (unsigned)z.H && (unsigned)ix < (unsigned)z.W && image < by.end;
            const unsigned char* const at = x + (inside ? image + (iy * z.W + ix) * z.Ci + slots[i].c0 : 0);
#pragma unroll
            for (int k = 0; k < PIECES; ++k) {
                const int to = stage + i * PLACES * SLOT + place_of_spikes(row, chunk + k);
                const bool there = inside && left > 16 * k;
                if (WHOLE) copy16(base + to, there ? at + 16 * k : x, there);
                else copy_bytes(memory + to, at + 16 * k, inside ? left - 16 * k : 0);
            }
        }
#pragma unroll
        for (int i = 0; i < 2; ++i)
#pragma unroll
            for (int k = 0; k < PIECES; ++k)
                copy16(base + stage + (2 + i) * PLACES * SLOT + place_of_digits(row, chunk + k),
                       from + 2 * i * wide + 16 * k, true);
        from += DIGITS * wide;
        ox += by.x;
        oy += by.y;
        image += by.image;
        if (ox >= z.Wo) {
            ox -= z.Wo;
            ++oy;
        }
        if (oy >= z.Ho) {
            oy -= z.Ho;
            image += size;
        }
    };
    const int slot = warp / PARTS & 1, part = warp % PARTS, out_of_warp = warp / (2 * PARTS) * 16;
    int sums[DIGITS][TALL][2][4] = {};  // digit, 16 input channels, 8 output channels, entries of a thread
    const bool works = slots[slot].c0 + 16 * TALL * part < z.Ci && first_out + out_of_warp < z.Co;
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        if (begin + s < end) copy(s * STAGE);
        commit_copies();
    }
    // A fragment of a: lane l gives ldmatrix row l % 8 of matrix l / 8, here place 4 (r / 2) + r % 2 of the even
    // matrices, 2 more in the odd ones, 16 more in the last two.
    const int r = lane & 7, j = lane >> 3, of_spikes = 16 * (j >> 1) + 4 * (r >> 1) + 2 * (j & 1) + (r & 1);
    int now = 0, next = (STAGES - 1) * STAGE;  // where this step lies, and where the one goes that is copied meanwhile
#pragma unroll 1
    for (int step = begin; step < end; ++step) {
        wait_copies<STAGES - 2>();
        __syncthreads();  // the copies of all threads are there, and nobody reads the stage before this one any more
        if (step + STAGES - 1 < end) copy(next);
        commit_copies();
        const Shared stage = base + now;
        now = now == (STAGES - 1) * STAGE ? 0 : now + STAGE;
        next = next == (STAGES - 1) * STAGE ? 0 : next + STAGE;
        if (!works) continue;
#pragma unroll
        for (int k = 0; k < PLACES / 32; ++k) {
            unsigned a[TALL][4];
#pragma unroll
            for (int i = 0; i < TALL; ++i) {
                unsigned m[4];  // of two channels at two places each
                const int at = place_of_spikes(32 * k + of_spikes, TALL * part + i);
                load_matrices_turned(m, stage + slot * PLACES * SLOT + at);
                a[i][0] = __byte_perm(m[0], m[1], 0x6420);  // row l / 4: channel 2 (l / 4), places 4 (l % 4) to + 3
                a[i][1] = __byte_perm(m[0], m[1], 0x7531);  // row 8 + l / 4: the channel after it
                a[i][2] = __byte_perm(m[2], m[3], 0x6420);  // the same, 16 places on
                a[i][3] = __byte_perm(m[2], m[3], 0x7531);
            }
#pragma unroll
            for (int d = 0; d < DIGITS; ++d) {
                unsigned b[4];  // columns l / 4, places 4 (l % 4) to + 3, then 16 on; then 8 columns on
                const int channel = out_of_warp + r + (j >> 1) * 8;
                load_matrices(b, stage + (2 * PLACES + d * OUTS) * SLOT + place_of_digits(channel, 2 * k + (j & 1)));
#pragma unroll
                for (int i = 0; i < TALL; ++i) {
                    multiply_bytes(sums[d][i][0], a[i], b[0], b[1]);
                    multiply_bytes(sums[d][i][1], a[i], b[2], b[3]);
                }
            }
        }
    }
    if (!works) return;
    const int tap = (2 * blockIdx.x + slot) % (z.kh * z.kw), c0 = slots[slot].c0 + 16 * TALL * part + 2 * (lane >> 2);
#pragma unroll
    for (int k = 0; k < 4; ++k) {  // columns 2 (l % 4) and the next, then 8 on
        const int n = k >> 1, e = k & 1, o = first_out + out_of_warp + 8 * n + 2 * (lane & 3) + e;
        if (o >= z.Co) continue;
        const unsigned most = bits[o];
#pragma unroll
        for (int m = 0; m < 2 * TALL; ++m) {  // rows l / 4 and 8 + l / 4, then 16 on: two channels side by side
            const int i = m >> 1, h = m & 1, c = c0 + 16 * i + h;
            if (c >= z.Ci) continue;
            const long long high = (long long)sums[3][i][n][2 * h + e] * 256 + sums[2][i][n][2 * h + e];
            const long long low = (long long)sums[1][i][n][2 * h + e] * 256 + sums[0][i][n][2 * h + e];
            const long long sum = high * 65536 + low, at = ((long long)tap * z.Ci + c) * z.Co + o;
            if (total) atomicAdd(total + at, (ull)sum);
            else gw[at] = rounded(sum, most);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
exact_gradient_pieces(const unsigned char* __restrict__ x, const signed char* __restrict__ digits,
                      const unsigned* __restrict__ bits, ull* __restrict__ total, float* __restrict__ gw,
                      const long long first, const long long end, const long long by_image, const int by_x,
                     const int by_y, const int steps, const int alone, const int H,
                      const int W, const int Ci, const int Ho, const int Wo, const int Co, const int kh, const int kw,
                      const int sy, const int sx, const int ph, const int pw)
{
    __shared__ __align__(128) unsigned char memory[STAGES * STAGE];
    const Layer layer = {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw};
    const Stride by = {end, by_image, by_x, by_y};
    gradient<true>(x, digits, bits, alone ? nullptr : total, gw, first, by, steps, layer, memory);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
exact_gradient_bytes(const unsigned char* __restrict__ x, const signed char* __restrict__ digits,
                     const unsigned* __restrict__ bits, ull* __restrict__ total, float* __restrict__ gw,
                     const long long first, const long long end, const long long by_image, const int by_x,
                     const int by_y, const int steps, const int alone, const int H,
                     const int W, const int Ci, const int Ho, const int Wo, const int Co, const int kh, const int kw,
                     const int sy, const int sx, const int ph, const int pw)
{
    __shared__ __align__(128) unsigned char memory[STAGES * STAGE];
    const Layer layer = {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw};
    const Stride by = {end, by_image, by_x, by_y};
    gradient<false>(x, digits, bits, alone ? nullptr : total, gw, first, by, steps, layer, memory);
}

// gw [entries] from the sums of all blocks.
extern "C" __global__ void __launch_bounds__(256)
exact_gradient_round(const ull* __restrict__ total, const unsigned* __restrict__ bits, float* __restrict__ gw,
                     const int Co, const long long entries)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < entries) gw[i] = rounded((long long)total[i], bits[i % Co]);
}
