"""Running the command lines: in this process, which is quick, or in one of their own, as a user does."""

import os
import runpy
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests import ALONE

ROOT = Path(__file__).parents[2]

TINY = shlex.split(
    "--variant XS --channels 4,6,8 --cells 1,1,1 --size 8 --timesteps 2 --v-threshold 0.5 --mlif-v-threshold 0.5 "
    "--lr 0.01 --limit-train 32 --limit-eval 16 --epochs 2 --batch-size 8 --device cpu"
)


class Result(NamedTuple):
    """Exit status and what was printed."""

    status: int
    out: str
    err: str


def command(tool, *arguments):
    """The command line as a list."""
    return [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *map(str, arguments)]


def environment():
    """That of a user who has no terminal, with this tree first on the path; beside other workers, on one thread."""
    threads = {} if ALONE else {"NUMBA_NUM_THREADS": "1"}
    return threads | os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def shell(tool, *arguments):
    """Run a tool in a process of its own."""
    done = subprocess.run(
        command(tool, *arguments), capture_output=True, text=True, env=environment(), timeout=300
    )  # the first may compile
    return Result(done.returncode, done.stdout, done.stderr)


def make_caller(monkeypatch, capsys):
    """Return call(tool, *arguments), which runs a tool in this process: an error that it does not catch is raised."""

    def call(tool, *arguments):
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", command(tool, *arguments)[1:])
            patch.syspath_prepend(ROOT / "tools")
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as end:
                return Result(end.code or 0, *capsys.readouterr())
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        raise AssertionError(f"{tool} ended without an exit status")

    return call
