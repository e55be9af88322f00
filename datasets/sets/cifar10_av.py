"""`cifar10-av`: the photographs of CIFAR-10 with environmental sounds, class by class."""

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import read_lines, reason, sorted_files, sorted_folders
from misnet.datasets.media.audio import AUDIO_SUFFIXES
from misnet.datasets.media.sources import Sound
from misnet.datasets.sets.cifar10_images import CLASSES, find_images
from misnet.datasets.sets.pairing import Item, PairedDataset, sounds_by_class

__all__ = ["Cifar10Av"]

NEEDS = """\
cifar-10-batches-py/: CIFAR-10, python version, from https://www.cs.toronto.edu/~kriz/cifar.html, or the archive
    cifar-10-python.tar.gz as it is; or cifar10-*train*.tar.gz with *test* or *val*, or train/<class>/*.png with
    test/<class>/ or val/<class>/, or vision/<class>/*.png (each also in cifar10/)
esc10/001 - Dog bark/*.ogg to 010 - Fire crackling: ESC-10, from https://github.com/karolpiczak/ESC-10, commit 553c8f1;
    or ESC-50/audio/*.wav with ESC-50/meta/esc50.csv, from https://github.com/karolpiczak/ESC-50;
    or audio/<class>/*.wav with <class> as CIFAR-10 calls it"""

ROOTS = (".", "esc10", "ESC-10", "ESC-10-master", "ESC-50", "ESC-50-master", "esc50", "CIFAR10-AV", "cifar10-av")
ESC10_FOLDER = re.compile(r"0(?P<number>[0-9][0-9]) - .+")
ESC_NAME = re.compile(r"(?P<fold>[1-5])-(?P<freesound>[0-9]+)-[A-Z](-[0-9]+)?")
ESC10_IN_ESC50 = (  # in the order of ESC-10's folders
    "dog",
    "rain",
    "sea_waves",
    "crying_baby",
    "clock_tick",
    "sneezing",
    "helicopter",
    "chainsaw",
    "rooster",
    "crackling_fire",
)
EXPECTED = "the csv table of ESC-50, with columns filename, fold and category"
TEST_PART = 0.3  # where there are no folds and no splits; the share that the authors of the set use


class Cifar10Av(PairedDataset):
    """A photograph of one of ten classes with a sound that belongs to the class, the same in every timestep.

    Every image is a sample, and gets a sound of its class and split, drawn with the seed so that all are used about as
    often. Sounds in folders called as the classes belong to these; of ESC-10 or ESC-50, sound class k (in ESC-10's
    order: dog bark, rain, sea waves, ...) belongs to image class k, which is as arbitrary as any other choice.
    Images are for testing if they are CIFAR-10's test batch or called test or val. Of ESC the last fold there is, or
    `test_fold`, is for testing, which keeps the takes of one recording together. What says nothing of splits is split
    with the seed, three in ten for testing; vision/ and audio/ with the same names but for the ending are pairs.
    group: the Freesound id of the sound, if its name has one.

    Video: (x / 255 - mean) / std with the mean and deviation of CIFAR-10's training images.
    Options of all clips: see `View` (`window` is its `seconds`, by default 4 for whole spectrograms, as silence at the
    ends of ESC's five seconds is cut off, and 1 for aligned ones), and `MediaDataset` for on_bad_sample.
    Raises DataError for files that are missing, damaged or contradictory; ValueError for an option out of range.
    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009; K. Piczak, "ESC", ACM
    Multimedia 2015; the pairing: Guo et al., IEEE TCDS 2024, whose own choice of sounds this is not.
    """

    name = "cifar10-av"
    class_names = CLASSES
    image_mean = (0.4914, 0.4822, 0.4465)
    image_std = (0.2470, 0.2435, 0.2616)

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 32,
        seed: int = 0,
        test_fold: int | None = None,
        spectrogram: str = "whole",
        window: float | None = None,
        key_frames: str = "even",
        fit: str = "crop",
        on_bad_sample: str = "error",
    ):
        super().__init__(split, data_dir, on_bad_sample, timesteps, size, seed, spectrogram, window, key_frames, fit)
        if isinstance(test_fold, bool) or test_fold not in (None, 1, 2, 3, 4, 5):
            raise ValueError(f"test_fold: expected 1 to 5, or none for the last one, found {test_fold!r}")
        images, self.containers = find_images(self.data_dir)
        passed: list[Path] = []
        sounds = find_sounds(self.data_dir, test_fold, passed)
        self._note_passed(passed)
        if absent := sorted({image.label for image in images} - {sound.label for sound in sounds}):
            raise DataError(f"{data_dir}: found no sound for class {CLASSES[absent[0]]}; expected\n{NEEDS}")
        self._take_pairs(sounds, images, each_image=True, test_part=TEST_PART)


