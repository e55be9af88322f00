// BatchNorm and LIF in one pass: x, s [T, P, C]. Block (32, 8) as in batch_norm.cu; a thread takes one channel at a
// pixel through all timesteps. The normalised current is never stored. Memory-bound: 5 bytes an entry forward, 12
// backward, then 12 more in bn_backward, which turns gradients of currents into gradients of x.
// Registers a thread, and occupancy, on an H100: bn_lif_backward 48 (62 %), bn_lif_forward 32 (100 %).

extern "C" __global__ void __launch_bounds__(256)
bn_lif_forward(const float* __restrict__ x, const double* __restrict__ mean, const double* __restrict__ inv_std,
               const float* __restrict__ gamma, const float* __restrict__ beta, unsigned char* __restrict__ s,
               const int T, const long long P, const int C, const float decay, const float v_threshold,
               const int hard, const float v_reset)
{
    const int c = blockIdx.y * LANES + threadIdx.x;
    if (c >= C) return;
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const float m = (float)mean[c], a = (float)((double)gamma[c] * inv_std[c]), b = beta[c];
    const long long n = P * C;
    for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
        const long long i = r * C + c;
        float v = 0.0f;
        for (int t = 0; t < T; ++t) {
            const float current = (x[t * n + i] - m) * a + b;
            const float h = t == 0 ? current : decay * v + current;
            const bool fired = fires(k, h);
            s[t * n + i] = fired;
            v = after(k, h, fired);
        }
    }
}

// BPTT to gc, the gradient of the normalised currents; h[t] waits in its place as in lif.cu.
// partial [gridDim.x, 2, C]: sums of gc and of gc * z.
extern "C" __global__ void __launch_bounds__(256)
bn_lif_backward(const float* __restrict__ gs, const float* __restrict__ x, const double* __restrict__ mean,
                const double* __restrict__ inv_std, const float* __restrict__ gamma, const float* __restrict__ beta,
                float* __restrict__ gc, double* __restrict__ partial, const int T, const long long P, const int C,
                const float decay, const float v_threshold, const int hard, const float v_reset, const int kind,
                const float slope, const int detach)
{
    __shared__ double part[ROWS][2][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x;
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const long long n = P * C;
    double sum = 0.0, with_z = 0.0;
    if (c < C) {
        const float m = (float)mean[c], inv = (float)inv_std[c];
        const float a = (float)((double)gamma[c] * inv_std[c]), b = beta[c];
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
            const long long i = r * C + c;
            float v = 0.0f;
            for (int t = 0; t < T; ++t) {
                const float h = decay * v + ((x[t * n + i] - m) * a + b);
                gc[t * n + i] = h;
                v = after(k, h, fires(k, h));
            }
            float g = 0.0f, of_sum = 0.0f, of_z = 0.0f;
            for (int t = T - 1; t >= 0; --t) {
                const float h = gc[t * n + i];
                const bool fired = fires(k, h);
                const float by_s = hard ? v_reset - h : -v_threshold;
                const float by_h = hard && fired ? 0.0f : 1.0f;
                const float total = detach ? gs[t * n + i] : gs[t * n + i] + g * by_s;
                const float out = total * surrogate(kind, slope, h - v_threshold) + g * by_h;
                gc[t * n + i] = out;
                of_sum += out;
                of_z += out * ((x[t * n + i] - m) * inv);
                g = decay * out;
            }
            sum += of_sum;
            with_z += of_z;
        }
    }
    part[threadIdx.y][0][threadIdx.x] = sum;
    part[threadIdx.y][1][threadIdx.x] = with_z;
    __syncthreads();
    if (threadIdx.y > 1 || c >= C) return;
    double total = 0.0;  // warp 0 adds gc, warp 1 adds gc * z
    for (int r = 0; r < ROWS; ++r) total += part[r][threadIdx.y][threadIdx.x];
    partial[((long long)blockIdx.x * 2 + threadIdx.y) * C + c] = total;
}
