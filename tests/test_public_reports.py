"""Every row of docs/public_reports.md names a test that is there; and the situations that no other test holds."""

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageCms

from misnet.datasets import DataError, load_dataset
from misnet.datasets.media.audio import read_audio
from misnet.datasets.media.images import decode_image
from misnet.datasets.media.video import read_frames
from misnet.training.recording import FiringRates
from snncore import Tensor, count_ops, functions, named_rng, nn
from snncore.energy import apply_rule
from snncore.opcount import CostError
from snncore.surrogate import Sigmoid
from tests.datasets.tiny_media import image_bytes, write_image, write_tone, write_video

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "public_reports.md"
ROW = re.compile(r"\| (?P<number>\d+) \| (?P<report>.+?) \| (?P<now>.+?) \| (?P<tests>.+?) \|")
TEST = re.compile(r"`(?P<file>[\w/]+\.py)::(?P<name>test\w+)`")


def rows():
    return [match for line in TABLE.read_text(encoding="utf-8").splitlines() if (match := ROW.fullmatch(line))]


def test_the_table_has_58_rows_and_each_names_tests_that_are_there():
    found = rows()
    assert [int(row["number"]) for row in found] == list(range(1, 59))
    for row in found:
        named = TEST.findall(row["tests"])
        assert len(named) == row["tests"].count("`") // 2 >= 1, row["number"]
        for file, name in named:
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), (row["number"], file, name)


# sounds

TONE = 0.3 * np.sin(np.arange(16000) / 5)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "ALAW", "ULAW"])
def test_compressed_wav_files_are_read(tmp_path, subtype):
    kind = "AU" if subtype == "G721_32" else "WAV"
    soundfile.write(tmp_path / "a.wav", TONE, 16000, subtype=subtype, format=kind)
    samples, rate = read_audio(tmp_path / "a.wav")
    assert rate == 16000
    assert 16000 <= len(samples) < 16000 + 2048  # the last block is filled up
    assert np.sqrt(np.mean((samples[:16000] - TONE) ** 2)) < 0.03


@pytest.mark.parametrize("announced", [0, 36, 0xFFFFFFFF])
def test_a_streamed_wav_is_read_whole(tmp_path, announced):
    """The size of the whole is not known when the header is written, or wrong."""
    soundfile.write(tmp_path / "a.wav", TONE, 16000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = announced.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "a.wav")[0]) == 16000


def test_an_mp3_with_a_picture_of_300_kilobytes_before_the_sound(tmp_path):
    file = io.BytesIO()
    soundfile.write(file, TONE, 16000, format="MP3")
    picture = b"\0image/jpeg\0\x03\0" + bytes(range(256)) * 1172
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    (tmp_path / "a.mp3").write_bytes(b"ID3\x03\0\0" + size + frame + file.getvalue())
    assert len(read_audio(tmp_path / "a.mp3")[0]) == 16000


# videos


@pytest.mark.parametrize(
    "name",
    ["concat:a.mp4", "-a.mp4", "a b%d.mp4", "file:a.mp4", "\u00e9\U0001f3a5.mp4", "x" * 200 + ".mp4", "a\nb.mp4"],
)
def test_names_that_ffmpeg_or_a_shell_would_take_for_more(tmp_path, name):
    pytest.importorskip("av")
    write_video(tmp_path / "v.mp4", frames=3, tone=None)
    (tmp_path / "v.mp4").rename(tmp_path / name)
    assert len(read_frames(tmp_path / name, (0.1, 0.9))[0]) == 2


@pytest.mark.parametrize(
    ("codec", "layout", "size"),
    [
        ("libx264", "yuv420p", (64, 48)),
        ("libx264", "yuv444p", (33, 17)),
        ("libx264", "yuv420p10le", (32, 32)),
        ("ffv1", "gray", (31, 17)),
        ("ffv1", "gray16le", (32, 32)),
        ("ffv1", "bgra", (32, 32)),
    ],
)
def test_pictures_of_ten_bits_gray_transparent_and_of_odd_size(tmp_path, codec, layout, size):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream(codec, rate=10)
        (video.width, video.height), video.pix_fmt = size, layout
        frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 120, np.uint8), format="rgb24")
        for packet in (*video.encode(frame.reformat(format=layout)), *video.encode()):
            container.mux(packet)
    (shown,), seconds = read_frames(tmp_path / "a.mkv", (0.5,))
    assert shown.shape == (size[1], size[0], 3)
    np.testing.assert_allclose(shown, 120, atol=3)
    assert seconds == pytest.approx(0.1, abs=0.01)


