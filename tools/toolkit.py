"""What the command lines share: options of a run, and errors as messages with an exit status."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from misnet.datasets import DataError, Dataset, load_dataset
from misnet.datasets.registry import COMMON, REGISTRY
from misnet.models.config import ConfigError
from misnet.tools.loudness import no_bar
from misnet.tools.streams import prepare_streams
from misnet.training.folder import read_config
from misnet.training.step import Diverged
from snncore import BackendError, CheckpointError, arithmetic
from snncore.backend import memory_message, use_device
from snncore.files import printable
from snncore.kernels.choice import ARITHMETICS, arithmetic_choice
from snncore.launcher import launched

CUDA_GRAPH = ("auto", "on", "off")  # values of --cuda-graph
TAKE_RANKS = "train.py, evaluate.py, audit.py, prepare.py and reproduce.py"
USAGE, DATA, STOPPED = 2, 1, 130  # exit statuses; 130 is what shells give for Ctrl-C


class UsageError(Exception):
    """Options that cannot be used together; exit status 2."""


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose and cut the data; those not given are absent from the parsed namespace."""
    group = parser.add_argument_group("data")
    kinds: dict[str, dict[str, Any]] = {
        "--dataset": {"choices": tuple(REGISTRY), "help": "data set (default: dialpad, which needs no files)"},
        "--data-dir": {"metavar": "DIR", "help": "folder with the files of a data set that needs some"},
        "--limit-train": {"type": int, "metavar": "N", "help": "train on N samples, drawn with the seed of the data"},
        "--limit-eval": {"type": int, "metavar": "N", "help": "evaluate on N samples, drawn with the seed of the data"},
    }
    for name, kind in kinds.items():
        group.add_argument(name, default=argparse.SUPPRESS, **kind)
    add_data_option(group)


def add_data_option(group: Any) -> None:
    """Add --data-option and --on-bad-sample; without them `data_options` is absent from the parsed namespace."""
    group.add_argument(
        "--data-option",
        dest="data_options",
        action=_DataOption,
        default=argparse.SUPPRESS,
        metavar="NAME=VALUE",
        help="an option of the data set, such as fsdd_split=speaker; may be repeated",
    )
    group.add_argument(
        "--on-bad-sample",
        dest="data_options",
        action=_OnBadSample,
        choices=("error", "skip"),
        default=argparse.SUPPRESS,
        help="corrupt samples: stop with an error (default), or decode all at first and leave those out",
    )


