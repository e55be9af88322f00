// Runs the threads of a CUDA kernel on one CPU thread, each as a fiber, one block after the other.
// A fiber takes thread after thread until one waits, so a kernel without barriers switches never. The order of threads
// and blocks is settable (0 rising, 1 falling, above 1 shuffled by that seed), so that races show as differences.
#pragma once
#include <setjmp.h>
#include <ucontext.h>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };

namespace shim {

enum Waits : int { READY, AT_BARRIER, AT_EXCHANGE, RETURNED };

struct Copy {  // of 16 bytes or 4 to shared memory, or of zeros
    void* to;
    const void* from;
    bool inside;
    unsigned bytes;
};

struct Product {  // one lane's part of m16n8k32 on bytes, or of m16n8k16 on halves where f is not null
    int* d;
    unsigned a[4], b[2];
    float* f = nullptr;
};

struct Lane {  // one CUDA thread
    uint3 index{};
    unsigned id = 0;
    Waits state = READY;
    int line = 0;
    unsigned mask = 0, barriers = 0, exchanges = 0;
    uint64_t value = 0, seen[32] = {};
    Product* product = nullptr;
    std::vector<std::vector<Copy>> copies{1};  // under way, by the commits after them
};

struct Fiber {  // begins by its context; from then on it jumps, which takes no system call
    ucontext_t context;
    jmp_buf place;
    bool begun = false;
    std::unique_ptr<char[]> stack;
    Lane* lane = nullptr;
};

struct State {
    dim3 grid{}, block{};
    uint3 block_index{};
    Lane* lane = nullptr;
    std::vector<Lane> lanes;
    std::vector<unsigned> order;
    size_t next = 0;
    std::vector<std::unique_ptr<Fiber>> pool;
    std::vector<Fiber*> idle, waiting;
    Fiber* current = nullptr;
    jmp_buf main;
    std::function<void()> body;
    char* dynamic = nullptr;
    std::string error;
    bool abort = false, copies_late = false;
};

extern State S;
struct Abort {};

inline float half(unsigned short h) {  // what its bits say
    const int e = h >> 10 & 31, m = h & 1023;
    const float v = e == 31 ? (m ? NAN : INFINITY) : e ? std::ldexp(1024.0f + m, e - 25) : std::ldexp((float)m, -24);
    return h & 0x8000 ? -v : v;
}

void tell_who(int atomic = 0);  // tell the race detector who runs from here on
void fail(const std::string& message);
void block_barrier(int line);
void warp_exchange(unsigned mask, uint64_t value, int line);
void warp_product(Product& part, int line);  // of the whole warp, which must be there
const char* run_grid(const unsigned* g, const unsigned* b, size_t bytes, int how);  // of S.body; what went wrong

struct Atomic {  // while one lives, the accesses are atomic
    Atomic() { tell_who(1); }
    ~Atomic() { tell_who(0); }
};

template <class... A, size_t... I>
void take_arguments(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    std::tuple<std::decay_t<A>...> values{*reinterpret_cast<std::decay_t<A>*>(args[I])...};
    S.body = [kernel, values] { std::apply(kernel, values); };
}

template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* g, const unsigned* b, size_t bytes, int how, void** args) {
    take_arguments(kernel, args, std::index_sequence_for<A...>{});
    return run_grid(g, b, bytes, how);
}

}  // namespace shim
