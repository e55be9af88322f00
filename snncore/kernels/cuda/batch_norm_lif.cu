// BatchNorm and LIF in one pass: x, s [T, P, C]. Block (32, 8) as in batch_norm.cu; a thread takes one channel at a
// pixel through all timesteps. The normalised current is never stored. Memory-bound: 5 bytes an entry forward, 12
// backward, then 12 more in bn_backward, which turns gradients of currents into gradients of x.
// Registers a thread, and occupancy, on an H100: bn_lif_backward 55 (50 %), bn_lif_forward 32 (100 %).

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
    const int c = blockIdx.y * LANES + threadIdx.x;
    const Neuron k = {decay, v_threshold, v_reset, hard};
    const long long n = P * C;
    const int T = timesteps(steps);
    const Gradient gradient = {gs, has_also ? also : nullptr};
    double sum = 0.0, with_z = 0.0;
    if (c < C) {
        const float m = (float)mean[c], inv = (float)inv_std[c];
        const float a = (float)((double)gamma[c] * inv_std[c]), b = beta[c];
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
            const long long i = r * C + c;
            float v = 0.0f, in[CHUNK], h[CHUNK], of_spike[CHUNK];
            int t = 0;
            for (;; t += CHUNK) {
                load_steps(in, x + t * n + i, n, T - t);
                if (t + CHUNK >= T) load_gradient(of_spike, gradient, t * n + i, n, T - t);
#pragma unroll
                for (int j = 0; j < CHUNK; ++j) {
                    if (t + j >= T) break;
                    h[j] = decay * v + ((in[j] - m) * a + b);
                    v = after(k, h[j], fires(k, h[j]));
                }
                if (t + CHUNK >= T) break;
#pragma unroll
                for (int j = 0; j < CHUNK; ++j) gc[(t + j) * n + i] = h[j];
            }
            float g = 0.0f, of_sum = 0.0f, of_z = 0.0f;
            for (;; t -= CHUNK) {
#pragma unroll
                for (int j = CHUNK - 1; j >= 0; --j) {
                    if (t + j >= T) continue;
                    const bool fired = fires(k, h[j]);
                    const float by_s = hard ? v_reset - h[j] : -v_threshold;
                    const float by_h = hard && fired ? 0.0f : 1.0f;
                    const float total = detach ? of_spike[j] : of_spike[j] + g * by_s;
                    const float out = total * surrogate(kind, slope, h[j] - v_threshold) + g * by_h;
                    gc[(t + j) * n + i] = out;
                    of_sum += out;
                    of_z += out * ((in[j] - m) * inv);
                    g = decay * out;
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
    part[threadIdx.y][0][threadIdx.x] = sum;
    part[threadIdx.y][1][threadIdx.x] = with_z;
    __syncthreads();
    if (threadIdx.y > 1 || c >= C) return;
    double total = 0.0;  // warp 0 adds gc, warp 1 adds gc * z
    for (int r = 0; r < ROWS; ++r) total += part[r][threadIdx.y][threadIdx.x];
    partial[((long long)blockIdx.x * 2 + threadIdx.y) * C + c] = total;
}
