// Batch normalisation of x [P, C] over its P rows. Block (32, 8): lanes along channels, warps along rows; block (b, g)
// takes channels 32 g .. 32 g + 31 of every (8 gridDim.x)-th row. Memory-bound.
// Registers a thread, and occupancy, on an H100: bn_backward 40 (75 %), bn_forward 32 (100 %),
// bn_gradient_sums 32 (100 %), bn_merge_moments 50 (50 %), bn_moments 34 (75 %), bn_settle 26 (100 %).

#include "rows.cuh"
#include "settle.cuh"

#define AHEAD 4  // rows, or pieces, whose loads are under way together

// One pass for mean and variance. A thread sums about its own first entry, so that a mean far from zero costs no
// digits; the pieces are put together in double about the mean of the first. partial [gridDim.x, 3, C]: entries, their
// mean and their sum of squared deviations.
struct Moments {
    double n, sum, squares;  // sum and squares about some shift
};

__device__ __forceinline__ void add_moments(Moments& all, const double shift, const double n, const double mean,
                                            const double m2)
{
    const double d = mean - shift;
    all.n += n;
    all.sum += n * d;
    all.squares += m2 + n * d * d;
}

extern "C" __global__ void __launch_bounds__(256)
bn_moments(const float* __restrict__ x, double* __restrict__ partial, const long long P, const int C)
{
    __shared__ double part[ROWS][3][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x;
    const long long first = (long long)blockIdx.x * ROWS + threadIdx.y;
    float sum = 0.0f, squares = 0.0f, shift = 0.0f;
    int count = 0;
    if (c < C && first < P) {
        shift = x[first * C + c];
        each_row(x, P, C, c, [&](const float v) {
            const float d = v - shift;
            sum += d;
            squares += d * d;
            ++count;
        });
    }
    const double of_sum = count ? (double)sum / count : 0.0;
    part[threadIdx.y][0][threadIdx.x] = count;
    part[threadIdx.y][1][threadIdx.x] = shift + of_sum;
    part[threadIdx.y][2][threadIdx.x] = (double)squares - (double)sum * of_sum;
    __syncthreads();
    if (threadIdx.y || c >= C) return;
    const double about = part[0][1][threadIdx.x];
    Moments all = {0.0, 0.0, 0.0};
    for (int r = 0; r < ROWS; ++r)
        add_moments(all, about, part[r][0][threadIdx.x], part[r][1][threadIdx.x], part[r][2][threadIdx.x]);
    double* const out = partial + (long long)blockIdx.x * 3 * C + c;
    out[0] = all.n;
    out[C] = about + all.sum / all.n;
    out[2 * C] = all.squares - all.sum * (all.sum / all.n);
}

// The second half of bn_moments, 32 channels a block (32, 32). settles: go on to inv_std and the running statistics.
extern "C" __global__ void __launch_bounds__(1024)
bn_merge_moments(const double* __restrict__ partial, double* __restrict__ mean_out, double* __restrict__ var_out,
                 const int blocks, const int C, const int settles, float* __restrict__ running_mean,
                 float* __restrict__ running_var, double* __restrict__ inv_std, const double momentum,
                 const double eps, const double unbiased)
{
    __shared__ double part[32][3][LANES];
    const int c = blockIdx.x * LANES + threadIdx.x;
    double about = 0.0;
    Moments all = {0.0, 0.0, 0.0};
    if (c < C) {
        about = partial[C + c];  // the mean of the first block
        for (int b = threadIdx.y; b < blocks; b += AHEAD * blockDim.y) {
            double n[AHEAD], mean[AHEAD], m2[AHEAD];
#pragma unroll
            for (int j = 0; j < AHEAD; ++j) {  // of blocks that are none: no entries, which add zeros
                const bool is = b + j * blockDim.y < blocks;
                const double* const in = partial + (long long)(b + j * blockDim.y) * 3 * C + c;
                n[j] = is ? in[0] : 0.0;
                mean[j] = is ? in[C] : about;
                m2[j] = is ? in[2 * C] : 0.0;
            }
#pragma unroll
            for (int j = 0; j < AHEAD; ++j) add_moments(all, about, n[j], mean[j], m2[j]);
        }
    }
    part[threadIdx.y][0][threadIdx.x] = all.n;
    part[threadIdx.y][1][threadIdx.x] = all.sum;
    part[threadIdx.y][2][threadIdx.x] = all.squares;
    __syncthreads();
    if (threadIdx.y || c >= C) return;
#pragma unroll 4
    for (int r = 1; r < blockDim.y; ++r) {
        all.n += part[r][0][threadIdx.x];
        all.sum += part[r][1][threadIdx.x];
        all.squares += part[r][2][threadIdx.x];
    }
    const double offset = all.sum / all.n;
    const double mean = about + offset, var = (all.squares - all.sum * offset) / all.n;
    mean_out[c] = mean;
    var_out[c] = var;
    if (settles) inv_std[c] = settle(mean, var, running_mean + c, running_var + c, {momentum, eps, unbiased});
}

// The same where the moments were put together elsewhere.
extern "C" __global__ void __launch_bounds__(256)
bn_settle(const double* __restrict__ mean, const double* __restrict__ var, float* __restrict__ running_mean,
          float* __restrict__ running_var, double* __restrict__ inv_std, const int C, const double momentum,
          const double eps, const double unbiased)
{
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;
    inv_std[c] = settle(mean[c], var[c], running_mean + c, running_var + c, {momentum, eps, unbiased});
}

// y = (x - mean) * (gamma * inv_std) + beta, rounded as the reference rounds.
extern "C" __global__ void __launch_bounds__(256)
bn_forward(const float* __restrict__ x, const double* __restrict__ mean, const double* __restrict__ inv_std,
           const float* __restrict__ gamma, const float* __restrict__ beta, float* __restrict__ y,
           const long long P, const int C)
{
    const int c = blockIdx.y * LANES + threadIdx.x;
    if (c >= C) return;
    const float m = (float)mean[c], a = (float)((double)gamma[c] * inv_std[c]), b = beta[c];
    for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS)
        y[r * C + c] = (x[r * C + c] - m) * a + b;
}

