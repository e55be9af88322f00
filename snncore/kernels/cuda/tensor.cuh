// What the kernels on integer tensor cores write in PTX, one function an instruction. A file has it by including it:
// module.py puts it in.

#ifdef __CUDACC__  // on the CPU, these are in tests/support/shim/cuda.h
typedef unsigned Shared;  // an address in shared memory
__device__ __forceinline__ Shared shared_address(const void* p) { return (Shared)__cvta_generic_to_shared(p); }

// 16 bytes to shared memory, or zeros; there after commit_copies and wait_copies<n>, which leaves the last n commits.
__device__ __forceinline__ void copy16(const Shared to, const void* from, const bool inside)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(inside ? 16 : 0) : "memory");
#else
    uint4 v = {0, 0, 0, 0};
    if (inside) v = *(const uint4*)from;
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
#endif
}

__device__ __forceinline__ void commit_copies()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int N>
__device__ __forceinline__ void wait_copies()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

// Four matrices of 8 rows of 16 bytes; lanes 8 j .. 8 j + 7 say where the rows of matrix j are. Lane l then has bytes
// 4 (l % 4) .. of row l / 4 of each.
__device__ __forceinline__ void load_matrices(unsigned (&r)[4], const Shared row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
}

// The same with rows and columns exchanged, two bytes at a time: lane l has the two bytes 2 (l / 4) .. of rows
// 2 (l % 4) and 2 (l % 4) + 1 of each.
__device__ __forceinline__ void load_matrices_turned(unsigned (&r)[4], const Shared row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
}

// d [16, 8] += a [16, 32], unsigned bytes, times b [32, 8], signed bytes; in fragments as PTX has them for m16n8k32.
__device__ __forceinline__ void multiply_bytes(int (&d)[4], const unsigned (&a)[4], const unsigned b0,
                                               const unsigned b1)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else  // Turing: by quarters, whose fragments are parts of those
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int k = 0; k < 2; ++k)
            asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                         : "+r"(d[2 * half]), "+r"(d[2 * half + 1]) : "r"(a[half + 2 * k]), "r"(k ? b1 : b0));
    }
#endif
}
#endif

// 16 channels of a row into shared memory byte by byte, zeros from channel `left` on.
__device__ __forceinline__ void copy_bytes(void* to, const unsigned char* from, const int left)
{
    unsigned words[4] = {0, 0, 0, 0};
#pragma unroll
    for (int k = 0; k < 16; ++k)
        if (k < left) words[k >> 2] |= (unsigned)from[k] << 8 * (k & 3);
    *(uint4*)to = {words[0], words[1], words[2], words[3]};
}
