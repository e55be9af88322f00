// The step of an optimizer over one flat buffer: w, g and the averages [n]. Where *finite is 0 nothing changes, so that
// the host need not look at the gradients before the step. Each line rounds as the NumPy code of snncore.optim does.
// Memory-bound: 28 bytes a parameter for Adam, 20 for SGD with momentum, 12 without.
// Registers a thread, and occupancy, on an H100: adam_step 19 (100 %), adam_step_again 21 (100 %),
// check_finite 47 (62 %), sgd_step 15 (100 %), sgd_step_again 16 (100 %).

// *finite becomes 0 if any entry of w or g, or the loss, is NaN or infinite. Integers: no order to depend on.
extern "C" __global__ void __launch_bounds__(256)
check_finite(const float* __restrict__ w, const float* __restrict__ g, const float* __restrict__ loss,
             int* __restrict__ finite, const long long n)
{
    bool bad = false;
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        bad |= !(fabsf(w[i]) <= 3.402823466e38f) || !(fabsf(g[i]) <= 3.402823466e38f);
    if (blockIdx.x == 0 && threadIdx.x == 0) bad |= !(fabsf(*loss) <= 3.402823466e38f);
    if (bad) atomicMin(finite, 0);
}

// shrink: what AdamW multiplies w with first. decay: the weight decay that enters the gradient.
// from_gradient: the average begins from the gradient, for a beta1 up to 0.5 (see snncore.optim).
// rate = lr / (1 - beta1^k), root = sqrt(1 - beta2^k); the other factors are 1 - beta.
__device__ __forceinline__ void
adam_entry(float* w, const float* g, float* m, float* v, const long long i, const float shrink, const float decay,
           const float beta1, const float one_minus_beta1, const int from_gradient, const float beta2,
           const float one_minus_beta2, const float rate, const float root, const float eps)
{
    float weight = w[i], gradient = g[i];
    if (shrink != 1.0f) weight *= shrink;
    if (decay != 0.0f) gradient = gradient + decay * weight;
    const float apart = gradient - m[i];
    const float mean = from_gradient ? gradient - beta1 * apart : m[i] + one_minus_beta1 * apart;
    const float square = v[i] * beta2 + one_minus_beta2 * gradient * gradient;
    m[i] = mean;
    v[i] = square;
    w[i] = weight - rate * mean / (sqrtf(square) / root + eps);
}

extern "C" __global__ void __launch_bounds__(256)
adam_step(float* __restrict__ w, const float* __restrict__ g, float* __restrict__ m, float* __restrict__ v,
          const int* __restrict__ finite, const long long n, const float shrink, const float decay,
          const float beta1, const float one_minus_beta1, const int from_gradient, const float beta2,
          const float one_minus_beta2, const float rate, const float root, const float eps)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || !*finite) return;
    adam_entry(w, g, m, v, i, shrink, decay, beta1, one_minus_beta1, from_gradient, beta2, one_minus_beta2, rate, root,
               eps);
}

// The same with what changes from step to step in memory, so that it can be recorded: factors {shrink, rate, root}.
extern "C" __global__ void __launch_bounds__(256)
adam_step_again(float* __restrict__ w, const float* __restrict__ g, float* __restrict__ m, float* __restrict__ v,
                const int* __restrict__ finite, const long long n, const float decay, const float beta1,
                const float one_minus_beta1, const int from_gradient, const float beta2, const float one_minus_beta2,
                const float eps, const float* __restrict__ factors)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || !*finite) return;
    adam_entry(w, g, m, v, i, factors[0], decay, beta1, one_minus_beta1, from_gradient, beta2, one_minus_beta2,
               factors[1], factors[2], eps);
}

__device__ __forceinline__ void
sgd_entry(float* w, const float* g, float* average, const int has_average, const long long i, const float lr,
          const float momentum, const float decay, const int nesterov)
{
    float gradient = g[i];
    if (decay != 0.0f) gradient = gradient + decay * w[i];
    if (has_average) {
        const float buf = average[i] * momentum + gradient;
        average[i] = buf;
        gradient = nesterov ? gradient + momentum * buf : buf;
    }
    w[i] = w[i] - lr * gradient;
}

extern "C" __global__ void __launch_bounds__(256)
sgd_step(float* __restrict__ w, const float* __restrict__ g, float* __restrict__ average, const int has_average,
         const int* __restrict__ finite, const long long n, const float lr, const float momentum, const float decay,
         const int nesterov)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || !*finite) return;
    sgd_entry(w, g, average, has_average, i, lr, momentum, decay, nesterov);
}

// The same with factors {lr}.
extern "C" __global__ void __launch_bounds__(256)
sgd_step_again(float* __restrict__ w, const float* __restrict__ g, float* __restrict__ average, const int has_average,
               const int* __restrict__ finite, const long long n, const float momentum, const float decay,
               const int nesterov, const float* __restrict__ factors)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || !*finite) return;
    sgd_entry(w, g, average, has_average, i, factors[0], momentum, decay, nesterov);
}
