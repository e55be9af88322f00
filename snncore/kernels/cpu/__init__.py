"""Compiled kernels for the CPU, with the signatures of `snncore.kernels.reference`, which they must agree with.

What is not here, and every call in another type than float32 or in relaxed mode, is the reference's own.
"""

from typing import Any

from snncore.kernels.cpu.batch_norm import batch_norm_backward, batch_norm_forward, batch_norm_gradient_sums
from snncore.kernels.cpu.batch_norm_lif import (
    batch_norm_lif_backward,
    batch_norm_lif_forward,
    batch_norm_lif_gradient_sums,
    batch_norm_statistics,
)
from snncore.kernels.cpu.binned import binned_largest, binned_sums
from snncore.kernels.cpu.conv import conv_backward_input, conv_backward_weight, conv_forward
from snncore.kernels.cpu.conv_fire import conv_batch_norm_lif_forward
from snncore.kernels.cpu.conv_grouped import (
    grouped_conv_backward_input,
    grouped_conv_backward_weight,
    grouped_conv_forward,
)
from snncore.kernels.cpu.count import analog_values, flat_events, pair_events, weighted_events
from snncore.kernels.cpu.exact import exact_conv_forward, exact_linear_forward
from snncore.kernels.cpu.exact_fire import exact_conv_batch_norm_lif_forward
from snncore.kernels.cpu.lif import lif_backward, lif_forward
from snncore.kernels.cpu.linear import linear_backward_weight, linear_forward
from snncore.kernels.cpu.mlif import mlif_backward, mlif_forward
from snncore.kernels.cpu.packed import packed_spikes, unpacked_spikes
from snncore.kernels.cpu.pool import max_pool_backward, max_pool_forward
from snncore.kernels.reference import kernel

FINDS_SPIKES = True
"""Whether batch_norm_lif_gradient_sums and mlif_backward take None for spikes and find them again."""


def __getattr__(name: str) -> Any:
    return kernel(name)
