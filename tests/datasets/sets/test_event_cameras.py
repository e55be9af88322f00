"""CIFAR10-DVS and DVS128 Gesture: their splits, labels and parts of recordings, on small files of their layouts."""

import numpy as np
import pytest

from misnet.datasets import DataError, Subset
from misnet.datasets.batching.batches import BatchIterator
from misnet.datasets.prepared.cache import open_cache
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.preparing import prepare
from misnet.datasets.sets.event_cameras import CIFAR10_CLASSES, GESTURES, clip_frames, find_cifar10_dvs, find_gestures
from misnet.datasets.sets.event_vision import Cifar10Dvs, Dvs128Gesture
from snncore import Tensor, count_ops, nn, no_grad
from snncore.energy import apply_rule
from tests.datasets.tiny_events import aedat2_bytes, aedat3_bytes


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_cifar10_dvs_is_split_by_number(tmp_path):
    for k, name in enumerate(CIFAR10_CLASSES):
        for number in (0, 10, 9, 899, 900, 999):
            data = aedat2_bytes([1, 5], [k, k], [number % 128, 3], [1, 0])
            write(tmp_path / f"CIFAR10-DVS/{name}/cifar10_{name}_{number}.aedat", data)
            write(tmp_path / f"CIFAR10-DVS/{name}/._cifar10_{name}_{number}.aedat", b"\0")
    train, test = find_cifar10_dvs(tmp_path, "train"), find_cifar10_dvs(tmp_path, "test")
    assert [clip.label for clip in train] == [k for k in range(10) for _ in range(4)]
    assert [clip.path.stem for clip in train[8:12]] == [f"cifar10_bird_{n}" for n in (0, 9, 10, 899)]
    assert [clip.path.stem for clip in test[4:6]] == ["cifar10_bird_900", "cifar10_bird_999"]
    frames = clip_frames(test[5], 2)
    assert (frames.shape, frames.dtype, frames.sum()) == ((2, 128, 128, 2), np.uint8, 2)
    # column and row exchanged and counted from the other end: the pictures lie on their side in the recordings
    assert frames[0, 127 - 2, 127 - 999 % 128, 1] == frames[1, 127 - 2, 127 - 3, 0] == 1
    write(tmp_path / "CIFAR10-DVS/cat/cifar10_dog_1.aedat", b"1")
    with pytest.raises(
        DataError, match=r"cifar10_dog_1\.aedat: expected a name like airplane/cifar10_airplane_0\.aedat"
    ):
        find_cifar10_dvs(tmp_path, "train")


@pytest.fixture
def gestures_dir(tmp_path):
    """Two recordings of 100 ms with an event a millisecond, whose column is its time; two gestures in each."""
    folder = tmp_path / "DvsGesture"
    for name in ("user01_led", "user24_fluorescent"):
        t = np.arange(100) * 1000
        write(folder / f"{name}.aedat", aedat3_bytes(t, np.arange(100), np.full(100, 7), np.ones(100, int)))
        write(folder / f"{name}_labels.csv", "class,startTime_usec,endTime_usec\r\n3,10000,20000\r\n11,50000,52500\r\n")
    write(folder / "trials_to_train.txt", "user01_led.aedat\n")
    write(folder / "trials_to_test.txt", "user24_fluorescent.aedat\n\n")
    return folder


