"""Videos of every container: which frame is shown when, sound in time with it, and each way a file can be wrong."""

import gc
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.media.video import _Channels, read_frames, read_sound_track
from tests.datasets.tiny_files import LFS_POINTER
from tests.datasets.tiny_media import CODECS, level, write_video

pytest.importorskip("av")


@pytest.mark.parametrize("suffix", CODECS)
def test_frames_and_sound_of_each_container(tmp_path, suffix):
    path = tmp_path / f"-a:b{suffix}"  # a name that FFmpeg would take for an option or an address
    write_video(path, frames=25, fps=25, tone=440.0)
    frames, duration = read_frames(path, [0.02, 0.3, 0.98])
    assert duration == pytest.approx(1.0, abs=0.041)  # MPEG-1 counts one frame more
    for frame, k in zip(frames, (0, 7, 24), strict=True):
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        assert abs(frame.mean() - level(k, 25)) < 5  # neighbours differ by 8
    samples, rate = read_sound_track(path)
    assert rate == (48000 if suffix == ".webm" else 44100)
    assert len(samples) / rate == pytest.approx(1.0, abs=0.03)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.03)
    spectrum = np.abs(np.fft.rfft(samples[: rate // 2]))
    assert spectrum.argmax() * 2 == 440


def test_a_frame_is_shown_until_the_next(tmp_path):
    path = tmp_path / "a.mkv"
    write_video(path, frames=5, fps=5, tone=None)
    frames, duration = read_frames(path, [0.0, 0.19, 0.2, 0.55, 0.999])
    assert duration == pytest.approx(1.0, abs=1e-3)
    assert [frame[0, 0, 0] for frame in frames] == [level(k, 5) for k in (0, 0, 1, 2, 4)]


def test_a_camera_that_was_held_upright(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, frames=3, size=(64, 48), tone=None)
    upright, _ = read_frames(path, [0.5])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # the matrix: 1 0 0, 0 1 0 in 16.16 becomes 0 1 0, -1 0 0, a quarter clockwise
    assert data[at : at + 4] == bytes([0, 1, 0, 0])
    one, minus_one, zero = (int.to_bytes(v, 4, "big", signed=True) for v in (1 << 16, -(1 << 16), 0))
    data[at : at + 20] = zero + one + zero + minus_one + zero
    path.write_bytes(data)
    turned, _ = read_frames(path, [0.5])
    assert turned[0].shape == (64, 48, 3)
    np.testing.assert_array_equal(turned[0], np.rot90(upright[0], -1))


def test_a_segment_of_a_video(tmp_path):
    path = tmp_path / "a.mkv"
    write_video(path, frames=20, fps=10, tone=440.0)
    frames, duration = read_frames(path, [0.05, 0.55], start=0.5, stop=1.5)
    assert duration == pytest.approx(1.0)
    assert [frame[0, 0, 0] for frame in frames] == [level(k, 20) for k in (5, 10)]
    samples, rate = read_sound_track(path, 0.5, 1.5)
    assert len(samples) == rate
    whole, _ = read_sound_track(path)
    np.testing.assert_array_equal(samples, whole[rate // 2 : 3 * rate // 2])
    assert read_frames(path, [0.5], start=1.0, stop=99.0)[1] == pytest.approx(1.0)
    with pytest.raises(DataError, match=r"a\.mkv: found 2\.00 s of video, expected some from 3 to"):
        read_frames(path, [0.5], start=3.0)


def test_a_sound_file_that_only_ffmpeg_reads(tmp_path):
    import av

    from misnet.datasets.media.sources import Sound

    write_video(tmp_path / "a.mp4", frames=25)
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / "a.m4a"), "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    samples, rate = Sound(tmp_path / "a.m4a").read()
    assert rate == 44100
    assert np.abs(np.fft.rfft(samples[4000 : 4000 + rate // 2])).argmax() * 2 == 440


def test_sound_that_begins_late_follows_on_silence(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, frames=25, sound_delay=0.4)
    samples, rate = read_sound_track(path)
    assert np.flatnonzero(np.abs(samples) > 0.1)[0] / rate == pytest.approx(0.4, abs=0.005)


def test_a_film_without_sound_or_pictures_is_named(tmp_path):
    write_video(tmp_path / "silent.mp4", tone=None)
    with pytest.raises(DataError, match=r"silent\.mp4: found no sound in the file"):
        read_sound_track(tmp_path / "silent.mp4")
    import soundfile

    soundfile.write(tmp_path / "sound.ogg", np.zeros(4000), 8000)
    with pytest.raises(DataError, match=r"sound\.ogg: found no picture in the file"):
        read_frames(tmp_path / "sound.ogg", [0.5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (LFS_POINTER, "Git LFS pointer"),
        (b"404: Not Found\n", "cannot be decoded"),
        (bytes(range(256)) * 20, "cannot be decoded"),
    ],
)
def test_not_a_video_is_named_with_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    for read in (lambda: read_frames(path, [0.5]), lambda: read_sound_track(path)):
        with pytest.raises(DataError, match=rf"a\.mp4: .*{message}"):
            read()


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"a\.mp4: no such file; expected a video"):
        read_frames(tmp_path / "a.mp4", [0.5])
    with pytest.raises(DataError, match="found a folder"):
        read_sound_track(tmp_path)


def test_playlists_are_no_videos(tmp_path):
    """FFmpeg takes what is in a file for a playlist whatever its name, and opens the files and addresses in it."""
    import av

    write_video(tmp_path / "secret.mp4")
    lists = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path}/secret.mp4\n#EXT-X-ENDLIST\n",
        "concat": "ffconcat version 1.0\nfile secret.mp4\n",
    }
    for name, text in lists.items():
        path = tmp_path / f"{name}.mp4"
        path.write_text(text)
        with pytest.raises(DataError, match=rf"{name}\.mp4: cannot be decoded"):
            read_frames(path, [0.5])
    with av.open(str(tmp_path / "concat.mp4")) as container:  # FFmpeg itself would follow it
        assert container.format.name == "concat"


def test_decoders_and_their_threads_are_let_go_of(samples):
    """Before Python looks for objects that hold each other, which may be long after."""
    path = samples / "grid/bbaf2n.mpg"
    if not Path("/proc/self/task").is_dir():
        pytest.skip("threads are counted on Linux alone")

    def threads():
        return len(list(Path("/proc/self/task").iterdir()))

    read_frames(path, [0.1])
    before = threads()
    gc.disable()
    try:
        for _ in range(5):
            read_frames(path, [0.1, 0.4])
            read_sound_track(path)
    finally:
        gc.enable()
    assert threads() <= before


def test_without_pyav_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r'PyAV, which is not installed; install it with: pip install -e "\.\[video\]"'):
        read_frames(tmp_path / "a.mp4", [0.5])


def test_clips_of_crema_d(samples):
    frames_of = {"ANG": 67, "DIS": 70, "FEA": 65, "HAP": 56, "NEU": 61, "SAD": 60}
    for emotion, count in frames_of.items():
        path = samples / "crema-d" / "VideoFlash" / f"1001_DFA_{emotion}_XX.flv"
        frames, duration = read_frames(path, [0.125, 0.375, 0.625, 0.875])
        assert duration == pytest.approx(count * 33 / 989, abs=0.002)
        assert [frame.shape for frame in frames] == [(360, 480, 3)] * 4
        green = frames[0][:40, :40].mean(axis=(0, 1))  # the actors stand before a green screen
        assert green[1] > 1.5 * max(green[0], green[2])
        sound, rate = read_sound_track(path)
        assert rate == 44100
        assert len(sound) / rate == pytest.approx(duration, abs=0.05)


def test_the_sound_of_a_clip_is_that_of_its_wav_file(samples):
    from misnet.datasets.media.audio import read_audio, resample

    for emotion in ("ANG", "SAD"):
        track, rate = read_sound_track(samples / "crema-d" / "VideoFlash" / f"1001_DFA_{emotion}_XX.flv")
        track = resample(track, rate, 16000)
        wav, wav_rate = read_audio(samples / "crema-d" / "wav16k-resampled" / f"1001_DFA_{emotion}_XX.wav")
        assert wav_rate == 16000
        n = min(len(track), len(wav)) - 1600
        shift = np.correlate(wav[: n + 1600], track[800:n], "valid").argmax() - 800
        assert abs(shift) < 800  # 50 ms
        a, b = wav[800 + shift : n + shift], track[800:n]
        assert np.corrcoef(a, b)[0, 1] > 0.98


def test_clips_of_grid(samples):
    for name in ("bbaf2n", "lbax4n", "sbwe5n"):
        path = samples / "grid" / f"{name}.mpg"
        frames, duration = read_frames(path, [k / 75 + 0.001 for k in range(75)])
        assert duration == pytest.approx(3.0, abs=1e-6)
        assert len(frames) == 75
        assert frames[0].shape == (288, 360, 3)
        assert len({frame.tobytes() for frame in frames}) == 75  # each of the 75 frames once
        sound, rate = read_sound_track(path)
        assert (rate, len(sound)) == (44100, 131328)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("planar", ["", "p"])
@pytest.mark.parametrize(("kind", "dtype"), [("u8", "u1"), ("s16", "i2"), ("s32", "i4"), ("flt", "f4"), ("dbl", "f8")])
def test_samples_of_every_format_are_what_ffmpeg_makes_of_them(kind, dtype, planar, layout):
    av = pytest.importorskip("av")
    rng, n = np.random.default_rng(0), {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    if dtype[0] == "f":
        x = rng.normal(size=(n, 100)).astype(dtype)
    else:
        x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (n, 100), dtype, endpoint=True)
    frame = av.AudioFrame.from_ndarray(x if planar else x.T.reshape(1, -1).copy(), format=kind + planar, layout=layout)
    frame.sample_rate, frame.time_base, frame.pts = 8000, Fraction(1, 8000), 0
    (expected,) = av.AudioResampler(format="fltp", rate=8000).resample(frame)
    channels = _Channels(8000)(frame)
    assert channels.dtype == np.float32
    np.testing.assert_array_equal(channels, expected.to_ndarray())
    doubled = _Channels(16000)(frame)  # by FFmpeg itself
    assert doubled.shape[1] > 150
