"""Measure how long a training step and an inference take, layer by layer and whole, and against PyTorch if it is there.

Every program runs in a process of its own and they take turns, so that ratios hold on a machine whose speed drifts.
Ratios in the JSON file: train_speedup, infer_speedup (peer eager over ours, same threads), memory_ratio (peak above
the imports, peer over ours), threads_speedup (ours, one thread over two); null without --peers where one is needed.
threads_given is the same ratio of two loops that share nothing, in the same turns: what the machine gave; both also of
the least times.
The peer also runs with autocast to bfloat16, the fastest on some machines: `apart` is the share of its neurons and
timesteps that then fire otherwise than in float32, and `verdicts` that of the samples with another largest score.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from misnet.datasets import BatchIterator
from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.models.options import option_of
from misnet.tools.benchmarks.figures import line_of, ratios, text
from misnet.tools.benchmarks.kernels import DENSITIES
from misnet.tools.benchmarks.pictures import plot_density
from misnet.tools.benchmarks.turns import THREAD_VARIABLES, Worker, WorkerError, take_turns, write_network
from misnet.tools.naming import Parser
from misnet.tools.outputs import check_outputs, picture_file
from misnet.tools.settings import check_settings
from misnet.tools.toolkit import UsageError, load_split, run_tool
from misnet.training.run import load_model, read_config
from snncore.files import json_bytes, replace_file

PEER_PARTS = ("torch", "spikingjelly")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        examples=[
            ("our kernels, on one thread and on two, against the reference kernels", "python tools/bench.py"),
            ("with the weights and data of a run: its densities", "python tools/bench.py --run runs/first"),
            ("also the same network in PyTorch with SpikingJelly, eager and compiled", "python tools/bench.py --peers"),
        ],
    )
    parser.add_argument("--variant", choices=("XS", "S", "L", "XL"), help="size of Table 1 (default: S)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="samples per step (default: 8)")
    parser.add_argument("--timesteps", type=int, metavar="T", help="timesteps (default: 4)")
    parser.add_argument("--size", type=int, help="height and width of both inputs (default: 32)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the kernels that are compared (default: 1)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each program (default: 5)")
    parser.add_argument("--run", type=Path, metavar="RUN_DIR", help="take network, weights and data of a run")
    parser.add_argument(
        "--density",
        type=float,
        metavar="D",
        help="shift the biases so that spikes have this mean density, such as 0.24",
    )
    parser.add_argument("--peers", action="store_true", help="also run PyTorch with SpikingJelly")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which compiles for minutes")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="ratios of the least time of the processor, not the median by the clock, and --threads alone: for a busy "
        "machine",
    )
    parser.add_argument("--whole-only", action="store_true", help="leave out the layers and the sweeps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help="draw time against density into a picture")
    return parser


def network_and_batch(args: argparse.Namespace) -> tuple[MISNet, tuple[np.ndarray, ...], str]:
    """Return the model, a training batch (audio, video, labels), and what they are in words."""
    network = {"variant": args.variant, "timesteps": args.timesteps, "size": args.size}
    given = {name: value for name, value in network.items() if value is not None}
    if args.run:
        if given:
            raise UsageError(f"--run: the run sets the network; also found {', '.join(map(option_of, given))}")
        content = read_config(args.run / "config.json")
        config = MISNetConfig.from_dict(content["network"])
        settings = check_settings(content["settings"], str(args.run / "config.json"))
    else:
        config = MISNetConfig(**{"variant": "S", "timesteps": 4, "size": 32} | given, visual_channels=1)
        settings = check_settings({})
    model = MISNet(config)
    if args.run:
        load_model(model, args.run / "last.safetensors")
    data = load_split("train", settings, config.size, config.timesteps)
    batch = next(BatchIterator(data, args.batch_size).epoch(0))
    weights = f"weights of {args.run}" if args.run else "fresh weights"
    if args.density is not None:
        from misnet.tools.benchmarks.ours import shift_to_density  # imports the kernels, which may have to be compiled

        weights += f", biases shifted by {shift_to_density(model, batch, args.density):.3f} for density {args.density}"
    return model, batch, f"MISNet-{config.variant}, {weights}, {args.batch_size} samples of {settings['dataset']}"


def check_peer(config: MISNetConfig) -> None:
    """Raise UsageError unless the peer is installed and has every switch of the network."""
    if missing := [name for name in PEER_PARTS if importlib.util.find_spec(name) is None]:
        raise UsageError(f'--peers: {missing[0]} is not installed; install it with: pip install -e ".[peers]"')
    plain = MISNetConfig().to_dict()
    free = {"variant", "channels", "cells", "classes", "size", "timesteps", "audio_channels", "visual_channels"}
    free |= {"alpha", "tau", "v_threshold", "mlif_v_threshold"}
    if other := [k for k, v in config.to_dict().items() if k not in free and v != plain[k]]:
        raise UsageError(f"--peers: the network in PyTorch has the default {other[0]} only")


def start_workers(args: argparse.Namespace, spec: dict[str, Any]) -> list[Worker]:
    """Start every program that is to be compared; spec: as `write_network` returns it."""
    for mode in ("train", "infer"):  # compile in a process that is not measured: the compiler takes memory, too
        first = Worker("first", spec | {"kind": "ours", "mode": mode, "threads": 1})
        first.step(counted=True)
        first.finish()
    workers = []
    counts = sorted({args.threads} if args.processor_time else {1, 2, args.threads})
    for mode in ("train", "infer"):
        for threads in counts:
            own = spec | {"kind": "ours", "mode": mode, "threads": threads}
            workers.append(Worker(f"ours {mode} {threads}", own))
            if mode == "train" and len(counts) > 1 and threads <= 2:  # just beside, as what cores give changes soon
                workers.append(Worker(f"alone {threads}", own | {"kind": "alone"}))
        own = spec | {"kind": "ours", "mode": mode, "threads": args.threads}
        workers.append(Worker(f"reference {mode} {args.threads}", own, kernels="reference"))
        if not args.peers:
            continue
        for threads in counts:
            for layout in ("contiguous_format", "channels_last"):
                for compiled in (False, True):
                    if compiled and (args.no_compile or threads != args.threads or layout != "channels_last"):
                        continue
                    peer = {"kind": "peer", "mode": mode, "threads": threads, "format": layout, "compiled": compiled}
                    kind = "compiled" if compiled else "eager"
                    workers.append(Worker(f"peer {kind} {mode} {threads} {layout}", spec | peer))
                if threads == args.threads:
                    label = f"peer bf16 {mode} {threads} {layout}"
                    last = "apart" if mode == "infer" and layout == "channels_last" else None
                    workers.append(Worker(label, spec | peer | {"compiled": False, "half": True}, last=last))
    return workers


def check_same_scores(workers: list[Worker]) -> dict[str, float]:
    """Return how far each program's scores are from ours, relative to the largest: are they the same network?"""
    scores = {w.label: np.array(w.result) for w in workers if " infer " in w.label}
    ours = next(x for label, x in scores.items() if label.startswith("ours"))
    return {label: float(abs(x - ours).max() / abs(ours).max()) for label, x in scores.items()}


