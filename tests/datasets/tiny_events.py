"""Writing small event files: AEDAT 2.0, N-MNIST and the HDF5 of N-TIDIGITS, and a whole data set of them."""

import numpy as np
import pytest

AEDAT2_HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# Timestamps tick is 1 us\r\n# created by a test\r\n"


def aedat2_bytes(t, x, y, p, header=AEDAT2_HEADER):
    words = np.empty((len(t), 2), ">u4")
    words[:, 0] = np.asarray(y) << 8 | np.asarray(x) << 1 | np.asarray(p)
    words[:, 1] = t
    return header + words.tobytes()


def nmnist_bytes(t, x, y, p):
    records = np.empty((len(t), 5), np.uint8)
    t = np.asarray(t)
    records[:, 0], records[:, 1] = x, y
    records[:, 2] = np.asarray(p) << 7 | t >> 16 & 0x7F
    records[:, 3], records[:, 4] = t >> 8 & 0xFF, t & 0xFF
    return records.tobytes()


def random_events(rng, digit, side, n=200, microseconds=100_000):
    """Events on a column that tells the digit, with a little noise."""
    t = np.sort(rng.integers(0, microseconds, n))
    x = (digit + 1) * side // 12 + rng.integers(0, 2, n)
    return t, x, rng.integers(side // 4, side // 2, n), rng.integers(0, 2, n)


def write_ntidigits(path, splits, **options):
    """splits: {split: {name: (seconds, channels)}}; options go to every data set that is made."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for split, recordings in splits.items():
            file[f"{split}_labels"] = np.array([name.encode() for name in recordings])
            for name, (seconds, channels) in recordings.items():
                file.create_dataset(f"{split}_timestamps/{name}", data=np.asarray(seconds, np.float64), **options)
                file.create_dataset(f"{split}_addresses/{name}", data=np.asarray(channels, np.uint8), **options)


def spoken(rng, digit, n=150, seconds=0.6):
    """Spikes around a channel that tells the digit."""
    return np.sort(rng.uniform(0, seconds, n)), np.clip(6 * digit + rng.integers(0, 5, n), 0, 63)


def write_event_digits(folder, sensor="mnist-dvs", numbers=(9, 10, 11), speakers=("ae", "bb")):
    """Ten digits of each number (a multiple of ten is for testing) and spoken ones by other speakers in each split."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    splits = {"train": {}, "test": {}}
    for split, recordings in splits.items():
        for speaker in speakers:
            for digit in "z123456789o":
                value = 0 if digit in "zo" else int(digit)
                recordings[f"woman-{speaker}{split}-a-{digit}"] = spoken(rng, value)
        recordings[f"man-xx{split}-a-12z"] = spoken(rng, 1)
    write_ntidigits(folder / "n-tidigits.hdf5", splits)
    for digit in range(10):
        for number in numbers:
            if sensor == "mnist-dvs":
                path = folder / f"mnist-dvs/grabbed_data{digit}/scale4/mnist_{digit}_scale04_{number:04}.aedat"
                data = aedat2_bytes(*random_events(rng, digit, 128))
            else:
                split = "Test" if number % 10 == 0 else "Train"
                path = folder / f"n-mnist/{split}/{digit}/{number:05}.bin"
                data = nmnist_bytes(*random_events(rng, digit, 34))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder
