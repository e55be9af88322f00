// Exact sums (docs/exact.md): weights as integers times a power of two of their output channel, and plain kernels that
// add them. Every sum here is one of integers, or in float64 in one stated order: no order of threads changes a bit.
// Where a weight of the layer is NaN, infinite or above 1e30, `flags` says so and the sums are in float32: the device
// finds that out, so that the host need not wait.
// Registers a thread, and occupancy, on an H100: exact_in_order 64 (50 %), exact_in_order_tiles 64 (50 %),
// exact_ordinary 39 (75 %), exact_pack_digits 62 (50 %), exact_pack_whole 62 (50 %), exact_sums_i32 64 (50 %),
// exact_sums_u8 48 (62 %).

#define OUTS 4       // output channels of a block that packs: few, so that blocks are many
#define BLOCK_IN 64  // input channels whose sums stay below LIMIT, under all taps
#define LIMIT (1ull << 30)
#define MOST 126     // a larger power of two has no float32 that divides by it
#define LARGEST 1e30f
#define WARPS 32  // of a block that packs
#define PACKERS (32 * WARPS)
#define EACH 8  // pixels of a thread that sums analog input in order
#define TILE (EACH * ROWS)
#define TERMS 32  // of a window, in shared memory at once

typedef unsigned long long ull;

struct Weights {  // [taps, Ci, Co]
    const float* w;
    int taps, Ci, Co;
};

// 2^p, for the p that are met here: -100 to 200, and of floats down to -126.
__device__ __forceinline__ double two_to(const int p) { return __longlong_as_double((long long)(1023 + p) << 52); }
__device__ __forceinline__ float two_to_float(const int p) { return __uint_as_float((unsigned)(127 + p) << 23); }

// w * 2^p to the nearest integer, ties to even; factor = 2^p. The product has no rounding.
__device__ __forceinline__ long long integer(const float w, const double factor)
{
    return (long long)rint((double)w * factor);
}

struct Room {  // shared memory of a block that packs
    ull sums[WARPS][2][OUTS], of_part[WARPS][2][OUTS], best[OUTS];
    unsigned bits[WARPS][OUTS];
};

// The largest sum, in magnitude, of the integers of one sign of output channel o in any block of input channels, each
// o at its own power p. All threads of a block call it. Blocks of input channels are shared out among the warps: with
// few of them, several warps take one.
__device__ __forceinline__ ull largest_sum(const Weights& z, const int o, const int p, Room& room)
{
    const int t = threadIdx.x, lane = t & 31, warp = t >> 5, blocks = (z.Ci + BLOCK_IN - 1) / BLOCK_IN;
    int share = WARPS;  // warps of a block of input channels
    while (share > 1 && WARPS / share < blocks) share >>= 1;
    const int at_once = WARPS / share;
    const double factor = two_to(p);
    ull best = 0;
    for (int first = 0; first < blocks; first += at_once) {
        const int c0 = (first + warp / share) * BLOCK_IN, here = o < z.Co ? min(BLOCK_IN, z.Ci - c0) : 0;
        ull up = 0, down = 0;
#pragma unroll 4
        for (int r = (warp % share * 32 + lane) / OUTS; r < z.taps * BLOCK_IN; r += share * 32 / OUTS) {
            const int c = r & (BLOCK_IN - 1);
            if (c >= here) continue;
            const long long q = integer(z.w[((long long)(r / BLOCK_IN) * z.Ci + c0 + c) * z.Co + o], factor);
            if (q > 0) up += q;
            else down -= q;
        }
        for (int k = OUTS; k < 32; k += k) {
            up += __shfl_xor_sync(0xffffffffu, up, k);
            down += __shfl_xor_sync(0xffffffffu, down, k);
        }
        if (lane < OUTS) {
            room.sums[warp][0][lane] = up;
            room.sums[warp][1][lane] = down;
        }
        __syncthreads();
        const int block = t / (2 * OUTS), sign = t / OUTS & 1;
        if (block < at_once) {
            ull sum = 0;
            for (int k = 0; k < share; ++k) sum += room.sums[block * share + k][sign][t % OUTS];
            room.of_part[block][sign][t % OUTS] = sum;
        }
        __syncthreads();
        if (t < OUTS)
            for (int k = 0; k < at_once; ++k) best = max(best, max(room.of_part[k][0][t], room.of_part[k][1][t]));
    }
    if (t < OUTS) room.best[t] = best;
    __syncthreads();  // the next call writes there after two more
    return room.best[t % OUTS];
}

