"""Folders of one's own: videos, or sounds and images, with and without folders for the splits."""

import os
import re
import shutil
import sys
import unicodedata

import numpy as np
import pytest

from misnet.datasets import DataError, load_dataset
from tests.datasets.tiny_media import write_image, write_tone, write_video


def load(folder, split="train", **settings):
    return load_dataset("folder", split, data_dir=folder, **{"size": 16} | settings)


@pytest.fixture
def videos_dir(tmp_path):
    """Two classes, one red and one blue, in each split: three containers."""
    for split, suffixes in (("train", (".mp4", ".avi")), ("test", (".mkv",))):
        for name, colour, tone in (("blue", (0, 0, 200), 2000), ("red", (200, 0, 0), 500)):
            for suffix in suffixes:
                write_video(tmp_path / split / name / f"x{suffix}", frames=10, fps=10, colour=colour, tone=tone)
    return tmp_path


def test_videos_by_split_and_class(videos_dir):
    train, test = load(videos_dir), load(videos_dir, "test")
    assert train.class_names == test.class_names == ("blue", "red")
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert test.labels.tolist() == [0, 1]
    assert [path.name for i in range(4) for path in train.files(i)] == ["x.avi", "x.mp4"] * 2
    tones = []
    for dataset in (train, test):
        for i in range(len(dataset)):
            audio, video, label = dataset[i]
            colour = video.mean(axis=(0, 1, 2)) * (0.229, 0.224, 0.225) + (0.485, 0.456, 0.406)
            assert colour.argmax() == (2, 0)[label]
            tones.append((label, audio[..., 0].mean(axis=(0, 2)).argmax()))
    assert {label for label, _ in tones} == {0, 1}
    assert min(band for label, band in tones if label == 0) > max(band for label, band in tones if label == 1)
    assert train.group(0) is None


def test_a_sound_file_beside_a_video_is_its_sound(videos_dir):
    write_tone(videos_dir / "test" / "red" / "x.wav", hz=4000, seconds=1)
    test = load(videos_dir, "test")
    assert [path.name for path in test.files(1)] == ["x.wav", "x.mkv"]
    assert test[1][0][..., 0].mean(axis=(0, 2)).argmax() > test[0][0][..., 0].mean(axis=(0, 2)).argmax()


@pytest.mark.parametrize("name", ["val", "validation", "testing"])
def test_other_names_of_the_test_split(videos_dir, name):
    (videos_dir / "test").rename(videos_dir / name)
    assert len(load(videos_dir, "test")) == 2


def test_without_splits_they_are_drawn_with_the_seed(tmp_path):
    for k in range(10):
        for name in ("a", "b"):
            path = tmp_path / name / f"{k}.mkv"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"not read before a sample is asked for")
    train, test = load(tmp_path), load(tmp_path, "test")
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([8, 8], [2, 2])
    names = [{path for i in range(len(d)) for path in d.files(i)} for d in (train, test)]
    assert len(names[0] | names[1]) == 20
    assert len(load(tmp_path, "test", test_part=0.5)) == 10
    other = load(tmp_path, "test", seed=3)
    assert {path for i in range(4) for path in other.files(i)} != names[1]
    with pytest.raises(DataError, match=r"0\.mkv|\d\.mkv: cannot be decoded"):
        train[0]


@pytest.mark.parametrize("images", ["vision", "images"])
def test_sounds_and_images_of_the_same_names_are_pairs(tmp_path, images):
    for split, n in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            for k in range(n):
                write_image(tmp_path / split / images / name / f"{k}.png", (10 * k, 0, 0))
                write_tone(tmp_path / split / "audio" / name / f"{k}.flac", seconds=0.4)
    train, test = load(tmp_path), load(tmp_path, "test")
    assert (len(train), len(test)) == (6, 4)
    for dataset in (train, test):
        for i in range(len(dataset)):
            sound, image = dataset.files(i)
            assert (sound.stem, sound.parent.name) == (image.stem, image.parent.name)
            assert image.parts[-4] == sound.parts[-4] == dataset.split


