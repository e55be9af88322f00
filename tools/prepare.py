"""Prepare a data set for training: look at it, check it, decode it once.

--preview draws samples: do the labels fit? --check goes through every sample: what is damaged, what is in two splits?
--output-dir decodes all samples into memory-mapped arrays, and training from them sees the same samples, bit for bit.
--verify compares such a cache with the hashes in its manifest.

Preparing can be stopped with Ctrl-C or killed at any time: the same command goes on from what is finished. A cache
belongs to the settings it was made with (--size, --timesteps, --seed, --data-option); others are refused.
--check ends with status 1 if files are missing or damaged or if the splits share content; groups (speakers, actors)
that are in two splits are a warning.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import _checkout as _checkout

import argparse
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from misnet.datasets import describe
from misnet.datasets.download import DOWNLOADS, fetch, question
from misnet.datasets.formats.files import printable
from misnet.datasets.prepared.cache import verify_cache
from misnet.datasets.prepared.checking import Report, check
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.manifest import Manifest
from misnet.datasets.prepared.preparing import Interrupted, prepare
from misnet.datasets.prepared.preview import draw_preview
from misnet.datasets.prepared.summary import EXAMPLES as SHOWN
from misnet.datasets.prepared.summary import grouped, is_missing, write_all
from misnet.datasets.registry import REGISTRY, data_splits
from misnet.tools.loudness import add_loudness_options, is_quiet, is_verbose, no_bar, say
from misnet.tools.naming import Parser, called
from misnet.tools.outputs import check_output, picture_file
from misnet.tools.ranks import Watch, job, refuse_ranks, refuse_strangers
from misnet.tools.toolkit import (
    DATA,
    STOPPED,
    StopRequest,
    UsageError,
    add_data_option,
    complain,
    run_tool,
    wrong_usage,
)
from snncore.cores import usable_cores
from snncore.launcher import world
from snncore.parallel import Comm

EXAMPLES = (
    ("fetch the files, after a question", "python tools/prepare.py mnist-fsdd --data-dir DIR --download"),
    ("do the labels fit?", "python tools/prepare.py mnist-fsdd --data-dir DIR --preview samples.png"),
    ("what is damaged, what is in two splits?", "python tools/prepare.py mnist-fsdd --data-dir DIR --check"),
    (
        "decode all of it, and train from what was decoded",
        "python tools/prepare.py mnist-fsdd --data-dir DIR --output-dir CACHE",
    ),
    ("is a cache as it was written?", "python tools/prepare.py mnist-fsdd --verify CACHE"),
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = Parser(
        usage="%(prog)s NAME (--download | --preview | --check | --output-dir | --verify) ... [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="data sets:\n\n" + "\n\n".join(describe(name) for name in REGISTRY),
        examples=EXAMPLES,
    )
    parser.add_argument(
        "name", metavar="NAME", choices=tuple(REGISTRY), help="data set; what each needs is listed below"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the files of a data set that needs some")
    what = parser.add_argument_group("what to do, in this order")
    some = f"fetch the files into --data-dir, after a question; offered for {', '.join(DOWNLOADS)}"
    what.add_argument("--download", action="store_true", help=some)
    what.add_argument("--verify", type=Path, metavar="CACHE", help="read a cache whole and compare it with its hashes")
    what.add_argument("--preview", type=picture_file, metavar="FILE", help="draw samples of each class into a picture")
    what.add_argument("--check", action="store_true", help="go through all samples, and prepare only if they are clean")
    what.add_argument("--output-dir", type=Path, metavar="CACHE", help="folder to fill with decoded arrays")
    how = parser.add_argument_group("samples")
    how.add_argument("--size", type=int, help="height and width (default: that of the data set)")
    how.add_argument("--timesteps", type=int, default=4, help="timesteps T (default: 4)")
    how.add_argument("--seed", type=int, default=0, help="of what the data set draws, such as pairs (default: 0)")
    add_data_option(how)
    add_loudness_options(parser, "the last line of a check and what a cache holds", "every fault of --check, not a few")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help=f"processes of each rank (default: one per processor, here {usable_cores()}, which ranks share)",
    )
    return parser


class Bars:
    """A progress bar for each split, where standard error is a terminal; called with split, done and total."""

    def __init__(self, verb: str, comm: Comm) -> None:
        self.verb, self.split, self.bar, self.hidden = verb, "", None, comm.rank > 0

    def __call__(self, split: str, done: int, total: int) -> None:
        """Show that `done` of `total` samples are done."""
        from tqdm import tqdm

        if split != self.split:
            self.close()
            self.split = split
            self.bar = tqdm(
                total=total, initial=done, desc=f"{self.verb} {split}", unit="sample", disable=self.hidden or no_bar()
            )
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()


def report_text(report: Report) -> str:
    """Return the text that is printed for a check."""
    lines = []
    if report.counts:
        width = max(5, *map(len, report.class_names))
        lines.append(f"{'class':<{width}} " + " ".join(f"{split:>8}" for split in report.counts))
        for k, name in enumerate(report.class_names):
            lines.append(f"{name:<{width}} " + " ".join(f"{counts[k]:>8}" for counts in report.counts.values()))
        lines.append(f"{'all':<{width}} " + " ".join(f"{sum(counts):>8}" for counts in report.counts.values()))
    if report.notes:
        lines += ["", *(f"note: {printable(note)}" for note in report.notes)]
    for title, sentences in sections(report):
        lines += grouped(title, sentences, len(sentences) if is_verbose() else SHOWN)
    lines += [f"\nwarning: {printable(warning)}" for warning in report.warnings]
    if report.problems:
        counts = [f"{len(found)} {title}" for title, found in sections(report)[:3] if found]
        return "\n".join([*lines, f"\n{report.name}: {report.problems} problems: {', '.join(counts)}"])
    return "\n".join([*lines, f"\n{report.name}: clean" + (", but look at the above" if report.remarks else "")])


def sections(report: Report) -> list[tuple[str, list[str]]]:
    """Return what was found under its titles; the first three are problems."""
    missing = [fault for fault in report.faults if is_missing(fault)]
    damaged = [fault for fault in report.faults if not is_missing(fault)]
    parts = (missing, damaged, report.duplicates, report.remarks)
    return list(zip(("missing", "damaged", "in two splits", "to look at"), parts, strict=True))


def keep_all(report: Report) -> None:
    """Write all that was found to a file, if what is printed leaves some of it out, and print the file's name."""
    if max(len(found) for _, found in sections(report)) <= SHOWN:
        return
    path = Path(f"{report.name}-check.txt")
    try:
        write_all(path, sections(report))
    except OSError as error:
        print(f"{path}: cannot be written ({error.strerror})")
    else:
        say(f"all of it: {path}")