def find_sounds(data_dir: Path, test_fold: int | None, passed: list[Path] | None = None) -> list[Item]:
    """Return the sounds of ESC-10, ESC-50 or audio/<class>/, whichever is found first.

    passed: as of `sorted_files`.

    Raises DataError if there are none, and if none is of the fold that is asked for.
    """
    finders: tuple[Callable[[Path, list[Path] | None], list[Item]], ...] = (_esc10, _esc50, _by_class)
    for root in (data_dir / place for place in ROOTS):
        for find in finders:
            if items := find(root, passed):
                return _with_folds(items, test_fold, root)
    raise DataError(f"{data_dir}: found no sounds in it, nor in {', '.join(ROOTS[1:])}; expected\n{NEEDS}")


def _esc10(root: Path, passed: list[Path] | None) -> list[Item]:
    """Folders `NNN - Name` with files `{fold}-{Freesound id}-{take}.ogg`."""
    numbers = [(folder, ESC10_FOLDER.fullmatch(folder.name)) for folder in sorted_folders(root)]
    return [
        Item(Sound(path), int(match["number"]) - 1, f"{folder.name}/{path.name}")
        for folder, match in numbers
        if match and 1 <= int(match["number"]) <= 10
        for path in sorted_files(folder, AUDIO_SUFFIXES, passed)
    ]


def _esc50(root: Path, passed: list[Path] | None) -> list[Item]:
    """The ten classes of ESC-10 in the table of ESC-50."""
    table = root / "meta" / "esc50.csv"
    if not table.is_file():
        return []
    items = []
    rows = csv.DictReader(read_lines(table, EXPECTED))
    try:
        for row in rows:
            name, category = row.get("filename") or "", row.get("category") or ""
            match = ESC_NAME.fullmatch(Path(name).stem)
            if match is None or match["fold"] != row.get("fold") or name != Path(name).name:
                raise DataError(
                    f"{table}: row {rows.line_num} ({name[:40]!r}) does not hold together; expected {EXPECTED}"
                )
            if category in ESC10_IN_ESC50:
                items.append(Item(Sound(root / "audio" / name), ESC10_IN_ESC50.index(category), name))
    except csv.Error as error:
        raise DataError(f"{table}: {reason(error)} in line {rows.line_num}; expected {EXPECTED}") from None
    return items


def _by_class(root: Path, passed: list[Path] | None) -> list[Item]:
    """audio/<class>/ with the names of CIFAR-10's classes."""

    def label(name: str, folder: Path) -> int:
        if name.lower() not in CLASSES:
            raise DataError(f"{folder / name}: expected a folder named as one of {', '.join(CLASSES)}")
        return CLASSES.index(name.lower())

    return sounds_by_class(root / "audio", label, passed)


def _with_folds(items: list[Item], test_fold: int | None, root: Path) -> list[Item]:
    """The items with the Freesound id and the fold that are in the names of ESC's files."""
    names = [ESC_NAME.fullmatch(Path(item.key).stem) for item in items]
    if any(name is None for name in names):
        if test_fold is not None:
            raise DataError(
                f"{root}: found sounds whose names have no fold; expected names as 1-100032-A.ogg for test_fold"
            )
        return items
    folds = [int(name["fold"]) for name in names if name]
    last = max(folds) if test_fold is None else test_fold
    if last not in folds:
        raise DataError(f"{root}: found no sound of fold {last}, expected one of {sorted(set(folds))}")
    groups = [name["freesound"] for name in names if name]
    return [replace(i, group=g, test=fold == last) for i, g, fold in zip(items, groups, folds, strict=True)]
