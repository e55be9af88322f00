// The race detector: g++ -fsanitize=thread calls a hook at every access of a kernel, and the hooks are these.
// Two accesses to one byte, at least one a plain write, conflict when they come from different blocks, or from one
// block with no __syncthreads between (within one warp: no warp operation either). Two atomics never conflict.
// Of the readers of a byte the last two are kept.
#include <cstdint>
#include <cstdio>
#include <string>
#include <unordered_map>
#include <vector>

struct Who { long long block; unsigned thread, barriers, exchanges; int atomic; };
extern "C" {
Who shim_who;
int shim_race_on;
}

namespace {

struct Cell {
    Who writer{-1, 0, 0, 0, 0}, readers[2] = {{-1, 0, 0, 0, 0}, {-1, 0, 0, 0, 0}};
};
struct Range {
    uintptr_t low, high;
    int argument;
};
std::vector<Range> ranges;
std::unordered_map<uintptr_t, Cell> cells;
std::string found;

bool clash(const Who& a, const Who& b) {
    if (a.block < 0 || (a.atomic && b.atomic)) return false;
    if (a.block != b.block) return true;
    if (a.thread == b.thread || a.barriers != b.barriers) return false;
    return a.thread / 32 != b.thread / 32 || a.exchanges == b.exchanges;
}

void report(const Range& range, uintptr_t p, const Who& a, const Who& b, const char* what) {
    const std::string place = range.argument < 0 ? "shared memory" : "argument " + std::to_string(range.argument);
    char text[256];
    std::snprintf(text, sizeof text, "race (%s) in %s at byte %lld: block %lld thread %u and block %lld thread %u",
                  what, place.c_str(), (long long)(p - range.low), a.block, a.thread, b.block, b.thread);
    found = text;
}

void touch(void* pointer, size_t n, bool write) {
    if (!shim_race_on || !found.empty()) return;
    const uintptr_t p = (uintptr_t)pointer;
    const Who& me = shim_who;
    for (const Range& range : ranges) {
        if (p < range.low || p >= range.high) continue;
        for (uintptr_t q = p; q < p + n; ++q) {
            Cell& cell = cells[q];
            if (clash(cell.writer, me))
                return report(range, q, cell.writer, me, write ? "write after write" : "read after write");
            if (write) {
                for (const Who& reader : cell.readers)
                    if (clash(reader, me)) return report(range, q, reader, me, "write after read");
                cell.writer = me;
            } else {
                const Who& first = cell.readers[0];
                cell.readers[first.block < 0 || (first.block == me.block && first.thread == me.thread) ? 0 : 1] = me;
            }
        }
        return;
    }
}

}  // namespace

extern "C" {
void shim_race_clear() { ranges.clear(); cells.clear(); found.clear(); }
void shim_race_range(const void* p, size_t n, int argument) {
    ranges.push_back({(uintptr_t)p, (uintptr_t)p + n, argument});
}
void shim_race_forget(const void* p, size_t n) { for (size_t k = 0; k < n; ++k) cells.erase((uintptr_t)p + k); }
const char* shim_race_found() { return found.empty() ? nullptr : found.c_str(); }

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
char __tsan_atomic8_load(const volatile char* a, int) { return __atomic_load_n(a, __ATOMIC_ACQUIRE); }
int __tsan_atomic32_fetch_add(volatile int* a, int v, int) { return __atomic_fetch_add(a, v, __ATOMIC_ACQ_REL); }
#define HOOKS(n)                                                       \
    void __tsan_read##n(void* p) { touch(p, n, false); }               \
    void __tsan_write##n(void* p) { touch(p, n, true); }               \
    void __tsan_unaligned_read##n(void* p) { touch(p, n, false); }     \
    void __tsan_unaligned_write##n(void* p) { touch(p, n, true); }
HOOKS(1) HOOKS(2) HOOKS(4) HOOKS(8) HOOKS(16)
void __tsan_read_range(void* p, size_t n) { touch(p, n, false); }
void __tsan_write_range(void* p, size_t n) { touch(p, n, true); }
}
