"""Killing a run at random moments and taking it up again: `python -m tests.tools.kills FOLDER --kills 100`.

The run is a small one, saved five times a second; at the end its weights are compared with those of a run that was
never disturbed, bit for bit. Each kill is looked at too: how far the run had come, and how far its checkpoint had.

With `--fork` each process is a fork of this one, which has imported everything, and not a program that begins anew: a
hundred kills then take a tenth of the time. SNNCORE_KERNELS=reference goes with it, as compiled kernels may not fork.
"""

import argparse
import importlib
import os
import random
import runpy
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from snncore.checkpoint import load_checkpoint
from tests.tools.command_line import ROOT, TINY, environment

EVERY = ("--save-every", "0.2s")
COUNTED = struct.Struct("qqd")  # steps done, steps an epoch, and when the last of them was


@dataclass
class Kills:
    """What was lost at each kill: steps, and the seconds of training between the last save and the last step."""

    steps: list = field(default_factory=list)
    seconds: list = field(default_factory=list)

    def __len__(self):
        return len(self.steps)

    def add(self, folder, counter):
        """Compare what `counted_run` wrote with the newest checkpoint of the folder."""
        done, epoch, when = COUNTED.unpack(counter.read_bytes())
        last = folder / "last.safetensors"
        _, metadata = load_checkpoint(last)  # raises if a kill left it damaged
        saved = metadata["epoch"] * epoch + metadata["batch"]
        self.steps.append(max(0, done - saved))
        self.seconds.append(max(0.0, when - last.stat().st_mtime))


def counted_run(counter):
    """Run tools/train.py with the arguments of this process, and write each step to a file once it is done.

    No curves are drawn: that takes longer than an epoch here, and most kills would fall into it.
    """
    from misnet.training.journal import Journal
    from misnet.training.run import Run

    file, step = os.open(counter, os.O_WRONLY | os.O_CREAT), Run._train_step
    Journal.curves = lambda *_: None

    def counted(run, batch):
        step(run, batch)
        os.pwrite(file, COUNTED.pack(run.epoch * len(run.train) + run.batch + 1, len(run.train), time.time()), 0)

    Run._train_step = counted
    sys.argv[0] = str(ROOT / "tools" / "train.py")
    sys.path.insert(0, str(ROOT / "tools"))
    runpy.run_path(sys.argv[0], run_name="__main__")


def counted_command(counter, *arguments):
    source = f"from tests.tools.kills import counted_run; counted_run({str(counter)!r})"
    return [sys.executable, "-c", source, *map(str, arguments)]


class Forked:
    """A fork of this process that trains, with the part of subprocess.Popen that is used here."""

    def __init__(self, counter, *arguments):
        self.returncode, self.printed = None, counter.with_suffix(".printed")
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                with open(self.printed, "wb") as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
                sys.argv[1:] = map(str, arguments)
                counted_run(counter)
            except SystemExit as end:
                status = end.code or 0
            finally:
                sys.stdout.flush()
                os._exit(status)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.communicate()

    def poll(self, wait=False):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def communicate(self):
        self.poll(wait=True)
        return b"", self.printed.read_bytes() if self.returncode != -9 else b""


def program(counter, *arguments):
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        counted_command(counter, *arguments), stdout=quiet, stderr=subprocess.PIPE, env=environment()
    )


def kill_and_resume(folder, arguments, kills, seed, longest=1.5, begin=program):
    """Begin a run, kill it `kills` times at random moments after its first save, and let it end. Returns the `Kills`.

    Moments are up to `longest` seconds after the run was begun or went on, so that some fall into a save. begin: starts
    a process that trains.
    """
    rng, done = random.Random(seed), Kills()
    counter = folder.with_name(f"{folder.name}.steps")
    while True:
        begun = (folder / "config.json").exists()
        line = ["--resume", str(folder), "--device", "cpu"] if begun else arguments
        counter.write_bytes(COUNTED.pack(0, 0, 0.0))
        started = time.time()
        with begin(counter, *line, *EVERY) as process:
            last = folder / "last.safetensors"
            while process.poll() is None and not (last.exists() and last.stat().st_mtime > started):
                time.sleep(0.001)
            if len(done) < kills and process.poll() is None:
                time.sleep(rng.uniform(0, longest))
                process.kill()
            _, err = process.communicate()
            if process.returncode == 0:
                return done
            if process.returncode != -9:
                raise AssertionError(f"after {len(done)} kills the run ended with {process.returncode}: {err.decode()}")
            done.add(folder, counter)
            print(f"kill {len(done)}: {done.steps[-1]} steps lost, {done.seconds[-1]:.3f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder for both runs")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--epochs", default="100", help="so many that the run is not done before its last kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fork", action="store_true", help="fork this process instead of starting programs")
    given = parser.parse_args()
    begin = Forked if given.fork else program
    if given.fork:
        importlib.import_module("misnet.tools.train")
    given.folder.mkdir(parents=True, exist_ok=True)
    whole, killed = given.folder / "whole", given.folder / "killed"
    line = [*TINY, "--limit-train", "256", "--epochs", given.epochs, "--output-dir"]
    started = time.time()
    with begin(given.folder / "whole.steps", *line, whole, *EVERY) as process:
        _, err = process.communicate()
    if process.returncode:
        raise AssertionError(f"the undisturbed run ended with {process.returncode}: {err.decode()}")
    print(f"undisturbed: {time.time() - started:.0f} s", flush=True)
    kills = kill_and_resume(killed, [*line, str(killed)], given.kills, given.seed, begin=begin)
    (x, a), (y, b) = (load_checkpoint(f / "last.safetensors") for f in (killed, whole))
    same = x.keys() == y.keys() and all(np.array_equal(x[name], y[name]) for name in x) and a["epoch"] == b["epoch"]
    print(f"{len(kills)} kills; weights and optimizer {'are the same, bit for bit' if same else 'DIFFER'}")
    if len(kills):
        print(f"lost at most {max(kills.steps)} steps, {max(kills.seconds):.2f} s of training, at one kill")
    return 0 if same and len(kills) == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
