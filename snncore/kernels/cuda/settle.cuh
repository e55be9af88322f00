// What follows from the moments of a batch, for the kernels that have them.

struct Settle {
    double momentum, eps, unbiased;
};

// inv_std of a channel from its variance, and its running statistics one step further; in double, as NumPy computes it.
__device__ __forceinline__ double settle(const double mean, const double var, float* running_mean, float* running_var,
                                         const Settle& k)
{
    const double m = *running_mean, v = *running_var;
    *running_mean = (float)(m + k.momentum * (mean - m));
    *running_var = (float)(v + k.momentum * (var * k.unbiased - v));
    return 1.0 / sqrt(var + k.eps);
}