def summary(folder: Path, manifest: Manifest, decoded: int, seconds: float, jobs: int) -> str:
    """Return the text that is printed for a cache that is finished."""
    kept = {split: r.samples - len(r.skipped()) for split, r in manifest.splits.items()}
    skipped = [why for r in manifest.splits.values() for why in (*r.left_out, *r.skipped().values())]
    size = sum(path.stat().st_size for path in folder.glob("*.npy")) / 2**20
    lines = [f"left out: {why}" for why in dict.fromkeys(skipped)]
    lines.append(
        f"{folder}: {', '.join(f'{n} {split}' for split, n in kept.items())} samples of {manifest.dataset}, "
        f"{size:.1f} MiB" + (f", {len(skipped)} left out" if skipped else "")
    )
    if is_quiet():
        return lines[-1]
    if decoded:
        lines.append(
            f"decoded {decoded} samples in {seconds:.1f} s: {decoded / seconds:.1f} samples/s, {jobs} processes"
        )
    else:
        lines.append("nothing was left to decode")
    made = manifest.settings
    lines.append(
        f"train with: {called('train')} --dataset {manifest.dataset} --data-dir {shlex.quote(str(folder))} "
        f"--timesteps {made['timesteps']} --seed {made['seed']}"
    )
    return "\n".join(lines)


