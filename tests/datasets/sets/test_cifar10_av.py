"""CIFAR-10 with sounds: batches, archives, folders; ESC-10, ESC-50, folders of sounds; what can be wrong with them."""

import hashlib
import os
import pickle
import re
import shutil

import numpy as np
import pytest
import soundfile

from misnet.datasets import DataError, load_dataset
from misnet.datasets.sets.cifar10_av import ESC10_IN_ESC50, find_sounds
from misnet.datasets.sets.cifar10_images import CLASSES, find_images, read_batch
from tests.datasets.conftest import real_folder
from tests.datasets.tiny_media import cifar_batch, image_bytes, write_image, write_tar, write_tone

ESC10 = (
    "Dog bark",
    "Rain",
    "Sea waves",
    "Baby cry",
    "Clock tick",
    "Person sneeze",
    "Helicopter",
    "Chainsaw",
    "Rooster",
    "Fire crackling",
)


def load(folder, split="train", **settings):
    return load_dataset("cifar10-av", split, data_dir=folder, **{"size": 32} | settings)


def write_esc10(root, folds=(1, 2, 3), takes=2):
    for k, name in enumerate(ESC10):
        for fold in folds:
            for take in "AB"[:takes]:
                path = root / f"{k + 1:03d} - {name}" / f"{fold}-{1000 * fold + k}-{take}.wav"
                write_tone(path, hz=200 * (k + 1), rate=8000, seconds=0.6)


