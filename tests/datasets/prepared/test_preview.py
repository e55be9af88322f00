"""The picture of samples: which are drawn, and that frames and spectrograms are where they belong."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from misnet.datasets import DataError, load_dataset
from misnet.datasets.prepared.preview import as_pictures, draw_preview, draw_stream, pick_samples
from misnet.training.plots import make_figure
from tests.datasets.sets.test_mnist_dvs_ntidigits import damage
from tests.datasets.tiny_events import write_event_digits


def test_each_class_is_picked_before_a_second_of_any():
    data = load_dataset("dialpad", "test", timesteps=1)
    picked = pick_samples(data, 13)
    assert data.labels[picked].tolist() == [*range(10), 0, 1, 2]
    assert len(set(picked)) == 13
    assert data.labels[pick_samples(data, 4, first=8)].tolist() == [8, 9, 0, 1]
    assert pick_samples(data, 5) == pick_samples(data, 5)
    assert pick_samples(data, 5) != pick_samples(data, 5, seed=1)
    assert sorted(pick_samples(data, 1000)) == list(range(360))


def test_frames_become_colours():
    gray = as_pictures(np.array([-1.0, 1.0]).reshape(1, 1, 2, 1))
    assert gray.tolist() == [[[[0, 0, 0], [1, 1, 1]]]]
    rgb = np.random.default_rng(0).random((2, 3, 3, 3))
    np.testing.assert_allclose(as_pictures(rgb), (rgb - rgb.min()) / np.ptp(rgb))
    events = as_pictures(np.array([[0.0, 4.0], [2.0, 0.0]]).reshape(1, 1, 2, 2))  # OFF, ON
    assert events.tolist() == [[[[1, 0, 0], [0, 0, 0.5]]]]
    assert not as_pictures(np.ones((1, 2, 2, 1))).any()


def test_a_picture_of_both_splits(tmp_path):
    splits = [load_dataset("dialpad", split, timesteps=3) for split in ("train", "test")]
    assert draw_preview(splits, tmp_path / "p.png", count=5) == 5
    with Image.open(tmp_path / "p.png") as picture:
        image = np.asarray(picture.convert("RGB")).astype(int)
    assert image.shape[0] > 300
    assert image.shape[1] > 1000
    colourful = (image.max(axis=2) - image.min(axis=2) > 60).mean()
    gray = ((image.max(axis=2) == image.min(axis=2)) & (image[..., 0] > 20) & (image[..., 0] < 235)).mean()
    assert colourful > 0.05  # spectrograms
    assert gray > 0.05  # digits
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


def test_names_that_are_no_unicode_are_drawn(tmp_path, monkeypatch):
    """Under an ASCII locale every name in another script is such a one."""
    data = load_dataset("dialpad", "train", timesteps=1)
    monkeypatch.setattr(data, "files", lambda i: (Path(os.fsdecode(b"caf\xe9.wav")),))
    assert draw_preview([data], tmp_path / "p.png", count=1) == 1


def test_the_timesteps_have_numbers_below_the_last_sample():
    for x, middles in ((np.zeros((3, 8, 8, 1)), [3.5, 12.5, 21.5]), (np.zeros((3, 4)), [0, 1, 2])):
        for last in (False, True):
            axes = make_figure(2, 1)[1]
            draw_stream(axes, "audio", x, last)
            assert list(axes.get_xticks()) == (middles if last else [])
            assert [text.get_text() for text in axes.get_xticklabels()] == (["1", "2", "3"] if last else [])
            assert (axes.get_xlabel(), axes.get_ylabel()) == (
                "timestep" * last,
                "frequency" if x.ndim == 4 else "audio",
            )
            left, right = axes.images[0].get_extent()[:2]
            assert (left, right) == (-0.5, 25.5 if x.ndim == 4 else 2.5)  # frames of 8, a pixel between two


def test_bad_samples_are_passed_over(tmp_path):
    folder = write_event_digits(tmp_path)
    damage(folder)
    data = load_dataset("mnist-dvs-ntidigits", "train", data_dir=folder, size=16)
    assert 6 not in pick_samples(data, 20)
    for path in (folder / "mnist-dvs").rglob("*.aedat"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="mnist-dvs-ntidigits: no sample can be read, so that there is none to draw"):
        draw_preview([data], tmp_path / "p.png")
