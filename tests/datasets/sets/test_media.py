"""What all data sets of files have in common: the layout of samples, files, fingerprints, and what is kept."""

import re

import numpy as np
import pytest

from misnet.datasets import DATASET_NAMES, BatchIterator, DataError, Subset, describe, load_dataset
from misnet.datasets.registry import REGISTRY
from tests.datasets.tiny_media import write_image, write_tone

MEDIA = ("cifar10-av", "urbansound8k-av", "crema-d", "ave", "folder")


@pytest.fixture
def pairs_dir(tmp_path):
    """Sounds and images of two classes, four each."""
    for name in ("cat", "dog"):
        for k in range(4):
            write_tone(tmp_path / "audio" / name / f"{k}.wav", hz=300 + 300 * k, seconds=0.5)
            write_image(tmp_path / "vision" / name / f"{k}.png", (60 * k, 0, 0))
    return tmp_path


def load(folder, split="train", **settings):
    return load_dataset("folder", split, data_dir=folder, **{"size": 16, "test_part": 0.25} | settings)


def test_all_are_registered_with_what_they_need():
    assert set(MEDIA) < set(DATASET_NAMES)
    for name in MEDIA:
        options = REGISTRY[name].options
        assert options["on_bad_sample"] == "error"
        assert {"spectrogram", "window", "key_frames", "fit"} < set(options)
        assert options["spectrogram"] == ("whole" if name in ("cifar10-av", "urbansound8k-av") else "aligned")
        assert REGISTRY[name].default_size == (96 if name in ("crema-d", "ave") else 64 if name == "folder" else 32)
        text = describe(name)
        assert "data_dir must hold" in text
        assert ("https://" in text) == (name != "folder")
        with pytest.raises(DataError, match=f"{name}: data_dir is not given; expected a folder with\n"):
            load_dataset(name, "train")
    assert "train, test, val" in describe("ave")


@pytest.mark.parametrize("name", MEDIA)
def test_an_empty_folder_says_what_is_missing(tmp_path, name):
    with pytest.raises(DataError, match=rf"^{re.escape(str(tmp_path))}: found "):
        load_dataset(name, "train", data_dir=tmp_path)


def test_batches_are_of_the_promised_layout(pairs_dir):
    train = load(pairs_dir, timesteps=3)
    (audio, video, labels) = next(iter(BatchIterator(train, 4, shuffle=False).epoch(0)))
    assert (audio.shape, video.shape) == ((3, 4, 16, 16, 1), (3, 4, 16, 16, 3))
    assert audio.dtype == video.dtype == np.float32
    assert labels.tolist() == train.labels[:4].tolist()
    assert len(train) == 6
    with pytest.raises(IndexError, match="folder train: expected an index from 0 to 5, found 6"):
        train[6]
    with pytest.raises(ValueError, match="read-only"):
        train.labels[0] = 3


def test_a_fingerprint_follows_settings_files_and_pairing(pairs_dir, tmp_path_factory):
    reference = load(pairs_dir).fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", reference)
    assert load(pairs_dir).fingerprint() == reference
    changes = (
        {"timesteps": 2},
        {"size": 8},
        {"spectrogram": "whole"},
        {"window": 0.5},
        {"fit": "stretch"},
        {"seed": 5},
    )
    assert len({reference, *(load(pairs_dir, **change).fingerprint() for change in changes)}) == 7
    assert load(pairs_dir, "test").fingerprint() != reference
    moved = tmp_path_factory.mktemp("moved") / "data"
    pairs_dir.rename(moved)
    assert load(moved).fingerprint() == reference
    path = next(p for p in load(moved).files(0) if p.suffix == ".wav")
    write_tone(path, hz=1234)
    assert load(moved).fingerprint() != reference


def test_a_subset_knows_its_files(pairs_dir):
    train = load(pairs_dir)
    subset = Subset(train, [3])
    assert subset.files(0) == train.files(3)
    assert [path.suffix for path in subset.files(0)] == [".wav", ".png"]


def test_skipping_leaves_the_others_as_they_were(pairs_dir):
    whole = load(pairs_dir)
    assert load(pairs_dir, on_bad_sample="skip").fingerprint() == whole.fingerprint()
    bad = next(path for path in whole.files(2) if path.suffix == ".png")
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=re.escape(str(bad))):
        whole[2]
    rest = load(pairs_dir, on_bad_sample="skip")
    assert rest.skipped == 1
    assert [s.key for s in rest.samples] == [s.key for i, s in enumerate(whole.samples) if i != 2]
    np.testing.assert_array_equal(rest[2][0], whole[3][0])
