"""A prepared cache is the data set itself, bit for bit, and anything else is refused by name."""

import json
import shutil

import numpy as np
import pytest

from misnet.datasets import BatchIterator, DataError, load_dataset
from misnet.datasets.prepared.cache import CachedDataset, verify_cache
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.manifest import MANIFEST, Manifest
from misnet.datasets.prepared.preparing import prepare
from tests.datasets.mutants import MUTANTS, mutant
from tests.datasets.tiny_events import write_event_digits

NAME = "mnist-dvs-ntidigits"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_event_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """A finished cache. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("cache")
    prepare(folder, Request(NAME, str(source), timesteps=2, size=16))
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copy")


def load(folder, split="train", **settings):
    return load_dataset(NAME, split, data_dir=folder, **{"timesteps": 2, **settings})


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_are_those_of_the_data_set_bit_for_bit(source, made, split):
    direct, cached = load(source, split, size=16), load(made, split)
    assert isinstance(cached, CachedDataset)
    assert (len(cached), cached.size, cached.timesteps) == (len(direct), 16, 2)
    assert list(cached.streams.items()) == [("audio", (2, 16, 16, 1)), ("visual", (2, 16, 16, 2))]
    assert cached.streams == direct.streams
    assert cached.streams["visual"].channels == 2
    assert cached.class_names == direct.class_names
    np.testing.assert_array_equal(cached.labels, direct.labels)
    assert cached.fingerprint() == direct.fingerprint()
    for i in range(len(direct)):
        for x, y in zip(direct[i], cached[i], strict=True):
            np.testing.assert_array_equal(x, y)
    for a, b in zip(BatchIterator(direct, 4).epoch(1), BatchIterator(cached, 4).epoch(1), strict=True):
        assert [x.tobytes() for x in a] == [y.tobytes() for y in b]


def test_arrays_are_mapped_and_samples_are_copies(made):
    cached = load(made)
    assert all(isinstance(array.base, np.memmap) for array in cached._arrays)
    audio, video, _ = cached[0]
    audio[:], video[:] = 0, 0
    assert cached[0][0].any()
    assert cached[0][1].any()
    assert not cached.labels.flags.writeable


def test_the_arrays_are_plain_npy_files(made):
    for name in ("train-audio", "train-visual", "test-labels"):
        x = np.load(made / f"{name}.npy", mmap_mode="r")
        assert x.shape[0] in (10, 20)


def test_a_limit_takes_the_same_samples_as_directly(source, made):
    a, b = load(source, size=16, limit=7), load(made, limit=7)
    np.testing.assert_array_equal(a.indices, b.indices)
    assert a.fingerprint() == b.fingerprint()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 32}, "size: .*cache.* was prepared with 16, found 32; ask for the same, or prepare another cache"),
        ({"timesteps": 4}, "timesteps: .* was prepared with 2, found 4"),
        ({"seed": 1}, "seed: .* was prepared with 0, found 1"),
        ({"slicing": "count"}, "slicing: .* was prepared with 'time', found 'count'"),
        ({"scale": "08"}, "scale: .* was prepared with 'all', found '08'"),
    ],
)
def test_other_settings_are_refused_by_name(made, settings, message):
    with pytest.raises(ValueError, match=message):
        load(made, **settings)


def test_the_same_settings_spelled_out_are_taken(made):
    assert len(load(made, size=16, seed=0, slicing="time", duration_ms=None, on_bad_sample="skip")) == 20


def test_another_data_set_is_refused(made):
    with pytest.raises(ValueError, match=f"is a prepared cache of {NAME}, found dialpad"):
        load_dataset("dialpad", "train", data_dir=made)


def test_verifying_reads_every_byte(copy):
    total = sum(path.stat().st_size for path in copy.glob("*.npy"))
    assert verify_cache(copy) == total
    for name in ("train-visual.npy", "test-labels.npy"):
        data = bytearray((copy / name).read_bytes())
        data[-1] ^= 1
        (copy / name).write_bytes(data)
    with pytest.raises(DataError, match=r"copy: train-visual.npy, test-labels.npy changed since preparing"):
        verify_cache(copy)


def test_a_fingerprint_is_of_the_content_and_a_stamp_of_the_files(copy):
    train, test = load(copy), load(copy, "test")
    fingerprint, stamp = train.fingerprint(), train.stamp()
    assert (fingerprint, stamp) == (load(copy).fingerprint(), load(copy).stamp())
    labels = copy / "train-labels.npy"
    content = bytearray(labels.read_bytes())
    content[-8] ^= 1  # another class, which is one
    labels.write_bytes(content)
    changed = load(copy)
    with pytest.raises(DataError, match=r"copy: train-labels\.npy changed since preparing"):
        changed.fingerprint()
    assert changed.stamp() != stamp
    assert test.fingerprint() == load(copy, "test").fingerprint()
    content[-8] ^= 1
    labels.write_bytes(content)
    assert load(copy).fingerprint() == fingerprint


@pytest.mark.parametrize("name", ["train-audio.npy", "train-visual.npy", "train-labels.npy"])
def test_an_array_of_another_size_or_header_is_refused_on_open(copy, name):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[:-1])
    with pytest.raises(DataError, match=rf"{name}: found {len(data) - 1} bytes, expected {len(data)} for shape \(20,"):
        load(copy)
    (copy / name).write_bytes(b"X" + data[1:])
    with pytest.raises(DataError, match=f"{name}: does not start with the header of a .npy file"):
        load(copy)
    (copy / name).unlink()
    with pytest.raises(DataError, match=f"{name}: cannot be read .No such file"):
        load(copy)


def test_labels_beyond_the_classes_are_refused(copy):
    data = bytearray((copy / "train-labels.npy").read_bytes())
    data[-8] = 10
    (copy / "train-labels.npy").write_bytes(data)
    with pytest.raises(DataError, match=r"train-labels.npy: found labels beyond 10 classes"):
        load(copy)


def changed(folder, **changes):
    """Write the manifest with changes and a checksum that fits."""
    manifest = Manifest.read(folder)
    for key, value in changes.items():
        setattr(manifest, key, value)
    manifest.write(folder)


def test_an_unfinished_cache_says_how_far_it_got(copy):
    manifest = Manifest.read(copy)
    manifest.splits["train"].chunks = manifest.splits["train"].chunks[:0]
    changed(copy, complete=False, splits=manifest.splits)
    with pytest.raises(DataError, match=r"was not finished \(0 of 20 train samples, 10 of 10 test samples\)"):
        load(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b"[1, 2]", 'found no "format": "snncore prepared cache"'),
        (b'{"format": "tar"}', 'found no "format"'),
        (b'{"format": "snncore prepared cache", "version": 3}', "found version 3, expected 1 or 2; prepare it again"),
        (b'{"format": "snncore prepared cache", "version": 2}', "the content does not match its checksum"),
        (b"[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_a_manifest_that_is_none(copy, content, message):
    (copy / MANIFEST).write_bytes(content)
    with pytest.raises(DataError, match=f"{MANIFEST}: {message}"):
        load(copy)


def test_a_manifest_changed_by_hand_or_missing(copy):
    content = json.loads((copy / MANIFEST).read_text())
    content["settings"]["seed"] = 5
    (copy / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(DataError, match="does not match its checksum: damaged, or changed by hand"):
        load(copy, seed=5)
    other = Manifest("x", {"size": 8}, {}, {}, splits={})
    other.write(copy)
    assert Manifest.read(copy) == other
    with pytest.raises(DataError, match=f"{MANIFEST}: no such file"):
        Manifest.read(copy / "none")


def test_mutants_of_the_manifest_are_refused_or_read_rightly(made, tmp_path):
    original = (made / MANIFEST).read_bytes()
    right = Manifest.read(made)
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(MUTANTS):
        (tmp_path / MANIFEST).write_bytes(mutant(original, rng))
        try:
            found = Manifest.read(tmp_path)
        except DataError as error:
            refused += str(tmp_path / MANIFEST) in str(error)
            continue
        refused += found != right
        assert found == right  # only white space was changed
    assert refused > MUTANTS // 2
