"""AEDAT 3.1 and 4.0: recordings made here, as their formats are documented, and each way one can be wrong."""

import struct
import sys

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.base import MissingPackage
from misnet.datasets.formats.aedat3 import read_aedat3
from misnet.datasets.formats.aedat4 import read_aedat4
from misnet.datasets.formats.event_files import read_aedat
from tests.datasets.mutants import MUTANTS, mutant
from tests.datasets.tiny_events import AEDAT3_HEADER, aedat2_bytes, aedat3_bytes, aedat3_packet, aedat4_bytes

MAKERS = {"3": aedat3_bytes, "4": aedat4_bytes}


def made(path, content):
    path.write_bytes(content)
    return path


def columns(events):
    return [getattr(events, name).tolist() for name in "txyp"]


def test_three_events_of_each_version(tmp_path):
    given = ([5, 6, 9], [0, 127, 3], [127, 0, 4], [1, 0, 1])
    for make, size in ((aedat2_bytes, (128, 128)), (aedat3_bytes, (128, 128)), (aedat4_bytes, (260, 346))):
        events = read_aedat(made(tmp_path / "a.aedat", make(*map(np.array, given))))
        assert columns(events) == list(given)
        assert (events.height, events.width) == size
        assert events.x.dtype == (np.uint8 if size[0] < 256 else np.uint16)


def test_a_packet_s_overflow_counts_two_to_the_31(tmp_path):
    t = [2**31 - 5, 2**31 + 7, 2**32 + 1]
    assert read_aedat3(made(tmp_path / "a", aedat3_bytes(t, [1] * 3, [1] * 3, [0] * 3))).t.tolist() == t


def test_frames_special_and_invalid_events_are_left_out(tmp_path):
    word = 7 << 17 | 9 << 2 | 1 << 1
    data = AEDAT3_HEADER + aedat3_packet([1 << 1 | 1], [0], kind=0) + aedat3_packet([0] * 9, [0] * 9, kind=3)
    data += aedat3_packet([word | 1, word], [5, 6]) + aedat3_packet([], [])
    assert columns(read_aedat3(made(tmp_path / "a", data))) == [[5], [7], [9], [1]]
    assert len(read_aedat3(made(tmp_path / "a", AEDAT3_HEADER))) == 0


def test_a_clock_that_was_reset_goes_on(tmp_path):
    data = AEDAT3_HEADER + aedat3_packet([1, 1], [0, 90_000]) + aedat3_packet([1, 1], [3, 50])
    assert read_aedat3(made(tmp_path / "a", data)).t.tolist() == [0, 90_000, 90_003, 90_050]


def test_a_camera_of_another_size(tmp_path):
    header = AEDAT3_HEADER.replace(b"DVS128", b"DAVIS240C")
    events = read_aedat3(made(tmp_path / "a", aedat3_bytes([1], [239], [179], [1], header)))
    assert (events.height, events.width, events.x[0], events.y[0]) == (180, 240, 239, 179)


ONE = aedat3_bytes([5], [1], [1], [1])
LONG = AEDAT3_HEADER + struct.pack("<hh6i", 1, 1, 8, 4, 0, 1, 2, 1) + bytes(8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ONE[:-3], "truncated, found 5 of 8 bytes of a packet"),
        (ONE + ONE[-36:-20], "truncated, found 16 bytes of a packet.s header of 28"),
        (LONG, "found a packet of 2 of 1 events of 8 bytes at byte 86"),
        (AEDAT3_HEADER + aedat3_packet([1], [1], size=4), "found events of pixels of 4 bytes, expected 8"),
        (
            AEDAT3_HEADER + aedat3_packet([200 << 17 | 1], [1]),
            "found an event at column 200, row 0 .event 0., expected 128",
        ),
        (ONE.replace(b"RAW", b"SerializedTS"), "found AEDAT 3.1 in format 'SerializedTS', expected 'RAW'"),
        (ONE.replace(b"DVS128", b"CochleaAMS"), "found CochleaAMS in the header, expected one of DVS128"),
        (ONE.replace(b"#Start", b"#Source 2: DVS128\r\n#Start"), "found DVS128, DVS128 in the header"),
        (ONE.replace(b"#Source", b"#Sauce"), "found no camera in the header"),
        (b"#!AER-DAT3.1\r\n", "found no line #!END-HEADER"),
        (AEDAT3_HEADER + aedat3_packet([1] * 2, [8_000_000, 2_000_000]), "time goes back from 8000000 to 2000000 us"),
        (b"#!AER-DAT2.0\r\n", "found bytes b'#!AER-DAT2.0', expected an AEDAT 3.1 file"),
    ],
)
def test_damage_of_3_1_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=f"a.aedat: {message}"):
        read_aedat3(made(tmp_path / "a.aedat", content))


