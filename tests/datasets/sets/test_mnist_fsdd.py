"""MNIST with FSDD: pairing, splits, values, folder layouts, and each way the files can be wrong."""

import shutil

import numpy as np
import pytest
from PIL import Image

from misnet.datasets import DataError, load_dataset
from misnet.datasets.formats.idx import read_idx
from misnet.datasets.sets.mnist_fsdd import CLIP, sounding_clip, spectrogram
from tests.datasets.tiny_files import IDX, LFS_POINTER, write_idx, write_recording


def load(folder, split="train", **settings):
    return load_dataset("mnist-fsdd", split, data_dir=folder, **settings)


def paired(dataset):
    """Name of the recording of each sample."""
    return [dataset.recordings[j].name for j in dataset.pairing]


def test_image_values(digits_dir):
    pixels = read_idx(digits_dir / "mnist" / IDX["train", "images"], 3)
    whole = load(digits_dir, size=28, timesteps=2)
    _, video, label = whole[3]
    np.testing.assert_allclose(video[1, ..., 0], (pixels[3] / 255 - 0.1307) / 0.3081, rtol=1e-5, atol=1e-5)
    assert label == 1
    small = load(digits_dir, size=16)[3][1]
    resized = Image.fromarray(pixels[3].astype(np.float32)).resize((16, 16), Image.Resampling.BILINEAR)
    expected = (np.asarray(resized) / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(small[0, ..., 0], expected, rtol=1e-4, atol=1e-5)


def test_layout_and_the_same_frame_in_every_timestep(digits_dir):
    dataset = load(digits_dir, timesteps=3)
    assert len(dataset) == 40
    assert dataset.labels.dtype == np.int64
    audio, video, label = dataset[0]
    assert audio.shape == video.shape == (3, 16, 16, 1)
    assert audio.dtype == video.dtype == np.float32
    assert isinstance(label, int)
    for frames in (audio, video):
        np.testing.assert_array_equal(frames, np.repeat(frames[:1], 3, axis=0))
    assert audio[0].mean() == pytest.approx(0, abs=1e-5)
    assert audio[0].std() == pytest.approx(1, abs=1e-5)


def test_recording_has_the_image_s_label_and_no_recording_is_in_two_splits(digits_dir):
    train, test = load(digits_dir), load(digits_dir, "test")
    for dataset, indices in ((train, "56"), (test, "01")):
        for name, label in zip(paired(dataset), dataset.labels, strict=True):
            assert name[0] == str(label)
            assert name[-5] in indices
        assert len(dataset.recordings) == 40
    assert not set(train.recordings) & set(test.recordings)


def test_file_and_speaker_of_a_sample(digits_dir):
    dataset = load(digits_dir)
    for i in (0, 7, 39):
        assert [path.name for path in dataset.files(i)] == [paired(dataset)[i]]
        assert dataset.group(i) == paired(dataset)[i][2:5]
    assert {dataset.group(i) for i in range(40)} == {"ann", "bob"}
    with pytest.raises(IndexError, match="found 40"):
        dataset.files(40)


def test_split_by_speaker(digits_dir):
    for settings, speaker in (({}, "bob"), ({"test_speakers": ("ann",)}, "ann"), ({"test_speakers": "ann"}, "ann")):
        test = load(digits_dir, "test", fsdd_split="speaker", **settings)
        train = load(digits_dir, fsdd_split="speaker", **settings)
        assert all(speaker in name for name in paired(test))
        assert not any(speaker in name for name in paired(train))
    with pytest.raises(ValueError, match="expected some of ann, bob, found carl"):
        load(digits_dir, fsdd_split="speaker", test_speakers=("carl",))
    with pytest.raises(DataError, match="label 0 has images but no recording in the train split"):
        load(digits_dir, fsdd_split="speaker", test_speakers=("ann", "bob"))


def test_pairing_depends_on_the_seed_alone(digits_dir):
    assert paired(load(digits_dir)) == paired(load(digits_dir))
    assert paired(load(digits_dir)) != paired(load(digits_dir, seed=1))
    whole, limited = load(digits_dir), load(digits_dir, limit=5)
    for j, i in enumerate(limited.indices):
        np.testing.assert_array_equal(limited[j][0], whole[int(i)][0])


def test_fingerprint_follows_settings_and_file_contents(digits_dir, tmp_path):
    first = load(digits_dir).fingerprint()
    assert load(digits_dir).fingerprint() == first
    others = {load(digits_dir, "test").fingerprint(), load(digits_dir, seed=1).fingerprint()}
    others.add(load(digits_dir, size=8).fingerprint())
    write_recording(digits_dir / "fsdd/recordings/3_ann_5.wav", 3, seconds=0.31)
    others.add(load(digits_dir).fingerprint())
    assert len(others | {first}) == 5


def test_sounding_clip_centres_and_levels():
    x = np.zeros(3000, np.float32)
    x[800:1600] = 0.004 * np.sin(np.arange(800))
    clip = sounding_clip(x)
    assert clip.shape == (CLIP,)
    assert np.sqrt(np.mean(clip**2)) == pytest.approx(0.1, rel=1e-4)
    loud = np.flatnonzero(clip)
    assert abs((loud[0] + loud[-1]) / 2 - CLIP / 2) <= 1
    np.testing.assert_allclose(clip[loud[0] : loud[0] + 5] / clip[loud[0]], x[801:806] / x[801], rtol=1e-5)
    long = np.sin(np.arange(3 * CLIP, dtype=np.float32))
    np.testing.assert_allclose(sounding_clip(long), long[CLIP : 2 * CLIP] * np.sqrt(2) / 10, rtol=1e-3)
    assert not sounding_clip(np.zeros(100, np.float32)).any()


def test_loudness_makes_no_difference_to_a_spectrogram():
    x = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    loud, soft = (spectrogram(sounding_clip(x * gain)[None], 16) for gain in (0.1, 0.01))
    np.testing.assert_allclose(loud, soft, atol=1e-4)


@pytest.mark.parametrize("size", [8, 28, 64, 128])
def test_other_sizes(size):
    clips = np.random.default_rng(0).normal(size=(2, CLIP)).astype(np.float32)
    found = spectrogram(clips, size)
    assert found.shape == (2, size, size)
    np.testing.assert_allclose(found.std(axis=(1, 2)), 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("idx_folder", "wav_folder"),
    [("MNIST/raw", "fsdd/recordings"), (".", "recordings"), ("raw", "fsdd"), ("mnist/raw", "fsdd")],
)
def test_folder_layouts(digits_dir, tmp_path, idx_folder, wav_folder):
    other = tmp_path / "other"
    shutil.copytree(digits_dir / "mnist", other / idx_folder, dirs_exist_ok=True)
    shutil.copytree(digits_dir / "fsdd/recordings", other / wav_folder, dirs_exist_ok=True)
    for path in (other / idx_folder).glob("train-images*"):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    np.testing.assert_array_equal(load(other)[7][0], load(digits_dir)[7][0])


def test_resampled_recordings_are_taken(digits_dir):
    write_recording(digits_dir / "fsdd/recordings/3_ann_5.wav", 3, rate=8000)
    before = load(digits_dir)
    write_recording(digits_dir / "fsdd/recordings/3_ann_5.wav", 3, rate=16000)
    after = load(digits_dir)
    j = [path.name for path in before.recordings].index("3_ann_5.wav")
    loud = before._spectrograms[j] > 0
    np.testing.assert_allclose(after._spectrograms[j][loud], before._spectrograms[j][loud], atol=0.3)


def test_label_without_recording_is_named_with_its_split(digits_dir):
    for path in (digits_dir / "fsdd/recordings").glob("4_*_[01].wav"):
        path.unlink()
    assert len(load(digits_dir)) == 40
    with pytest.raises(DataError, match="label 4 has images but no recording in the test split"):
        load(digits_dir, "test")


def test_counts_of_images_and_labels_must_agree(digits_dir):
    write_idx(digits_dir / "mnist" / IDX["train", "labels"], np.zeros(39, np.uint8))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: found 39 labels, expected 40 as images in .*images"):
        load(digits_dir)


def test_labels_beyond_nine_and_no_images_are_refused(digits_dir):
    write_idx(digits_dir / "mnist" / IDX["train", "labels"], np.full(40, 11, np.uint8))
    with pytest.raises(DataError, match="found label 11, expected 0 to 9"):
        load(digits_dir)
    (digits_dir / "mnist" / (IDX["train", "images"] + ".gz")).unlink()
    write_idx(digits_dir / "mnist" / IDX["train", "images"], np.zeros((0, 28, 28), np.uint8))
    write_idx(digits_dir / "mnist" / IDX["train", "labels"], np.zeros(0, np.uint8))
    with pytest.raises(DataError, match="found no pixels"):
        load(digits_dir)


def test_missing_files_are_named(digits_dir):
    (digits_dir / "mnist" / IDX["train", "labels"]).unlink()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: no such file; tried .*ubyte\.gz"):
        load(digits_dir)
    shutil.rmtree(digits_dir / "fsdd")
    with pytest.raises(DataError, match=r"no \.wav file in .*recordings"):
        load(digits_dir, "test")


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "empty"), (LFS_POINTER, "Git LFS pointer"), (b"Not Found", "text")]
)
def test_corrupt_recording_stops_or_is_skipped_and_counted(digits_dir, content, message):
    (digits_dir / "fsdd/recordings/3_ann_5.wav").write_bytes(content)
    with pytest.raises(DataError, match=rf"3_ann_5\.wav: .*{message}"):
        load(digits_dir)
    dataset = load(digits_dir, on_bad_sample="skip")
    assert dataset.skipped == 1
    assert len(dataset) == 40
    assert "3_ann_5.wav" not in paired(dataset)
    assert load(digits_dir, on_bad_sample="skip", limit=3).skipped == 1
    assert load(digits_dir, "test").skipped == 0


