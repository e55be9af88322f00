"""The images of CIFAR-10 as people have them: Python batches, archives and folders."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.archives import ARCHIVE_SUFFIXES, read_archive
from misnet.datasets.formats.files import is_hidden, read_bytes, sorted_folders
from misnet.datasets.formats.pickles import load_plain_pickle
from misnet.datasets.media.images import IMAGE_SUFFIXES
from misnet.datasets.media.sources import Pixels, Still
from misnet.datasets.sets.pairing import Item, images_by_class

__all__ = ["CLASSES", "find_images", "read_batch"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ROOTS = (".", "cifar10", "CIFAR-10-images", "CIFAR10-AV", "cifar10-av")
BATCH_FOLDERS = ("cifar-10-batches-py", ".")
BATCH = re.compile(r"data_batch_[0-9]+|test_batch")
SPLIT = re.compile(r"(?<![a-z])(train|test|val)(?![a-z])")  # in the name of a folder or archive
IN_SPLIT = re.compile(r"(?:^|/)(train|test|val)/([^/]+)/[^/]+$")


def find_images(data_dir: Path) -> tuple[list[Item], list[Path]]:
    """Return the images of both splits, and the files that hold many of them.

    The first that is found in `data_dir` or a folder like cifar10/ in it: cifar-10-batches-py, archives of those or of
    image files, train/<class>/ with test/<class>/ or val/<class>/, and vision/<class>/, which says nothing of splits.
    Raises DataError if there is none, or for one that is damaged.
    """
    for root in (data_dir / place for place in ROOTS):
        for folder in (root / place for place in BATCH_FOLDERS):
            if batches := [p for p in sorted(folder.glob("*_batch*")) if BATCH.fullmatch(p.name)]:
                read = (read_batch(read_bytes(p, "a batch of CIFAR-10"), p) for p in batches)
                return [item for items in read for item in items], batches
        packed = [p for p in sorted(root.glob("*cifar*")) if p.name.endswith(ARCHIVE_SUFFIXES) and p.is_file()]
        archives = [p for p in packed if not is_hidden(p, root)]
        if items := [item for path in archives for item in read_images(path)]:
            return items, archives
        if items := [item for folder in sorted_folders(root) for item in _in_split(folder)]:
            return items, []
        if items := images_by_class(root / "vision", label_of):
            return items, []
    raise DataError(f"{data_dir}: found no images of CIFAR-10 in it, nor in {', '.join(ROOTS[1:])}")


def label_of(name: str, where: object) -> int:
    """Return the label of a class; raises DataError for a name that is none of the ten."""
    if name.lower() not in CLASSES:
        raise DataError(f"{where}: found a class {name!r}, expected {', '.join(CLASSES)}")
    return CLASSES.index(name.lower())


def read_batch(data: bytes, where: Path) -> list[Item]:
    """Return the images in a batch of CIFAR-10's Python version.

        data        uint8 [n, 3072], for each image 1024 red values, row by row, then green, then blue
        labels      n integers from 0 to 9

    The batch is for testing if its name says so. No code in the pickle is run.
    Raises DataError for a batch that is damaged or different. Source: A. Krizhevsky, CIFAR-10, python version.
    """
    batch = load_plain_pickle(data, where)
    batch = batch if isinstance(batch, dict) else {}
    fields: dict[str, Any] = {k.decode("latin1") if isinstance(k, bytes) else str(k): v for k, v in batch.items()}
    pixels, labels = fields.get("data"), fields.get("labels")
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.ndim != 2
        or pixels.shape[1] != 3072
        or not isinstance(labels, list)
    ):
        raise DataError(f"{where}: found no labels with data of 3072 bytes an image, expected a batch of CIFAR-10")
    if len(labels) != len(pixels):
        raise DataError(f"{where}: found {len(labels)} labels, expected {len(pixels)} as images")
    if bad := [label for label in labels if type(label) is not int or not 0 <= label < 10]:
        raise DataError(f"{where}: found label {str(bad[0])[:20]}, expected 0 to 9")
    images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    test = "test" in where.name
    return [
        Item(Pixels(image), label, f"{where.name}/{i}", test=test)
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def read_images(archive: Path) -> Iterator[Item]:
    """Go through the images in a tar archive: batches, or files whose folder is their class."""
    for name, content in read_archive(archive, lambda name: _is_image(name) or _is_batch(name)):
        if _is_batch(name):
            yield from read_batch(content, archive / PurePosixPath(name).name)
        else:
            inside = IN_SPLIT.search(name)
            split = _split_of(inside[1] if inside else archive.name)
            where = f"{archive}: {name}"
            yield Item(
                Still(archive / name, content), label_of(PurePosixPath(name).parent.name, where), name, test=split
            )


def _in_split(folder: Path) -> list[Item]:
    """The images of a folder train, test or val, or one called so, that holds a folder for each class."""
    test = _split_of(folder.name)
    if test is None:
        return []
    items = images_by_class(folder, label_of)
    return [Item(i.source, i.label, f"{folder.name}/{i.key}", test=test) for i in items]


def _split_of(name: str) -> bool | None:
    """Whether a name says test or val; None if it says neither that nor train."""
    found = SPLIT.search(name.lower())
    return None if found is None else found[1] != "train"


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and len(path.parts) > 1


def _is_batch(name: str) -> bool:
    return BATCH.fullmatch(PurePosixPath(name).name) is not None
