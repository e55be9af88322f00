"""`ave`: ten-second videos with an audio-visual event of one of 28 classes."""

from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import first_folder, sorted_files, sorted_folders
from misnet.datasets.media.audio import AUDIO_SUFFIXES
from misnet.datasets.media.images import IMAGE_SUFFIXES
from misnet.datasets.media.sources import FrameFolder, Sound, Video, Vision
from misnet.datasets.media.tracks import picture_track
from misnet.datasets.media.video import VIDEO_SUFFIXES
from misnet.datasets.sets.ave_annotations import CLASSES, SECONDS, Event, read_annotations, read_order
from misnet.datasets.sets.media import MediaDataset, Sample

__all__ = ["Ave"]

NEEDS = """\
AVE/*.mp4: the videos, named by their ids (also AVE_Dataset/AVE, or DIR itself; or frames AVE_vision/<id>/*.jpg
    with sound AVE_audio/<id>.wav), from https://github.com/YapengTian/AVE-ECCV18
trainSet.txt, valSet.txt, testSet.txt: lines Category&VideoID&Quality&Start&End; or instead of them
Annotations.txt with train_order.h5, val_order.h5, test_order.h5 (in DIR, data/ or AVE_Dataset/; needs h5py)"""

ROOTS = (".", "AVE_Dataset", "data", "ave")
UNCUT = 1.5  # times the length of a clip; a longer video was not cut
VIDEO_FOLDERS = ("AVE", "videos", "video", ".")


class Ave(MediaDataset):
    """A video with an audio-visual event: T key frames and the sound around each.

    Splits are the official ones: train, val and test of 3,339, 402 and 402 events. A video may have several events, and
    18 videos are in train and in val (10) or test (8), too: `shared="drop"` leaves their events out of train.
    segment: "clip" takes the whole video, "event" the seconds in which the event is both heard and seen; an event of no
    length (there is one) is then left out, which is not counted in `skipped`.
    Files of the split are taken from trainSet.txt and its like if there are any; these have 3,338 events for training,
    without that of no length. Otherwise from Annotations.txt by the line numbers in train_order.h5 and its like.
    group: the video's id.

    Options of all clips: see `View` (`window` is its `seconds`, by default 1 for aligned spectrograms and 10 for whole
    ones), and `MediaDataset` for on_bad_sample, which also leaves out videos that are listed and not on disk.
    Raises DataError for files that are missing, damaged or contradictory; ValueError for an option out of range.
    Source: Tian et al., "Audio-visual event localization in unconstrained videos", ECCV 2018.
    """

    name = "ave"
    class_names = CLASSES
    clip_seconds = SECONDS
    whole_seconds = SECONDS

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 96,
        seed: int = 0,
        segment: str = "clip",
        shared: str = "keep",
        spectrogram: str = "aligned",
        window: float | None = None,
        key_frames: str = "even",
        fit: str = "crop",
        on_bad_sample: str = "error",
    ):
        super().__init__(split, data_dir, on_bad_sample, timesteps, size, seed, spectrogram, window, key_frames, fit)
        if segment not in ("clip", "event"):
            raise ValueError(f"segment: expected 'clip' or 'event', found {segment!r}")
        if shared not in ("keep", "drop"):
            raise ValueError(f"shared: expected 'keep' or 'drop', found {shared!r}")
        events = self._events(split)
        if shared == "drop" and split == "train":
            others = {event.video for other in ("val", "test") for event in self._events(other)}
            events = [event for event in events if event.video not in others]
        if segment == "event":
            events = [event for event in events if event.stop > event.start]
        media = self._find_media()
        self._take([s for event in events if (s := self._sample(event, media, segment)) is not None])

    def _decode(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        vision = sample.vision
        if isinstance(vision, Video) and vision.stop is not None:
            seconds = picture_track(vision.path).seconds
            if seconds > UNCUT * SECONDS:  # then the annotation's seconds are those of another part
                raise DataError(
                    f"{vision.path}: found {seconds:.1f} s, expected the {SECONDS:g} s that AVE's clips last"
                )
        return super()._decode(sample)

    def _events(self, split: str) -> list[Event]:
        """The events of a split, in the order of its file."""
        roots = [self.data_dir / root for root in ROOTS]
        for root in roots:
            if (path := root / f"{split}Set.txt").is_file():
                return read_annotations(path)
        for root in roots:
            if (path := root / "Annotations.txt").is_file() and (order := root / f"{split}_order.h5").is_file():
                events = read_annotations(path)
                return [events[i] for i in read_order(order, len(events))]
        raise DataError(
            f"{self.data_dir}: found no {split}Set.txt, nor Annotations.txt with {split}_order.h5; expected\n{NEEDS}"
        )

    def _find_media(self) -> dict[str, tuple[Vision, Sound]]:
        """For each id of a video what is seen and heard."""
        roots = [self.data_dir / root for root in ROOTS]
        for folder in (root / place for root in roots for place in VIDEO_FOLDERS):
            passed: list[Path] = []
            if found := sorted_files(folder, VIDEO_SUFFIXES, passed):
                if folder.name in VIDEO_FOLDERS[:-1]:  # beside videos, the data's folder holds tables as well
                    self._note_passed(passed)
                return {path.stem: (Video(path), Sound(path)) for path in found}
        for root in roots:
            frames, sounds = first_folder(root, ["AVE_vision"]), first_folder(root, ["AVE_audio"])
            if frames and sounds:
                passed = []
                heard = {path.stem: Sound(path) for path in sorted_files(sounds, AUDIO_SUFFIXES, passed)}
                seen = {clip.name: tuple(sorted_files(clip, IMAGE_SUFFIXES, passed)) for clip in sorted_folders(frames)}
                self._note_passed(passed)
                return {k: (FrameFolder(paths), heard[k]) for k, paths in seen.items() if paths and k in heard}
        raise DataError(f"{self.data_dir}: found no videos, nor AVE_vision with AVE_audio; expected\n{NEEDS}")

    def _sample(self, event: Event, media: dict[str, tuple[Vision, Sound]], segment: str) -> Sample | None:
        if event.video not in media:
            what = f"video {event.video} (nor its frames and sound), which the {self.split} split lists"
            self._bad(DataError(f"{self.data_dir}: found no {what}"))
            return None
        vision, sound = media[event.video]
        if segment == "event":
            sound = Sound(sound.path, event.start, event.stop)
            if isinstance(vision, FrameFolder):
                vision = FrameFolder(vision.paths, event.start / SECONDS, event.stop / SECONDS)
            else:
                vision = Video(sound.path, event.start, event.stop)
        key = f"{event.video} {event.start:g}-{event.stop:g} {CLASSES[event.label]}"
        return Sample(event.label, sound, vision, key, event.video)