def test_gestures_are_parts_of_recordings(gestures_dir):
    train, test = find_gestures(gestures_dir.parent, "train"), find_gestures(gestures_dir, "test")
    assert [(c.label, c.group, c.path.name) for c in train] == [
        (2, "user01", "user01_led.aedat"),
        (10, "user01", "user01_led.aedat"),
    ]
    assert [c.group for c in test] == ["user24"] * 2
    assert (GESTURES[2], GESTURES[10]) == ("left hand wave", "other gestures")
    assert train[0].read().x.tolist() == list(range(10, 20))  # from 10 ms to before 20 ms
    assert test[1].read().x.tolist() == [50, 51, 52]
    frames = clip_frames(train[0], 5)
    assert frames.sum(axis=(1, 2, 3)).tolist() == [2] * 5
    assert frames[0, 7, 10:13, 1].tolist() == [1, 1, 0]
    assert len({c.key for c in train + test}) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "trials_to_train.txt",
            "user1.mat\n",
            "trials_to_train.txt: found 'user1.mat', expected names like user01_fluores",
        ),
        ("trials_to_train.txt", "user02_led.aedat\n", "user02_led.aedat: no such file; trials_to_train.txt lists it"),
        ("user01_led_labels.csv", "12,1,2\n", "found '12,1,2' in row 1, expected rows of class .1 to 11."),
        ("user01_led_labels.csv", "1,5,5\n", "found '1,5,5' in row 1"),
        ("user01_led_labels.csv", "1,5\n", "found '1,5' in row 1"),
        ("user01_led_labels.csv", "class\n1,0.5,2\n", "found '1,0.5,2' in row 2"),
    ],
)
def test_wrong_lists_and_tables_are_named(gestures_dir, name, content, message):
    write(gestures_dir / name, content)
    with pytest.raises(DataError, match=message):
        find_gestures(gestures_dir, "train")


def test_what_is_not_there_is_named(gestures_dir, tmp_path):
    (gestures_dir / "user01_led_labels.csv").write_text("1,200000,300000\n")
    with pytest.raises(DataError, match=r"user01_led\.aedat: found no events of user01_led\.aedat 200000-300000"):
        find_gestures(gestures_dir, "train")[0].read()
    (gestures_dir / "user01_led_labels.csv").unlink()
    with pytest.raises(DataError, match=r"user01_led_labels\.csv: no such file"):
        find_gestures(gestures_dir, "train")
    with pytest.raises(DataError, match=r"found no trials_to_test\.txt of DVS128 Gesture"):
        find_gestures(tmp_path / "x", "test")
    with pytest.raises(DataError, match="found no recordings of CIFAR10-DVS"):
        find_cifar10_dvs(tmp_path, "train")
    for find in (find_gestures, find_cifar10_dvs):
        with pytest.raises(ValueError, match="split: expected 'train' or 'test', found 'val'"):
            find(tmp_path, "val")


def test_gestures_as_a_data_set_of_one_stream(gestures_dir):
    train, test = (Dvs128Gesture(split, data_dir=gestures_dir, timesteps=2, size=16) for split in ("train", "test"))
    assert (len(train), train.labels.tolist(), train.group(0)) == (2, [2, 10], "user01")
    assert dict(train.streams) == {"visual": (2, 16, 16, 2)}
    frames, label = train[0]
    assert (frames.shape, frames.dtype, label) == ((2, 16, 16, 2), np.float32, 2)
    assert frames.mean() == pytest.approx(0, abs=1e-5)
    assert frames.std() == pytest.approx(1, abs=1e-3)
    counts = Dvs128Gesture("train", data_dir=gestures_dir, timesteps=2, size=128, values="count")[0][0]
    np.testing.assert_array_equal(counts, clip_frames(find_gestures(gestures_dir, "train")[0], 2))
    assert train.fingerprint() != test.fingerprint()
    before, other = train.stamp(), test.stamp()
    path = gestures_dir / "user01_led.aedat"
    path.write_bytes(path.read_bytes())  # written to: to be read again
    assert (train.stamp() != before, test.stamp() == other) == (True, True)
    batch = next(iter(BatchIterator(train, 2, shuffle=False).epoch(0)))
    assert batch.streams["visual"].shape == (2, 2, 16, 16, 2)
    assert batch.labels.tolist() == [2, 10]


