"""What each CUDA kernel must move and compute, and how long a GPU needs for that at least.

Nothing here is measured: bytes to and from the memory of the device and operations are counted on paper, from the
sizes of a layer, and divided by the bandwidth and the peak of a card as its maker prints them. `tools/gpu_selftest.py`
measures the same kernels on a card that is there. The tables of docs/gpu_tables.md come from here.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import math
from dataclasses import dataclass
from typing import NamedTuple

from misnet.models.misnet.config import MISNetConfig
from misnet.tools.naming import Parser
from misnet.tools.toolkit import UsageError, run_tool

DENSITY = 0.15  # of spikes, where the work depends on it


class Card(NamedTuple):
    """Bytes a second of its memory, and operations a second, as printed by its maker.

    peak: float32, without tensor cores. byte_peak, half_peak: of bytes and of float16 with sums in float32, dense, on
    tensor cores; infinite where it is not known.
    """

    bandwidth: float
    peak: float
    byte_peak: float = math.inf
    half_peak: float = math.inf


CARDS = {
    "h100": Card(3.35e12, 66.9e12, 1.979e15, 0.9895e15),  # SXM, 80 GB HBM3
    "a100": Card(2.039e12, 19.5e12, 0.624e15, 0.312e15),  # SXM, 80 GB
    "rtx4090": Card(1.008e12, 82.6e12, 0.66e15, 0.1652e15),
    "t4": Card(0.32e12, 8.1e12, 0.13e15, 0.065e15),
}


class Work(NamedTuple):
    """Bytes to and from memory, operations, and operations of tensor cores: on bytes, on halves."""

    bytes: float
    operations: float
    of_bytes: float = 0
    of_halves: float = 0

    def seconds(self, card: Card) -> float:
        """The longest of the four, as if they overlapped and nothing else cost time."""
        on_tensor_cores = max(self.of_bytes / card.byte_peak, self.of_halves / card.half_peak)
        return max(self.bytes / card.bandwidth, self.operations / card.peak, on_tensor_cores)


@dataclass(frozen=True)
class Layer:
    """A 3 x 3 convolution that keeps the size, its BatchNorm and its neurons."""

    timesteps: int = 4
    samples: int = 32
    size: int = 32
    inputs: int = 64
    outputs: int = 64
    spikes: bool = True  # what goes in: bytes, else float32

    @property
    def pixels(self) -> int:
        """Of all images at all timesteps."""
        return self.timesteps * self.samples * self.size**2


def kernels(layer: Layer, parameters: int, density: float = DENSITY) -> dict[str, Work]:
    """Return the work of each kernel on a layer; of the optimizer's on all parameters."""
    e = layer.pixels * layer.outputs  # entries that leave the convolution
    i = layer.pixels * layer.inputs
    t = layer.timesteps
    byte = 1 if layer.spikes else 4
    product = 2 * 9 * i * layer.outputs
    events, weights = density * i, 9 * layer.inputs * layer.outputs
    return {
        "gather_columns": Work(byte * i + 4 * 9 * i, 9 * i),
        "product of matrices (cuBLAS)": Work(4 * 9 * i + 4 * e, product),
        "gather_gradients": Work(4 * e + 4 * 9 * e, 9 * e),
        "halves_split": Work(8 * e + 8 * weights, 10 * e),
        "halves_backward_input": Work(4 * e + 4 * weights + 4 * i, 0, 0, 3 * product),
        "compact_events": Work(i + 4 * events + 4 * layer.pixels, 2 * i),
        "conv_events": Work(4 * events + 4 * e, 2 * 9 * events * layer.outputs),
        "conv_events_weight": Work(4 * events + 4 * e, 2 * 9 * events * layer.outputs),
        "exact_pack": Work(8 * weights, 15 * weights),
        "exact_mma": Work(i + 4 * weights + 4 * e, 0, 4 * product),
        "exact_sums": Work(i + 4 * weights + 4 * e, 2 * 9 * events * layer.outputs),
        "exact_gradient_digits": Work(8 * e, 18 * e),  # what wrote the gradient has found the largest
        "exact_gradient": Work(i + 4 * e + 20 * weights, 0, 4 * product),
        "bn_moments": Work(4 * e, 3 * e),
        "binned_largest": Work(4 * e, 2 * e),
        "binned_mean": Work(4 * e, 2 * 11 * e),  # in float64, half as many a second
        "binned_moments": Work(4 * e, 2 * 13 * e),
        "bn_forward": Work(8 * e, 3 * e),
        "bn_gradient_sums": Work(8 * e, 5 * e),
        "bn_backward": Work(12 * e, 8 * e),
        "bn_lif_forward": Work(5 * e, 7 * e),
        "bn_lif_backward_sums": Work(8 * e, 30 * e),
        "bn_lif_backward_gx": Work(12 * e, 34 * e),
        "second gradient of spikes": Work(4 * e, e),  # read by the kernel of their neuron, and added
        "lif_forward": Work(5 * e + 4 * e / t, 4 * e),
        "lif_backward": Work(12 * e + 4 * e / t, 25 * e),
        "mlif_forward (spikes)": Work(2 * e + 4 * e / t, 6 * e),
        "mlif_backward (spikes)": Work(9 * e + 4 * e / t, 30 * e),
        "max_pool_forward (spikes)": Work(1.25 * e, e),
        "max_pool_backward (spikes)": Work(1.25 * e + e + 4 * e, 4 * e),
        "sew_add": Work(3 * e, e),
        "count_spikes": Work(e, e),
        "check_finite": Work(8 * parameters, 2 * parameters),
        "adam_step": Work(28 * parameters, 12 * parameters),
        "sgd_step": Work(20 * parameters, 4 * parameters),
    }


