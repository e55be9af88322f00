"""`crema-d`: acted sentences in six emotions, of the Crowd-sourced Emotional Multimodal Actors Dataset."""

import contextlib
import csv
import re
from collections.abc import Sequence
from pathlib import Path

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import first_folder, read_lines, sorted_files, sorted_folders
from misnet.datasets.media.audio import AUDIO_SUFFIXES
from misnet.datasets.media.images import IMAGE_SUFFIXES
from misnet.datasets.media.sources import FrameFolder, Sound, Video, Vision
from misnet.datasets.media.video import VIDEO_SUFFIXES
from misnet.datasets.sets.media import MediaDataset, Sample
from snncore.rng import named_rng

__all__ = ["CremaD"]

NEEDS = """\
VideoFlash/*.flv: the clips (or .mp4 and other videos; or frames, Image-01-FPS/<clip>/*.jpg or ImageFrames/<clip>/*.jpg)
AudioWAV/*.wav: their sound (or AudioMP3/*.mp3; a clip that has neither takes the sound in its video)
    both from https://github.com/CheyneyComputerScience/CREMA-D with Git LFS
train.csv, test.csv: rows such as 1001_DFA_ANG_XX,ANG (also in split/, or train_cre.txt and test_cre.txt)
    6,698 and 744 rows, in https://github.com/GeWu-Lab/OGM-GE_CVPR2022 in data/CREMAD; not needed with split_by=actor"""

CLASSES = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
CODES = tuple(CLASSES)
CLIP_NAME = re.compile(r"(?P<actor>[0-9]{4})_[A-Z]{3}_(?P<emotion>[A-Z]{3})_[A-Z]{1,2}")
ROOTS = (".", "CREMA-D", "CREMAD", "crema-d")
VIDEO_FOLDERS = ("VideoFlash", "VideoMP4", "Video", "videos")
FRAME_FOLDERS = ("Image-01-FPS", "ImageFrames")
AUDIO_FOLDERS = ("AudioWAV", "AudioMP3", "Audio")
SPLIT_FILES = ("{}.csv", "split/{}.csv", "{}_cre.txt", "data/CREMAD/{}.csv")
EXPECTED_ROWS = "rows of a clip and its emotion, such as 1001_DFA_ANG_XX,ANG"
TEST_PART = 0.1  # of the actors


class CremaD(MediaDataset):
    """An actor who says a sentence in one of six emotions: T key frames and the sound around each.

    data_dir: as `NEEDS` lays out. The emotion is that in the clip's name; the csv must say the same.
    split_by: "csv" takes the clips that the files of the split list, of which 744 for testing as in the paper; all 91
    actors are in both splits. "actor" takes all clips on disk and puts one in ten actors, drawn with the seed, into the
    test split. `test_actors` names them instead: "1001,1002".
    group: the actor.

    Options of all clips: see `View` (`window` is its `seconds`, by default 1 for aligned spectrograms and 3 for whole
    ones), and `MediaDataset` for on_bad_sample, which also leaves out clips that are listed and not on disk.
    Raises DataError for files that are missing, damaged or contradictory; ValueError for an option out of range.
    Source: Cao et al., "CREMA-D", IEEE Transactions on Affective Computing, 2014.
    """

    name = "crema-d"
    class_names = tuple(CLASSES.values())
    whole_seconds = 3.0

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 96,
        seed: int = 0,
        split_by: str = "csv",
        test_actors: str | int | Sequence[str | int] | None = None,
        spectrogram: str = "aligned",
        window: float | None = None,
        key_frames: str = "even",
        fit: str = "crop",
        on_bad_sample: str = "error",
    ):
        super().__init__(split, data_dir, on_bad_sample, timesteps, size, seed, spectrogram, window, key_frames, fit)
        if split_by not in ("csv", "actor"):
            raise ValueError(f"split_by: expected 'csv' or 'actor', found {split_by!r}")
        if test_actors is not None and split_by != "actor":
            raise ValueError(f"test_actors: expected none with split_by={split_by!r}, found {test_actors!r}")
        self._visions = self._find_visions()
        self._sounds = self._find_sounds()
        names = self._listed() if split_by == "csv" else self._by_actor(test_actors)
        samples = [sample for name in names if (sample := self._sample(name)) is not None]
        del self._visions, self._sounds
        self._take(samples)

    def _find_visions(self) -> dict[str, Vision]:
        """What is seen of each clip: videos if there are any, else frames."""
        roots = [self.data_dir / root for root in ROOTS]
        for folder in (root / place for root in roots for place in VIDEO_FOLDERS):
            passed: list[Path] = []
            if found := {path.stem: Video(path) for path in sorted_files(folder, VIDEO_SUFFIXES, passed)}:
                self._note_passed(passed)
                return dict(found)
        for folder in (root / place for root in roots for place in FRAME_FOLDERS):
            if folder.is_dir():
                clips = {clip.name: tuple(sorted_files(clip, IMAGE_SUFFIXES)) for clip in sorted_folders(folder)}
                return {name: FrameFolder(frames) for name, frames in clips.items() if frames}
        raise DataError(
            f"{self.data_dir}: found no videos in {', '.join(VIDEO_FOLDERS)} nor frames in {', '.join(FRAME_FOLDERS)}; "
            f"expected\n{NEEDS}"
        )

    def _find_sounds(self) -> dict[str, Sound]:
        """The sound of each clip: a file if there is one, else that in its video."""
        sounds = {name: Sound(vision.path) for name, vision in self._visions.items() if isinstance(vision, Video)}
        for root in ROOTS:
            folder = first_folder(self.data_dir / root, AUDIO_FOLDERS)
            if folder is not None:
                passed: list[Path] = []
                found = {path.stem: Sound(path) for path in sorted_files(folder, AUDIO_SUFFIXES, passed)}
                self._note_passed(passed)
                return sounds | found
        return sounds

    def _listed(self) -> list[str]:
        """The clips that the split's file lists."""
        path = next((place for place in self._split_files(self.split) if place.is_file()), None)
        if path is None:
            names = ", ".join(name.format(self.split) for name in SPLIT_FILES)
            raise DataError(
                f"{self.data_dir}: found none of {names}; expected the clips of the split, or split_by=actor"
            )
        names = read_split(path)
        other = "test" if self.split == "train" else "train"
        twin = next((place for place in self._split_files(other) if place.is_file()), None)
        if twin is not None and (both := sorted(set(names) & set(read_split(twin)))):
            raise DataError(f"{path}: found {len(both)} clips that {twin} lists, too, such as {both[0]}; expected none")
        return names

    def _split_files(self, split: str) -> list[Path]:
        return [self.data_dir / root / name.format(split) for root in ROOTS for name in SPLIT_FILES]

    def _by_actor(self, test_actors: str | int | Sequence[str | int] | None) -> list[str]:
        """The clips on disk whose actors belong to the split."""
        names = sorted(name for name in self._visions if CLIP_NAME.fullmatch(name))
        if not names:
            odd = next(iter(self._visions))
            raise DataError(f"{self.data_dir}: found {odd}, expected clips named like 1001_DFA_ANG_XX")
        actors = sorted({name[:4] for name in names})
        if test_actors is None:
            if len(actors) < 2:
                raise DataError(
                    f"{self.data_dir}: found clips of one actor, {actors[0]}; expected two to split by actor"
                )
            count = max(1, round(TEST_PART * len(actors)))
            tests = {actors[i] for i in named_rng(self.seed, self.name, "actors").permutation(len(actors))[:count]}
        else:
            given = str(test_actors).split(",") if isinstance(test_actors, str | int) else test_actors
            tests = {str(actor).strip() for actor in given}
            if unknown := sorted(tests - set(actors)):
                raise ValueError(f"test_actors: found {', '.join(unknown)}, of whom {self.data_dir} has no clip")
        return [name for name in names if (name[:4] in tests) == (self.split == "test")]

    def _sample(self, name: str) -> Sample | None:
        match = CLIP_NAME.fullmatch(name)
        assert match is not None  # names were checked when they were read
        sound, vision = self._sounds.get(name), self._visions.get(name)
        if sound is None or vision is None:
            what = "video or frames" if vision is None else "sound"
            self._bad(DataError(f"{self.data_dir}: found no {what} of clip {name}, which the {self.split} split lists"))
            return None
        return Sample(CODES.index(match["emotion"]), sound, vision, name, match["actor"])


def read_split(path: Path) -> list[str]:
    """Return the names of the clips in a csv file (`1001_DFA_ANG_XX,ANG`) or a list (`1001_DFA_ANG_XX.flv Anger`).

    Fields may be quoted.

    Raises DataError for a row that is neither, for an emotion that contradicts the name, and for a clip listed twice.
    """
    names: dict[str, None] = {}
    for number, line in enumerate(read_lines(path, EXPECTED_ROWS), start=1):
        if '"' in line:
            with contextlib.suppress(csv.Error):  # what is no row is named below
                line = ",".join(next(csv.reader([line.strip()], strict=True)))
        name, _, emotion = line.strip().replace(",", " ").partition(" ")
        name = name.partition(".")[0]
        match = CLIP_NAME.fullmatch(name)
        if match is None or match["emotion"] not in CLASSES:
            raise DataError(f"{path}: found {line[:60]!r} in row {number}, expected {EXPECTED_ROWS}")
        if emotion.strip().upper()[:3] != match["emotion"]:  # Anger, Disgust, ... begin like their codes
            raise DataError(
                f"{path}: found {line[:60]!r} in row {number}, whose emotion is not that of the clip's name"
            )
        if name in names:
            raise DataError(f"{path}: found {name} a second time in row {number}, expected each clip once")
        names[name] = None
    return list(names)
