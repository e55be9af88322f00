"""Try the CUDA path on the card that is here: one command, a few minutes, and a report file that can be sent back.

Every kernel against the reference, training steps against the CPU's, the same bits twice over, the time of every kernel
and of a whole step beside what the card does at best. Exit status 0 if all checks passed, 1 if one did not, 2 if there
is no card.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import snncore
from misnet.models.misnet.config import MISNetConfig
from misnet.tools.gpu_checks import Outcome, first_line, guarded, kernel_checks, other_ways, small_config, step_checks
from misnet.tools.gpu_real import gradient_checks, other_checks, real_checks, spike_check
from misnet.tools.gpu_timings import SETS, Clock, Timing, kernel_timings, measured_card, step_timing
from misnet.tools.naming import Parser
from misnet.tools.roofline import Layer
from misnet.tools.toolkit import UsageError, add_device_options, device_from, run_tool
from misnet.training.recording import peak_memory_mib
from snncore.backend import BackendError, cupy_module
from snncore.files import replace_file
from snncore.kernels.choice import ARITHMETICS


def describe_machine(cupy: Any, index: int) -> str:
    """Return the card, the driver and the versions that matter."""
    runtime = cupy.cuda.runtime
    card = runtime.getDeviceProperties(index)
    return (
        f"{card['name'].decode()}, {card['multiProcessorCount']} multiprocessors, "
        f"{card['totalGlobalMem'] / 2**30:.1f} GiB; driver {runtime.driverGetVersion()}, "
        f"runtime {runtime.runtimeGetVersion()}\n"
        f"CuPy {cupy.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
        f"snncore {snncore.__version__}, TF32 off"
    )


def check_lines(outcomes: list[Outcome]) -> str:
    """A line a check."""
    return "\n".join(f"{'pass' if o.passed else 'FAIL'}  {o.name}: {o.detail}" for o in outcomes)


def timing_lines(timings: list[Timing]) -> str:
    """A line a timing."""
    lines = [f"{'':<58} {'us':>10} {'at least':>10} {'of it':>7}"]
    for t in timings:
        share = 100 * t.least / max(t.microseconds, 1e-9)
        lines.append(f"{t.name:<58} {t.microseconds:>10.1f} {t.least:>10.1f} {share:>6.1f}%")
    return "\n".join(lines)


def timing_parts(cupy: Any, layer: Layer, device: str, quick: bool) -> Iterator[str]:
    """What the card does at best, then every kernel and whole steps beside that."""
    clock = Clock(cupy, 64, 1, 2) if quick else Clock(cupy, 4096)
    card = measured_card(clock, 1 if quick else 1024)
    yield f"measured: copy {card.bandwidth / 1e9:,.0f} GB/s, product of matrices {card.peak / 1e9:,.0f} GFLOP/s"
    yield timing_lines(kernel_timings(clock, card, layer, device, *((2, 5000) if quick else (SETS,))))
    configs = [MISNetConfig(variant="XS", channels=(4, 4), cells=(1, 1), size=4, timesteps=2)]
    if not quick:
        configs = [MISNetConfig(variant=variant) for variant in ("XS", "S")]
    samples, repeats = (2, 1) if quick else (32, 10)
    yield timing_lines([step_timing(card, config, samples, device, repeats) for config in configs])


def main() -> int:
    """Run everything, print it and write it; returns the exit status."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("gpu_selftest.txt"),
        metavar="FILE",
        help="report to write (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: checks as before, timings that say little")
    parser.add_argument("--no-timings", action="store_true", help="checks only, as under compute-sanitizer")
    parser.add_argument(
        "--no-pool",
        action="store_true",
        help="allocate every array by itself: compute-sanitizer cannot see a write beyond an array inside a pool",
    )
    add_device_options(parser)
    options = vars(parser.parse_args())
    if options.get("tf32"):
        raise UsageError("--tf32: the checks need products of whole float32 numbers")
    device = device_from({"device": "cuda"} | options)
    if device == "cpu":
        raise BackendError("--device: there is nothing to test on the CPU; expected cuda or cuda:<index>, found cpu")
    cupy, quick, started = cupy_module(), options["quick"], time.perf_counter()
    parts = [describe_machine(cupy, int(device.partition(":")[2]))]
    print(parts[0], flush=True)

    def add(text: str) -> None:
        parts.append(text)
        print(f"\n{text}", flush=True)

    if options["no_pool"]:
        cupy.cuda.set_allocator(None)
    layer = Layer(2, 2, 4, 8, 8) if quick else Layer()
    outcomes = kernel_checks(device) + other_ways(device)
    for choice in ARITHMETICS:
        sizes = {"samples": 2, "steps": 2} if quick else {}
        try:
            outcomes += step_checks(device, choice=choice, **sizes)
        except Exception as error:  # the checks after it still run
            said = f"{type(error).__name__}: {first_line(error)}"
            outcomes.append(Outcome(f"training steps, {choice}", False, said))
    add(check_lines(outcomes))
    more = [*real_checks(layer, device), *gradient_checks(layer, device)]
    more += other_checks(device, 5000 if quick else 7_000_001)
    network, samples = (small_config(), 2) if quick else (MISNetConfig(size=16), 8)
    for choice in ARITHMETICS:
        name = f"spikes as on the CPU, {choice}"
        more.append(guarded(name, lambda c=choice: spike_check(network, samples, device, c)))  # type: ignore[misc]
    add(check_lines(more))
    outcomes += more
    if not options["no_timings"]:
        for text in timing_parts(cupy, layer, device, quick):
            add(text)
    failed = sum(not o.passed for o in outcomes)
    add(
        f"{len(outcomes) - failed} checks passed, {failed} failed; most memory {peak_memory_mib(device):,.0f} MiB; "
        f"{time.perf_counter() - started:.0f} s"
    )
    replace_file(options["output"], ("\n\n".join(parts) + "\n").encode())
    print(f"report: {options['output']}")
    return 1 if failed else 0


if __name__ == "__main__":
    run_tool(main)