// Bits of the largest magnitude among the weights of channel o, which order as the numbers do; those of a NaN are above
// all others.
__device__ __forceinline__ unsigned largest_bits(const Weights& z, const int o, Room& room)
{
    const int t = threadIdx.x;
    unsigned most = 0;
#pragma unroll 4
    for (long long k = t / OUTS; k < (long long)z.taps * z.Ci; k += PACKERS / OUTS)
        if (o < z.Co) most = max(most, __float_as_uint(z.w[k * z.Co + o]) & 0x7fffffffu);
    for (int k = OUTS; k < 32; k += k) most = max(most, __shfl_xor_sync(0xffffffffu, most, k));
    if ((t & 31) < OUTS) room.bits[t >> 5][t & 31] = most;
    __syncthreads();
    for (int warp = 0; warp < WARPS; ++warp) most = max(most, room.bits[warp][t % OUTS]);
    return most;
}

// The largest p, at most MOST, at which the integers of channel o stay below LIMIT in every block. A first power brings
// the largest weight to 2^30, so that the sums there tell 2^p from 2^30 to 2^31; at most 2 less is right.
__device__ __forceinline__ int power(const Weights& z, const int o, const unsigned most, Room& room)
{
    const int exponent = most >> 23 ? (int)(most >> 23) - 127 : 31 - __clz((int)most) - 149;  // of the largest weight
    int p = most ? 30 - exponent : 0;
    const ull sum = largest_sum(z, o, p, room);
    p = sum ? p + 31 - (64 - __clzll((long long)sum)) : MOST;
#pragma unroll 1
    for (int k = 0; k < 2; ++k) {
        const ull found = largest_sum(z, o, p, room);
        if (found >= LIMIT) --p;
        if (!__any_sync(0xffffffffu, found >= LIMIT)) break;  // every warp has all channels of the block
    }
    return min(p, MOST);
}

// Block b: the power of each of output channels 4 b .. 4 b + 3, scale [Co] = 2^-p, and their integers, as they are (q
// [taps, Ci, Co]) or as digits. flags [gridDim.x]: 1 where a weight is not ordinary; nothing else is then written.
// digits [parts of 64 channels, taps, 4, channels out, 64]: q = d0 + 256 d1 + 256^2 d2 + 256^3 d3, -128 <= d < 128;
// zeros where there is no channel.
template <class Q>
__device__ __forceinline__ void pack(const Weights& z, Q* __restrict__ out, float* __restrict__ scale,
                                     int* __restrict__ flags, Room& room)
{
    const int t = threadIdx.x, o = blockIdx.x * OUTS + t % OUTS;
    const unsigned most = largest_bits(z, o, room);
    int bad = most > __float_as_uint(LARGEST);
    for (int k = 1; k < OUTS; k += k) bad |= __shfl_xor_sync(0xffffffffu, bad, k);
    if (t == 0) flags[blockIdx.x] = bad;
    if (bad) return;
    const int p = power(z, o, most, room);
    if (t < OUTS && o < z.Co) scale[o] = two_to_float(-p);
    const double factor = two_to(p);
    if constexpr (sizeof(Q) == 4) {
        for (long long k = t / OUTS; k < (long long)z.taps * z.Ci; k += PACKERS / OUTS)
            if (o < z.Co) out[k * z.Co + o] = (Q)integer(z.w[k * z.Co + o], factor);
    } else {
        const long long wide = (long long)gridDim.x * OUTS;
        const int parts = (z.Ci + BLOCK_IN - 1) / BLOCK_IN, quads = BLOCK_IN / 4;
        for (int k = t / OUTS; k < parts * z.taps * quads; k += PACKERS / OUTS) {  // four channels, four digits of each
            const int quad = k % quads, tap = k / quads % z.taps, c = (k / quads / z.taps) * BLOCK_IN + 4 * quad;
            unsigned words[4] = {0, 0, 0, 0};
            for (int i = 0; i < 4; ++i) {
                if (c + i >= z.Ci || o >= z.Co) continue;
                int q = (int)integer(z.w[((long long)tap * z.Ci + c + i) * z.Co + o], factor);
#pragma unroll
                for (int d = 0; d < 4; ++d) {
                    const int low = ((q + 128) & 255) - 128;
                    words[d] |= (unsigned)(low & 255) << 8 * i;
                    q = (q - low) >> 8;
                }
            }
            for (int d = 0; d < 4; ++d)
                *(unsigned*)(out + (((k / quads) * 4LL + d) * wide + o) * BLOCK_IN + 4 * quad) = words[d];
        }
    }
}

