"""How training would scale to many machines: a step on one and on two ranks, measured here, and a model of the rest.

Measured, on this machine, with one thread a rank: steps of one rank at several batches while another works beside it,
the same on two ranks that mpiexec starts, all-reduces of three sizes, evaluation, and reading the data. From these and
the bandwidth and latency of a network follow steps on 1 to 256 machines (the model: tools/benchmarks/scaling.py), with
one batch shared by all (strong scaling) and with so many samples a rank (weak scaling), and how long evaluation and
prepare.py take (scale_sharing.py). First the model must foretell the steps of two ranks; its error is printed.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import csv
import io
from pathlib import Path
from typing import Any

from misnet.datasets import DataError
from misnet.datasets.prepared.preparing import CHUNK_BYTES, CHUNK_SAMPLES
from misnet.models.options import add_model_options, first_look, split
from misnet.models.registry import DEFAULT
from misnet.pictures import format_of
from misnet.tools.benchmarks import scale_run
from misnet.tools.benchmarks.scale_sharing import Work, project_sharing
from misnet.tools.benchmarks.scale_text import report
from misnet.tools.benchmarks.scaling import GBIT, Link, Measured, all_reduce_seconds, link_of, project
from misnet.tools.naming import Parser
from misnet.tools.networks import new_config
from misnet.tools.outputs import check_outputs, picture_file, write_outputs
from misnet.tools.settings import gather, model_of
from misnet.tools.toolkit import UsageError, add_data_options, run_tool
from misnet.tools.train_ranks import FEW
from snncore.files import json_bytes, text_bytes

RANKS = tuple(2**k for k in range(9))
NETWORKS = (10, 100)  # Gbit/s
OWN = ("batch_size", "rank_batch_size", "steps", "latency", "csv", "json", "picture")
OUTPUTS = ("csv", "json", "picture")
EXAMPLES = (
    ("MISNet-S on the built-in data", "python tools/scale.py --variant S --picture scale.png"),
    (
        "CREMA-D as it is trained",
        "python tools/scale.py --dataset crema-d --data-dir DIR --rank-batch-size 8 --steps 3",
    ),
)


def make_parser(model: str = DEFAULT) -> argparse.ArgumentParser:
    """Return the parser for a model."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, examples=EXAMPLES)
    group = parser.add_argument_group("scaling")
    group.add_argument(
        "--batch-size", type=int, default=256, metavar="N", help="samples a step, of all ranks (default: 256)"
    )
    group.add_argument(
        "--rank-batch-size",
        type=int,
        default=32,
        metavar="N",
        help="samples a step, of each rank, where more ranks take more; the largest that is measured (default: 32)",
    )
    group.add_argument("--steps", type=int, default=5, help="timed steps of each batch (default: 5)")
    group.add_argument(
        "--latency", type=float, default=20.0, metavar="US", help="of the network, in microseconds (default: 20)"
    )
    group.add_argument("--csv", type=Path, metavar="FILE", help="write the projection, a row for each line")
    group.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    group.add_argument(
        "--picture", type=picture_file, metavar="FILE", help="draw samples a second against ranks into a picture"
    )
    add_data_options(parser)
    add_model_options(parser, model)
    return parser


def measured_of(one: dict[str, Any], two: dict[str, Any]) -> Measured:
    """Return what the model starts from. Steps with fewer samples than FEW a rank synchronise their batch norms."""
    compute = {row["samples"]: row["compute_s"] for row in one["steps"]}
    messages = {row["samples"] < FEW: row["messages"] for row in two["steps"]}
    largest = two["steps"][-1]
    either = next(iter(messages.values()))  # a small --rank-batch-size: all that is measured is synchronised
    return Measured(
        compute,
        one["steps"][-1]["data_s_per_sample"],
        FEW,
        {kind: messages.get(kind, either) for kind in (False, True)},
        largest["buckets"],
        largest["room"],
    )


