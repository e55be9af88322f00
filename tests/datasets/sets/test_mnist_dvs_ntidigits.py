"""The data set of event recordings, on small files of the formats; the N-MNIST sample where it is present."""

import shutil

import numpy as np
import pytest

from misnet.datasets import DataError, load_dataset
from misnet.datasets.formats.event_files import read_aedat2
from misnet.datasets.formats.ntidigits import read_spikes
from misnet.datasets.media.events import cochlea_maps, event_frames
from misnet.datasets.sets.mnist_dvs_ntidigits import MnistDvsNtidigits
from tests.datasets.tiny_events import write_event_digits

NAME = "mnist-dvs-ntidigits"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_event_digits(tmp_path_factory.mktemp("digits"))


def load(folder, split="train", **settings):
    return load_dataset(NAME, split, data_dir=folder, **settings)


def test_shapes_labels_and_split(folder):
    train, test = load(folder), load(folder, "test")
    assert (len(train), len(test), train.size, train.timesteps) == (20, 10, 32, 4)
    audio, video, label = train[5]
    assert (audio.shape, video.shape, label) == ((4, 32, 32, 1), (4, 32, 32, 2), 2)
    assert audio.dtype == video.dtype == np.float32
    assert audio.flags.c_contiguous
    assert video.flags.c_contiguous
    assert np.bincount(train.labels).tolist() == [2] * 10
    assert train.files(5)[0].name == "mnist_2_scale04_0011.aedat"
    assert {f.name[-10:-6] for i in range(10) for f in test.files(i)} == {"0010"[-4:]}
    assert {train.group(i) for i in range(20)} <= {"woman-aetrain", "woman-bbtrain"}
    assert {test.group(i) for i in range(10)} <= {"woman-aetest", "woman-bbtest"}


def test_values_are_those_of_the_files(folder):
    data = load(folder, size=64, crop=False, values="count", scale=4)
    audio, _, label = data[7]
    t, channel = read_spikes(folder / "n-tidigits.hdf5", "train", data.spoken[data.pairing[7]])
    np.testing.assert_array_equal(audio[..., 0], cochlea_maps(t, channel, 64, 4, 64))
    assert data.spoken[data.pairing[7]][-1] == str(label)
    data = load(folder, size=128, crop=False, values="count", slicing="count", polarity=False)
    events = read_aedat2(data.files(7)[0])
    np.testing.assert_array_equal(data[7][1], event_frames(events, 4, "count", polarity=False))
    assert data.visual_channels == 1


def test_values_as_logarithms_and_as_ones(folder):
    audio, video, _ = load(folder)[3]
    for x in (audio, video):
        assert x.mean() == pytest.approx(0, abs=1e-5)
        assert x.std() == pytest.approx(1, abs=1e-4)
    audio, video, _ = load(folder, values="binary")[3]
    for x in (audio, video):
        assert set(np.unique(x)) == {0, 1}
        assert x.dtype == np.uint8


def test_a_crop_shows_the_digit_at_the_scale_of_the_sensor(folder):
    whole = load(folder, values="count", crop=False)[3][1]
    assert whole.sum() == pytest.approx(200 / 16, rel=0.01)  # averages of about 4 x 4 pixels
    crop = load(folder, values="count")[3][1]
    assert crop.sum() == 200  # scale 04 is cut to 32 x 32, which holds all of this digit's events
    assert crop.max() >= 2


@pytest.mark.parametrize(
    ("options", "whole"),
    [
        ({"values": "log", "size": 32}, ()),
        ({"values": "binary", "size": 20}, ("audio", "visual")),
        ({"values": "count", "size": 32, "scale": 4}, ("visual",)),  # a crop of 8 x 4 pixels
        ({"values": "count", "size": 64, "crop": False}, ("audio",)),  # the channels of the cochlea
        ({"values": "count", "size": 128, "crop": False}, ("visual",)),
        ({"values": "count", "size": 20}, ()),
    ],
)
def test_counts_that_are_whole_come_as_integers_and_averages_as_floats(folder, options, whole):
    data = load(folder, **options)
    assert data.events == whole
    for name, x in zip(data.streams, data[3][:2], strict=True):
        assert x.dtype == (np.uint8 if name in whole else np.float32), name
        assert x.flags.c_contiguous


def test_the_first_part_alone(folder):
    counts = load(folder, size=128, crop=False, values="count", duration_ms=10)[0][1]
    events = read_aedat2(load(folder).files(0)[0])
    assert counts.sum() == (events.t < events.t[0] + 10_000).sum() < 200


def test_oh_is_a_spoken_zero_on_request(folder):
    assert {name[-1] for name in load(folder).spoken} == set("z123456789")
    assert {name[-1] for name in load(folder, oh=True).spoken} == set("zo123456789")
    assert not any("12z" in name for name in load(folder, oh=True).spoken)