extern "C" __global__ void __launch_bounds__(PACKERS, 1)
exact_pack_whole(const float* __restrict__ w, int* __restrict__ q, float* __restrict__ scale, int* __restrict__ flags,
                 const int taps, const int Ci, const int Co)
{
    __shared__ Room room;
    pack({w, taps, Ci, Co}, q, scale, flags, room);
}

extern "C" __global__ void __launch_bounds__(PACKERS, 1)
exact_pack_digits(const float* __restrict__ w, signed char* __restrict__ digits, float* __restrict__ scale,
                  int* __restrict__ flags, const int taps, const int Ci, const int Co)
{
    __shared__ Room room;
    pack({w, taps, Ci, Co}, digits, scale, flags, room);
}

// flags [gridDim.x]: 1 where a block found a weight that is not ordinary.
extern "C" __global__ void __launch_bounds__(256, 4)
exact_ordinary(const float* __restrict__ w, int* __restrict__ flags, const long long n)
{
    __shared__ int found;
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    int bad = 0;
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        bad |= !(fabsf(w[i]) <= LARGEST);
    if (bad) atomicMax(&found, 1);
    __syncthreads();
    if (threadIdx.x == 0) flags[blockIdx.x] = found;
}

struct Sizes {  // x [M, H, W, groups * Ci], a window [kh, kw] with gaps at each of Ho x Wo places, w [kh, kw, Ci, Co]
    int H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw, dy, dx, groups;
};

// Sum over ky, kx and channel, in this order, of x * w in the type S. ZEROS: also of what is zero or lies outside,
// where a weight may be NaN.
template <class S, bool ZEROS, class X, class Q>
__device__ __forceinline__ S window_sum(const X* __restrict__ x, const Q* __restrict__ w, const long long p,
                                        const int o, const Sizes& z)
{
    const int group = o / (z.Co / z.groups), channels = z.groups * z.Ci;
    const int x0 = (int)(p % z.Wo) * z.sx - z.pw, y0 = (int)(p / z.Wo % z.Ho) * z.sy - z.ph;
    const X* const image = x + p / z.Wo / z.Ho * z.H * z.W * channels + group * z.Ci;
    S sum = 0;
    for (int ky = 0; ky < z.kh; ++ky) {
        const int iy = y0 + ky * z.dy;
        for (int kx = 0; kx < z.kw; ++kx) {
            const int ix = x0 + kx * z.dx;
            const bool inside = iy >= 0 && iy < z.H && ix >= 0 && ix < z.W;
            if (!inside && !ZEROS) continue;
            const X* const from = inside ? image + ((long long)iy * z.W + ix) * channels : nullptr;
            const Q* tap = w + (long long)(ky * z.kw + kx) * z.Ci * z.Co + o;
            for (int c = 0; c < z.Ci; ++c, tap += z.Co) {
                const X v = inside ? from[c] : X(0);
                if (ZEROS || v != X(0)) sum += (S)v * (S)*tap;
            }
        }
    }
    return sum;
}

// y [M, Ho, Wo, Co]: a block (32, 8) takes 32 output channels at 8 pixels, a warp each: its lanes share the input, and
// skip together what did not fire. The one rounding is that of the sum to float32; scale is a power of two.
template <class S, class X, class Q>
__device__ __forceinline__ void sums(const X* __restrict__ x, const Q* __restrict__ q, const float* __restrict__ w,
                                     const float* __restrict__ scale, const int* __restrict__ flags,
                                     float* __restrict__ y, const long long pixels, const int checks, const Sizes& z)
{
    const int o = blockIdx.y * LANES + threadIdx.x;
    const long long p = (long long)blockIdx.x * ROWS + threadIdx.y;
    if (p >= pixels || o >= z.Co) return;
    int bad = 0;
    for (int i = 0; i < checks; ++i) bad |= flags[i];
    float out;
    if (bad) {
        out = window_sum<float, true>(x, w, p, o, z);
    } else {
        out = (float)window_sum<S, false>(x, q, p, o, z);
        if (scale) out *= scale[o];
    }
    y[p * z.Co + o] = out;
}