FOUR = ([1, 2, 3], [5, 345, 0], [0, 259, 1], [True, False, True])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (aedat4_bytes(*FOUR)[:-5], r"truncated, found \d+ of \d+ bytes of a packet"),
        (aedat4_bytes(*FOUR)[:100], r"truncated, found 82 bytes of a header"),
        (aedat4_bytes(*FOUR, end=5000), "truncated, found .* bytes, expected a table at byte 5000"),
        (aedat4_bytes(*FOUR, size=(300, 260)), "found an event at column 345, row 259, expected 300 x 260 pixels"),
        (aedat4_bytes(*FOUR, size=(99999, 2)), "found a camera of 99999 x 2 pixels"),
        (aedat4_bytes(*FOUR).replace(b"EVTS</", b"FRME</"), "found 0 streams of events, expected one"),
        (aedat4_bytes(*FOUR).replace(b"<dv ", b"<!v "), "damaged .found a document type"),
        (aedat4_bytes([9_000_000, 5, 6], *FOUR[1:]), "time goes back from 9000000 to 5 us"),
        (aedat4_bytes(*FOUR, compression=9), "damaged .compression 9, expected 0 to 4"),
        (b"#!AER-DAT3.1\r\n", "found bytes b'#!AER-DAT3.1', expected an AEDAT 4.0 file"),
    ],
)
def test_damage_of_4_0_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=f"a.aedat4: {message}"):
        read_aedat4(made(tmp_path / "a.aedat4", content))


def test_the_table_at_the_end_of_4_0_is_no_packet(tmp_path):
    data = aedat4_bytes(*FOUR, end=1)
    data = aedat4_bytes(*FOUR, end=len(data)) + b"a table"
    assert columns(read_aedat4(made(tmp_path / "a", data))) == [list(map(int, column)) for column in FOUR]
    assert len(read_aedat4(made(tmp_path / "a", aedat4_bytes([], [], [], [])))) == 0


@pytest.mark.parametrize(("compression", "package"), [(1, "lz4"), (2, "lz4"), (3, "zstandard"), (4, "zstandard")])
def test_without_what_unpacks_it_the_message_says_what_to_install(tmp_path, monkeypatch, compression, package):
    for name in (package, f"{package}.frame"):  # an earlier test may have loaded it
        monkeypatch.setitem(sys.modules, name, None)
    path = made(tmp_path / "a.aedat4", aedat4_bytes(*FOUR, compression=compression))
    with pytest.raises(MissingPackage, match=f"needs {package}, which is not installed; install it with: pip install"):
        read_aedat4(path)


def test_compressed_recordings(tmp_path):
    frame, zstandard = pytest.importorskip("lz4.frame"), pytest.importorskip("zstandard")
    rng = np.random.default_rng(0)
    given = (
        np.sort(rng.integers(0, 10**6, 500)),
        rng.integers(0, 346, 500),
        rng.integers(0, 260, 500),
        rng.random(500) < 0.5,
    )
    for compression, pack in ((1, frame.compress), (3, zstandard.ZstdCompressor().compress)):
        data = aedat4_bytes(*given, compression=compression, pack=pack)
        assert columns(read_aedat4(made(tmp_path / "a", data))) == [column.astype(int).tolist() for column in given]
        data = aedat4_bytes(*given, compression=compression, pack=lambda body, pack=pack: pack(body)[:-9])
        with pytest.raises(DataError, match=r"a: damaged"):
            read_aedat4(made(tmp_path / "a", data))


@pytest.mark.parametrize("version", MAKERS)
def test_mutants_are_refused_or_read(tmp_path, version):
    rng = np.random.default_rng(3)
    original = MAKERS[version](
        np.arange(300) * 50, rng.integers(0, 128, 300), rng.integers(0, 128, 300), np.arange(300) % 2
    )
    outcomes = {"refused": 0, "read": 0}
    for _ in range(MUTANTS):
        path = made(tmp_path / "mutant.aedat", mutant(original, rng))
        try:
            events = read_aedat(path)
        except DataError as error:
            outcomes["refused"] += str(path) in str(error)
            continue
        outcomes["read"] += 1
        assert (events.t[1:] >= events.t[:-1]).all()
        assert len(events) == 0 or (events.x.max() < events.width and events.y.max() < events.height)
    assert sum(outcomes.values()) == MUTANTS
    assert min(outcomes.values()) > 0