# images


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_pictures_in_lab_of_one_bit_in_many_pictures_and_of_two_lenses():
    red = Image.new("RGB", (4, 4), (200, 30, 30))
    lab = ImageCms.applyTransform(
        red, ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    )
    np.testing.assert_allclose(decode_image(saved(lab, "TIFF"), "x")[0, 0], (200, 30, 30), atol=6)
    checks = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert decode_image(saved(checks, "PNG"), "x")[..., 0].tolist() == [[0, 255], [255, 0]]
    for kind in ("PNG", "GIF", "WEBP", "MPO", "TIFF"):
        more = [Image.new("RGB", (4, 4), (0, 0, 200))]
        found = decode_image(saved(red.copy(), kind, save_all=True, append_images=more), "x")
        np.testing.assert_allclose(found[0, 0], (200, 30, 30), atol=12)


# data sets


def test_the_clip_of_crema_d_with_one_letter_at_its_end(tmp_path):
    """1040_ITH_SAD_X, which the lists of others call ..._XX or not."""
    names = ["1040_ITH_SAD_X", "1041_ITH_ANG_XX"]
    for name in names:
        write_image(tmp_path / "Image-01-FPS" / name / "0.png", (1, 2, 3))
        write_tone(tmp_path / "AudioWAV" / f"{name}.wav")
    for split, name in zip(("train", "test"), names, strict=True):
        (tmp_path / f"{split}.csv").write_text(f"{name},{name[9:12]}\n")
    data = load_dataset("crema-d", "train", data_dir=tmp_path, size=16)
    assert data.files(0)[0].stem == names[0]
    assert data.class_names[data.labels[0]] == "sad"
    (tmp_path / "train.csv").write_text("1040_ITH_SAD_XX,SAD\n")
    with pytest.raises(DataError, match=r"found no .* of clip 1040_ITH_SAD_XX, which the train split lists"):
        load_dataset("crema-d", "train", data_dir=tmp_path, size=16)


def test_long_names_line_ends_in_names_and_capitals_are_files_like_others(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for stem in ("y" * 200, "a\nb", "c"):
                write_tone(tmp_path / split / "audio" / name / f"{stem}.wav", seconds=1.0)
                path = tmp_path / split / "vision" / name / f"{stem}.PNG"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(image_bytes((1, 2, 3)))
    (tmp_path / "train/audio/cat/c.wav").rename(tmp_path / "train/audio/cat/c.WAV")
    data = load_dataset("folder", "train", data_dir=tmp_path, timesteps=1, size=8)
    assert (len(data), data.notes) == (6, ())


# the engine


def test_ternary_spikes_are_refused_as_integers_and_multiplied_as_floats():
    """What counts as a spike is 0 or 1; rules of others call a layer with -1 dense."""
    layer = nn.Linear(8, 5, rng=named_rng(0, "x"))
    ternary = np.tile(np.array([-1, 0, 1, 1], np.int8), (2, 3, 2))  # [T, N, 8]
    with pytest.raises(CostError, match="expected integers of at least 0, found -1"), count_ops():
        layer(Tensor(ternary))
    with count_ops() as ops:
        layer(Tensor(ternary.astype(np.float32)))
    for rule in ("spikingjelly", "syops"):
        assert apply_rule(rule, ops).mac >= 2 * 3 * 8 * 5
        assert apply_rule(rule, ops).ac == 0


def test_membranes_that_are_returned_are_no_spikes():
    lif = functions.LIF(0.5, 1.0, None, Sigmoid(4.0), False, return_state=True)
    rates = FiringRates()
    with rates.recording():
        spikes, membrane = lif(Tensor(np.full((4, 3), 1.2, np.float32)))
    assert membrane.data.dtype == np.float32
    assert list(rates.spikes.values()) == [int(spikes.data.sum())]
    assert list(rates.places.values()) == [12]
