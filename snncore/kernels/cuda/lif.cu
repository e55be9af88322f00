// LIF over T timesteps, one thread a neuron: c, s [T, n]. Neighbouring threads hold neighbouring channels, so each step
// reads and writes whole lines. Memory-bound: 5 bytes a neuron and step forward, 12 backward, and about ten operations.
// Registers a thread, and occupancy, on an H100: lif_backward 40 (75 %), lif_forward 32 (100 %).

extern "C" __global__ void __launch_bounds__(256)
lif_forward(const float* __restrict__ c, const float* __restrict__ v0, const int has_v0,
            unsigned char* __restrict__ s, float* __restrict__ v_end, const int T, const long long n,
            const float decay, const float v_threshold, const int hard, const float v_reset)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const Neuron k = {decay, v_threshold, v_reset, hard};
    float v = has_v0 ? v0[i] : 0.0f;
    for (int t = 0; t < T; ++t) {
        const float h = t == 0 && !has_v0 ? c[i] : decay * v + c[t * n + i];
        const bool fired = fires(k, h);
        s[t * n + i] = fired;
        v = after(k, h, fired);
    }
    v_end[i] = v;
}

// BPTT. The charged membrane h[t] is computed again and waits in gc[t], which is what this thread overwrites last: it
// stays in the cache. partial[block]: sum of gc[t] * v[t-1], the gradient of the decay.
extern "C" __global__ void __launch_bounds__(256)
lif_backward(const float* __restrict__ gs, const float* __restrict__ gv, const int has_gv,
             const float* __restrict__ c, const float* __restrict__ v0, const int has_v0,
             float* __restrict__ gc, float* __restrict__ gv0, double* __restrict__ partial,
             const int T, const long long n, const float decay, const float v_threshold, const int hard,
             const float v_reset, const int kind, const float slope, const int detach)
{
    __shared__ double part[32];
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const Neuron k = {decay, v_threshold, v_reset, hard};
    float gdecay = 0.0f;
    if (i < n) {
        const float first = has_v0 ? v0[i] : 0.0f;
        float v = first;
        for (int t = 0; t < T; ++t) {
            const float h = decay * v + c[t * n + i];
            gc[t * n + i] = h;
            v = after(k, h, fires(k, h));
        }
        float g = has_gv ? gv[i] : 0.0f;
        float h = gc[(T - 1) * n + i];
        for (int t = T - 1; t >= 0; --t) {
            const bool fired = fires(k, h);
            const float by_s = hard ? v_reset - h : -v_threshold;
            const float by_h = hard && fired ? 0.0f : 1.0f;
            const float total = detach ? gs[t * n + i] : gs[t * n + i] + g * by_s;
            const float out = total * surrogate(kind, slope, h - v_threshold) + g * by_h;
            const float h_before = t ? gc[(t - 1) * n + i] : 0.0f;
            gc[t * n + i] = out;
            gdecay += out * (t ? after(k, h_before, fires(k, h_before)) : first);
            g = decay * out;
            h = h_before;
        }
        gv0[i] = g;
    }
    const double sum = block_sum(gdecay, part);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
