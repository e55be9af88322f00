"""AVE: annotations and official splits, segments, ids that are odd or shared, and each way the files can be wrong."""

import re
import shutil
import sys

import numpy as np
import pytest

from misnet.datasets import DataError, load_dataset
from misnet.datasets.sets.ave_annotations import CLASSES, read_annotations, read_order
from tests.datasets.tiny_media import write_image, write_tone, write_video

LINES = {
    "train": [
        "Church bell&-aXy&good&0&10",
        "Church bell&zero&good&0&0",
        "Violin, fiddle&bbb&good&2&4",
        "Cat&bbb&good&5&10",
    ],
    "val": ["Bark&ccc&good&0&10"],
    "test": ["Frying (food)&ddd&good&3&9", "Cat&bbb&good&0&1"],
}
IDS = ("-aXy", "zero", "bbb", "ccc", "ddd")


def load(folder, split="train", **settings):
    return load_dataset("ave", split, data_dir=folder, **{"size": 16} | settings)


@pytest.fixture
def frames_dir(tmp_path):
    """The layout of frames and wav files: frame k of ten has red 20 k, the sound rises by 100 Hz a second."""
    for j, name in enumerate(IDS):
        for k in range(10):
            write_image(tmp_path / "AVE_vision" / name / f"{k}.png", (20 * k, 50 * j, 0))
        write_tone(tmp_path / "AVE_audio" / f"{name}.wav", hz=400, seconds=10, rate=8000)
    for split, lines in LINES.items():
        (tmp_path / f"{split}Set.txt").write_text("\n".join(lines))
    return tmp_path


def red(video):
    return np.round((video[:, 8, 8, 0] * 0.229 + 0.485) * 255).astype(int).tolist()


def test_three_splits_and_labels(frames_dir):
    train, val, test = (load(frames_dir, split) for split in ("train", "val", "test"))
    assert len(train.class_names) == 28
    assert [train.class_names[label] for label in train.labels] == [
        "Church bell",
        "Church bell",
        "Violin, fiddle",
        "Cat",
    ]
    assert [val.class_names[label] for label in val.labels] == ["Bark"]
    assert [test.class_names[label] for label in test.labels] == ["Frying (food)", "Cat"]
    assert [train.group(i) for i in range(4)] == ["-aXy", "zero", "bbb", "bbb"]
    audio, video, label = train[0]
    assert (audio.shape, video.shape, label) == ((4, 16, 16, 1), (4, 16, 16, 3), 0)
    assert red(video) == [20, 60, 120, 160]  # frames 1, 3, 6 and 8 of ten
    with pytest.raises(ValueError, match="split: expected one of train, test, val for ave, found 'dev'"):
        load(frames_dir, "dev")


def test_events_are_the_annotated_seconds(frames_dir):
    train = load(frames_dir, segment="event")
    assert (len(train), train.skipped) == (3, 0)  # the event of no length is none
    assert [train.group(i) for i in range(3)] == ["-aXy", "bbb", "bbb"]
    assert red(train[1][1]) == [40, 40, 60, 60]  # from 2 to 4 s
    assert red(train[2][1]) == [100, 120, 160, 180]  # from 5 to 10 s
    assert train.samples[1].sound.read()[0].shape == (16000,)


def test_videos_that_are_in_two_splits_can_be_left_out(frames_dir):
    assert [load(frames_dir, shared="drop").group(i) for i in range(2)] == ["-aXy", "zero"]
    assert len(load(frames_dir, shared="drop")) == 2
    assert len(load(frames_dir, "test", shared="drop")) == 2


def test_videos_whose_ids_begin_with_a_dash(tmp_path):
    for name in ("-aXy", "bbb"):
        write_video(tmp_path / "AVE_Dataset" / "AVE" / f"{name}.mp4", frames=100, fps=10, tone=1000)
    (tmp_path / "AVE_Dataset" / "trainSet.txt").write_text("\n".join(LINES["train"][i] for i in (0, 2)))
    train = load(tmp_path, segment="event")
    assert [path.name for path in train.files(0)] == ["-aXy.mp4"]
    audio, video, _ = train[0]
    assert np.isfinite(audio).all()
    gray = red(video)
    assert (np.diff(gray) > 30).all()
    assert red(train[1][1])[0] == pytest.approx(20 + 200 * 2.25 / 10, abs=6)  # 2.25 s into ten


