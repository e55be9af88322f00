"""CREMA-D: its layouts, its splits, and each way the files can be wrong; real clips where they are present."""

import re
import shutil

import numpy as np
import pytest

from misnet.datasets import DataError, load_dataset
from misnet.datasets.sets.crema_d import read_split
from tests.datasets.tiny_files import LFS_POINTER
from tests.datasets.tiny_media import write_image, write_tone, write_video

TRAIN = [f"{actor}_{s}_{e}" for actor in (1001, 1002, 1003) for s, e in (("DFA", "ANG_XX"), ("IEO", "SAD_LO"))]
TEST = ["1001_TIE_NEU_XX", "1002_TIE_HAP_HI"]
CODES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


def load(folder, split="train", **settings):
    return load_dataset("crema-d", split, data_dir=folder, **{"size": 16} | settings)


def rows(names):
    return "".join(f"{name},{name[9:12]}\r\n" for name in names)


def write_splits(folder, train=TRAIN, test=TEST):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.csv").write_bytes(b"\xef\xbb\xbf" + rows(train).encode())
    (folder / "test.csv").write_text(rows(test), newline="")


@pytest.fixture
def frames_dir(tmp_path):
    """The prepared layout: frames and wav files."""
    for k, name in enumerate(TRAIN + TEST):
        for i in range(3):
            write_image(tmp_path / "Image-01-FPS" / name / f"{i:05d}.jpg", (20 * k, 80 * i, 0))
        write_tone(tmp_path / "AudioWAV" / f"{name}.wav", hz=300 + 200 * k, seconds=1.2)
    write_splits(tmp_path)
    return tmp_path


def test_prepared_frames_with_wav_files(frames_dir):
    train, test = load(frames_dir), load(frames_dir, "test")
    assert (len(train), len(test), train.skipped) == (6, 2, 0)
    assert train.class_names == ("anger", "disgust", "fear", "happy", "neutral", "sad")
    assert train.labels.tolist() == [CODES.index(name[9:12]) for name in TRAIN] == [0, 5, 0, 5, 0, 5]
    assert test.labels.tolist() == [4, 3]
    audio, video, label = train[1]
    assert (audio.shape, video.shape, label) == ((4, 16, 16, 1), (4, 16, 16, 3), 5)
    green = video[:, 8, 8, 1] * 0.224 + 0.456
    np.testing.assert_allclose(green * 255, [0, 80, 80, 160], atol=4)  # moments 1/8, 3/8, 5/8, 7/8 of three frames
    assert [train.group(i) for i in range(6)] == ["1001", "1001", "1002", "1002", "1003", "1003"]
    names = {path.relative_to(frames_dir).as_posix() for path in train.files(1)}
    frames = {f"Image-01-FPS/1001_IEO_SAD_LO/0000{i}.jpg" for i in range(3)}
    assert names == frames | {"AudioWAV/1001_IEO_SAD_LO.wav"}


def test_the_authors_layout_and_list(frames_dir):
    (frames_dir / "Image-01-FPS").rename(frames_dir / "ImageFrames")
    words = {"ANG": "Anger", "SAD": "Sad"}
    (frames_dir / "train_cre.txt").write_text("".join(f"{n}.flv {words[n[9:12]]}\n" for n in TRAIN))
    (frames_dir / "train.csv").unlink()
    assert load(frames_dir).labels.tolist() == [0, 5, 0, 5, 0, 5]


def test_videos_with_their_own_sound_or_wav_files(tmp_path):
    for name in ("1001_DFA_ANG_XX", "1002_DFA_FEA_XX"):
        write_video(tmp_path / "CREMA-D" / "VideoFlash" / f"{name}.flv", frames=20, fps=10, tone=1000)
    write_splits(tmp_path / "CREMA-D" / "split", ["1001_DFA_ANG_XX"], ["1002_DFA_FEA_XX"])
    own = load(tmp_path)
    assert [path.name for path in own.files(0)] == ["1001_DFA_ANG_XX.flv"]
    for name in ("1001_DFA_ANG_XX", "1002_DFA_FEA_XX"):
        write_tone(tmp_path / "CREMA-D" / "AudioWAV" / f"{name}.wav", hz=2000, seconds=2)
    beside = load(tmp_path)
    assert [path.name for path in beside.files(0)] == ["1001_DFA_ANG_XX.wav", "1001_DFA_ANG_XX.flv"]
    np.testing.assert_array_equal(own[0][1], beside[0][1])
    low, high = (d[0][0][0, ..., 0].mean(axis=1).argmax() for d in (own, beside))
    assert high > low
    assert own.fingerprint() != beside.fingerprint()
    (tmp_path / "CREMA-D" / "AudioWAV" / "1001_DFA_ANG_XX.wav").unlink()
    np.testing.assert_array_equal(load(tmp_path)[0][0], own[0][0])


