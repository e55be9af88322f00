"""The inner loops in plain array code, written to be read: the definition of right for every faster kernel.

Runs on NumPy and CuPy arrays. No loop goes over pixels, channels or samples: only over kernel taps, over
timesteps, and over blocks of images whose im2col buffer is to stay small.

The list below is that of all kernels: the other sets have some of them, and take the rest from here by name.
Spikes are uint8; the step of a neuron is `fire(x, surrogate)`, which emits floats in relaxed mode.

NaN and infinities follow the arithmetic that stands here: 0 * NaN is NaN, the largest of a window with a NaN is NaN,
a membrane that is NaN never fires. docs/performance.md says where a faster kernel may differ.
"""

from typing import Any

from snncore.kernels.reference.batch_norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_gradient_sums,
    batch_norm_settle,
    batch_norm_statistics,
)
from snncore.kernels.reference.batch_norm_lif import (
    batch_norm_lif_backward,
    batch_norm_lif_forward,
    batch_norm_lif_gradient_sums,
)
from snncore.kernels.reference.binned import binned_largest, binned_moments, binned_sums
from snncore.kernels.reference.broadcast import sum_to
from snncore.kernels.reference.clif import clif_backward, clif_forward
from snncore.kernels.reference.conv import conv_backward_input, conv_backward_weight, conv_forward
from snncore.kernels.reference.conv_batch_norm_lif import (
    conv_batch_norm_lif_forward,
    exact_conv_batch_norm_lif_forward,
)
from snncore.kernels.reference.count import analog_values, flat_events, pair_events, weighted_events
from snncore.kernels.reference.exact import exact_conv_forward, exact_grouped_conv_forward, exact_linear_forward
from snncore.kernels.reference.grouped_conv import (
    grouped_conv_backward_input,
    grouped_conv_backward_weight,
    grouped_conv_forward,
)
from snncore.kernels.reference.lif import lif_backward, lif_forward
from snncore.kernels.reference.linear import linear_backward_weight, linear_forward
from snncore.kernels.reference.mlif import mlif_backward, mlif_forward
from snncore.kernels.reference.packed import packed_spikes, unpacked_spikes
from snncore.kernels.reference.pool import avg_pool_backward, avg_pool_forward, max_pool_backward, max_pool_forward
from snncore.kernels.reference.sew import sew_add

__all__ = [
    "analog_values",
    "avg_pool_backward",
    "avg_pool_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_gradient_sums",
    "batch_norm_lif_backward",
    "batch_norm_lif_forward",
    "batch_norm_lif_gradient_sums",
    "batch_norm_settle",
    "batch_norm_statistics",
    "binned_largest",
    "binned_moments",
    "binned_sums",
    "clif_backward",
    "clif_forward",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_batch_norm_lif_forward",
    "conv_forward",
    "exact_conv_batch_norm_lif_forward",
    "exact_conv_forward",
    "exact_grouped_conv_forward",
    "exact_linear_forward",
    "flat_events",
    "grouped_conv_backward_input",
    "grouped_conv_backward_weight",
    "grouped_conv_forward",
    "lif_backward",
    "lif_forward",
    "linear_backward_weight",
    "linear_forward",
    "max_pool_backward",
    "max_pool_forward",
    "mlif_backward",
    "mlif_forward",
    "packed_spikes",
    "pair_events",
    "sew_add",
    "sum_to",
    "unpacked_spikes",
    "weighted_events",
]


def kernel(name: str) -> Any:
    """Return the kernel of that name, for a set that has none of its own; raises AttributeError if there is none."""
    if name not in __all__:
        raise AttributeError(f"no kernel is called {name!r}")
    return globals()[name]
