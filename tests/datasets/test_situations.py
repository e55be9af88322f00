"""What people bring, beyond damage: files as phones, browsers, archives, downloads and older cameras leave them.

Each is read rightly, passed over and counted, or refused in a sentence that says what it is.
"""

import gzip
import io
import pickle
import struct
import zipfile
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from PIL import Image

from misnet.datasets import DataError, load_dataset
from misnet.datasets.formats.event_files import read_aedat
from misnet.datasets.formats.idx import read_idx
from misnet.datasets.media.audio import read_audio
from misnet.datasets.media.images import decode_image
from misnet.datasets.media.video import read_frames
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.preparing import prepare
from tests.datasets.tiny_events import aedat2_bytes, aedat3_bytes, write_event_digits
from tests.datasets.tiny_files import idx_bytes
from tests.datasets.tiny_media import cifar_batch, image_bytes, write_image, write_tar, write_tone, write_video

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def write_film(path, levels=(100,) * 5, size=(32, 32), codec="libx264", options=None, aspect=None, first=0):
    """A film of ten frames a second, each of one gray level; first: number of the first."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream(codec, rate=10)
        (video.width, video.height), video.pix_fmt = size, "yuv420p"
        if aspect is not None:
            video.sample_aspect_ratio = aspect
        for k, gray in enumerate(levels, start=first):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), gray, np.uint8), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return path


def pairs(root, numbers=("0", "1"), classes=("cat", "dog"), splits=("train", "test")):
    """Sounds and images of the same names, in both splits."""
    for split in splits:
        for name in classes:
            for number in numbers:
                write_tone(root / split / "audio" / name / f"{number}.wav", seconds=1.0)
                write_image(root / split / "vision" / name / f"{number}.png", (200, 100, 0))
    return root


def load(root, split="train", **options):
    return load_dataset("folder", split, data_dir=root, timesteps=2, size=8, **options)


# videos


@pytest.mark.parametrize(
    ("aspect", "shape"), [(Fraction(2), (48, 64)), (Fraction(1, 2), (96, 32)), (Fraction(16, 11), (48, 47))]
)
def test_pixels_that_are_not_square_are_shown_as_players_show_them(tmp_path, aspect, shape):
    """As of a DVD, a DV camera, or a film of a wide screen."""
    path = write_film(tmp_path / "a.mp4", size=(32, 48), aspect=aspect)
    assert read_frames(path, (0.1,))[0][0].shape == (*shape, 3)


def test_pixels_of_an_absurd_shape_are_refused(tmp_path):
    path = write_film(tmp_path / "a.mp4", aspect=Fraction(20))
    with pytest.raises(DataError, match=r"a\.mp4: found pixels of 20:1, expected nearly square ones"):
        read_frames(path, (0.1,))


@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize(("space", "red", "blue"), [(1, 0.2126, 0.0722), (5, 0.299, 0.114), (9, 0.2627, 0.0593)])
def test_colours_are_those_of_the_space_and_range_that_the_film_says(tmp_path, space, red, blue, full):
    """ITU-R BT.709, 601 and 2020, by the weights of red and blue in luma; from 16 to 235, or full."""
    av = pytest.importorskip("av")
    r, g, b = np.array([200, 40, 90]) / 255
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = np.array([(b - luma) / (1 - blue), (r - luma) / (1 - red)]) / 2
    coded = [16 + 219 * luma, *(128 + 224 * chroma)] if full == 1 else [255 * luma, *(128 + 255 * chroma)]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt, video.options = 32, 32, "yuv444p", {"crf": "1"}
        video.codec_context.colorspace, video.codec_context.color_range = space, full
        planes = np.rint(np.broadcast_to(np.array(coded)[:, None, None], (3, 32, 32))).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        frame.colorspace, frame.color_range = space, full
        container.mux(video.encode(frame))
        container.mux(video.encode())
    shown = read_frames(tmp_path / "a.mp4", (0.1,))[0][0]
    np.testing.assert_allclose(shown[16, 16], (200, 40, 90), atol=2)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.webm", "libvpx", {"live": "1"}), ("a.flv", "flv1", {"flvflags": "no_duration_filesize"})],
)
def test_recordings_of_a_browser_or_a_stream_say_no_length(tmp_path, name, codec, options):
    path = write_film(tmp_path / name, [20 * k for k in range(10)], codec=codec, options=options)
    frames, seconds = read_frames(path, (0.05, 0.55, 0.95))
    assert [frame.mean() for frame in frames] == pytest.approx([0, 100, 180], abs=3)
    assert seconds == pytest.approx(1.0)


def test_a_film_that_changes_its_size(tmp_path):
    """As when a call gets a better line, or two recordings were put together."""
    parts = [([60] * 10, (32, 32), 0), ([180] * 10, (64, 48), 10)]
    for name, (levels, size, first) in zip("ab", parts, strict=True):
        write_film(tmp_path / f"{name}.ts", levels, size, "mpeg2video", first=first)
    (tmp_path / "c.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    frames, seconds = read_frames(tmp_path / "c.ts", (0.1, 0.9))
    assert [frame.shape for frame in frames] == [(32, 32, 3), (48, 64, 3)]
    assert [frame.mean() for frame in frames] == pytest.approx([60, 180], abs=3)
    assert seconds == pytest.approx(2.0, abs=0.11)


# folders


def test_frames_without_leading_zeros_are_in_order(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_tone(tmp_path / split / "audio" / name / "x.wav", seconds=1.0)
            for k in range(1, 13):
                write_image(tmp_path / split / "vision" / name / "x" / f"frame{k}.png", (20 * k,) * 3)
    data = load_dataset("folder", "train", data_dir=tmp_path, timesteps=12, size=8)
    means = data[0][1].mean(axis=(1, 2, 3))
    assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("litter", ["__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"])
def test_what_archives_and_drives_leave_beside_classes_is_no_class(tmp_path, litter):
    pairs(tmp_path)
    write_tone(tmp_path / "train/audio" / litter / "0.wav")
    write_image(tmp_path / "train/vision" / litter / "0.png", (1, 2, 3))
    write_image(tmp_path / "train/vision/cat" / litter / "0.png", (1, 2, 3))
    data = load(tmp_path)
    assert (data.class_names, len(data), data.notes) == (("cat", "dog"), 4, ())


def test_half_downloads_marks_of_windows_and_pictures_of_phones_are_counted(tmp_path):
    pairs(tmp_path, ("0", "1", "2"))
    (tmp_path / "train/vision/dog/2.png").rename(tmp_path / "train/vision/dog/2.heic")
    for name in ("0.wav:Zone.Identifier", "9.wav.part", "8.wav.crdownload"):
        (tmp_path / "train/audio/cat" / name).write_bytes(b"x")
    data = load(tmp_path)
    assert len(data) == 5
    assert data.notes[0].startswith("passed over 4 files: ")
    for kind in (".identifier", ".part", ".crdownload", "1 .heic (such as train/vision/dog/2.heic)"):
        assert kind in data.notes[0]
    assert "left out 1 without a partner of their name: dog/2.wav" in data.notes[1]


def test_a_class_in_other_letters_is_named(tmp_path):
    pairs(tmp_path, classes=("Cat", "dog"), splits=("train",))
    pairs(tmp_path, classes=("cat", "dog"), splits=("test",))
    with pytest.raises(DataError, match=r"test/cat: found a class that .*train has not; expected Cat, dog"):
        load(tmp_path, "test")


def test_a_class_with_a_blank_at_its_end_is_the_same_class(tmp_path):
    pairs(tmp_path, classes=("cat", "dog"), splits=("train",))
    pairs(tmp_path, classes=("cat ", "dog"), splits=("test",))
    assert load(tmp_path).class_names == ("cat", "dog")
    assert load(tmp_path, "test").labels.tolist() == load(tmp_path).labels.tolist()
    assert load(tmp_path, "test").notes == ()


def test_classes_that_differ_in_capitals_and_those_without_samples_are_noted(tmp_path):
    pairs(tmp_path, classes=("Cat", "cat", "dog"), splits=("train",))
    pairs(tmp_path, classes=("cat", "dog"), splits=("test",))
    alike = "Cat and cat are two classes, though they differ in capitals alone"
    assert load(tmp_path).notes == (alike,)
    assert load(tmp_path, "test").notes == ("no sample of Cat", alike)


def test_testing_on_the_files_of_training_is_noted(tmp_path):
    pairs(tmp_path, splits=("train",))
    (tmp_path / "test").symlink_to("train")
    (note,) = load(tmp_path).notes
    assert note.endswith("is for training and for testing: the same files are trained and tested on")


def test_links_that_lead_back_end(tmp_path):
    pairs(tmp_path)
    (tmp_path / "train/audio/cat/again").symlink_to(tmp_path / "train")
    (tmp_path / "train/vision/cat/again").symlink_to("..")
    assert len(load(tmp_path)) == 4


def test_a_file_in_place_of_the_folder_is_said(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"data\.zip: found a file, no folder; folder expects one with"):
        load(tmp_path / "data.zip")


def test_a_cache_is_not_made_among_the_files_of_its_data(tmp_path):
    source = write_event_digits(tmp_path / "set", numbers=(9, 10))
    before = sorted(source.rglob("*"))
    with pytest.raises(ValueError, match="expected an empty folder or a cache"):
        prepare(source, Request("mnist-dvs-ntidigits", str(source), timesteps=1, size=8))
    assert [path for path in sorted(source.rglob("*")) if path.name != ".lock"] == before


# images


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_pictures_are_turned_as_noted_in_any_format(kind):
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, :8] = (250, 0, 0)
    notes, file = Image.Exif(), io.BytesIO()
    notes[0x112] = 6  # the upper end is at the right
    Image.fromarray(image).save(file, kind, exif=notes, **({"lossless": True} if kind == "WEBP" else {}))
    shown = decode_image(file.getvalue(), "x")
    assert shown.shape == (16, 8, 3)
    np.testing.assert_allclose(shown[0, 0], (250, 0, 0), atol=5)
    np.testing.assert_allclose(shown[-1, -1], (0, 0, 0), atol=5)


def test_a_jpeg_that_ends_in_the_middle_is_refused_not_gray():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
    with pytest.raises(DataError, match=r"x: cannot be decoded \(image file is truncated"):
        decode_image(file.getvalue()[: len(file.getvalue()) // 2], "x")


# sounds


@pytest.mark.parametrize("samples", [1, 1151, 1152, 1153, 5000])
def test_an_mp3_has_the_samples_that_went_in(tmp_path, samples):
    """The encoder's delay and the filling of the last frame are not sound."""
    soundfile.write(tmp_path / "a.mp3", 0.3 * np.sin(np.arange(samples) / 5), 44100, format="MP3")
    assert len(read_audio(tmp_path / "a.mp3")[0]) == samples


