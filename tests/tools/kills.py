"""Killing a run at random moments and taking it up again: `python -m tests.tools.kills FOLDER --kills 100`.

The run is a small one, saved five times a second; at the end its weights are compared with those of a run that was
never disturbed, bit for bit. Each kill is looked at too: how far the run had come, and how far its checkpoint had.
"""

import argparse
import os
import random
import runpy
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


def kill_and_resume(folder, arguments, kills, seed, longest=1.5):
    """Begin a run, kill it `kills` times at random moments after its first save, and let it end. Returns the `Kills`.

    Moments are up to `longest` seconds after the run was begun or went on, so that some fall into a save.
    """
    rng, done, quiet = random.Random(seed), Kills(), subprocess.DEVNULL
    counter = folder.with_name(f"{folder.name}.steps")
    while True:
        begun = (folder / "config.json").exists()
        line = ["--resume", str(folder), "--device", "cpu"] if begun else arguments
        counter.write_bytes(COUNTED.pack(0, 0, 0.0))
        started = time.time()
        with subprocess.Popen(
            counted_command(counter, *line, *EVERY), stdout=quiet, stderr=subprocess.PIPE, env=environment()
        ) as process:
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
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    whole, killed = given.folder / "whole", given.folder / "killed"
    line = [*TINY, "--limit-train", "256", "--epochs", given.epochs, "--output-dir"]
    started = time.time()
    undisturbed = counted_command(given.folder / "whole.steps", *line, whole, *EVERY)
    subprocess.run(undisturbed, check=True, stdout=subprocess.DEVNULL, env=environment())
    print(f"undisturbed: {time.time() - started:.0f} s", flush=True)
    kills = kill_and_resume(killed, [*line, str(killed)], given.kills, given.seed)
    (x, a), (y, b) = (load_checkpoint(f / "last.safetensors") for f in (killed, whole))
    same = x.keys() == y.keys() and all(np.array_equal(x[name], y[name]) for name in x) and a["epoch"] == b["epoch"]
    print(f"{len(kills)} kills; weights and optimizer {'are the same, bit for bit' if same else 'DIFFER'}")
    if len(kills):
        print(f"lost at most {max(kills.steps)} steps, {max(kills.seconds):.2f} s of training, at one kill")
    return 0 if same and len(kills) == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
