"""Moments, key frames and the spectrogram of each timestep."""

import re

import numpy as np
import pytest

from misnet.datasets.media.views import View

VIEW = {
    "timesteps": 4,
    "size": 16,
    "seed": 0,
    "spectrogram": "aligned",
    "seconds": 0.5,
    "key_frames": "even",
    "fit": "crop",
}
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)


def view(**changes):
    return View(**VIEW | changes)


def beeps(rate=16000, hz=(300, 900, 2000, 4500)):
    """Four seconds, each a tone of its own."""
    t = np.arange(rate) / rate
    return np.concatenate([0.2 * np.sin(2 * np.pi * f * t) for f in hz]).astype(np.float32)


def test_even_moments_are_the_middles_of_equal_parts():
    assert view().moments("a") == view().moments("b") == (0.125, 0.375, 0.625, 0.875)


def test_random_moments_depend_on_seed_and_clip_alone():
    chosen = view(key_frames="random")
    assert chosen.moments("a") == chosen.moments("a")
    assert list(chosen.moments("a")) == sorted(chosen.moments("a"))
    assert len({chosen.moments("a"), chosen.moments("b"), view(key_frames="random", seed=1).moments("a")}) == 3
    every = np.array([chosen.moments(str(i)) for i in range(500)])
    assert every.min() >= 0
    assert every.max() < 1
    assert every.mean() == pytest.approx(0.5, abs=0.03)


def test_the_paper_s_four_of_ten_frames():
    chosen = view(key_frames="paper")
    every = [chosen.moments(str(i)) for i in range(300)]
    assert all(list(moments) == sorted(set(moments)) and len(moments) == 4 for moments in every)
    assert {moment for moments in every for moment in moments} == {(i + 0.5) / 10 for i in range(10)}
    assert every[5] == chosen.moments("5")
    assert view(key_frames="paper", timesteps=10).moments("a") == view(timesteps=10).moments("a")


def test_video_is_fitted_and_normalised():
    frames = [np.full((20, 30, 3), (10 * t, 102, 255), np.uint8) for t in range(4)]
    video = view().video(frames, MEAN, STD)
    assert video.shape == (4, 16, 16, 3)
    assert video.dtype == np.float32
    for t in range(4):
        expected = (np.array([10 * t / 255, 0.4, 1.0]) - MEAN) / STD
        np.testing.assert_allclose(video[t], np.broadcast_to(expected, (16, 16, 3)), atol=1e-5)


def test_an_aligned_spectrogram_hears_what_is_there_at_its_moment():
    audio = view().audio(beeps(), 16000, view().moments("a"))
    assert audio.shape == (4, 16, 16, 1)
    assert audio.dtype == np.float32
    bands = audio[..., 0].mean(axis=2).argmax(axis=1)
    assert (np.diff(bands) > 0).all()  # each second a higher tone
    assert audio.mean() == pytest.approx(0, abs=1e-5)
    assert audio.std() == pytest.approx(1, abs=1e-5)


def test_moments_are_parts_of_the_video_where_its_length_is_known():
    moments = view(timesteps=1).moments("a")
    tones = [view(timesteps=1).audio(beeps(), 16000, moments, duration)[0, ..., 0] for duration in (1.0, 5.0)]
    assert tones[0].mean(axis=1).argmax() < tones[1].mean(axis=1).argmax()  # at 0.5 s the first, at 2.5 s the third


def test_a_whole_spectrogram_is_the_same_in_each_timestep():
    audio = view(spectrogram="whole", seconds=4.0).audio(beeps(), 16000, (0.1, 0.2, 0.3, 0.4))
    np.testing.assert_array_equal(audio, np.repeat(audio[:1], 4, axis=0))
    bands = audio[0, ..., 0].argmax(axis=0)  # over time, four stretches each
    assert (np.diff(bands[1::4]) > 0).all()
    middle = view(spectrogram="whole", seconds=1.0).audio(beeps(), 16000, (0.1, 0.2, 0.3, 0.4))[0, ..., 0]
    halves = middle.argmax(axis=0)
    assert halves[3] < halves[12]  # the middle second: half of the second tone, half of the third


def test_level_and_rate_make_no_difference():
    reference = view().audio(beeps(), 16000, view().moments("a"))
    np.testing.assert_allclose(view().audio(0.01 * beeps(), 16000, view().moments("a")), reference, atol=1e-3)
    other = view().audio(beeps(48000), 48000, view().moments("a"))
    strong = reference > 1
    np.testing.assert_allclose(other[strong], reference[strong], atol=0.1)


def test_a_quiet_moment_stays_quiet_beside_a_loud_one():
    sound = beeps()
    sound[:16000] *= 0.01
    audio = view().audio(sound, 16000, view().moments("a"))
    assert audio[0].max() < audio[1].max() - 0.5


def test_silence_and_a_sound_of_one_sample():
    assert not view().audio(np.zeros(5000, np.float32), 16000, view().moments("a")).any()
    audio = view().audio(np.ones(1, np.float32), 44100, view().moments("a"))
    assert audio.shape == (4, 16, 16, 1)
    assert np.isfinite(audio).all()


@pytest.mark.parametrize("size", [8, 9, 32, 96, 128, 129, 256])
@pytest.mark.parametrize("seconds", [0.2, 3.0])
def test_every_size_fills_its_spectrogram(size, seconds):
    rng = np.random.default_rng(0)
    audio = view(size=size, seconds=seconds, timesteps=1).audio(
        rng.normal(size=48000).astype(np.float32), 16000, (0.5,)
    )
    assert audio.shape == (1, size, size, 1)
    assert audio[0, ..., 0].std(axis=0).min() > 0  # no stretch and no band is left out
    assert np.abs(audio).max() < 12


def test_no_sound_falls_between_two_stretches():
    """With few stretches a long window has more samples than their transforms would see one by one."""
    quiet = 1e-4 * np.random.default_rng(0).normal(size=64000).astype(np.float32)
    chosen = view(size=8, seconds=4.0, timesteps=1, spectrogram="whole")
    for at in range(1000, 63000, 3700):
        click = quiet.copy()
        click[at : at + 20] = 1.0
        audio = chosen.audio(click, 16000, (0.5,))[0, ..., 0].mean(axis=0)
        assert abs(int(audio.argmax()) - at * 8 // 64000) <= 1
        assert audio.max() > 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timesteps": 0}, "timesteps: expected at least 1, found 0"),
        ({"timesteps": 2.0}, "timesteps: expected a whole number, found 2.0"),
        ({"size": 16.0}, "size: expected a whole number, found 16.0"),
        ({"size": 7}, "size: expected 8 to 256, found 7"),
        ({"spectrogram": "half"}, "spectrogram: expected one of aligned, whole, found 'half'"),
        ({"key_frames": 3}, "key_frames: expected one of even, random, paper, found 3"),
        ({"key_frames": "paper", "timesteps": 11}, "timesteps: expected at most 10 with key_frames=paper, found 11"),
        ({"fit": "x"}, "fit: expected one of crop, stretch, found 'x'"),
        ({"seconds": 0.1}, "window: expected 0.2 to 60.0 seconds, found 0.1"),
        ({"seconds": "1"}, "window: expected 0.2 to 60.0 seconds, found '1'"),
        ({"seconds": float("nan")}, "found nan"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        view(**changes)
