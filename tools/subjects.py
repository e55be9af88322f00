"""What an audit is asked to be of: a network of ours that runs over its data, or one of the ways from elsewhere."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from misnet.audit.on_ranks import count_on_ranks
from misnet.audit.provenance import training_of
from misnet.audit.report import calibrate, count_batches, evenly
from misnet.audit.subject import NoSampleError, Subject
from misnet.audit.training_step import count_training_step
from misnet.datasets import BatchIterator, DataError, Subset
from misnet.datasets.batching.in_turn import InTurn
from misnet.models.contract import Model, Scores, sizes, take
from misnet.models.options import option_of
from misnet.models.registry import DEFAULT, build
from misnet.models.summary import empty_inputs
from misnet.tools.networks import DATA_SETTINGS, new_config, trained_network
from misnet.tools.ranks import device_of_rank, refuse_other_work, refuse_ranks, share_cores, shown_by_first
from misnet.tools.settings import check_settings
from misnet.tools.toolkit import UsageError, arithmetic_from, device_of
from misnet.tools.train_plan import make_optimizer
from misnet.tools.ways import WAYS
from misnet.training.folder import read_config
from misnet.training.totals import count_correct
from snncore.backend import Array
from snncore.files import sha256_of
from snncore.parallel import Comm

__all__ = ["BATCH", "SPREAD", "at_once", "run_subject", "subject_of", "ways_of"]

SPREAD = 16  # samples that are counted one by one
BATCH = 32  # samples of a batch; four times as many of images up to 16x16
SMALL = 16 * 16
CALIBRATION = 32  # training samples whose batch statistics a network with fresh weights gets


def run_subject(
    args: argparse.Namespace,
    switches: dict[str, Any],
    seen: Callable[[Scores, Array], None] | None = None,
    comm: Comm | None = None,
) -> Subject:
    """Run a network of ours over its data and count: a trained one, or one with fresh weights.

    seen: called with the scores and labels of each batch. comm: ranks that batches are dealt to; with several `seen` is
    not called.
    """
    given, comm = vars(args), comm or Comm()
    device = device_of_rank(comm, given, device_of(args.device))
    share_cores(comm)
    summing = arithmetic_from(given, args.run_dir)
    sha256, run, right = "", {}, dict[str, int]()

    def tally(scores: Scores, labels: Array) -> None:
        for head, n in count_correct(scores, labels).items():
            right[head] = right.get(head, 0) + int(n)
        if seen is not None:
            seen(scores, labels)

    if args.run_dir:
        if extra := sorted({*switches} | ({"model"} & {*given})):
            raise UsageError(f"RUN_DIR: the run sets the network; also found {', '.join(map(option_of, extra))}")
        model, data = trained_network(args.run_dir, args.checkpoint, args.split, given)
        weights = f"{args.run_dir / args.checkpoint}.safetensors"
        sha256 = sha256_of(Path(weights))
        content = read_config(args.run_dir / "config.json")
        run, settings = training_of(args.run_dir, content, args.checkpoint), check_settings(content["settings"])
    else:
        settings = check_settings({k: v for k, v in given.items() if k in DATA_SETTINGS})
        name = given.get("model", DEFAULT)
        config, (data, train) = new_config(name, switches, switches, settings, args.split, "train")
        model = build(name, config)
        *streams, labels = take(model, next(iter(BatchIterator(train, CALIBRATION).epoch(0))))
        calibrate(model, *streams)
        weights = f"fresh weights (seed 0), batch statistics of {len(labels)} training samples; not trained"
    model.to(device)
    config = model.config
    refuse_other_work(comm, args, data, Path(weights) if args.run_dir else None)
    batches = InTurn(data, args.batch_size or at_once(model), shuffle=False, rank=comm.rank, ranks=comm.size)
    shown = shown_by_first(comm, batches.epoch(0), len(batches), args.split)
    with summing:
        if comm.size == 1:
            ops = count_batches(model, shown, device, tally)
        else:
            ops, right = count_on_ranks(model, shown, batches.batches, comm, device)
    subject = Subject(
        title=f"{config.title}, {sizes(config)}, T={config.timesteps}, on {data.name} ({args.split})",
        ops=ops,
        timesteps=config.timesteps,
        network=config.to_dict(),
        weights=weights,
        parameters=model.count_parameters(),
        data={"name": data.name, "split": args.split, "fingerprint": data.fingerprint()},
        trained=bool(args.run_dir),
        weights_sha256=sha256,
        run=run,
        accuracy={head: n / max(1, len(data)) for head, n in right.items()},
        device=device,
    )
    if args.spread and comm.rank == 0:
        with arithmetic_from(given, args.run_dir):
            some = Subset(data, evenly(args.spread, len(data)))
            each = BatchIterator(some, 1, shuffle=False).epoch(0)
            subject.alone = [count_batches(model, [batch], device) for batch in each]
    if args.training_step:  # last, since it changes the running statistics
        batch = next(iter(BatchIterator(data, args.batch_size or BATCH, shuffle=False).epoch(0)))
        subject.training = count_training_step(model, batch, make_optimizer(settings, model), device)
    return subject


def at_once(model: Model) -> int:
    """Samples of a batch: counting a call takes as long for many as for few, and many small ones fit the memory."""
    pixels = max(math.prod(x.shape[2:-1]) for x in empty_inputs(model))  # x [T, 0, H, W, C]
    return BATCH if pixels > SMALL else 4 * BATCH


def ways_of(args: argparse.Namespace) -> list[str]:
    """Return the names of the ways that the command line asks for."""
    return [name for name in WAYS if vars(args).get(name) is not None]


def _timesteps(t: int) -> int:
    if t < 1:
        raise UsageError(f"--timesteps: expected a whole number of at least 1, found {t}")
    return t


def subject_of(args: argparse.Namespace, switches: dict[str, Any], comm: Comm | None = None) -> Subject:
    """Count by the one way that was asked for: one of `WAYS`, or a network of ours, which ranks can share."""
    asked = ways_of(args)
    refuse_ranks(comm or Comm(), {f"--{name}": True for name in asked}, "ranks share the samples of a network of ours")
    if asked and args.steps is None and "timesteps" in switches:  # a switch of ours, elsewhere what --steps says
        args.steps, switches = (
            _timesteps(switches["timesteps"]),
            {k: v for k, v in switches.items() if k != "timesteps"},
        )
    for option in {option for way in WAYS.values() for option in way.beside if vars(args).get(option) is not None}:
        if not any(option in WAYS[name].beside for name in asked):
            ways = " or ".join(f"--{name}" for name, way in WAYS.items() if option in way.beside)
            raise UsageError(
                f"--{option.replace('_', '-')}: expected {ways} beside it, found {', '.join(asked) or 'none'}"
            )
    ours = [option_of(name) for name in (*switches, *(("model",) if "model" in vars(args) else ()))]
    found = [*(["RUN_DIR"] if args.run_dir else []), *(f"--{name}" for name in asked), *(ours if asked else [])]
    if asked and len(found) > 1:
        raise UsageError(f"--{asked[0]}: expected one network, found {', '.join(found)}")
    if asked and (extra := [option_of(name) for name in (*DATA_SETTINGS, "arithmetic") if name in vars(args)]):
        raise UsageError(f"--{asked[0]}: expected no data set and arithmetic of ours, found {', '.join(extra)}")
    if asked and args.training_step:
        raise UsageError(f"--training-step: expected a network of this package, found --{asked[0]}")
    try:
        return WAYS[asked[0]].subject(args) if asked else run_subject(args, switches, comm=comm)
    except NoSampleError as error:
        raise DataError(str(error)) from None
