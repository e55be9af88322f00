"""Subset and the content hash."""

import os
from pathlib import Path

import numpy as np
import pytest

from misnet.datasets import AudioVisualDataset, Subset, load_dataset
from misnet.datasets.base import content_hash


@pytest.fixture(scope="module")
def dialpad():
    return load_dataset("dialpad", "test", timesteps=1, size=8)


def test_subset_is_the_samples_at_its_indices(dialpad):
    subset = Subset(dialpad, [5, 2, 300])
    assert len(subset) == 3
    assert subset.labels.tolist() == [dialpad.labels[i] for i in (5, 2, 300)]
    for j, i in enumerate((5, 2, 300)):
        for found, expected in zip(subset[j], dialpad[i], strict=True):
            np.testing.assert_array_equal(found, expected)
    for attribute in ("name", "split", "class_names", "timesteps", "size", "audio_channels", "visual_channels"):
        assert getattr(subset, attribute) == getattr(dialpad, attribute)


class Recorded(AudioVisualDataset):
    """Two samples with a file and a speaker each."""

    name, split, class_names, timesteps, size, visual_channels = "recorded", "train", ("a",), 1, 8, 1
    labels = np.zeros(2, dtype=np.int64)

    def __getitem__(self, index):
        raise NotImplementedError

    def fingerprint(self):
        return "0" * 64

    def files(self, index):
        return (Path(f"{self.checked(index)}.wav"),)

    def group(self, index):
        return ("ann", "bob")[self.checked(index)]


def test_files_and_group_are_none_by_default_and_checked(dialpad):
    assert dialpad.files(359) == ()
    assert dialpad.group(359) is None
    for method in (dialpad.files, dialpad.group):
        with pytest.raises(IndexError, match="found 360"):
            method(360)


def test_subset_forwards_files_and_group():
    subset = Subset(Recorded(), [1])
    assert subset.files(0) == (Path("1.wav"),)
    assert subset.group(0) == "bob"
    for method in (subset.files, subset.group):
        with pytest.raises(IndexError, match="0 to 0, found 1"):
            method(1)


def test_index_out_of_range_is_named(dialpad):
    subset = Subset(dialpad, [5, 2])
    for bad in (2, -1):
        with pytest.raises(IndexError, match=f"0 to 1, found {bad}"):
            subset[bad]
    with pytest.raises(IndexError, match="0 to 359, found 360"):
        Subset(dialpad, [0, 360])


def test_subset_s_fingerprint_changes_with_indices(dialpad):
    prints = {dialpad.fingerprint(), *(Subset(dialpad, i).fingerprint() for i in ([1, 2], [2, 1], [1]))}
    assert len(prints) == 4
    assert Subset(dialpad, [1, 2]).fingerprint() == Subset(dialpad, [1, 2]).fingerprint()


def test_labels_are_read_only(dialpad):
    for labels in (dialpad.labels, Subset(dialpad, [1]).labels):
        with pytest.raises(ValueError, match="read-only"):
            labels[0] = 3


def test_content_hash_takes_names_that_are_no_unicode(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    try:
        path.write_bytes(b"1")
    except OSError:
        pytest.skip("this file system takes Unicode alone")
    (tmp_path / "caf\u00e9.wav").write_bytes(b"1")
    assert content_hash({}, [path]) != content_hash({}, [tmp_path / "caf\u00e9.wav"])


def test_content_hash_feels_names_contents_settings_and_arrays(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"12")
    b.write_bytes(b"34")
    ones = np.ones(4, np.float32)
    reference = content_hash({"x": 1, "y": 2}, [a, b], [ones])
    assert len(reference) == 64
    assert content_hash({"y": 2, "x": 1}, [a, b], [ones]) == reference
    others = {
        content_hash({"x": 1, "y": 3}, [a, b], [ones]),
        content_hash({"x": 1, "y": 2}, [b, a], [ones]),
        content_hash({"x": 1, "y": 2}, [a], [ones]),
        content_hash({"x": 1, "y": 2}, [a, b], [ones.reshape(2, 2)]),
    }
    a.write_bytes(b"1")  # the same bytes one after another, cut elsewhere
    b.write_bytes(b"234")
    others.add(content_hash({"x": 1, "y": 2}, [a, b], [ones]))
    assert len(others - {reference}) == 5
