"""Decoding images of every kind, fitting them to a square, and resizing by matrices as Pillow does."""

import io

import numpy as np
import pytest
from PIL import Image

from misnet.datasets import DataError
from misnet.datasets.media.images import decode_image, fit_square, resize_bilinear, resize_matrix
from tests.datasets.tiny_media import image_bytes


@pytest.mark.parametrize("size", [8, 16, 28, 33])
def test_resizing_is_pillow_s(size):
    images = np.random.default_rng(0).random((3, 28, 20), dtype=np.float32)
    resized = resize_bilinear(images, size)
    assert resized.shape == (3, size, size)
    assert resized.dtype == np.float32
    for found, image in zip(resized, images, strict=True):
        expected = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_halving_by_hand():
    # The triangle of Pillow's filter is as wide as two output pixels: weights 1, 3, 3, 1 of 8 inside, fewer at an end.
    np.testing.assert_allclose(resize_matrix(8, 4)[1], np.array([0, 1, 3, 3, 1, 0, 0, 0]) / 8, atol=1e-6)
    np.testing.assert_allclose(resize_matrix(8, 4)[0], np.array([3, 3, 1, 0, 0, 0, 0, 0]) / 7, atol=1e-6)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP", "JPEG", "GIF"])
def test_pixels_of_each_format(kind):
    found = decode_image(image_bytes((200, 100, 50), (7, 5), kind), "f")
    assert found.shape == (5, 7, 3)
    assert found.dtype == np.uint8
    lossless = kind in ("PNG", "BMP", "PPM", "TIFF", "GIF")
    np.testing.assert_allclose(found, np.broadcast_to([200, 100, 50], (5, 7, 3)), atol=0 if lossless else 4)


def test_every_mode_becomes_rgb():
    gray = Image.new("L", (2, 1), 77)
    wide = Image.fromarray(np.array([[0, 77 * 256 + 200]], np.uint16))
    assert decode_image(saved(gray), "f").tolist() == [[[77] * 3] * 2]
    assert decode_image(saved(gray.convert("1")), "f").tolist() in ([[[0] * 3, [255] * 3]], [[[0] * 3] * 2])
    assert decode_image(saved(wide), "f").tolist() == [[[0] * 3, [77] * 3]]
    assert decode_image(saved(Image.new("P", (1, 1), 3)), "f").shape == (1, 1, 3)
    assert decode_image(saved(Image.new("P", (1, 1), 3), transparency=b"\x00" * 5), "f").shape == (1, 1, 3)
    assert decode_image(saved(Image.new("RGBA", (1, 1), (9, 8, 7, 0))), "f").tolist() == [[[9, 8, 7]]]
    assert decode_image(saved(Image.new("CMYK", (1, 1), (0, 0, 0, 0)), "JPEG"), "f").tolist() == [[[255] * 3]]


def test_the_orientation_that_a_camera_noted_is_applied():
    image = Image.new("RGB", (4, 2))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter clockwise
    found = decode_image(saved(image, exif=exif), "f")
    assert found.shape == (4, 2, 3)
    assert found[0, 1].tolist() == [255] * 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"404: Not Found", "found 14 bytes starting with text, expected an image"),
        (bytes(range(200, 256)), "starting with bytes c8 c9"),
        (image_bytes((1, 2, 3), (99, 99))[:-40], "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "starting with text"),  # Pillow would run Ghostscript
        (saved(Image.new("1", (9000, 9000))), "found an image of 9000x9000, expected at most 64000000 pixels"),
        (b"P6 5000 5000 255 " + bytes(300), "found an image of 5000x5000, expected at most 2536 pixels"),
    ],
)
def test_not_an_image_is_named(data, message):
    with pytest.raises(DataError, match=f"^f: .*{message}"):
        decode_image(data, "f")


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP"])
def test_an_image_of_one_colour_is_not_too_small_a_file(kind):
    options = {"compression": "tiff_deflate"} if kind == "TIFF" else {}
    assert decode_image(saved(Image.new("L", (3000, 2000), 200), kind, **options), "f").shape == (2000, 3000, 3)


def test_fitting_to_a_square():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 2:6] = 100  # the middle square
    assert (fit_square(image, 4) == 100).all()
    assert fit_square(image, 2).shape == (2, 2, 3)
    stretched = fit_square(image, 4, "stretch")
    assert stretched.shape == (4, 4, 3)
    np.testing.assert_array_equal(stretched[0, :, 0], [14, 88, 88, 14])  # 100 / 7 and 7 / 8 of 100
    assert fit_square(image.transpose(1, 0, 2), 4).tolist() == fit_square(image, 4).tolist()
    same = np.zeros((5, 5, 3), np.uint8)
    assert fit_square(same, 5) is same