// Spikes, and q from exact_pack_whole.
extern "C" __global__ void __launch_bounds__(256, 4)
exact_sums_u8(const unsigned char* __restrict__ x, const int* __restrict__ q, const float* __restrict__ w,
              const float* __restrict__ scale, const int* __restrict__ flags, float* __restrict__ y,
              const long long pixels, const int checks, const int H, const int W, const int Ci, const int Ho,
              const int Wo, const int Co, const int kh, const int kw, const int sy, const int sx, const int ph,
              const int pw, const int dy, const int dx, const int groups)
{
    sums<long long>(x, q, w, scale, flags, y, pixels, checks,
                    {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw, dy, dx, groups});
}

// The same for integers of other types.
extern "C" __global__ void __launch_bounds__(256, 4)
exact_sums_i32(const int* __restrict__ x, const int* __restrict__ q, const float* __restrict__ w,
               const float* __restrict__ scale, const int* __restrict__ flags, float* __restrict__ y,
               const long long pixels, const int checks, const int H, const int W, const int Ci, const int Ho,
               const int Wo, const int Co, const int kh, const int kw, const int sy, const int sx, const int ph,
               const int pw, const int dy, const int dx, const int groups)
{
    sums<long long>(x, q, w, scale, flags, y, pixels, checks,
                    {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw, dy, dx, groups});
}

// Analog input of several groups: products of float32 numbers have no rounding in double, and the order is the stated
// one.
extern "C" __global__ void __launch_bounds__(256, 4)
exact_in_order(const float* __restrict__ x, const float* __restrict__ w, const int* __restrict__ flags,
               float* __restrict__ y, const long long pixels, const int checks, const int H, const int W, const int Ci,
               const int Ho, const int Wo, const int Co, const int kh, const int kw, const int sy, const int sx,
               const int ph, const int pw, const int dy, const int dx, const int groups)
{
    sums<double>(x, w, w, (const float*)nullptr, flags, y, pixels, checks,
                 {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw, dy, dx, groups});
}

// The same for one group. A block (32, 8) takes 64 pixels x 32 output channels, a warp 8 of these pixels: 8 sums a
// thread. Windows become double once, in shared memory; a fused multiply-add rounds as the sum does, the product not.
extern "C" __global__ void __launch_bounds__(256, 4)
exact_in_order_tiles(const float* __restrict__ x, const float* __restrict__ w, const int* __restrict__ flags,
                     float* __restrict__ y, const long long pixels, const int checks, const int H, const int W,
                     const int Ci, const int Ho, const int Wo, const int Co, const int kh, const int kw, const int sy,
                     const int sx, const int ph, const int pw, const int dy, const int dx)
{
    __shared__ __align__(16) double room[TERMS][TILE];  // entries of the windows, by their number in the order
    const int lane = threadIdx.x, warp = threadIdx.y, o = blockIdx.y * LANES + lane, column = (warp & 1) * LANES + lane;
    const long long first = (long long)blockIdx.x * TILE, p = first + column;  // p: whose window this thread fetches
    double sum[EACH] = {};
    int bad = 0;
    for (int i = 0; i < checks; ++i) bad |= flags[i];
    const int x0 = (int)(p % Wo) * sx - pw, y0 = (int)(p / Wo % Ho) * sy - ph, terms = bad ? 0 : kh * kw * Ci;
    const float* const image = x + p / Wo / Ho * H * W * Ci;
    for (int begin = 0; begin < terms; begin += TERMS) {
        const int here = min(TERMS, terms - begin);
        __syncthreads();
        for (int k = warp >> 1; k < here; k += ROWS / 2) {
            const int tap = (begin + k) / Ci, c = begin + k - tap * Ci;
            const int iy = y0 + tap / kw * dy, ix = x0 + tap % kw * dx;
            const bool inside = p < pixels && iy >= 0 && iy < H && ix >= 0 && ix < W;
            room[k][column] = inside ? (double)image[((long long)iy * W + ix) * Ci + c] : 0.0;
        }
        __syncthreads();
        if (o >= Co) continue;
#pragma unroll 2
        for (int k = 0; k < here; ++k) {
            const double v = (double)w[(long long)(begin + k) * Co + o];
#pragma unroll
            for (int i = 0; i < EACH; ++i) sum[i] = fma(room[k][EACH * warp + i], v, sum[i]);
        }
    }
    if (o >= Co) return;
    const Sizes z = {H, W, Ci, Ho, Wo, Co, kh, kw, sy, sx, ph, pw, dy, dx, 1};
    for (int i = 0; i < EACH; ++i) {
        const long long at = first + EACH * warp + i;
        if (at < pixels) y[at * Co + o] = bad ? window_sum<float, true>(x, w, at, o, z) : (float)sum[i];
    }
}
