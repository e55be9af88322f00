"""Our network beside the same one in PyTorch over sizes of the problem: time of a sample, ratio and memory, drawn.

    python -m misnet.tools.benchmarks.sizes --csv sizes.csv --picture sizes.png
    python -m misnet.tools.benchmarks.sizes --axes channels --earlier sizes.csv --csv all.csv --picture sizes.png

One axis is varied at a time: samples of a batch, timesteps, pixels, channels, threads. Needs the extra `peers`.
Each point is a MISNet on `dialpad` with fresh weights, whose biases are shifted until its convolutions get spikes of a
given density. Programs run in processes of their own and take turns. Times are the processor's, which other programs
disturb little; where threads are varied they are the clock's. The peer is eager PyTorch with SpikingJelly in the faster
of its two memory formats, for training and for inference. `--compile` adds it behind `torch.compile`, which needs a
compiler of C++ and takes minutes for each point before anything is timed.
"""

import argparse
import csv
import io
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from misnet.datasets import BatchIterator, DataError
from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.pictures import format_of
from misnet.tools.bench import check_peer
from misnet.tools.benchmarks.size_picture import LINES, RATIOS, draw
from misnet.tools.benchmarks.turns import Worker, write_network
from misnet.tools.naming import Parser
from misnet.tools.outputs import check_outputs, picture_file
from misnet.tools.settings import check_settings
from misnet.tools.toolkit import load_split, run_tool
from snncore.files import replace_file
from snncore.nearest import one_of

__all__ = ["AXES", "main", "make_parser", "measure", "row_of"]

POINT = {"batch": 8, "timesteps": 4, "size": 8, "channels": (64, 128, 256), "threads": 1}
"""What is not varied. MISNet-S has these channels."""
AXES: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "batch": ({}, (1, 2, 4, 8, 16, 32, 64, 128)),
    "timesteps": ({}, (1, 2, 4, 8, 16, 32)),
    "size": ({"batch": 2}, (8, 16, 32, 64, 128)),
    "channels": ({"size": 16, "batch": 4}, ((32,) * 3, (64,) * 3, (128,) * 3, (256,) * 3, (512,) * 3)),
    "threads": ({"size": 32}, (1, 2)),
}
"""By name: what else than POINT holds along it, and its values."""
CELLS = (1, 2, 2)
LARGEST = 64  # height and width up to which `dialpad` has images
MODES = ("infer", "train")
FORMATS = ("contiguous_format", "channels_last")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", default=",".join(AXES), help=f"which are varied (default: {','.join(AXES)})")
    parser.add_argument("--steps", type=int, default=3, help="counted steps of each program (default: 3)")
    parser.add_argument("--density", type=float, default=0.15, metavar="D", help="of the spikes (default: 0.15)")
    parser.add_argument("--quick", action="store_true", help="every second value of an axis")
    parser.add_argument(
        "--compile", action="store_true", help="also time the peer behind torch.compile (minutes a point)"
    )
    parser.add_argument(
        "--earlier", type=Path, metavar="FILE", help="a CSV of an earlier run, whose figures come first"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures of every point")
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help="draw them into a picture")
    return parser


