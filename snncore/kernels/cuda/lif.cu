// LIF over T timesteps, one thread a neuron: c, s [T, n]. Neighbouring threads hold neighbouring channels, so each step
// reads and writes whole lines. Memory-bound: 5 bytes a neuron and step forward, 12 backward, and about ten operations.
// Registers a thread, and occupancy, on an H100: lif_backward 40 (75 %), lif_forward 28 (100 %).

extern "C" __global__ void __launch_bounds__(256)
lif_forward(const float* __restrict__ c, const float* __restrict__ v0, const int has_v0,
            unsigned char* __restrict__ s, float* __restrict__ v_end, const int steps, const long long n,
            const float* __restrict__ decay_at, const int has_decay, const float fixed_decay, const float v_threshold,
            const int hard, const float v_reset)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float decay = has_decay ? *decay_at : fixed_decay;  // PLIF learns it, and nothing waits for it
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const int T = timesteps(steps);
    float v = has_v0 ? v0[i] : 0.0f;
    for (int t = 0; t < T; t += CHUNK) {
        float current[CHUNK];
        load_steps(current, c + t * n + i, n, T - t);
#pragma unroll
        for (int j = 0; j < CHUNK; ++j) {
            if (t + j >= T) break;
            const float h = t + j == 0 && !has_v0 ? current[j] : decay * v + current[j];
            const bool fired = fires(k, h);
            s[(t + j) * n + i] = fired;
            v = after(k, h, fired);
        }
    }
    v_end[i] = v;
}

// BPTT. The charged membrane h[t] is computed again; but for the last CHUNK steps it waits in gc[t], which is what this
// thread overwrites last: it stays in the cache. partial[block]: sum of gc[t] * v[t-1], the gradient of the decay.
extern "C" __global__ void __launch_bounds__(256)
lif_backward(const float* __restrict__ gs, const float* __restrict__ gv, const int has_gv,
             const float* __restrict__ c, const float* __restrict__ v0, const int has_v0,
             float* __restrict__ gc, float* __restrict__ gv0, double* __restrict__ partial,
             const int steps, const long long n, const float* __restrict__ decay_at, const int has_decay,
             const float fixed_decay, const float v_threshold, const int hard, const float v_reset, const int kind,
             const float slope, const int detach)
{
    __shared__ double part[32];
    const int T = timesteps(steps);
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const float decay = has_decay ? *decay_at : fixed_decay;
    const Neuron k = {decay, v_threshold, v_reset, hard};
    float gdecay = 0.0f;
    if (i < n) {
        const float first = has_v0 ? v0[i] : 0.0f;
        float v = first, h[CHUNK], of_spike[CHUNK];
        int t = 0;
        for (;; t += CHUNK) {
            load_steps(h, c + t * n + i, n, T - t);
            if (t + CHUNK >= T) load_steps(of_spike, gs + t * n + i, n, T - t);
#pragma unroll
            for (int j = 0; j < CHUNK; ++j) {
                if (t + j >= T) break;
                h[j] = decay * v + h[j];
                v = after(k, h[j], fires(k, h[j]));
            }
            if (t + CHUNK >= T) break;
#pragma unroll
            for (int j = 0; j < CHUNK; ++j) gc[(t + j) * n + i] = h[j];
        }
        float g = has_gv ? gv[i] : 0.0f, later = 0.0f;  // later: gc of the step after this one
        for (;; t -= CHUNK) {
#pragma unroll
            for (int j = CHUNK - 1; j >= 0; --j) {
                if (t + j >= T) continue;
                const bool fired = fires(k, h[j]);
                gdecay += later * after(k, h[j], fired);
                const float by_s = hard ? v_reset - h[j] : -v_threshold;
                const float by_h = hard && fired ? 0.0f : 1.0f;
                const float total = detach ? of_spike[j] : of_spike[j] + g * by_s;
                later = total * surrogate(kind, slope, h[j] - v_threshold) + g * by_h;
                gc[(t + j) * n + i] = later;
                g = decay * later;
            }
            if (t == 0) break;
            load_steps(h, gc + (t - CHUNK) * n + i, n, CHUNK);
            load_steps(of_spike, gs + (t - CHUNK) * n + i, n, CHUNK);
        }
        gdecay += later * first;
        gv0[i] = g;
    }
    const double sum = block_sum(gdecay, part);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
