// Fibers, barriers and the order of threads; see scheduler.h.
#include "scheduler.h"
#include <algorithm>
#include <random>

// Static shared arrays lie in one section, so that every block can start from poisoned memory.
__attribute__((section("shim_shared"), used)) static char shim_pad[16];  // there even when no kernel has shared memory
extern char __start_shim_shared[], __stop_shim_shared[];

#ifdef SHIM_RACE
struct Who { long long block; unsigned thread, barriers, exchanges; int atomic; };
extern "C" {
extern Who shim_who;
extern int shim_race_on;
void shim_race_range(const void*, size_t, int);
void shim_race_forget(const void*, size_t);
const char* shim_race_found();
}
#endif

namespace shim {

State S;
constexpr size_t STACK = 128 * 1024;

void tell_who(int atomic) {
#ifdef SHIM_RACE
    const uint3& b = S.block_index;
    const long long block = b.x + (long long)S.grid.x * (b.y + (long long)S.grid.y * b.z);
    shim_who = {block, S.lane->id, S.lane->barriers, S.lane->exchanges, atomic};
#endif
    (void)atomic;
}

void fail(const std::string& message) {
    if (S.error.empty()) S.error = message;
    S.abort = true;
}

__attribute__((noinline)) void leave(Fiber* f) {  // to the scheduler, until it resumes this fiber
    if (!_setjmp(f->place)) _longjmp(S.main, 1);
}

void yield() {
    leave(S.current);
    if (S.abort) throw Abort{};
}

void entry() {  // take threads until none is left; one that waits keeps this fiber
    for (;;) {
        Fiber* f = S.current;
        while (S.next < S.order.size() && !S.abort) {
            Lane* lane = &S.lanes[S.order[S.next++]];
            f->lane = S.lane = lane;
            tell_who();
            try { S.body(); } catch (Abort&) {}
            if (!S.abort && std::any_of(lane->copies.begin(), lane->copies.end(), [](auto& c) { return !c.empty(); }))
                fail("thread " + std::to_string(lane->id) + " returned before its copies to shared memory were there");
            S.lane->state = RETURNED;
        }
        f->lane = nullptr;
        S.idle.push_back(f);
        leave(f);
    }
}

__attribute__((noinline)) void resume(Fiber* f) {
    S.current = f;
    S.lane = f->lane;
    if (_setjmp(S.main)) return;
    if (f->begun) _longjmp(f->place, 1);
    f->begun = true;
    setcontext(&f->context);
}

Fiber* fresh() {
    if (!S.idle.empty()) {
        Fiber* f = S.idle.back();
        S.idle.pop_back();
        return f;
    }
    S.pool.emplace_back(new Fiber);
    Fiber* f = S.pool.back().get();
    f->stack.reset(new char[STACK]);
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.get();
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
    return f;
}

std::string where(const Lane& lane) {
    std::string text = "thread " + std::to_string(lane.id);
    if (lane.state == RETURNED) return text + " has returned";
    text += lane.state == AT_BARRIER ? " waits at __syncthreads" : " waits at a warp operation";
    return text + ", line " + std::to_string(lane.line);
}

void wait_for(Waits what, int line) {
    S.lane->state = what;
    S.lane->line = line;
    S.waiting.push_back(S.current);
    yield();
}

void block_barrier(int line) {
    wait_for(AT_BARRIER, line);
    ++S.lane->barriers;
    tell_who();
}

void warp_exchange(unsigned mask, uint64_t value, int line) {
    if (!(mask >> (S.lane->id & 31) & 1)) {
        fail("line " + std::to_string(line) + ": thread " + std::to_string(S.lane->id) + " is not in the mask it gave");
        throw Abort{};
    }
    S.lane->mask = mask;
    S.lane->value = value;
    wait_for(AT_EXCHANGE, line);
    ++S.lane->exchanges;
    tell_who();
}

void warp_product(Product& part, int line) {
    S.lane->product = &part;
    warp_exchange(0xffffffffu, 0, line);
}

// d [16, 8] += a [16, 32] b [32, 8], unsigned bytes times signed ones, from the fragments of 32 lanes as PTX has them
// for m16n8k32: with g = lane / 4 and t = lane % 4, a has rows g and g + 8 at k = 4 t .. and 16 + 4 t .., b has column
// g at the same k, d has rows g and g + 8 at columns 2 t and 2 t + 1.
void multiply(Lane* lanes) {
    int a[16][32], b[8][32];
    for (int l = 0; l < 32; ++l) {
        const Product& part = *lanes[l].product;
        const int g = l / 4, t = l % 4;
        for (int i = 0; i < 4; ++i) {
            for (int r = 0; r < 4; ++r) a[g + 8 * (r & 1)][16 * (r >> 1) + 4 * t + i] = part.a[r] >> 8 * i & 0xff;
            for (int r = 0; r < 2; ++r) b[g][16 * r + 4 * t + i] = (signed char)(part.b[r] >> 8 * i & 0xff);
        }
    }
    for (int l = 0; l < 32; ++l) {
        for (int r = 0; r < 4; ++r) {
            const int row = l / 4 + 8 * (r >> 1), column = 2 * (l % 4) + (r & 1);
            unsigned sum = lanes[l].product->d[r];  // what overflows wraps
            for (int k = 0; k < 32; ++k) sum += a[row][k] * b[column][k];
            lanes[l].product->d[r] = (int)sum;
        }
    }
    for (int l = 0; l < 32; ++l) lanes[l].product = nullptr;
}

// The same for m16n8k16 on halves, two in a register: a has rows g and g + 8 at k = 2 t and 2 t + 1, then 8 on; b has
// column g at the same k. Products are exact in double and are added one by one from k = 0 on, rounded to float each
// time: one order of those that a card may take, which NVIDIA does not say.
void multiply_halves(Lane* lanes) {
    float a[16][16], b[8][16];
    for (int l = 0; l < 32; ++l) {
        const Product& part = *lanes[l].product;
        const int g = l / 4, t = l % 4;
        for (int i = 0; i < 2; ++i) {
            for (int r = 0; r < 4; ++r)
                a[g + 8 * (r & 1)][8 * (r >> 1) + 2 * t + i] = half((unsigned short)(part.a[r] >> 16 * i));
            for (int r = 0; r < 2; ++r) b[g][8 * r + 2 * t + i] = half((unsigned short)(part.b[r] >> 16 * i));
        }
    }
    for (int l = 0; l < 32; ++l) {
        for (int r = 0; r < 4; ++r) {
            const int row = l / 4 + 8 * (r >> 1), column = 2 * (l % 4) + (r & 1);
            float& sum = lanes[l].product->f[r];
            for (int k = 0; k < 16; ++k) sum = (float)((double)sum + (double)a[row][k] * b[column][k]);
        }
    }
    for (int l = 0; l < 32; ++l) lanes[l].product = nullptr;
}

// The lanes of warp w that its mask waits for; those that the block does not have are not waited for.
bool exchange(size_t first, size_t n, size_t i) {
    Lane& a = S.lanes[first + i];
    const unsigned have = n == 32 ? 0xffffffffu : (1u << n) - 1u, mask = a.mask & have;
    uint64_t seen[32] = {};
    for (size_t j = 0; j < n; ++j) {
        if (!(mask >> j & 1)) continue;
        const Lane& b = S.lanes[first + j];
        if (b.state != AT_EXCHANGE || b.mask != a.mask || b.line != a.line || !b.product != !a.product) return false;
        seen[j] = b.value;
    }
    if (a.product && n < 32) {
        fail("line " + std::to_string(a.line) + ": matrices for a warp of fewer than 32 threads");
        return false;
    }
    if (a.product) (a.product->f ? multiply_halves : multiply)(&S.lanes[first]);
    for (size_t j = 0; j < n; ++j) {
        if (!(mask >> j & 1)) continue;
        Lane& b = S.lanes[first + j];
        std::memcpy(b.seen, seen, sizeof seen);
        b.state = READY;
    }
    return true;
}

bool release() {  // let go every barrier that is complete; false if none is
    const Lane& one = S.lanes[0];
    if (std::all_of(S.lanes.begin(), S.lanes.end(), [](const Lane& l) { return l.state == AT_BARRIER; })) {
        for (Lane& l : S.lanes) {
            if (l.line != one.line) {
                fail("__syncthreads reached at different lines: " + where(one) + "; " + where(l));
                return false;
            }
        }
        for (Lane& l : S.lanes) l.state = READY;
        return true;
    }
    bool any = false;
    for (size_t first = 0; first < S.lanes.size(); first += 32) {
        const size_t n = std::min<size_t>(32, S.lanes.size() - first);
        for (size_t i = 0; i < n; ++i)
            if (S.lanes[first + i].state == AT_EXCHANGE && exchange(first, n, i)) any = true;
    }
    return any;
}

void permute(std::vector<unsigned>& order, int how) {
    for (size_t i = 0; i < order.size(); ++i) order[i] = (unsigned)i;
    if (how == 1) std::reverse(order.begin(), order.end());
    if (how > 1) std::shuffle(order.begin(), order.end(), std::mt19937(how));
}

void report_deadlock() {
    std::string message = "deadlock, or a barrier that not every thread reaches:";
    size_t shown = 0;
    int last = -1;
    for (const Lane& l : S.lanes) {
        const int key = l.state * 100000 + l.line;
        if (key != last && shown++ < 6) message += " [" + where(l) + "]";
        last = key;
    }
    fail(message);
}

void run_block(int how) {
    const size_t n = (size_t)S.block.x * S.block.y * S.block.z;
    S.lanes.assign(n, Lane{});
    S.order.resize(n);
    S.next = 0;
    S.waiting.clear();
    for (size_t i = 0; i < n; ++i) {
        S.lanes[i].id = (unsigned)i;
        S.lanes[i].index = {(unsigned)(i % S.block.x), (unsigned)(i / S.block.x % S.block.y),
                            (unsigned)(i / S.block.x / S.block.y)};
    }
    permute(S.order, how);
    while (S.next < n && !S.abort) resume(fresh());
    std::mt19937 shuffler(how + 7);
    while (!S.waiting.empty()) {
        if (!S.abort && !release() && !S.abort) report_deadlock();
        std::vector<Fiber*> go, stay;
        for (Fiber* f : S.waiting) (S.abort || f->lane->state == READY ? go : stay).push_back(f);
        S.waiting = stay;
        if (how == 1) std::reverse(go.begin(), go.end());
        if (how > 1) std::shuffle(go.begin(), go.end(), shuffler);
        for (Fiber* f : go) resume(f);
    }
}

// Run S.body on a grid; nullptr, or what went wrong.
const char* run_grid(const unsigned* g, const unsigned* b, size_t bytes, int how) {
    S.error.clear();
    S.abort = false;
    S.copies_late = how != 0;  // else at once: the device may do either
    S.grid = {g[0], g[1], g[2]};
    S.block = {b[0], b[1], b[2]};
    std::vector<char> dynamic(bytes + 64);
    S.dynamic = dynamic.data();
    const size_t shared = __stop_shim_shared - __start_shim_shared;
#ifdef SHIM_RACE
    shim_race_range(S.dynamic, bytes, -1);
    shim_race_range(__start_shim_shared, shared, -1);
#endif
    std::vector<unsigned> order((size_t)g[0] * g[1] * g[2]);
    permute(order, how);
    for (unsigned i : order) {
        S.block_index = {i % g[0], i / g[0] % g[1], i / g[0] / g[1]};
        std::memset(S.dynamic, 0xff, bytes);  // NaN for floats, -1 for integers
        std::memset(__start_shim_shared, 0xff, shared);
#ifdef SHIM_RACE
        shim_race_forget(S.dynamic, bytes);  // shared memory starts anew with every block
        shim_race_forget(__start_shim_shared, shared);
        shim_race_on = 1;
#endif
        run_block(how);
#ifdef SHIM_RACE
        shim_race_on = 0;
        if (const char* race = shim_race_found()) fail(race);
#endif
        if (S.abort) break;
    }
    return S.error.empty() ? nullptr : S.error.c_str();
}

}  // namespace shim