// partial [gridDim.x, 2, C]: sums of gy and of gy * z, z = (x - mean) * inv_std.
extern "C" __global__ void __launch_bounds__(256)
bn_gradient_sums(const float* __restrict__ gy, const float* __restrict__ x, const double* __restrict__ mean,
                 const double* __restrict__ inv_std, double* __restrict__ partial, const long long P, const int C)
{
    __shared__ double part[ROWS][2][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x;
    float sum = 0.0f, with_z = 0.0f;
    if (c < C) {
        const float m = (float)mean[c], inv = (float)inv_std[c];
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += (long long)gridDim.x * ROWS) {
            const float g = gy[r * C + c];
            sum += g;
            with_z += g * ((x[r * C + c] - m) * inv);
        }
    }
    put_sums(sum, with_z, partial, C, part);
}

// gx = gamma * inv_std * (gy - sums[0] / count - z * sums[1] / count) in training, gamma * inv_std * gy else. sums
// [2, C] are of all `count` entries of the batch, which may be more than the P rows that are here.
// gx may be gy: a thread reads its entries before it writes them. With `finds`, largest [C], zeros before, becomes the
// bits of the largest magnitude of gx in each channel as binned_largest has them.
extern "C" __global__ void __launch_bounds__(256)
bn_backward(const float* gy, const float* __restrict__ x, const double* __restrict__ mean,
            const double* __restrict__ inv_std, const float* __restrict__ gamma, const double* __restrict__ sums,
            float* gx, const long long P, const int C, const long long count, const int training,
            unsigned* __restrict__ largest, const int finds)
{
    __shared__ unsigned part[ROWS][LANES];
    const int c = blockIdx.y * LANES + threadIdx.x;
    unsigned most = 0;
    if (c < C) {
        const float m = (float)mean[c], inv = (float)inv_std[c], a = (float)((double)gamma[c] * inv_std[c]);
        const float by_sum = (float)(sums[c] / (double)count), by_z = (float)(sums[C + c] / (double)count);
        const long long step = (long long)gridDim.x * ROWS;
        for (long long r = (long long)blockIdx.x * ROWS + threadIdx.y; r < P; r += AHEAD * step) {
            float g[AHEAD], in[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                const bool is = r + k * step < P;
                g[k] = is ? gy[(r + k * step) * C + c] : 0.0f;
                in[k] = is && training ? x[(r + k * step) * C + c] : 0.0f;
            }
#pragma unroll
            for (int k = 0; k < AHEAD; ++k) {
                if (r + k * step >= P) break;
                if (training) g[k] = g[k] - (in[k] - m) * inv * by_z - by_sum;
                g[k] *= a;
                gx[(r + k * step) * C + c] = g[k];
                most = max(most, __float_as_uint(g[k]) & 0x7fffffffu);
            }
        }
    }
    if (finds) put_largest(most, largest, C, part);
}
