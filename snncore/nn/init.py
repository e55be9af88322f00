"""Initial values of weights."""

import numpy as np

from snncore.backend import Array

__all__ = ["fan_in_uniform", "kaiming_normal"]


def fan_in_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:
    """Uniform in +-1 / sqrt(fan_in), float32; what PyTorch draws for conv and linear layers by default."""
    bound = fan_in**-0.5
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def kaiming_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:
    """Normal with variance 2 / fan_in, float32 (He et al. 2015)."""
    return (rng.standard_normal(shape) * (2 / fan_in) ** 0.5).astype(np.float32)
