"""Killing a run at random moments and taking it up again: `python -m tests.tools.kills FOLDER --kills 100`.

The run is a small one, saved every tenth of a second; at the end its weights are compared with those of a run that was
never disturbed, bit for bit.
"""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from snncore.checkpoint import load_checkpoint
from tests.tools.command_line import TINY, command, environment

EVERY = ("--save-every", "0.1s")


def kill_and_resume(folder, arguments, kills, seed, longest=1.5):
    """Begin a run, kill it `kills` times at random moments after its first save, and let it end. Returns the kills.

    Moments are up to `longest` seconds after the run was begun or went on, so that some fall into a save.
    """
    rng, done, quiet = random.Random(seed), 0, subprocess.DEVNULL
    while True:
        begin = (folder / "config.json").exists()
        line = ["--resume", str(folder), "--device", "cpu"] if begin else arguments
        started = time.time()
        with subprocess.Popen(
            command("train", *line, *EVERY), stdout=quiet, stderr=subprocess.PIPE, env=environment()
        ) as process:
            last = folder / "last.safetensors"
            while process.poll() is None and not (last.exists() and last.stat().st_mtime > started):
                time.sleep(0.001)
            if done < kills and process.poll() is None:
                time.sleep(rng.uniform(0, longest))
                process.kill()
            _, err = process.communicate()
            if process.returncode == 0:
                return done
            if process.returncode != -9:
                raise AssertionError(f"after {done} kills the run ended with {process.returncode}: {err.decode()}")
            done += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder for both runs")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--epochs", default="60")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    whole, killed = given.folder / "whole", given.folder / "killed"
    line = [*TINY, "--epochs", given.epochs, "--output-dir"]
    subprocess.run(command("train", *line, whole), check=True, stdout=subprocess.DEVNULL, env=environment())
    kills = kill_and_resume(killed, [*line, str(killed)], given.kills, given.seed)
    (x, a), (y, b) = (load_checkpoint(f / "last.safetensors") for f in (killed, whole))
    same = x.keys() == y.keys() and all(np.array_equal(x[name], y[name]) for name in x) and a["epoch"] == b["epoch"]
    print(f"{kills} kills; weights and optimizer {'are the same, bit for bit' if same else 'DIFFER'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