def measure_kernels(args: argparse.Namespace, spec: dict[str, Any]) -> dict[str, Any]:
    """Run the kernels one by one in a process of its own and return its figures; spec: of `write_network`."""
    spec = {name: spec[name] for name in ("network", "batch", "weights")} | {
        "peers": args.peers,
        "threads": args.threads,
        "rounds": args.steps,
        "sweep": DENSITIES,
    }
    script = Path(__file__).parent / "benchmarks" / "kernels.py"
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(args.threads)) | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(spec)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise WorkerError(f"kernels: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout)


def main() -> int:
    """Measure, print and write."""
    parser = make_parser()
    args = parser.parse_args()
    for name in ("batch_size", "timesteps", "size", "threads", "steps"):
        if (value := getattr(args, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, found {value}")
    if args.density is not None and not 0 < args.density < 1:
        parser.error(f"--density: expected a number between 0 and 1, found {args.density}")
    check_outputs(vars(args))
    model, batch, what = network_and_batch(args)
    if args.peers:
        check_peer(model.config)
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        spec = write_network(Path(name), model, batch, args.peers)
        try:
            workers = start_workers(args, spec)
            with tqdm(total=len(workers) * (args.steps + 2), unit="step", leave=False, disable=None) as bar:
                runs = take_turns(workers, args.steps, 2, bar.update)
            report["scores_differ_by"] = check_same_scores(workers)
            kernels = {} if args.whole_only else measure_kernels(args, spec)
        except WorkerError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    compared = ratios(runs, args.threads, "processor_s" if args.processor_time else "median_s")
    report = {"what": what, "threads": args.threads, "runs": runs, "ratios": compared} | report | kernels
    if kernels:
        by_channels = {row["channels"]: [] for row in kernels["density_sweep"]}
        for row in kernels["density_sweep"]:
            by_channels[row["channels"]].append(row)
        report["lines"] = {c: line_of(rows, "forward_event") for c, rows in by_channels.items()}
    print(f"{what}; {platform.processor() or platform.machine()}")
    print(text(report))
    if args.picture and kernels:
        plot_density(report, args.picture)
    if args.json:
        first = {k: report["ratios"][k] for k in ("train_speedup", "infer_speedup", "memory_ratio", "threads_speedup")}
        replace_file(args.json, json_bytes(first | report))
    return 0


if __name__ == "__main__":
    run_tool(main)
