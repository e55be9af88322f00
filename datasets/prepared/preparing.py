"""Decoding a whole data set once, in parallel processes, into the memory-mapped arrays of a cache.

The arrays are made at full size at once, and filled chunk by chunk. A worker decodes a chunk, writes it at its place
and waits until it is on disk; only then does the parent note it in the manifest, which it replaces in one step. So a
kill at any moment loses the chunks that were under way and nothing else, and what is noted is there.
"""

import errno
import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np

import snncore
from misnet.datasets.base import DataError
from misnet.datasets.prepared import decoding
from misnet.datasets.prepared.cache import as_json, mapped
from misnet.datasets.prepared.decoding import Request, decode_chunk, make_array, write_rows
from misnet.datasets.prepared.manifest import LABELS, MANIFEST, Manifest, SplitRecord, check_streams, is_cache
from misnet.datasets.prepared.sealing import seal
from misnet.datasets.prepared.workers import run_tasks
from misnet.datasets.registry import REGISTRY, data_options, data_splits
from snncore.parallel import Comm

__all__ = ["Interrupted", "prepare"]

CHUNK_BYTES = 16 << 20  # of a worker's memory, and at most this is lost to a kill
CHUNK_SAMPLES = 512
LIBRARIES = ("numpy", "scipy", "soundfile", "pillow", "av", "h5py")  # which decode, and so decide what is in a sample
LOCK = ".lock"


class Interrupted(Exception):
    """Preparing was asked to stop; what is finished is kept."""


def prepare(
    folder: str | Path,
    request: Request,
    *,
    jobs: int = 1,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[str, int, int], None] = lambda split, done, total: None,
    comm: Comm | None = None,
) -> Manifest:
    """Fill `folder` with a cache of all splits of a data set, going on where an earlier call was stopped.

    jobs: processes that decode; with 1 it is this one. stop: asked between chunks; True leaves with Interrupted.
    advance: called with split, samples done and samples in all, at the start and after each chunk.
    comm: ranks that share the chunks, all of which call this; the first writes the manifest, and the folder must be one
    that all see.
    Returns the finished manifest. Raises ValueError if the folder was prepared with other settings or versions;
    DataError for a sample that cannot be read (unless they are skipped), for data that changed meanwhile, a disk that
    is full, a worker that died, and another process at work in the folder. What was finished is kept in every case.
    """
    folder, comm = Path(folder), comm or Comm()
    if jobs < 1:
        raise ValueError(f"jobs: expected at least 1, found {jobs}")
    if request.data_dir is not None and is_cache(request.data_dir):
        raise ValueError(f"data_dir: {request.data_dir} is a prepared cache; expected the files of {request.name}")
    decoding.forget()  # files may have changed since an earlier call
    try:
        with _disk_full_is_a_data_error(folder):
            if comm.rank == 0:
                folder.mkdir(parents=True, exist_ok=True)
            with _only_here(folder) if comm.rank == 0 else nullcontext():
                manifest = _begun_by_first(folder, request, comm)
                for split in manifest.splits:
                    _fill(folder, manifest, split, request, jobs, stop, advance, comm)
                if not manifest.complete:
                    seal(folder, manifest, comm)
    finally:
        decoding.forget()
    return manifest


def _begun_by_first(folder: Path, request: Request, comm: Comm) -> Manifest:
    """The manifest to go on with, which rank 0 finds or makes; DataError, on every rank, where one has other data."""
    if comm.size == 1:
        return _begin(folder, request)
    here = None if comm.rank == 0 else {split: decoding.loaded(request, split) for split in data_splits(request.name)}
    found = _begin(folder, request) if comm.rank == 0 else None
    prints = None if here is None else {split: data.fingerprint() for split, data in here.items()}
    (manifest, _), *others = comm.exchange((found, prints))
    for rank, (_, of_rank) in enumerate(others, 1):
        for split, record in manifest.splits.items():
            if of_rank[split] != record.fingerprint:
                raise DataError(
                    f"rank {rank} has other files of the {split} split than rank 0; all ranks need the same"
                )
    for split, record in manifest.splits.items():
        for array in record.arrays:
            mapped(folder, manifest, split, array)  # a folder that this rank does not see is found here
    return manifest


