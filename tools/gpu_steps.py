"""Time whole training steps and inference on a card: this engine's, the host's share of them, and PyTorch's.

Both sides take the same network, batch size, soft reset and optimizer (Adam), have their inputs on the card, and read
the loss once a step; the time is the median of the steps on the host's clock. PyTorch runs with and without TF32, each
in both layouts of memory, launched kernel by kernel and as a CUDA graph. With --cuda-graph on, steps and evaluation of
this engine alone are timed, launched kernel by kernel and as a recorded graph, and what they leave is compared to the
bit. With --gradients, convolutions' gradients by cuBLAS and on tensor cores: those of inputs by layer, and whole steps
in turns, launched or (--cuda-graph on) as graphs.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.tools.gpu_checks import batches
from misnet.tools.naming import Parser
from misnet.tools.toolkit import DATA, UsageError, add_device_options, add_graph_option, device_from, run_tool
from misnet.training.graphed import GraphedSteps
from misnet.training.graphed_passes import GraphedPasses
from misnet.training.step import Totals, evaluate, predict, train_step
from snncore import tally, to_device
from snncore.backend import BackendError, asnumpy, cupy_module
from snncore.optim import OPTIMIZERS
from snncore.recorded_memory import free_shared, peak_bytes, pool_bytes

WARM_UP = 3
CASES = "32x32,32x128,128x32"


class Case(NamedTuple):
    """Pixels of a side and samples of a batch."""

    size: int
    samples: int


class Run(NamedTuple):
    """What can be timed: a training step, inference, and the batches that it takes turns with."""

    train: Callable[[], Any]
    infer: Callable[[], Any]


def our_run(config: MISNetConfig, samples: int, device: str) -> Run:
    """Return this engine's step on two batches in turn."""
    model = MISNet(config).to(device)
    optimizer = OPTIMIZERS["adam"](model.named_parameters(), 1e-3)
    data = [tuple(to_device(x, device) for x in batch) for batch in batches(config, samples, 2)]
    done = [0]

    def train() -> float:
        done[0] += 1
        return train_step(model, optimizer, 1e-3, data[done[0] % 2], Totals(), done[0])

    def infer() -> Any:
        done[0] += 1
        return predict(model, *data[done[0] % 2][:2]).p.data.get()

    return Run(train, infer)


def graph_lines(config: MISNetConfig, samples: int, device: str, repeats: int) -> tuple[list[str], bool]:
    """Train the same network launched kernel by kernel and by a recorded graph: the times, and whether bits agree."""
    data = [tuple(to_device(x, device) for x in batch) for batch in batches(config, samples, 2)]
    lines, ends, times = [], [], {}
    for name in ("launched", "graph"):
        free_shared()
        peak_bytes(anew=True)
        model, said = MISNet(config, seed=1).to(device), []
        optimizer, totals = OPTIMIZERS["adam"](model.named_parameters(), 1e-3), Totals()
        step = GraphedSteps(model, optimizer, said.append).step if name == "graph" else None
        spans = []
        for k in range(repeats + WARM_UP + 1):
            lr = 1e-3 / (1 + k)
            start = time.perf_counter()
            if step is None:
                train_step(model, optimizer, lr, data[k % 2], totals, k)
            else:
                step(lr, data[k % 2], totals, k)
            spans.append(time.perf_counter() - start)
        times[name] = 1e3 * float(np.median(spans[WARM_UP + 1 :]))
        state = {f"model/{key}": asnumpy(x) for key, x in model.state_dict().items()}
        state |= {f"optimizer/{key}": asnumpy(x) for key, x in optimizer.state_dict().items()}
        ends.append((state, totals))
        lines += said
        after = cupy_module().get_default_memory_pool().total_bytes() + pool_bytes()
        peak = peak_bytes(anew=True)
        case = f"{config.variant} {config.size}x{config.size} N={samples}"
        first = " ".join(f"{1e3 * x:.0f}" for x in spans[: WARM_UP + 1])
        lines.append(
            f"{name:<22} {case:<18} train {times[name]:9.2f} ms ({1e3 * samples / times[name]:8,.0f} samples/s)  "
            f"first steps {first} ms, pools at most {peak / 2**30:.2f} GiB, at the end {after / 2**30:.2f}"
        )
        del model, optimizer, step
        gc.collect()
    (one, counted), (other, counted_again) = ends
    wrong = [key for key, x in one.items() if x.tobytes() != other[key].tobytes()]
    if counted != counted_again:
        wrong.append("losses and counts")
    said = "every bit the same" if not wrong else f"they differ: {', '.join(wrong[:5])} and {len(wrong[5:])} more"
    lines.append(f"{len(one)} arrays and the counts after {repeats + WARM_UP + 1} steps both ways: {said}")
    return lines, not wrong


