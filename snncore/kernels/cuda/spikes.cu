// Spikes as bytes, sixteen a thread: the SEW connection that adds, and counting. Memory-bound.
// Registers a thread, and occupancy, on an H100: count_spikes 30 (100 %), count_spikes_of_four 30 (100 %),
// sew_add 21 (100 %).

// Bytes of a + s, each by itself and modulo 256, as NumPy adds uint8.
__device__ __forceinline__ unsigned add_bytes(const unsigned a, const unsigned s)
{
    return ((a & 0x7f7f7f7fu) + (s & 0x7f7f7f7fu)) ^ ((a ^ s) & 0x80808080u);
}

// a, s and o begin at a multiple of 16 bytes.
extern "C" __global__ void __launch_bounds__(256)
sew_add(const unsigned char* __restrict__ a, const unsigned char* __restrict__ s, unsigned char* __restrict__ o,
        const long long n)
{
    const long long i = 16 * ((long long)blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    if (i + 16 <= n) {
        const uint4 p = *(const uint4*)(a + i), q = *(const uint4*)(s + i);
        uint4 r;
        r.x = add_bytes(p.x, q.x);
        r.y = add_bytes(p.y, q.y);
        r.z = add_bytes(p.z, q.z);
        r.w = add_bytes(p.w, q.w);
        *(uint4*)(o + i) = r;
        return;
    }
    for (long long k = i; k < n; ++k) o[k] = (unsigned char)(a[k] + s[k]);
}

__device__ __forceinline__ int nonzero_bytes(const unsigned v)  // v & 127 has its top bit set by + 127 unless zero
{
    return __popc((((v & 0x7f7f7f7fu) + 0x7f7f7f7fu) | v) & 0x80808080u);
}

#define TOGETHER 4  // loads of a thread that are under way together

__device__ __forceinline__ int nonzero_bytes(const uint4& v)
{
    return nonzero_bytes(v.x) + nonzero_bytes(v.y) + nonzero_bytes(v.z) + nonzero_bytes(v.w);
}

// Adds the number of entries of s that are not zero to *count. Sums of integers have no order to depend on. A block
// adds once: a card does additions to one place one by one, about one a nanosecond. part: shared, of the warps.
__device__ __forceinline__ void count(const unsigned char* __restrict__ s, unsigned long long* __restrict__ count,
                                      const long long n, int* part)
{
    int found = 0;
    const long long step = 16 * (long long)gridDim.x * blockDim.x;
    long long i = 16 * ((long long)blockIdx.x * blockDim.x + threadIdx.x);
    for (; i + (TOGETHER - 1) * step + 16 <= n; i += TOGETHER * step) {
        uint4 v[TOGETHER];
#pragma unroll
        for (int k = 0; k < TOGETHER; ++k) v[k] = *(const uint4*)(s + i + k * step);
#pragma unroll
        for (int k = 0; k < TOGETHER; ++k) found += nonzero_bytes(v[k]);
    }
    for (; i < n; i += step) {
        if (i + 16 <= n) found += nonzero_bytes(*(const uint4*)(s + i));
        else
            for (long long k = i; k < n; ++k) found += s[k] != 0;
    }
    for (int o = 16; o; o >>= 1) found += __shfl_down_sync(0xffffffffu, found, o);
    if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = found;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < blockDim.x >> 5; ++w) found += part[w];
    if (found) atomicAdd(count, (unsigned long long)found);
}

extern "C" __global__ void __launch_bounds__(256)
count_spikes(const unsigned char* __restrict__ s, unsigned long long* __restrict__ counts, const long long n)
{
    __shared__ int part[32];
    count(s, counts, n, part);
}

// Four arrays at once, block (b, k) a part of the k-th, to four counts one after the other.
extern "C" __global__ void __launch_bounds__(256)
count_spikes_of_four(const unsigned char* __restrict__ s0, const unsigned char* __restrict__ s1,
                     const unsigned char* __restrict__ s2, const unsigned char* __restrict__ s3,
                     unsigned long long* __restrict__ counts, const long long n0, const long long n1,
                     const long long n2, const long long n3)
{
    __shared__ int part[32];
    const int k = blockIdx.y;
    const unsigned char* const s = k == 0 ? s0 : k == 1 ? s1 : k == 2 ? s2 : s3;
    count(s, counts + k, k == 0 ? n0 : k == 1 ? n1 : k == 2 ? n2 : n3, part);
}
