"""Damaged checkpoints by the thousand: `python -m tests.misnet.training.damage --number 2000`.

Each is a good checkpoint that was cut, overwritten, whose header has another length, another layout or other metadata
(of the wrong kind, nested deeply), some of them signed anew, as somebody who knows the format would. Each must be
refused as a CheckpointError that names the file, or mean what was saved; and reading it must not allocate more than
some times the size of the file, whatever its header says.
"""

import argparse
import copy
import json
import random
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np

from misnet.training.state import State
from snncore.checkpoint import CheckpointError, _digest, load_checkpoint, save_checkpoint

ROOM = 4  # times the size of a file that reading it may allocate: JSON as objects is larger than as text,
SPARE = 200_000  # and as many bytes besides
MORE = 64 << 20  # of address space that the whole process may take, safetensors' own code included
HEADS = ("av",)
ODD = [None, True, -1, 1.5, 2**70, float("nan"), "x", "", [], {}, [[]], "\ud800", {"a": [None]}, [0] * 50]


def good():
    """Arrays and metadata of a small run, as `Run.save` writes them."""
    rng = np.random.default_rng(0)
    arrays = {
        "model/conv.weight": rng.normal(size=(3, 3, 2, 8)).astype(np.float32),
        "model/bn.mean": rng.normal(size=8).astype(np.float32),
        "optimizer/step": np.array(12, np.int64),
        "optimizer/m": rng.normal(size=144).astype(np.float32),
    }
    names = ("loss", "accuracy_av", "firing_rate")
    row = {"epoch": 1} | {f"{split}_{name}": 0.5 for split in ("train", "test") for name in names}
    state = State(1, 2, 0.5, rows=[row | {"learning_rate": 0.1}], origin={"settings": {"lr": 0.1}})
    state.totals.correct = {"av": 0}
    return arrays, state.to_dict()


def split(whole):
    """Header as an object, and what follows it."""
    length = int.from_bytes(whole[:8], "little")
    return json.loads(whole[8 : 8 + length]), whole[8 + length :]