def test_the_official_annotations_and_splits(samples):
    folder = samples / "ave"
    events = read_annotations(folder / "Annotations.txt")
    assert len(events) == 4143
    assert len({event.video for event in events}) == 4097
    assert {event.label for event in events} == set(range(28))
    assert sum(event.video.startswith("-") for event in events) > 0
    assert [event.video for event in events if event.stop == event.start] == ["VWi2ENBuTbw"]
    orders = {split: read_order(folder / f"{split}_order.h5", 4143) for split in ("train", "val", "test")}
    assert [len(order) for order in orders.values()] == [3339, 402, 402]
    assert sorted(i for order in orders.values() for i in order) == list(range(4143))
    for split, order in orders.items():
        listed = {(e.video, e.start, e.stop, e.label) for e in read_annotations(folder / f"{split}Set.txt")}
        by_order = {(e.video, e.start, e.stop, e.label) for e in (events[i] for i in order)}
        extra = {("VWi2ENBuTbw", 0.0, 0.0, 0)} if split == "train" else set()
        assert by_order == listed | extra
    videos = {split: {events[i].video for i in order} for split, order in orders.items()}
    assert len(videos["train"] & videos["test"]) == 8
    assert len(videos["train"] & videos["val"]) == 10


def test_official_files_with_made_frames(samples, tmp_path):
    """All 4,143 events load from the order files; every video is the same few frames here."""
    for name in ("Annotations.txt", "train_order.h5", "val_order.h5", "test_order.h5"):
        shutil.copy(samples / "ave" / name, tmp_path / name)
    videos = {event.video for event in read_annotations(tmp_path / "Annotations.txt")}
    write_image(tmp_path / "0.png", (0, 0, 0), (2, 2))
    write_tone(tmp_path / "0.wav", rate=1000)
    (tmp_path / "AVE_audio").mkdir()
    for video in videos:
        (tmp_path / "AVE_vision" / video).mkdir(parents=True)
        (tmp_path / "AVE_vision" / video / "0.png").hardlink_to(tmp_path / "0.png")
        (tmp_path / "AVE_audio" / f"{video}.wav").hardlink_to(tmp_path / "0.wav")
    sizes = {split: len(load(tmp_path, split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 3339, "val": 402, "test": 402}
    assert len(load(tmp_path, segment="event")) == 3338
    dropped = load(tmp_path, shared="drop")
    assert len(dropped) == 3339 - 19  # events of 18 videos
    test = load(tmp_path, "test")
    assert not {dropped.group(i) for i in range(len(dropped))} & {test.group(i) for i in range(402)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Church bell&a&good&0", "found 'Church bell&a&good&0' in line 1, expected lines Category&VideoID"),
        ("Category&VideoID&Quality&StartTime&EndTime\nBells&a&good&0&10", "in line 2, expected lines"),
        ("Cat&a&good&0&ten", "in line 1, expected lines"),
        ("Cat&a&good&4&11", "found an event from 4 to 11 s in line 1, expected 0 to 10"),
        ("Cat&a&good&5&4", "found an event from 5 to 4 s"),
        ("Cat&a&good&nan&4", "found an event from nan to 4 s"),
        ("Cat&&good&0&4", "found an event"),
    ],
)
def test_wrong_lines_are_named(tmp_path, text, message):
    (tmp_path / "trainSet.txt").write_text(text)
    with pytest.raises(DataError, match=rf"trainSet\.txt: .*{re.escape(message)}"):
        read_annotations(tmp_path / "trainSet.txt")


def test_a_header_is_passed_over(tmp_path):
    (tmp_path / "a.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\nCat&a&good&0&10\n")
    (event,) = read_annotations(tmp_path / "a.txt")
    assert (CLASSES[event.label], event.video, event.start, event.stop) == ("Cat", "a", 0.0, 10.0)


def h5(path, **data):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, value in data.items():
            file[name] = value
    return path


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"order": [0, 1, 5]}, "line numbers out of range or twice"),
        ({"order": [0, 1, 1]}, "line numbers out of range or twice"),
        ({"order": [-1]}, "line numbers out of range or twice"),
        ({"order": [0.5]}, "found no usable data set 'order'"),
        ({"order": [[0]]}, "found no usable data set 'order'"),
        ({"order": np.zeros(0, int)}, "found no usable data set 'order'"),
        ({"order": np.arange(99)}, "found no usable data set 'order'"),
        ({"other": [0]}, "found no usable data set 'order'"),
    ],
)
def test_a_wrong_order_is_named(tmp_path, data, message):
    with pytest.raises(DataError, match=rf"o\.h5: .*{message}"):
        read_order(h5(tmp_path / "o.h5", **data), 5)


