"""Say which kernels a training step spends its time in, on a card.

step: one step under PyTorch's profiler, which sees every kernel of the process; a row a kernel, the slowest first.
mark: run each kernel of a layer once between marks, for `ncu --profile-from-start off`.
table: the rows that `ncu --csv --page raw --print-units base` wrote, as a table.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import csv
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from misnet.models.misnet.config import MISNetConfig
from misnet.tools.gpu_steps import WARM_UP, median_ms, our_run
from misnet.tools.naming import Parser
from misnet.tools.toolkit import UsageError, add_device_options, device_from, run_tool
from snncore.backend import BackendError, cupy_module

METRICS = {  # of ncu: name to heading; `--metrics` takes the names
    "gpu__time_duration.sum": "us",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "SM %",
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed": "DRAM %",
    "lts__throughput.avg.pct_of_peak_sustained_elapsed": "L2 %",
    "l1tex__throughput.avg.pct_of_peak_sustained_active": "L1 %",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "warps %",
    "smsp__issue_active.avg.pct_of_peak_sustained_active": "issue %",
    "smsp__inst_executed.sum": "M inst.",
    "dram__bytes_read.sum": "MB read",
    "dram__bytes_write.sum": "MB written",
    "launch__registers_per_thread": "regs",
    "launch__grid_size": "blocks",
    "launch__block_size": "threads",
}
UNITS = {"nsecond": 1e-3, "ns": 1e-3, "usecond": 1.0, "us": 1.0, "msecond": 1e3, "ms": 1e3}
UNITS |= {"byte": 1e-6, "Kbyte": 1e-3, "Mbyte": 1.0, "Gbyte": 1e3, "inst": 1e-6}


def short(name: str) -> str:
    """A kernel's name without what templates and arguments add."""
    name = re.sub(r"^void ", "", name)
    return re.sub(r"[<(].*", "", name)[:64] if not name.startswith("cupy") else name[:64]


def traced(run: Callable[[], Any]) -> list[dict[str, Any]]:
    """Return the events of the device while `run` runs, as PyTorch's profiler writes them into a Chrome trace."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.ones(1, device="cuda").sum().item()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    return [e for e in events if str(e.get("cat", "")) in ("kernel", "gpu_memcpy", "gpu_memset") and "dur" in e]


def step_table(events: Iterable[dict[str, Any]], wall_ms: float) -> str:
    """A row a kernel, by time; above, how long the device worked and how long it waited."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        groups[short(event["name"])].append(event)
    every = [e for group in groups.values() for e in group]
    if not every:
        return "the profiler saw no kernel"
    busy = sum(e["dur"] for e in every)
    span = max(e["ts"] + e["dur"] for e in every) - min(e["ts"] for e in every)
    lines = [
        f"{len(every)} launches and copies; the device worked {busy / 1e3:.2f} ms of {span / 1e3:.2f} ms from first to "
        f"last; without the profiler a step takes {wall_ms:.2f} ms",
        f"{'kernel':<64} {'times':>5} {'us':>9} {'share':>6} {'us each':>8} {'longest':>8}  grid, block, registers",
    ]
    for name, group in sorted(groups.items(), key=lambda item: -sum(e["dur"] for e in item[1])):
        total, worst = sum(e["dur"] for e in group), max(group, key=lambda e: e["dur"])
        a = worst.get("args", {})
        shape = f"{a.get('grid', '')} {a.get('block', '')} {a.get('registers per thread', '')}"
        lines.append(
            f"{name:<64} {len(group):>5} {total:>9.1f} {100 * total / busy:>5.1f}% {total / len(group):>8.1f} "
            f"{worst['dur']:>8.1f}  {shape}"
        )
    return "\n".join(lines)


def ncu_table(path: Path) -> str:
    """A row a launch from the file of `ncu --csv --page raw`; UsageError if it holds none."""
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(lines))
    if not rows or "Kernel Name" not in rows[0]:
        raise UsageError(f"{path}: expected what ncu --csv --page raw writes, found no row of a kernel")
    units, *kernels = rows
    names = [name for name in METRICS if name in units]
    out = [f"{'kernel':<44}" + "".join(f"{METRICS[name]:>11}" for name in names)]
    for kernel in kernels:
        cells = []
        for name in names:
            try:
                value = float(kernel[name].replace(",", "")) * UNITS.get(units[name] or "", 1.0)
                cells.append(f"{value:>11,.1f}")
            except ValueError:
                cells.append(f"{kernel[name]:>11}")
        out.append(f"{short(kernel['Kernel Name'])[:44]:<44}" + "".join(cells))
    return "\n".join(out)


def device_of(options: dict[str, Any]) -> str:
    """Take the device; there is nothing to profile on the CPU."""
    device = device_from({"device": "cuda"} | options)
    if device == "cpu":
        raise BackendError("--device: kernels of a GPU are profiled; expected cuda or cuda:<index>, found cpu")
    return device


def main() -> None:
    """Run what was asked for and print it."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("step", "mark", "table", "metrics"), help="metrics: the names that ncu takes")
    parser.add_argument("file", type=Path, nargs="?", help="for table: what ncu wrote")
    parser.add_argument("--variant", choices=("XS", "S", "L", "XL"), default="S", help="of the network (default: S)")
    parser.add_argument("--size", type=int, default=32, help="pixels (default: 32)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples (default: 32)")
    parser.add_argument("--infer", action="store_true", help="for step: inference in place of training")
    add_device_options(parser)
    options = vars(parser.parse_args())
    what = options["what"]
    if what == "metrics":
        print(",".join(METRICS))
    elif what == "table":
        if options["file"] is None:
            raise UsageError("table: expected the file that ncu wrote")
        print(ncu_table(options["file"]))
    elif what == "mark":
        mark(device_of(options))
    else:
        device = device_of(options)
        if find_spec("torch") is None:
            raise BackendError("step: PyTorch's profiler is asked for the times, but torch is not installed")
        run = our_run(MISNetConfig(variant=options["variant"], size=options["size"]), options["batch_size"], device)
        chosen = run.infer if options["infer"] else run.train
        wall = median_ms(chosen, 10)
        traced(chosen)  # the first use of the profiler is slow
        print(step_table(traced(chosen), wall))


def mark(device: str) -> None:
    """Run every kernel of a layer between marks, after they were compiled."""
    from cupyx.profiler import profile

    from misnet.tools.gpu_timings import buffers, calls
    from misnet.tools.roofline import Layer

    cupy = cupy_module()
    runs = calls(buffers(Layer(), device))
    for _ in range(WARM_UP):
        for run in runs.values():
            run()
    cupy.cuda.Device().synchronize()
    with profile():
        for run in runs.values():
            run()
        cupy.cuda.Device().synchronize()


if __name__ == "__main__":
    run_tool(main)