def test_a_wav_of_the_other_byte_order(tmp_path):
    x = (9000 * np.sin(np.arange(800) / 5)).astype(">i2")
    head = b"WAVEfmt " + struct.pack(">IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    body = head + b"data" + struct.pack(">I", x.nbytes) + x.tobytes()
    (tmp_path / "a.wav").write_bytes(b"RIFX" + struct.pack(">I", len(body)) + body)
    samples, rate = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(samples, x / np.float32(32768))
    assert rate == 8000


def test_a_broadcast_wav_of_an_odd_number_of_bytes(tmp_path):
    """A chunk before the format, eight bits without sign, a byte of filling, and a list behind."""
    x = np.arange(801, dtype=np.uint8)
    chunks = [(b"bext", bytes(603)), (b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)), (b"data", x.tobytes())]
    body = b"WAVE" + b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for name, content in (*chunks, (b"LIST", b"INFO"))
    )
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], x / np.float32(128) - 1)


def test_a_film_called_wav_is_said_to_be_one(tmp_path):
    write_video(tmp_path / "a.mp4", frames=3)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.mp4").read_bytes())
    with pytest.raises(DataError, match=r"a\.wav: found .* 66 74 79 70: MP4 or its kin, expected an audio file"):
        read_audio(tmp_path / "a.wav")


