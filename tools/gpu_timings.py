"""How fast a real card runs the CUDA kernels and a whole training step, beside what it could do at best."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.tools.gpu_checks import batches
from misnet.tools.roofline import Card, Layer, kernels, step_work
from misnet.training.step import Totals, train_step
from snncore import to_device
from snncore.firing import Firing
from snncore.kernels import cuda
from snncore.kernels.cuda import events, optim
from snncore.kernels.cuda.spikes import count_spikes
from snncore.optim import OPTIMIZERS

PARAMETERS = 7_000_000


class Timing(NamedTuple):
    """Of one kernel: its name in tools/roofline.py, microseconds, and the least that the measured card allows."""

    name: str
    microseconds: float
    least: float


def time_of(cupy: Any, run: Callable[[], Any], repeats: int = 20) -> float:
    """Return the seconds of one call, the median of `repeats` by events of the device, after a call to warm up."""
    run()
    seconds = []
    for _ in range(repeats):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        run()
        end.record()
        end.synchronize()
        seconds.append(1e-3 * cupy.cuda.get_elapsed_time(start, end))
    return float(np.median(seconds))


def measured_card(cupy: Any, megabytes: int, side: int) -> Card:
    """Return what the card does at best, measured: a copy of arrays, and a product of float32 matrices by cuBLAS."""
    source, target = (cupy.zeros(megabytes * 2**18, np.float32) for _ in range(2))
    a, b, c = (cupy.ones((side, side), np.float32) for _ in range(3))

    def copy() -> None:
        target[...] = source

    bandwidth = 2 * source.nbytes / time_of(cupy, copy)
    return Card(bandwidth, 2 * side**3 / time_of(cupy, lambda: cupy.matmul(a, b, out=c)))


def calls(cupy: Any, layer: Layer, device: str) -> dict[str, Callable[[], Any]]:
    """Return what runs each kernel of tools/roofline.py on a layer, where one call is one kernel and little else."""
    rng, c = np.random.default_rng(0), layer.outputs
    shape = (layer.timesteps, layer.samples, layer.size, layer.size, c)
    s = to_device((rng.random(shape, np.float32) < 0.15).astype(np.uint8), device)
    x = to_device(rng.standard_normal(shape, np.float32), device)
    gs, images = to_device(rng.standard_normal(shape, np.float32), device), s.reshape(-1, *shape[2:])
    gy, w = gs.reshape(images.shape), cupy.ones((3, 3, layer.inputs, c), np.float32)
    mean, inv_std = cupy.zeros(c, np.float64), cupy.ones(c, np.float64)
    gamma, beta, alpha = cupy.ones(c, np.float32), cupy.zeros(c, np.float32), cupy.ones((), np.float32)
    pixel, count = cupy.ones((layer.size, layer.size, 1), np.float32), cupy.zeros((), np.uint64)
    sums, entries = cupy.zeros((2, c), np.float64), x.size // c
    norm, firing, same = (mean, inv_std, gamma, beta), Firing(), ((1, 1), (1, 1))
    pooled = cuda.max_pool_forward(images, (2, 2), (2, 2))
    g_pooled = cupy.ones(pooled.shape, np.float32)
    p, g, m, v = (cupy.zeros(PARAMETERS, np.float32) for _ in range(4))
    finite, loss = cupy.ones((), np.int32), cupy.zeros((), np.float32)
    return {
        "convolution forward, dense": lambda: cuda.conv_forward(images, w, *same),
        "convolution, gradient of weights, dense": lambda: cuda.conv_backward_weight(images, gy, (3, 3), *same),
        "convolution, gradient of input": lambda: cuda.conv_backward_input(gy, w, images.shape, *same),
        "convolution forward, events": lambda: events.events_forward(images, w, *same),
        "convolution, gradient of weights, events": lambda: events.events_backward_weight(images, gy, (3, 3), *same),
        "compact_events": lambda: events.compact_events(images),
        "bn_moments": lambda: cuda.batch_norm_statistics(x),
        "bn_forward": lambda: cuda.batch_norm_forward(x, *norm),
        "bn_lif_forward": lambda: cuda.batch_norm_lif_forward(x, *norm, firing),
        "bn_lif_backward": lambda: cuda.batch_norm_lif_gradient_sums(gs, x, s, *norm, firing),
        "bn_backward": lambda: cuda.batch_norm_backward(gs, x, *norm[:3], sums, entries),
        "lif_forward": lambda: cuda.lif_forward(x, None, firing),
        "lif_backward": lambda: cuda.lif_backward(gs, None, x, s, None, firing),
        "mlif_forward (spikes)": lambda: cuda.mlif_forward(s, pixel, alpha, None, firing),
        "mlif_backward (spikes)": lambda: cuda.mlif_backward(gs, None, s, s, pixel, alpha, None, firing),
        "max_pool_forward (spikes)": lambda: cuda.max_pool_forward(images, (2, 2), (2, 2)),
        "max_pool_backward (spikes)": lambda: cuda.max_pool_backward(g_pooled, images, pooled, (2, 2), (2, 2)),
        "sew_add": lambda: cuda.sew_add(s, s),
        "count_spikes": lambda: count_spikes(s, count),
        "check_finite": lambda: optim.all_finite(p, g, loss),
        "adam_step": lambda: optim.adam_step(p, g, m, v, finite, 1e-3, (0.9, 0.999), 1e-8, 1, 1.0, 0.0),
        "sgd_step": lambda: optim.sgd_step(p, g, m, finite, 1e-3, 0.9, 0.0, False),
    }


SUMS = {  # rows of the roofline that run in one call
    "convolution forward, dense": ("gather_columns", "product of matrices (cuBLAS)"),
    "convolution, gradient of weights, dense": ("gather_columns", "product of matrices (cuBLAS)"),
    "convolution, gradient of input": ("gather_gradients", "product of matrices (cuBLAS)"),
    "convolution forward, events": ("compact_events", "conv_events"),
    "convolution, gradient of weights, events": ("compact_events", "conv_events_weight"),
}


def kernel_timings(cupy: Any, card: Card, layer: Layer, device: str, repeats: int) -> list[Timing]:
    """Time every kernel."""
    work = kernels(layer, PARAMETERS)
    timings = []
    for name, run in calls(cupy, layer, device).items():
        least = sum(work[row].seconds(card) for row in SUMS.get(name, (name,)))
        timings.append(Timing(name, 1e6 * time_of(cupy, run, repeats), 1e6 * least))
    return timings


def step_timing(cupy: Any, card: Card, config: MISNetConfig, samples: int, device: str, repeats: int) -> Timing:
    """Time a whole training step with Adam, the reading of its numbers included."""
    model = MISNet(config).to(device)
    optimizer = OPTIMIZERS["adam"](model.named_parameters(), 1e-3)
    batch = tuple(to_device(x, device) for x in batches(config, samples, 1)[0])
    seconds = time_of(cupy, lambda: train_step(model, optimizer, 1e-3, batch, Totals(), 0), repeats)
    least = sum(w.seconds(card) for w in step_work(config, samples, model.count_parameters()).values())
    name = f"training step of MISNet-{config.variant}, N={samples}, {config.size} x {config.size}, T={config.timesteps}"
    return Timing(name, 1e6 * seconds, 1e6 * least)


def pytorch_layer(layer: Layer) -> Any:
    """Return convolution, BatchNorm and LIF of PyTorch and SpikingJelly, with its CuPy kernels if it lets one ask."""
    import torch
    from spikingjelly.activation_based import layer as sj_layer
    from spikingjelly.activation_based import neuron, surrogate

    settings = {"tau": 2.0, "decay_input": False, "surrogate_function": surrogate.Sigmoid(), "step_mode": "m"}
    try:
        lif = neuron.LIFNode(**settings, backend="cupy")
    except TypeError:  # from version 2 on it has no such choice
        lif = neuron.LIFNode(**settings)
    conv = sj_layer.Conv2d(layer.inputs, layer.outputs, 3, padding=1, bias=False, step_mode="m")
    return torch.nn.Sequential(conv, sj_layer.BatchNorm2d(layer.outputs, step_mode="m"), lif)


def layer_in_pytorch(layer: Layer, repeats: int) -> float | str:
    """Return the seconds of `pytorch_layer`, forward and backward, or why there are none."""
    try:
        import torch

        net = pytorch_layer(layer).cuda()
        shape = (layer.timesteps, layer.samples, layer.inputs, layer.size, layer.size)
        x = (torch.rand(shape, device="cuda") < 0.15).float().requires_grad_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        seconds = []
        for _ in range(repeats + 3):
            net[2].reset()
            start.record()
            net(x).sum().backward()
            end.record()
            end.synchronize()
            seconds.append(1e-3 * start.elapsed_time(end))
        return float(np.median(seconds[3:]))
    except Exception as error:  # not installed, or whatever another library raises: it must not end the report
        return f"not compared: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