@pytest.fixture
def batches_dir(tmp_path):
    """Batches of 20, 20 and 10 images with noise as pixels, and three folds of ESC-10."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, n in (("data_batch_1", 20), ("data_batch_2", 20), ("test_batch", 10)):
        pixels = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        (folder / name).write_bytes(cifar_batch(pixels, np.arange(n) % 10))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASSES)}, 2))
    write_esc10(tmp_path / "ESC-10")
    return tmp_path


def pixels_of(video):
    return np.round((video * (0.2470, 0.2435, 0.2616) + (0.4914, 0.4822, 0.4465)) * 255).astype(np.uint8)


def test_batches_with_esc10(batches_dir):
    train, test = load(batches_dir), load(batches_dir, "test")
    assert (len(train), len(test)) == (40, 10)
    assert train.class_names == CLASSES
    assert train.labels.tolist() == [i % 10 for i in range(20)] * 2
    audio, video, label = train[23]
    assert (audio.shape, video.shape, label) == ((4, 32, 32, 1), (4, 32, 32, 3), 3)
    raw = pickle.loads((batches_dir / "cifar-10-batches-py" / "data_batch_2").read_bytes(), encoding="bytes")
    expected = raw[b"data"][3].reshape(3, 32, 32).transpose(1, 2, 0)
    np.testing.assert_array_equal(pixels_of(video[2]), expected)
    for steps in (audio, video):
        np.testing.assert_array_equal(steps, np.repeat(steps[:1], 4, axis=0))


def test_sounds_of_the_class_and_split_are_used_about_as_often(batches_dir):
    train, test = load(batches_dir), load(batches_dir, "test")
    for dataset, folds in ((train, {"1", "2"}), (test, {"3"})):
        used = []
        for i in range(len(dataset)):
            (path,) = dataset.files(i)
            assert int(path.parent.name[:3]) - 1 == dataset.labels[i]
            assert path.name[0] in folds
            assert dataset.group(i) == path.name.split("-")[1]
            used.append(path)
        counts = [used.count(path) for path in set(used)]
        assert set(counts) == {1}  # four images a class, and four recordings
    assert [p.name for i in range(40) for p in train.files(i)] != [
        p.name for i in range(40) for p in load(batches_dir, seed=1).files(i)
    ]
    (path,) = load(batches_dir, "test", test_fold=1).files(0)
    assert path.name.startswith("1-")


def test_spectrograms_are_kept_and_not_handed_out(batches_dir):
    train = load(batches_dir, on_bad_sample="error")
    audio = train[0][0]
    audio[:] = 7
    assert np.abs(train[0][0]).max() < 7
    (path,) = train.files(0)
    path.unlink()
    assert train[0][0].std() == pytest.approx(1, abs=1e-4)  # from memory


def test_aligned_spectrograms_go_through_the_sound(batches_dir):
    noise = np.random.default_rng(0)
    for path in (batches_dir / "ESC-10" / "001 - Dog bark").iterdir():
        soundfile.write(path, 0.1 * noise.normal(size=16000), 8000)
    audio, video, _ = load(batches_dir, spectrogram="aligned", window=0.2)[0]
    assert len({step.tobytes() for step in audio}) == 4
    np.testing.assert_array_equal(video, np.repeat(video[:1], 4, axis=0))


def test_the_archive_as_it_is_downloaded(batches_dir):
    folder = batches_dir / "cifar-10-batches-py"
    direct = load(batches_dir)
    files = {f"cifar-10-batches-py/{p.name}": p.read_bytes() for p in sorted(folder.iterdir())}
    shutil.rmtree(folder)
    write_tar(batches_dir / "cifar-10-python.tar.gz", files)
    packed = load(batches_dir)
    assert packed.labels.tolist() == direct.labels.tolist()
    np.testing.assert_array_equal(packed[23][1], direct[23][1])
    assert load(batches_dir, "test").labels.tolist() == list(range(10))


def colours(n=4):
    return {(name, i): (20 * k, 60 * i, 99) for k, name in enumerate(CLASSES) for i in range(n)}


def test_archives_of_images(tmp_path):
    write_esc10(tmp_path)
    for split, some in (("train", range(3)), ("val", [3])):
        files = {f"{split}/{c}/{i:04d}.png": image_bytes(rgb) for (c, i), rgb in colours().items() if i in some}
        write_tar(tmp_path / "cifar10" / f"cifar10-png-{split}.tar.gz", files)
    train, test = load(tmp_path), load(tmp_path, "test")
    assert (len(train), len(test)) == (30, 10)
    for dataset in (train, test):
        for i in range(0, len(dataset), 7):
            assert pixels_of(dataset[i][1])[0, 0, 0, 0] == 20 * dataset.labels[i]
    assert train.files(0)[0].suffix == ".wav"  # the archive holds other images, too
    assert len(train.files(0)) == 1


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_folders_of_images(tmp_path, test_name):
    write_esc10(tmp_path / "esc10")
    for (name, i), rgb in colours().items():
        write_image(tmp_path / "cifar10" / ("train" if i else test_name) / name / f"{i}.png", rgb, (32, 32))
    train, test = load(tmp_path), load(tmp_path, "test")
    assert (len(train), len(test)) == (30, 10)
    sound, image = test.files(3)
    assert image == tmp_path / "cifar10" / test_name / "cat" / "0.png"
    assert sound.parent.name == "004 - Baby cry"


def test_vision_and_audio_folders_are_split_with_the_seed(tmp_path):
    for (name, i), rgb in colours(10).items():
        write_image(tmp_path / "vision" / name / f"{i}.jpg", rgb, (32, 32))
        write_tone(tmp_path / "audio" / name / f"s{i % 5}.wav", hz=100 + 100 * i, seconds=0.3)
    train, test = load(tmp_path), load(tmp_path, "test")
    assert (len(train) + len(test), len(test)) == (100, 40)  # two of five sounds a class, and as large a part of images
    files = [{path for i in range(len(d)) for path in d.files(i)} for d in (train, test)]
    assert not files[0] & files[1]


def test_vision_and_audio_of_the_same_names_are_pairs(tmp_path):
    for (name, i), rgb in colours(10).items():
        write_image(tmp_path / "vision" / name / f"{i}.jpg", rgb, (32, 32))
        write_tone(tmp_path / "audio" / name / f"{i}.wav", hz=100 + 100 * i, seconds=0.3)
    train, test = load(tmp_path), load(tmp_path, "test")
    assert (len(train), len(test)) == (70, 30)
    for dataset in (train, test):
        for i in range(len(dataset)):
            sound, image = dataset.files(i)
            assert (sound.stem, sound.parent.name) == (image.stem, image.parent.name)


def test_esc50(tmp_path, batches_dir):
    shutil.rmtree(batches_dir / "ESC-10")
    root = batches_dir / "ESC-50"
    (root / "meta").mkdir(parents=True)
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in (1, 5):
        for k, name in enumerate((*ESC10_IN_ESC50, "vacuum_cleaner")):
            file = f"{fold}-{100 * fold + k}-A-{k}.wav"
            lines.append(f"{file},{fold},{k},{name},{name in ESC10_IN_ESC50},{100 * fold + k},A")
            write_tone(root / "audio" / file, seconds=0.3)
    (root / "meta" / "esc50.csv").write_text("\n".join(lines))
    test = load(batches_dir, "test")
    assert [path.name[:1] for i in range(10) for path in test.files(i)] == ["5"] * 10
    assert [test.group(i) for i in range(10)] == [str(500 + i) for i in range(10)]


def test_the_table_of_esc50(samples):
    items = find_sounds(samples / "esc50", None)
    assert len(items) == 400
    assert np.bincount([item.label for item in items]).tolist() == [40] * 10
    assert sum(item.test for item in items) == 80
    groups = [{item.group for item in items if item.test is test} for test in (True, False)]
    assert not groups[0] & groups[1]


def test_the_official_batches_meta_and_mini_batches(samples):
    folder = samples / "cifar-10-batches-py-mini"
    meta = (folder / "batches.meta").read_bytes()
    assert hashlib.md5(meta).hexdigest() == "5ff9c542aee3614f3951f8cda6e48888"
    from misnet.datasets.formats.pickles import load_plain_pickle

    assert [name.decode() for name in load_plain_pickle(meta, "m")[b"label_names"]] == list(CLASSES)
    items, containers = find_images(folder)
    assert [path.name for path in containers] == ["data_batch_1", "test_batch"]
    assert (len(items), sum(item.test for item in items)) == (200, 50)
    raw = pickle.loads((folder / "test_batch").read_bytes(), encoding="bytes")
    for i in (0, 49):
        item = items[150 + i]
        np.testing.assert_array_equal(item.source.pixels, raw[b"data"][i].reshape(3, 32, 32).transpose(1, 2, 0))
        assert item.label == raw[b"labels"][i]
        assert raw[b"filenames"][i].decode().startswith(CLASSES[item.label])


def test_real_images_and_sounds():
    folder = real_folder("cifar10", "esc10")
    train, test = load(folder), load(folder, "test")
    assert np.bincount(train.labels).tolist() == [1000] * 10
    assert np.bincount(test.labels).tolist() == [100] * 10
    assert {path.name[0] for i in range(0, 10000, 37) for path in train.files(i)} == {"1", "2", "3"}
    assert {path.name[0] for i in range(0, 1000, 7) for path in test.files(i)} == {"4"}
    assert not {train.group(i) for i in range(10000)} & {test.group(i) for i in range(1000)}
    audio, video, label = train[8123]
    assert label == 8
    assert (audio.shape, video.shape) == ((4, 32, 32, 1), (4, 32, 32, 3))
    videos = np.stack([train[i][1][0] for i in range(0, 10000, 200)])
    np.testing.assert_allclose(videos.mean(axis=(0, 1, 2)), 0, atol=0.2)
    np.testing.assert_allclose(videos.std(axis=(0, 1, 2)), 1, atol=0.15)


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_batch_that_would_run_a_command_is_refused(batches_dir):
    path = batches_dir / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(pickle.dumps({"data": Command(batches_dir / "made"), "labels": []}, 2))
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: found a reference to .*nothing was run"):
        load(batches_dir)
    assert not (batches_dir / "made").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1]}, "found 2 labels, expected 3 as images"),
        ({"labels": [0, 1, 10]}, "found label 10, expected 0 to 9"),
        ({"labels": [0, 1, "2"]}, "found label 2, expected 0 to 9"),
        ({"data": np.zeros((3, 3071), np.uint8)}, "expected a batch of CIFAR-10"),
        ({"data": [1]}, "expected a batch of CIFAR-10"),
        ({"labels": None}, "expected a batch of CIFAR-10"),
    ],
)
def test_a_wrong_batch_is_named(tmp_path, changes, message):
    fields = {"data": np.zeros((3, 3072), np.uint8), "labels": [0, 1, 2]} | changes
    with pytest.raises(DataError, match=rf"b: .*{message}"):
        read_batch(pickle.dumps(fields, 2), tmp_path / "b")
    with pytest.raises(DataError, match=r"b: .*expected a batch of CIFAR-10"):
        read_batch(pickle.dumps([1], 2), tmp_path / "b")


def test_corrupt_files_stop_or_are_counted(tmp_path):
    write_esc10(tmp_path / "esc10")
    for (name, i), rgb in colours().items():
        write_image(tmp_path / ("train" if i else "test") / name / f"{i}.png", rgb, (32, 32))
    image = tmp_path / "train" / "cat" / "2.png"
    image.write_bytes(image.read_bytes()[:60])
    sound = tmp_path / "esc10" / "001 - Dog bark" / "1-1000-A.wav"
    sound.write_bytes(b"nothing")
    train = load(tmp_path)
    with pytest.raises(DataError, match=r"(cat/2\.png|1-1000-A\.wav): "):
        [train[i] for i in range(len(train))]
    train = load(tmp_path, on_bad_sample="skip")
    assert (len(train), train.skipped) == (29, 2)
    for i in range(len(train)):
        train[i]
    assert load(tmp_path, "test", on_bad_sample="skip").skipped == 0


def test_missing_parts_and_options(tmp_path, batches_dir):
    with pytest.raises(ValueError, match="test_fold: expected 1 to 5, or none for the last one, found 6"):
        load(batches_dir, test_fold=6)
    with pytest.raises(DataError, match=r"found no sound of fold 5, expected one of \[1, 2, 3\]"):
        load(batches_dir, test_fold=5)
    shutil.rmtree(batches_dir / "ESC-10" / "004 - Baby cry")
    with pytest.raises(DataError, match=r"(?s)found no sound for class cat; expected.*ESC-50"):
        load(batches_dir)
    shutil.rmtree(batches_dir / "ESC-10")
    with pytest.raises(DataError, match="found no sounds in it, nor in esc10"):
        load(batches_dir)
    shutil.rmtree(batches_dir / "cifar-10-batches-py")
    with pytest.raises(DataError, match="found no images of CIFAR-10 in it, nor in cifar10"):
        load(batches_dir)
    write_image(batches_dir / "train" / "plane" / "1.png", (0, 0, 0))
    with pytest.raises(DataError, match="found a class 'plane', expected airplane, automobile"):
        load(batches_dir)


@pytest.mark.parametrize(
    "row", ["1-1-A-0.wav,2,0,dog,True,1,A", "../1-1-A-0.wav,1,0,dog,True,1,A", "x.wav,1,0,dog,True,1,A"]
)
def test_a_wrong_table_of_esc50_is_named(tmp_path, row):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text("filename,fold,target,category,esc10,src_file,take\n" + row)
    with pytest.raises(DataError, match=r"esc50\.csv: row 2 .*does not hold together"):
        find_sounds(tmp_path, None)


def test_hidden_files_are_passed_over(tmp_path):
    """What macOS leaves beside each file on a foreign disk: `._x`, of some bytes of its own."""
    for name in ("train", "val"):
        files = {f"{name}/{c}/{k:04}.png": image_bytes((k, 0, 0)) for c in CLASSES for k in range(2)}
        write_tar(tmp_path / f"cifar10-jpg-{name}.tar.gz", files | {f"{name}/cat/._0000.png": b"\0\5\x16\7"})
        (tmp_path / f"._cifar10-jpg-{name}.tar.gz").write_bytes(b"\0\5\x16\7")
    items, containers = find_images(tmp_path)
    assert [path.name for path in containers] == ["cifar10-jpg-train.tar.gz", "cifar10-jpg-val.tar.gz"]
    assert len(items) == 40
