"""Checks on a real card: every CUDA kernel against the reference, steps against the CPU's, twice the same bits."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.training.step import Totals, train_step
from snncore import arithmetic, to_device
from snncore.backend import asnumpy
from snncore.firing import Firing
from snncore.kernels import cuda, reference
from snncore.kernels.choice import use_kernels
from snncore.optim import OPTIMIZERS
from snncore.surrogate import SURROGATES

TOLERANCE = 1e-5  # of the largest entry; matrix products and exponentials round differently on a card
EXACT = 0.0


class Outcome(NamedTuple):
    """Of one check."""

    name: str
    passed: bool
    detail: str


class Case(NamedTuple):
    """A kernel with arguments on the host, and how far it may be from the reference."""

    kernel: str
    args: tuple
    tolerance: float


def cases(channels: int, seed: int = 0) -> dict[str, Case]:
    """Return a case for every kernel, with so many channels."""
    rng = np.random.default_rng(seed)
    t, n, size = 4, 3, 6
    shape = (t, n, size, size, channels)

    def floats(*s: int, mean: float = 0.3) -> np.ndarray:
        return rng.normal(mean, 1, s).astype(np.float32)

    spikes = rng.choice(np.array([0, 0, 0, 1, 2], np.uint8), shape)
    x, gs, images = floats(*shape), floats(*shape), spikes.reshape(-1, size, size, channels)
    norm = (x.mean((0, 1, 2, 3), np.float64), 1 / x.std((0, 1, 2, 3), np.float64), floats(channels), floats(channels))
    w, alpha, pixel = floats(3, 3, channels, channels), np.array(0.8, np.float32), floats(size, size, 1, mean=1)
    firing, same = Firing(), ((1, 1), (1, 1))
    gy, pooled = gs.reshape(images.shape), reference.max_pool_forward(images, (2, 2), (2, 2))
    fired, _ = reference.lif_forward(x, None, firing)
    mlif_fired, _ = reference.mlif_forward(spikes, pixel, alpha, None, firing)
    floats_fired, _ = reference.mlif_forward(x, None, alpha, None, firing)
    sums, entries = reference.batch_norm_gradient_sums(gs, x, *norm[:2]), x.size // channels
    norm_fired = reference.batch_norm_lif_forward(x, *norm, firing)
    made = {
        "lif_forward": Case("lif_forward", (x, None, firing), EXACT),
        "lif_backward": Case("lif_backward", (gs, None, x, fired, None, firing), TOLERANCE),
        "mlif_forward": Case("mlif_forward", (spikes, pixel, alpha, None, firing), EXACT),
        "mlif_backward": Case("mlif_backward", (gs, None, spikes, mlif_fired, pixel, alpha, None, firing), TOLERANCE),
        "mlif_forward, floats": Case("mlif_forward", (x, None, alpha, None, firing), EXACT),
        "mlif_backward, floats": Case(
            "mlif_backward",
            (gs, None, x, floats_fired, None, alpha, None, replace(firing, detach_reset=True)),
            TOLERANCE,
        ),
        "batch_norm_statistics": Case("batch_norm_statistics", (x,), TOLERANCE),
        "batch_norm_forward": Case("batch_norm_forward", (x, *norm), EXACT),
        "batch_norm_gradient_sums": Case("batch_norm_gradient_sums", (gs, x, *norm[:2]), TOLERANCE),
        "batch_norm_backward": Case("batch_norm_backward", (gs, x, *norm[:3], sums, entries), EXACT),
        "batch_norm_lif_backward": Case("batch_norm_lif_backward", (gs, x, *norm[:3], sums, entries), EXACT),
        "batch_norm_lif_forward": Case("batch_norm_lif_forward", (x, *norm, firing), EXACT),
        "max_pool_forward": Case("max_pool_forward", (images, (2, 2), (2, 2)), EXACT),
        "max_pool_backward": Case("max_pool_backward", (gy[:, ::2, ::2].copy(), images, pooled, (2, 2), (2, 2)), EXACT),
        "sew_add": Case("sew_add", (spikes, spikes), EXACT),
        "conv_forward": Case("conv_forward", (images, w, *same), TOLERANCE),
        "conv_forward, floats": Case("conv_forward", (gy, w, *same), TOLERANCE),
        "conv_backward_weight": Case("conv_backward_weight", (images, gy, (3, 3), *same), TOLERANCE),
        "conv_backward_weight, floats": Case("conv_backward_weight", (gy, gy, (3, 3), *same), TOLERANCE),
        "conv_backward_input": Case("conv_backward_input", (gy, w, images.shape, *same), TOLERANCE),
    }
    made |= {
        "exact_conv_forward": Case("exact_conv_forward", (images, w, *same), EXACT),
        "exact_conv_forward, floats": Case("exact_conv_forward", (gy, w, *same), EXACT),
        "exact_linear_forward": Case("exact_linear_forward", (images, w[0, 0]), EXACT),
    }
    for name, kind in SURROGATES.items():
        args = (gs, x, norm_fired, *norm, replace(firing, surrogate=kind()))
        made[f"batch_norm_lif_gradient_sums, {name}"] = Case("batch_norm_lif_gradient_sums", args, TOLERANCE)
    return made


def arrays_of(module: Any, kernel: str, *args: Any) -> list[Any]:
    """Return the arrays among the results of a kernel: not what is None, and no count.

    Of the sums that a gradient needs, the two rows that the reference has: a card's are followed by room. The gradient
    that comes with them is for one other kernel alone, which is asked for it as in evaluation, where the sums are left
    out.
    """
    result = getattr(module, kernel)(*args)
    if kernel == "batch_norm_gradient_sums":
        result = result[:2]
    elif kernel == "batch_norm_lif_gradient_sums":
        gc, sums = result
        x, norm = args[1], args[3:6]
        result = (module.batch_norm_lif_backward(gc, x, *norm, sums, None), sums[:2])
    return [r for r in (result if isinstance(result, tuple) else (result,)) if hasattr(r, "shape")]


def difference(expected: list[Any], got: list[Any]) -> float:
    """Return the largest difference as a part of the largest entry; infinite for NaN, another shape or another type.

    All arrays on the host or all on one device. A sum of many terms may cancel: it is held against what such a sum
    grows to.
    """
    first, worst = expected[0], 0.0
    largest = float(abs(first).max())
    for e, g in zip(expected, got, strict=True):
        if g.shape != e.shape or g.dtype.kind != e.dtype.kind:
            return math.inf
        scale = max(float(abs(e).max()), largest * (first.size / e.size) ** 0.5, 1e-30)
        off = float(abs(g.astype(np.float64) - e).max()) / scale
        worst = max(worst, off) if math.isfinite(off) else math.inf
    return worst


def run_case(name: str, case: Case, module: Any = cuda, device: str = "cuda") -> Outcome:
    """Compare a kernel with the reference."""
    expected = arrays_of(reference, case.kernel, *case.args)
    on_device = (to_device(a, device) if isinstance(a, np.ndarray) else a for a in case.args)
    worst = difference(expected, [asnumpy(g) for g in arrays_of(module, case.kernel, *on_device)])
    return Outcome(name, worst <= case.tolerance, f"off by {worst:.1e}, may be {case.tolerance:.0e}")


def first_line(error: Exception) -> str:
    """Of what an error says."""
    return (str(error).strip().splitlines() or [""])[0]


def guarded(name: str, check: Callable[[], Outcome]) -> Outcome:
    """Run a check; what it raises fails it, and the checks after it still run."""
    try:
        return check()
    except Exception as error:  # whatever CuPy raises, memory that ran out among it
        return Outcome(name, False, f"{type(error).__name__}: {first_line(error)}")


def cpu_kernels() -> AbstractContextManager[Any]:
    """Take the reference inside the block where Numba, and with it the CPU's compiled kernels, cannot be loaded."""
    try:
        import_module("snncore.kernels.cpu")
    except ImportError:  # missing, or refuses the version of NumPy
        return use_kernels("reference")
    return nullcontext()