def test_badly_named_recording_stops_or_is_skipped_and_counted(digits_dir):
    (digits_dir / "fsdd/recordings/0_ann_5.wav").rename(digits_dir / "fsdd/recordings/zero_ann_5.wav")
    (digits_dir / "fsdd/recordings/._1_ann_5.wav").write_bytes(b"a hidden file is no recording")
    with pytest.raises(DataError, match=r"zero_ann_5\.wav: expected a name like"):
        load(digits_dir)
    assert load(digits_dir, on_bad_sample="skip").skipped == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fsdd_split": "fold"}, "fsdd_split: expected 'index' or 'speaker', found 'fold'"),
        ({"test_speakers": ("ann",)}, "test_speakers: expected none"),
        ({"on_bad_sample": "warn"}, "on_bad_sample: .*found 'warn'"),
        ({"size": 7}, "size: expected 8 to 128"),
        ({"timesteps": 0}, "timesteps"),
    ],
)
def test_options_out_of_range_are_refused(digits_dir, settings, message):
    with pytest.raises(ValueError, match=message):
        load(digits_dir, **settings)


def test_real_data(real_data):
    train, test = load(real_data), load(real_data, "test")
    assert len(train) >= 1000
    assert len(test) >= 1000
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]  # MNIST's well-known first labels
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert not set(train.recordings) & set(test.recordings)
    for dataset in (train, test):
        assert {name[0] for name in paired(dataset)} == set("0123456789")
        assert all(name[0] == str(label) for name, label in zip(paired(dataset), dataset.labels, strict=True))


def test_real_recordings_can_be_told_apart(real_data):
    from sklearn.svm import SVC

    train, test = load(real_data), load(real_data, "test")
    x, y = (d._spectrograms.reshape(len(d.recordings), -1) for d in (train, test))
    assert SVC(C=10, gamma=1 / 512).fit(x, train.recording_labels).score(y, test.recording_labels) > 0.93
