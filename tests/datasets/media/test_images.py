"""Decoding images of every kind, fitting them to a square, and resizing by matrices as Pillow does."""

import io
import struct

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


@pytest.mark.parametrize(
    ("dtype", "kind", "values", "expected"),
    [
        (np.uint8, "PNG", (0, 77, 255), (0, 77, 255)),
        (np.uint8, "TIFF", (0, 77, 255), (0, 77, 255)),
        (np.uint16, "PNG", (0, 77 * 256 + 200, 65535), (0, 77, 255)),
        (np.uint16, "TIFF", (0, 77 * 256 + 200, 65535), (0, 77, 255)),
        (np.uint16, "PPM", (0, 77 * 256 + 200, 65535), (0, 77, 255)),
        (np.float32, "TIFF", (0.0, 77 / 255, 1.0), (0, 77, 255)),
    ],
)
@pytest.mark.parametrize("orientation", [1, 2, 3, 6])
def test_gray_of_every_depth_is_as_bright_and_as_upright_as_it_is_shown(dtype, kind, values, expected, orientation):
    image = Image.fromarray(np.array([values, [0, 0, 0]], dtype))
    exif = Image.Exif()
    exif[0x0112] = orientation  # 2: mirrored, 3: upside down, 6: to be turned by a quarter clockwise
    orientation = 1 if kind == "PPM" else orientation  # a PGM has none
    found = decode_image(saved(image, kind, **({} if orientation == 1 else {"exif": exif})), "f")
    shown = np.array([expected, [0, 0, 0]], np.uint8)
    shown = {1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 6: np.rot90(shown, -1)}[orientation]
    np.testing.assert_array_equal(found, np.repeat(shown[..., None], 3, axis=-1))


def deep_tiff(bits, sample_format, data, black=1):
    """A gray TIFF of 4x1 pixels with so many bits: little-endian, nine tags, then the values."""
    tags = [
        (256, 4),
        (257, 1),
        (258, bits),
        (259, 1),
        (262, black),
        (273, 122),
        (278, 1),
        (279, len(data)),
        (339, sample_format),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", 0) + data


def test_twelve_bits_are_scaled():
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x04, 0xD0])  # 0x000, 0xfff, 0x800, 0x4d0
    assert decode_image(deep_tiff(12, 1, packed), "f")[0, :, 0].tolist() == [0, 255, 128, 77]


def test_where_white_is_zero():
    """As X-ray pictures are kept; Pillow turns that round for 8 bits alone."""
    for bits, kind in ((8, "B"), (16, "H")):
        data = struct.pack(f"<4{kind}", *(v << bits - 8 for v in (0, 77, 128, 255)))
        found = decode_image(deep_tiff(bits, 1, data, black=0), "f")[0, :, 0].tolist()
        assert found == [255, 178, 127, 0]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (saved(Image.fromarray(np.array([[0, 255]], np.int32)), "TIFF"), "signed integers of 32 bits from 0 to 255"),
        (deep_tiff(32, 1, struct.pack("<4I", 0, 9, 3, 1)), "integers of 32 bits from 0 to 9"),
        (deep_tiff(16, 2, struct.pack("<4h", 0, -9, 3, 1)), "signed integers of 16 bits from -9 to 3"),
        (saved(Image.fromarray(np.array([[0, 65535]], np.float32)), "TIFF"), "floats from 0 to 65535"),
        (saved(Image.fromarray(np.array([[-0.5, 1]], np.float32)), "TIFF"), "floats from -0.5 to 1"),
        (saved(Image.fromarray(np.array([[np.nan, 1]], np.float32)), "TIFF"), "floats from nan to nan"),
        (deep_tiff(64, 3, struct.pack("<4d", 0, 1, 2, 3)), "a TIFF of a kind that is not read"),
    ],
)
def test_gray_whose_white_is_not_known_is_refused(data, found):
    with pytest.raises(DataError, match=f"^f: found {found}"):
        decode_image(data, "f")


def test_what_is_transparent_is_shown_on_white():
    """A black drawing on nothing, which browsers show on white: without that it would be black all over."""
    drawing = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    drawing.putpixel((0, 0), (0, 0, 0, 255))
    drawing.putpixel((1, 0), (200, 0, 0, 51))
    shown = [[0, 0, 0], [244, 204, 204], [255, 255, 255]]
    for kind in ("PNG", "TIFF"):
        assert decode_image(saved(drawing, kind), "f")[0].tolist() == shown
    assert decode_image(saved(drawing, "WEBP", lossless=True), "f")[0].tolist() == shown
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([0, 0, 0, 90, 80, 70])
    palette.putpixel((1, 0), 1)
    for kind in ("PNG", "GIF"):
        assert decode_image(saved(palette, kind, transparency=0), "f")[0].tolist() == [[255] * 3, [90, 80, 70]]
    gray = Image.new("LA", (2, 1), (0, 0))
    gray.putpixel((1, 0), (9, 255))
    assert decode_image(saved(gray), "f")[0].tolist() == [[255] * 3, [9] * 3]


def test_ink_becomes_light():
    inks = Image.new("CMYK", (4, 1))
    for x, ink in enumerate([(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 0, 255), (0, 0, 255, 128)]):
        inks.putpixel((x, 0), ink)
    expected = [[255, 255, 255], [0, 255, 255], [0, 0, 0], [127, 127, 0]]
    assert decode_image(saved(inks, "TIFF"), "f")[0].tolist() == expected


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_picture_of_an_animation(kind):
    pictures = [Image.new("RGB", (4, 4), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)
    assert (decode_image(data, "f") == (200, 0, 0)).all()


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
