"""Convolution: dense or from events, as asked.

How many spikes there are is known on the device alone, and to ask would make the host wait. So the choice is not made
by density: SNNCORE_KERNELS is `event` for lists of events, and anything else for products of dense matrices.
docs/gpu_tables.md says below which density events should pay. Where tensor cores are wanted (tensor_cores.py), spikes
are summed as integers, forward and for the gradient of the weights.
"""

from snncore.backend import Array
from snncore.kernels.choice import kernel_choice
from snncore.kernels.cuda import exact, exact_gradient
from snncore.kernels.cuda.columns import dense_backward_weight, dense_forward
from snncore.kernels.cuda.events import events_backward_weight, events_forward, takes


def conv_forward(x: Array, w: Array, stride: tuple[int, int], padding: tuple[int, int]) -> Array:
    """As `reference.conv_forward`."""
    if x.size and w.size and exact.takes(x, w):
        return exact.exact_conv_forward(x, w, stride, padding)
    run = events_forward if kernel_choice() == "event" and takes(x, w) else dense_forward
    return run(x, w, stride, padding)


def conv_backward_weight(
    x: Array,
    gy: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    out: Array | None = None,
) -> Array:
    """As `reference.conv_backward_weight`; written to out, if there is one."""
    if exact_gradient.takes(x, gy):
        return exact_gradient.exact_backward_weight(x, gy, kernel, stride, padding, out)
    run = events_backward_weight if kernel_choice() == "event" and takes(x, gy) else dense_backward_weight
    return run(x, gy, kernel, stride, padding, out)
