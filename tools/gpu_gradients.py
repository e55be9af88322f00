"""Gradients of convolutions in both ways that a card has, in turns: of inputs by layer, of all in whole steps."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.tools.gpu_checks import batches
from misnet.tools.gpu_timings import Clock
from misnet.tools.roofline import Layer
from misnet.training.graphed import GraphedSteps
from misnet.training.step import Totals, train_step
from snncore import to_device
from snncore.backend import Array, asnumpy, cupy_module
from snncore.kernels import cuda, reference
from snncore.kernels.choice import tensor_cores
from snncore.kernels.cuda import halves
from snncore.optim import OPTIMIZERS

WAYS = {"cuBLAS": "off", "tensor cores": "on"}  # a column, and its choice of TENSOR_CORES
LAYER_WAYS = {  # a column, its choice, and FEW_BLOCKS and MOST_BLOCKS of halves.py
    "cuBLAS": ("off", 3, 4),
    "halves": ("on", 3, 4),
    "3 blocks": ("on", 3, 3),
    "4 blocks": ("on", 4, 4),
}
ROUNDS = 3  # in which the ways take turns
WARM_UP = 4  # steps that are not timed: two, the one that is recorded, and one more
SAME = ((1, 1), (1, 1))  # stride and padding


def layers_of(config: MISNetConfig, samples: int) -> dict[Layer, int]:
    """Return the convolutions of the network whose input has a gradient, and how often each is there."""
    found: Counter[Layer] = Counter()
    size, streams = config.size, 2
    for stage, (channels, cells) in enumerate(zip(config.stage_channels, config.stage_cells, strict=True)):
        if stage:
            found[Layer(config.timesteps, samples, size, config.stage_channels[stage - 1], channels)] += streams
        found[Layer(config.timesteps, samples, size, channels, channels)] += 2 * cells * streams
        size //= 2
    return dict(found)


def gradient_like(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 with tails as heavy as those of gradients: the largest are a million times the median."""
    few = rng.standard_normal(1 << 20) * np.exp(3 * rng.standard_normal(1 << 20))
    return np.resize((1e-6 * few).astype(np.float32), shape)


def layer_line(clock: Clock, layer: Layer, times: int, device: str) -> str:
    """Time the ways on one layer, and splitting alone; how far they are from float64, in the first image."""
    rng, images = np.random.default_rng(0), layer.timesteps * layer.samples
    gy = gradient_like(rng, (images, layer.size, layer.size, layer.outputs))
    w = rng.normal(0, 0.05, (3, 3, layer.inputs, layer.outputs)).astype(np.float32)
    shape = (*gy.shape[:3], layer.inputs)
    here, weights = to_device(gy, device), to_device(w, device)
    turns = [here, here.copy()]
    right = reference.conv_backward_input(gy[:1].astype(float), w.astype(float), (1, *shape[1:]), *SAME)
    unit = reference.conv_backward_input(abs(gy[:1]).astype(float), abs(w).astype(float), (1, *shape[1:]), *SAME)
    spans: dict[str, list[float]] = {name: [] for name in LAYER_WAYS}
    off = {}
    for _ in range(ROUNDS):
        for name, (choice, few, most) in LAYER_WAYS.items():
            with tensor_cores(choice), with_blocks(few, most):
                runs = [_gradient(x, weights, shape) for x in turns]
                spans[name].append(clock.seconds(runs))
                if name not in off:
                    error = (asnumpy(runs[0]()[:1]) - right) / (2.0**-24 * unit + 1e-45)
                    off[name] = f"{np.sqrt((error**2).mean()):.2f} {abs(error).max():.1f}"
    us = {name: 1e6 * float(np.median(found)) for name, found in spans.items()}
    split = 1e6 * clock.seconds([_split(x, weights) for x in turns])
    size = f"{layer.size}x{layer.size} {layer.outputs} to {layer.inputs}"
    found = "  ".join(f"{name} {us[name]:8.1f} us, off {off[name]}" for name in LAYER_WAYS)
    best = min(us[name] for name, (choice, *_) in LAYER_WAYS.items() if choice == "on")
    return (
        f"{size:<18} {times:>2} times  {found}  of this splitting {split:8.1f} us  "
        f"{us['cuBLAS'] / best:5.2f} times as fast"
    )


def _gradient(gy: Array, w: Array, shape: tuple[int, ...]) -> Callable[[], Any]:
    return lambda: cuda.conv_backward_input(gy, w, shape, *SAME)


def _split(gy: Array, w: Array) -> Callable[[], Any]:
    return lambda: halves.split(gy, w)


@contextmanager
def with_blocks(few: int, most: int) -> Iterator[None]:
    """Let a multiprocessor have so many blocks of halves.cu at once in a `with` block."""
    before = halves.FEW_BLOCKS, halves.MOST_BLOCKS
    halves.FEW_BLOCKS, halves.MOST_BLOCKS = few, most
    try:
        yield
    finally:
        halves.FEW_BLOCKS, halves.MOST_BLOCKS = before


def layer_lines(config: MISNetConfig, samples: int, device: str, clock: Clock | None = None) -> Iterator[str]:
    """Yield a line a layer.

    off: the root mean square and the largest, in units of 2^-24 of the sum of the magnitudes of the terms of an entry.
    """
    cupy = cupy_module()
    clock = Clock(cupy, 4096, 3, 8) if clock is None else clock
    for layer, times in layers_of(config, samples).items():
        yield layer_line(clock, layer, times, device)
        gc.collect()
        cupy.get_default_memory_pool().free_all_blocks()


def step_line(config: MISNetConfig, samples: int, device: str, repeats: int, graph: bool) -> str:
    """Time whole training steps of two networks in turns, one of each way."""
    data = [tuple(to_device(x, device) for x in batch) for batch in batches(config, samples, 2)]
    steps: dict[str, Callable[[int], float]] = {}
    spans: dict[str, list[float]] = {name: [] for name in WAYS}
    said: list[str] = []
    for name in WAYS:
        model = MISNet(config, seed=1).to(device)
        optimizer = OPTIMIZERS["adam"](model.named_parameters(), 1e-3)
        steps[name] = _step(model, optimizer, data, graph, said)
    losses = {}
    for k in range(WARM_UP + repeats):
        for name, choice in WAYS.items():
            with tensor_cores(choice):
                start = time.perf_counter()
                losses[name] = steps[name](k)
                spans[name].append(time.perf_counter() - start)
    ms = {name: 1e3 * float(np.median(found[WARM_UP:])) for name, found in spans.items()}
    case = f"{config.variant} {config.size}x{config.size} N={samples}"
    how = "graph" if graph and not any("off" in line for line in said) else "launched"
    return (
        f"training step {case}, {how}: cuBLAS {ms['cuBLAS']:.2f} ms, tensor cores {ms['tensor cores']:.2f} ms; "
        f"losses after {WARM_UP + repeats} steps: {losses['cuBLAS']:.6f}, {losses['tensor cores']:.6f}"
    )


def _step(model: MISNet, optimizer: Any, data: list[Any], graph: bool, said: list[str]) -> Callable[[int], float]:
    totals = Totals()
    if graph:
        step = GraphedSteps(model, optimizer, said.append).step
        return lambda k: step(1e-3, data[k % 2], totals, k)
    return lambda k: train_step(model, optimizer, 1e-3, data[k % 2], totals, k)
