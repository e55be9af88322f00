"""Writing small event files: AEDAT 2.0, N-MNIST and the HDF5 of N-TIDIGITS, and a whole data set of them."""

import struct

import numpy as np
import pytest

AEDAT2_HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# Timestamps tick is 1 us\r\n# created by a test\r\n"


def aedat2_bytes(t, x, y, p, header=AEDAT2_HEADER):
    """p: 1 for ON, which is bit 0 = 0."""
    words = np.empty((len(t), 2), ">u4")
    words[:, 0] = np.asarray(y) << 8 | np.asarray(x) << 1 | 1 - np.asarray(p)
    words[:, 1] = t
    return header + words.tobytes()


def nmnist_bytes(t, x, y, p):
    records = np.empty((len(t), 5), np.uint8)
    t = np.asarray(t)
    records[:, 0], records[:, 1] = x, y
    records[:, 2] = np.asarray(p) << 7 | t >> 16 & 0x7F
    records[:, 3], records[:, 4] = t >> 8 & 0xFF, t & 0xFF
    return records.tobytes()


AEDAT3_HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-06-01\r\n#!END-HEADER\r\n"


def aedat3_packet(words, t, overflow=0, kind=1, size=8):
    """A packet of events: words uint32 [n] (bit 0: valid) and their lower 31 bits of time."""
    n = len(t)
    body = np.stack([np.asarray(words, "<u4"), np.asarray(t, "<u4")], axis=1).tobytes()
    return struct.pack("<hh6i", kind, 1, size, 4, overflow, n, n, n) + body


def aedat3_bytes(t, x, y, p, header=AEDAT3_HEADER, of=100):
    """A recording with a packet for every `of` events, each with its own overflow of 2^31."""
    t = np.asarray(t, np.int64)
    words = np.asarray(x) << 17 | np.asarray(y) << 2 | np.asarray(p) << 1 | 1
    packets = []
    for over in np.unique(t >> 31):
        mine = np.flatnonzero(t >> 31 == over)
        parts = [mine[i : i + of] for i in range(0, len(mine), of)]
        packets += [aedat3_packet(words[k], t[k] & 0x7FFFFFFF, int(over)) for k in parts]
    return header + b"".join(packets)


def aedat4_bytes(t, x, y, on, size=(346, 260), of=50, compression=0, pack=lambda body: body, end=-1):
    """A recording: a few lines of what the FlatBuffers compiler would write."""
    camera = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" path="/x/0/">'
        '<attr key="compression" type="string">NONE</attr><attr key="typeIdentifier" type="string">EVTS</attr>'
        '<node name="info" path="/x/0/info/">'
        f'<attr key="sizeX" type="int">{size[0]}</attr><attr key="sizeY" type="int">{size[1]}</attr>'
        "</node></node></node></dv>"
    ).encode()
    text = struct.pack("<I", len(camera)) + camera + bytes(4 - len(camera) % 4)
    # root, name, table's fields (length 10, table 24 bytes: compression at 4, position at 8, text at 16), table
    table = struct.pack("<HHHHHH", 10, 24, 4, 8, 16, 0)
    header = struct.pack("<I4s", 20, b"IOHE") + table + struct.pack("<iiqII", 12, compression, end, 8, 0) + text
    packets = b""
    for i in range(0, len(t), of):
        events = np.zeros(len(t[i : i + of]), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "?"), ("pad", "V3")])
        for name, values in (("t", t), ("x", x), ("y", y), ("on", on)):
            events[name] = values[i : i + of]
        head = struct.pack("<I4sHHHHiII", 16, b"EVTS", 6, 8, 4, 0, 8, 8, 0)
        body = head + struct.pack("<I", len(events)) + events.tobytes()
        body = pack(struct.pack("<I", len(body)) + body)
        packets += struct.pack("<ii", 0, len(body)) + body
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(header)) + header + packets


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