def _begin(folder: Path, request: Request) -> Manifest:
    """The manifest to go on with: the folder's if it fits, or a new one, with arrays of the right size on disk."""
    splits = {split: decoding.loaded(request, split) for split in data_splits(request.name)}
    known = data_options(request.name)
    options = as_json({k: v for k, v in (known | request.options).items() if k != "on_bad_sample"})
    first = splits["train"]
    asked = REGISTRY[request.name].default_size if request.size is None else request.size
    size = getattr(first, "size", asked)  # a data set of other shapes may not keep it
    settings = {"timesteps": first.timesteps, "size": size, "seed": request.seed}
    settings["on_bad_sample"] = request.on_bad_sample
    manifest = Manifest(request.name, settings, options, _versions())
    for split, dataset in splits.items():
        check_streams(dataset.streams)
        unnamed = dataset.skipped - len(dataset.skipped_reasons)
        manifest.splits[split] = SplitRecord(
            samples=len(dataset),
            fingerprint=dataset.fingerprint(),
            class_names=list(dataset.class_names),
            streams={name: list(shape) for name, shape in dataset.streams.items()},
            events=list(dataset.events),
            left_out=[*dataset.skipped_reasons, *["left out by the data set, which does not say why"] * unnamed],
        )
    if is_cache(folder):
        return _earlier(folder, manifest)
    records = manifest.splits.items()
    ours = {manifest.path(folder, split, array).name for split, record in records for array in record.arrays} | {LOCK}
    others = [path.name for path in folder.iterdir() if path.name not in ours and path.suffix != ".tmp"]
    if others:
        raise ValueError(f"{folder}: holds {others[0]} and no {MANIFEST}; expected an empty folder or a cache")
    for split, dataset in splits.items():
        for array in manifest.splits[split].arrays:
            make_array(manifest.path(folder, split, array), manifest.shape(split, array), array)
        labels = np.asarray(dataset.labels, "<i8")
        write_rows(manifest.path(folder, split, LABELS), LABELS, 0, labels, len(labels))
    manifest.write(folder)
    return manifest


def _earlier(folder: Path, asked: Manifest) -> Manifest:
    found = Manifest.read(folder)
    was = {"dataset": found.dataset} | found.settings | found.options
    now = {"dataset": asked.dataset} | asked.settings | asked.options
    if not found.complete:  # a finished cache stays what it is when a library is updated
        was, now = was | found.versions, now | asked.versions
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            raise ValueError(
                f"{key}: {folder} was prepared with {was.get(key)!r}, found {now.get(key)!r}; ask for the same, or "
                "choose another folder"
            )
    for split, record in asked.splits.items():
        if found.splits[split].fingerprint != record.fingerprint:
            raise DataError(
                f"{folder}: the files of the {split} split are not those that it was prepared from; prepare them into "
                "another folder"
            )
        for array in found.splits[split].arrays:
            mapped(folder, found, split, array)  # of the right size
    return found


def _fill(
    folder: Path,
    manifest: Manifest,
    split: str,
    request: Request,
    jobs: int,
    stop: Callable[[], bool],
    advance: Callable[[str, int, int], None],
    comm: Comm,
) -> None:
    record = manifest.splits[split]
    advance(split, record.done(), record.samples)
    sample_bytes = sum(4 * int(np.prod(shape)) for shape in record.streams.values())
    length = max(1, min(CHUNK_SAMPLES, CHUNK_BYTES // sample_bytes))
    paths = {array: str(manifest.path(folder, split, array)) for array in record.streams}
    tasks = [(request, split, paths, start, end) for start, end in _missing(record, length)]
    for chunk in run_tasks(decode_chunk, tasks, max(1, min(jobs, len(tasks))), stop, comm):
        record.chunks = sorted([*record.chunks, chunk], key=lambda c: c.start)
        if comm.rank == 0:
            manifest.write(folder)
        advance(split, record.done(), record.samples)
    if record.done() < record.samples:
        raise Interrupted(f"{folder}: stopped after {record.done()} of {record.samples} {split} samples")


def _missing(record: SplitRecord, length: int) -> Iterator[tuple[int, int]]:
    """Ranges of samples in no chunk, none longer than `length`."""
    gap_start = 0
    for gap_end, following in [*((c.start, c.stop) for c in record.chunks), (record.samples, record.samples)]:
        for start in range(gap_start, gap_end, length):
            yield start, min(start + length, gap_end)
        gap_start = following


def _versions() -> dict[str, str]:
    versions = {"snncore": snncore.__version__, "python": ".".join(platform.python_version_tuple()[:2])}
    for library in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    return versions


@contextmanager
def _only_here(folder: Path) -> Iterator[None]:
    """Keep other processes from preparing into the folder; the system lets go of the lock when this one dies."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    with open(folder / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"{folder}: another process is preparing into this folder") from None
        yield


@contextmanager
def _disk_full_is_a_data_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"{folder}: no space left on the disk; what is finished is kept: make room, and run the same command again"
        ) from error