def cached_bytes(layer: Layer, density: float = DENSITY) -> float:
    """Return the bytes of weights that conv_events reads through the caches: a row of them an event and tap."""
    return 9 * density * layer.pixels * layer.inputs * 4 * layer.outputs


NORM_STEP = {
    "bn_moments": 1,
    "bn_lif_forward": 1,
    "count_spikes": 1,
    "bn_lif_backward_sums": 1,
    "bn_lif_backward_gx": 1,
}
CONV_STEP = {
    # launches of a kernel for one ConvBNLIF in a training step, in float32 arithmetic with SNNCORE_TENSOR_CORES=on
    "exact_pack": 1,
    "exact_mma": 1,
    "exact_gradient_digits": 1,
    "exact_gradient": 1,
    "halves_split": 1,
    "halves_backward_input": 1,
    **NORM_STEP,
}
# of analog input: no gradient of it is wanted; forward and for the weights, columns and products of matrices
FIRST_STEP = {"gather_columns": 2, "product of matrices (cuBLAS)": 2, **NORM_STEP}
MLIF_STEP = {"mlif_forward (spikes)": 1, "count_spikes": 1, "mlif_backward (spikes)": 1}


def step_work(config: MISNetConfig, samples: int, parameters: int) -> dict[str, Work]:
    """Return the work of one training step of the paper's network, summed by kernel."""
    total: dict[str, Work] = {}

    def add(layer: Layer, launches: dict[str, int]) -> None:
        work = kernels(layer, parameters)
        for name, times in launches.items():
            before = total.get(name, Work(0, 0))
            total[name] = Work(*(a + times * b for a, b in zip(before, work[name], strict=True)))

    size, before = config.size, {"a": config.audio_channels, "v": config.visual_channels}
    for stage, (channels, cells) in enumerate(zip(config.stage_channels, config.stage_cells, strict=True)):
        for inputs in before.values():
            entry = Layer(config.timesteps, samples, size, inputs, channels, spikes=stage > 0)
            add(entry, CONV_STEP if stage else FIRST_STEP)
            inner = Layer(config.timesteps, samples, size, channels, channels)
            for _ in range(cells):
                if config.sew != "off":
                    add(inner, CONV_STEP)
                    add(inner, CONV_STEP)
                    add(inner, {"sew_add": 1, "second gradient of spikes": 1})
                add(inner, MLIF_STEP)
            add(inner, {"max_pool_forward (spikes)": 1, "max_pool_backward (spikes)": 1})
        size, before = size // 2, dict.fromkeys(before, channels)
    add(Layer(), {"check_finite": 1, "adam_step": 1})
    return total


