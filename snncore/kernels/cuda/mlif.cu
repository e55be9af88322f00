// One modality of the MLIF: o, s [T, N, Q, C], Q pixels; o is spikes (u8) or float (f32). The weight of Eq. 5 is one a
// pixel [Q], one a channel [C], or none. alpha is read on the device, so that nothing waits for it. Memory-bound:
// 2 bytes an entry forward from spikes, 9 backward.
// Registers a thread, and occupancy, on an H100: mlif_backward_f32 48 (62 %), mlif_backward_u8 48 (62 %),
// mlif_forward_f32 27 (100 %), mlif_forward_u8 24 (100 %).

enum { NO_WEIGHT, PIXEL_WEIGHT, CHANNEL_WEIGHT };

template <class O>
__device__ __forceinline__ void forward(const O* __restrict__ o, const float* __restrict__ w, const int weights,
                                        const float* __restrict__ alpha, const float* __restrict__ u0, const int has_u0,
                                        unsigned char* __restrict__ s, float* __restrict__ u_end, const int T,
                                        const long long n, const int Q, const int C, const Neuron& k)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float by = *alpha;
    const float weight = weights == PIXEL_WEIGHT ? w[i / C % Q] : weights == CHANNEL_WEIGHT ? w[i % C] : 1.0f;
    float u = has_u0 ? u0[i] : 0.0f;
    for (int t = 0; t < T; t += CHUNK) {
        float in[CHUNK];
        load_steps(in, o + t * n + i, n, T - t);
#pragma unroll
        for (int j = 0; j < CHUNK; ++j) {
            if (t + j >= T) break;
            const float c = in[j] * weight;
            const float h = t + j == 0 && !has_u0 ? c : k.decay * u + c;
            const bool fired = fires(k, by * h);
            s[(t + j) * n + i] = fired;
            u = after(k, h, fired);
        }
    }
    u_end[i] = u;
}

extern "C" __global__ void __launch_bounds__(256)
mlif_forward_u8(const unsigned char* __restrict__ o, const float* __restrict__ w, const int weights,
                const float* __restrict__ alpha, const float* __restrict__ u0, const int has_u0,
                unsigned char* __restrict__ s, float* __restrict__ u_end, const int T, const long long n, const int Q,
                const int C, const float decay, const float v_threshold, const int hard, const float v_reset)
{
    forward(o, w, weights, alpha, u0, has_u0, s, u_end, timesteps(T), n, Q, C, {decay, v_threshold, v_reset, hard});
}

extern "C" __global__ void __launch_bounds__(256)
mlif_forward_f32(const float* __restrict__ o, const float* __restrict__ w, const int weights,
                 const float* __restrict__ alpha, const float* __restrict__ u0, const int has_u0,
                 unsigned char* __restrict__ s, float* __restrict__ u_end, const int T, const long long n, const int Q,
                 const int C, const float decay, const float v_threshold, const int hard, const float v_reset)
{
    forward(o, w, weights, alpha, u0, has_u0, s, u_end, timesteps(T), n, Q, C, {decay, v_threshold, v_reset, hard});
}

struct Backward {  // what BPTT of one neuron needs
    float by, slope;
    int kind, detach, T;
    long long n;
};

// BPTT of the neuron at i; h[t] waits in go[t] as in lif.cu, but for the last steps. Adds to the gradients of its
// weight and of alpha.
template <class O>
__device__ __forceinline__ float bptt(const O* __restrict__ o, const Gradient& gs, float* __restrict__ go,
                                      const long long i, const float weight, const float u_first, float g,
                                      const Backward& b, const Neuron& k, double& gw, double& galpha)
{
    float u = u_first, in[CHUNK], h[CHUNK], of_spike[CHUNK];
    int t = 0;
    for (;; t += CHUNK) {
        load_steps(in, o + t * b.n + i, b.n, b.T - t);
        if (t + CHUNK >= b.T) load_gradient(of_spike, gs, t * b.n + i, b.n, b.T - t);
#pragma unroll
        for (int j = 0; j < CHUNK; ++j) {
            if (t + j >= b.T) break;
            h[j] = k.decay * u + in[j] * weight;
            u = after(k, h[j], fires(k, b.by * h[j]));
        }
        if (t + CHUNK >= b.T) break;
#pragma unroll
        for (int j = 0; j < CHUNK; ++j) go[(t + j) * b.n + i] = h[j];
    }
    float of_w = 0.0f, of_alpha = 0.0f;
    for (;; t -= CHUNK) {
#pragma unroll
        for (int j = CHUNK - 1; j >= 0; --j) {
            if (t + j >= b.T) continue;
            const bool fired = fires(k, b.by * h[j]);
            const float by_s = k.hard ? k.v_reset - h[j] : -k.v_threshold;
            const float by_h = k.hard && fired ? 0.0f : 1.0f;
            const float total = b.detach ? of_spike[j] : of_spike[j] + g * by_s;
            const float fire = total * surrogate(b.kind, b.slope, b.by * h[j] - k.v_threshold);
            const float gc = fire * b.by + g * by_h;
            of_alpha += fire * h[j];
            of_w += gc * in[j];
            go[(t + j) * b.n + i] = gc * weight;
            g = k.decay * gc;
        }
        if (t == 0) break;
        load_steps(h, go + (t - CHUNK) * b.n + i, b.n, CHUNK);
        load_steps(in, o + (t - CHUNK) * b.n + i, b.n, CHUNK);
        load_gradient(of_spike, gs, (t - CHUNK) * b.n + i, b.n, CHUNK);
    }
    gw += of_w;
    galpha += of_alpha;
    return g;
}

