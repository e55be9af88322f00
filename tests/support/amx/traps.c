// The tile instructions of AMX on a processor that has none: each raises SIGILL, and the handler does what the manual
// says (Intel, Software Developer's Manual, volume 2; encodings and operation of each instruction), then steps over it.
// All other code of a kernel runs as it was compiled. What is wrong (no configuration, a tile outside it, an unknown
// encoding, a step that is not a row) is counted in `faults` and the instruction skipped; code that is not AMX goes to
// the handler that was there before.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} Configuration;

static __thread Configuration now;                                    // of this thread, palette 0: none
static __thread _Alignas(64) uint8_t tiles[8][16][64];
static struct sigaction before;
static long counts[16], faults;  // by kind: configure, store, release, zero, load, save, usd, ssd, sud, uud, bf16

long amx_count(int kind) { return __atomic_load_n(&counts[kind], __ATOMIC_SEQ_CST); }
long amx_faults(void) { return __atomic_load_n(&faults, __ATOMIC_SEQ_CST); }

static void fault(void) { __atomic_add_fetch(&faults, 1, __ATOMIC_SEQ_CST); }
static void did(int kind) { __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST); }

static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static int configured(int t) { return now.palette == 1 && t < 8 && now.rows[t] && now.bytes[t]; }

static void products(int kind, int c, int a, int b) {
    if (!configured(c) || !configured(a) || !configured(b) || c == a || c == b || a == b) return fault();
    int rows = now.rows[c], columns = now.bytes[c] / 4, deep = now.bytes[a] / 4;
    if (now.rows[a] != rows || now.rows[b] != deep || now.bytes[b] != now.bytes[c]) return fault();
    for (int m = 0; m < rows; m++)
        for (int n = 0; n < columns; n++) {
            if (kind == 10) {
                float total;
                memcpy(&total, &tiles[c][m][4 * n], 4);
                for (int k = 0; k < deep; k++)
                    for (int i = 0; i < 2; i++) {
                        uint32_t p = 0, q = 0;
                        memcpy((char *)&p + 2, &tiles[a][m][4 * k + 2 * i], 2);
                        memcpy((char *)&q + 2, &tiles[b][k][4 * n + 2 * i], 2);
                        float u, v;
                        memcpy(&u, &p, 4), memcpy(&v, &q, 4);
                        total += u * v;
                    }
                memcpy(&tiles[c][m][4 * n], &total, 4);
                continue;
            }
            uint32_t total;  // wraps
            memcpy(&total, &tiles[c][m][4 * n], 4);
            for (int k = 0; k < deep; k++)
                for (int i = 0; i < 4; i++) {
                    int p = tiles[a][m][4 * k + i], q = tiles[b][k][4 * n + i];
                    if (kind == 7 || kind == 8) p = (int8_t)p;
                    if (kind == 6 || kind == 7) q = (int8_t)q;
                    total += (uint32_t)(p * q);
                }
            memcpy(&tiles[c][m][4 * n], &total, 4);
        }
    did(kind);
}

// Returns the length of the instruction, 0 if it is not one of AMX.
static int step(const uint8_t *code, greg_t *registers) {
    if (code[0] != 0xC4 || (code[1] & 31) != 2) return 0;  // three-byte VEX, map 0F 38
    int r = !(code[1] & 128), x = !(code[1] & 64), b = !(code[1] & 32);
    int wide = code[2] >> 7, third = ~(code[2] >> 3) & 15, prefix = code[2] & 3;  // none, 66, F3, F2
    int op = code[3], modrm = code[4], mode = modrm >> 6, reg = (modrm >> 3 & 7) + 8 * r, rm = modrm & 7;
    if (wide || code[2] & 4 || (op != 0x49 && op != 0x4B && op != 0x5C && op != 0x5E)) return 0;
    if (op == 0x5E || op == 0x5C) {
        static const int kinds[4] = {9, 6, 8, 7};  // uud, usd, sud, ssd
        if (mode != 3 || (op == 0x5C && prefix != 2)) return 0;
        products(op == 0x5C ? 10 : kinds[prefix], reg, rm + 8 * b, third);
        return 5;
    }
    if (mode == 3) {
        if (op != 0x49 || third) return 0;
        if (prefix == 0 && modrm == 0xC0) {
            memset(&now, 0, sizeof now);
            did(2);
            return 5;
        }
        if (prefix != 3 || rm) return 0;
        if (configured(reg)) memset(tiles[reg], 0, sizeof tiles[reg]), did(3);
        else fault();
        return 5;
    }
    int length = 5, index = -1, scale = 0;
    uint64_t place = 0;
    if (rm == 4) {
        int sib = code[length++], base = (sib & 7) + 8 * b;
        index = (sib >> 3 & 7) + 8 * x;
        scale = sib >> 6;
        if ((sib & 7) != 5 || mode) place = registers[ORDER[base]];
        else return 0;
        if (index == 4) index = -1;
    } else if (rm == 5 && mode == 0) return 0;  // relative to the instruction: not used by the kernels
    else place = registers[ORDER[rm + 8 * b]];
    if (mode == 1) place += (int8_t)code[length++];
    if (mode == 2) {
        int32_t offset;
        memcpy(&offset, code + length, 4);
        place += offset;
        length += 4;
    }
    uint64_t stride = index < 0 ? 0 : (uint64_t)registers[ORDER[index]] << scale;
    if (op == 0x49) {
        if (prefix > 1 || reg) return 0;
        place += stride;
        if (prefix == 1) memcpy((void *)place, &now, 64), did(1);
        else {
            memcpy(&now, (void *)place, 64);
            memset(tiles, 0, sizeof tiles);
            did(0);
            for (int t = 0; t < 8; t++)
                if (now.palette != 1 || now.bytes[t] > 64 || now.rows[t] > 16) fault();
        }
        return length;
    }
    if (rm != 4 || prefix == 0) return 0;
    if (!configured(reg)) return fault(), length;
    if (prefix != 2) memset(tiles[reg], 0, sizeof tiles[reg]);
    for (int row = 0; row < now.rows[reg]; row++, place += stride)
        if (prefix == 2) memcpy((void *)place, tiles[reg][row], now.bytes[reg]);
        else memcpy(tiles[reg][row], (void *)place, now.bytes[reg]);
    did(prefix == 2 ? 5 : 4);
    return length;
}

static void handle(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    int length = step((const uint8_t *)registers[REG_RIP], registers);
    if (length) registers[REG_RIP] += length;
    else sigaction(signal, &before, NULL);  // comes again, to the handler that was there
}

int amx_install(void) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    return sigaction(SIGILL, &action, &before);
}

int amx_remove(void) { return sigaction(SIGILL, &before, NULL); }
