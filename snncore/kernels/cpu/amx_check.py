"""The check of the kernels on AMX that a new machine is given: bit for bit against the reference, then their time.

`python -m snncore --check-amx` runs it. The same layers go through the twin in plain integers, on any machine: where
the twin agrees and AMX does not, the fault is in one of the six instructions of `amx_tiles`, or in the machine.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numba
import numpy as np

from snncore.kernels import reference
from snncore.kernels.choice import use_kernels
from snncore.kernels.cpu import amx, exact_digits, exact_event, exact_tiles, exact_winograd
from snncore.kernels.cpu.amx_tiles import CONFIGURATION, PLAIN
from snncore.kernels.cpu.conv import conv_forward
from snncore.kernels.cpu.conv_event import width_of
from snncore.kernels.cpu.events import look_at
from snncore.kernels.cpu.exact_weights import Packed, pack_for_events

__all__ = ["COUNT", "check", "difference", "drawn_layers"]

COUNT = 300  # layers
IMAGES = 32
LAYERS = ((64, 32), (128, 16), (256, 8), (512, 4))  # channels and size of the convolutions that are timed
DENSITIES = (0.05, 0.2, 0.5)
Pair = tuple[int, int]


class Layer(NamedTuple):
    """A convolution of spikes."""

    x: np.ndarray  # uint8 [M, H, W, Ci]
    w: np.ndarray  # float32 [kh, kw, Ci, Co]
    stride: Pair
    padding: Pair

    def __str__(self) -> str:
        return f"x {self.x.shape} up to {self.x.max()}, w {self.w.shape}, stride {self.stride}, padding {self.padding}"


def drawn_layers(count: int, seed: int = 0) -> Iterator[Layer]:
    """Yield layers of all kinds: windows, strides, long rows and short ones, channels, densities, spikes up to 255.

    One in eight has the largest sums that the digits can have: spikes of 255, digits of -128.
    """
    rng = np.random.default_rng(seed)
    for n in range(count):
        kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
        padding = np.minimum(rng.integers(0, 3, 2), kernel - 1)
        if n % 3 == 0:
            kernel, stride, padding = np.array([3, 3]), np.array([1, 1]), np.array([1, 1])
        size = np.maximum(rng.choice([1, 2, 3, 4, 7, 8, 13, 16, 17, 32, 40], 2), kernel)
        channels_in, channels_out = rng.choice([1, 3, 16, 48, 63, 64, 65, 130]), rng.choice([1, 10, 16, 17, 33, 64])
        most, density = rng.choice([1, 2, 3, 255]), rng.choice([0.02, 0.2, 0.6, 1.0])
        shape = int(rng.integers(1, 4)), *size, channels_in
        x = (rng.random(shape) < density) * rng.integers(1, most + 1, shape)
        w = rng.standard_normal((*kernel, channels_in, channels_out))
        if n % 8 == 7:
            x, w = np.full(shape, 255), np.full(w.shape, -(128 * 65536 + 128 * 256 + 128) / 2**24)
        w = np.ldexp(w, int(rng.integers(-20, 20))).astype(np.float32)
        (down, across), (above, left) = stride.tolist(), padding.tolist()
        yield Layer(x.astype(np.uint8), w, (down, across), (above, left))


def difference(layer: Layer, configuration: np.ndarray) -> str:
    """Compare the kernel on tiles with the reference; returns where they differ first, "" if they do not."""
    x, w, stride, padding = layer
    packed = exact_tiles.pack(w)
    if packed is None:
        return f"{layer}: weights that are not ordinary"
    y = exact_tiles.conv_forward(x, packed, w.shape[:2], stride, padding, configuration)
    right = reference.exact_conv_forward(x, w, stride, padding)
    wrong = np.argwhere(y != right)
    if not len(wrong):
        return ""
    place = tuple(map(int, wrong[0]))
    return f"{layer}: {len(wrong)} of {y.size} differ, y{list(place)} is {y[place]}, the reference {right[place]}"


def _compare(name: str, count: int, configuration: np.ndarray) -> tuple[str, bool]:
    found = [text for layer in drawn_layers(count) if (text := difference(layer, configuration))]
    if found:
        return f"{name:<11} {len(found)} of {count} layers differ from the reference; the first: {found[0]}", False
    return f"{name:<11} {count} layers equal the reference bit for bit", True


def _best(function: Callable[..., object], *arguments: object) -> float:
    """Return ms of the fastest of seven calls after one."""
    function(*arguments)
    times = []
    for _ in range(7):
        started = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def _times() -> Iterator[str]:
    """Yield a table: convolutions 3x3 on tiles, by bytes on VNNI in two ways, by events, and in float32."""
    columns = ("AMX", "VNNI", "Winograd", *(f"events {d}" for d in DENSITIES), *(f"float32 {d}" for d in DENSITIES))
    yield f"ms, 3x3, {IMAGES} images, threads: {numba.get_num_threads()}; behind a name, the density of spikes"
    yield f"{'channels':<14}" + "".join(f"{name:>13}" for name in columns)
    rng, three, one = np.random.default_rng(0), (3, 3), (1, 1)
    for channels, size in LAYERS:
        w = rng.standard_normal((*three, channels, channels)).astype(np.float32)
        inputs = [(rng.random((IMAGES, size, size, channels)) < density).astype(np.uint8) for density in DENSITIES]
        found = [_best(exact_tiles.conv_forward, inputs[0], exact_tiles.pack(w), three, one, one), np.nan, np.nan]
        if exact_digits.VNNI:
            found[1] = _best(exact_digits.conv_forward, inputs[0], exact_digits.pack(w), three, one, one)
            found[2] = _best(exact_winograd.conv_forward, inputs[0], exact_winograd.pack(w), one)
        listed = pack_for_events(w, width_of(channels))
        found += [_best(_by_events, x, listed, channels) for x in inputs]
        with use_kernels("auto"):
            found += [_best(conv_forward, x, w, one, one) for x in inputs]
        yield f"{f'{channels}, {size}x{size}':<14}" + "".join(f"{ms:>13.2f}" for ms in found)


def _by_events(x: np.ndarray, listed: Packed, channels: int) -> np.ndarray:
    return exact_event.conv_forward(look_at(x), listed, channels, 3, (1, 1), (1, 1))


def check(say: Callable[[str], object] = print, count: int = COUNT, timed: bool = True) -> bool:
    """Compare, and time AMX where it is, a line at a time; returns whether AMX ran and all sums are right."""
    there = amx.on_processor() and not amx.refusal()
    say(f"{'AMX':<11} {amx.status()}")
    line, right = _compare("plain twin", count, PLAIN)
    say(line)
    if there:
        line, same = _compare("AMX", count, CONFIGURATION)
        right = right and same
        say(line)
        for line in _times() if timed else ():
            say(line)
    else:
        say(f"{'AMX':<11} was not run")
    return there and right
