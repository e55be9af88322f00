"""The end of preparing: everything is read back from the disk, compared with what was written, and hashed."""

import hashlib
from pathlib import Path

from misnet.datasets.base import DataError
from misnet.datasets.prepared.cache import array_header
from misnet.datasets.prepared.manifest import LABELS, Chunk, Manifest
from snncore.files import sha256_of_rest
from snncore.parallel import Comm
from snncore.sharing import in_turn

__all__ = ["seal"]


def seal(folder: Path, manifest: Manifest, comm: Comm) -> None:
    """Compare every file with what the workers wrote, note its SHA-256, and say in the manifest that all is complete.

    The files are dealt to the ranks, all of which call this; the first writes. Chunks that are not on disk as written
    are taken out of the manifest, to be decoded again, and DataError is raised.
    """
    tasks = [(split, array) for split, record in manifest.splits.items() for array in record.arrays]
    mine = (_read_back(folder, manifest, *task) for task in tasks[comm.rank :: comm.size])
    bad: dict[str, set[int]] = {split: set() for split in manifest.splits}
    for (split, array), (sha256, wrong) in zip(tasks, in_turn(comm, len(tasks), mine), strict=True):
        manifest.splits[split].files[array] = sha256
        bad[split] |= wrong
    manifest.complete = not any(bad.values())
    for split, record in manifest.splits.items():
        record.chunks = [chunk for chunk in record.chunks if chunk.start not in bad[split]]
        if not manifest.complete:
            record.files = {}
    if comm.rank == 0:
        manifest.write(folder)
    if not manifest.complete:
        lost = " and ".join(f"{len(starts)} chunks of the {split} split" for split, starts in bad.items() if starts)
        raise DataError(f"{folder}: {lost} are not on disk as written; run the command again")


def _read_back(folder: Path, manifest: Manifest, split: str, array: str) -> tuple[str, set[int]]:
    """The SHA-256 of a file, and the first samples of the chunks of it that are not as written."""
    record, path = manifest.splits[split], manifest.path(folder, split, array)
    header = array_header(manifest.shape(split, array), array)

    def is_wrong(chunk: Chunk) -> bool:
        file.seek(len(header) + chunk.start * row)
        return hashlib.sha256(file.read((chunk.stop - chunk.start) * row)).hexdigest() != chunk.hashes.get(array)

    with open(path, "rb") as file:
        sha256 = sha256_of_rest(file)
        row = (path.stat().st_size - len(header)) // max(1, record.samples)
        return sha256, set() if array == LABELS else {chunk.start for chunk in record.chunks if is_wrong(chunk)}
