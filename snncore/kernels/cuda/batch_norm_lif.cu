// BatchNorm and LIF in one pass: x, s [T, P, C]. Block (32, 8) as in batch_norm.cu; a thread takes one channel at a
// pixel through all timesteps. The normalised current is never stored. Memory-bound: 5 bytes an entry forward, 8 for
// the sums of backward and 12 for the gradient of x from them.
// Registers a thread, and occupancy, on an H100: bn_lif_backward 58 (50 %), bn_lif_backward_gx 48 (62 %),
// bn_lif_backward_sums 48 (62 %), bn_lif_forward 32 (100 %).

#include "rows.cuh"

extern "C" __global__ void __launch_bounds__(256)
bn_lif_forward(const float* __restrict__ x, const double* __restrict__ mean, const double* __restrict__ inv_std,
               const float* __restrict__ gamma, const float* __restrict__ beta, unsigned char* __restrict__ s,
               const int steps, const long long P, const int C, const float decay, const float v_threshold,
               const int hard, const float v_reset)
{
    const int c = blockIdx.y * LANES + threadIdx.x;
    if (c >= C) return;
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const float m = (float)mean[c], a = (float)((double)gamma[c] * inv_std[c]), b = beta[c];
    const long long n = P * C;
    const int T = timesteps(steps);
    for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
        const long long i = r * C + c;
        float v = 0.0f;
        for (int t = 0; t < T; t += CHUNK) {
            float in[CHUNK];
            load_steps(in, x + t * n + i, n, T - t);
#pragma unroll
            for (int j = 0; j < CHUNK; ++j) {
                if (t + j >= T) break;
                const float current = (in[j] - m) * a + b;
                const float h = t + j == 0 ? current : decay * v + current;
                const bool fired = fires(k, h);
                s[(t + j) * n + i] = fired;
                v = after(k, h, fired);
            }
        }
    }
}

// What a thread needs of its channel.
struct Channel {
    float m, inv, a, b;
};

__device__ __forceinline__ Channel channel(const double* __restrict__ mean, const double* __restrict__ inv_std,
                                           const float* __restrict__ gamma, const float* __restrict__ beta, const int c)
{
    return {(float)mean[c], (float)inv_std[c], (float)((double)gamma[c] * inv_std[c]), beta[c]};
}

struct Back {
    int kind, detach;
    float slope;
};

// h[t] of a chunk, of which `left` steps are to come; v: the membrane before it, then the one after it.
__device__ __forceinline__ void charge(float (&h)[CHUNK], const float (&in)[CHUNK], float& v, const Channel& x,
                                       const Neuron& k, const int left)
{
#pragma unroll
    for (int j = 0; j < CHUNK; ++j) {
        if (j >= left) break;
        h[j] = k.decay * v + ((in[j] - x.m) * x.a + x.b);
        v = after(k, h[j], fires(k, h[j]));
    }
}

// gc of step j, from g, what comes from the steps after it, which then is what goes to those before.
__device__ __forceinline__ float back(const float h, const float of_spike, float& g, const Neuron& k, const Back& b)
{
    const bool fired = fires(k, h);
    const float by_s = k.hard ? k.v_reset - h : -k.v_threshold;
    const float by_h = k.hard && fired ? 0.0f : 1.0f;
    const float total = b.detach ? of_spike : of_spike + g * by_s;
    const float out = total * surrogate(b.kind, b.slope, h - k.v_threshold) + g * by_h;
    g = k.decay * out;
    return out;
}

// BPTT to gc, the gradient of the normalised currents; h[t] waits in its place as in lif.cu.
// partial [gridDim.x, 2, C]: sums of gc and of gc * z. The gradient of the spikes is gs, or gs + also.
extern "C" __global__ void __launch_bounds__(256)
bn_lif_backward(const float* __restrict__ gs, const float* __restrict__ also, const int has_also,
                const float* __restrict__ x, const double* __restrict__ mean, const double* __restrict__ inv_std,
                const float* __restrict__ gamma, const float* __restrict__ beta,
                float* __restrict__ gc, double* __restrict__ partial, const int steps, const long long P, const int C,
                const float decay, const float v_threshold, const int hard, const float v_reset, const int kind,
                const float slope, const int detach)
{
    __shared__ double part[ROWS][2][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x, T = timesteps(steps);
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const Back how = {kind, detach, slope};
    const long long n = P * C;
    const Gradient gradient = {gs, has_also ? also : nullptr};
    double sum = 0.0, with_z = 0.0;
    if (c < C) {
        const Channel my = channel(mean, inv_std, gamma, beta, c);
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
            const long long i = r * C + c;
            float v = 0.0f, in[CHUNK], h[CHUNK], of_spike[CHUNK];
            int t = 0;
            for (;; t += CHUNK) {
                load_steps(in, x + t * n + i, n, T - t);
                if (t + CHUNK >= T) load_gradient(of_spike, gradient, t * n + i, n, T - t);
                charge(h, in, v, my, k, T - t);
                if (t + CHUNK >= T) break;
#pragma unroll
                for (int j = 0; j < CHUNK; ++j) gc[(t + j) * n + i] = h[j];
            }
            float g = 0.0f, of_sum = 0.0f, of_z = 0.0f;
            for (;; t -= CHUNK) {
#pragma unroll
                for (int j = CHUNK - 1; j >= 0; --j) {
                    if (t + j >= T) continue;
                    const float out = back(h[j], of_spike[j], g, k, how);
                    gc[(t + j) * n + i] = out;
                    of_sum += out;
                    of_z += out * ((in[j] - my.m) * my.inv);
                }
                if (t == 0) break;
                load_steps(h, gc + (t - CHUNK) * n + i, n, CHUNK);
                load_steps(in, x + (t - CHUNK) * n + i, n, CHUNK);
                load_gradient(of_spike, gradient, (t - CHUNK) * n + i, n, CHUNK);
            }
            sum += of_sum;
            with_z += of_z;
        }
    }
    put_sums(sum, with_z, partial, C, part);
}

