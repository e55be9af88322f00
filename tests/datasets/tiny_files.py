"""Writing small IDX and WAV files."""

import gzip
import struct

import numpy as np
import soundfile

IDX = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 84000\n"


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(path, array, compress=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(idx_bytes(array)) if compress else idx_bytes(array))


def write_recording(path, digit, seconds=0.3, rate=8000):
    """A tone whose frequency tells digit and file apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hz = 300 + 250 * digit + 10 * (sum(map(ord, path.name)) % 7)
    t = np.arange(int(rate * seconds)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * hz * t), rate, subtype="PCM_16")
