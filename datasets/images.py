"""Resizing of gray images as two matrix products, many at a time and without rounding to bytes."""

from functools import lru_cache

import numpy as np
from PIL import Image

__all__ = ["resize_bilinear", "resize_matrix"]


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