// The same sums where all T timesteps fit into one CHUNK. gc is kept nowhere: bn_lif_backward_gx computes it again,
// which costs less than to write it and to read it.
extern "C" __global__ void __launch_bounds__(256)
bn_lif_backward_sums(const float* __restrict__ gs, const float* __restrict__ also, const int has_also,
                     const float* __restrict__ x, const double* __restrict__ mean, const double* __restrict__ inv_std,
                     const float* __restrict__ gamma, const float* __restrict__ beta, double* __restrict__ partial,
                     const int steps, const long long P, const int C, const float decay, const float v_threshold,
                     const int hard, const float v_reset, const int kind, const float slope, const int detach)
{
    __shared__ double part[ROWS][2][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x, T = timesteps(steps);
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const Back how = {kind, detach, slope};
    const long long n = P * C;
    const Gradient gradient = {gs, has_also ? also : nullptr};
    double sum = 0.0, with_z = 0.0;
    if (c < C) {
        const Channel my = channel(mean, inv_std, gamma, beta, c);
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
            float v = 0.0f, g = 0.0f, of_sum = 0.0f, of_z = 0.0f, in[CHUNK], h[CHUNK], of_spike[CHUNK];
            load_steps(in, x + r * C + c, n, T);
            load_gradient(of_spike, gradient, r * C + c, n, T);
            charge(h, in, v, my, k, T);
#pragma unroll
            for (int j = CHUNK - 1; j >= 0; --j) {
                if (j >= T) continue;
                const float out = back(h[j], of_spike[j], g, k, how);
                of_sum += out;
                of_z += out * ((in[j] - my.m) * my.inv);
            }
            sum += of_sum;
            with_z += of_z;
        }
    }
    put_sums(sum, with_z, partial, C, part);
}

// gx from those sums, and the bits of its largest magnitudes, as bn_backward has both.
extern "C" __global__ void __launch_bounds__(256)
bn_lif_backward_gx(const float* __restrict__ gs, const float* __restrict__ also, const int has_also,
                   const float* __restrict__ x, const double* __restrict__ mean, const double* __restrict__ inv_std,
                   const float* __restrict__ gamma, const float* __restrict__ beta, const double* __restrict__ sums,
                   float* __restrict__ gx, const int steps, const long long P, const int C, const float decay,
                   const float v_threshold, const int hard, const float v_reset, const int kind, const float slope,
                   const int detach, const long long count, const int training, unsigned* __restrict__ largest,
                   const int finds)
{
    __shared__ unsigned part[ROWS][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x, T = timesteps(steps);
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const Back how = {kind, detach, slope};
    const long long n = P * C;
    const Gradient gradient = {gs, has_also ? also : nullptr};
    unsigned most = 0;
    if (c < C) {
        const Channel my = channel(mean, inv_std, gamma, beta, c);
        const float by_sum = (float)(sums[c] / (double)count), by_z = (float)(sums[C + c] / (double)count);
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
            float v = 0.0f, g = 0.0f, in[CHUNK], h[CHUNK], of_spike[CHUNK];
            load_steps(in, x + r * C + c, n, T);
            load_gradient(of_spike, gradient, r * C + c, n, T);
            charge(h, in, v, my, k, T);
#pragma unroll
            for (int j = CHUNK - 1; j >= 0; --j) {
                if (j >= T) continue;
                float out = back(h[j], of_spike[j], g, k, how);
                if (training) out = out - (in[j] - my.m) * my.inv * by_z - by_sum;
                out *= my.a;
                gx[j * n + r * C + c] = out;
                most = max(most, __float_as_uint(out) & 0x7fffffffu);
            }
        }
    }
    if (finds) put_largest(most, largest, C, part);
}