// A block (q, chunk) takes one pixel of every gridDim.y-th sample, all channels, and has as many threads as those up to
// 256. partial [gridDim.y, 2, Q]: gradients of the weight of pixel q and of alpha.
template <class O>
__device__ __forceinline__ void by_pixel(const O* __restrict__ o, const float* __restrict__ w, const int weights,
                                         const float* __restrict__ u0, const int has_u0, const Gradient& gs,
                                         const float* __restrict__ gu, const int has_gu, float* __restrict__ go,
                                         float* __restrict__ gu0, double* __restrict__ partial, const int N,
                                         const int Q, const int C, const Backward& b, const Neuron& k, double* part)
{
    const int q = blockIdx.x;
    const float weight = weights == PIXEL_WEIGHT ? w[q] : 1.0f;
    double gw = 0.0, galpha = 0.0;
    for (int sample = blockIdx.y; sample < N; sample += gridDim.y) {
        for (int c = threadIdx.x; c < C; c += blockDim.x) {
            const long long i = ((long long)sample * Q + q) * C + c;
            gu0[i] = bptt(o, gs, go, i, weight, has_u0 ? u0[i] : 0.0f, has_gu ? gu[i] : 0.0f, b, k, gw, galpha);
        }
    }
    gw = block_sum(gw, part);
    galpha = block_sum(galpha, part);
    if (threadIdx.x) return;
    partial[(long long)blockIdx.y * 2 * Q + q] = gw;
    partial[((long long)blockIdx.y * 2 + 1) * Q + q] = galpha;
}

extern "C" __global__ void __launch_bounds__(256)
mlif_backward_u8(const unsigned char* __restrict__ o, const float* __restrict__ w, const int weights,
                 const float* __restrict__ alpha, const float* __restrict__ u0, const int has_u0,
                 const float* __restrict__ gs, const float* __restrict__ also, const int has_also,
                 const float* __restrict__ gu, const int has_gu, float* __restrict__ go, float* __restrict__ gu0,
                 double* __restrict__ partial, const int T, const int N, const int Q,
                 const int C, const float decay, const float v_threshold, const int hard, const float v_reset,
                 const int kind, const float slope, const int detach)
{
    __shared__ double part[32];
    by_pixel(o, w, weights, u0, has_u0, {gs, has_also ? also : nullptr}, gu, has_gu, go, gu0, partial, N, Q, C,
             {*alpha, slope, kind, detach, timesteps(T), (long long)N * Q * C}, {decay, v_threshold, v_reset, hard},
             part);
}

extern "C" __global__ void __launch_bounds__(256)
mlif_backward_f32(const float* __restrict__ o, const float* __restrict__ w, const int weights,
                  const float* __restrict__ alpha, const float* __restrict__ u0, const int has_u0,
                  const float* __restrict__ gs, const float* __restrict__ also, const int has_also,
                  const float* __restrict__ gu, const int has_gu, float* __restrict__ go, float* __restrict__ gu0,
                  double* __restrict__ partial, const int T, const int N, const int Q,
                  const int C, const float decay, const float v_threshold, const int hard, const float v_reset,
                  const int kind, const float slope, const int detach)
{
    __shared__ double part[32];
    by_pixel(o, w, weights, u0, has_u0, {gs, has_also ? also : nullptr}, gu, has_gu, go, gu0, partial, N, Q, C,
             {*alpha, slope, kind, detach, timesteps(T), (long long)N * Q * C}, {decay, v_threshold, v_reset, hard},
             part);
}
