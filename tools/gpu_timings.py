"""How fast a real card runs the CUDA kernels and a whole training step, beside what it could do at best."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.tools.gpu_steps import median_ms, our_run
from misnet.tools.roofline import Card, Layer, kernels, step_work
from snncore import to_device
from snncore.backend import Array
from snncore.firing import Firing
from snncore.kernels import cuda
from snncore.kernels.choice import tensor_cores, use_kernels
from snncore.kernels.cuda import events, optim
from snncore.kernels.cuda.columns import dense_backward_weight, dense_forward
from snncore.kernels.cuda.exact_gradient import exact_backward_weight
from snncore.kernels.cuda.spikes import count_spikes

PARAMETERS = 7_000_000
CALLS = 20  # between two events
SETS = 8  # of buffers, in turn: together several times the second-level cache (50 MB on an H100), outputs as well


class Timing(NamedTuple):
    """Of one kernel: its name in tools/roofline.py, microseconds, and the least that the measured card allows."""

    name: str
    microseconds: float
    least: float


class Clock:
    """Times calls by events of the device.

    An event before and an event after one short call would time Python, which launches slower than a card computes. So
    `CALLS` calls lie between two events, and a long product of matrices in front of them lets the host run ahead.
    side: of its matrices, of random numbers: factors that are all alike are multiplied faster.
    """

    def __init__(self, cupy: Any, side: int, repeats: int = 5, calls: int = CALLS) -> None:
        rng = np.random.default_rng(9)
        self.cupy, self.side, self.repeats, self.calls = cupy, side, repeats, calls
        self.a, self.b = (cupy.asarray(rng.standard_normal((side, side), np.float32)) for _ in range(2))
        self.c = cupy.empty((side, side), np.float32)

    def product(self) -> None:
        """The product of the two matrices, by cuBLAS."""
        self.cupy.matmul(self.a, self.b, out=self.c)

    def seconds(self, runs: Sequence[Callable[[], Any]], calls: int | None = None) -> float:
        """Return the seconds of one call, the median of `repeats`; the runs, alike but for their buffers, take turns.

        What a call returns is kept until its buffers' turn comes again, so that outputs leave the cache too.
        """
        calls = calls or self.calls
        kept: deque[Any] = deque(maxlen=len(runs))
        for run in runs:
            kept.append(run())
        found = []
        for _ in range(self.repeats):
            start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
            self.product()
            start.record()
            for k in range(calls):
                kept.append(runs[k % len(runs)]())
            end.record()
            end.synchronize()
            found.append(1e-3 * self.cupy.cuda.get_elapsed_time(start, end) / calls)
        return float(np.median(found))


def measured_card(clock: Clock, megabytes: int) -> Card:
    """Return what the card does at best, measured: a copy of arrays, and a product of float32 matrices by cuBLAS."""
    rng = np.random.default_rng(8)
    source = clock.cupy.asarray(rng.standard_normal(megabytes * 2**18, np.float32))
    target = clock.cupy.empty_like(source)

    def copy() -> None:
        target[...] = source

    bandwidth = 2 * source.nbytes / clock.seconds([copy], calls=4)
    return Card(bandwidth, 2 * clock.side**3 / clock.seconds([clock.product], calls=4))


def buffers(layer: Layer, device: str, parameters: int = PARAMETERS) -> dict[str, Array]:
    """Return the arrays that the calls work on, of random numbers, on the device."""
    rng, c = np.random.default_rng(0), layer.outputs
    shape = (layer.timesteps, layer.samples, layer.size, layer.size, c)
    pooled = (shape[0] * shape[1], layer.size // 2, layer.size // 2, c)

    def floats(*s: int) -> np.ndarray:
        return rng.standard_normal(s, np.float32)

    def spikes() -> np.ndarray:
        return (rng.random(shape, np.float32) < 0.15).astype(np.uint8)

    made = {
        "s": spikes(),
        "a": spikes(),
        "x": floats(*shape),
        "gs": floats(*shape),
        "w": floats(3, 3, layer.inputs, c),
        "mean": rng.uniform(-0.1, 0.1, c),
        "inv_std": rng.uniform(0.9, 1.1, c),
        "gamma": floats(c),
        "beta": floats(c),
        "alpha": np.array(0.5, np.float32),
        "pixel": floats(layer.size, layer.size, 1),
        "sums": rng.standard_normal((2, c)),
        "g_pooled": floats(*pooled),
        "p": floats(parameters),
        "g": floats(parameters),
        "m": floats(parameters),
        "v": floats(parameters) ** 2,
        "count": np.zeros((), np.uint64),
        "finite": np.ones((), np.int32),
        "loss": np.ones((), np.float32),
    }
    return {name: to_device(x, device) for name, x in made.items()}


def calls(made: dict[str, Array]) -> dict[str, Callable[[], Any]]:
    """Return what runs each kernel of tools/roofline.py on `buffers`, where one call is one kernel and little else."""
    s, a, x, gs, w, alpha, pixel = (made[name] for name in ("s", "a", "x", "gs", "w", "alpha", "pixel"))
    p, g, m, v, finite, count = (made[name] for name in ("p", "g", "m", "v", "finite", "count"))
    images, gy = s.reshape(-1, *s.shape[2:]), gs.reshape(-1, *gs.shape[2:])
    norm = tuple(made[name] for name in ("mean", "inv_std", "gamma", "beta"))
    firing, same, entries = Firing(), ((1, 1), (1, 1)), x.size // x.shape[-1]
    pooled = cuda.max_pool_forward(images, (2, 2), (2, 2))
    return {
        "convolution forward, dense": lambda: dense_forward(images, w, *same),
        "convolution, gradient of weights, dense": lambda: dense_backward_weight(images, gy, (3, 3), *same),
        "convolution, gradient of weights, tensor cores": lambda: exact_backward_weight(images, gy, (3, 3), *same),
        "convolution, gradient of input, dense": lambda: gradient_by("off", gy, w, images.shape, *same),
        "convolution, gradient of input, tensor cores": lambda: gradient_by("on", gy, w, images.shape, *same),
        "convolution forward, events": lambda: events.events_forward(images, w, *same),
        "convolution, gradient of weights, events": lambda: events.events_backward_weight(images, gy, (3, 3), *same),
        "convolution forward, exact, tensor cores": lambda: cuda.exact_conv_forward(images, w, *same),
        "convolution forward, exact, plain": lambda: plainly(cuda.exact_conv_forward, images, w, *same),
        "compact_events": lambda: events.compact_events(images),
        "bn_moments": lambda: cuda.batch_norm_statistics(x),
        "statistics, exact": lambda: cuda.binned_moments(x),
        "bn_forward": lambda: cuda.batch_norm_forward(x, *norm),
        "bn_lif_forward": lambda: cuda.batch_norm_lif_forward(x, *norm, firing),
        "bn_lif_backward": lambda: bn_lif_backward(gs, x, s, norm, firing),
        "bn_backward": lambda: cuda.batch_norm_backward(gs, x, *norm[:3], made["sums"], entries),
        "lif_forward": lambda: cuda.lif_forward(x, None, firing),
        "lif_backward": lambda: cuda.lif_backward(gs, None, x, s, None, firing),
        "mlif_forward (spikes)": lambda: cuda.mlif_forward(s, pixel, alpha, None, firing),
        "mlif_backward (spikes)": lambda: cuda.mlif_backward(gs, None, s, a, pixel, alpha, None, firing),
        "max_pool_forward (spikes)": lambda: cuda.max_pool_forward(images, (2, 2), (2, 2)),
        "max_pool_backward (spikes)": lambda: cuda.max_pool_backward(made["g_pooled"], images, pooled, (2, 2), (2, 2)),
        "sew_add": lambda: cuda.sew_add(s, a),
        "count_spikes": lambda: count_spikes(s, count),
        "check_finite": lambda: optim.all_finite(p, g, made["loss"]),
        "adam_step": lambda: optim.adam_step(p, g, m, v, finite, (1.0, 1e-2, 0.03), (0.9, 0.999), 1e-8, 0.0),
        "sgd_step": lambda: optim.sgd_step(p, g, m, finite, (1e-6,), 0.9, 0.0, False),
    }


def gradient_by(choice: str, *args: Any) -> Any:
    """Return the input gradient, taken in one of its ways."""
    with tensor_cores(choice):
        return cuda.conv_backward_input(*args)


def bn_lif_backward(gs: Array, x: Array, s: Array, norm: tuple[Array, ...], firing: Firing) -> Array:
    """Return the gradient of x."""
    gc, sums = cuda.batch_norm_lif_gradient_sums(gs, x, s, *norm, firing)
    return cuda.batch_norm_lif_backward(gc, x, *norm[:3], sums, x.size // x.shape[-1])


def plainly(run: Callable[..., Any], *args: Any) -> Any:
    """Return run(*args) by the kernels that skip what did not fire."""
    with use_kernels("event"):
        return run(*args)


SUMS = {  # rows of the roofline that run in one call
    "convolution forward, dense": ("gather_columns", "product of matrices (cuBLAS)"),
    "convolution, gradient of weights, dense": ("gather_columns", "product of matrices (cuBLAS)"),
    "convolution, gradient of weights, tensor cores": ("binned_largest", "exact_gradient_digits", "exact_gradient"),
    "bn_lif_backward": ("bn_lif_backward_sums", "bn_lif_backward_gx"),
    "statistics, exact": ("binned_largest", "binned_mean", "binned_moments"),
    "convolution, gradient of input, dense": ("gather_gradients", "product of matrices (cuBLAS)"),
    "convolution, gradient of input, tensor cores": ("halves_split", "halves_backward_input"),
    "convolution forward, exact, tensor cores": ("exact_pack", "exact_mma"),
    "convolution forward, exact, plain": ("exact_pack", "exact_sums"),
    "convolution forward, events": ("compact_events", "conv_events"),
    "convolution, gradient of weights, events": ("compact_events", "conv_events_weight"),
}


def kernel_timings(
    clock: Clock, card: Card, layer: Layer, device: str, sets: int = SETS, parameters: int = PARAMETERS
) -> list[Timing]:
    """Time every kernel, on `sets` sets of buffers in turn."""
    first = buffers(layer, device, parameters)
    turns = [calls(first), *(calls({name: x.copy() for name, x in first.items()}) for _ in range(sets - 1))]
    work, timings = kernels(layer, parameters), []
    for name in turns[0]:
        least = sum(work[row].seconds(card) for row in SUMS.get(name, (name,)))
        timings.append(Timing(name, 1e6 * clock.seconds([runs[name] for runs in turns]), 1e6 * least))
    return timings


def step_timing(card: Card, config: MISNetConfig, samples: int, device: str, repeats: int) -> Timing:
    """Time a whole training step with Adam on the host's clock, the reading of its numbers included."""
    ms = median_ms(our_run(config, samples, device).train, repeats)
    parameters = MISNet(config).count_parameters()
    least = sum(w.seconds(card) for w in step_work(config, samples, parameters).values())
    name = f"training step of MISNet-{config.variant}, N={samples}, {config.size} x {config.size}, T={config.timesteps}"
    return Timing(name, 1e3 * ms, 1e6 * least)
