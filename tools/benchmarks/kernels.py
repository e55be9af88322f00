"""Kernels one by one, in a process of their own: `kernels.py JSON` prints layers, sweeps and limits as JSON.

Candidates of one row run in turns; times are medians in milliseconds.
"""

import copy
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = {64: 32, 128: 16, 256: 8}  # channels and size of the layers of the three stages of S at 32 x 32
DENSITIES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.24, 0.3, 0.4, 0.5, 0.7, 1.0)
SIZES = (8, 16, 32, 64)
TOGETHER = (0.12, 0.24)  # densities of spikes whose neighbours fire together, those of MISNet trained and shifted
SPREAD = 5  # columns over which they do: if one of two fires, so does the other in 0.6 to 0.7 of all cases
IMAGES = 32  # T = 4 times a batch of 8
Row = dict[str, Any]


@contextmanager
def kernels(choice: str) -> Iterator[None]:
    """Force a set of kernels in the block."""
    before = os.environ.get("SNNCORE_KERNELS", "auto")
    os.environ["SNNCORE_KERNELS"] = choice
    try:
        yield
    finally:
        os.environ["SNNCORE_KERNELS"] = before


def race(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Run the candidates in turns and return the median of each, in ms, after one turn that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def under(choice: str, run: Callable[[], Any]) -> Callable[[], Any]:
    """Return `run` with a set of kernels forced."""

    def forced() -> Any:
        with kernels(choice):
            return run()

    return forced


class TorchConv:
    """The three passes of a convolution in PyTorch on channels-last tensors, the faster of its layouts here."""

    def __init__(self, x: np.ndarray, w: np.ndarray, gy: np.ndarray) -> None:
        import torch

        self.torch = torch
        self.x, self.gy = (torch.from_numpy(a.astype(np.float32)).permute(0, 3, 1, 2) for a in (x, gy))
        self.w = torch.from_numpy(w.transpose(3, 2, 0, 1).copy()).contiguous(memory_format=torch.channels_last)

    def forward(self) -> Any:
        return self.torch.nn.functional.conv2d(self.x, self.w, padding=1)

    def backward(self, which: int) -> Callable[[], Any]:
        mask = [i == which for i in range(3)]
        settings = (None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask)
        return lambda: self.torch.ops.aten.convolution_backward(self.gy, self.x, self.w, *settings)


def torch_bn_lif(x: np.ndarray, gs: np.ndarray, decay: float, training: bool) -> Callable[[], Any]:
    """Return batch normalisation and SpikingJelly's LIF on x [T, N, H, W, C]: forward and backward, or inference."""
    import torch
    from spikingjelly.activation_based import functional, neuron, surrogate

    channels = x.shape[-1]
    node = neuron.LIFNode(
        tau=1 / (1 - decay),
        decay_input=False,
        v_reset=None,
        surrogate_function=surrogate.Sigmoid(alpha=4.0),
        step_mode="m",
    )
    norm = torch.nn.BatchNorm2d(channels).train(training)
    c, g = (torch.from_numpy(a).permute(0, 1, 4, 2, 3) for a in (x, gs))  # channels last in memory

    def run() -> Any:
        functional.reset_net(node)
        with torch.set_grad_enabled(training):
            inputs = c.detach().requires_grad_(training)
            s = node(norm(inputs.flatten(0, 1)).unflatten(0, (len(c), -1)))
            if training:
                s.backward(g)
        return s

    return run


def draw_spikes(rng: np.random.Generator, shape: tuple[int, ...], density: float, spread: int = 1) -> np.ndarray:
    """Spikes uint8 [M, H, W, C] of a density: independent, or (spread > 1) where a sum of `spread` columns is high.

    Kernels that share work between neighbours gain from the spikes of a network, and hardly from independent ones.
    """
    if spread == 1:
        return (rng.random(shape) < density).astype(np.uint8)
    field = rng.standard_normal(shape, np.float32)
    field = sum(np.roll(field, k, axis=2) for k in range(spread))
    return (field > np.quantile(field, 1 - density)).astype(np.uint8)


def convolution(channels: int, size: int, density: float, peers: bool, rounds: int, spread: int = 1) -> Row:
    """Time the passes of one 3x3 convolution on IMAGES random trains of spikes, of `draw_spikes`."""
    from snncore.kernels import cpu

    rng = np.random.default_rng(0)
    x = draw_spikes(rng, (IMAGES, size, size, channels), density, spread)
    w = (rng.standard_normal((3, 3, channels, channels)) * 0.05).astype(np.float32)
    gy = rng.standard_normal(x.shape).astype(np.float32)
    one = (1, 1)
    runs = {
        "forward_event": under("event", lambda: cpu.conv_forward(x, w, one, one)),
        "forward_dense": under("dense", lambda: cpu.conv_forward(x, w, one, one)),
        "weight_event": under("event", lambda: cpu.conv_backward_weight(x, gy, (3, 3), one, one)),
        "weight_dense": under("dense", lambda: cpu.conv_backward_weight(x, gy, (3, 3), one, one)),
        "input": lambda: cpu.conv_backward_input(gy, w, x.shape, one, one),
    }
    if peers:
        theirs = TorchConv(x, w, gy)
        runs |= {
            "peer_forward": theirs.forward,
            "peer_weight": theirs.backward(1),
            "peer_input": theirs.backward(0),
        }
    spikes = int(x.sum(dtype=np.int64))
    return {"channels": channels, "size": size, "density": density, "spikes": spikes} | race(runs, rounds)


def neuron_row(channels: int, size: int, peers: bool, rounds: int) -> Row:
    """Time BatchNorm and LIF, in training (forward and backward) and in inference, T = 4."""
    from snncore.firing import Firing
    from snncore.kernels import cpu, reference

    rng = np.random.default_rng(0)
    shape = (4, IMAGES // 4, size, size, channels)
    x, gs = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    gamma, beta = np.ones(channels, np.float32), np.full(channels, 0.2, np.float32)
    firing = Firing()

    def train(k: Any) -> Callable[[], Any]:
        def run() -> Any:
            count, mean, var = k.batch_norm_statistics(x)
            norm = (mean, 1 / np.sqrt(var + 1e-5), gamma, beta)
            s = k.batch_norm_lif_forward(x, *norm, firing)
            gc, sums = k.batch_norm_lif_gradient_sums(gs, x, s, *norm, firing)
            return k.batch_norm_lif_backward(gc, x, *norm[:3], sums, count)

        return run

    fixed = (np.zeros(channels), np.ones(channels), gamma, beta)
    runs = {
        "training": train(cpu),
        "inference": lambda: cpu.batch_norm_lif_forward(x, *fixed, firing),
        "reference_training": train(reference),
        "reference_inference": lambda: reference.batch_norm_lif_forward(x, *fixed, firing),
    }
    if peers:
        runs |= {
            "peer_training": torch_bn_lif(x, gs, 0.5, True),
            "peer_inference": torch_bn_lif(x, gs, 0.5, False),
        }
    return {"channels": channels, "size": size} | race(runs, rounds)


def layer_rows(spec: dict[str, Any], rounds: int) -> tuple[list[Row], dict[str, float]]:
    """Time each kind of layer of the network on its real input, forward and backward, against the reference kernels."""
    from safetensors.numpy import load_file

    from misnet.tools.benchmarks.ours import OurRun, densities, recorded_calls
    from snncore.tape import Tensor

    batch = np.load(spec["batch"])
    run = OurRun(spec["network"], load_file(spec["weights"]), (batch["audio"], batch["video"], batch["labels"]))
    calls = recorded_calls(run.model, run.batch)
    rows: dict[tuple, Row] = {}
    for path, function, inputs in calls:
        if function.name not in ("Conv2d", "BatchNormLIF", "MLIF", "MaxPool2d", "SEW"):
            continue
        key = (function.name, *(None if x is None else (x.shape, x.dtype.str) for x in inputs[:2]))
        if key in rows:
            rows[key]["count"] += 1
            continue

        def both(function: Any = function, inputs: tuple = inputs) -> None:
            first = path_needs_gradient(function, inputs)
            tensors = [None if x is None else Tensor(x, requires_grad=first or i > 0) for i, x in enumerate(inputs)]
            result = copy.copy(function)(*tensors)
            for y in result if isinstance(result, tuple) else (result,):
                y.backward(np.ones(y.shape, np.float32), retain_graph=True)

        row = {"layer": path, "operation": function.name, "input": list(inputs[0].shape), "count": 1}
        if inputs[0].dtype == np.uint8:
            row["density"] = float(inputs[0].sum(dtype=np.int64) / inputs[0].size)
        times = race({"ours": under("auto", both), "reference": under("reference", both)}, rounds)
        rows[key] = row | {f"{name}_ms": ms for name, ms in times.items()}
    return list(rows.values()), densities(calls)


def path_needs_gradient(function: Any, inputs: tuple) -> bool:
    """Whether the first input is made by the network: all but the analog image and sound."""
    return not (function.name == "Conv2d" and inputs[0].dtype != np.uint8)


def limits() -> dict[str, float]:
    """Measure the machine, on one thread: float32 multiply-adds from the level-1 cache, and bytes copied per second."""
    import numba

    from snncore.kernels.cpu.memory import aligned
    from snncore.kernels.cpu.simd import make_gemm_tile
    from snncore.kernels.cpu.winograd import COLUMNS, ROWS

    tile, k, times = make_gemm_tile(ROWS, COLUMNS), 96, 2000
    a, b, c = (aligned(shape, np.float32, zero=True) for shape in ((ROWS, k), (k, COLUMNS), (ROWS, COLUMNS)))

    @numba.njit
    def multiply(a, b, c, times):  # type: ignore[no-untyped-def]
        for _ in range(times):
            tile(c.ctypes.data, 4 * COLUMNS, a.ctypes.data, 4 * k, b.ctypes.data, 4 * COLUMNS, k)

    x, y = np.ones(1 << 25, np.uint8), np.empty(1 << 25, np.uint8)
    best = {"multiply": 1e9, "copy": 1e9}
    for _ in range(100):
        for name, run in (("multiply", lambda: multiply(a, b, c, times)), ("copy", lambda: np.copyto(y, x))):
            started = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - started)
    flops = 2 * ROWS * COLUMNS * k * times
    return {"gflops": flops / best["multiply"] / 1e9, "copy_gb_per_s": 2 * x.size / best["copy"] / 1e9}


def main() -> None:
    spec = json.loads(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parents[2]))
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if spec["peers"]:
        import torch

        torch.set_num_threads(spec["threads"])
    rounds, peers = spec["rounds"], spec["peers"]
    layers, density = layer_rows(spec, rounds)
    result = {
        "layers": layers,
        "densities": density,
        "limits": limits(),
        "density_sweep": [convolution(c, s, d, peers, rounds) for c, s in SHAPES.items() for d in spec["sweep"]],
        "together": [convolution(c, s, d, peers, rounds, SPREAD) for c, s in SHAPES.items() for d in TOGETHER],
        "size_sweep": [convolution(64, s, 0.1, peers, rounds) for s in SIZES],
        "batch_norm_lif": [neuron_row(c, s, peers, rounds) for c, s in SHAPES.items()],
    }
    print(json.dumps(result), file=channel, flush=True)


if __name__ == "__main__":
    main()
