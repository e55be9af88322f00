"""Going through a whole data set before it is trained on: what is damaged, what is in two splits, how classes stand."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from misnet.datasets.base import DataError, Dataset, MissingPackage
from misnet.datasets.prepared import decoding
from misnet.datasets.prepared.decoding import Request, finite_sample, loaded
from misnet.datasets.prepared.workers import run_tasks
from misnet.datasets.registry import REGISTRY, data_splits, existing_dir
from snncore.files import sha256_of
from snncore.parallel import Comm

__all__ = ["Report", "check", "check_samples", "hash_files"]

CHUNK = 64  # samples, or files, a task
ODD_LENGTH = 8  # times as long, or as short, as the median is worth a word
IMBALANCE = 10  # a class with this many times the samples of another is worth a word


@dataclass(frozen=True)
class Sample:
    """What is kept of a sample: its files, its group, a hash of each stream (None: nothing varies), remarks."""

    index: int
    files: tuple[str, ...]
    group: str | None
    hashes: dict[str, bytes | None] = field(default_factory=dict)
    fault: str | None = None
    seconds: float | None = None  # of the sound or the recording, where the data set says it
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"sample {self.index}" + (f" ({', '.join(self.files)})" if self.files else "")


@dataclass
class Report:
    """What was found. `problems` make training or its figures wrong; `warnings` are for a person to judge."""

    name: str
    class_names: tuple[str, ...] = ()
    counts: dict[str, list[int]] = field(default_factory=dict)  # split -> samples of each class
    faults: list[str] = field(default_factory=list)  # missing and damaged files, each by name
    duplicates: list[str] = field(default_factory=list)  # what is in two splits
    remarks: list[str] = field(default_factory=list)  # samples that a person should look at
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # of the data sets: how pairs were made, what was passed over

    @property
    def problems(self) -> int:
        """How many things are wrong."""
        return len(self.faults) + len(self.duplicates)


def check(
    request: Request,
    *,
    jobs: int = 1,
    stop: Callable[[], bool] = lambda: False,
    advance: Callable[[str, int, int], None] = lambda split, done, total: None,
    comm: Comm | None = None,
) -> Report:
    """Decode every sample of all splits of a data set and return what was found.

    Faults: samples that cannot be read or hold values that are not finite, and files that a data set cannot even be
    made with; all of them. Duplicates: files with the same content in two splits, whatever their names, and decoded
    streams (sounds, frames) that are equal bit for bit. Remarks: silent sounds, opposite phases, images of one colour,
    and clips that are much longer or shorter than the others. Warnings: groups (speakers, actors, recordings) in two
    splits, classes without samples or with ten times those of another.

    jobs, stop, advance, comm: as of `prepare`, but stopping gives the report of what was seen. Raises ValueError as
    load_dataset does, MissingPackage, and DataError if there is no folder to look into.
    """
    if (needs := REGISTRY[request.name].needs) is not None:
        existing_dir(request.name, request.data_dir, needs)
    decoding.forget()
    report = Report(request.name)
    samples: dict[str, list[Sample]] = {}
    for split in data_splits(request.name):
        lenient = replace(request, on_bad_sample="error")
        try:
            dataset = loaded(lenient, split)
        except MissingPackage:
            raise
        except DataError as first:
            report.faults.append(str(first))
            # It reads files when it is made: make it without the bad ones, which it then names.
            lenient = replace(request, on_bad_sample="skip")
            try:
                dataset = loaded(lenient, split)
            except DataError as rest:
                report.faults += [*getattr(rest, "reasons", ()), str(rest)]
                continue
        report.class_names = dataset.class_names
        report.counts[split] = np.bincount(dataset.labels, minlength=len(dataset.class_names)).tolist()
        report.faults += _left_out(dataset)
        report.notes += [f"{split}: {note}" for note in dataset.notes]
        samples[split] = _all_samples(lenient, split, len(dataset), jobs, stop, advance, comm)
        report.faults += [s.fault for s in samples[split] if s.fault]
    decoding.forget()
    report.faults = list(dict.fromkeys(report.faults))  # a file of many samples is named once
    hashes = _hashes(samples, jobs, stop, comm)
    for one, other in itertools.combinations(samples, 2):
        pair = Pair(one, other, samples[one], samples[other])
        report.duplicates += [*_equal_files(pair, hashes), *_equal_content(pair)]
        report.warnings += _leaks(pair)
    report.warnings += _balance(report)
    report.remarks = list(dict.fromkeys(_remarks([s for found in samples.values() for s in found])))
    return report


def check_samples(request: Request, split: str, start: int, stop: int) -> list[Sample]:
    """Decode samples `start` to `stop` - 1 and return what is kept of them; a worker's task."""
    dataset = loaded(request, split)
    found = []
    for i in range(start, stop):
        files, group = tuple(map(str, dataset.files(i))), dataset.group(i)
        try:
            streams = finite_sample(dataset, i)
        except MissingPackage:
            raise
        except DataError as error:
            found.append(Sample(i, files, group, fault=str(error)))
        else:
            seconds, remarks = _looked_at(dataset, i, streams.get("visual"))
            hashes = {name: _hash(x) for name, x in streams.items()}
            found.append(Sample(i, files, group, hashes, None, seconds, remarks))
    return found


