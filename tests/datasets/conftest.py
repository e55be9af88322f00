"""Tiny data sets on disk, and the real ones where they are present."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.tiny_files import IDX, write_idx, write_recording


@pytest.fixture
def digits_dir(tmp_path):
    """MNIST with 40 + 20 images of 28x28, and recordings 0, 1 (test), 5, 6 (train) of each digit by two speakers."""
    rng = np.random.default_rng(7)
    for split, n in (("train", 40), ("test", 20)):
        labels = (np.arange(n) * 7 % 10).astype(np.uint8)
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / "mnist" / (IDX[split, "images"] + ".gz"), images, compress=True)
        write_idx(tmp_path / "mnist" / IDX[split, "labels"], labels)
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for index in (0, 1, 5, 6):
                write_recording(tmp_path / f"fsdd/recordings/{digit}_{speaker}_{index}.wav", digit)
    return tmp_path


def real_folder(*needed):
    """The folder with real data, if it has the folders that are needed; the test is skipped where it has not."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("SNNCORE_TEST_DATA", default))
    if absent := [name for name in needed if not (folder / name).is_dir()]:
        pytest.skip(f"no real data: {folder} has no {absent[0]}; set SNNCORE_TEST_DATA")
    return folder


@pytest.fixture
def real_data():
    """The folder with the real MNIST and FSDD files."""
    return real_folder("mnist", "fsdd")


@pytest.fixture
def samples():
    """The folder with one or a few real files of each format."""
    return real_folder("samples") / "samples"
