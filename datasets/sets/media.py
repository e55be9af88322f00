"""The base of data sets of sound and video files: samples found by a scan, decoded when they are asked for."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from misnet.datasets.base import AudioVisualDataset, DataError, MissingPackage, content_hash, file_stamps
from misnet.datasets.formats.files import passed_over
from misnet.datasets.media.audio import trim_silence
from misnet.datasets.media.sources import Sound, Video, Vision
from misnet.datasets.media.tracks import picture_track, require_pyav
from misnet.datasets.media.views import View

__all__ = ["MediaDataset", "Sample"]

CACHE_BYTES = 64 << 20  # of spectrograms of sounds that many images share
DECODING = 3  # raised when the same files give other samples
LENGTHS = 2.0  # a sound this many times as long as its video, or as short, is worth a word
CLIP_SLACK = 0.5  # seconds by which clips may differ in length
Item = TypeVar("Item")


class NothingLeft(DataError):
    """No sample of a split can be used; `reasons` says of each why."""

    def __init__(self, message: str, reasons: tuple[str, ...] = ()):
        super().__init__(message)
        self.reasons = reasons


@dataclass(frozen=True)
class Sample:
    """A labelled clip: what is heard, what is seen, a key that tells it from all others, and who or what it shows."""

    label: int
    sound: Sound
    vision: Vision
    key: str
    group: str | None = None


class MediaDataset(AudioVisualDataset):
    """Samples that are decoded from sound and video or image files each time they are asked for.

    A subclass scans names and metadata, which is quick, and ends with `self._take(samples)`. Corrupt samples show when
    they are decoded: `on_bad_sample="error"` then raises DataError, while "skip" decodes everything once in the
    beginning, leaves out what cannot be, and counts it in `skipped`.

    Video: key frames, (x / 255 - mean) / std with the mean and deviation of ImageNet's photographs unless a subclass
    has its own. Audio: see `View.audio`; with still images, silence at the ends of a sound is cut off first.
    """

    visual_channels = 3
    image_mean: Sequence[float] = (0.485, 0.456, 0.406)
    image_std: Sequence[float] = (0.229, 0.224, 0.225)
    clip_seconds: float | None = None  # that each clip of the set lasts, where it is known
    aligned_seconds = 1.0
    whole_seconds = 4.0

    def __init__(
        self,
        split: str,
        data_dir: str | Path,
        on_bad_sample: str,
        timesteps: int,
        size: int,
        seed: int,
        spectrogram: str,
        window: float | None,
        key_frames: str,
        fit: str,
    ):
        if on_bad_sample not in ("error", "skip"):
            raise ValueError(f"on_bad_sample: expected 'error' or 'skip', found {on_bad_sample!r}")
        if window is None:
            window = self.aligned_seconds if spectrogram == "aligned" else self.whole_seconds
        self.view = View(timesteps, size, seed, spectrogram, window, key_frames, fit)
        self.split, self.timesteps, self.size, self.seed = split, timesteps, size, seed
        self.data_dir, self.skip = Path(data_dir), on_bad_sample == "skip"
        self.samples: list[Sample] = []
        self.containers: list[Path] = []  # files that hold many samples
        self._spectrograms: dict[Sound, np.ndarray] = {}

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
        sample = self.samples[self.checked(index)]
        return *self._decode(sample), sample.label

    def files(self, index: int) -> tuple[Path, ...]:
        sample = self.samples[self.checked(index)]
        return tuple(dict.fromkeys((sample.sound.path, *sample.vision.files(self.view.moments(sample.key)))))

    def group(self, index: int) -> str | None:
        return self.samples[self.checked(index)].group

    def remarks(self, index: int) -> tuple[float, list[str]]:
        """Return how long the sound of a sample lasts in seconds, and what in it a person should look at, in sentences.

        Silence, channels that cancel out, a sound and a video of very different length, and a clip that is not as long
        as the set's are. Raises DataError as the sample does.
        """
        sample = self.samples[self.checked(index)]
        seconds, found = sample.sound.remarks()
        seen = None
        if isinstance(sample.vision, Video):
            seen = picture_track(sample.vision.path).seconds
            heard = seconds if sample.sound.stop is None else None
            if heard is not None and not 1 / LENGTHS < heard / seen < LENGTHS:
                found.append(
                    f"{sample.vision.path}: another length than its sound: {seen:.2f} s, {heard:.2f} s of sound"
                )
        elif sample.sound.stop is None:
            seen = seconds
        if self.clip_seconds is not None and seen is not None and abs(seen - self.clip_seconds) > CLIP_SLACK:
            where = sample.vision.path if isinstance(sample.vision, Video) else sample.sound.path
            found.append(
                f"{where}: not as long as the clips of {self.name}: {seen:.2f} s, expected {self.clip_seconds:g}"
            )
        return seconds, found

    def fingerprint(self) -> str:
        """SHA-256 over settings, names and labels, and over the whole content of every file of the split."""
        return content_hash(self._settings(), self._files())

    def stamp(self) -> str:
        """SHA-256 over what `fingerprint` covers, with size and times of each file in place of its content."""
        return content_hash(self._settings() | {"files": file_stamps(self._files())})

    def _settings(self) -> dict:
        samples = [(sample.key, sample.label) for sample in self.samples]
        return {
            "name": self.name,
            "split": self.split,
            "view": asdict(self.view),
            "samples": samples,
            "decoding": DECODING,
        }

    def _files(self) -> tuple[Path, ...]:
        files = dict.fromkeys(path for index in range(len(self)) for path in self.files(index))
        return (*self.containers, *files)

    def _take(self, samples: list[Sample], *, readable: bool = False) -> None:
        """Take the samples of the split; `readable`: they were decoded already."""
        if any(isinstance(sample.vision, Video) or sample.sound.in_container for sample in samples):
            require_pyav()  # before a run begins
        if self.skip and not readable:
            samples = self._readable(samples, self._decode)
        if not samples:
            why = f" ({self.skipped} were left out)" if self.skipped else ""
            raise NothingLeft(
                f"{self.data_dir}: found no sample for the {self.split} split of {self.name}{why}", self.skipped_reasons
            )
        self.samples = samples
        self._labels = np.array([sample.label for sample in samples], dtype=np.int64)
        self._labels.setflags(write=False)

    def _bad(self, *errors: DataError) -> None:
        """Raise the first error, or count samples that are left out, and say why."""
        if not self.skip and errors:
            raise errors[0]
        self.skipped += len(errors)
        self.skipped_reasons = (*self.skipped_reasons, *map(str, errors))

    def _readable(self, items: Sequence[Item], read: Callable[[Item], object]) -> list[Item]:
        """Those of `items` that can be read; the others are left out. Decoders leave Python's lock, hence threads."""

        def fault(item: Item) -> DataError | None:
            try:
                read(item)
            except MissingPackage:
                raise
            except DataError as error:
                return error
            return None

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            faults = list(threads.map(fault, items))
        self._bad(*(error for error in faults if error is not None))
        return [item for item, error in zip(items, faults, strict=True) if error is None]

    def _note_passed(self, passed: Sequence[Path]) -> None:
        """Note the files that a scan passed over."""
        if (note := passed_over(passed, self.data_dir)) is not None and note not in self.notes:
            self.notes = (*self.notes, note)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.data_dir).as_posix()

    def _decode(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        moments = self.view.moments(sample.key)
        frames, duration = sample.vision.frames(moments)
        video = self.view.video(frames, self.image_mean, self.image_std)
        audio = self._spectrograms.get(sample.sound)
        if audio is None:
            samples, rate = sample.sound.read()
            if sample.vision.still:
                samples = trim_silence(samples)
            audio = self.view.audio(samples, rate, moments, duration)
            shared = sample.vision.still and (self.view.spectrogram == "whole" or self.view.key_frames == "even")
            if shared and (len(self._spectrograms) + 1) * audio.nbytes <= CACHE_BYTES:
                self._spectrograms[sample.sound] = audio
        return audio.copy(), video