def fill(args: argparse.Namespace, request: Request, comm: Comm) -> int:
    """Prepare the cache and return the exit status."""
    bars, stop, before = Bars("decoding", comm), StopRequest("the samples under way"), {}

    def advance(split: str, done: int, total: int) -> None:
        before.setdefault(split, done)
        bars(split, done, total)

    started = time.perf_counter()
    try:
        manifest = prepare(args.output_dir, request, jobs=args.jobs, stop=stop, advance=advance, comm=comm)
    except Interrupted as stopped:
        return complain(f"{stopped}; go on with the same command", STOPPED) if comm.rank == 0 else STOPPED
    finally:
        bars.close()
    decoded = sum(r.samples for r in manifest.splits.values()) - sum(before.values())
    print(summary(args.output_dir, manifest, decoded, time.perf_counter() - started, sum(comm.exchange(args.jobs))))
    return 0


def download(args: argparse.Namespace) -> int:
    """Ask, fetch the files of a data set, and return the exit status: 130 if the answer was no."""
    if args.name not in DOWNLOADS:
        what = f"expected one of {', '.join(DOWNLOADS)}, found {args.name}; docs/data.md says where its files are"
        raise UsageError(f"--download: {what}")
    if args.data_dir is None:
        raise UsageError("--download: expected --data-dir DIR too, the folder for the files")
    folder = Path(args.data_dir)
    try:
        answer = input(question(args.name, folder))
    except EOFError:
        raise UsageError("--download: expected an answer, found the end of the input; `echo y |` answers") from None
    if answer.strip().lower() not in ("y", "yes"):
        return complain("nothing was downloaded", STOPPED)
    for line in fetch(args.name, folder):
        say(line)
    return 0


def main() -> int:
    """Verify, draw, check and prepare, whatever is asked for; return the exit status."""
    comm = world()
    with job(comm):
        return do_all(comm)


def do_all(comm: Comm) -> int:
    """Do what is asked for, checking and decoding with all ranks of a job, of which the first writes."""
    parser = make_parser()
    args = parser.parse_args()
    if not (args.download or args.verify or args.preview or args.check or args.output_dir):
        parser.error(
            "expected at least one of --download, --preview FILE, --check, --output-dir CACHE and --verify CACHE"
        )
    one = {f"--{name}": getattr(args, name) for name in ("download", "verify", "preview")}
    refuse_ranks(comm, one, "ranks share --check and --output-dir")
    if args.jobs is None:
        args.jobs = max(1, usable_cores() // comm.local_size)
    if args.jobs < 1:
        raise UsageError(f"--jobs: expected at least 1, found {args.jobs}")
    if args.seed < 0:
        raise UsageError(f"--seed: expected an integer of at least 0, found {args.seed}")
    if args.preview:
        check_output("--preview", args.preview)
    options: dict[str, Any] = dict(getattr(args, "data_options", {}))
    bad = options.pop("on_bad_sample", "error")
    if bad not in ("error", "skip"):
        raise UsageError(f"--on-bad-sample: expected error or skip, found {bad!r}")
    if args.download and (status := download(args)):
        return status
    request = Request(args.name, args.data_dir, args.timesteps, args.size, args.seed, options, bad)
    refuse_strangers(comm, {"options": {name: str(value) for name, value in vars(args).items() if name != "jobs"}})
    with Watch(comm, "The same command goes on"), wrong_usage(options):
        if args.verify:
            print(f"{args.verify}: {verify_cache(args.verify, args.name)} bytes, as they were written")
        if args.preview:
            lenient = replace(request, on_bad_sample="skip")  # what is bad is for --check to say
            splits = [lenient.load(split) for split in data_splits(args.name)]
            print(f"{args.preview}: {draw_preview(splits, args.preview, seed=args.seed)} samples")
        if args.check:
            bars = Bars("checking", comm)
            report = check(request, jobs=args.jobs, advance=bars, comm=comm)
            bars.close()
            text = report_text(report)
            print(text.splitlines()[-1] if is_quiet() else text)
            if comm.rank == 0:
                keep_all(report)
            if report.problems:
                return DATA
        return fill(args, request, comm) if args.output_dir else 0


main.takes_ranks = True  # type: ignore[attr-defined]  # of a job that mpiexec started


if __name__ == "__main__":
    run_tool(main)
