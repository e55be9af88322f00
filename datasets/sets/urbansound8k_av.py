"""`urbansound8k-av`: the recordings of UrbanSound8K with images of their classes."""

import csv
import re
from dataclasses import replace
from pathlib import Path

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import first_folder, read_lines, reason
from misnet.datasets.media.sources import Sound
from misnet.datasets.sets.pairing import Item, PairedDataset, images_by_class, sounds_by_class

__all__ = ["UrbanSound8kAv"]

NEEDS = """\
audio/fold1 to fold10/*.wav with metadata/UrbanSound8K.csv: UrbanSound8K as it is unpacked (also in UrbanSound8K/),
    from https://urbansounddataset.weebly.com; or audio/<class>/*.wav
vision/<class>/*.jpg (also images/<class>): images, <class> being air_conditioner, car_horn, children_playing,
    dog_bark, drilling, engine_idling, gun_shot, jackhammer, siren, street_music"""

CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
ROOTS = (".", "UrbanSound8K", "urbansound8k", "UrbanSound8K-AV")
IMAGE_FOLDERS = ("vision", "images", "image")
METADATA = ("metadata/UrbanSound8K.csv", "UrbanSound8K.csv")
WAV_NAME = re.compile(r"(?P<freesound>[0-9]+)-(?P<label>[0-9])-[0-9]+-[0-9]+")
COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")
EXPECTED = f"a csv table with the columns {', '.join(COLUMNS)}"
TEST_PART = 0.3  # without folds; the share that the authors of the set use
FOLDS = range(1, 11)


class UrbanSound8kAv(PairedDataset):
    """A recording of a city with an image of its class, the same image in every timestep.

    Every recording is a sample. With the metadata, those of fold `test_fold` are for testing (by default 10). Folds
    keep the slices of one original recording together, but for five originals (106905, 132016, 176638, 180937, 77751)
    with sounds of two classes in two folds, none of which is fold 10. Without metadata, three in ten originals of a
    class, by the Freesound id in the file name, are drawn with the seed; other names count as originals.
    Sounds and images whose names are the same but for the ending, all of them, are pairs. Otherwise images are put into
    the splits with the seed, in the proportion of the sounds, and each recording gets one of its class and split, so
    that all are used about as often.
    group: the Freesound id.

    Options of all clips: see `View` (`window` is its `seconds`, by default 4 for whole spectrograms, as long as a
    recording can be, and 1 for aligned ones), and `MediaDataset` for on_bad_sample, which also leaves out recordings
    that the metadata list and that are not on disk.
    Raises DataError for files that are missing, damaged or contradictory; ValueError for an option out of range.
    Source: Salamon, Jacoby and Bello, "A dataset and taxonomy for urban sound research", ACM Multimedia 2014; the
    pairing with images: Guo et al., "Transformer-based spiking neural networks for multimodal audio-visual
    classification", IEEE TCDS 2024.
    """

    name = "urbansound8k-av"
    class_names = CLASSES

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 32,
        seed: int = 0,
        test_fold: int = 10,
        spectrogram: str = "whole",
        window: float | None = None,
        key_frames: str = "even",
        fit: str = "crop",
        on_bad_sample: str = "error",
    ):
        super().__init__(split, data_dir, on_bad_sample, timesteps, size, seed, spectrogram, window, key_frames, fit)
        if isinstance(test_fold, bool) or test_fold not in FOLDS:
            raise ValueError(f"test_fold: expected 1 to 10, found {test_fold!r}")
        sounds = self._find_sounds(test_fold)
        self._take_pairs(sounds, self._find_images(), each_image=False, test_part=TEST_PART)

    def _find_images(self) -> list[Item]:
        for root in ROOTS:
            folder = first_folder(self.data_dir / root, IMAGE_FOLDERS)
            passed: list[Path] = []
            if folder is not None and (found := images_by_class(folder, label_of, passed)):
                self._note_passed(passed)
                return found
        raise DataError(f"{self.data_dir}: found no images in {', '.join(IMAGE_FOLDERS)}; expected\n{NEEDS}")

    def _find_sounds(self, test_fold: int) -> list[Item]:
        roots = [self.data_dir / root for root in ROOTS]
        metadata = next((root / name for root in roots for name in METADATA if (root / name).is_file()), None)
        rows = {} if metadata is None else read_metadata(metadata)
        for folder in (root / "audio" for root in roots):
            if any((folder / f"fold{k}").is_dir() for k in FOLDS):
                if metadata is None:
                    raise DataError(f"{folder}: found folds but no metadata/UrbanSound8K.csv; expected it beside them")
                return self._in_folds(folder, rows, test_fold)
            passed: list[Path] = []
            if found := sounds_by_class(folder, label_of, passed):
                self._note_passed(passed)
                return [_known(item, rows, test_fold) for item in found]
        raise DataError(f"{self.data_dir}: found no sounds in audio; expected\n{NEEDS}")

    def _in_folds(self, folder: Path, rows: dict[str, tuple[str, int, int]], test_fold: int) -> list[Item]:
        items = []
        for name, (freesound, fold, label) in rows.items():
            path = folder / f"fold{fold}" / name
            if not path.is_file():
                if (fold == test_fold) == (self.split == "test"):
                    self._bad(DataError(f"{path}: no such file; expected the recording that the metadata list"))
                continue
            items.append(Item(Sound(path), label, f"fold{fold}/{name}", freesound, fold == test_fold))
        return items


def label_of(name: str, folder: Path) -> int:
    """Return the label of a class as a folder is called: Dog bark, dog-bark and dog_bark are one; raises DataError."""
    plain = re.sub(r"[\s\-]+", "_", name.strip().lower())
    if plain not in CLASSES:
        raise DataError(f"{folder / name}: expected a folder named as one of {', '.join(CLASSES)}")
    return CLASSES.index(plain)


def read_metadata(path: Path) -> dict[str, tuple[str, int, int]]:
    """Return (Freesound id, fold, label) for each file name in the csv table; raises DataError for a wrong row."""
    rows = csv.DictReader(read_lines(path, EXPECTED))
    try:
        found = list(rows)
    except csv.Error as error:
        raise DataError(f"{path}: {reason(error)} in line {rows.line_num}; expected {EXPECTED}") from None
    if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
        raise DataError(f"{path}: found no column {missing[0]}, expected {EXPECTED}")
    table: dict[str, tuple[str, int, int]] = {}
    for number, row in enumerate(found, start=2):
        name, freesound, fold, label, class_name = (row[column] or "" for column in COLUMNS)
        good = fold in map(str, FOLDS) and label.isdigit() and int(label) < 10 and class_name == CLASSES[int(label)]
        if not good or WAV_NAME.fullmatch(Path(name).stem) is None or name != Path(name).name or name in table:
            raise DataError(f"{path}: row {number} ({name[:40]!r}) does not hold together, expected {EXPECTED}")
        table[name] = (freesound, int(fold), int(label))
    return table


def _known(item: Item, rows: dict[str, tuple[str, int, int]], test_fold: int) -> Item:
    """The item with its Freesound id and, where the metadata have it, its split."""
    name = Path(item.key).name
    match = WAV_NAME.fullmatch(Path(name).stem)
    freesound, fold, _ = rows.get(name, (match["freesound"] if match else None, None, None))
    return replace(item, group=freesound, test=None if fold is None else fold == test_fold)
