// Convolution from events: only what fired is added, in a fixed order. Lists first: one a pixel, of its channels that
// are not zero, in rising order. No float atomics: every output has one thread that gathers for it.
// Registers a thread, and occupancy, on an H100: compact_events 32 (100 %), conv_events 40 (75 %),
// conv_events_weight 58 (19 %).

// list [pixels, C]: channel + (value << 16) of each event; count [pixels]. A warp a pixel: a ballot says who fires, and
// the number of set bits below a lane is its place.
extern "C" __global__ void __launch_bounds__(256)
compact_events(const unsigned char* __restrict__ x, unsigned* __restrict__ list, int* __restrict__ count,
               const long long pixels, const int C)
{
    const int lane = threadIdx.x & 31;
    const long long p = (long long)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (p >= pixels) return;
    int base = 0;
    for (int c0 = 0; c0 < C; c0 += 32) {
        const int c = c0 + lane;
        const unsigned value = c < C ? x[p * C + c] : 0u;
        const unsigned fired = __ballot_sync(0xffffffffu, value != 0u);
        if (value) list[p * C + base + __popc(fired & ((1u << lane) - 1u))] = (unsigned)c | value << 16;
        base += __popc(fired);
    }
    if (lane == 0) count[p] = base;
}

// y [M, Ho, Wo, Co]: a block (32, 8) takes 32 output channels at 8 pixels, a warp each. Every lane reads the same
// event and the weight of its own channel, so weights arrive in whole lines. Bound by the cache: 4 * Co bytes of weight
// an event and tap.
extern "C" __global__ void __launch_bounds__(256)
conv_events(const unsigned* __restrict__ list, const int* __restrict__ count, const float* __restrict__ w,
            float* __restrict__ y, const long long pixels, const int H, const int W, const int Ci, const int Ho,
            const int Wo, const int Co, const int kh, const int kw, const int sy, const int sx, const int ph,
            const int pw)
{
    const int co = blockIdx.y * LANES + threadIdx.x;
    const long long p = (long long)blockIdx.x * ROWS + threadIdx.y;
    if (p >= pixels || co >= Co) return;
    const int ox = p % Wo, oy = p / Wo % Ho;
    const long long m = p / Wo / Ho;
    float sum = 0.0f;
    for (int ky = 0; ky < kh; ++ky) {
        const int iy = oy * sy + ky - ph;
        if (iy < 0 || iy >= H) continue;
        for (int kx = 0; kx < kw; ++kx) {
            const int ix = ox * sx + kx - pw;
            if (ix < 0 || ix >= W) continue;
            const long long q = (m * H + iy) * W + ix;
            const float* const tap = w + (long long)(ky * kw + kx) * Ci * Co + co;
            const int events = count[q];
            for (int e = 0; e < events; ++e) {
                const unsigned event = list[q * Ci + e];
                sum += (float)(event >> 16) * tap[(long long)(event & 0xffffu) * Co];
            }
        }
    }
    y[p * Co + co] = sum;
}

#define TILE 128  // input channels whose gradients a block holds in shared memory: 128 x 64 floats, 32 KiB
#define WIDE 64   // output channels of a block, a thread each

// partial [gridDim.x, kh * kw, Ci, Co]: block (chunk, tap, tile) walks over every gridDim.x-th output pixel; thread co
// adds gy[pixel, co] to the row of each event under the tap. A column of the tile belongs to one thread: no races, no
// atomics. Bound by shared memory: 8 bytes read and written an event, tap and output channel; a twelfth to a fifth of
// the warps of a multiprocessor fit, for each block takes 32 KiB of it.
extern "C" __global__ void __launch_bounds__(WIDE)
conv_events_weight(const unsigned* __restrict__ list, const int* __restrict__ count, const float* __restrict__ gy,
                   float* __restrict__ partial, const long long pixels, const int H, const int W, const int Ci,
                   const int Ho, const int Wo, const int Co, const int kh, const int kw, const int sy, const int sx,
                   const int ph, const int pw)
{
    __shared__ float tile[TILE * WIDE];
    const int tap = blockIdx.y, ky = tap / kw, kx = tap % kw, wide = (Co + WIDE - 1) / WIDE;
    const int co = (int)(blockIdx.z % wide) * WIDE + threadIdx.x, from = (int)(blockIdx.z / wide) * TILE;
    const int rows = Ci - from < TILE ? Ci - from : TILE;
    if (co >= Co) return;
    for (int c = 0; c < rows; ++c) tile[c * WIDE + threadIdx.x] = 0.0f;
    for (long long p = blockIdx.x; p < pixels; p += gridDim.x) {
        const int ix = (int)(p % Wo) * sx + kx - pw, iy = (int)(p / Wo % Ho) * sy + ky - ph;
        if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
        const long long q = (p / Wo / Ho * H + iy) * W + ix;
        const float g = gy[p * Co + co];
        const int events = count[q];
        for (int e = 0; e < events; ++e) {
            const unsigned event = list[q * Ci + e];
            const int c = (int)(event & 0xffffu) - from;
            if (c >= 0 && c < rows) tile[c * WIDE + threadIdx.x] += (float)(event >> 16) * g;
        }
    }
    float* const out = partial + ((long long)blockIdx.x * kh * kw + tap) * Ci * Co;
    for (int c = 0; c < rows; ++c) out[(long long)(from + c) * Co + co] = tile[c * WIDE + threadIdx.x];
}