def kernel_checks(device: str) -> list[Outcome]:
    """Check every kernel at a common and at odd numbers of channels; the convolutions both ways."""
    outcomes = []
    for channels in (1, 33, 64):
        for name, case in cases(channels).items():
            full = f"{name} ({channels} channels)"
            outcomes.append(guarded(full, lambda n=full, c=case: run_case(n, c, cuda, device)))  # type: ignore[misc]
    return outcomes


def small_config() -> MISNetConfig:
    """Return a network that trains in seconds on a CPU."""
    return MISNetConfig(variant="XS", channels=(8, 16), cells=(1, 1), size=16, timesteps=4)


def batches(config: MISNetConfig, samples: int, number: int, seed: int = 0) -> list[tuple]:
    """Return random batches (audio, video, labels)."""
    rng = np.random.default_rng(seed)
    shape = (config.timesteps, samples, config.size, config.size)
    return [
        (
            rng.standard_normal((*shape, config.audio_channels)).astype(np.float32),
            rng.standard_normal((*shape, config.visual_channels)).astype(np.float32),
            rng.integers(0, config.classes, samples),
        )
        for _ in range(number)
    ]


def trained(config: MISNetConfig, device: str, samples: int, steps: int) -> tuple[list[float], int, dict]:
    """Return losses, spikes and weights after a few steps of SGD."""
    model = MISNet(config, seed=3).to(device)
    optimizer = OPTIMIZERS["sgd"](model.named_parameters(), 1e-2)
    totals, losses = Totals(), []
    for step, batch in enumerate(batches(config, samples, steps)):
        on_device = tuple(to_device(x, device) for x in batch)
        losses.append(train_step(model, optimizer, 1e-2, on_device, totals, step))
    return losses, totals.spikes, {name: asnumpy(x) for name, x in model.state_dict().items()}


