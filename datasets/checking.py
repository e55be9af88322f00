"""Going through a whole data set before it is trained on: what is damaged, what is in two splits, how classes stand."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datasets import decoding
from datasets.base import AudioVisualDataset, DataError
from datasets.decoding import Request, finite_sample, loaded
from datasets.registry import SPLITS
from datasets.workers import run_tasks

__all__ = ["Report", "check", "check_samples", "hash_files"]

CHUNK = 64  # samples, or files, a task
IMBALANCE = 10  # a class with this many times the samples of another is worth a word


@dataclass(frozen=True)
class Sample:
    """What is kept of a sample: its files, its group, hashes of sound and frames (None where nothing varies)."""

    index: int
    files: tuple[str, ...]
    group: str | None
    audio: bytes | None = None
    video: bytes | None = None
    fault: str | None = None

    def __str__(self) -> str:
        return f"sample {self.index}" + (f" ({', '.join(self.files)})" if self.files else "")


@dataclass
class Report:
    """What was found. `problems` make training or its figures wrong; `warnings` are for a person to judge."""

    name: str
    class_names: tuple[str, ...] = ()
    counts: dict[str, list[int]] = field(default_factory=dict)  # split -> samples of each class
    faults: list[str] = field(default_factory=list)  # missing and corrupt files, each by name
    duplicates: list[str] = field(default_factory=list)  # what is in both splits
    warnings: list[str] = field(default_factory=list)

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
) -> Report:
    """Decode every sample of both splits of a data set and return what was found.

    Faults: samples that cannot be read or hold values that are not finite, and files that a data set cannot even be
    made with; all of them. Duplicates: files with the same content in both splits, whatever their names, and decoded
    sounds or frames that are equal bit for bit. Warnings: groups (speakers, actors, recordings) in both splits,
    classes without samples or with ten times those of another.

    jobs, stop, advance: as of `prepare`, but stopping gives the report of what was seen. Raises ValueError as
    load_dataset does.
    """
    decoding.forget()
    report = Report(request.name)
    samples: dict[str, list[Sample]] = {}
    request = Request(**{**vars(request), "on_bad_sample": "skip"})
    for split in SPLITS:
        try:
            dataset = loaded(request, split)
        except DataError as error:
            report.faults.append(str(error))
            continue
        report.class_names = dataset.class_names
        report.counts[split] = np.bincount(dataset.labels, minlength=len(dataset.class_names)).tolist()
        report.faults += _left_out(dataset)
        samples[split] = list(_all_samples(request, split, len(dataset), jobs, stop, advance))
        report.faults += [s.fault for s in samples[split] if s.fault]
    decoding.forget()
    report.faults = list(dict.fromkeys(report.faults))  # a file of many samples is named once
    if len(samples) == len(SPLITS):
        report.duplicates = [*_equal_files(samples, jobs, stop), *_equal_content(samples)]
        report.warnings += _leaks(samples)
    report.warnings += _balance(report)
    return report


def check_samples(request: Request, split: str, start: int, stop: int) -> list[Sample]:
    """Decode samples `start` to `stop` - 1 and return what is kept of them; a worker's task."""
    dataset = loaded(request, split)
    found = []
    for i in range(start, stop):
        files, group = tuple(map(str, dataset.files(i))), dataset.group(i)
        try:
            audio, video, _ = finite_sample(dataset, i)
        except DataError as error:
            found.append(Sample(i, files, group, fault=str(error)))
        else:
            found.append(Sample(i, files, group, _hash(audio), _hash(video)))
    return found


def hash_files(paths: list[str]) -> list[tuple[str, str | None]]:
    """Return each path with the SHA-256 of its content, None for one that cannot be read; a worker's task."""
    return [(path, _file_hash(path)) for path in paths]


def _file_hash(path: str) -> str | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None  # a fault of the sample, named there


def _hash(x: np.ndarray) -> bytes | None:
    """A hash of the content; None where nothing varies, as with silence, which samples may share."""
    return None if x.min() == x.max() else hashlib.sha256(np.ascontiguousarray(x)).digest()[:16]


def _left_out(dataset: AudioVisualDataset) -> Iterator[str]:
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
) -> list[Sample]:
    advance(split, 0, total)
    tasks = [(request, split, start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
    found: list[Sample] = []
    for part in run_tasks(check_samples, tasks, max(1, min(jobs, len(tasks))), stop):
        found += part
        advance(split, len(found), total)
    return sorted(found, key=lambda s: s.index)


def _equal_files(samples: dict[str, list[Sample]], jobs: int, stop: Callable[[], bool]) -> Iterator[str]:
    paths = {split: sorted({path for s in found for path in s.files}) for split, found in samples.items()}
    every = sorted({path for found in paths.values() for path in found})
    tasks = [(every[i : i + CHUNK],) for i in range(0, len(every), CHUNK)]
    hashes = dict(pair for part in run_tasks(hash_files, tasks, max(1, min(jobs, len(tasks))), stop) for pair in part)
    train = {hashes[path]: path for path in reversed(paths["train"]) if hashes.get(path)}
    for path in paths["test"]:
        if (other := train.get(hashes.get(path))) is not None:
            same = "is in both splits" if other == path else f"(test) has the content of {other} (train)"
            yield f"{path} {same}"


def _equal_content(samples: dict[str, list[Sample]]) -> Iterator[str]:
    for what in ("audio", "video"):
        train = {getattr(s, what): s for s in reversed(samples["train"]) if getattr(s, what)}
        for s in samples["test"]:
            if (other := train.get(getattr(s, what))) is not None:
                yield f"test {s} and training {other} have the same {what}"


def _leaks(samples: dict[str, list[Sample]]) -> Iterator[str]:
    train, test = ({s.group for s in samples[split] if s.group is not None} for split in SPLITS)
    both = sorted(train & test)
    if both:
        seen = sum(s.group in train for s in samples["test"])
        yield (
            f"{len(both)} of {len(test)} groups (speakers, actors, recordings) of the test split are also trained on, "
            f"in {seen} of {len(samples['test'])} test samples: {shortened(both)}"
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
