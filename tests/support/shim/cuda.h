// The names of CUDA C, for kernels that g++ compiles and scheduler.h runs. Not covered: arithmetic in half precision,
// cooperative groups, waiting between blocks, textures, <<<>>>. Of tensor cores: products of bytes and of halves.
#pragma once
#include <cmath>
#include <type_traits>
#include "scheduler.h"

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("shim_shared")))
#define SHIM_DYNAMIC(T, name) T* const name = reinterpret_cast<T*>(shim::S.dynamic)

#define threadIdx (shim::S.lane->index)
#define blockIdx (shim::S.block_index)
#define blockDim (shim::S.block)
#define gridDim (shim::S.grid)
constexpr int warpSize = 32;

namespace shim {

template <class T> uint64_t bits(T v) {
    static_assert(sizeof(T) <= 8);
    uint64_t u = 0;
    std::memcpy(&u, &v, sizeof v);
    return u;
}

template <class T> T shuffle(unsigned mask, T v, int from, int line) {
    warp_exchange(mask, bits(v), line);
    if (from < 0 || from > 31) from = S.lane->id & 31;
    if (!(mask >> from & 1)) {
        const std::string lane = std::to_string(from);
        fail("line " + std::to_string(line) + ": shuffle reads lane " + lane + ", which is not in the mask");
        throw Abort{};
    }
    T r;
    std::memcpy(&r, &S.lane->seen[from], sizeof r);
    return r;
}

inline unsigned ballot(unsigned mask, int p, int line) {
    warp_exchange(mask, p != 0, line);
    unsigned r = 0;
    for (int j = 0; j < 32; ++j)
        if ((mask >> j & 1) && S.lane->seen[j]) r |= 1u << j;
    return r;
}

inline int me() { return S.lane->id & 31; }
inline unsigned mask_of(unsigned m = 0xffffffffu) { return m; }

inline void run(const Copy& c) {
    if (c.bytes == 16) *(uint4*)c.to = c.inside ? *(const uint4*)c.from : uint4{0, 0, 0, 0};
    else *(unsigned*)c.to = c.inside ? *(const unsigned*)c.from : 0u;
}

inline void copy(const Copy& c) {  // now, or when somebody waits
    if (S.copies_late) S.lane->copies.back().push_back(c);
    else run(c);
}

inline void aligned(const void* p, int line, unsigned bytes = 16) {
    if ((uintptr_t)p % bytes == 0) return;
    const std::string n = std::to_string(bytes);
    fail("line " + std::to_string(line) + ": " + n + " bytes at an address that is not a multiple of " + n);
    throw Abort{};
}

inline void whole(bool is, int line) {
    if (is) return;
    fail("line " + std::to_string(line) + ": matrices for a warp of fewer than 32 threads");
    throw Abort{};
}

// A table of the arguments for the loader: "r*" or "w*" and the kind for a pointer, the kind for a value; f4 is float.
template <class T> std::string kind() {
    if constexpr (std::is_pointer_v<T>) {
        using E = std::remove_pointer_t<T>;
        return (std::is_const_v<E> ? "r*" : "w*") + kind<std::remove_cv_t<E>>();
    } else if constexpr (std::is_same_v<T, bool>) return "b1";
    else if constexpr (std::is_floating_point_v<T>) return "f" + std::to_string(sizeof(T));
    else if constexpr (std::is_integral_v<T>) return (std::is_signed_v<T> ? "i" : "u") + std::to_string(sizeof(T));
    else return "s" + std::to_string(sizeof(T));
}

template <class... A> const char* signature(void (*)(A...)) {
    static std::string s;
    const std::string kinds[] = {kind<std::decay_t<A>>()...};
    s.clear();
    for (const std::string& k : kinds) s += k + " ";
    return s.c_str();
}

}  // namespace shim

#define __syncthreads() shim::block_barrier(__LINE__)
#define __syncwarp(...) shim::warp_exchange(shim::mask_of(__VA_ARGS__), 0, __LINE__)
#define __shfl_sync(m, v, s) shim::shuffle(m, v, (s) & 31, __LINE__)
#define __shfl_xor_sync(m, v, o) shim::shuffle(m, v, shim::me() ^ (o), __LINE__)
#define __shfl_down_sync(m, v, o) shim::shuffle(m, v, shim::me() + (int)(o), __LINE__)
#define __shfl_up_sync(m, v, o) shim::shuffle(m, v, shim::me() - (int)(o), __LINE__)
#define __ballot_sync(m, p) shim::ballot(m, p, __LINE__)
#define __any_sync(m, p) (shim::ballot(m, p, __LINE__) != 0)
#define __all_sync(m, p) (shim::ballot(m, !(p), __LINE__) == 0)

