"""Images: decoding a file to RGB, fitting it to a square, and resizing as two matrix products."""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import described, reason

__all__ = ["FITS", "IMAGE_SUFFIXES", "decode_image", "fit_square", "resize_bilinear", "resize_matrix"]

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".ppm", ".pgm", ".pbm", ".gif", ".webp", ".tif",
    ".tiff",
})
# fmt: on
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "GIF", "WEBP", "TIFF")  # Pillow knows more, of which some run other programs
FITS = ("crop", "stretch")
MAX_PIXELS = 64_000_000
PIXELS_PER_BYTE = {"PPM": 8, "BMP": 256}  # that can be packed in a byte; in the other formats 8256, by deflate's limit
EXPECTED = "an image (png, jpg, ...)"
TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF; photometric 0: white is 0; format 2: with a sign


def decode_image(data: bytes, where: object) -> np.ndarray:
    """Return the image in the bytes of a PNG, JPEG, BMP, PPM, GIF, WebP or TIFF file, in RGB.

    where: file name for the messages. Images with a palette, gray, CMYK, 12 or 16 bits, or floats from 0 to 1 become
    RGB of 8 bits; what is transparent is shown on white; the orientation that a camera noted is applied; of an
    animation, the first picture is taken.
    Returns uint8 [H, W, 3].
    Raises DataError for bytes that are no such image, for one cut short or damaged, for gray values whose white is not
    known (signed or 32-bit integers, floats beyond 0 to 1), and for more pixels than such a file can hold, or than 64
    million.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            most = min(MAX_PIXELS, len(data) * PIXELS_PER_BYTE.get(image.format or "", 8256))
            if image.width * image.height > most:
                found = f"an image of {image.width}x{image.height}"
                raise DataError(f"{where}: found {found}, expected at most {most} pixels")
            image.load()
            tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
            upright = ImageOps.exif_transpose(image)
            if upright.mode[0] in "IF":
                return np.repeat(_gray(upright, tags, where)[..., None], 3, axis=-1)
            return np.asarray(_on_white(upright))
    except DataError:
        raise
    except Image.UnidentifiedImageError:
        if data.startswith(TIFF_MAGICS):
            raise DataError(f"{where}: found a TIFF of a kind that is not read; expected 8 bits a colour") from None
        raise DataError(
            f"{where}: found {len(data)} bytes starting with {described(data)}, expected {EXPECTED}"
        ) from None
    except Exception as error:  # Pillow lets errors of many kinds through when a file is damaged
        raise DataError(f"{where}: cannot be decoded ({reason(error)}); expected {EXPECTED}") from error


def _gray(image: Image.Image, tags: Mapping[int, Any], where: object) -> np.ndarray:
    """Gray values of more than 8 bits as uint8 [H, W]; Pillow itself would clip them to 255 instead of scaling."""
    values = np.asarray(image)
    bits, sign = (tags.get(tag, default) for tag, default in ((BITS, 16), (SAMPLE_FORMAT, 1)))
    bits, sign = (v[0] if isinstance(v, tuple) else v for v in (bits, sign))
    inverted = tags.get(PHOTOMETRIC) == 0
    least, most = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if image.mode[0] == "F":
        if not (least >= 0 and most <= 1):  # not so of NaN, either
            raise DataError(f"{where}: found floats from {least:g} to {most:g}, expected 0 (black) to 1 (white)")
        return np.rint((1 - values if inverted else values) * 255).astype(np.uint8)
    if sign != 1 or bits > 16 or least < 0 or most > 65535:
        raise DataError(
            f"{where}: found {'signed ' if sign == 2 else ''}integers of {bits} bits from {least:g} to {most:g}, whose "
            "white is not known; expected gray values of 8 or 16 bits"
        )
    gray = (values >> (bits - 8)).clip(0, 255).astype(np.uint8)
    return 255 - gray if inverted else gray


def _on_white(image: Image.Image) -> Image.Image:
    """The image in RGB, what is transparent on white; an image that is transparent all over as if it were not."""
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode[:-1] + "A")
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[1] == 0:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def fit_square(image: np.ndarray, size: int, fit: str = "crop") -> np.ndarray:
    """Return an image as a square, by Pillow's bilinear filter.

    fit: "crop" takes the middle square, "stretch" the whole image, whose sides then change their proportion.
    image: uint8 [H, W, 3]. Returns uint8 [size, size, 3].
    """
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = ((width - side) / 2, (height - side) / 2) if fit == "crop" else (0, 0)
    box = (left, top, width - left, height - top)
    if (height, width) == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=box))


@lru_cache(maxsize=64)
def resize_matrix(n_in: int, n_out: int) -> np.ndarray:
    """Return the matrix R, float32 [n_out, n_in], with which Pillow's bilinear filter resizes a column: y = R x.

    Pillow resizes rows and columns one after the other, each linearly, so that an image is resized by R X R'. R is what
    Pillow makes of the identity; the filter is widened when shrinking, so that no pixel is passed over.
    """
    identity = Image.fromarray(np.eye(n_in, dtype=np.float32))
    matrix = np.asarray(identity.resize((n_in, n_out), Image.Resampling.BILINEAR))
    matrix.setflags(write=False)
    return matrix


def resize_bilinear(images: np.ndarray, size: int) -> np.ndarray:
    """Return images resized to `size` x `size` as Pillow's bilinear filter in mode "F" does, to float32 rounding.

    images: float32 [..., H, W]. Returns float32 [..., size, size].
    """
    rows, columns = images.shape[-2:]
    return resize_matrix(rows, size) @ images @ resize_matrix(columns, size).T