def test_the_fingerprint_follows_settings_and_content(folder, tmp_path):
    same = {load(folder).fingerprint(), load(folder).fingerprint()}
    assert len(same) == 1
    others = [{"seed": 1}, {"size": 16}, {"timesteps": 2}, {"slicing": "count"}, {"oh": True}, {"values": "count"}]
    assert len(same | {load(folder, **o).fingerprint() for o in others} | {load(folder, "test").fingerprint()}) == 8
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert {load(copy).fingerprint()} == same
    stamp = load(copy).stamp()
    assert stamp == load(copy).stamp() != load(copy, seed=1).stamp()
    path = load(copy).files(0)[0]
    path.write_bytes(path.read_bytes()[:-8])
    assert load(copy).stamp() != stamp
    assert {load(copy).fingerprint()} != same


def test_nmnist_is_the_other_sensor(tmp_path):
    folder = write_event_digits(tmp_path, sensor="n-mnist")
    train, test = load(folder), load(folder, "test")
    assert (len(train), len(test)) == (20, 10)
    assert train.files(0)[0] == folder / "n-mnist/Train/0/00009.bin"
    assert train[0][1].shape == (4, 32, 32, 2)
    with pytest.raises(DataError, match=r"found no visual recording of the train split \(sensor='mnist-dvs'"):
        load(folder, sensor="mnist-dvs")


def test_the_real_nmnist_sample_as_a_data_set(tmp_path, samples):
    folder = write_event_digits(tmp_path, sensor="n-mnist")
    path = folder / "n-mnist/Train/4/00001.bin"
    shutil.copy(samples / "n-mnist/sample_nmnist.bin", path)
    data = load(folder, size=34, values="count")
    index = [data.files(i)[0] for i in range(len(data))].index(path)
    assert data[index][1].sum() == 4325
    assert data[index][2] == 4


def damage(folder):
    """Cut a visual recording short and put a channel that is none into a spoken one; return both names."""
    h5py = pytest.importorskip("h5py")
    path = folder / "mnist-dvs/grabbed_data3/scale4/mnist_3_scale04_0009.aedat"
    path.write_bytes(path.read_bytes()[:-3])
    with h5py.File(folder / "n-tidigits.hdf5", "a") as file:
        file["train_addresses/woman-aetrain-a-7"][0] = 200
    return path.name, "woman-aetrain-a-7"


def test_damage_is_an_error_or_is_left_out_and_counted(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    names = damage(copy)
    data = load(copy)
    index = [data.files(i)[0].name for i in range(len(data))].index(names[0])
    with pytest.raises(DataError, match=f"{names[0]}: truncated"):
        data[index]
    kept = load(copy, on_bad_sample="skip")
    assert (len(kept), kept.skipped) == (19, 2)
    assert all(name in reason for name, reason in zip(names, kept.skipped_reasons, strict=True))
    for i in range(len(kept)):
        kept[i]


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("n-tidigits.hdf5", "n-tidigits.hdf5: no such file; tried n-tidigits.hdf5, n-tidigits/"),
        ("mnist-dvs", "found no visual recording of the train split"),
    ],
)
def test_what_is_missing_is_named(folder, tmp_path, remove, message):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / remove).rename(tmp_path / "gone")
    with pytest.raises(DataError, match=message):
        load(copy)


def test_a_digit_that_is_not_spoken_and_a_name_without_a_digit(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    h5py = pytest.importorskip("h5py")
    with h5py.File(copy / "n-tidigits.hdf5", "a") as file:
        names = [name for name in file["train_labels"][()] if not name.endswith(b"-4")]
        del file["train_labels"]
        file["train_labels"] = np.array(names)
    with pytest.raises(DataError, match="found no single digit 4 in the train split"):
        load(copy)
    (copy / "mnist-dvs/mnist_zero.aedat").write_bytes(b"")
    with pytest.raises(DataError, match=r"mnist_zero.aedat: expected a name like mnist_\{digit\}_scale"):
        load(copy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sensor": "eye"}, "sensor: expected one of auto, mnist-dvs, n-mnist, found 'eye'"),
        ({"scale": "32"}, "scale: expected one of all, 04, 08, 16, found '32'"),
        ({"slicing": "rate"}, "slicing: expected one of time, count, found 'rate'"),
        ({"values": "raw"}, "values: expected one of log, count, binary, found 'raw'"),
        ({"crop": "yes"}, "crop: expected true or false, found 'yes'"),
        ({"duration_ms": -1}, "duration_ms: expected a positive number of milliseconds, found -1"),
        ({"on_bad_sample": "stop"}, "on_bad_sample: expected one of error, skip, found 'stop'"),
        ({"timesteps": 0}, "timesteps: expected at least 1, found 0"),
        ({"size": 200}, "size: expected 8 to 128 for mnist-dvs-ntidigits, found 200"),
    ],
)
def test_wrong_options(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        MnistDvsNtidigits("train", data_dir=folder, **settings)


@pytest.mark.parametrize("sensor", ["mnist-dvs", "n-mnist"])
def test_hidden_files_are_no_recordings(tmp_path, sensor):
    folder = write_event_digits(tmp_path / "digits", sensor)
    before = len(load(folder))
    for path in [*folder.rglob("*.aedat"), *folder.rglob("*.bin")]:
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
        (path.parent / ".Trash").mkdir(exist_ok=True)
        (path.parent / ".Trash" / path.name).write_bytes(b"1")
    assert len(load(folder)) == before