def test_sounds_and_folders_of_frames(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_tone(tmp_path / split / "audio" / name / "clip.wav", seconds=2)
            for k in range(12):
                write_image(tmp_path / split / "vision" / name / "clip" / f"{k}.png", (20 * k, 0, 0))
    train = load(tmp_path)
    red = np.round((train[0][1][:, 8, 8, 0] * 0.229 + 0.485) * 255).astype(int)
    assert red.tolist() == [20, 80, 140, 200]  # frames 1, 4, 7, 10 of twelve, in the order of their numbers
    assert len(train.files(0)) == 5


def test_random_key_frames_are_in_order_and_repeat(tmp_path):
    for name in ("cat", "dog"):
        write_tone(tmp_path / "audio" / name / "1.wav", seconds=2)
        write_tone(tmp_path / "audio" / name / "2.wav", seconds=2)
        for clip in ("1", "2"):
            for k in range(100):
                write_image(tmp_path / "vision" / name / clip / f"{k}.png", (2 * k, 0, 0), (4, 4))
    seen = []
    for seed in (0, 0, 1):
        dataset = load(tmp_path, key_frames="random", seed=seed, test_part=0.5, size=8)
        red = dataset[0][1][:, 0, 0, 0]
        assert (np.diff(red) >= 0).all()
        seen.append(red.tolist())
    assert seen[0] == seen[1] != seen[2]


def test_grid_clips(samples, tmp_path):
    """Three real clips of one speaker, by the digit that is said: MPEG-1 with MP2 sound."""
    for name, digit in (("bbaf2n", "two"), ("lbax4n", "four"), ("sbwe5n", "five")):
        for split in ("train", "test"):
            (tmp_path / split / digit).mkdir(parents=True)
            shutil.copy(samples / "grid" / f"{name}.mpg", tmp_path / split / digit)
    train = load(tmp_path, size=64)
    assert train.class_names == ("five", "four", "two")
    for i in range(3):
        audio, video, label = train[i]
        assert label == i
        assert audio.std() == pytest.approx(1, abs=1e-4)
        assert len({step.tobytes() for step in video}) == 4


def test_corrupt_videos_stop_or_are_counted(videos_dir):
    (videos_dir / "train" / "red" / "x.mp4").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"red/x\.mp4: cannot be decoded"):
        load(videos_dir)[3]
    train = load(videos_dir, on_bad_sample="skip")
    assert (len(train), train.skipped, train.labels.tolist()) == (3, 1, [0, 0, 1])


@pytest.mark.parametrize("on_bad_sample", ["error", "skip"])
def test_without_pyav_nothing_begins(videos_dir, monkeypatch, on_bad_sample):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r'needs PyAV.*pip install -e "\.\[video\]"'):
        load(videos_dir, on_bad_sample=on_bad_sample)


def test_a_silent_film_is_named(videos_dir):
    write_video(videos_dir / "test" / "red" / "x.mkv", frames=5, tone=None)
    with pytest.raises(DataError, match=r"x\.mkv: found no sound in the file"):
        load(videos_dir, "test")[1]


def test_wrong_folders_and_options(videos_dir, tmp_path_factory):
    for part in (0, 1, 2.5, "a", True):
        with pytest.raises(ValueError, match=re.escape(f"test_part: expected a part between 0 and 1, found {part!r}")):
            load(videos_dir, test_part=part)
    (videos_dir / "train" / "run").mkdir()  # holds no video: no class
    assert load(videos_dir).class_names == ("blue", "red")
    write_video(videos_dir / "test" / "green" / "x.mkv", frames=2)
    with pytest.raises(DataError, match=r"test/green: found a class that .*train has not; expected blue, red"):
        load(videos_dir)
    shutil.rmtree(videos_dir / "test")
    with pytest.raises(DataError, match="found train but none of test, testing, val"):
        load(videos_dir)
    with pytest.raises(DataError, match="found 0 folders of classes, expected two or more"):
        load(tmp_path_factory.mktemp("empty"))


def pairs_dir(root, n=6, classes=("cat", "dog")):
    """n sounds and images of the same names in each class; image k is of gray k."""
    for name in classes:
        for k in range(n):
            write_image(root / "vision" / name / f"clip{k}.png", (k, k, k))
            write_tone(root / "audio" / name / f"clip{k}.wav", seconds=0.4)
    return root


def stems(dataset):
    return [[path.stem for path in dataset.files(i)] for i in range(len(dataset))]