def _looked_at(dataset: Dataset, index: int, video: np.ndarray | None) -> tuple[float | None, tuple[str, ...]]:
    """Seconds of sound or recording, None where the data set does not say, and what in it a person should look at."""
    look = getattr(dataset, "remarks", None)
    if look is None:  # made of a seed, or of events
        return None, ()
    seconds, found = look(index)
    names = ", ".join(map(str, dataset.files(index))) or f"{dataset.name} {dataset.split} sample {index}"
    if video is not None and (video == video[:1, :1, :1]).all():
        found.append(f"{names}: pictures of one colour alone")
    return seconds, tuple(found)


def _remarks(samples: list[Sample]) -> Iterator[str]:
    """What was found in each sample, and sounds of a length unlike the others'."""
    lengths = [s.seconds for s in samples if s.seconds is not None]
    usual = float(np.median(lengths)) if lengths else 0.0
    for s in samples:
        yield from s.remarks
        if s.seconds is not None and not usual / ODD_LENGTH <= s.seconds <= usual * ODD_LENGTH:
            yield f"{', '.join(s.files)}: of unusual length: {s.seconds:.2f} s, half of all last {usual:.2f} s or less"


def hash_files(paths: list[str]) -> list[tuple[str, str | None]]:
    """Return each path with the SHA-256 of its content, None for one that cannot be read; a worker's task."""
    return [(path, _file_hash(path)) for path in paths]


def _file_hash(path: str) -> str | None:
    try:
        return sha256_of(path)
    except OSError:
        return None  # a fault of the sample, named there


def _hash(x: np.ndarray) -> bytes | None:
    """A hash of the content; None where nothing varies, as with silence, which samples may share."""
    return None if x.min() == x.max() else hashlib.sha256(np.ascontiguousarray(x)).digest()[:16]


def _left_out(dataset: Dataset) -> Iterator[str]:
    yield from dataset.skipped_reasons
    if unnamed := dataset.skipped - len(dataset.skipped_reasons):
        yield f"{dataset.name} {dataset.split}: {unnamed} samples cannot be read, which the data set does not name"


def _all_samples(
    request: Request,
    split: str,
    total: int,
    jobs: int,
    stop: Callable[[], bool],
    advance: Callable[[str, int, int], None],
    comm: Comm | None,
) -> list[Sample]:
    advance(split, 0, total)
    tasks = [(request, split, start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
    found: list[Sample] = []
    for part in run_tasks(check_samples, tasks, max(1, min(jobs, len(tasks))), stop, comm):
        found += part
        advance(split, len(found), total)
    return sorted(found, key=lambda s: s.index)


class Pair(NamedTuple):
    """Two splits, by name, and their samples."""

    one: str
    other: str
    samples: list[Sample]
    others: list[Sample]


def _hashes(
    samples: dict[str, list[Sample]], jobs: int, stop: Callable[[], bool], comm: Comm | None
) -> dict[str, str | None]:
    paths = sorted({path for found in samples.values() for s in found for path in s.files})
    tasks = [(paths[i : i + CHUNK],) for i in range(0, len(paths), CHUNK)]
    return dict(
        pair for part in run_tasks(hash_files, tasks, max(1, min(jobs, len(tasks))), stop, comm) for pair in part
    )


def _equal_files(pair: Pair, hashes: dict[str, str | None]) -> Iterator[str]:
    paths, others = (sorted({path for s in found for path in s.files}) for found in (pair.samples, pair.others))
    by_hash = {hashes[path]: path for path in reversed(paths) if hashes.get(path)}
    for path in others:
        twin = by_hash.get(hashes.get(path))
        if twin == path:
            yield f"{path}: the file is in both {pair.one} and {pair.other}"
        elif twin is not None:
            yield f"{path}: a {pair.other} file with the content of a {pair.one} file, {twin}"


def _equal_content(pair: Pair) -> Iterator[str]:
    for what in dict.fromkeys(name for s in pair.samples for name in s.hashes):
        by_hash = {s.hashes.get(what): s for s in reversed(pair.samples)}
        for s in pair.others:
            if (own := s.hashes.get(what)) is not None and (twin := by_hash.get(own)) is not None:
                yield f"{pair.other} {s}: its {what} stream is that of a {pair.one} sample, {twin}"


def _leaks(pair: Pair) -> Iterator[str]:
    groups, others = ({s.group for s in found if s.group is not None} for found in (pair.samples, pair.others))
    if both := sorted(groups & others):
        seen = sum(s.group in groups for s in pair.others)
        yield (
            f"{len(both)} of {len(others)} groups (speakers, actors, recordings) of the {pair.other} split are also in "
            f"{pair.one}, in {seen} of {len(pair.others)} {pair.other} samples: {shortened(both)}"
        )


def _balance(report: Report) -> Iterator[str]:
    for split, counts in report.counts.items():
        empty = [name for name, n in zip(report.class_names, counts, strict=True) if not n]
        if empty:
            yield f"no {split} sample of {shortened(empty)}"
        least, most = min((n for n in counts if n), default=0), max(counts, default=0)
        if least and most >= IMBALANCE * least:
            yield f"the largest class of the {split} split has {most} samples, the smallest {least}"


def shortened(names: Iterable[str], most: int = 20) -> str:
    """Return the names with commas, and how many more there are beyond `most`."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
