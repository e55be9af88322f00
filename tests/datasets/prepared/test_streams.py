"""A cache holds whatever streams a data set has, one or three of other shapes; what cannot be one is named."""

import numpy as np
import pytest
from PIL import Image

from misnet.datasets import DataError, load_dataset
from misnet.datasets.prepared.cache import verify_cache
from misnet.datasets.prepared.checking import check
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.manifest import check_streams
from misnet.datasets.prepared.preparing import prepare
from misnet.datasets.prepared.preview import draw_preview
from misnet.datasets.registry import REGISTRY, Entry
from tests.misnet.toys.data import ENTRY, Triple


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(REGISTRY, "triple", ENTRY)


@pytest.mark.parametrize("names", [("touch",), ("words", "touch", "visual")])
def test_samples_are_those_of_the_data_set_bit_for_bit(tmp_path, names):
    manifest = prepare(tmp_path, Request("triple", timesteps=3, options={"names": list(names)}))
    assert manifest.settings["size"] == ENTRY.default_size
    assert {p.name for p in tmp_path.glob("train-*")} == {f"train-{name}.npy" for name in (*names, "labels")}
    for split in ("train", "test"):
        direct, cached = (
            load_dataset("triple", split, timesteps=3, data_dir=folder, names=list(names))
            for folder in (None, tmp_path)
        )
        assert list(cached.streams.items()) == list(direct.streams.items())
        assert cached.fingerprint() == direct.fingerprint()
        for i in range(len(direct)):
            assert len(cached[i]) == len(names) + 1
            for x, y in zip(direct[i], cached[i], strict=True):
                np.testing.assert_array_equal(x, y)
    assert verify_cache(tmp_path, "triple") == sum(path.stat().st_size for path in tmp_path.glob("*.npy"))
    with pytest.raises(ValueError, match=r"size: .* was prepared with 1, found 2"):
        load_dataset("triple", "train", timesteps=3, size=2, data_dir=tmp_path, names=list(names))
    with pytest.raises(ValueError, match=r"names: .* was prepared with .*touch.*, found \['visual'\]"):
        load_dataset("triple", "train", timesteps=3, data_dir=tmp_path, names=["visual"])


def test_what_is_in_two_splits_is_found_in_any_stream(monkeypatch):
    class Same(Triple):
        def __getitem__(self, index):
            touch, visual, words, label = super().__getitem__(index)
            if index == 4:
                words = np.arange(21.0).reshape(3, 7)
            return touch * (index != 5), visual, words, label  # zeros are no content, as silence is none

    monkeypatch.setitem(REGISTRY, "triple", Entry(Same, "", 1, 1))
    report = check(Request("triple", timesteps=3))
    assert report.duplicates == ["test sample 4: its words stream is that of a train sample, sample 4"]
    assert (report.faults, report.problems) == ([], 1)


def test_any_streams_are_drawn(tmp_path):
    assert draw_preview([load_dataset("triple", "train", timesteps=3)], tmp_path / "p.png", 4) == 4
    with Image.open(tmp_path / "p.png") as image:
        wide = image.size[0]
    assert draw_preview([load_dataset("triple", "train", timesteps=3, names=["touch"])], tmp_path / "p.png", 4) == 4
    with Image.open(tmp_path / "p.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 10
        assert wide == pytest.approx(3 * image.size[0], abs=3)


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ({"labels": (1,)}, "none 'labels'; found 'labels'"),
        ({"a/b": (1,)}, "expected names of letters, digits, - and _"),
        ({"..": (1,)}, "found '..'"),
        ({"": (1,)}, "found ''"),
        ({"a": ()}, r"expected a shape of whole numbers from 1 for a, found \[\]"),
        ({"a": (2, 0)}, r"for a, found \[2, 0\]"),
        ({"a": (2, True)}, r"for a, found \[2, True\]"),
    ],
)
def test_names_and_shapes_that_no_array_can_have(streams, message):
    with pytest.raises(ValueError, match=message):
        check_streams(streams)


def test_a_sample_of_another_shape_is_named(tmp_path, monkeypatch):
    class Odd(Triple):
        def __getitem__(self, index):
            touch, visual, words, label = super().__getitem__(index)
            return touch, visual, words[..., :5], label

    monkeypatch.setitem(REGISTRY, "triple", Entry(Odd, "", 1, 1))
    message = r"triple train sample 0: found words values of shape \(3, 5\), expected \(3, 7\)"
    with pytest.raises(DataError, match=message):
        prepare(tmp_path, Request("triple", timesteps=3))
