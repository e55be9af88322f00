"""Sound files of every kind: reading, resampling, and each way a file can be wrong."""

import numpy as np
import pytest
import soundfile

from misnet.datasets import DataError
from misnet.datasets.media.audio import read_audio, resample, trim_silence, window
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


@pytest.mark.parametrize(
    ("suffix", "subtype", "atol"),
    [
        ("wav", "PCM_U8", 8e-3),
        ("wav", "PCM_16", 4e-5),
        ("wav", "PCM_24", 2e-7),
        ("wav", "PCM_32", 1e-7),
        ("wav", "FLOAT", 1e-7),
        ("wav", "DOUBLE", 1e-7),
        ("wav", "ULAW", 1.5e-2),
        ("flac", "PCM_16", 4e-5),
        ("flac", "PCM_24", 2e-7),
        ("aiff", "PCM_16", 4e-5),
        ("ogg", "VORBIS", 3e-2),
        ("mp3", "MPEG_LAYER_III", 3e-2),
    ],
)
@pytest.mark.parametrize("rate", [22050, 48000])
def test_every_format_gives_the_samples_that_were_written(tmp_path, suffix, subtype, atol, rate):
    path = tmp_path / f"a.{suffix}"
    t = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    soundfile.write(path, np.stack([tone, 0.5 * tone], axis=1), rate, subtype=subtype)
    samples, found = read_audio(path)
    assert found == rate
    assert samples.dtype == np.float32
    assert len(samples) == rate  # of mp3, too: the encoder's delay is noted in the file
    middle = slice(3000, 6000)
    np.testing.assert_allclose(samples[middle], 0.75 * tone[middle], atol=atol)


@pytest.mark.parametrize("rate", [11025, 96000])
def test_the_lowest_and_the_highest_usual_rate(tmp_path, rate):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "a.wav", tone, rate, subtype="PCM_24")
    samples, found = read_audio(tmp_path / "a.wav")
    y = resample(samples, found, 16000)
    assert y.shape == (16000,)
    np.testing.assert_allclose(
        y[500:-500], 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)[500:-500], atol=3e-3
    )


def test_wave_format_extensible_of_24_bits(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.5, -0.25, 1 / 2**23]), 96000, subtype="PCM_24", format="WAVEX")
    assert path.read_bytes()[20:22] == b"\xfe\xff"  # the format number that stands for "see below"
    samples, rate = read_audio(path)
    assert rate == 96000
    np.testing.assert_array_equal(samples, np.float32([0.5, -0.25, 1 / 2**23]))


def test_a_part_of_a_file(tmp_path):
    path = tmp_path / "a.wav"
    ramp = np.arange(600_000) / 2**20  # longer than what is decoded at a time
    soundfile.write(path, ramp, 1000, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path)[0], ramp.astype(np.float32))
    np.testing.assert_array_equal(read_audio(path, 2.0, 2.25)[0], ramp[2000:2250].astype(np.float32))
    np.testing.assert_array_equal(read_audio(path, 262.0, 263.0)[0], ramp[262_000:263_000].astype(np.float32))
    np.testing.assert_array_equal(read_audio(path, 599.0, 700.0)[0], ramp[599_000:].astype(np.float32))
    with pytest.raises(DataError, match=r"a\.wav: found no samples from 600 s on"):
        read_audio(path, 600.0)


def test_hours_of_sound_and_impossible_rates_are_refused(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(601 * 1000), 1000)
    assert path.stat().st_size < 100_000  # compressed silence
    with pytest.raises(DataError, match=r"a\.flac: found more than 600 s of sound"):
        read_audio(path)
    assert len(read_audio(path, 0.0, 10.0)[0]) == 10_000
    path = tmp_path / "b.wav"
    for rate in (999, 384_001):
        soundfile.write(path, np.zeros(10), rate)
        with pytest.raises(DataError, match=rf"b\.wav: found a sample rate of {rate} Hz, expected 1000 to 384000"):
            read_audio(path)


def test_channels_that_add_up_to_more_than_float32_holds(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((2, 2), 3e38, np.float32), 8000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], 3e38, rtol=1e-6)


@pytest.mark.parametrize(("rate", "target"), [(44101, 16000), (15999, 16000), (383_993, 16000), (1009, 16000)])
def test_odd_rates_are_resampled_by_a_short_filter(rate, target):
    x = np.sin(2 * np.pi * 100 * np.arange(rate) / rate).astype(np.float32)
    y = resample(x, rate, target)
    assert abs(len(y) - target) <= target / 4000 + 1
    t = np.arange(len(y)) / len(y)  # of one second
    np.testing.assert_allclose(y[1000:-1000], np.sin(2 * np.pi * 100 * t)[1000:-1000], atol=0.02)


def test_trim_silence_and_window():
    x = np.array([0, 0, 1e-4, 0.5, -1.0, 0, 0.002, 1e-3, 0], np.float32)
    np.testing.assert_array_equal(trim_silence(x), x[3:7])  # 60 dB below 1 is 0.001, which is not above
    np.testing.assert_array_equal(trim_silence(x, 90), x[2:8])
    silence = np.zeros(5, np.float32)
    np.testing.assert_array_equal(trim_silence(silence), silence)
    ten = np.arange(10)
    assert window(ten, 4, 5).tolist() == [3, 4, 5, 6]
    assert window(ten, 4, 0).tolist() == [0, 1, 2, 3]
    assert window(ten, 4, 99).tolist() == [6, 7, 8, 9]
    assert window(np.arange(3), 7, 1).tolist() == [0, 1, 2, 0, 1, 2, 0]