def evaluation_lines(config: MISNetConfig, samples: int, device: str, repeats: int) -> tuple[list[str], bool]:
    """Evaluate batches launched one by one and by a recorded graph, in turns: the times, and whether all agrees."""
    model, said = MISNet(config, seed=1).to(device), []
    data = [tuple(to_device(x, device) for x in batch) for batch in batches(config, samples, 2)]
    ways = {"launched": None, "graph": GraphedPasses(model, said.append)}
    spans: dict[str, list[float]] = {name: [] for name in ways}
    totals = {name: Totals() for name in ways}
    for k in range(WARM_UP + repeats):
        for name, passes in ways.items():
            start = time.perf_counter()
            totals[name].join(evaluate(model, [data[k % 2]], device, passes=passes))
            spans[name].append(time.perf_counter() - start)
    ms = {name: 1e3 * float(np.median(found[WARM_UP:])) for name, found in spans.items()}
    same = totals["launched"] == totals["graph"]
    case = f"{config.variant} {config.size}x{config.size} N={samples}"
    line = f"evaluation of a batch  {case:<18} launched {ms['launched']:.2f} ms, graph {ms['graph']:.2f} ms; "
    return [*said, line + ("the same loss and counts" if same else "they differ in loss or counts")], same


def median_ms(run: Callable[[], Any], repeats: int) -> float:
    """Return the median milliseconds of a call that ends when the host has read its result."""
    for _ in range(WARM_UP):
        run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return 1e3 * float(np.median(seconds))


def host_ms(train: Callable[[], Any], repeats: int) -> float:
    """Return the median milliseconds that the host takes to launch a step: until it begins to read the numbers."""
    read, ends, starts = tally.Tally.read, [], []

    def noted(self: tally.Tally) -> Any:
        ends.append(time.perf_counter())
        return read(self)

    tally.Tally.read = noted  # type: ignore[method-assign]
    try:
        for _ in range(repeats + 1):
            starts.append(time.perf_counter())
            train()
    finally:
        tally.Tally.read = read  # type: ignore[method-assign]
    return 1e3 * float(np.median(np.array(ends[1:]) - starts[1:]))


def our_line(cupy: Any, config: MISNetConfig, samples: int, device: str, repeats: int) -> str:
    """Time one case of ours."""
    run = our_run(config, samples, device)
    train, host = median_ms(run.train, repeats), host_ms(run.train, repeats)
    infer, pool = median_ms(run.infer, repeats), cupy.get_default_memory_pool()
    line = row("ours", config, samples, train, infer, f"host {host:.2f} ms, pool {pool.total_bytes() / 2**30:.1f} GiB")
    del run
    gc.collect()
    pool.free_all_blocks()
    return line


def row(name: str, config: MISNetConfig, samples: int, train: float, infer: float, more: str) -> str:
    """A line of the table."""
    case = f"{config.variant} {config.size}x{config.size} N={samples}"
    return (
        f"{name:<22} {case:<18} train {train:9.2f} ms ({1e3 * samples / train:8,.0f} samples/s)  "
        f"infer {infer:8.2f} ms  {more}"
    )


def cases_of(text: str) -> list[Case]:
    """Read SIZExSAMPLES,...; raises UsageError for anything else."""
    try:
        cases = [Case(*(int(number) for number in case.split("x"))) for case in text.split(",")]
    except (TypeError, ValueError):
        cases = []
    if not cases or any(c.size < 1 or c.samples < 1 for c in cases):
        raise UsageError(f"--cases: expected SIZExSAMPLES,... such as {CASES}, found {text!r}")
    return cases


def main() -> int:
    """Time every case and print a line as soon as it is known."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=("XS", "S", "L", "XL"), default="S", help="of the network (default: S)")
    parser.add_argument("--cases", default=CASES, help=f"SIZExSAMPLES,... (default: {CASES})")
    parser.add_argument("--repeats", type=int, default=10, help="steps that are timed of each (default: 10)")
    parser.add_argument("--no-peer", action="store_true", help="leave PyTorch out")
    parser.add_argument(
        "--gradients",
        action="store_true",
        help="both ways of the gradients of convolutions, and nothing else",
    )
    add_device_options(parser)
    add_graph_option(parser)
    options = vars(parser.parse_args())
    cases = cases_of(options["cases"])
    if options["repeats"] < 1:
        raise UsageError(f"--repeats: expected a positive number, found {options['repeats']}")
    device = device_from({"device": "cuda"} | options)
    if device == "cpu":
        raise BackendError("--device: steps on a GPU are timed; expected cuda or cuda:<index>, found cpu")
    if options["gradients"]:
        from misnet.tools.gpu_gradients import layer_lines, step_line  # which takes clocks from what imports this

        for size, samples in cases:
            config = MISNetConfig(variant=options["variant"], size=size)
            for line in layer_lines(config, samples, device):
                print(line, flush=True)
            graph = options.get("cuda_graph") == "on"
            print(step_line(config, samples, device, options["repeats"], graph), flush=True)
        return 0
    if options.get("cuda_graph") == "on":
        good = True
        for size, samples in cases:
            config = MISNetConfig(variant=options["variant"], size=size)
            lines, same = graph_lines(config, samples, device, options["repeats"])
            print("\n".join(lines), flush=True)
            good &= same
            lines, same = evaluation_lines(config, samples, device, options["repeats"])
            print("\n".join(lines), flush=True)
            good &= same
        return 0 if good else DATA
    for size, samples in cases:
        config = MISNetConfig(variant=options["variant"], size=size)
        print(our_line(cupy_module(), config, samples, device, options["repeats"]), flush=True)
    if not options["no_peer"]:
        from misnet.tools.gpu_peer import peer_lines  # which takes clocks from here

        for size, samples in cases:
            config = MISNetConfig(variant=options["variant"], size=size)
            for line in peer_lines(config, samples, options["repeats"]):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    run_tool(main)