def test_a_damaged_recording_stops_or_is_left_out(tmp_path):
    for k in range(3):
        write(tmp_path / f"frog/cifar10_frog_{k}.aedat", aedat2_bytes([1], [k], [k], [1]))
    write(tmp_path / "frog/cifar10_frog_1.aedat", b"#!AER-DAT2.0\r\n123")
    with pytest.raises(DataError, match=r"cifar10_frog_1\.aedat: truncated"):
        Cifar10Dvs("train", data_dir=tmp_path)[1]
    train = Cifar10Dvs("train", data_dir=tmp_path, on_bad_sample="skip", polarity=False)
    assert (len(train), train.skipped, dict(train.streams)) == (2, 1, {"visual": (4, 48, 48, 1)})
    assert "cifar10_frog_1.aedat: truncated" in train.skipped_reasons[0]
    with pytest.raises(DataError, match="found no recording of the test split of cifar10-dvs"):
        Cifar10Dvs("test", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slicing": "x"}, "slicing: expected one of time, count, found 'x'"),
        ({"values": "x"}, "values: expected one of log, count, binary, found 'x'"),
        ({"polarity": 3}, "polarity: expected one of True, False, found 3"),
        ({"size": 4}, "size: expected 8 to 128 for dvs128-gesture, found 4"),
        ({"timesteps": 0}, "timesteps: expected at least 1, found 0"),
    ],
)
def test_options_out_of_range_are_refused(gestures_dir, options, message):
    with pytest.raises(ValueError, match=message):
        Dvs128Gesture("train", data_dir=gestures_dir, **options)


@pytest.mark.parametrize(("values", "size"), [("binary", 16), ("count", 128)])
def test_frames_of_integers_stay_so_through_cache_and_batches_and_are_accumulated(gestures_dir, tmp_path, values, size):
    """The first convolution of a network then counts events, and no dense multiply-accumulates."""
    options = {"values": values, "polarity": False}
    asked = Request("dvs128-gesture", str(gestures_dir), 2, size, 0, options)
    prepare(tmp_path / "cache", asked)
    direct = Dvs128Gesture("train", data_dir=gestures_dir, timesteps=2, size=size, **options)
    cached = open_cache(tmp_path / "cache", "train", "dvs128-gesture", 2, size, 0, options)
    assert direct.events == cached.events == Subset(direct, [0]).events == ("visual",)
    for a, b in zip(direct, cached, strict=True):
        assert a[0].dtype == b[0].dtype == np.uint8
        np.testing.assert_array_equal(a[0], b[0])
    batch = next(iter(BatchIterator(cached, 2, shuffle=False).epoch(0)))
    x = batch.streams["visual"]
    assert x.dtype == np.uint8
    with no_grad(), count_ops(samples=2) as ops:
        nn.Conv2d(1, 3, 1, rng=np.random.default_rng(0))(Tensor(x))
    found = ops.totals()
    assert (found["mac"], found["ac_binary"] + found["ac_graded"]) == (0, 3 * int((x > 0).sum()))
    assert apply_rule("paper", ops).mac == 0


def test_a_batch_of_larger_counts_gets_a_wider_type(gestures_dir):
    data = Dvs128Gesture("train", data_dir=gestures_dir, timesteps=2, size=128, values="count")
    first, second = data[0], data[1]
    kept = {0: first, 1: (second[0].astype(np.uint16) + 300, second[1])}
    data.__class__ = type("Larger", (Dvs128Gesture,), {"__getitem__": lambda self, i: kept[i]})
    for order, dtype in (([0, 1], np.uint16), ([1, 0], np.uint16), ([0], np.uint8)):
        (batch,) = BatchIterator(Subset(data, order), 2, shuffle=False).epoch(0)
        x = batch.streams["visual"]
        assert x.dtype == dtype
        for j, i in enumerate(order):
            np.testing.assert_array_equal(x[:, j], kept[i][0])
    kept[1] = (second[0].astype(np.float32) + 0.5, second[1])
    for order in ([0, 1], [1, 0]):
        (batch,) = BatchIterator(Subset(data, order), 2, shuffle=False).epoch(0)
        assert batch.streams["visual"].dtype == np.float32
        np.testing.assert_array_equal(batch.streams["visual"][:, order.index(1)], kept[1][0])