def join(header, rest, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + rest


def places(value, path=()):
    """The paths to everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, x in items:
        yield from places(x, (*path, key))


def changed(value, rng):
    """A JSON value with one thing in it replaced by an odd one, left out, or put somewhere else."""
    value = copy.deepcopy(value)
    *way, name = rng.choice([path for path in places(value) if path])
    inner = value
    for step in way:
        inner = inner[step]
    if isinstance(inner, dict) and rng.random() < 0.2:
        del inner[name]
    else:
        inner[name] = copy.deepcopy(rng.choice(ODD))
    return value


def flip(whole, rng):
    content = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 8))):
        content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    return bytes(content)


def flip_in_header(whole, rng):
    at = 8 + rng.randrange(int.from_bytes(whole[:8], "little"))
    return whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :]


def cut(whole, rng):
    return whole[: rng.randrange(len(whole))]


def lengthen(whole, rng):
    return whole + rng.randbytes(rng.randrange(1, 5000))


def overwrite(whole, rng):
    start, size = rng.randrange(len(whole)), rng.randrange(1, 512)
    filling = rng.choice((b"\0" * size, b"\xff" * size, rng.randbytes(size)))
    return (whole[:start] + filling + whole[start + size :])[: len(whole)]


def header_length(whole, rng):
    header, rest = split(whole)
    length = rng.choice((0, 1, 7, len(whole), 2**31, 2**32, 2**40, 2**62, 2**63, 2**64 - 1, rng.randrange(5000)))
    return join(header, rest, length)


def layout(whole, rng):
    """Other types, shapes and places of arrays: shapes of terabytes, places beyond the end, overlapping ones."""
    header, rest = split(whole)
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    what = rng.choice(("dtype", "shape", "data_offsets", "all"))
    if what == "dtype":
        entry["dtype"] = rng.choice(("F64", "F16", "BF16", "BOOL", "I8", "F8_E4M3", "C64", "X", 3))
    elif what == "shape":
        entry["shape"] = rng.choice(
            ([2**40], [2**62, 4], [2**63, 2], [0], [-1], [1.5], [2**20, 2**20, 2**20], [1] * 999)
        )
    elif what == "data_offsets":
        start, end = entry["data_offsets"]
        entry["data_offsets"] = rng.choice(([0, 2**50], [end, start], [0, end], [start, end + 8], [2**63, 2**63], []))
    else:
        entry |= {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}
    return join(header, rest)


def metadata_text(whole, rng):
    """Metadata that are no JSON, not ours, or nested too deeply."""
    header, rest = split(whole)
    depth = rng.choice((900, 5000, 100_000))
    content = json.loads(header["__metadata__"]["snncore"])
    texts = ["", "{", "[]", "null", "3", '"x"', "[" * depth, "[" * depth + "]" * depth, '{"a":' * depth]
    texts += [json.dumps(changed(content, rng)) for _ in range(9)]
    texts += [json.dumps(content | {"metadata": json.loads("[" * 900 + "]" * 900)})]
    header["__metadata__"] = rng.choice(
        ({"snncore": rng.choice(texts)},) * 9 + ({}, {"other": "x"}, {"snncore": 3}, None)
    )
    return join(header, rest)


def nested_header(whole, rng):
    depth = rng.choice((100, 1000, 100_000))
    return join((b"[" * depth + b"]" * depth) if rng.random() < 0.5 else b'{"a":' * depth, split(whole)[1])


def signed_anew(whole, rng):
    """Metadata of the wrong kind, with the right sum: what the state of a run is checked for field by field."""
    header, rest = split(whole)
    content = json.loads(header["__metadata__"]["snncore"])
    metadata = changed(content["metadata"], rng)
    content["sha256"] = _digest(good()[0], metadata)
    header["__metadata__"]["snncore"] = json.dumps(content | {"metadata": metadata})
    return join(header, rest)


DAMAGE = (
    flip, flip_in_header, cut, lengthen, overwrite, header_length, layout, metadata_text, nested_header, signed_anew,
)  # fmt: skip


def read(path):
    """Read a checkpoint as `Run.resume` does; returns arrays and state. Raises CheckpointError, and nothing else."""
    arrays, metadata = load_checkpoint(path)
    try:
        return arrays, State.from_dict(metadata, HEADS), metadata
    except ValueError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from None


def same(found, metadata):
    arrays, expected = good()
    same_arrays = found.keys() == arrays.keys() and all(
        found[name].dtype == x.dtype and found[name].shape == x.shape and found[name].tobytes() == x.tobytes()
        for name, x in arrays.items()
    )
    return same_arrays and metadata == json.loads(json.dumps(expected))


def attack(folder, number, seed):
    """Write and read `number` damaged checkpoints. Returns (kind, outcome) counts and the largest allocation.

    Outcomes: refused, the same, and of those signed anew taken. Raises AssertionError for anything else.
    """
    rng, path, counts, largest = random.Random(seed), folder / "last.safetensors", Counter(), 0
    save_checkpoint(path, *good())
    whole = path.read_bytes()
    tracemalloc.start()
    try:
        for k in range(number):
            kind = DAMAGE[k % len(DAMAGE)]
            content = kind(whole, rng)
            path.write_bytes(content)
            before, refusal = tracemalloc.get_traced_memory()[0], None
            tracemalloc.reset_peak()
            try:
                arrays, _, metadata = read(path)
                outcome = "the same" if same(arrays, metadata) else "taken"
            except CheckpointError as error:
                outcome, refusal = "refused", str(error)
            assert outcome != "taken" or kind is signed_anew, f"{kind.__name__} {k} was loaded"
            assert refusal is None or refusal.startswith(f"checkpoint {path}: "), refusal
            assert refusal is None or len(refusal) < 2000, f"{kind.__name__} {k}: {len(refusal)} letters"
            taken = tracemalloc.get_traced_memory()[1] - before
            assert taken < ROOM * len(content) + SPARE, f"{kind.__name__} {k}: {taken} bytes for {len(content)}"
            counts[kind.__name__, outcome] += 1
            largest = max(largest, taken)
    finally:
        tracemalloc.stop()
    return counts, largest


def limit_memory(more):
    """Let this process take `more` bytes of address space and no more: what compiled code takes counts, too."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # not Linux
        return
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more,) * 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    limit_memory(MORE)
    with tempfile.TemporaryDirectory() as folder:
        counts, largest = attack(Path(folder), given.number, given.seed)
    for (kind, outcome), number in sorted(counts.items()):
        print(f"{kind:<16} {outcome:<9} {number}")
    print(f"{sum(counts.values())} damaged checkpoints, at most {largest / 2**20:.2f} MiB allocated for one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
