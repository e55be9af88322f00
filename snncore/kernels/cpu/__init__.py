"""Compiled kernels for the CPU, with the signatures of `snncore.kernels.reference`, which they must agree with.

What is not here, and every call in another type than float32 or in relaxed mode, is the reference's own.
"""

from snncore.kernels.cpu.batch_norm_lif import batch_norm_lif_backward, batch_norm_lif_forward, batch_norm_statistics
from snncore.kernels.cpu.compiled import prepare_cache
from snncore.kernels.cpu.conv import conv_backward_input, conv_backward_weight, conv_forward
from snncore.kernels.cpu.linear import linear_backward_weight, linear_forward
from snncore.kernels.cpu.memory import keep_memory
from snncore.kernels.cpu.mlif import mlif_backward, mlif_forward
from snncore.kernels.cpu.pool import max_pool_backward, max_pool_forward
from snncore.kernels.reference import (
    avg_pool_backward,
    avg_pool_forward,
    batch_norm_backward,
    batch_norm_forward,
    clif_backward,
    clif_forward,
    grouped_conv_backward_input,
    grouped_conv_backward_weight,
    grouped_conv_forward,
    lif_backward,
    lif_forward,
    sew_add,
    sum_to,
)

__all__ = [
    "avg_pool_backward",
    "avg_pool_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_lif_backward",
    "batch_norm_lif_forward",
    "batch_norm_statistics",
    "clif_backward",
    "clif_forward",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
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
    "sew_add",
    "sum_to",
]

keep_memory()
prepare_cache()
