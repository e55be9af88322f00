"""How long a run takes to find its samples: `python -m misnet.tools.benchmarks.start FOLDER --pairs 200000`.

Makes a data set of so many pairs of a sound and an image in FOLDER, all of them hard links to the same two files, and
measures the scan of both splits, the stamps by which a run that goes on sees that nothing changed, and (with --read)
the fingerprints of a first start, which read every file. A folder in memory, such as /dev/shm, leaves the disk out.
"""

import argparse
import os
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from misnet.datasets import Dataset, load_dataset
from misnet.training.recording import peak_memory_mib

CLASSES = 10


def make_folder(root: Path, pairs: int) -> None:
    """Make the data set, nine tenths of it for training."""
    root.mkdir(parents=True)
    with wave.open(str(root / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).normal(0, 3000, 800).astype("<i2").tobytes())
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "image.png")
    for split, part in (("train", 0.9), ("test", 0.1)):
        for label in range(CLASSES):
            for kind, source in (("audio", "sound.wav"), ("vision", "image.png")):
                place = root / "data" / split / kind / f"class {label}"
                place.mkdir(parents=True)
                for k in range(round(part * pairs / CLASSES)):
                    os.link(root / source, place / f"clip {k}{Path(source).suffix}")


def measured(what: str, run: Callable[[], object]) -> None:
    """Print how long a call takes, on the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    run()
    seconds, busy = time.perf_counter() - clock, time.process_time() - cpu
    print(f"{what:<24} {seconds:7.2f} s, {busy:7.2f} s of the processor; peak memory {peak_memory_mib():.0f} MiB")


def main() -> None:
    """Make the folder unless it is there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--read", action="store_true", help="fingerprints too")
    given = parser.parse_args()
    if not given.folder.exists():
        make_folder(given.folder, given.pairs)
    found: list[Dataset] = []
    for split in ("train", "test"):

        def scan(split: str = split) -> None:
            found.append(load_dataset("folder", split, data_dir=given.folder / "data", timesteps=2, size=8))

        measured(f"scan of {split}", scan)
    print(" and ".join(f"{len(data)}" for data in found), "pairs")
    measured("stamps", lambda: [data.stamp() for data in found])
    if given.read:
        measured("fingerprints", lambda: [data.fingerprint() for data in found])


if __name__ == "__main__":
    main()
