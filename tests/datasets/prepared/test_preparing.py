"""Filling a cache: in one process or two, stopped and gone on with, with bad samples, full disks and changed minds."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from misnet.datasets import DataError, load_dataset
from misnet.datasets.base import MissingPackage
from misnet.datasets.prepared import decoding, preparing
from misnet.datasets.prepared.cache import verify_cache
from misnet.datasets.prepared.checking import check
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.manifest import MANIFEST, Manifest
from misnet.datasets.prepared.preparing import Interrupted, prepare
from tests.datasets.sets.test_mnist_dvs_ntidigits import damage
from tests.datasets.tiny_events import write_event_digits
from tests.datasets.tiny_files import LFS_POINTER

NAME = "mnist-dvs-ntidigits"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_event_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def request_of(source):
    def make(data_dir=source, **settings):
        return Request(NAME, str(data_dir), **{"timesteps": 2, "size": 16, **settings})

    return make


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(preparing, "CHUNK_SAMPLES", 3)


def arrays(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npy"))}


def same_as_direct(folder, source, size=16):
    for split in ("train", "test"):
        settings = {"timesteps": 2, "size": size}
        direct, cached = (load_dataset(NAME, split, data_dir=f, **settings) for f in (source, folder))
        assert len(direct) == len(cached)
        for i in range(len(direct)):
            for x, y in zip(direct[i], cached[i], strict=True):
                np.testing.assert_array_equal(x, y)


def test_two_processes_give_the_same_bytes(request_of, tmp_path, small_chunks):
    calls = []
    one = prepare(tmp_path / "one", request_of(), advance=lambda *a: calls.append(a))
    assert [len(r.chunks) for r in one.splits.values()] == [7, 4]
    assert calls[0] == ("train", 0, 20)
    assert calls[7:9] == [("train", 20, 20), ("test", 0, 10)]
    assert calls[-1] == ("test", 10, 10)
    two = prepare(tmp_path / "two", request_of(), jobs=2)
    assert two.splits == one.splits
    assert arrays(tmp_path / "one") == arrays(tmp_path / "two")
    assert verify_cache(tmp_path / "two") > 0
    assert {p.name for p in (tmp_path / "one").iterdir()} == {*arrays(tmp_path / "one"), MANIFEST, ".lock"}


def test_stopped_after_every_chunk_it_goes_on(request_of, source, tmp_path, small_chunks):
    for done in (3, 6, 9, 12, 15, 18):
        with pytest.raises(Interrupted, match=f"c: stopped after {done} of 20 train samples"):
            prepare(tmp_path / "c", request_of(), stop=iter([False, True]).__next__)
        with pytest.raises(DataError, match=rf"was not finished \({done} of 20 train samples, 0 of 10 test samples\)"):
            load_dataset(NAME, "train", data_dir=tmp_path / "c", timesteps=2)
    with pytest.raises(Interrupted, match="stopped after 3 of 10 test samples"):
        prepare(tmp_path / "c", request_of(), stop=iter([False, False, True]).__next__)
    assert prepare(tmp_path / "c", request_of()).complete
    same_as_direct(tmp_path / "c", source)


def test_a_finished_cache_is_left_as_it_is(request_of, tmp_path):
    first = prepare(tmp_path / "c", request_of())
    before = arrays(tmp_path / "c"), (tmp_path / "c" / MANIFEST).read_bytes()
    calls = []
    assert prepare(tmp_path / "c", request_of(), advance=lambda *a: calls.append(a)) == first
    assert calls == [("train", 20, 20), ("test", 10, 10)]
    assert (arrays(tmp_path / "c"), (tmp_path / "c" / MANIFEST).read_bytes()) == before


def test_what_is_not_noted_in_the_manifest_is_not_believed(request_of, source, tmp_path, small_chunks):
    """As after a kill between the writing of rows and the note of it: the rows are decoded again."""
    with pytest.raises(Interrupted):
        prepare(tmp_path / "c", request_of(), stop=iter([False, False, True]).__next__)
    path = tmp_path / "c" / "train-visual.npy"
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = b"\xff" * (len(data) - half)  # half-written rows of chunks that were under way
    path.write_bytes(data)
    prepare(tmp_path / "c", request_of())
    same_as_direct(tmp_path / "c", source)


def test_rows_that_changed_before_the_end_are_found_and_made_again(request_of, source, tmp_path, small_chunks):
    with pytest.raises(Interrupted):
        prepare(tmp_path / "c", request_of(), stop=iter([False, False, True]).__next__)
    path = tmp_path / "c" / "train-audio.npy"
    data = bytearray(path.read_bytes())
    data[200] ^= 1  # in the first chunk
    path.write_bytes(data)
    with pytest.raises(DataError, match="1 chunks of the train split are not on disk as written; run the command aga"):
        prepare(tmp_path / "c", request_of())
    prepare(tmp_path / "c", request_of())
    same_as_direct(tmp_path / "c", source)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 32}, "size: .* was prepared with 16, found 32; ask for the same, or choose another folder"),
        ({"timesteps": 3}, "timesteps: .* was prepared with 2, found 3"),
        ({"seed": 4}, "seed: .* was prepared with 0, found 4"),
        ({"options": {"oh": True}}, "oh: .* was prepared with False, found True"),
        ({"on_bad_sample": "skip"}, "on_bad_sample: .* was prepared with 'error', found 'skip'"),
    ],
)
def test_settings_are_not_mixed(request_of, tmp_path, small_chunks, settings, message):
    with pytest.raises(Interrupted):
        prepare(tmp_path / "c", request_of(), stop=iter([False, True]).__next__)
    before = arrays(tmp_path / "c")
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path / "c", request_of(**settings))
    assert arrays(tmp_path / "c") == before


def test_versions_are_not_mixed_while_it_is_unfinished(request_of, tmp_path, small_chunks, monkeypatch):
    with pytest.raises(Interrupted):
        prepare(tmp_path / "c", request_of(), stop=iter([False, True]).__next__)
    versions = preparing._versions()
    monkeypatch.setattr(preparing, "_versions", lambda: versions | {"numpy": "9.9"})
    with pytest.raises(ValueError, match=r"numpy: .* was prepared with '\d.*', found '9.9'"):
        prepare(tmp_path / "c", request_of())
    monkeypatch.undo()
    prepare(tmp_path / "c", request_of())
    monkeypatch.setattr(preparing, "_versions", lambda: versions | {"numpy": "9.9"})
    assert prepare(tmp_path / "c", request_of()).versions["numpy"] != "9.9"


def test_files_that_changed_meanwhile_are_refused(request_of, source, tmp_path, small_chunks):
    copy = shutil.copytree(source, tmp_path / "digits")
    with pytest.raises(Interrupted):
        prepare(tmp_path / "c", request_of(copy), stop=iter([False, True]).__next__)
    path = next((copy / "mnist-dvs").rglob("*0009.aedat"))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="the files of the train split are not those that it was prepared from"):
        prepare(tmp_path / "c", request_of(copy))


def test_a_bad_sample_stops_and_what_is_finished_is_kept(request_of, source, tmp_path, small_chunks):
    copy = shutil.copytree(source, tmp_path / "digits")
    name, _ = damage(copy)
    with pytest.raises(DataError, match=f"{name}: truncated"):
        prepare(tmp_path / "c", request_of(copy))
    assert Manifest.read(tmp_path / "c").splits["train"].done() == 6  # sample 6 is the bad one


def test_bad_samples_are_left_out_by_name(request_of, source, tmp_path, small_chunks):
    copy = shutil.copytree(source, tmp_path / "digits")
    name, _ = damage(copy)
    manifest = prepare(tmp_path / "c", request_of(copy, on_bad_sample="skip"))
    reasons = manifest.splits["train"].skipped()
    assert name in reasons[6]
    cached = load_dataset(NAME, "train", data_dir=tmp_path / "c", timesteps=2)
    assert len(cached) == 20 - len(reasons)
    assert cached.skipped == len(reasons)
    assert cached.skipped_reasons == tuple(reasons.values())
    direct = load_dataset(NAME, "train", data_dir=copy, timesteps=2, size=16)
    kept = [i for i in range(20) if i not in reasons]
    for row, i in enumerate(kept):
        np.testing.assert_array_equal(direct[i][1], cached[row][1])
        assert direct.labels[i] == cached.labels[row]
    assert cached.fingerprint() != direct.fingerprint()


def test_what_a_data_set_leaves_out_by_itself_is_named_too(digits_dir, tmp_path):
    (digits_dir / "fsdd/recordings/3_ann_5.wav").write_bytes(LFS_POINTER)
    request = Request("mnist-fsdd", str(digits_dir), size=16)
    with pytest.raises(DataError, match=r"3_ann_5.wav: this is a Git LFS pointer"):
        prepare(tmp_path / "c", request)
    request = Request("mnist-fsdd", str(digits_dir), size=16, on_bad_sample="skip")
    manifest = prepare(tmp_path / "c", request)
    assert ["3_ann_5.wav: this is a Git LFS pointer" in why for why in manifest.splits["train"].left_out] == [True]
    cached = load_dataset("mnist-fsdd", "train", data_dir=tmp_path / "c")
    assert (len(cached), cached.skipped) == (40, 1)


def test_a_missing_package_is_not_skipped_over(request_of, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    for action in (lambda r: prepare(tmp_path / "c", r), check, lambda r: r.load("train")):
        with pytest.raises(MissingPackage, match=r"h5py, which is not installed; install it with: pip install"):
            action(request_of(on_bad_sample="skip"))


@pytest.mark.parametrize("where", ["rows", "manifest", "arrays"])
def test_a_full_disk_is_said_and_gone_on_from(request_of, source, tmp_path, small_chunks, monkeypatch, where):
    left = [4]

    def filling(real):
        def call(*arguments):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments)

        return call

    if where == "rows":
        left[0] = 12  # six for two arrays of three chunks, and so on
        monkeypatch.setattr(decoding, "write_rows", filling(decoding.write_rows))
    elif where == "manifest":
        monkeypatch.setattr(Manifest, "write", filling(Manifest.write))
    else:
        monkeypatch.setattr(preparing, "make_array", filling(preparing.make_array))
    with pytest.raises(DataError, match=r"c: no space left on the disk; what is finished is kept: make room, and run"):
        prepare(tmp_path / "c", request_of())
    kept = Manifest.read(tmp_path / "c").splits["train"].done() if where != "arrays" else 0
    assert kept == {"rows": 18, "manifest": 9, "arrays": 0}[where]
    left[0] = 10**6
    seen = []
    prepare(tmp_path / "c", request_of(), advance=lambda *a: seen.append(a))
    assert seen[0] == ("train", kept, 20)
    same_as_direct(tmp_path / "c", source)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs, which Linux has")
def test_a_disk_that_is_really_full(request_of, source, tmp_path, small_chunks):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root and a kernel that lets it")
    try:
        with pytest.raises(DataError, match="no space left on the disk; what is finished is kept"):
            prepare(small / "c", request_of(size=32))
        assert 0 < Manifest.read(small / "c").splits["train"].done() < 20
        subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
        prepare(small / "c", request_of(size=32))
        same_as_direct(small / "c", source, size=32)
    finally:
        decoding.forget()
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_wrong_arguments(request_of, made_file, tmp_path):
    with pytest.raises(ValueError, match="jobs: expected at least 1, found 0"):
        prepare(tmp_path / "c", request_of(), jobs=0)
    with pytest.raises(ValueError, match=r"holds notes.txt and no cache-manifest.json; expected an empty folder or a"):
        prepare(made_file.parent, request_of())
    assert made_file.read_text() == "mine"
    prepare(tmp_path / "c", request_of())
    with pytest.raises(
        ValueError, match=r"data_dir: .* is a prepared cache; expected the files of mnist-dvs-ntidigits"
    ):
        prepare(tmp_path / "d", request_of(tmp_path / "c"))


@pytest.fixture
def made_file(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    return tmp_path / "other/notes.txt"


def test_another_process_at_work_in_the_folder_is_noticed(request_of, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "c").mkdir()
    with open(tmp_path / "c/.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="c: another process is preparing into this folder"):
            prepare(tmp_path / "c", request_of())
    prepare(tmp_path / "c", request_of())
    assert json.loads((tmp_path / "c" / MANIFEST).read_text())["complete"] is True


def test_a_sample_that_is_not_finite_is_named(request_of, tmp_path, monkeypatch):
    real = decoding.loaded

    class Poisoned:
        def __init__(self, dataset):
            self.dataset = dataset

        def __getattr__(self, name):
            return getattr(self.dataset, name)

        def __len__(self):
            return len(self.dataset)

        def __getitem__(self, index):
            audio, video, label = self.dataset[index]
            return audio * (np.nan if index == 5 else 1), video, label

    monkeypatch.setattr(decoding, "loaded", lambda *a: Poisoned(real(*a)))
    with pytest.raises(DataError, match=r"scale04_0011.aedat: found audio values that are NaN or infinite"):
        prepare(tmp_path / "c", request_of())
