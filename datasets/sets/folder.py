"""`folder`: videos, or sounds and images, of your own, in a folder for each class."""

import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import first_folder, has_files, one_form, printable, sorted_files, sorted_folders
from misnet.datasets.media.audio import AUDIO_SUFFIXES
from misnet.datasets.media.images import IMAGE_SUFFIXES
from misnet.datasets.media.sources import Sound, Video
from misnet.datasets.media.video import VIDEO_SUFFIXES
from misnet.datasets.sets.media import Sample
from misnet.datasets.sets.pairing import NAMED, Item, PairedDataset, draw_splits, images_by_class, sounds_by_class

__all__ = ["FolderDataset"]

NEEDS = """\
train/<class>/*.mp4 with test/<class>/*.mp4 (or val/; also .flv, .mpg, .avi, .mkv, .mov, .webm): videos, with the
    sound in them, or beside each in a sound file of the same name; or
train/audio/<class>/*.wav and train/vision/<class>/*.jpg with test/audio/ and test/vision/: sounds and images (or
    folders of frames), or both in one folder, train/<class>/*.wav with train/<class>/*.jpg; all also without train
    and test, which are then drawn with the seed"""

SPLITS = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}
IMAGE_FOLDERS = ("vision", "images", "image", "visual")


class FolderDataset(PairedDataset):
    """Clips whose folder is their class: videos, or sounds paired with images.

    Classes are the folders' names, sorted; those of the test split must be among those of the training split.
    Videos: T key frames and the sound around each. Sounds and images: those with the same names but for the ending are
    pairs, if at least half of a split have such a namesake, and those without are left out; otherwise each sound gets
    an image of its class, drawn with the seed. `notes` say which, and what was left out or passed over.
    Without folders for the splits, `test_part` of each class is drawn for testing with the seed (ignored with them).

    Options of all clips: see `View` (`window` is its `seconds`, by default 1 for aligned spectrograms and 4 for whole
    ones), and `MediaDataset` for on_bad_sample.
    Raises DataError for files that are missing or damaged; ValueError for an option out of range.
    """

    name = "folder"

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 64,
        seed: int = 0,
        test_part: float = 0.2,
        spectrogram: str = "aligned",
        window: float | None = None,
        key_frames: str = "even",
        fit: str = "crop",
        on_bad_sample: str = "error",
    ):
        super().__init__(split, data_dir, on_bad_sample, timesteps, size, seed, spectrogram, window, key_frames, fit)
        if isinstance(test_part, bool) or not isinstance(test_part, int | float) or not 0 < test_part < 1:
            raise ValueError(f"test_part: expected a part between 0 and 1, found {test_part!r}")
        places = {name: first_folder(self.data_dir, folders) for name, folders in SPLITS.items()}
        if (places["train"] is None) != (places["test"] is None):
            there, absent = ("train", "test") if places["test"] is None else ("test", "train")
            raise DataError(f"{data_dir}: found {there} but none of {', '.join(SPLITS[absent])}; expected\n{NEEDS}")
        roots = {name: place or self.data_dir for name, place in places.items()}
        self.class_names = class_names(roots["train"], roots["test"])
        known = None if places[split] is None else split == "test"
        paired = paired_folders(roots[split])
        passed: list[Path] = []
        if paired is not None:
            sounds = [replace(item, test=known) for item in sounds_by_class(paired[0], self._label, passed)]
            images = images_by_class(paired[1], self._label if paired[0] != paired[1] else self._label_or_none, passed)
            images = [replace(item, test=known) for item in images if item.label >= 0]
            if paired[0] == paired[1]:  # what is no sound may be an image
                passed = [path for path in passed if is_other(path)]
            self._note_passed(passed)
            self._take_pairs(sounds, images, each_image=False, test_part=test_part)
        else:
            clips = [replace(item, test=known) for item in self._videos(roots[split], passed)]
            self._note_passed(passed)
            clips = [clip for clip in draw_splits(clips, test_part, seed, self.name) if clip.test == (split == "test")]
            self._take([Sample(clip.label, *clip.source, clip.key) for clip in clips])
        self.notes = (*self.notes, *self._odd_classes(roots))

    def _odd_classes(self, roots: dict[str, Path]) -> list[str]:
        """Sentences on what a person may not have meant: classes without samples, of one name, splits of one folder."""
        found = []
        if empty := [name for label, name in enumerate(self.class_names) if label not in self._labels]:
            found.append(f"no sample of {', '.join(empty)}")
        for one, other in combinations(self.class_names, 2):
            if one.casefold() == other.casefold():
                found.append(f"{one} and {other} are two classes, though they differ in capitals alone")
        if roots["train"] != roots["test"]:
            train, test = ({os.path.realpath(place) for place in _class_folders(root)} for root in roots.values())
            if same := sorted(train & test):
                found.append(
                    printable(f"{same[0]} is for training and for testing: the same files are trained and tested on")
                )
        return found

    def _label(self, name: str, folder: Path) -> int:
        return self.class_names.index(class_name(name))

    def _label_or_none(self, name: str, folder: Path) -> int:
        """The label, or -1: where sounds and images lie together, a folder of pictures alone is no class."""
        return self.class_names.index(class_name(name)) if class_name(name) in self.class_names else -1

    def _videos(self, folder: Path, passed: list[Path]) -> list[Item]:
        """The videos, each with its sound: a file of the same name if there is one."""
        items = []
        for place in sorted_folders(folder):
            found = sorted_files(place, AUDIO_SUFFIXES | VIDEO_SUFFIXES, passed)
            videos = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES]
            sounds = {one_form(path.stem): path for path in found if path.suffix.lower() in AUDIO_SUFFIXES}
            if not videos:  # no class; what is in it is only passed over
                passed += sounds.values()
            for path in videos:
                source = (Sound(sounds.get(one_form(path.stem), path)), Video(path))
                items.append(Item(source, self._label(place.name, folder), f"{place.name}/{path.name}"))
            if odd := sorted(sounds.keys() - {one_form(path.stem) for path in videos}) if videos else []:
                named = ", ".join(sounds[stem].name for stem in odd[:NAMED])
                self.notes = (
                    *self.notes,
                    printable(f"{place}: {len(odd)} sounds have no video of their name: {named}"),
                )
        return items


