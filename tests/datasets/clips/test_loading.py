"""A file of a data set, read as a clip, gives the arrays that the set gives, bit for bit; what cannot be is refused."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from misnet.datasets import DataError, load_dataset
from misnet.datasets.clips.finding import Clip, clips_of
from misnet.datasets.clips.loading import load_clip
from misnet.datasets.clips.reading import Reading
from misnet.datasets.media.images import resize_bilinear
from misnet.datasets.sets import dialpad
from tests.datasets.tiny_events import nmnist_bytes, write_event_digits
from tests.datasets.tiny_files import write_idx, write_recording
from tests.datasets.tiny_media import write_image, write_tone, write_video
from tests.tools.test_event_sets import write_cifar10, write_gestures

BOTH = ("audio", "visual")


def reading(name, streams=BOTH, timesteps=2, size=8, seed=0, **more):
    """The settings of a run; shapes matter to .npz files alone."""
    options = {key: more.pop(key) for key in list(more) if key not in ("start", "stop", "invert")}
    return Reading(name, options, timesteps, size, seed, dict.fromkeys(streams, (timesteps, 3)), **more)


def arrays(names, of):
    """The streams that a run reads of the clip that files mean."""
    (clip,) = clips_of(map(str, names))
    return load_clip(clip, of, ("one", "two")).arrays


def same(found, sample, streams=BOTH):
    """Whether the arrays of a clip are those of a sample, to the bit."""
    assert list(found) == list(streams)
    for x, y in zip(found.values(), sample[:-1], strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        np.testing.assert_array_equal(x, y)
        assert y.std() > 0
    return True


@pytest.mark.parametrize("options", [{}, {"key_frames": "random", "window": 0.3}, {"spectrogram": "whole"}])
def test_a_video_of_a_folder(tmp_path, options):
    for split in ("train", "test"):
        for name, tone in (("blue", 2000), ("red", 500)):
            write_video(tmp_path / split / name / "x.mp4", frames=10, fps=10, tone=tone)
    write_tone(tmp_path / "test" / "blue" / "x.wav", hz=900, seconds=0.8)  # beside the video: its sound
    data = load_dataset("folder", "test", data_dir=tmp_path, timesteps=2, size=8, seed=3, **options)
    for k in range(2):
        video = data.files(k)[-1]
        assert same(arrays([video], reading("folder", seed=3, **options)), data[k])
    other = arrays([data.files(0)[-1]], reading("folder", seed=4, **options))
    assert np.array_equal(other["visual"], data[0][1]) == ("key_frames" not in options)


def test_a_sound_and_an_image_or_frames_of_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for k, name in enumerate(("cat", "dog")):
            write_tone(tmp_path / split / "audio" / name / "a.wav", hz=400 + 900 * k, seconds=0.4)
            for frame in range(3) if split == "test" and k else (None,):
                path = tmp_path / split / "vision" / name / ("a.png" if frame is None else f"a/{frame}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 255, (12, 15, 3), np.uint8)).save(path)
    data = load_dataset("folder", "test", data_dir=tmp_path, timesteps=2, size=8)
    test = tmp_path / "test"
    pairs = ["audio/cat/a.wav", "vision/cat/a.png"], ["vision/dog/a", "audio/dog/a.wav"]
    for k, names in enumerate(pairs):
        assert same(arrays([test / name for name in names], reading("folder")), data[k])


def test_digits_of_mnist_and_fsdd(tmp_path):
    rng = np.random.default_rng(1)
    for images, labels in (
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    ):
        write_idx(tmp_path / "mnist" / images, rng.integers(0, 256, (10, 28, 28), dtype=np.uint8))
        write_idx(tmp_path / "mnist" / labels, np.arange(10, dtype=np.uint8))
    for digit in range(10):
        for index in (0, 5):
            write_recording(tmp_path / "recordings" / f"{digit}_ann_{index}.wav", digit)
    for size in (8, 28):
        data = load_dataset("mnist-fsdd", "test", data_dir=tmp_path, timesteps=2, size=size)
        Image.fromarray(data._images[3]).save(tmp_path / "three.png")
        assert same(arrays([tmp_path / "three.png", *data.files(3)], reading("mnist-fsdd", size=size)), data[3])
    inverted = reading("mnist-fsdd", ("visual",), invert=True)
    Image.fromarray(255 - data._images[3]).save(tmp_path / "dark.png")
    pale = arrays([tmp_path / "dark.png"], inverted)["visual"]
    np.testing.assert_allclose(
        pale, arrays([tmp_path / "three.png"], reading("mnist-fsdd", ("visual",)))["visual"], atol=1e-6
    )


def test_a_light_border_is_noted(tmp_path):
    write_image(tmp_path / "a.png", (250, 250, 250))
    of = reading("mnist-fsdd", ("visual",))
    arrays([tmp_path / "a.png"], of)
    assert of.notes == [
        f"{tmp_path / 'a.png'}: its border is light; mnist-fsdd shows digits light on dark: --invert turns them"
    ]
    of.notes.clear()
    arrays([tmp_path / "a.png"], reading("mnist-fsdd", ("visual",), invert=True))
    assert of.notes == []


def test_a_change_that_would_be_asked_for_in_vain(tmp_path):
    write_image(tmp_path / "a.png", (250, 250, 250))
    with pytest.raises(DataError, match=r"a\.png: found --invert for a run on folder, which shows no digits in grey"):
        arrays([tmp_path / "a.png"], reading("folder", ("visual",), invert=True))
    np.savez(tmp_path / "a.npz", visual=np.zeros((2, 3)))
    for change in ({"invert": True}, {"start": 0.0}, {"stop": 1.0}):
        with pytest.raises(DataError, match=r"a\.npz: found arrays, which are taken as they are; expected no --start"):
            arrays([tmp_path / "a.npz"], reading("dialpad", ("visual",), **change))
    assert arrays([tmp_path / "a.npz"], reading("dialpad", ("visual",)))["visual"].shape == (2, 3)


def test_the_line_of_a_dialpad_sample_and_its_upright_image(tmp_path):
    data = load_dataset("dialpad", "test", timesteps=3, size=8)
    for k in range(9):  # the first that is heard
        rng = dialpad.named_rng(0, "dialpad", "test", k)
        hears, _ = data._present(rng)
        if hears.any():
            break
    dialpad._shifted(data._images[k], rng)  # what the sample draws before its sound
    rng.uniform(*dialpad.CONTRAST)
    rng.standard_normal((3, 8, 8), np.float32)
    line = data._sound(int(data.labels[k]), rng) * hears[:, None]
    soundfile.write(tmp_path / "line.wav", line.ravel(), dialpad.SAMPLE_RATE, subtype="FLOAT")
    Image.fromarray(np.rint(data._images[k] * 255).astype(np.uint8)).save(tmp_path / "digit.png")
    found = arrays([tmp_path / "line.wav", tmp_path / "digit.png"], reading("dialpad", timesteps=3))
    np.testing.assert_array_equal(found["audio"], data[k][0])
    upright = (resize_bilinear(data._images[k], 8) - dialpad.IMAGE_MEAN) / dialpad.IMAGE_STD
    assert found["visual"].shape == (3, 8, 8, 1)
    np.testing.assert_allclose(found["visual"][1, ..., 0], upright, atol=1 / 510 / dialpad.IMAGE_STD + 1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"values": "count", "polarity": False}, {"values": "binary", "slicing": "count"}]
)
def test_recordings_of_cifar10_dvs(tmp_path, options):
    write_cifar10(tmp_path / "set")
    data = load_dataset("cifar10-dvs", "test", data_dir=tmp_path / "set", timesteps=2, size=16, **options)
    assert same(arrays(data.files(4), reading("cifar10-dvs", ("visual",), size=16, **options)), data[4], ("visual",))


def test_a_part_of_a_recording_of_gestures(tmp_path):
    write_gestures(tmp_path / "set")
    data = load_dataset("dvs128-gesture", "test", data_dir=tmp_path / "set", timesteps=2, size=16)
    of = reading("dvs128-gesture", ("visual",), size=16, start=0.4, stop=0.5)
    assert same(arrays(data.files(4), of), data[4], ("visual",))
    with pytest.raises(DataError, match=r"user24_natural\.aedat: found no events of"):
        arrays(data.files(4), reading("dvs128-gesture", ("visual",), size=16, start=4.0))


@pytest.mark.parametrize("sensor", ["mnist-dvs", "n-mnist"])
def test_digits_of_a_camera_and_a_cochlea(tmp_path, sensor):
    write_event_digits(tmp_path, sensor)
    data = load_dataset("mnist-dvs-ntidigits", "test", data_dir=tmp_path, timesteps=2, size=16)
    spoken = f"{data.spoken_file}:{data.spoken[data.pairing[6]]}"
    of = reading("mnist-dvs-ntidigits", size=16)
    assert same(arrays([*data.files(6), spoken], of), data[6])
    with pytest.raises(DataError, match=r"found no recording 'nobody', expected a name such as 'woman-"):
        arrays([*data.files(6), f"{data.spoken_file}:nobody"], of)
    if sensor == "mnist-dvs":
        odd = tmp_path / "odd.aedat"
        odd.write_bytes(data.files(6)[0].read_bytes())
        with pytest.raises(DataError, match="the scale says what is cut out around the digit"):
            arrays([odd, spoken], of)


def test_arrays_as_they_are(tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 3)), rng.integers(0, 9, (2, 3)).astype(np.uint16)
    np.savez(tmp_path / "a.npz", audio=x, visual=y, more=x)
    found = arrays([tmp_path / "a.npz"], reading("dialpad"))
    assert {name: a.dtype.name for name, a in found.items()} == {"audio": "float32", "visual": "uint16"}
    np.testing.assert_array_equal(found["audio"], x.astype(np.float32))
    np.testing.assert_array_equal(found["visual"], y)


def as_npz(**named):
    content = io.BytesIO()
    np.savez(content, **named)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 no archive", "cannot be read"),
        (as_npz(audio=np.zeros((2, 3))), r"found audio, expected visual too, of shape \(2, 3\)"),
        (as_npz(audio=np.zeros((2, 3)), visual=np.zeros((2, 4))), r"visual: found float64 of shape \(2, 4\), expected"),
        (as_npz(audio=np.zeros((2, 3)), visual=np.full((2, 3), np.nan)), "visual: found values that are NaN"),
        (as_npz(audio=np.array([["a"] * 3] * 2), visual=np.zeros((2, 3))), r"audio: found <U1 of shape"),
        (as_npz(audio=np.array([[None] * 3] * 2), visual=np.zeros((2, 3))), "cannot be read"),
    ],
)
def test_arrays_that_are_none(tmp_path, content, message):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.npz: {message}"):
        arrays([tmp_path / "a.npz"], reading("dialpad"))


def test_what_a_clip_lacks_or_has_too_much(tmp_path):
    write_tone(tmp_path / "a.wav", seconds=0.3)
    write_image(tmp_path / "a.png", (9, 9, 9))
    (tmp_path / "a.bin").write_bytes(nmnist_bytes([1], [2], [3], [1]))
    runs = {"folder": BOTH, "dialpad": BOTH, "cifar10-dvs": ("visual",)}
    for name, file, message in (
        (
            "folder",
            "a.wav",
            r"a\.wav: found a sound alone; expected an image, a folder of frames or a video too, for a run",
        ),
        ("dialpad", "a.png", r"a\.png: found an image alone; expected a sound .* whose network takes audio and visual"),
        ("dialpad", "a.bin", r"a\.bin: found events; expected a sound \(\.wav, \.\.\.\) and an image"),
        ("cifar10-dvs", "a.wav", r"a\.wav: found a sound; expected events \(\.aedat\), for a run"),
        ("cifar10-dvs", "a.png", r"a\.png: found an image; expected events"),
    ):
        with pytest.raises(DataError, match=message):
            arrays([tmp_path / file], reading(name, runs[name]))


def test_a_network_of_one_stream_needs_no_other(tmp_path):
    write_tone(tmp_path / "a.wav", seconds=0.3)
    write_image(tmp_path / "a.png", (90, 9, 9), size=(8, 8))
    both = arrays([tmp_path / "a.wav", tmp_path / "a.png"], reading("folder"))
    for stream, file in (("audio", "a.wav"), ("visual", "a.png")):
        alone = arrays([tmp_path / file], reading("folder", (stream,)))
        assert list(alone) == [stream]
        np.testing.assert_array_equal(alone[stream], both[stream])


def test_a_silent_film_is_enough_for_a_network_that_sees_alone(tmp_path):
    write_video(tmp_path / "film.mp4", frames=5, fps=10, tone=None)
    assert list(arrays([tmp_path / "film.mp4"], reading("folder", ("visual",)))) == ["visual"]
    with pytest.raises(
        DataError, match=r"film\.mp4: found no sound track, expected one; .* beside it \(film\.wav\) is taken"
    ):
        arrays([tmp_path / "film.mp4"], reading("folder"))


def test_seconds_of_a_video(tmp_path):
    write_video(tmp_path / "a.mp4", frames=20, fps=10)
    whole, part = (arrays([tmp_path / "a.mp4"], reading("folder", **cut)) for cut in ({}, {"start": 1.0, "stop": 2.0}))
    assert part["visual"][0].mean() > whole["visual"][0].mean() + 1  # frames get lighter with time
    assert part["visual"][-1].mean() < whole["visual"][-1].mean() + 0.6


def test_a_set_that_reads_no_files_but_its_own(monkeypatch):
    from misnet.datasets import registry

    entry = registry.Entry(lambda *a, **k: None, "one", 8, 1)
    monkeypatch.setattr(registry, "REGISTRY", registry.REGISTRY | {"own": entry})
    monkeypatch.setattr("misnet.datasets.clips.loading.REGISTRY", registry.REGISTRY)
    with pytest.raises(
        DataError, match=r"a: own reads no files but its own; expected an \.npz file with the arrays audio"
    ):
        load_clip(Clip("a"), reading("own"), "ab")