# archives and tables


def test_a_gz_that_the_browser_unpacked_and_one_without_the_ending(tmp_path):
    (tmp_path / "a.gz").write_bytes(idx_bytes(IMAGES))
    (tmp_path / "b").write_bytes(gzip.compress(idx_bytes(IMAGES)))
    for name in ("a.gz", "b"):
        np.testing.assert_array_equal(read_idx(tmp_path / name, 3), IMAGES)


def test_a_zip_or_a_gz_in_a_gz_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.gz", "w") as archive:
        archive.writestr("images", idx_bytes(IMAGES))
    (tmp_path / "b.gz").write_bytes(gzip.compress(gzip.compress(idx_bytes(IMAGES))))
    for name, kind in (("a.gz", "50 4b 03 04: a ZIP archive"), ("b.gz", "1f 8b 08 00: gzip")):
        with pytest.raises(DataError, match=rf"{name}: found magic number \d+ \(bytes {kind}\), expected 2051"):
            read_idx(tmp_path / name, 3)


def test_a_tar_that_was_unpacked_and_kept_its_name(tmp_path):
    pixels, labels = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8), np.arange(20) % 10
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    files = {f"cifar-10-batches-py/{name}": cifar_batch(pixels, labels) for name in names}
    write_tar(tmp_path / "cifar-10-python.tar.gz", files, mode="w")
    for k in range(10):
        for fold in (1, 4):
            write_tone(tmp_path / f"esc10/{k + 1:03} - x/{fold}-{k}-A.wav", seconds=0.3)
    assert len(load_dataset("cifar10-av", "train", data_dir=tmp_path)) == 100