def paired_folders(root: Path) -> tuple[Path, Path] | None:
    """Return the folders of sounds and of images in `root`, twice `root` if its classes hold both; else None."""
    images = first_folder(root, IMAGE_FOLDERS)
    if images is not None and (root / "audio").is_dir():
        return root / "audio", images
    places = sorted_folders(root)
    if any(has_files(place, VIDEO_SUFFIXES) for place in places):
        return None
    return (root, root) if any(map(holds_both, places)) else None


def holds_both(place: Path) -> bool:
    """Whether a folder holds sounds and, beside them, images or folders of frames."""
    return has_files(place, AUDIO_SUFFIXES) and (
        has_files(place, IMAGE_SUFFIXES) or any(has_files(clip, IMAGE_SUFFIXES) for clip in sorted_folders(place))
    )


def is_other(path: Path) -> bool:
    """Whether a path is neither a sound nor an image by its ending."""
    return path.suffix.lower() not in AUDIO_SUFFIXES | IMAGE_SUFFIXES or not path.is_file()


def class_names(train: Path, test: Path) -> tuple[str, ...]:
    """Return the names of the class folders for training, sorted.

    Raises DataError if there are fewer than two, and if those for testing have others among them.
    """
    names, others = ({class_name(place.name) for place in _class_folders(root)} for root in (train, test))
    if len(names) < 2:
        found = f"{len(names)} folders of classes{''.join(f' ({name})' for name in names)}"
        raise DataError(f"{train}: found {found}, expected two or more{_what_is_there(train)}; it needs\n{NEEDS}")
    paired = paired_folders(train)
    splits = sorted(names & {*SPLITS["train"], *SPLITS["test"]})
    if paired is not None and (inside := [name for name in splits if not has_files(paired[0] / name, AUDIO_SUFFIXES)]):
        raise DataError(
            f"{train}: found {', '.join(inside)} where classes are expected; a split is above audio and vision, "
            f"{inside[-1]}/audio/<class>; it needs\n{NEEDS}"
        )
    if extra := sorted(others - names):
        raise DataError(f"{test / extra[0]}: found a class that {train} has not; expected {', '.join(sorted(names))}")
    return tuple(sorted(names))


def class_name(name: str) -> str:
    """Return a folder's name as a class is called: in one Unicode form, in letters that can be printed, unpadded."""
    return printable(one_form(name)).strip()


def _what_is_there(root: Path) -> str:
    """Words on half a data set: sounds without images, or images without sounds."""
    audio, images = (root / "audio").is_dir(), first_folder(root, IMAGE_FOLDERS)
    if audio and images is None:
        return f"; there is audio and, beside it, none of {', '.join(IMAGE_FOLDERS)}"
    if images is not None and not audio:
        return f"; there is {images.name} and, beside it, no audio"
    for kind, suffixes in (("sounds", AUDIO_SUFFIXES), ("images", IMAGE_SUFFIXES)):
        if alone := [place.name for place in sorted_folders(root) if has_files(place, suffixes)]:
            return f"; {printable(alone[0])} holds {kind} alone" if len(alone) > 1 else ""
    return ""


def _class_folders(root: Path) -> list[Path]:
    """The folders in `root` that hold what a class has: other folders, of runs for instance, are none."""
    paired = paired_folders(root)
    if paired is None:
        return [place for place in sorted_folders(root) if has_files(place, VIDEO_SUFFIXES)]
    if paired[0] == paired[1]:
        return [place for place in sorted_folders(root) if has_files(place, AUDIO_SUFFIXES)]
    sounds, images = map(sorted_folders, paired)
    heard = [place for place in sounds if has_files(place, AUDIO_SUFFIXES)]
    return heard + [place for place in images if has_files(place, IMAGE_SUFFIXES) or sorted_folders(place)]
