"""Frames of MP3 files: junk that players pass over, tags, and copies that were interrupted."""

import io

import numpy as np
import pytest
import soundfile

from misnet.datasets import DataError
from misnet.datasets.formats.mp3 import is_mpeg_sound, sound_frames
from misnet.datasets.media.audio import read_audio


@pytest.fixture(scope="module")
def whole():
    """One second of a chirp at 16 kHz."""
    t = np.arange(16000) / 16000
    file = io.BytesIO()
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * (300 + 1000 * t) * t), 16000, format="MP3")
    return file.getvalue()


def frames_of(data):
    """Where each frame starts: the header of the first is that of all, but for padding and bit rate."""
    return [
        i
        for i in range(len(data) - 4)
        if data[i] == 0xFF and data[i + 1] == data[1] and data[i + 2] & 0xC == data[2] & 0xC
    ]


def read(tmp_path, data):
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    return read_audio(path)[0]


@pytest.mark.parametrize("junk", [bytes(700), bytes(range(255)) * 3, b"<html>" * 100, b"\xff\xfb" * 50])
@pytest.mark.parametrize("place", ["before", "between"])
def test_junk_is_passed_over(tmp_path, whole, junk, place):
    expected = read(tmp_path, whole)
    at = 0 if place == "before" else whole.index(whole[:2], len(whole) // 2)
    dirty = whole[:at] + junk + whole[at:]
    assert sound_frames(dirty, "a.mp3") == whole
    np.testing.assert_array_equal(read(tmp_path, dirty), expected)


def test_tags_are_no_junk(tmp_path, whole):
    id3 = b"ID3\x04\0\0\0\0\x02\x01" + b"\xff\xfb" * 128 + b"\0"  # 257 bytes, as 2 * 128 + 1, that look like frames
    tagged = id3 + whole + b"TAG" + b"a title".ljust(125, b"\0")
    assert sound_frames(tagged, "a.mp3") == tagged
    assert len(read(tmp_path, tagged)) == len(read(tmp_path, whole))
    assert sound_frames(whole + bytes(5000), "a.mp3") == whole + bytes(5000)


def without_header(data):
    """The same without its first frame, which holds no sound but the number of frames."""
    assert b"Xing" in data[:200] or b"Info" in data[:200]
    starts = frames_of(data)
    return data[starts[1] :]


def test_a_file_that_announces_nothing_is_refused_in_the_middle_of_a_frame(whole, tmp_path):
    plain = without_header(whole)
    assert sound_frames(plain, "a.mp3") == plain
    with pytest.raises(DataError, match=r"a\.mp3: truncated, found \d+ bytes of the last frame, not \d+"):
        sound_frames(plain[:-5], "a.mp3")
    last = frames_of(plain)[-1]
    assert sound_frames(plain[:last], "a.mp3") == plain[:last]  # nothing says that there was more


def test_fewer_frames_than_announced_are_refused(whole):
    starts = frames_of(whole)
    with pytest.raises(DataError, match=r"a\.mp3: truncated, found \d+ frames, expected \d+ from the Xing header"):
        sound_frames(whole[: starts[-4]], "a.mp3")
    lost = whole[: starts[5]] + bytes(starts[9] - starts[5]) + whole[starts[9] :]
    with pytest.raises(DataError, match="truncated, found"):
        sound_frames(lost, "a.mp3")


def test_what_is_an_mp3(whole):
    assert is_mpeg_sound(whole, "a.wav")
    assert is_mpeg_sound(bytes(100) + whole, "a.mp3")
    assert not is_mpeg_sound(bytes(100) + whole, "a.wav")
    assert not is_mpeg_sound(b"RIFF", "a.mp3")
    assert not is_mpeg_sound(b"ID3\4\0\0\0\0\0\2xyfLaC", "a.mp3")  # FLAC may have such a tag, too
    assert sound_frames(b"no frame at all", "a.mp3") == b"no frame at all"