def measure(point: dict[str, Any], density: float, steps: int, compiled: bool = False) -> dict[str, Any]:
    """Return the times of a step of each program at a point, in seconds by `ours infer` and so on, and their memory.

    point: as POINT. A figure is the median of `steps` steps, after one that is not counted. compiled: also of the peer
    behind `torch.compile`, by `compiled infer` and `compiled train`.
    """
    from misnet.tools.benchmarks.ours import shift_to_density  # imports the kernels, which may have to be compiled

    config = MISNetConfig(
        variant="S",
        timesteps=point["timesteps"],
        size=point["size"],
        channels=point["channels"],
        cells=CELLS,
        visual_channels=1,
    )
    check_peer(config)
    model = MISNet(config)
    times = max(1, config.size // LARGEST)  # how often a pixel is repeated along each side
    data = load_split("train", check_settings({}), config.size // times, config.timesteps)
    *streams, labels = next(BatchIterator(data, point["batch"]).epoch(0))
    batch = (*(x.repeat(times, axis=2).repeat(times, axis=3) for x in streams), labels)  # [T, N, H, W, C]
    shift_to_density(model, batch, density)
    with tempfile.TemporaryDirectory() as name:
        spec = write_network(Path(name), model, batch, peer=True) | {"threads": point["threads"], "mode": "train"}
        compiling = Worker("first", spec | {"kind": "ours"})  # not measured: the compiler takes memory, too
        for mode in MODES:
            compiling.ask(mode)
        compiling.ask("finish")
        workers = [Worker("ours", spec | {"kind": "ours"})]
        for layout in FORMATS:
            workers.append(Worker(layout, spec | {"kind": "peer", "format": layout, "compiled": False}))
        if compiled:
            workers.append(Worker("compiled", spec | {"kind": "peer", "format": "channels_last", "compiled": True}))
        clock = "seconds" if point["threads"] > 1 or point.get("by_clock") else "processor_s"
        found: dict[str, Any] = {}
        for mode in MODES:
            times: dict[str, list[float]] = {worker.label: [] for worker in workers}
            for turn in range(steps + 1):
                for worker in workers:
                    answer = worker.ask(mode)
                    if turn:
                        times[worker.label].append(answer[clock])
            medians = {label: statistics.median(x) for label, x in times.items()}
            found |= {f"ours {mode}": medians["ours"], f"peer {mode}": min(medians[x] for x in FORMATS)}
            if compiled:
                found[f"compiled {mode}"] = medians["compiled"]
        peaks = {worker.label: worker.ask("finish")["peak_mib"] for worker in workers}
        return found | {"ours MiB": peaks["ours"], "peer MiB": min(peaks[x] for x in FORMATS)}


def row_of(axis: str, value: Any, point: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table: the point, milliseconds of a sample, and ratios of the peer to us."""
    row = {"axis": axis, "value": value[0] if isinstance(value, tuple) else value, "batch": point["batch"]}
    for mode in MODES:
        for who in ("ours", "peer"):
            row[f"{who}_{mode}_ms"] = round(1e3 * found[f"{who} {mode}"] / point["batch"], 4)
        row[f"{mode}_ratio"] = round(found[f"peer {mode}"] / found[f"ours {mode}"], 3)
    for mode in MODES:
        if (seconds := found.get(f"compiled {mode}")) is not None:
            row[f"compiled_{mode}_ms"] = round(1e3 * seconds / point["batch"], 4)
            row[f"compiled_{mode}_ratio"] = round(seconds / found[f"ours {mode}"], 3)
    row |= {"ours_mib": round(found["ours MiB"], 1), "peer_mib": round(found["peer MiB"], 1)}
    return row | {"memory_ratio": round(found["peer MiB"] / max(1.0, found["ours MiB"]), 2)}


def read_value(key: str, text: str) -> Any:
    """Return what an entry of the CSV says; raises ValueError if it is no number."""
    return text if key == "axis" else int(text) if text.isdecimal() else float(text)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows that `--csv` wrote; raises DataError for a file that is not of that kind."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        rows = [{key: read_value(key, text) for key, text in x.items() if text != ""} for x in lines]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, csv.Error):  # no text, no number, a line too short or too long
        raise DataError(f"{path}: expected the CSV of this benchmark, found something else") from None
    needed = {"axis", "value"} | {key for key, *_ in (*LINES, *RATIOS) if not key.startswith("compiled")}
    if not rows or not all(needed <= row.keys() for row in rows) or not {row["axis"] for row in rows} <= AXES.keys():
        raise DataError(f"{path}: expected the CSV of this benchmark, found other columns or axes")
    return rows


def main() -> int:
    """Measure, print and write, after every point."""
    args = (parser := make_parser()).parse_args()
    names = args.axes.split(",")
    for name in names:
        if name not in AXES:
            parser.error(f"--axes: {one_of(name, AXES)}")
    if args.steps < 1:
        parser.error(f"--steps: expected at least 1, found {args.steps}")
    if not 0 < args.density < 1:
        parser.error(f"--density: expected a number between 0 and 1, found {args.density}")
    check_outputs(vars(args))
    points = []
    for name in names:
        held, values = AXES[name]
        values = values[:: 2 if args.quick else 1]
        points += [(name, v, POINT | held | {name: v} | {"by_clock": name == "threads"}) for v in values]
    rows = read_rows(args.earlier) if args.earlier else []
    before = len(rows)
    for name, value, point in tqdm(points, unit="point", leave=False, disable=None):
        rows.append(row_of(name, value, point, measure(point, args.density, args.steps, args.compile)))
        if len(rows) == before + 1:
            print(" ".join(f"{key:>14}" for key in rows[0]))
        print(" ".join(f"{x:>{max(14, len(key))}}" for key, x in rows[-1].items()), flush=True)
        if args.csv:
            text = io.StringIO()
            keys = dict.fromkeys(key for row in rows for key in row)  # not every run may have timed torch.compile
            writer = csv.DictWriter(text, list(keys), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            replace_file(args.csv, text.getvalue().encode())
    if args.picture:
        replace_file(args.picture, draw(rows, format_of(args.picture)))
    return 0


if __name__ == "__main__":
    run_tool(main)
