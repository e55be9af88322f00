"""Sound files of every kind: reading, resampling, and each way a file can be wrong."""

import numpy as np
import pytest
import soundfile

from datasets import DataError
from datasets.audio import read_audio, resample
from tests.datasets.tiny_files import LFS_POINTER


def test_resample_keeps_a_tone_and_drops_what_the_target_cannot_hold():
    t = np.arange(44100) / 44100
    low, high = np.sin(2 * np.pi * 500 * t), np.sin(2 * np.pi * 9000 * t)
    y = resample(low + high, 44100, 8000)
    assert y.shape == (8000,)
    middle = slice(500, -500)
    np.testing.assert_allclose(y[middle], np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)[middle], atol=5e-3)
    assert resample(low, 8000, 8000) is low
    with pytest.raises(ValueError, match="at least 1 Hz"):
        resample(low, 8000, 0)


def test_read_audio_mixes_channels_down(tmp_path):
    stereo = np.array([[0.5, 0.25], [-0.5, 0.0], [0.125, 0.125]])
    soundfile.write(tmp_path / "s.wav", stereo, 11025, subtype="PCM_24")
    samples, rate = read_audio(tmp_path / "s.wav")
    assert rate == 11025
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, [0.375, -0.25, 0.125], atol=1e-6)


def test_not_a_recording_is_named_with_what_is_wrong(tmp_path):
    path = tmp_path / "7_ann_0.wav"
    with pytest.raises(DataError, match=r"7_ann_0\.wav: no such file"):
        read_audio(path)
    for content, message in (
        (b"", "empty"),
        (LFS_POINTER, "Git LFS pointer.*git lfs pull"),
        (b"404: Not Found\n", "found 15 bytes starting with text"),
        (bytes(range(200, 256)), "starting with bytes c8 c9"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"7_ann_0\.wav: .*{message}"):
            read_audio(path)
    with pytest.raises(DataError, match="found a folder"):
        read_audio(tmp_path)


def test_wav_without_usable_samples_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), 8000)
    with pytest.raises(DataError, match=r"a\.wav: found no samples"):
        read_audio(path)
    soundfile.write(path, np.array([0.1, np.nan, np.inf]), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav: found 2 samples that are NaN or infinite among 3"):
        read_audio(path)
    soundfile.write(path, np.full(1000, 0.1), 8000, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(DataError, match=r"a\.wav: truncated, found 1444 bytes, expected 2044"):
        read_audio(path)