def test_actor_split_is_disjoint_and_drawn_with_the_seed(frames_dir):
    (frames_dir / "train.csv").unlink()
    splits = set()
    for seed in range(6):
        train, test = (load(frames_dir, split, split_by="actor", seed=seed) for split in ("train", "test"))
        actors = [{d.group(i) for i in range(len(d))} for d in (train, test)]
        assert not actors[0] & actors[1]
        assert len(actors[1]) == 1
        assert len(train) + len(test) == 8
        splits.add(*actors[1])
    assert len(splits) > 1
    test = load(frames_dir, "test", split_by="actor", test_actors="1002,1003")
    assert sorted({test.group(i) for i in range(len(test))}) == ["1002", "1003"]
    assert len(load(frames_dir, "test", split_by="actor", test_actors=1002)) == 3


def test_every_official_row_and_real_actors(samples):
    train, test = (read_split(samples / "crema-d" / "split" / f"{split}.csv") for split in ("train", "test"))
    assert (len(train), len(test)) == (6698, 744)
    assert not set(train) & set(test)
    assert len({name[:4] for name in train} & {name[:4] for name in test}) == 91
    official = (samples / "crema-d" / "SentenceFilenames.csv").read_text().splitlines()[1:]
    assert {line.split(",")[1].strip('"') for line in official} == set(train + test)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1001_DFA_ANG_XX,ANG\nhello,ANG\n", "found 'hello,ANG' in row 2, expected rows of a clip and its emotion"),
        ("1001_DFA_ANG_XX,SAD\n", "whose emotion is not that of the clip's name"),
        ("1001_DFA_ABC_XX,ABC\n", "in row 1, expected rows"),
        ("1001_DFA_ANG_XX\n", "whose emotion is not"),
        ("1001_DFA_ANG_XX,ANG\n1001_DFA_ANG_XX,ANG\n", "found 1001_DFA_ANG_XX a second time in row 2"),
        ("", "empty"),
        ("../../x_ANG,ANG\n", "in row 1, expected rows"),
    ],
)
def test_wrong_rows_are_named(tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=rf"train\.csv: .*{re.escape(message)}"):
        read_split(tmp_path / "train.csv")


def test_missing_folders_and_splits_are_named(frames_dir, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataError, match=r"(?s)found no videos in VideoFlash.*VideoFlash/\*\.flv.*Git LFS"):
        load(empty)
    (frames_dir / "test.csv").unlink()
    with pytest.raises(DataError, match=r"found none of test\.csv, .*test_cre\.txt.*or split_by=actor"):
        load(frames_dir, "test")


def test_a_listed_clip_that_is_missing_stops_or_is_counted(frames_dir):
    (frames_dir / "AudioWAV" / f"{TRAIN[2]}.wav").unlink()
    shutil.rmtree(frames_dir / "Image-01-FPS" / TRAIN[4])
    with pytest.raises(DataError, match=f"found no sound of clip {TRAIN[2]}, which the train split lists"):
        load(frames_dir)
    dataset = load(frames_dir, on_bad_sample="skip")
    assert (len(dataset), dataset.skipped) == (4, 2)
    assert [s.key for s in dataset.samples] == [TRAIN[i] for i in (0, 1, 3, 5)]


@pytest.mark.parametrize("content", [b"", LFS_POINTER, b"RIFF" + bytes(40), b"<html>"])
def test_a_corrupt_sound_is_named_when_it_is_read_or_skipped(frames_dir, content):
    path = frames_dir / "AudioWAV" / f"{TRAIN[2]}.wav"
    path.write_bytes(content)
    dataset = load(frames_dir)
    assert len(dataset) == 6
    with pytest.raises(DataError, match=re.escape(str(path))):
        dataset[2]
    dataset = load(frames_dir, on_bad_sample="skip")
    assert (len(dataset), dataset.skipped) == (5, 1)
    assert dataset[2][2] == 5  # the next one


