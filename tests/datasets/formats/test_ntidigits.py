"""The HDF5 file of N-TIDIGITS: made here by its public layout, as no real one is at hand; damage and mutants."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.base import MissingPackage
from misnet.datasets.formats.ntidigits import read_labels, read_spikes
from tests.datasets.mutants import MUTANTS
from tests.datasets.tiny_events import spoken, write_ntidigits
from tests.tools.command_line import ROOT, environment

h5py = pytest.importorskip("h5py")
NAME = "woman-ae-a-3"


@pytest.fixture
def path(tmp_path):
    """A file with two training recordings and a test one."""
    rng = np.random.default_rng(0)
    train = {NAME: ([0.5, 0.000002, 0.25], [0, 63, 5]), "man-ab-b-z1o": spoken(rng, 1)}
    write_ntidigits(tmp_path / "n.hdf5", {"train": train, "test": {"man-cc-a-o": spoken(rng, 0)}})
    return tmp_path / "n.hdf5"


def test_names_and_spikes(path):
    assert read_labels(path, "train") == [NAME, "man-ab-b-z1o"]
    assert read_labels(path, "test") == ["man-cc-a-o"]
    t, channel = read_spikes(path, "train", NAME)
    assert (t.tolist(), channel.tolist()) == ([2, 250_000, 500_000], [63, 5, 0])
    assert (t.dtype, channel.dtype) == (np.int64, np.uint8)


def test_names_as_strings_of_any_length_and_compressed_chunks(tmp_path):
    path = tmp_path / "n.hdf5"
    t = np.linspace(0, 1, 5000)
    write_ntidigits(path, {"train": {NAME: (t, np.arange(5000) % 64)}}, compression="gzip", chunks=(500,))
    with h5py.File(path, "a") as file:
        del file["train_labels"]
        file["train_labels"] = [NAME]
        file["padding"] = np.random.default_rng(0).integers(0, 256, 50_000, dtype=np.uint8)
    assert read_labels(path, "train") == [NAME]
    assert len(read_spikes(path, "train", NAME)[0]) == 5000


@pytest.mark.parametrize(
    ("seconds", "channels", "message"),
    [
        ([0.1, 0.2], [1, 64], "found channels from 1 to 64, expected 0 to 63"),
        ([0.1, -0.2], [1, 2], "found times from -0.2 to 0.1 s, expected 0 to 600"),
        ([0.1, np.nan], [1, 2], "found times from nan to nan s"),
        ([0.1, 601], [1, 2], "found times from 0.1 to 601.0 s"),
        ([], [], ".*, expected one of each for every spike, and at least one"),
        ([0.1, 0.2], [1], r"found addresses of shape \(1,\) and timestamps of shape \(2,\)"),
    ],
)
def test_spikes_that_cannot_be(tmp_path, seconds, channels, message):
    write_ntidigits(tmp_path / "n.hdf5", {"train": {NAME: (seconds, channels)}})
    with pytest.raises(DataError, match=f"n.hdf5: {NAME}: {message}"):
        read_spikes(tmp_path / "n.hdf5", "train", NAME)


def test_what_is_missing_is_named(path, tmp_path):
    with pytest.raises(DataError, match=r"n\.hdf5: cannot read train_addresses/man-zz-a-1"):
        read_spikes(path, "train", "man-zz-a-1")
    with pytest.raises(DataError, match=r"none\.hdf5: no such file"):
        read_labels(tmp_path / "none.hdf5", "train")
    (tmp_path / "text.hdf5").write_text("not HDF5 at all")
    with pytest.raises(DataError, match=r"text\.hdf5: found text that begins with 'not HDF5 at all'"):
        read_labels(tmp_path / "text.hdf5", "train")
    with h5py.File(path, "a") as file:
        del file["test_labels"]
        file["test_labels/group"] = 1
    with pytest.raises(DataError, match=r"n\.hdf5: found a group or nothing under test_labels"):
        read_labels(path, "test")


@pytest.mark.parametrize("name", ["woman-ae-a-x", "3", "woman-ae-a-"])
def test_a_name_of_another_form(tmp_path, name):
    write_ntidigits(tmp_path / "n.hdf5", {"train": {name: ([0.1], [1])}})
    with pytest.raises(DataError, match=f"found '{name}' among train_labels, expected names such as 'woman-ae-a-3'"):
        read_labels(tmp_path / "n.hdf5", "train")


def test_an_array_that_declares_more_than_the_file_holds_is_not_made(path):
    with h5py.File(path, "a") as file:
        del file[f"train_addresses/{NAME}"]
        file.create_dataset(f"train_addresses/{NAME}", shape=(10**11,), chunks=(1000,), dtype=np.uint8)
    with pytest.raises(DataError, match="declares 100000000000 bytes, more than the file's"):
        read_spikes(path, "train", NAME)


def test_memory_stays_below_four_times_the_file(tmp_path):
    path, n = tmp_path / "n.hdf5", 200_000
    rng = np.random.default_rng(0)
    write_ntidigits(path, {"train": {NAME: (rng.uniform(0, 5, n), rng.integers(0, 64, n))}})  # in no order, the worst
    read_labels(path, "train")  # imports
    tracemalloc.start()
    try:
        assert len(read_spikes(path, "train", NAME)[0]) == n
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * path.stat().st_size


def test_without_h5py_it_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackage, match=r'needs h5py, .* pip install -e "\.\[events\]"'):
        read_labels(path, "train")


MUTATE = """
import sys, resource
import numpy as np
from misnet.datasets import DataError
from misnet.datasets.base import MissingPackage
from misnet.datasets.formats.ntidigits import read_labels, read_spikes
from tests.datasets.mutants import mutant

resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
path, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
original = open(path, "rb").read()
rng = np.random.default_rng(seed)
refused = 0
for i in range(count):
    open(path, "wb").write(mutant(original, rng))
    try:
        for name in read_labels(path, "train"):
            t, channel = read_spikes(path, "train", name)
            assert len(t) == len(channel) and (t[1:] >= t[:-1]).all() and channel.max() < 64
    except DataError as error:
        assert path in str(error), error
        refused += 1
print(count, refused)
"""


def test_mutants_are_refused_or_read(path):
    """In a process of its own with 2 GiB to live in: damaged HDF5 could take the process down."""
    arguments = [sys.executable, "-c", MUTATE, path, str(MUTANTS), "5"]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    count, refused = map(int, done.stdout.split())
    assert count == MUTANTS
    assert refused > MUTANTS // 4