def test_an_order_that_leads_to_another_file_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    h5(tmp_path / "other.h5", order=[0, 1])
    with h5py.File(tmp_path / "o.h5", "w") as file:
        file["order"] = h5py.ExternalLink("other.h5", "order")
    assert len(h5py.File(tmp_path / "o.h5", "r")["order"]) == 2  # h5py itself follows it
    with pytest.raises(DataError, match=r"o\.h5: found no usable data set"):
        read_order(tmp_path / "o.h5", 5)


def test_not_an_hdf5_file_and_no_h5py(tmp_path, monkeypatch):
    (tmp_path / "o.h5").write_bytes(b"404: Not Found")
    with pytest.raises(DataError, match=r"o\.h5: found text that begins with '404: Not Found'"):
        read_order(tmp_path / "o.h5", 5)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r'o\.h5: reading it needs h5py.*pip install -e "\.\[video\]"'):
        read_order(tmp_path / "o.h5", 5)


def test_missing_videos_stop_or_are_counted(frames_dir):
    shutil.rmtree(frames_dir / "AVE_vision" / "bbb")
    with pytest.raises(DataError, match=r"found no video bbb .*which the train split lists"):
        load(frames_dir)
    dataset = load(frames_dir, on_bad_sample="skip")
    assert (len(dataset), dataset.skipped) == (2, 2)


def test_missing_files_and_options(frames_dir, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(
        DataError, match=r"(?s)found no trainSet\.txt, nor Annotations\.txt with train_order\.h5.*AVE-ECCV18"
    ):
        load(empty)
    shutil.copy(frames_dir / "trainSet.txt", empty)
    with pytest.raises(DataError, match="found no videos, nor AVE_vision with AVE_audio"):
        load(empty)
    for settings, message in (({"segment": "x"}, "segment: expected 'clip' or"), ({"shared": 1}, "shared: expected")):
        with pytest.raises(ValueError, match=message):
            load(frames_dir, **settings)


def test_videos_that_were_not_cut_to_ten_seconds(tmp_path):
    for name, frames in (("bbb", 100), ("-aXy", 300)):
        write_video(tmp_path / "AVE" / f"{name}.mp4", frames=frames, fps=10, tone=1000)
    (tmp_path / "trainSet.txt").write_text("\n".join(LINES["train"][i] for i in (0, 2)))
    train = load(tmp_path)
    assert train.remarks(1) == (pytest.approx(10, abs=0.1), [])
    seconds, (remark,) = train.remarks(0)
    assert seconds == pytest.approx(30, abs=0.1)
    assert remark == f"{tmp_path}/AVE/-aXy.mp4: not as long as the clips of ave: 30.00 s, expected 10"
    train[0]
    events = load(tmp_path, segment="event")
    events[1]
    with pytest.raises(DataError, match=r"-aXy\.mp4: found 30\.0 s, expected the 10 s that AVE's clips last"):
        events[0]
    assert events.remarks(0)[1] == [remark]
