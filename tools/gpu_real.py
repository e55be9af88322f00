"""Checks on a card at the sizes of a real layer, against the reference run on the card too.

At these sizes every loop over a grid takes several turns, and sums are as long as in training. The settings that
the small checks leave out are here: hard reset, membranes carried from before, detached resets, strides, counts,
optimizers, uploads.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.tools.gpu_checks import (
    EXACT,
    TOLERANCE,
    Case,
    Outcome,
    arrays_of,
    batches,
    cpu_kernels,
    difference,
    guarded,
)
from misnet.tools.roofline import Layer
from snncore import Tensor, arithmetic, no_grad, observe, to_device
from snncore.backend import array_module, asnumpy
from snncore.firing import Firing
from snncore.kernels import cuda, reference
from snncore.kernels.choice import ARITHMETICS, tensor_cores
from snncore.kernels.cuda import optim
from snncore.kernels.cuda.spikes import count_spikes
from snncore.nn import Parameter
from snncore.optim import OPTIMIZERS
from snncore.surrogate import Sigmoid
from snncore.upload import upload_ahead

MOST_DIGITS = 0x7F7F7F7F  # 127 in each of four digits of a byte
LAYERS = {  # kernel, stride, padding
    "3 x 3": ((3, 3), (1, 1), (1, 1)),
    "3 x 3, stride 2": ((3, 3), (2, 2), (1, 1)),
    "1 x 1, stride 2": ((1, 1), (2, 2), (0, 0)),
    "5 x 5": ((5, 5), (1, 1), (2, 2)),
}


def neuron_cases(layer: Layer, device: str) -> dict[str, Case]:
    """Return cases of all kernels but the convolutions, with arrays on the device."""
    rng, c = np.random.default_rng(1), layer.outputs
    shape = (layer.timesteps, layer.samples, layer.size, layer.size, c)

    def floats(*s: int, mean: float = 0.3) -> Any:
        return to_device((rng.standard_normal(s, np.float32) + np.float32(mean)).astype(np.float32), device)

    def bytes_of(*s: int) -> Any:
        return to_device((rng.integers(0, 6, s) - 3).clip(0, 2).astype(np.uint8), device)

    x, gs, s = floats(*shape), floats(*shape), bytes_of(*shape)
    v0, gv = floats(*shape[1:]), floats(*shape[1:])
    mean, inv_std = (to_device(rng.uniform(0.5, 1.5, c), device) for _ in range(2))
    norm, pixel = (mean, inv_std, floats(c), floats(c)), floats(layer.size, layer.size, 1, mean=1)
    alpha, channel = to_device(np.array(0.8, np.float32), device), floats(c, mean=1)
    soft, hard = Firing(0.6, 1.0), Firing(0.6, 1.0, 0.0, Sigmoid(3.0))
    images = s.reshape(-1, *shape[2:])
    pooled = reference.max_pool_forward(images, (2, 2), (2, 2))
    sums, entries = reference.batch_norm_gradient_sums(gs, x, mean, inv_std), x.size // c
    made = {
        "batch_norm_statistics": Case("batch_norm_statistics", (x,), TOLERANCE),
        "batch_norm_forward": Case("batch_norm_forward", (x, *norm), EXACT),
        "batch_norm_gradient_sums": Case("batch_norm_gradient_sums", (gs, x, mean, inv_std), TOLERANCE),
        "batch_norm_backward": Case("batch_norm_backward", (gs, x, *norm[:3], sums, entries), TOLERANCE),
        "sew_add": Case("sew_add", (s, bytes_of(*shape)), EXACT),
        "max_pool_forward": Case("max_pool_forward", (images, (2, 2), (2, 2)), EXACT),
        "max_pool_backward": Case("max_pool_backward", (floats(*pooled.shape), images, pooled, (2, 2), (2, 2)), EXACT),
    }
    for name, firing in {"soft reset": soft, "hard reset": hard}.items():
        fired, _ = reference.lif_forward(x, v0, firing)
        norm_fired = reference.batch_norm_lif_forward(x, *norm, firing)
        detached = replace(firing, detach_reset=True)
        u_fired, _ = reference.mlif_forward(s, pixel, alpha, v0, firing)
        made |= {
            f"lif_forward, {name}, carried": Case("lif_forward", (x, v0, firing), EXACT),
            f"lif_backward, {name}, carried": Case("lif_backward", (gs, gv, x, fired, v0, firing), TOLERANCE),
            f"lif_backward, {name}, detached": Case("lif_backward", (gs, gv, x, fired, v0, detached), TOLERANCE),
            f"batch_norm_lif_forward, {name}": Case("batch_norm_lif_forward", (x, *norm, firing), EXACT),
            f"batch_norm_lif_gradient_sums, {name}": Case(
                "batch_norm_lif_gradient_sums", (gs, x, norm_fired, *norm, firing), TOLERANCE
            ),
            f"mlif_forward, {name}, carried": Case("mlif_forward", (s, pixel, alpha, v0, firing), EXACT),
            f"mlif_forward, {name}, weight a channel": Case("mlif_forward", (s, channel, alpha, None, firing), EXACT),
            f"mlif_backward, {name}, carried": Case(
                "mlif_backward", (gs, gv, s, u_fired, pixel, alpha, v0, firing), TOLERANCE
            ),
            f"mlif_backward, {name}, detached": Case(
                "mlif_backward", (gs, None, s, u_fired, pixel, alpha, v0, detached), TOLERANCE
            ),
        }
    return made


def conv_cases(layer: Layer, device: str) -> dict[str, Case]:
    """Return cases of the convolutions in float32; the reference takes the same numbers in float64."""
    rng = np.random.default_rng(2)
    images = (layer.timesteps * layer.samples, layer.size, layer.size, layer.inputs)
    x = to_device((rng.random(images, np.float32) < 0.15).astype(np.uint8), device)
    made = {}
    for name, (kernel, stride, padding) in LAYERS.items():
        w = to_device(rng.standard_normal((*kernel, layer.inputs, layer.outputs)).astype(np.float32), device)
        sides = [(layer.size + 2 * p - k) // s + 1 for k, s, p in zip(kernel, stride, padding, strict=True)]
        gy = to_device(rng.standard_normal((images[0], *sides, layer.outputs)).astype(np.float32), device)
        made |= {
            f"conv_forward, {name}": Case("conv_forward", (x, w, stride, padding), TOLERANCE),
            f"conv_backward_weight, {name}": Case("conv_backward_weight", (x, gy, kernel, stride, padding), TOLERANCE),
            f"conv_backward_input, {name}": Case("conv_backward_input", (gy, w, images, stride, padding), TOLERANCE),
        }
    return made


def exact_cases(layer: Layer, device: str) -> dict[str, Case]:
    """Return cases of exact sums: of spikes, of large ones, and of an analog first layer; every bit must be right."""
    rng = np.random.default_rng(5)
    images = (layer.timesteps * layer.samples, layer.size, layer.size)
    x = to_device((rng.random((*images, layer.inputs), np.float32) < 0.15).astype(np.uint8), device)
    analog = to_device(rng.standard_normal((*images, 3), np.float32), device)

    def weights(*shape: int) -> Any:
        return to_device(rng.standard_normal((*shape, layer.outputs), np.float32), device)

    made = {
        f"exact_conv_forward, {name}": Case(
            "exact_conv_forward", (x, weights(*kernel, layer.inputs), stride, padding), EXACT
        )
        for name, (kernel, stride, padding) in LAYERS.items()
    }
    kernel, *same = LAYERS["3 x 3"]
    made["exact_conv_forward, floats"] = Case("exact_conv_forward", (analog, weights(*kernel, 3), *same), EXACT)
    made["exact_linear_forward, up to 255"] = Case("exact_linear_forward", (x * 255, weights(layer.inputs)), EXACT)
    return made


def whole_gradient(x: Any, gy: Any, *layer: Any) -> Any:
    """Return the gradient of the weights by the definition of exact_gradient.cu, in whole numbers of float64.

    Those are exact below 2^53, which no sum of this module reaches.
    """
    xp = array_module(x)
    most = abs(gy).reshape(-1, gy.shape[-1]).max(axis=0).astype(np.float64)  # of random numbers: none is 0
    power = 31 - xp.frexp(most)[1]
    power -= xp.rint(xp.ldexp(most, power)) > MOST_DIGITS  # by ldexp: a card's 2.0**29 may be off by a rounding
    total = reference.conv_backward_weight(x, xp.rint(xp.ldexp(gy.astype(np.float64), power)), *layer)
    return xp.ldexp(total.astype(np.float32).astype(np.float64), -power).astype(np.float32)


def gradient_checks(layer: Layer, device: str, module: Any = cuda) -> Iterator[Outcome]:
    """Check that gradients of weights of spikes have the bits of whole numbers, in both arithmetics."""
    for name, case in conv_cases(layer, device).items():
        if case.kernel != "conv_backward_weight":
            continue

        def check(args: tuple = case.args, full: str = f"{name}, whole numbers") -> Outcome:
            expected, wrong = whole_gradient(*args), 0
            for choice in ARITHMETICS:
                with arithmetic(choice), tensor_cores("on"):
                    wrong += int((module.conv_backward_weight(*args) != expected).sum())
            return Outcome(full, wrong == 0, f"{wrong} of {2 * expected.size} entries differ, none may")

        yield guarded(name, check)


def compare(name: str, case: Case, module: Any, wide: bool) -> Outcome:
    """Compare a kernel with the reference, both on the device; wide: the reference in float64."""
    args = tuple(a.astype(np.float64) if wide and getattr(a, "dtype", None) == np.float32 else a for a in case.args)
    expected = arrays_of(reference, case.kernel, *args)
    worst = difference(expected, arrays_of(module, case.kernel, *case.args))
    return Outcome(name, worst <= case.tolerance, f"off by {worst:.1e}, may be {case.tolerance:.0e}")


def real_checks(layer: Layer, device: str, module: Any = cuda) -> Iterator[Outcome]:
    """Check every kernel on one real layer."""
    where = f"{layer.samples} x {layer.size} x {layer.size} x {layer.outputs}, T={layer.timesteps}"
    for made, wide in ((neuron_cases, False), (conv_cases, True), (exact_cases, False)):
        for name, case in made(layer, device).items():
            full = f"{name} ({where})"
            yield guarded(full, lambda n=full, c=case, w=wide: compare(n, c, module, w))  # type: ignore[misc]


def _planted(device: str, entries: int) -> Outcome:
    """`all_finite` sees one NaN or infinity in the last entry, and none where there is none."""
    w, g = (to_device(np.ones(entries, np.float32), device) for _ in range(2))
    loss, found = to_device(np.array(1.0, np.float32), device), []
    found.append(int(optim.all_finite(w, g, loss)))
    for array, value in ((g, np.inf), (w, np.nan)):
        array[-1:] = value
        found.append(int(optim.all_finite(w, g, loss)))
        array[-1:] = 1
    return Outcome("check_finite", found == [1, 0, 0], f"found {found}, expected [1, 0, 0]")


def _counted(device: str, entries: int) -> Outcome:
    s = to_device(np.random.default_rng(3).integers(0, 3, entries).astype(np.uint8), device)
    count = array_module(s).zeros((), np.uint64)
    count_spikes(s, count)
    expected = int(np.count_nonzero(asnumpy(s)))
    return Outcome("count_spikes", int(count) == expected, f"found {int(count)}, expected {expected}")


def _optimizer(kind: str, settings: dict[str, Any], device: str, entries: int) -> Outcome:
    """Three updates of one parameter, on the CPU and on the device."""
    after = []
    for where in ("cpu", device):
        rng = np.random.default_rng(4)
        p = Parameter(to_device(rng.standard_normal(entries).astype(np.float32), where))
        optimizer = OPTIMIZERS[kind]({"p": p}, 1e-2, **settings)
        for _ in range(3):
            p.grad = to_device(rng.standard_normal(entries).astype(np.float32), where)
            optimizer.step()
        after.append(asnumpy(p.data))
    worst = difference([after[0]], [after[1]])
    return Outcome(f"{kind} {settings or ''}".strip(), worst <= 1e-6, f"off by {worst:.1e}, may be 1e-06")


def _uploaded(device: str, entries: int) -> Outcome:
    """Batches arrive whole, though the device is busy and their pinned buffers are used again."""
    given = [(np.full(entries, k, np.float32), np.arange(k, k + 7)) for k in range(9)]
    wrong = 0
    for k, (x, labels) in enumerate(upload_ahead(iter(given), device)):
        total = (x * 2 - 2 * k).any()  # work for the device, not read before the next batch is begun
        wrong += int(bool(total)) + int(not np.array_equal(asnumpy(labels), given[k][1]))
    return Outcome("upload_ahead", wrong == 0, f"{wrong} arrays of {2 * len(given)} arrived damaged")


def other_checks(device: str, entries: int) -> list[Outcome]:
    """Check what works on flat arrays: counts, the search for what is not finite, optimizers, uploads."""
    checks: dict[str, Callable[[], Outcome]] = {
        "check_finite": lambda: _planted(device, entries),
        "count_spikes": lambda: _counted(device, entries),
        "upload_ahead": lambda: _uploaded(device, entries),
    }
    for kind, settings in (
        ("adam", {}),
        ("adamw", {"weight_decay": 0.1}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
    ):
        checks[kind] = lambda k=kind, s=settings: _optimizer(k, s, device, entries)  # type: ignore[misc]
    return [guarded(name, check) for name, check in checks.items()]


def spikes_of(model: MISNet, streams: list[Any]) -> list[np.ndarray]:
    """Return every array of spikes that a forward pass makes, in order, then the scores; on the host."""
    seen: list[np.ndarray] = []

    def keep(function: Any, inputs: tuple, outputs: tuple) -> None:
        seen.extend(asnumpy(y) for y in outputs if getattr(y, "dtype", None) == np.uint8)

    with no_grad(), observe(keep):
        scores = model(*map(Tensor, streams))
    return [*seen, *(asnumpy(x.data) for x in scores.values())]


def spike_check(config: MISNetConfig, samples: int, device: str, choice: str = "float32") -> Outcome:
    """Compare every spike of a forward pass in evaluation mode with the CPU's; the running statistics are trained.

    choice: of the arithmetic. In exact arithmetic, no spike and no bit of the scores may differ.
    """
    *streams, _ = batches(config, samples, 1)[0]
    model = MISNet(config, seed=3)
    model.train()
    with cpu_kernels():
        for _ in range(3):
            spikes_of(model, streams)
        model.eval()
        with arithmetic(choice):
            expected = spikes_of(model, streams)
    twin = MISNet(config, seed=3)
    twin.load_state_dict(model.state_dict())
    twin = twin.to(device)
    twin.eval()
    with arithmetic(choice):
        got = spikes_of(twin, [to_device(x, device) for x in streams])
    scores = [(x, y) for x, y in zip(expected, got, strict=True) if x.dtype != np.uint8]
    expected, got = expected[: -len(scores)], got[: -len(scores)]
    places = sum(x.size for x in expected)
    fired = sum(int(np.count_nonzero(x)) for x in expected)
    differ = [int(np.count_nonzero(a != b)) for a, b in zip(expected, got, strict=True)]
    share, first = sum(differ) / max(1, places), next((k for k, d in enumerate(differ) if d), None)
    where = "" if first is None else f"; first in array {first} of {len(differ)}, {differ[first]} there"
    name = f"spikes of MISNet-{config.variant} {config.size} x {config.size} as on the CPU"
    said = f"{sum(differ)} of {places} places differ, {fired} fire{where}"
    if choice == "exact":
        same = all(x.tobytes() == y.tobytes() for x, y in scores)
        said = f"{said}; scores {'the same to the bit' if same else 'differ'}; none may"
        return Outcome(f"{name}, in exact arithmetic", fired > 0 and not sum(differ) and same, said)
    return Outcome(name, fired > 0 and share <= 1e-3, f"{said}; may be 1e-03 of them (0 where both convolve exactly)")