def test_nothing_left_is_an_error(frames_dir):
    for path in (frames_dir / "AudioWAV").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"found no sample for the train split of crema-d \(6 were left out\)"):
        load(frames_dir, on_bad_sample="skip")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split_by": "x"}, "split_by: expected 'csv' or 'actor', found 'x'"),
        ({"test_actors": "1001"}, "test_actors: expected none with split_by='csv'"),
        ({"test_actors": "77", "split_by": "actor"}, "test_actors: found 77, of whom"),
        ({"on_bad_sample": "ignore"}, "on_bad_sample: expected 'error' or 'skip', found 'ignore'"),
        ({"window": 100}, "window: expected 0.2 to 60.0 seconds, found 100"),
    ],
)
def test_options_out_of_range_are_refused(frames_dir, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load(frames_dir, **settings)


def test_one_actor_cannot_be_split(tmp_path):
    write_image(tmp_path / "ImageFrames" / "1001_DFA_ANG_XX" / "0.png", (0, 0, 0))
    with pytest.raises(DataError, match="found clips of one actor, 1001"):
        load(tmp_path, split_by="actor")


@pytest.fixture
def real_dir(samples, tmp_path):
    """The six real clips as a data set, with the rows of the official split that name them."""
    shutil.copytree(samples / "crema-d" / "VideoFlash", tmp_path / "VideoFlash")
    for split in ("train", "test"):
        lines = (samples / "crema-d" / "split" / f"{split}.csv").read_text().splitlines()
        (tmp_path / f"{split}.csv").write_text("\n".join(line for line in lines if line.startswith("1001_DFA")))
    return tmp_path


def test_real_clips(real_dir, samples):
    train, test = load(real_dir, size=128), load(real_dir, "test", size=128)
    assert train.labels.tolist() == [4, 0, 1, 2]  # in the order of the official file
    assert test.labels.tolist() == [3, 5]
    audio, video, _ = train[0]
    assert (audio.shape, video.shape) == ((4, 128, 128, 1), (4, 128, 128, 3))
    assert {train.group(i) for i in range(4)} == {"1001"}
    for a in (audio, video):
        assert np.isfinite(a).all()
        assert len({step.tobytes() for step in a}) == 4  # each timestep has its own key frame and sound
    shutil.copytree(samples / "crema-d" / "wav16k-resampled", real_dir / "AudioWAV")
    wav = load(real_dir, size=128)[0][0]
    assert np.corrcoef(wav.ravel(), audio.ravel())[0, 1] > 0.9


def test_the_folder_of_samples_as_it_is(samples):
    """Six videos of one actor, two sounds of another, and the whole split."""
    train = load(samples / "crema-d", on_bad_sample="skip")
    test = load(samples / "crema-d", "test", on_bad_sample="skip")
    assert (len(train), train.skipped, len(test), test.skipped) == (4, 6694, 2, 742)


def test_a_pointer_that_a_clone_without_lfs_leaves_is_named(real_dir, samples):
    shutil.copytree(samples / "crema-d" / "wav16k-resampled", real_dir / "AudioWAV")
    target = real_dir / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    shutil.copy(samples / "crema-d" / "AudioWAV-lfs-pointer-1001_DFA_ANG_XX.wav", target)
    with pytest.raises(DataError, match=r"1001_DFA_ANG_XX\.wav: this is a Git LFS pointer \(130 bytes.*git lfs pull"):
        load(real_dir)[1]


def test_quoted_fields_are_fields(tmp_path):
    (tmp_path / "train.csv").write_text('"1001_DFA_ANG_XX","ANG"\r\n1002_DFA_SAD_XX,"SAD"\r\n')
    assert read_split(tmp_path / "train.csv") == ["1001_DFA_ANG_XX", "1002_DFA_SAD_XX"]
    (tmp_path / "train.csv").write_text('"1001_DFA_ANG_XX,ANG\r\n')
    with pytest.raises(DataError, match="in row 1"):
        read_split(tmp_path / "train.csv")


def test_a_clip_in_both_lists_is_refused(tmp_path):
    write_video(tmp_path / "VideoFlash" / "1001_DFA_ANG_XX.flv", frames=3)
    write_splits(tmp_path, ["1001_DFA_ANG_XX", "1002_DFA_SAD_XX"], ["1001_DFA_ANG_XX"])
    for split in ("train", "test"):
        with pytest.raises(DataError, match=r"found 1 clips that .*\.csv lists, too, such as 1001_DFA_ANG_XX"):
            load(tmp_path, split)
