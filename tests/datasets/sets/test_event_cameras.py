"""CIFAR10-DVS and DVS128 Gesture: their splits, labels and parts of recordings, on small files of their layouts."""

import numpy as np
import pytest

from misnet.datasets import DataError
from misnet.datasets.sets.event_cameras import CIFAR10_CLASSES, GESTURES, clip_frames, find_cifar10_dvs, find_gestures
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
    assert frames[0, 999 % 128, 2, 1] == frames[1, 3, 2, 0] == 1
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
