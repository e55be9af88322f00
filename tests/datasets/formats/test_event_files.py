"""Event files: real recordings with known facts, files made here, damage, memory, and mutants."""

import tracemalloc

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.formats.event_files import read_aedat2, read_nmnist
from misnet.datasets.media.events import around, event_frames
from tests.datasets.mutants import MUTANTS, mutant
from tests.datasets.tiny_events import AEDAT2_HEADER, aedat2_bytes, nmnist_bytes
from tests.datasets.tiny_files import LFS_POINTER

READERS = {".aedat": read_aedat2, ".bin": read_nmnist}


def made_aedat(path, t=(5, 6, 9), x=(0, 127, 3), y=(127, 0, 4), p=(1, 0, 1), **options):
    path.write_bytes(aedat2_bytes(np.array(t), np.array(x), np.array(y), np.array(p), **options))
    return path


def test_aedat_of_three_events(tmp_path):
    events = read_aedat2(made_aedat(tmp_path / "a.aedat"))
    assert (events.height, events.width, len(events)) == (128, 128, 3)
    assert (events.t.tolist(), events.x.tolist()) == ([5, 6, 9], [0, 127, 3])
    assert (events.y.tolist(), events.p.tolist()) == ([127, 0, 4], [1, 0, 1])


def test_nmnist_of_three_events(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(nmnist_bytes(np.array([0, 0x7FFFF0, 0x7FFFFF]), [0, 33, 1], [33, 0, 2], np.array([1, 0, 1])))
    events = read_nmnist(path)
    assert (events.height, events.width) == (34, 34)
    assert (events.t.tolist(), events.x.tolist()) == ([0, 0x7FFFF0, 0x7FFFFF], [0, 33, 1])
    assert (events.y.tolist(), events.p.tolist()) == ([33, 0, 2], [1, 0, 1])


def test_the_overflow_record_of_nmnist_moves_the_time_of_what_follows(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(nmnist_bytes(np.array([100, 0, 50]), [1, 0, 2], [1, 240, 2], np.array([1, 0, 0])))
    events = read_nmnist(path)
    assert (events.t.tolist(), events.x.tolist()) == ([100, 50 + 2**13], [1, 2])


def test_neighbours_that_were_swapped_are_sorted_and_stay_stable(tmp_path):
    events = read_aedat2(made_aedat(tmp_path / "a.aedat", t=(9, 5, 5)))
    assert (events.t.tolist(), events.x.tolist()) == ([5, 5, 9], [127, 3, 0])


def test_an_event_that_begins_with_the_byte_of_a_comment_is_an_event(tmp_path):
    path = tmp_path / "a.aedat"
    # 0x23 is "#": an event after it must not be taken for text, here refused for its address
    path.write_bytes(AEDAT2_HEADER + bytes((0x23, 0, 0, 1, 0, 0, 0, 0x0A)))
    with pytest.raises(DataError, match=r"a.aedat: found address 0x23000001 in event 0, expected at most 0xffff"):
        read_aedat2(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.aedat", b"#!AER-DAT1.0\r\n", "found bytes b'#!AER-DAT1.0', expected an AEDAT 2.0 file"),
        ("a.aedat", b"RIFF1234WAVE", "found bytes b'RIFF1234WAVE'"),
        ("a.aedat", b"", "the file is empty"),
        ("a.aedat", LFS_POINTER, "Git LFS pointer"),
        ("a.aedat", aedat2_bytes([1], [1], [1], [1])[:-3], "truncated, found 5 bytes after 0 events"),
        (
            "a.aedat",
            aedat2_bytes([8_000_000, 2_000_000], [1, 1], [1, 1], [1, 1]),
            "time goes back from 8000000 to 2000",
        ),
        ("a.aedat", aedat2_bytes([20_000, 1] * 1002, [1] * 2004, [1] * 2004, [1] * 2004), "time goes back 1002 times"),
        ("a.bin", nmnist_bytes(np.array([1]), [1], [1], np.array([1])) + b"12", "truncated, found 2 bytes after 1 ev"),
        ("a.bin", nmnist_bytes(np.array([1]), [34], [1], np.array([1])), "at column 34, row 1 .event 0., expected 0 t"),
        ("a.bin", nmnist_bytes(np.array([1]), [1], [99], np.array([1])), "at column 1, row 99"),
        ("a.bin", nmnist_bytes(np.array([20_000, 1]), [1, 1], [1, 1], np.array([1, 1])), "time goes back"),
        ("a.bin", b"", "the file is empty"),
    ],
)
def test_damage_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        READERS[path.suffix](path)


@pytest.mark.parametrize(
    ("name", "n", "last", "ones"),
    [
        ("mnist-dvs/mnist_0_scale04_0001.aedat", 15744, 2210588, 15744 - 7874),
        ("mnist-dvs/mnist_0_scale04_0001_qt1.aedat", 1782, 196581, 1782 - 839),
        ("mnist-dvs/mnist_0_scale08_0001_qt1.aedat", 5078, 196557, 5078 - 2344),
        ("mnist-dvs/mnist_0_scale16_0001_qt1.aedat", 11209, 196604, 11209 - 5351),
        ("n-mnist/sample_nmnist.bin", 4325, 311175, 2145),
    ],
)
def test_real_recordings(samples, name, n, last, ones):
    path = samples / name
    events = READERS[path.suffix](path)
    assert (len(events), int(events.t[-1]), int(events.p.sum())) == (n, last, ones)  # of MNIST-DVS, bit 0 = 1 is OFF
    assert event_frames(events, 4).sum() == n


def test_bit_0_of_a_dvs128_is_1_for_off(tmp_path):
    """As dat2mat.m of MNIST-DVS, jAER and SpikingJelly read it."""
    path = tmp_path / "a.aedat"
    path.write_bytes(AEDAT2_HEADER + bytes((0, 0, 0, 2, 0, 0, 0, 1)) + bytes((0, 0, 0, 5, 0, 0, 0, 2)))
    events = read_aedat2(path)
    assert (events.x.tolist(), events.p.tolist()) == ([1, 2], [1, 0])


def test_what_comes_from_the_plug_for_synchronisation_is_no_event(tmp_path):
    path = made_aedat(tmp_path / "a.aedat")
    data = bytearray(path.read_bytes())
    data[len(AEDAT2_HEADER) + 8 + 2] |= 0x80  # bit 15 of the second event
    path.write_bytes(data)
    events = read_aedat2(path)
    assert (events.t.tolist(), events.x.tolist(), events.p.tolist()) == ([5, 9], [0, 3], [1, 1])


@pytest.mark.parametrize(
    ("t", "continued"),
    [
        ((2**32 - 9, 3, 90_000), (2**32 - 9, 2**32 + 3, 2**32 + 90_000)),  # the counter wrapped, or began at -9 us
        ((70_000_000, 5, 20), (70_000_000, 70_000_005, 70_000_020)),  # reset
        ((50_000, 10, 50_000, 10, 20), (50_000, 50_010, 100_000, 100_010, 100_020)),  # reset twice
        ((2**32 - 9, 3, 2_000_000, 7), (2**32 - 9, 2**32 + 3, 2**32 + 2_000_000, 2**32 + 2_000_007)),
        ((2**32 - 2, 5, 4, 9), (2**32 - 2, 2**32 + 4, 2**32 + 5, 2**32 + 9)),  # neighbours swapped after it
    ],
)
def test_a_clock_that_began_again_goes_on(tmp_path, t, continued):
    n = len(t)
    events = read_aedat2(made_aedat(tmp_path / "a.aedat", t=t, x=range(n), y=range(n), p=[1] * n))
    assert events.t.tolist() == list(continued)


def test_a_real_header_without_events(samples):
    assert len(read_aedat2(samples / "aedat2/sample_aedat_header.aedat")) == 0


def test_the_digit_of_mnist_dvs_leans_as_mnist_zeros_do(samples, real_data):
    """Zeros lean to the right: column and row correlate at -0.25 in the median; a flip or quarter turn gives +."""
    from misnet.datasets.formats.idx import read_idx

    images = read_idx(real_data / "mnist/train-images-idx3-ubyte.gz", 3)
    labels = read_idx(real_data / "mnist/train-labels-idx1-ubyte.gz", 1)
    row, column = (a.ravel() for a in np.indices((28, 28)))
    lean = [
        np.cov(column, row, aweights=zero.ravel())[0, 1] / 28 for zero in images[labels == 0][:300].astype(np.float64)
    ]
    assert np.mean(np.array(lean) < 0) > 0.8
    events = around(read_aedat2(samples / "mnist-dvs/mnist_0_scale04_0001.aedat"), 32)
    assert np.corrcoef(events.x, events.y)[0, 1] == pytest.approx(-0.222, abs=0.001)


def test_the_digit_of_nmnist_is_the_four_it_looks_like(samples, real_data):
    from misnet.datasets.formats.idx import read_idx

    images = read_idx(real_data / "mnist/train-images-idx3-ubyte.gz", 3)
    labels = read_idx(real_data / "mnist/train-labels-idx1-ubyte.gz", 1)
    seen = np.sqrt(event_frames(read_nmnist(samples / "n-mnist/sample_nmnist.bin"), 1, polarity=False)[0, ..., 0])
    views = {"upright": seen, "flipped": seen[::-1], "mirrored": seen[:, ::-1]}
    scores = {}
    for digit in range(10):
        mean = np.pad(images[labels == digit].mean(axis=0, dtype=np.float32), 3)
        scores |= {(digit, name): np.corrcoef(view.ravel(), mean.ravel())[0, 1] for name, view in views.items()}
    assert max(scores, key=scores.get) == (4, "upright"), scores


@pytest.mark.parametrize("suffix", READERS)
def test_memory_stays_below_four_times_the_file(tmp_path, suffix):
    n = 200_000
    rng = np.random.default_rng(0)
    t, side = np.sort(rng.integers(0, 2**23, n)), 34
    make = aedat2_bytes if suffix == ".aedat" else nmnist_bytes
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make(t, rng.integers(0, side, n), rng.integers(0, side, n), rng.integers(0, 2, n)))
    tracemalloc.start()
    try:
        assert len(READERS[suffix](path)) == n
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * path.stat().st_size


@pytest.mark.parametrize(
    "name",
    ["mnist-dvs/mnist_0_scale04_0001_qt1.aedat", "n-mnist/sample_nmnist.bin", "aedat2/sample_aedat_header.aedat"],
)
def test_mutants_of_real_recordings_are_refused_or_read(samples, tmp_path, name):
    """Bytes changed, cut out or doubled: a DataError that names the file, or as many events as the bytes hold."""
    original = (samples / name).read_bytes()
    rng = np.random.default_rng(11)
    path = tmp_path / f"mutant{(samples / name).suffix}"
    read = READERS[path.suffix]
    outcomes = {"refused": 0, "read": 0}
    for _ in range(MUTANTS):
        path.write_bytes(mutant(original, rng))
        try:
            events = read(path)
        except DataError as error:
            outcomes["refused"] += str(path) in str(error)
            continue
        outcomes["read"] += 1
        assert len(events) <= path.stat().st_size // 5
        assert len(events) == len(events.x) == len(events.y) == len(events.p)
        if len(events):
            assert (events.t[1:] >= events.t[:-1]).all()
            assert events.x.max() < events.width
            assert event_frames(events, 4).sum() == len(events)
    assert sum(outcomes.values()) == MUTANTS
    assert outcomes["refused"] > 0
