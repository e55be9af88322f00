"""Copies that were interrupted: every container and sound format at any length is whole, or refused by name."""

import numpy as np
import pytest
import soundfile

from misnet.datasets import DataError
from misnet.datasets.formats.lengths import check_complete, check_file
from misnet.datasets.media.audio import read_audio
from misnet.datasets.media.sources import Sound, Video
from tests.datasets.tiny_media import CODECS, MORE_CODECS, write_video

KINDS = {
    ".wav": {},
    ".aiff": {},
    ".au": {},
    ".w64": {"format": "W64"},
    ".rf64": {"format": "RF64"},
    ".caf": {"format": "CAF"},
    ".flac": {},
    ".ogg": {},
    ".opus": {"format": "OGG", "subtype": "OPUS"},
    ".mp3": {},
}


def noise(rate=16000, seconds=1.0):
    return 0.1 * np.random.default_rng(0).standard_normal(round(rate * seconds))


@pytest.mark.parametrize("suffix", KINDS)
def test_sounds_are_whole_or_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, noise(), 16000, **KINDS[suffix])
    assert 16000 <= len(read_audio(path)[0]) <= 48000
    whole = path.read_bytes()
    for part in (0.98, 0.9, 0.5, 0.3):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(DataError, match=rf"a\{suffix}: (truncated, found|found \d+ bytes starting)"):
            read_audio(path)


@pytest.mark.parametrize("suffix", [*CODECS, *MORE_CODECS])
def test_videos_are_whole_or_refused(tmp_path, suffix):
    pytest.importorskip("av")
    path = tmp_path / f"a{suffix}"
    write_video(path, frames=25, colour=None)
    assert Video(path).frames([0.1, 0.9])[1] == pytest.approx(1.0, abs=0.05)
    assert len(Sound(path).read()[0]) > 30000
    whole = path.read_bytes()
    for part in (0.98, 0.9, 0.5, 0.3):
        path.write_bytes(whole[: int(part * len(whole))])
        for read in (lambda: Video(path).frames([0.1]), Sound(path).read):
            with pytest.raises(
                DataError, match=rf"a\{suffix}: truncated, found {int(part * len(whole))} bytes, expected"
            ):
                read()


@pytest.mark.parametrize("suffix", [".flv", ".mkv", ".mp4", ".avi"])
def test_zeros_behind_a_whole_file_are_no_fault(tmp_path, suffix):
    """As disks and cameras leave them."""
    pytest.importorskip("av")
    path = tmp_path / f"a{suffix}"
    write_video(path)
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert Video(path).frames([0.5])[1] == pytest.approx(1.0, abs=0.05)


def test_a_film_whose_index_comes_first_is_refused_when_it_is_cut(tmp_path):
    """An MP4 for the web: FFmpeg opens what is left of it, since the index is there."""
    av = pytest.importorskip("av")
    write_video(tmp_path / "b.mp4")
    path = tmp_path / "a.mp4"
    with (
        av.open(str(tmp_path / "b.mp4")) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as target,
    ):
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    check_file(path)
    path.write_bytes(data[:-500])
    with pytest.raises(
        DataError, match=rf"a\.mp4: truncated, found {len(data) - 500} bytes, expected {len(data)} from the boxes"
    ):
        Video(path).frames([0.1])


def test_a_flv_that_ends_between_two_tags_is_held_against_its_duration(samples, tmp_path):
    data = (samples / "crema-d/VideoFlash/1001_DFA_ANG_XX.flv").read_bytes()
    check_complete(data, "a.flv")
    at, tags = 13, []
    while at < len(data):
        tags.append(at)
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")
    assert at == len(data)
    with pytest.raises(DataError, match=r"a\.flv: truncated, .* metadata: 2\.235 s, of which 1\.\d+ are there"):
        check_complete(data[: tags[len(tags) // 2]], "a.flv")


@pytest.mark.parametrize(
    "name", ["grid/bbaf2n.mpg", "crema-d/VideoFlash/1001_DFA_SAD_XX.flv", "crema-d/AudioMP3/1002_DFA_ANG_XX.mp3"]
)
def test_real_files_are_whole_and_their_halves_are_not(samples, tmp_path, name):
    data = (samples / name).read_bytes()
    path = tmp_path / f"a{(samples / name).suffix}"
    for length, whole in ((len(data), True), (len(data) // 2, False), (len(data) * 3 // 10, False)):
        path.write_bytes(data[:length])
        if whole:
            assert len(Sound(path).read()[0]) > 44100
        else:
            with pytest.raises(DataError, match="truncated"):
                Sound(path).read()


@pytest.mark.parametrize("announced", [0, 0xFFFFFFFF])
def test_streams_that_announce_nothing_are_read(tmp_path, announced):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(), 16000)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = announced.to_bytes(4, "little")
    check_complete(bytes(data), path)
    soundfile.write(tmp_path / "a.au", noise(), 16000)
    data = bytearray((tmp_path / "a.au").read_bytes())
    data[8:12] = announced.to_bytes(4, "big")
    check_complete(bytes(data), path)


def test_a_matroska_stream_of_unknown_size_is_read(tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "a.mkv"
    write_video(path, tone=None)
    data = bytearray(path.read_bytes())
    at = data.index(bytes.fromhex("18538067")) + 4
    assert data[at] == 1  # a size of eight bytes
    data[at : at + 8] = b"\x01" + b"\xff" * 7
    check_complete(bytes(data), path)
    check_complete(bytes(data[:-500]), path)


@pytest.mark.parametrize("data", [b"", b"x", b"GIF89a", b"\0" * 100, b"RIFX" + bytes(50)])
def test_what_is_not_known_passes(data):
    check_complete(data, "a")


@pytest.mark.parametrize("data", [b"RIFF", b"FLV\1", b"OggS", b"FORM", b".snd", b"\x1a\x45\xdf\xa3"])
def test_headers_that_are_cut_are_refused(data):
    with pytest.raises(DataError, match=r"^a: truncated, found 4 bytes, expected \d+ from the "):
        check_complete(data, "a")