def table(work: dict[str, Work], card: Card) -> str:
    """A row a kernel, in Markdown."""
    rows = ["| kernel | MB | million operations | operations a byte | at least, us | bound by |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | --- |")
    for name, w in work.items():
        bound = "memory" if w.bytes / card.bandwidth >= w.seconds(card) else "arithmetic"
        operations = w.operations + w.of_bytes + w.of_halves
        rows.append(
            f"| {name} | {w.bytes / 1e6:,.1f} | {operations / 1e6:,.1f} | {operations / w.bytes:.2f} | "
            f"{1e6 * w.seconds(card):,.1f} | {bound} |"
        )
    return "\n".join(rows)


def report(card: Card, layer: Layer, config: MISNetConfig, parameters: int) -> str:
    """Return what is printed: a layer, then a whole step."""
    of_step = step_work(config, layer.samples, parameters)
    seconds = sum(w.seconds(card) for w in of_step.values())
    rate = layer.samples / seconds
    return (
        f"{card.bandwidth / 1e12:g} TB/s and {card.peak / 1e12:g} TFLOP/s; one layer: T={layer.timesteps}, "
        f"N={layer.samples}, {layer.size} x {layer.size}, {layer.inputs} to {layer.outputs} channels, "
        f"density of spikes {DENSITY:g}; {parameters:,} parameters\n\n{table(kernels(layer, parameters), card)}\n\n"
        f"Through the caches conv_events reads another {cached_bytes(layer) / 1e6:,.0f} MB of weights, and\n"
        "conv_events_weight reads and writes as much in shared memory; no maker prints their bandwidth.\n\n"
        f"One training step of MISNet-{config.variant} (T={config.timesteps}, N={layer.samples}, {config.size} x "
        f"{config.size}), by kernel: at least {1e3 * seconds:.1f} ms, {rate:,.0f} samples a second\n\n"
        f"{table(of_step, card)}"
    )


def main() -> None:
    """Print the tables."""
    from misnet.models.misnet.model import MISNet

    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--card", choices=tuple(CARDS), default="h100", help="whose figures to use (default: h100)")
    parser.add_argument("--bandwidth", type=float, metavar="TB/s", help="instead of the card's")
    parser.add_argument("--peak", type=float, metavar="TFLOP/s", help="instead of the card's")
    parser.add_argument("--batch-size", type=int, default=32, help="samples (default: 32)")
    parser.add_argument("--variant", choices=("XS", "S", "L", "XL"), default="S", help="of the network (default: S)")
    parser.add_argument("--size", type=int, default=32, help="pixels (default: 32)")
    args = parser.parse_args()
    numbers = {"bandwidth": args.bandwidth, "peak": args.peak, "batch_size": args.batch_size, "size": args.size}
    for name, value in numbers.items():
        if value is not None and not value > 0:
            raise UsageError(f"--{name.replace('_', '-')}: expected a positive number, found {value}")
    card = CARDS[args.card]
    card = Card(
        card.bandwidth if args.bandwidth is None else 1e12 * args.bandwidth,
        card.peak if args.peak is None else 1e12 * args.peak,
        card.byte_peak,
        card.half_peak,
    )
    config = MISNetConfig(variant=args.variant, size=args.size)
    layer = Layer(samples=args.batch_size, size=args.size)
    print(report(card, layer, config, MISNet(config).count_parameters()))


if __name__ == "__main__":
    run_tool(main)
