"""Spectrograms, against numbers that librosa gave and against signals worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from misnet.datasets.media.audio import normalise_level
from misnet.datasets.media.spectrogram import _hann, log_mel, mel_filterbank, mel_spectrogram, standardise, stft_power

# librosa_mel.npz was written by librosa 0.11.0, float64, from chirps(sample_rate, n) below:
#   <name>            librosa.feature.melspectrogram(y=x, sr=sample_rate, **settings)[:, frames], settings as below
#                     (hop_length for hop, fmin and fmax, htk=True for scale="htk")
#   <name>_frames, <name>_shape      those frames, and the shape of the whole
#   <name>_fb_sum, <name>_fb_moment  fb.sum(1) and fb @ arange(...), fb = librosa.filters.mel(..., dtype=float64)
#   telephone_db, telephone_db40     librosa.power_to_db(<telephone>, top_db=None) and top_db=40.0
LIBROSA = Path(__file__).parent / "data" / "librosa_mel.npz"
SETTINGS = {  # sample rate, samples, settings
    "default": (22050, 8000, {}),
    "htk": (22050, 6000, {"n_fft": 1024, "hop": 256, "n_mels": 40, "scale": "htk", "norm": None}),
    "odd": (16000, 5001, {"n_fft": 401, "hop": 163, "n_mels": 23, "f_min": 50.0, "f_max": 7000.0}),
    "telephone": (
        8000,
        4000,
        {"n_fft": 256, "hop": 80, "n_mels": 16, "f_min": 300.0, "f_max": 3400.0, "center": False},
    ),
}


@pytest.fixture(scope="module")
def librosa():
    with np.load(LIBROSA) as stored:
        return dict(stored)


def chirps(sample_rate, n):
    t = np.arange(n) / sample_rate
    waves = ((0.5, 150, 900), (0.3, 3000, -2500), (0.2, 440, 0))  # amplitude, Hz at the start, Hz per second
    return sum(a * np.sin(2 * np.pi * (f * t + 0.5 * k * t**2)) for a, f, k in waves)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(("dtype", "rtol", "atol"), [(np.float64, 2e-7, 1e-13), (np.float32, 1e-4, 1e-7)])
def test_mel_spectrogram_is_librosa_s(librosa, name, dtype, rtol, atol):
    sample_rate, n, settings = SETTINGS[name]
    mel = mel_spectrogram(chirps(sample_rate, n).astype(dtype), sample_rate, **settings)
    assert mel.dtype == dtype
    assert mel.shape == tuple(librosa[name + "_shape"])
    expected = librosa[name]
    # librosa keeps its filters in float32, hence 2e-7 even in float64. Bands with next to no power hold the rounding
    # errors of the strong ones, hence the absolute part.
    found = mel[:, librosa[name + "_frames"]]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol * expected.max())


@pytest.mark.parametrize("name", SETTINGS)
def test_filterbank_is_librosa_s(librosa, name):
    sample_rate, _, settings = SETTINGS[name]
    settings = {"n_fft": 2048, "n_mels": 128} | {k: v for k, v in settings.items() if k not in ("hop", "center")}
    filters = mel_filterbank(sample_rate, **settings)
    np.testing.assert_allclose(filters.sum(1), librosa[name + "_fb_sum"], rtol=1e-10)
    np.testing.assert_allclose(filters @ np.arange(filters.shape[1]), librosa[name + "_fb_moment"], rtol=1e-10)


def test_decibels_are_librosa_s(librosa):
    np.testing.assert_allclose(log_mel(librosa["telephone"]), librosa["telephone_db"], rtol=1e-12)
    np.testing.assert_allclose(log_mel(librosa["telephone"], top_db=40.0), librosa["telephone_db40"], rtol=1e-12)


def test_decibels_by_hand():
    np.testing.assert_allclose(log_mel(np.array([[100.0, 1.0, 0.001, 0.0]]), floor=1e-5), [[20, 0, -30, -50]])
    with pytest.raises(ValueError, match="floor"):
        log_mel(np.ones((1, 1)), floor=0.0)


@pytest.mark.parametrize("n", [1, 2, 3, 160, 400, 511, 2048])
def test_the_window_is_scipys_to_the_bit(n):
    np.testing.assert_array_equal(_hann(n), scipy.signal.get_window("hann", n))


def test_a_tone_on_a_bin_has_the_power_that_the_window_says():
    n_fft, k, amplitude = 64, 5, 0.8
    tone = amplitude * np.cos(2 * np.pi * k * np.arange(256) / n_fft)
    power = stft_power(tone, n_fft, 32, center=False)
    assert power.shape == (33, 7)
    peak = (amplitude / 2 * n_fft / 2) ** 2  # half of the amplitude at +f, times the window's sum
    expected = np.zeros(33)
    expected[k - 1 : k + 2] = peak / 4, peak, peak / 4  # Hann's three lines: 1/2, 1, 1/2 in amplitude
    np.testing.assert_allclose(power, np.repeat(expected[:, None], 7, axis=1), atol=1e-10)


def test_centred_frames_see_zeros_beyond_the_ends():
    x = np.arange(1.0, 41.0)
    np.testing.assert_allclose(stft_power(x, 9, 4), stft_power(np.pad(x, 4), 9, 4, center=False))
    assert stft_power(x, 9, 4).shape == (5, 10)


def test_leading_axes_are_a_batch():
    x = np.random.default_rng(0).normal(size=(2, 3, 2000))
    batched = mel_spectrogram(x, 8000, 256, 100, 12)
    assert batched.shape == (2, 3, 12, 21)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(batched[i, j], mel_spectrogram(x[i, j], 8000, 256, 100, 12), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_mels": 200}, "n_mels: expected few enough bands"),
        ({"n_mels": 0}, "n_mels: expected at least 1"),
        ({"f_max": 5000.0}, "f_max.*4000"),
        ({"f_min": 900.0, "f_max": 800.0}, "f_min < f_max"),
        ({"scale": "bark"}, "scale: .*found 'bark'"),
        ({"norm": "area"}, "norm: .*found 'area'"),
        ({"hop": 0}, "hop: expected at least 1"),
        ({"n_fft": 4096, "center": False, "n_mels": 8}, "n_fft = 4096 samples, found 1000"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mel_spectrogram(np.ones(1000), 8000, **{"n_fft": 256, "hop": 100, "n_mels": 12} | arguments)


def test_normalise_level_and_standardise():
    x = np.array([[3.0, -3.0, 3.0, -3.0], [0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    levelled = normalise_level(x, rms=0.5)
    assert levelled.dtype == np.float32
    np.testing.assert_allclose(levelled, [[0.5, -0.5, 0.5, -0.5], [0, 0, 0, 0]], rtol=1e-6)
    image = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(standardise(image), (image - 2.5) / np.sqrt(1.25))
    assert not standardise(np.full((7, 9), -0.1, np.float32)).any()
