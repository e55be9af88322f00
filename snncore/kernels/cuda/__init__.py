"""The inner loops in CUDA C, for CuPy arrays: the same names and signatures as `snncore.kernels.reference`.

The device code is in the .cu files; the .py file of the same subject says when it runs. It takes float32 (and uint8
spikes). For float64, in relaxed mode, for a surrogate of one's own and for what has no kernel (CLIF, average pooling,
`sum_to`), the reference runs, which is array code that CuPy takes as well. Nothing here waits for the device or copies
between it and the host, and nothing depends on the order in which threads run: a run repeats bit for bit.
"""

from typing import Any

from snncore.kernels.cuda.batch_norm import (
    Running,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_gradient_sums,
    batch_norm_settle,
    batch_norm_statistics,
)
from snncore.kernels.cuda.batch_norm_lif import (
    batch_norm_lif_backward,
    batch_norm_lif_forward,
    batch_norm_lif_gradient_sums,
)
from snncore.kernels.cuda.binned import binned_largest, binned_sums
from snncore.kernels.cuda.columns import conv_backward_input
from snncore.kernels.cuda.conv import conv_backward_weight, conv_forward
from snncore.kernels.cuda.exact import exact_conv_forward, exact_grouped_conv_forward, exact_linear_forward
from snncore.kernels.cuda.gemm import linear_backward_weight, linear_forward
from snncore.kernels.cuda.lif import lif_backward, lif_forward
from snncore.kernels.cuda.mlif import mlif_backward, mlif_forward
from snncore.kernels.cuda.moments import binned_moments
from snncore.kernels.cuda.pool import max_pool_backward, max_pool_forward
from snncore.kernels.cuda.spikes import sew_add
from snncore.kernels.reference import kernel

FILLS_OUT = True
"""Kernels for gradients of parameters take `out`, where these are then put; `snncore.tape.Function.into` has it."""

SETTLES = Running
"""`batch_norm_statistics` and `binned_moments` take `settle`, one of these, and do the work of `batch_norm_settle`."""

ADDS_GRADIENTS = True
"""`mlif_backward` and `batch_norm_lif_gradient_sums` take `also`, a second gradient, and add it as they read both."""

DECAY_THERE = True
"""LIF takes `decay`, float64 of one entry on the device, in place of that of its settings."""


def __getattr__(name: str) -> Any:
    return kernel(name)