def work_of(one: dict[str, Any], samples: int, batch: int) -> Work:
    """Return what the model of evaluation and of decoding starts from."""
    found, each = one["evaluation"], one["steps"][-1]["data_s_per_sample"]
    ranges = max(1, min(CHUNK_SAMPLES, CHUNK_BYTES // found["sample_bytes"]))
    return Work(samples, batch, found["seconds"], each, found["result_bytes"], found["sample_bytes"], ranges)


def check(measured: Measured, two: dict[str, Any]) -> tuple[Link, list[dict[str, Any]]]:
    """Return the link between two ranks of this machine, and what the model says of what was measured there.

    The link follows from the smallest and the largest all-reduce; neither is checked. Computing is compared in time of
    the processor; steps and exchanges by the clock, with the waiting for the other rank and for other programs.
    """
    small, middle, large = ((x["bytes"], x["seconds"]) for x in two["all_reduce"])
    try:
        link = link_of(small, large)
    except ValueError as error:
        raise DataError(f"the all-reduces are too noisy to measure: {error}; try again on a quieter machine") from None
    rows = [(f"all-reduce of {middle[0]} bytes", all_reduce_seconds(middle[0], 2, link), middle[1])]
    for row in two["steps"]:
        n = row["samples"]
        told = measured.step(n, 2 * n, 2, link)
        rows.append((f"step, {n} samples a rank", told.compute + told.exchange, row["step_s"]))
        rows.append((f"  computing, {n} samples", told.compute, row["compute_s"]))
        rows.append(
            (f"  exchange, {len(row['messages']) + len(row['buckets'])} messages", told.exchange, row["exchange_s"])
        )
    return link, [
        {"what": what, "model_s": model, "measured_s": found, "error": model / found - 1} for what, model, found in rows
    ]


def main() -> None:
    """Measure, project, write and print."""
    args = make_parser(model_of(first_look(None, "config", "resume"))).parse_args()
    others, switches = split(vars(args))
    given = {name: value for name, value in others.items() if name not in OWN}
    for name, least in (("batch_size", 1), ("rank_batch_size", 2), ("steps", 1)):
        if (value := getattr(args, name)) < least:
            raise UsageError(f"--{name.replace('_', '-')}: expected at least {least}, found {value}")
    if not 0 <= args.latency < 1e6:
        raise UsageError(f"--latency: expected microseconds from 0 to a million, found {args.latency:g}")
    check_outputs(vars(args))
    mpiexec = scale_run.find_mpiexec()
    choice = gather(given, switches)
    config, (data,) = new_config(choice.model, choice.switches, choice.given, choice.settings, "train")
    most = args.rank_batch_size
    if len(data) < 2 * most:
        raise UsageError(f"--rank-batch-size: expected at most {len(data) // 2}, half the samples, found {most}")
    spec = {"given": given, "switches": switches, "steps": args.steps}
    sizes = sorted({most, most // 2, *(2**k for k in range(most.bit_length()) if 2**k <= most)})
    one = scale_run.measure_side_by_side(spec | {"ranks": 1, "totals": sizes})
    totals = sorted({2 * (most // 2), 2 * most, 2 * min(most, 8)})
    two = scale_run.measure([mpiexec, "-n", "2"], spec | {"ranks": 2, "totals": totals})
    measured = measured_of(one, two)
    link, checks = check(measured, two)
    rows, shared, work = [], [], work_of(one, len(data), most)
    for speed in NETWORKS:
        network = Link(speed * GBIT, args.latency * 1e-6)
        shared += project_sharing(work, RANKS, network)
        rows += project(measured, RANKS, network, batch=args.batch_size, each=most)
    result = {
        "network": f"{config.title}, T={config.timesteps}, size {config.size}, {data.name}",
        "gradient_bytes": two["gradient_bytes"],
        "latency_s": args.latency * 1e-6,
        "measured": {"one_rank": one, "two_ranks": two},
        "link_here": {"bandwidth_bytes_per_s": link.bandwidth, "latency_s": link.latency},
        "check": checks,
        "projection": rows,
        "sharing": shared,
    }
    write_outputs(contents(args, result), vars(args))
    print(report(result))
    for name in OUTPUTS:
        if getattr(args, name) is not None:
            print(f"\nwrote {getattr(args, name)}")


def contents(args: argparse.Namespace, result: dict[str, Any]) -> dict[str, bytes]:
    """Return the files that were asked for, by option."""
    files: dict[str, bytes] = {}
    if args.csv is not None:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(result["projection"][0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*result["projection"], *result["sharing"]])
        files["csv"] = text_bytes(text.getvalue())
    if args.json is not None:
        files["json"] = json_bytes(result)
    if args.picture is not None:
        from misnet.tools.benchmarks.scale_picture import scale_picture  # Matplotlib takes half a second

        files["picture"] = scale_picture(result, format_of(args.picture))
    return files


if __name__ == "__main__":
    run_tool(main)