class _OnBadSample(argparse.Action):
    """Is short for --data-option on_bad_sample=VALUE."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, value: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, {**getattr(namespace, self.dest, {}), "on_bad_sample": value})


class _DataOption(argparse.Action):
    """Collects NAME=VALUE pairs; a value that is not JSON is text."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, value: Any, option: Any = None) -> None:
        name, equals, text = value.partition("=")
        if not (name and equals):
            parser.error(f"--data-option: expected NAME=VALUE, found {value!r}")
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = text
        setattr(namespace, self.dest, {**getattr(namespace, self.dest, {}), name: parsed})


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a device; those not given are absent from the parsed namespace."""
    group = parser.add_argument_group("device")
    kinds: dict[str, dict[str, Any]] = {
        "--device": {"help": "auto, cpu, cuda or cuda:<index> (default: auto)"},
        "--memory-limit": {"type": float, "metavar": "GIB", "help": "of a GPU, for arrays (default: all there is)"},
        "--tf32": {"action": "store_true", "help": "on a GPU, round factors of matrix products to 10 bits: faster"},
    }
    for name, kind in kinds.items():
        group.add_argument(name, default=argparse.SUPPRESS, **kind)


def add_arithmetic_option(parser: Any) -> None:
    """Add --arithmetic; without it `arithmetic` is absent from the parsed namespace."""
    parser.add_argument(
        "--arithmetic",
        choices=ARITHMETICS,
        default=argparse.SUPPRESS,
        help="how layers with weights sum: float32, or exact, whose spikes are the same with any kernels, device, "
        "threads and batch (default: that of the run, or else float32)",
    )


def arithmetic_from(given: Mapping[str, Any], run_dir: Path | None = None) -> AbstractContextManager[None]:
    """Return the block in which the arithmetic of --arithmetic holds, or else that of the run in `run_dir`."""
    choice = given.get("arithmetic")
    if choice is None and run_dir is not None:
        choice = read_config(run_dir / "config.json").get("options", {}).get("arithmetic")
    return arithmetic(arithmetic_choice() if choice is None else choice)


def add_graph_option(parser: Any) -> None:
    """Add --cuda-graph; without it `cuda_graph` is absent from the parsed namespace."""
    parser.add_argument(
        "--cuda-graph",
        choices=CUDA_GRAPH,
        default=argparse.SUPPRESS,
        help="on a GPU, record the work of a batch (a training step, an evaluation) and launch it by one call, with "
        "the same bits: auto, where that can be and memory suffices; on, the same, and a line where it cannot be even "
        "on a CPU or with several ranks; or off (default: auto)",
    )


def wants_graph(choice: str, device: str, ranks: int) -> bool:
    """Whether recording is to be tried for a value of --cuda-graph: auto is silent where there is nothing to try."""
    return choice == "on" or (choice == "auto" and device != "cpu" and ranks == 1)


def device_of(text: str, memory_limit: float | None = None, tf32: bool = False) -> str:
    """Make the device of --device the current one and return its name, "cpu" or "cuda:<index>".

    Raises UsageError for values that cannot be used, or BackendError if the device is missing.
    """
    try:
        return use_device(text, memory_limit, tf32)
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def device_from(given: Mapping[str, Any]) -> str:
    """Return what `device_of` returns for the options of `add_device_options`."""
    return device_of(given.get("device", "auto"), given.get("memory_limit"), given.get("tf32", False))


@contextmanager
def wrong_usage(options: dict[str, Any]) -> Iterator[None]:
    """Turn what a data set raises for values it does not take into UsageError; options: those of the data set."""
    if taken := sorted(set(options) & (COMMON | {"limit"})):
        raise UsageError(f"--data-option: {taken[0]} is not an option of the data set but one of this command")
    try:
        yield
    except ValueError as error:
        more = ", as --data-seed says" if str(error).startswith("seed: ") else ""  # of a cache made with another
        raise UsageError(f"{error}{more}") from None
    except TypeError as error:
        if not options:
            raise
        raise UsageError(f"--data-option: a value of the wrong type among {options}: {error}") from None


def data_seed(settings: Mapping[str, Any]) -> int:
    """Return the seed of what the data set draws: that of the run unless it has one of its own."""
    return settings["seed"] if settings["data_seed"] is None else settings["data_seed"]


def load_split(split: str, settings: dict[str, Any], size: int | None, timesteps: int) -> Dataset:
    """Return a split of the data set that `settings` name, cut as they say; UsageError for values it does not take."""
    options = settings["data_options"]
    with wrong_usage(options):
        data = load_dataset(
            settings["dataset"],
            split,
            data_dir=settings["data_dir"],
            timesteps=timesteps,
            size=size,
            seed=data_seed(settings),
            limit=settings["limit_train" if split == "train" else "limit_eval"],
            **options,
        )
    if data.skipped:
        print(
            f"note: {data.name} {split}: left out {data.skipped} samples or files, missing or damaged", file=sys.stderr
        )
    for note in data.notes:
        print(f"note: {data.name} {split}: {note}", file=sys.stderr)
    return data


def run_tool(main: Callable[[], int | None]) -> None:
    """Run `main` and exit: 0, or 2 with a message for wrong usage, or 1 with a message for wrong data."""
    prepare_streams()
    try:
        if launched() > 1 and not getattr(main, "takes_ranks", False):
            raise UsageError(f"expected one process, found {launched()}: only {TAKE_RANKS} share work")
        status = main() or 0
    except SystemExit as end:  # of --help and of the parser's own messages
        status = end.code if isinstance(end.code, int) else 0
    except (UsageError, ConfigError, BackendError) as error:
        status = complain(error, USAGE)
    except (DataError, CheckpointError, Diverged) as error:
        status = complain(error, DATA)
    except MemoryError as error:
        status = complain(memory_message(error), DATA)
    except BrokenPipeError:  # the reader of our output left, as `head` does
        status = 0
    except KeyboardInterrupt:
        status = complain("interrupted", STOPPED)
    except OSError as error:
        status = complain(said_of(error), DATA)
    sys.exit(end_output(status))


def end_output(status: int) -> int:
    """Write what is left of standard output, and return the exit status; a reader that left does not change it."""
    try:
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        pass
    except (OSError, ValueError) as error:
        status = status or complain(f"standard output: {getattr(error, 'strerror', None) or error}", DATA)
    with suppress(OSError, ValueError):  # so that Python, which writes it again at the end, finds no fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def said_of(error: OSError) -> str:
    """Return what an error of the system says as other messages do: the file, then what is wrong; no number."""
    if error.filename is None or not error.strerror:
        return str(error)
    return printable(f"{os.fsdecode(error.filename)}: {error.strerror}")


def complain(error: object, status: int) -> int:
    """Print an error as a line and return the exit status that goes with it."""
    with suppress(OSError, ValueError):  # standard error may be closed, or its terminal gone
        print(f"error: {error}\n", end="", file=sys.stderr)  # in one piece, since another rank may write there
    return status


class StopRequest:
    """Turns the first Ctrl-C, SIGTERM or SIGHUP into a request that a run asks for; the second interrupts at once."""

    def __init__(self, after: str = "this batch") -> None:
        self.requested, self.after = False, after
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)
        hangup = getattr(signal, "SIGHUP", None)  # not on Windows
        if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(hangup, self._note)

    def _note(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        with suppress(OSError, ValueError):  # the terminal may be what went away
            print(f"\nstopping after {self.after}; once more to stop at once", file=sys.stderr)

    def __call__(self) -> bool:
        """Whether a stop was requested."""
        return self.requested


def progress(batches: Any, total: int, initial: int, text: str) -> Iterator[Any]:
    """Show a progress bar over the batches, where standard error is a terminal, unless --quiet was given."""
    from tqdm import tqdm

    yield from tqdm(batches, total=total, initial=initial, desc=text, unit="batch", leave=False, disable=no_bar())
