"""Damaged files give a right result or an error that names them, in a process of their own: 50 of each kind here.

FUZZ_MUTANTS=2000 runs more. What a mutant is: `tests.datasets.fuzzing`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from misnet.datasets import DataError
from tests.datasets import fuzzing
from tests.datasets.conftest import real_folder

pytest.importorskip("av")
pytest.importorskip("h5py")
ROOT = Path(__file__).parents[2]
MUTANTS = int(os.environ.get("FUZZ_MUTANTS", 50))


GROUPS = (
    ("sound", "flv", "mpg"),
    ("batch", "archive", "archive-images"),
    ("crema-d-split", "ave-annotations", "ave-order", "urbansound8k-metadata", "esc50-metadata"),
    ("made-sound", "made-video", "made-batch", "image"),
)


def test_each_parser_is_in_a_group():
    assert sorted(name for group in GROUPS for name in group) == sorted(fuzzing.PARSERS)


@pytest.mark.slow
@pytest.mark.parametrize("names", GROUPS, ids="+".join)
def test_damaged_files_are_read_or_refused(names):
    real = any(fuzzing.PARSERS[name].real for name in names)
    folder = real_folder("samples") / "samples" if real else "-"
    command = [sys.executable, "-m", "tests.datasets.fuzzing", ",".join(names), str(MUTANTS), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120 + MUTANTS)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["parser"] for row in rows] == list(names)
    for row in rows:
        assert row["read"] + row["refused"] == row["mutants"] == MUTANTS
        assert row["refused"] > 0
        assert row["grown_MiB"] < 400
        assert row["peak_to_size"] <= 4  # of the formats that declare sizes


def fuzz_bytes(monkeypatch, tmp_path, read, declares_sizes=False):
    (tmp_path / "seed.bin").write_bytes(bytes(2000))
    parser = fuzzing.Parser(read, made=lambda folder: [tmp_path / "seed.bin"], declares_sizes=declares_sizes)
    monkeypatch.setitem(fuzzing.PARSERS, "wrong", parser)
    return fuzzing.fuzz("wrong", 20, Path("-"))


def unless_whole(path, error):
    """What a parser does that reads the whole file well and fails on every damaged one."""
    if path.name != "seed.bin":
        raise error


def test_a_parser_that_lets_another_error_through_is_caught(monkeypatch, tmp_path):
    with pytest.raises(KeyError):
        fuzz_bytes(monkeypatch, tmp_path, lambda path: unless_whole(path, KeyError("x")))


def test_a_message_without_the_file_is_caught(monkeypatch, tmp_path):
    with pytest.raises(AssertionError, match="does not name the file"):
        fuzz_bytes(monkeypatch, tmp_path, lambda path: unless_whole(path, DataError("damaged")))


def test_a_parser_that_hangs_or_believes_a_size_is_caught(monkeypatch, tmp_path):
    monkeypatch.setattr(fuzzing, "SECONDS", 0.0)
    with pytest.raises(AssertionError, match="took"):
        fuzz_bytes(monkeypatch, tmp_path, lambda path: None)
    monkeypatch.setattr(fuzzing, "SECONDS", 10.0)
    counts = fuzz_bytes(monkeypatch, tmp_path, lambda path: np.zeros(1 << 20, np.uint8).sum(), declares_sizes=True)
    assert counts["peak_to_size"] > 4


def test_mutants_differ_from_the_file_and_repeat():
    data = bytes(range(256)) * 8
    mutants = [fuzzing.mutate(data, np.random.default_rng(seed)) for seed in range(50)]
    assert sum(mutant != data for mutant in mutants) >= 45
    assert len(set(mutants)) >= 45
    assert mutants[7] == fuzzing.mutate(data, np.random.default_rng(7))