def test_cifar_100_in_place_of_cifar_10_is_refused(tmp_path):
    fields = {b"fine_labels": [0] * 4, b"coarse_labels": [0] * 4, b"data": np.zeros((4, 3072), np.uint8)}
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(fields, 2))
    write_tone(tmp_path / "esc10/001 - Dog bark/1-1-A.wav")
    with pytest.raises(DataError, match=r"data_batch_1: found no labels with data .* expected a batch of CIFAR-10"):
        load_dataset("cifar10-av", "train", data_dir=tmp_path)


# events


def test_a_davis_is_not_read_as_a_dvs128(tmp_path):
    """Its AEDAT 2.0 has other bits for the same things."""
    words = np.stack([np.arange(9) << 22 | 500 << 12 | 1 << 11, np.arange(9)], axis=1).astype(">u4")
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n# AEChip: DAVIS240C\r\n" + words.tobytes())
    with pytest.raises(DataError, match=r"a\.aedat: found address 0x1f4800 .* as a DVS128 sends"):
        read_aedat(tmp_path / "a.aedat")


def test_a_header_with_line_ends_of_unix(tmp_path):
    data = aedat2_bytes([1, 2], [3, 4], [5, 6], [0, 1], header=b"#!AER-DAT2.0\n# made by a program\n")
    (tmp_path / "a.aedat").write_bytes(data)
    events = read_aedat(tmp_path / "a.aedat")
    assert (events.x.tolist(), events.y.tolist(), events.p.tolist()) == ([3, 4], [5, 6], [0, 1])


def test_tables_as_a_spreadsheet_saves_them_in_any_order_of_rows(tmp_path):
    """A byte order mark, line ends of an old Mac, blanks around fields, and a gesture that ends after the recording."""
    t = np.arange(100) * 1000
    for name in ("user01_led", "user24_led"):
        (tmp_path / f"{name}.aedat").write_bytes(aedat3_bytes(t, np.arange(100), np.full(100, 7), np.ones(100, int)))
        rows = "\ufeffclass,startTime_usec,endTime_usec\r3, 50000 ,60000\r4,10000,20000\r5,90000,999999\r\r"
        (tmp_path / f"{name}_labels.csv").write_bytes(rows.encode())
        split = "train" if name == "user01_led" else "test"
        (tmp_path / f"trials_to_{split}.txt").write_bytes(f"\ufeff{name}.aedat \r\n\r\n".encode())
    settings = {"timesteps": 1, "size": 128, "values": "count"}
    data = load_dataset("dvs128-gesture", "train", data_dir=tmp_path, **settings)
    assert data.labels.tolist() == [2, 3, 4]
    for i, first in enumerate((50, 10, 90)):
        frames, _ = data[i]
        assert np.flatnonzero(frames[0, 7, :, 1]).tolist() == list(range(first, first + 10))


@pytest.mark.parametrize("events", [([5], [1], [1], [1]), ([5, 5, 5], [1, 2, 3], [1, 1, 1], [0, 0, 0])])
def test_a_recording_of_one_event_one_moment_or_one_polarity_is_finite(tmp_path, events):
    (tmp_path / "frog").mkdir()
    (tmp_path / "frog/cifar10_frog_1.aedat").write_bytes(aedat2_bytes(*events))
    for values in ("log", "count", "binary"):
        frames, label = load_dataset("cifar10-dvs", "train", data_dir=tmp_path, size=16, values=values)[0]
        assert np.isfinite(frames).all()
        assert frames.any()
        assert label == 6


def test_an_image_called_by_another_format_is_read_by_its_content():
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP"):
        assert decode_image(image_bytes((250, 0, 0), kind=kind), "x.png").shape == (32, 32, 3)
