"""Loading by name: limits, and each argument that can be wrong."""

import re

import numpy as np
import pytest

from misnet.datasets import DATASET_NAMES, AudioVisualDataset, DataError, Stream, Subset, describe, load_dataset
from misnet.datasets.registry import REGISTRY, default_epochs, register


def small(split="test", **settings):
    return load_dataset("dialpad", split, timesteps=1, size=8, **settings)


def test_names_and_descriptions():
    assert DATASET_NAMES[:2] == ("dialpad", "mnist-fsdd")
    assert "no download" in describe("dialpad")
    assert "needs no files" in describe("dialpad")
    text = describe("mnist-fsdd")
    for part in ("train-images-idx3-ubyte", "fsdd/recordings", "on_bad_sample='error'", "size 16"):
        assert part in text


def test_defaults():
    dataset = load_dataset("dialpad", "test")
    assert isinstance(dataset, AudioVisualDataset)
    assert (dataset.timesteps, dataset.size, dataset.audio_channels, dataset.skipped) == (4, 8, 1, 0)
    assert dataset.streams == {"audio": Stream(4, 8, 8, 1), "visual": Stream(4, 8, 8, 1)}
    assert dataset.streams["visual"].height == 8


def test_every_data_set_says_how_many_epochs_a_run_has():
    epochs = {"dialpad": 5, "mnist-fsdd": 8, "cifar10-av": 30, "urbansound8k-av": 30, "crema-d": 60, "ave": 60}
    epochs |= {"folder": 30, "mnist-dvs-ntidigits": 10}
    assert {name: default_epochs(name) for name in epochs} == epochs
    assert all(default_epochs(name) >= 1 for name in REGISTRY)


def test_a_data_set_of_ones_own_is_loaded_by_name_and_takes_no_other_s_place(monkeypatch):
    monkeypatch.setattr("misnet.datasets.registry.REGISTRY", dict(REGISTRY))
    register("mine", REGISTRY["dialpad"])
    assert load_dataset("mine", "test", timesteps=1, size=8, limit=3).name == "dialpad"
    with pytest.raises(ValueError, match="name: expected one that is not taken, found 'dialpad'"):
        register("dialpad", REGISTRY["dialpad"])


def test_limit_is_a_seeded_subset_in_order_and_nested():
    whole, ten, twenty = small(), small(limit=10), small(limit=20)
    assert isinstance(ten, Subset)
    assert len(ten) == 10
    assert (np.diff(ten.indices) > 0).all()
    assert ten.indices.tolist() != list(range(10))
    assert set(ten.indices) < set(twenty.indices)
    assert small(limit=10).indices.tolist() == ten.indices.tolist()
    assert small(limit=10, seed=1).indices.tolist() != ten.indices.tolist()
    np.testing.assert_array_equal(ten[3][0], whole[int(ten.indices[3])][0])


@pytest.mark.parametrize("limit", [360, 5000, None])
def test_limit_beyond_the_data_takes_all(limit):
    assert len(small(limit=limit)) == 360


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("dialpod", "train"), {}, "name: expected a data set among dialpad, mnist-fsdd"),
        (("dialpad", "val"), {}, "split: expected one of train, test for dialpad, found 'val'"),
        (("dialpad", "train"), {"limit": 0}, "limit: expected at least 1 sample, found 0"),
        (("dialpad", "train"), {"fsdd_split": "index"}, "dialpad has no option fsdd_split; expected some of lost"),
        (("mnist-fsdd", "train"), {"lost": 0.1}, "mnist-fsdd has no option lost; expected some of fsdd_split"),
        (("dialpad", "train"), {"timesteps": 0}, "timesteps: expected at least 1, found 0"),
        (("dialpad", "train"), {"size": 4}, "size: expected 8 to 64 for dialpad, found 4"),
        (("dialpad", "train"), {"lost": 0.7}, "lost: expected a probability from 0 to 0.5, found 0.7"),
        (("dialpad", "train"), {"frame_lost": 2}, "frame_lost"),
        (("dialpad", "train"), {"image_noise": -1}, "image_noise"),
        (("dialpad", "train"), {"noise_db": (0, -9)}, "noise_db"),
    ],
)
def test_wrong_argument_is_named(arguments, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_dataset(*arguments, **settings)


def test_unknown_name_to_describe():
    with pytest.raises(ValueError, match="found 'x'"):
        describe("x")


def test_missing_data_dir_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match=r"(?s)mnist-fsdd: data_dir is not given.*idx3-ubyte.*free-spoken-digit"):
        load_dataset("mnist-fsdd", "train")
    with pytest.raises(DataError, match=r"(?s)nowhere: no such folder.*fsdd/recordings"):
        load_dataset("mnist-fsdd", "train", data_dir=tmp_path / "nowhere")


def test_a_folder_for_a_set_that_needs_none_is_not_passed_over(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(
            DataError, match=f"{folder}: no prepared cache; expected one, or none at all: dialpad needs"
        ):
            load_dataset("dialpad", "test", data_dir=folder, timesteps=1, size=8)