def test_a_missing_image_leaves_the_other_pairs_alone(tmp_path):
    whole = pairs_dir(tmp_path)
    before = {split: stems(load(whole, split)) for split in ("train", "test")}
    (whole / "vision/cat/clip3.png").unlink()
    (whole / "vision/dog/clip2 (1).png").write_bytes((whole / "vision/dog/clip2.png").read_bytes())
    (whole / "vision/dog/._clip1.png").write_bytes(b"\0\5\x16\7")
    (whole / "vision/dog/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    for split, pairs in before.items():
        dataset = load(whole, split)
        assert all(sound == image for sound, image in stems(dataset))
        assert stems(dataset) == [p for i, p in enumerate(pairs) if p != ["clip3"] * 2 or before[split].index(p) < i]
        assert dataset.notes == (
            "11 pairs of sounds and images, by name; left out 2 without a partner of their name: cat/clip3.wav, "
            "dog/clip2 (1).png",
        )


def test_names_in_another_unicode_form_are_the_same_names(tmp_path):
    for k in range(4):
        for name in ("caf\u00e9", "th\u00e9"):
            write_tone(tmp_path / "audio" / name / f"{k}\u00e9.wav", seconds=0.4)
            other = unicodedata.normalize("NFD", name)
            write_image(tmp_path / "vision" / other / f"{k}e\u0301.png", (k, k, k))
    train = load(tmp_path)
    assert train.class_names == ("caf\u00e9", "th\u00e9")
    assert [unicodedata.normalize("NFC", image) for _, image in stems(train)] == [sound for sound, _ in stems(train)]
    assert train.notes == ()


def test_names_that_are_no_unicode_are_read_hashed_and_printed(tmp_path):
    pairs_dir(tmp_path)
    try:
        for side in ("audio", "vision"):
            os.rename(tmp_path / side / "cat", tmp_path / side / os.fsdecode(b"caf\xe9"))
    except OSError:
        pytest.skip("this file system takes Unicode alone")
    os.rename(tmp_path / "audio/dog/clip1.wav", tmp_path / "audio/dog" / os.fsdecode(b"th\xe9.wav"))
    (tmp_path / "audio/dog" / os.fsdecode(b"\xe9.txt")).write_text("x")
    train = load(tmp_path, key_frames="random")
    assert train.class_names == ("caf\\xe9", "dog")
    assert len(train.fingerprint()) == 64
    train[0]
    assert "dog/th\\xe9.wav, dog/clip1.png" in train.notes[1]
    assert train.notes[0] == "passed over 1 files: 1 .txt (such as audio/dog/\\xe9.txt)"


def test_what_is_passed_over_is_counted_by_kind(tmp_path):
    pairs_dir(tmp_path)
    for k in range(2):
        os.rename(tmp_path / f"vision/cat/clip{k}.png", tmp_path / f"vision/cat/clip{k}.heic")
    (tmp_path / "audio/dog/clip5.wav").unlink()
    (tmp_path / "audio/dog/clip5.wav").symlink_to("../../.git/annex/objects/x/clip5.wav")
    (tmp_path / "audio/dog/x.wav").mkdir()
    (tmp_path / "audio/dog/Thumbs.db").write_bytes(b"1")
    passed, paired = load(tmp_path).notes
    assert passed == (
        "passed over 4 files: 2 .heic (such as vision/cat/clip0.heic), 1 links that lead nowhere (such as "
        "audio/dog/clip5.wav), 1 folders named like files (such as audio/dog/x.wav)"
    )
    assert paired.startswith("9 pairs of sounds and images, by name; left out 3 without")


def test_jfif_and_wave_are_images_and_sounds(tmp_path):
    pairs_dir(tmp_path, 3)
    os.rename(tmp_path / "audio/cat/clip0.wav", tmp_path / "audio/cat/clip0.wave")
    write_image(tmp_path / "vision/cat/clip0.jpg", (0, 0, 0))
    os.rename(tmp_path / "vision/cat/clip0.jpg", tmp_path / "vision/cat/clip0.jfif")
    (tmp_path / "vision/cat/clip0.png").unlink()
    splits = [load(tmp_path, split) for split in ("train", "test")]
    assert sum(map(len, splits)) == 6
    assert all(dataset[i][0].std() > 0.9 for dataset in splits for i in range(len(dataset)))


def test_what_is_beside_videos_is_noted(videos_dir):
    write_tone(videos_dir / "train/red/y.wav")
    (videos_dir / "train/red/x.srt").write_text("1")
    (videos_dir / "train/green").mkdir()
    (videos_dir / "train/green/x.divx").write_bytes(b"1")
    train = load(videos_dir)
    assert train.class_names == ("blue", "red")
    assert train.notes == (
        f"{videos_dir}/train/red: 1 sounds have no video of their name: y.wav",
        "passed over 2 files: 1 .divx (such as train/green/x.divx), 1 .srt (such as train/red/x.srt)",
    )


# -- sounds and images in one folder for each class, and layouts that are none --


@pytest.mark.parametrize("splits", [False, True])
def test_sounds_and_images_may_lie_side_by_side(tmp_path, splits):
    for root in (tmp_path / "train", tmp_path / "test") if splits else (tmp_path,):
        for name in ("cat", "dog"):
            for k in range(4):
                write_image(root / name / f"{k}.png", (k, k, k))
                write_tone(root / name / f"{k}.wav", seconds=0.4)
    train, test = load(tmp_path), load(tmp_path, "test")
    assert train.class_names == ("cat", "dog")
    assert (len(train), len(test)) == ((8, 8) if splits else (6, 2))
    assert all(sound == image for dataset in (train, test) for sound, image in stems(dataset))
    assert {*train.labels.tolist()} == {0, 1}
    assert train.notes == ()
    train[0]


def test_beside_side_by_side_a_folder_of_pictures_is_no_class_and_other_files_are_noted(tmp_path):
    for name in ("cat", "dog"):
        for k in range(4):
            write_image(tmp_path / name / f"{k}.png", (k, k, k))
            write_tone(tmp_path / name / f"{k}.wav", seconds=0.4)
    write_image(tmp_path / "pictures" / "curves.png", (1, 1, 1))
    (tmp_path / "cat" / "notes.txt").write_text("x")
    write_image(tmp_path / "dog" / "9.png", (1, 1, 1))
    train = load(tmp_path)
    assert train.class_names == ("cat", "dog")
    assert train.notes == (
        "passed over 1 files: 1 .txt (such as cat/notes.txt)",
        "8 pairs of sounds and images, by name; left out 1 without a partner of their name: dog/9.png",
    )


def test_videos_stay_videos_where_a_folder_of_sounds_and_images_lies_beside_them(videos_dir):
    write_tone(videos_dir / "train/extra/x.wav")
    write_image(videos_dir / "train/extra/x.png", (1, 1, 1))
    assert load(videos_dir).class_names == ("blue", "red")


def test_folders_of_frames_beside_sounds(tmp_path):
    for name in ("cat", "dog"):
        for k in range(3):
            for frame in range(4):
                write_image(tmp_path / name / f"{k}" / f"{frame}.png", (k, k, k))
            write_tone(tmp_path / name / f"{k}.wav", seconds=0.4)
    train = load(tmp_path)
    assert train.class_names == ("cat", "dog")
    assert len(train) == 4
    assert train.notes == ()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["audio/cat/0.wav", "audio/dog/0.wav"], "; there is audio and, beside it, none of vision, images, image"),
        (["images/cat/0.png", "images/dog/0.png"], "; there is images and, beside it, no audio; it needs"),
        (["cat/0.wav", "dog/0.wav"], "; cat holds sounds alone; it needs"),
        (["cat/0.png", "dog/0.png"], "; cat holds images alone; it needs"),
        (["cat/0.wav", "cat/0.png"], r"found 1 folders of classes \(cat\), expected two or more; it needs"),
        (
            ["audio/train/cat/0.wav", "audio/test/cat/0.wav", "vision/train/cat/0.png", "vision/test/cat/0.png"],
            "found test, train where classes are expected; a split is above audio and vision, train/audio/<class>",
        ),
    ],
)
def test_a_layout_that_is_none_is_told_what_is_missing(tmp_path, files, said):
    for file in files:
        path = tmp_path / file
        write_tone(path, seconds=0.4) if path.suffix == ".wav" else write_image(path, (1, 1, 1))
    with pytest.raises(DataError, match=said):
        load(tmp_path)