// What tensor.cuh writes in PTX. Copies happen when they are told to, or only when somebody waits for them.
typedef unsigned char* Shared;  // an address in shared memory
inline Shared shared_address(void* p) { return (Shared)p; }
inline void copy16(Shared to, const void* from, bool inside, int line = __builtin_LINE()) {
    shim::aligned(to, line);
    if (inside) shim::aligned(from, line);
    shim::copy({to, from, inside, 16});
}
inline void commit_copies() { if (shim::S.copies_late) shim::S.lane->copies.emplace_back(); }
template <int N> void wait_copies() {
    auto& copies = shim::S.lane->copies;  // the last is that of the commit to come
    while (copies.size() > N + 1) {
        for (const shim::Copy& c : copies.front()) shim::run(c);
        copies.erase(copies.begin());
    }
}
inline void load_matrices(unsigned (&r)[4], Shared row, int line = __builtin_LINE()) {
    shim::aligned(row, line);
    shim::warp_exchange(0xffffffffu, (uint64_t)row, line);
    const int l = shim::me();
    for (const uint64_t at : shim::S.lane->seen) shim::whole(at != 0, line);
    for (int j = 0; j < 4; ++j) r[j] = *((const unsigned*)shim::S.lane->seen[8 * j + l / 4] + l % 4);
}
inline void load_matrices_turned(unsigned (&r)[4], Shared row, int line = __builtin_LINE()) {  // by pairs of bytes
    shim::aligned(row, line);
    shim::warp_exchange(0xffffffffu, (uint64_t)row, line);
    const int l = shim::me();
    for (const uint64_t at : shim::S.lane->seen) shim::whole(at != 0, line);
    for (int j = 0; j < 4; ++j) {
        const uint64_t* const rows = &shim::S.lane->seen[8 * j + 2 * (l % 4)];
        r[j] = *((const unsigned short*)rows[0] + l / 4) | (unsigned)*((const unsigned short*)rows[1] + l / 4) << 16;
    }
}
inline void multiply_bytes(int (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, int line = __builtin_LINE()) {
    shim::Product part{d, {a[0], a[1], a[2], a[3]}, {b0, b1}};
    shim::warp_product(part, line);
}

// What halves.cu writes in PTX.
inline unsigned short to_half(float v) {  // to nearest, ties to even; a NaN as cards have it
    if (std::isnan(v)) return 0x7fff;
    const float m = std::fabs(v);
    if (m >= 65520.0f) return (unsigned short)((std::signbit(v) ? 0x8000 : 0) | 0x7c00);
    const int e = m < 0x1p-14f ? -14 : std::ilogb(m);  // below 2^-14, halves are multiples of 2^-24
    const int units = (int)std::nearbyint(std::ldexp(m, 10 - e));
    return (unsigned short)((std::signbit(v) ? 0x8000 : 0) | (((e + 14) << 10) + units));
}
inline float from_half(unsigned short h) { return shim::half(h); }
inline void copy4(Shared to, const void* from, bool inside, int line = __builtin_LINE()) {
    shim::aligned(to, line, 4);
    if (inside) shim::aligned(from, line, 4);
    shim::copy({to, from, inside, 4});
}
inline void multiply_halves(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
                            int line = __builtin_LINE()) {
    shim::Product part{nullptr, {a[0], a[1], a[2], a[3]}, {b0, b1}, d};
    shim::warp_product(part, line);
}

template <class T> using Same = std::type_identity_t<T>;
template <class T> T atomicAdd(T* p, Same<T> v) { shim::Atomic now; T o = *p; *p = o + v; return o; }
template <class T> T atomicMin(T* p, Same<T> v) { shim::Atomic now; T o = *p; *p = v < o ? v : o; return o; }
template <class T> T atomicMax(T* p, Same<T> v) { shim::Atomic now; T o = *p; *p = o < v ? v : o; return o; }
inline void __threadfence() {}  // blocks run one after the other; who reads what another wrote must do so by atomics
template <class T> T __ldg(const T* p) { return *p; }
inline float __fdividef(float x, float y) { return x / y; }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline float __uint_as_float(unsigned v) { float f; std::memcpy(&f, &v, sizeof f); return f; }
inline double __longlong_as_double(long long v) { double d; std::memcpy(&d, &v, sizeof d); return d; }
inline unsigned __float_as_uint(float f) { unsigned v; std::memcpy(&v, &f, sizeof v); return v; }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {  // byte k of the result: the one that nibble k names
    const uint64_t both = (uint64_t)y << 32 | x;
    unsigned r = 0;
    for (int k = 0; k < 4; ++k) r |= (unsigned)(both >> 8 * (s >> 4 * k & 7) & 0xff) << 8 * k;
    return r;
}
inline unsigned __vmaxu4(unsigned a, unsigned b) {  // byte by byte
    unsigned r = 0;
    for (int k = 0; k < 32; k += 8) r |= std::max(a >> k & 0xff, b >> k & 0xff) << k;
    return r;
}
inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
using std::max;
using std::min;
