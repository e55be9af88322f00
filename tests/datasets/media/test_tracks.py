"""What players show and play of odd videos: edit lists, mirrored pictures, covers, several tracks, holes in time."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.media.video import _Placed, oriented, read_frames, read_sound_track
from tests.datasets.tiny_media import CODECS, MORE_CODECS, level, write_video

av = pytest.importorskip("av")
RATE = 8000


def tones(hz, seconds):
    return (0.3 * 32767 * np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE)).astype(np.int16)


def write_film(path, pictures=(), sounds=(), fps=10):
    """A film with tracks of pictures and sound, all of it lossless.

    pictures: for each track, (seconds, gray level) of its frames, and what it is ("default", "attached_pic", or None).
    sounds: for each track, (seconds, samples int16) of its blocks, and whether it is the default one.
    """
    with av.open(str(path), "w", format="matroska") as container:
        tracks = []
        for frames, kind in pictures:
            stream = container.add_stream("ffv1", rate=fps)
            stream.width, stream.height, stream.pix_fmt = 32, 16, "bgr0"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            stream.disposition = getattr(av.stream.Disposition, kind) if kind else 0
            tracks.append((stream, frames))
        heard = []
        for blocks, default in sounds:
            stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
            stream.disposition = av.stream.Disposition.default if default else 0
            heard.append((stream, blocks))
        packets = []
        for stream, frames in tracks:
            for seconds, gray in frames:
                frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), gray, np.uint8), format="rgb24")
                frame.pts, frame.time_base = round(1000 * seconds), Fraction(1, 1000)
                packets += stream.encode(frame)
            packets += stream.encode()
        for stream, blocks in heard:
            for seconds, samples in blocks:
                for i in range(0, len(samples), 800):
                    frame = av.AudioFrame.from_ndarray(samples[None, i : i + 800], format="s16", layout="mono")
                    frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                    frame.pts = round(seconds * RATE) + i
                    packets += stream.encode(frame)
            packets += stream.encode()
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)
    return path


def gray_at(path, moments, **part):
    frames, seconds = read_frames(path, moments, **part)
    return [int(frame[8, 16, 0]) for frame in frames], seconds


def even(levels, fps=10, start=0.0):
    return [(start + k / fps, gray) for k, gray in enumerate(levels)]


def hertz(samples):
    return int(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


def test_what_an_edit_list_cuts_off_is_neither_seen_nor_heard(tmp_path):
    """A cut without encoding keeps what comes before it, back to a key frame, and hides it by an edit list."""
    path = tmp_path / "a.mp4"
    write_video(path, frames=30, fps=10, tone=440.0)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    entries = struct.unpack_from(">I", data, at + 8)[0]
    with av.open(str(path)) as container:
        ticks = container.streams.video[0].time_base.denominator
    start = struct.unpack_from(">i", data, at + 12 + 12 * (entries - 1) + 4)[0]
    struct.pack_into(">i", data, at + 12 + 12 * (entries - 1) + 4, start + ticks)  # the first second is cut off
    second = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]  # in ticks of the whole file
    struct.pack_into(">I", data, at + 12 + 12 * (entries - 1), 2 * second)  # are left
    path.write_bytes(data)
    moments = [0.01, 0.26, 0.51, 0.96]
    frames, seconds = read_frames(path, moments)
    assert seconds == pytest.approx(2.0, abs=1e-3)
    for frame, k in zip(frames, (10, 15, 20, 29), strict=True):
        assert abs(frame.mean() - level(k, 30)) < 3  # neighbours differ by 7


@pytest.mark.parametrize(
    ("name", "matrix", "corner"),
    [
        ("as it is", (1, 0, 0, 1), (0, 0)),
        ("mirrored", (-1, 0, 0, 1), (0, 1)),
        ("upside down and mirrored", (1, 0, 0, -1), (1, 0)),
        ("half a turn", (-1, 0, 0, -1), (1, 1)),
        ("transposed", (0, 1, 1, 0), (0, 0)),
        ("a quarter clockwise", (0, 1, -1, 0), (0, 1)),
        ("a quarter counter-clockwise", (0, -1, 1, 0), (1, 0)),
        ("transposed the other way", (0, -1, -1, 0), (1, 1)),
    ],
)
def test_pictures_are_turned_and_mirrored_as_the_track_says(tmp_path, name, matrix, corner):
    """The coded picture is white in its upper left; corner: row and column where that is to be seen, 1 for the last."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        image = np.zeros((32, 64, 3), np.uint8)
        image[:16, :16] = 255
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    a, b, c, d = (v << 16 for v in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    (frame,), _ = read_frames(path, [0.5])
    assert frame.shape == ((32, 64, 3) if matrix[0] else (64, 32, 3))
    bright = [(r, c) for r in (0, 1) for c in (0, 1) if frame[r * -8 + 4 * (1 - r), c * -8 + 4 * (1 - c)].mean() > 200]
    assert bright == [corner]
    # By the formula: where the middle of the white square comes to lie.
    turned = oriented(image, [a, b, 0, c, d, 0, 0, 0, 1 << 30])
    assert turned.shape == frame.shape
    assert turned[-corner[0], -corner[1], 0] == 255


def test_angles_between_are_the_nearest_quarter_turn():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    ten = (64540, 11380, 0, -11380, 64540, 0, 0, 0, 1 << 30)  # 10 degrees
    eighty = (11380, 64540, 0, -64540, 11380, 0, 0, 0, 1 << 30)
    np.testing.assert_array_equal(oriented(image, ten), image)
    np.testing.assert_array_equal(oriented(image, eighty), np.rot90(image, -1))


FILM = even(range(10, 210, 10))  # two seconds


@pytest.mark.parametrize("kind", ["default", "attached_pic", None])
def test_a_cover_is_not_the_film(tmp_path, kind):
    path = write_film(tmp_path / "a.mkv", [([(0, 255)], kind), (FILM, None)], [([(0, tones(500, 2))], True)])
    assert gray_at(path, [0.0, 0.26, 0.99]) == ([10, 60, 200], pytest.approx(2.0, abs=2e-3))
    assert len(read_sound_track(path)[0]) == 2 * RATE
    path = write_film(tmp_path / "b.mkv", [(FILM, None), ([(0, 255)], kind)])
    assert gray_at(path, [0.26])[0] == [60]


def test_of_several_tracks_the_default_one_is_taken_or_the_first(tmp_path):
    other = even(range(5, 205, 10))
    low, high = [(0, tones(500, 2))], [(0, tones(2000, 2))]
    path = write_film(tmp_path / "a.mkv", [(FILM, None), (other, "default")], [(low, False), (high, True)])
    assert gray_at(path, [0.26])[0] == [55]
    assert hertz(read_sound_track(path)[0]) == 2000
    path = write_film(tmp_path / "b.mkv", [(FILM, None), (other, None)], [(low, False), (high, False)])
    assert gray_at(path, [0.26])[0] == [60]
    assert hertz(read_sound_track(path)[0]) == 500


def test_a_hole_in_the_sound_is_silent_and_what_follows_is_in_time(tmp_path):
    sound = [(0.0, tones(500, 1)), (3.0, tones(2000, 1))]
    path = write_film(tmp_path / "a.mkv", [(even([50] * 40), None)], [(sound, True)])
    samples, _ = read_sound_track(path)
    assert len(samples) == 4 * RATE
    assert hertz(samples[:RATE]) == 500
    assert (samples[RATE : 3 * RATE] == 0).all()
    assert hertz(samples[3 * RATE :]) == 2000
    cut, _ = read_sound_track(path, 2.5, 3.5)
    np.testing.assert_array_equal(cut, samples[RATE * 5 // 2 : RATE * 7 // 2])


def test_sound_that_overlaps_is_that_of_its_time(tmp_path):
    placed = _Placed(tmp_path, RATE, 10)
    for time, block in (
        (0.0, np.ones(1600)),
        (0.05, np.full(80, 2.0)),
        (0.1, np.full(800, 3.0)),
        (None, np.full(80, 4.0)),
    ):
        placed.add(time, block.astype(np.float32))
    assert placed.samples().tolist() == [1] * 400 + [2] * 80 + [3] * 800 + [4] * 80 + [1] * 240


def test_time_stamps_that_are_a_little_off_make_no_holes(tmp_path):
    placed = _Placed(tmp_path, RATE, 10)
    for k in range(10):
        placed.add(k * 0.1 + (-1) ** k * 0.004, np.full(800, k + 1, np.float32))
    samples = placed.samples()
    assert samples[32:].tolist() == [k + 1 for k in range(10) for _ in range(800)]


@pytest.mark.parametrize(("picture", "sound", "silent"), [(0.0, 0.5, 0.5), (0.5, 0.5, 0.0), (0.5, 0.0, -0.5)])
def test_sound_is_in_time_with_the_first_frame(tmp_path, picture, sound, silent):
    frames = even(range(10, 210, 10), start=picture)
    path = write_film(tmp_path / "a.mkv", [(frames, None)], [([(sound, tones(500, 2))], True)])
    samples, _ = read_sound_track(path)
    assert len(samples) == (2 + silent) * RATE
    expected = np.concatenate([np.zeros(round(max(silent, 0) * RATE)), tones(500, 2)[round(max(-silent, 0) * RATE) :]])
    np.testing.assert_allclose(samples * 32768, expected, atol=1)
    assert gray_at(path, [0.26]) == ([60], pytest.approx(2.0, abs=2e-3))


def test_frames_of_a_variable_rate_and_a_hole_in_the_pictures(tmp_path):
    frames = [(0.0, 10), (0.1, 20), (1.0, 30), (1.05, 40), (3.0, 50), (3.1, 60)]
    path = write_film(tmp_path / "a.mkv", [(frames, None)])
    _, seconds = gray_at(path, [0.5])
    assert seconds == pytest.approx(3.2, abs=0.11)
    moments = [t / seconds for t in (0.05, 0.5, 0.999, 1.02, 2.9, 3.05, 3.15)]
    assert gray_at(path, moments)[0] == [10, 20, 20, 30, 40, 50, 60]
    path = write_film(tmp_path / "b.mkv", [([(0, 1), (0.1, 2), (700, 3)], None)])
    with pytest.raises(DataError, match=r"b\.mkv: found a hole of 700 s in the time stamps of frames"):
        read_frames(path, [0.5])


def test_sound_far_from_the_pictures_is_refused(tmp_path):
    path = write_film(tmp_path / "a.mkv", [(FILM, None)], [([(0, tones(500, 1)), (2000, tones(500, 1))], True)])
    with pytest.raises(DataError, match=r"a\.mkv: found (sound 2000 s from the first frame|more than 600 s)"):
        read_sound_track(path)


@pytest.mark.parametrize("suffix", [*CODECS, *MORE_CODECS])
def test_a_flash_and_a_click_of_one_moment_stay_together(tmp_path, suffix):
    """Encoders delay sound and reorder pictures, each container notes it in its own way; here both come at 0.5 s."""
    path = tmp_path / f"a{suffix}"
    video_codec, sound_codec = (CODECS | MORE_CODECS)[suffix]
    rate = 48000 if sound_codec == "libopus" else 44100
    with av.open(str(path), "w") as container:
        video = container.add_stream(video_codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p" if video_codec != "ffv1" else "bgr0"
        sound = container.add_stream(sound_codec, rate=rate, layout="mono")
        for k in range(25):
            image = np.full((48, 64, 3), 255 if k * 2 >= 25 else 0, np.uint8)  # from frame 13, 0.52 s, on
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        samples = np.zeros(rate)
        at = round(0.52 * rate)
        samples[at : at + 3000] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3000) / rate)
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    heard, rate = read_sound_track(path)
    assert np.flatnonzero(np.abs(heard) > 0.1)[0] / rate == pytest.approx(0.52, abs=0.005)
    frames, seconds = read_frames(path, [0.5, 0.525])
    assert seconds == pytest.approx(1.0, abs=0.002)
    assert [frame.mean() > 128 for frame in frames] == [False, True]
