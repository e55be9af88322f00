"""The default data set: tones, determinism, what goes missing, and that both senses together are worth it."""

import importlib.util

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from misnet.datasets import load_dataset
from misnet.datasets.sets import dialpad
from misnet.datasets.sets.dialpad import SAMPLE_RATE, STRETCH, Dialpad, spectrogram, tone_pair


@pytest.fixture(scope="module")
def train():
    return load_dataset("dialpad", "train", size=16)


@pytest.fixture(scope="module")
def test():
    return load_dataset("dialpad", "test", size=16)


def stacked(dataset):
    audio, video, labels = zip(*(dataset[i] for i in range(len(dataset))), strict=True)
    return np.stack(audio), np.stack(video), np.array(labels)


def missing(frames):
    """Samples and timesteps in which nothing at all varies, bool [n, T]."""
    return np.ptp(frames, axis=(2, 3, 4)) == 0


def test_tone_pairs_are_those_of_the_standard():
    pairs = [tone_pair(digit) for digit in range(10)]
    assert pairs[0] == (941, 1336)
    assert pairs[1] == (697, 1209)
    assert pairs[6] == (770, 1477)
    assert pairs[8] == (852, 1336)
    assert len(set(pairs)) == 10
    with pytest.raises(ValueError, match="found 11"):
        tone_pair(11)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_a_tone_is_as_loud_whatever_the_size_and_lies_in_its_band(size):
    tone = np.cos(2 * np.pi * 1209 / SAMPLE_RATE * np.arange(STRETCH)).astype(np.float32)
    db = spectrogram(tone, size)
    assert db.shape == (size, size)
    assert db.max() == pytest.approx(10 * np.log10(0.25 * 1.0), abs=3.0)  # (amplitude / 2)^2, shared by two bands
    mel = 15 + 27 * np.log(np.array([1.0, 1.209, 1.7])) / np.log(6.4)  # Slaney's, 15 at 1 kHz
    band = (mel[1] - 9) / (mel[2] - 9) * (size + 1) - 1  # 9 at 600 Hz
    assert abs(db[:, size // 2].argmax() - band) < 1


def test_shapes_and_scale(train, test):
    assert (len(train), len(test)) == (1437, 360)
    audio, video, labels = stacked(train)
    assert audio.shape == video.shape == (1437, 4, 16, 16, 1)
    assert audio.dtype == video.dtype == np.float32
    assert abs(audio.mean()) < 0.05
    assert abs(video.mean()) < 0.05
    assert audio.std() == pytest.approx(1, abs=0.05)
    assert video.std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(labels, train.labels)


@pytest.mark.parametrize("size", [8, 32])
def test_other_sizes_come_out_near_the_same_scale(size):
    audio, video, _ = stacked(load_dataset("dialpad", "test", size=size))
    for x in (audio, video):
        assert abs(x.mean()) < 0.25
        assert x.std() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("there", [True, False], ids=["the file itself", "by scikit-learn"])
def test_the_digits_are_those_of_scikit_learn(monkeypatch, there):
    if not there:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    images, labels = dialpad._digits.__wrapped__()
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(16 * images, load_digits().images)
    np.testing.assert_array_equal(labels, load_digits().target)


def test_splits_share_no_image_and_cover_all(train, test):
    digits = load_digits()
    np.testing.assert_array_equal(test.labels, digits.target[::5])
    np.testing.assert_array_equal(train.labels, np.delete(digits.target, np.s_[::5]))
    images = [
        {image.tobytes() for image in split} for split in (np.delete(digits.images, np.s_[::5], 0), digits.images[::5])
    ]
    assert not images[0] & images[1]


def test_image_is_the_digit_of_its_label():
    clean = load_dataset("dialpad", "test", timesteps=1, size=8, lost=0, frame_lost=0, image_noise=0)
    digits = load_digits().images[::5].reshape(360, -1)
    frames = np.stack([clean[i][1].ravel() for i in range(360)])
    likeness = np.corrcoef(frames, digits)[:360, 360:]
    assert np.diag(likeness).min() > 0.9  # the shift by up to a quarter of a pixel blurs
    np.testing.assert_array_equal(likeness.argmax(1), np.arange(360))


def test_sound_holds_the_tones_of_its_label():
    clean = load_dataset("dialpad", "test", size=32, lost=0, frame_lost=0)
    patterns = np.stack([clean[i][0][..., 0].max(axis=(0, 2)) for i in range(360)])
    tones = np.stack(
        [
            spectrogram(
                sum(np.cos(2 * np.pi * f / 8000 * np.arange(STRETCH)) for f in tone_pair(k)).astype(np.float32), 32
            )
            for k in range(10)
        ]
    ).max(axis=2)
    assert (np.corrcoef(patterns, tones)[:360, 360:].argmax(1) == clean.labels).mean() > 0.97


def test_at_most_one_sense_is_lost_and_about_as_often_as_said(train):
    audio, video, _ = stacked(train)
    deaf, blind = missing(audio), missing(video)
    assert not (deaf.all(1) & blind.all(1)).any()
    for gone in (deaf, blind):
        assert gone.all(1).mean() == pytest.approx(0.18, abs=0.035)
        assert gone[~gone.all(1)].mean() == pytest.approx(0.1 * 3 / 4, abs=0.02)  # one in four always stays


def test_sample_depends_on_seed_split_and_index_alone(train, test):
    again, other = load_dataset("dialpad", "test", size=16), load_dataset("dialpad", "test", size=16, seed=1)
    for i in (0, 150, 359):
        for found, expected in zip(again[i], test[i], strict=True):
            np.testing.assert_array_equal(found, expected)
    assert any((other[i][0] != test[i][0]).any() for i in range(5))
    limited = load_dataset("dialpad", "test", size=16, limit=7)
    for j, i in enumerate(limited.indices):
        np.testing.assert_array_equal(limited[j][0], test[int(i)][0])
    prints = {d.fingerprint() for d in (train, again, other, test, limited)}
    assert len(prints) == 4
    assert test.fingerprint() == again.fingerprint()


def test_samples_are_handed_out_as_copies(test):
    before = test[0][0].copy()
    test[0][0][:] = 99
    np.testing.assert_array_equal(test[0][0], before)


def test_timesteps_differ_from_each_other():
    clean = Dialpad("test", lost=0, frame_lost=0)
    audio, video, _ = clean[3]
    assert len({frame.tobytes() for frame in (*audio, *video)}) == 8


def test_neither_sense_suffices_and_both_do(train, test):
    def accuracy(*senses):
        x, y = (
            np.concatenate([stacked(split)[sense].mean(axis=1).reshape(len(split), -1) for sense in senses], axis=1)
            for split in (train, test)
        )
        return LogisticRegression(C=0.01, max_iter=300).fit(x, train.labels).score(y, test.labels)

    heard, seen, both = accuracy(0), accuracy(1), accuracy(0, 1)
    assert 0.65 < heard < 0.90
    assert 0.65 < seen < 0.90
    assert both > max(heard, seen) + 0.08
    assert both > 0.95


def test_a_sample_is_made_when_it_is_first_asked_for_and_the_same_whatever_was_before(monkeypatch):
    made = []
    make = Dialpad._make
    monkeypatch.setattr(Dialpad, "_make", lambda data, i: (made.append(i), make(data, i)))
    data = Dialpad("test", timesteps=2)
    found = {i: data[i] for i in (7, 3, 7, 0)}
    assert made == [7, 3, 0]
    for i, alone in ((i, Dialpad("test", timesteps=2)[i]) for i in found):
        for x, y in zip(found[i], alone, strict=True):
            np.testing.assert_array_equal(x, y)
    audio, video, _ = data[3]
    audio[:], video[:] = 1, 1  # a copy: what was made stays
    np.testing.assert_array_equal(data[3][0], found[3][0])
