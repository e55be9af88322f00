"""Resizing by matrices is Pillow's resizing."""

import numpy as np
import pytest
from PIL import Image

from datasets.images import resize_bilinear, resize_matrix


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
