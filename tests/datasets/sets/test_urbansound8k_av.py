"""UrbanSound8K with images: folds, pairs by name or drawn, and each way the files can be wrong."""

import re
import shutil

import numpy as np
import pytest

from misnet.datasets import DataError, load_dataset
from misnet.datasets.media.audio import read_audio
from misnet.datasets.sets.urbansound8k_av import CLASSES, read_metadata
from tests.datasets.tiny_media import write_image, write_tone

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"


def load(folder, split="train", **settings):
    return load_dataset("urbansound8k-av", split, data_dir=folder, **{"size": 16} | settings)


def row(freesound, label, fold, part=0):
    return f"{freesound}-{label}-0-{part}.wav,{freesound},0.0,4.0,1,{fold},{label},{CLASSES[label]}"


ROWS = [row(100 + k, k % 3, fold=10 if k < 3 else 1 + k % 4, part=k) for k in range(15)]


@pytest.fixture
def folds_dir(tmp_path):
    """The official layout with three classes: 15 recordings, one of each class in fold 10, and 4 images a class."""
    root = tmp_path / "UrbanSound8K"
    (root / "metadata").mkdir(parents=True)
    (root / "metadata" / "UrbanSound8K.csv").write_text(HEADER + "\n".join(ROWS))
    for line in ROWS:
        name, _, _, _, _, fold, label, _ = line.split(",")
        write_tone(root / "audio" / f"fold{fold}" / name, hz=300 * (1 + int(label)), rate=22050, channels=2)
    for k in range(12):
        folder = ("air_conditioner", "Car horn", "children-playing")[k % 3]
        write_image(root / "vision" / folder / f"{k}.png", (20 * k, 0, 0))
    return tmp_path


def seen(dataset):
    """The red of the image of each sample, which tells images apart."""
    return {round(float((dataset[i][1][0, 8, 8, 0] * 0.229 + 0.485) * 255)) for i in range(len(dataset))}


def test_fold_ten_is_for_testing(folds_dir):
    train, test = load(folds_dir), load(folds_dir, "test")
    assert (len(train), len(test)) == (12, 3)
    assert train.class_names == CLASSES
    assert sorted(test.labels.tolist()) == [0, 1, 2]
    assert {test.group(i) for i in range(3)} == {"100", "101", "102"}
    assert not {p.name for i in range(12) for p in train.files(i)} & {p.name for i in range(3) for p in test.files(i)}
    assert not seen(train) & seen(test)  # no image is in both
    audio, video, _ = test[1]
    assert (audio.shape, video.shape) == ((4, 16, 16, 1), (4, 16, 16, 3))
    np.testing.assert_array_equal(audio, np.repeat(audio[:1], 4, axis=0))
    np.testing.assert_array_equal(video, np.repeat(video[:1], 4, axis=0))
    for i in range(12):
        sound, image = train.files(i)
        assert int(sound.name.split("-")[1]) == train.labels[i]
        assert image.parent.name.lower().replace(" ", "_").replace("-", "_") == CLASSES[train.labels[i]]


def test_another_fold_and_another_seed(folds_dir):
    test = load(folds_dir, "test", test_fold=1)
    assert {test.group(i) for i in range(len(test))} == {r.split(",")[1] for r in ROWS if r.split(",")[5] == "1"}
    train = load(folds_dir)
    assert load(folds_dir).fingerprint() == train.fingerprint()
    assert load(folds_dir, seed=1).fingerprint() != train.fingerprint()


def test_same_names_are_pairs_and_recordings_stay_together(tmp_path):
    for k in range(30):
        name = f"{200 + k // 3}-{k % 2}-0-{k}"
        write_tone(tmp_path / "audio" / CLASSES[k % 2] / f"{name}.wav", rate=8000, seconds=0.2)
        write_image(tmp_path / "vision" / CLASSES[k % 2] / f"{name}.jpg", (5 * k, 0, 0))
    train, test = load(tmp_path), load(tmp_path, "test")
    assert len(train) + len(test) == 30
    assert 6 <= len(test) <= 15
    groups = [{d.group(i) for i in range(len(d))} for d in (train, test)]
    assert not groups[0] & groups[1]
    for dataset in (train, test):
        for i in range(len(dataset)):
            sound, image = dataset.files(i)
            assert sound.stem == image.stem


def test_the_fold_of_a_renamed_folder_is_in_the_metadata(folds_dir):
    root = folds_dir / "UrbanSound8K"
    for line in ROWS:
        name, *_, fold, _, class_name = line.split(",")
        (root / "sounds" / class_name).mkdir(parents=True, exist_ok=True)
        shutil.move(root / "audio" / f"fold{fold}" / name, root / "sounds" / class_name / name)
    shutil.rmtree(root / "audio")
    (root / "sounds").rename(root / "audio")
    test = load(folds_dir, "test")
    assert {test.group(i) for i in range(len(test))} == {"100", "101", "102"}