def step_checks(
    device: str, samples: int = 4, steps: int = 3, train: Callable[..., Any] = trained, choice: str = "float32"
) -> list[Outcome]:
    """Check training steps against the CPU's, and against themselves. choice: of the arithmetic.

    In exact arithmetic gradients may still differ from the CPU's in the last bits, and the weights after a step.
    """
    config = small_config()
    with arithmetic(choice):
        with cpu_kernels():
            losses, spikes, _ = train(config, "cpu", samples, steps)
        first, second = (train(config, device, samples, steps) for _ in range(2))
    off = max(abs(a - b) / abs(a) for a, b in zip(losses, first[0], strict=True))
    differ = abs(spikes - first[1]) / max(1, spikes)
    same = first[0] == second[0] and all(np.array_equal(x, second[2][name]) for name, x in first[2].items())
    name = f"{steps} training steps" if choice == "float32" else f"{steps} training steps in {choice} arithmetic"
    return [
        Outcome(f"{name}, losses as on the CPU", off < 1e-3, f"off by {off:.1e}, may be 1e-03"),
        Outcome(f"{name}, spikes as on the CPU", differ < 1e-3, f"{differ:.1e} more or fewer, may be 1e-03"),
        Outcome(f"{name}, twice", same, "every bit the same" if same else "the weights differ"),
    ]


def other_ways(device: str) -> list[Outcome]:
    """Check the convolutions that are asked for: by events, the exact one that skips zeros, gradients by columns."""
    from snncore.kernels.cuda import columns, events

    def exact_plain(*args: Any) -> Any:
        with use_kernels("event"):
            return cuda.exact_conv_forward(*args)

    by_events = SimpleNamespace(
        conv_forward=events.events_forward,
        conv_backward_weight=events.events_backward_weight,
        exact_conv_forward=exact_plain,
    )
    by_columns = SimpleNamespace(conv_backward_weight=columns.dense_backward_weight)
    outcomes = []
    for channels in (1, 33, 64):
        made = cases(channels)
        for way, module in {"from events": by_events, "by columns": by_columns}.items():
            for name in vars(module):
                full, case = f"{name} {way} ({channels} channels)", made[name]
                outcomes.append(guarded(full, lambda n=full, c=case, m=module: run_case(n, c, m, device)))  # type: ignore[misc]
    return outcomes