def test_the_official_table(samples):
    table = read_metadata(samples / "urbansound8k" / "metadata" / "UrbanSound8K.csv")
    assert len(table) == 8732
    folds = np.bincount([fold for _, fold, _ in table.values()])
    assert folds.tolist() == [0, 873, 888, 925, 990, 936, 823, 838, 806, 816, 837]
    labels = np.bincount([label for _, _, label in table.values()])
    assert labels.tolist() == [1000, 429, 1000, 1000, 1000, 1000, 374, 1000, 929, 1000]
    by_recording = {}
    for freesound, fold, _ in table.values():
        by_recording.setdefault(freesound, set()).add(fold)
    apart = {freesound for freesound, folds in by_recording.items() if len(folds) > 1}
    assert len(by_recording) == 1297
    assert apart == {"106905", "132016", "176638", "180937", "77751"}  # all others are in one fold
    assert not any(10 in by_recording[freesound] for freesound in apart)


def test_real_recordings(samples):
    expected = {  # rate, seconds
        "audio/fold1/7061-6-0-0.wav": (44100, 2.25),
        "audio/fold2/4911-3-0-0.wav": (44100, 0.21),
        "renamed/drill.wav": (44100, None),
        "renamed/dogbark.wav": (11025, None),
        "renamed/gunshots.wav": (44100, None),
        "renamed/jackhammer.wav": (48000, None),
    }
    rates = set()
    for name, (_, seconds) in expected.items():
        sound, rate = read_audio(samples / "urbansound8k" / name)
        rates.add(rate)
        assert seconds is None or len(sound) / rate == pytest.approx(seconds, abs=0.005)
        assert 0.01 < np.abs(sound).max() <= 1
    assert rates == {11025, 44100, 48000}


def test_real_recordings_in_their_folds_with_made_images(samples, tmp_path):
    shutil.copytree(samples / "urbansound8k" / "audio", tmp_path / "audio")
    table = (samples / "urbansound8k" / "metadata" / "UrbanSound8K.csv").read_text().splitlines()
    (tmp_path / "metadata").mkdir()
    names = ("7061-6-0-0.wav", "4911-3-0-0.wav")
    kept = [table[0], *(line for line in table if line.startswith(names))]
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text("\n".join(kept))
    for folder in ("gun_shot", "dog_bark"):
        write_image(tmp_path / "images" / folder / "a.png", (9, 9, 9))
    train = load(tmp_path)  # neither is in fold 10
    assert sorted((train.class_names[label], train.group(i)) for i, label in enumerate(train.labels)) == [
        ("dog_bark", "4911"),
        ("gun_shot", "7061"),
    ]
    audio = np.stack([train[i][0] for i in range(2)])
    assert audio.std(axis=(1, 2, 3, 4)) == pytest.approx([1, 1], abs=1e-4)
    with pytest.raises(DataError, match="found no sample for the test split"):
        load(tmp_path, "test")
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text("\n".join(table))
    with pytest.raises(DataError, match=r"fold5/100032-3-0-0\.wav: no such file"):
        load(tmp_path)


def test_missing_and_corrupt_files_stop_or_are_counted(folds_dir):
    root = folds_dir / "UrbanSound8K"
    (root / "audio" / "fold4" / "103-0-0-3.wav").unlink()
    (root / "audio" / "fold1" / "104-1-0-4.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"103-0-0-3\.wav: no such file"):
        load(folds_dir)
    train = load(folds_dir, on_bad_sample="skip")
    assert (len(train), train.skipped) == (10, 2)
    assert load(folds_dir, "test", on_bad_sample="skip").skipped == 0


def test_a_class_with_a_single_image_cannot_be_in_both_splits(folds_dir):
    for path in sorted((folds_dir / "UrbanSound8K" / "vision" / "Car horn").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match=r"class 1 has images in one split only .*expected at least two"):
        load(folds_dir)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("slice_file_name,fsID\n", "found no column fold"),
        (HEADER + row(1, 2, 3).replace(",3,2,", ",11,2,"), "row 2 ('1-2-0-0.wav') does not hold together"),
        (HEADER + row(1, 2, 3).replace("children_playing", "siren"), "row 2"),
        (HEADER + row(1, 2, 3) + "\n" + row(1, 2, 3), "row 3"),
        (HEADER + "../../etc/1-2-0-0.wav,1,0,4,1,3,2,children_playing", "row 2"),
        (HEADER + "1-2-0-0.wav,1", "row 2"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, lines, message):
    path = tmp_path / "UrbanSound8K.csv"
    path.write_text(lines)
    with pytest.raises(DataError, match=rf"UrbanSound8K\.csv: .*{re.escape(message)}"):
        read_metadata(path)


def test_wrong_folders_and_options(folds_dir, tmp_path_factory):
    root = folds_dir / "UrbanSound8K"
    with pytest.raises(ValueError, match="test_fold: expected 1 to 10, found 0"):
        load(folds_dir, test_fold=0)
    (root / "vision" / "trains").mkdir()
    write_image(root / "vision" / "trains" / "a.png", (0, 0, 0))
    with pytest.raises(DataError, match="vision/trains: expected a folder named as one of air_conditioner"):
        load(folds_dir)
    shutil.rmtree(root / "vision")
    with pytest.raises(DataError, match=r"(?s)found no images in vision, images, image; expected.*fold1"):
        load(folds_dir)
    (root / "metadata" / "UrbanSound8K.csv").unlink()
    with pytest.raises(DataError, match=r"audio: found folds but no metadata/UrbanSound8K\.csv"):
        load(folds_dir)
    with pytest.raises(DataError, match="found no sounds in audio"):
        load(tmp_path_factory.mktemp("empty"))
