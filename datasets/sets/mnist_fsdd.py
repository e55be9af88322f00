"""`mnist-fsdd`: handwritten digits of MNIST paired with spoken digits of the Free Spoken Digit Dataset."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from misnet.datasets.base import AudioVisualDataset, DataError, content_hash
from misnet.datasets.formats.idx import find_idx, read_idx
from misnet.datasets.media.audio import normalise_level, read_audio, resample
from misnet.datasets.media.images import resize_bilinear
from misnet.datasets.media.spectrogram import log_mel, mel_spectrogram, standardise
from misnet.datasets.sets.partners import pair_by_label
from snncore.rng import named_rng

__all__ = ["MnistFsdd"]

NEEDS = """\
mnist/train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz:
    MNIST's four files, gzip-compressed or not, from https://yann.lecun.com/exdb/mnist or any mirror of it
    (torchvision's MNIST/raw is found too, and names with .idx3 or .idx1 for -idx3 and -idx1)
fsdd/recordings/{digit}_{speaker}_{index}.wav:
    the recordings folder of https://github.com/Jakobovski/free-spoken-digit-dataset"""

IDX_FOLDERS = ("mnist", "mnist/raw", "MNIST", "MNIST/raw", "raw", ".")
WAV_FOLDERS = ("fsdd/recordings", "free-spoken-digit-dataset/recordings", "recordings", "fsdd")
WAV_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)\.wav", re.IGNORECASE)
TEST_INDICES = range(5)  # upstream's split: recordings 0 to 4 of each speaker and digit are for testing

SAMPLE_RATE = 8000  # Hz, that of the recordings
CLIP = 4800  # samples (0.6 s): what sounds in a recording lasts 0.37 s in the median, 0.58 s in one of twenty
SOUNDING_DB = 30.0  # what is quieter than the loudest moment by more than this is taken for silence
MOMENT = 80  # samples (10 ms) over which loudness is taken
BAND = (60.0, 4000.0)  # Hz
RANGE_DB = (
    50.0  # a spectrogram reaches this far below its maximum; 30 to 60 do about as well on held-out training clips
)
IMAGE_MEAN, IMAGE_STD = 0.1307, 0.3081  # of MNIST's 60,000 training images scaled to [0, 1]


class MnistFsdd(AudioVisualDataset):
    """An image of a digit from MNIST and a recording of the same digit, both the same in every timestep.

    Each image of the split is one sample; its recording is drawn with the seed from those of the same digit in the same
    split, so that no image and no recording is in two splits. The same image and spectrogram in all timesteps is the
    paper's way with audio-image sets (Fig. 5, right).

    Image: scaled to [0, 1], resized to `size` x `size` by Pillow's bilinear filter unless it has that size, then
    (x - 0.1307) / 0.3081. Recording: mono at 8 kHz, the 0.6 s around the middle of what sounds (within 30 dB of its
    loudest 10 ms), with zeros beyond its ends, at an RMS of 0.1 (loudness differs ten-fold between speakers); power in
    `size` mel bands from 60 to 4000 Hz and `size` frames, in decibels down to 50 below the maximum, standardised to
    mean 0 and variance 1 by itself.

    data_dir: holds MNIST's idx files and the recordings, as `NEEDS` lays out. `fsdd_split`: "index" (upstream's: 0 to 4
    test, the others train) or "speaker" (`test_speakers` test, by default the alphabetically last; the others train).
    MNIST's own files are its splits. on_bad_sample: "error", or "skip" to leave out recordings that cannot be read or
    whose name does not say what they are, and count them in `skipped`.
    Raises DataError for missing, damaged or contradictory files, and if a digit of the split has no recording;
    ValueError for an option that is not among those above.
    Source: LeCun et al. 1998; Jackson et al., Free Spoken Digit Dataset.
    """

    name = "mnist-fsdd"
    class_names = tuple("0123456789")
    visual_channels = 1

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 16,
        seed: int = 0,
        fsdd_split: str = "index",
        test_speakers: str | Sequence[str] | None = None,
        on_bad_sample: str = "error",
    ):
        if timesteps < 1:
            raise ValueError(f"timesteps: expected at least 1, found {timesteps}")
        if not 8 <= size <= 128:
            raise ValueError(f"size: expected 8 to 128 for mnist-fsdd, found {size}")
        if fsdd_split not in ("index", "speaker"):
            raise ValueError(f"fsdd_split: expected 'index' or 'speaker', found {fsdd_split!r}")
        if test_speakers is not None and fsdd_split != "speaker":
            raise ValueError(f"test_speakers: expected none with fsdd_split={fsdd_split!r}, found {test_speakers!r}")
        if on_bad_sample not in ("error", "skip"):
            raise ValueError(f"on_bad_sample: expected 'error' or 'skip', found {on_bad_sample!r}")
        self.split, self.timesteps, self.size, self.seed = split, timesteps, size, seed
        self.fsdd_split, self.skip = fsdd_split, on_bad_sample == "skip"
        data_dir = Path(data_dir)
        self._images, self._labels, idx_files = _read_images(data_dir, split)
        recordings = self._split_recordings(*self._find_recordings(data_dir), test_speakers)
        self.recordings, self.recording_labels, self._spectrograms = self._read_recordings(recordings)
        self.pairing = self._pair()
        self._files = (*idx_files, *self.recordings)

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
        index = self.checked(index)
        image = self._images[index].astype(np.float32) / 255
        if image.shape != (self.size, self.size):
            image = resize_bilinear(image, self.size)
        video = (image - IMAGE_MEAN) / IMAGE_STD
        audio = self._spectrograms[self.pairing[index]]
        return self._repeat(audio), self._repeat(video), int(self._labels[index])

    def files(self, index: int) -> tuple[Path, ...]:
        """The recording of the sample; the image is in an idx file with all others."""
        return (self.recordings[self.pairing[self.checked(index)]],)

    def group(self, index: int) -> str | None:
        """The speaker of the recording."""
        return self.files(index)[0].stem.split("_")[1]

    def fingerprint(self) -> str:
        """SHA-256 over settings and pairing, and over name, size and content of every file of the split.

        The files are read again for it: 25 MB in all for the full sets.
        """
        settings = {key: getattr(self, key) for key in ("name", "split", "timesteps", "size", "seed")}
        return content_hash(settings, self._files, (self.pairing,))

    def _repeat(self, frame: np.ndarray) -> np.ndarray:
        return np.repeat(frame[None, :, :, None], self.timesteps, axis=0)

    def _find_recordings(self, data_dir: Path) -> tuple[list[Path], list[re.Match]]:
        """The recordings of all splits, sorted by name, and their names taken apart."""
        folders = [data_dir / folder for folder in WAV_FOLDERS]
        for folder in folders:
            found = sorted(p for p in folder.glob("*") if p.suffix.lower() == ".wav" and not p.name.startswith("."))
            if found:
                break
        else:
            raise DataError(f"no .wav file in {', '.join(map(str, folders))}; expected recordings of spoken digits")
        names = [WAV_NAME.fullmatch(path.name) for path in found]
        bad = [path for path, name in zip(found, names, strict=True) if name is None]
        if bad and not self.skip:
            raise DataError(f"{bad[0]}: expected a name like {{digit}}_{{speaker}}_{{index}}.wav, as 7_jackson_32.wav")
        self._skip(*(f"{path}: the name does not say digit, speaker and index" for path in bad))
        good = [(path, name) for path, name in zip(found, names, strict=True) if name is not None]
        return [path for path, _ in good], [name for _, name in good]

    def _split_recordings(
        self, paths: list[Path], names: list[re.Match], test_speakers: str | Sequence[str] | None
    ) -> list[tuple[Path, int]]:
        """The recordings of this split, each with its digit."""
        if self.fsdd_split == "index":
            is_test = [int(name["index"]) in TEST_INDICES for name in names]
        else:
            speakers = sorted({name["speaker"] for name in names})
            if test_speakers is None:
                test_speakers = speakers[-1:]
            elif isinstance(test_speakers, str):
                test_speakers = test_speakers.split(",")
            unknown = sorted(set(test_speakers) - set(speakers))
            if unknown:
                raise ValueError(f"test_speakers: expected some of {', '.join(speakers)}, found {', '.join(unknown)}")
            is_test = [name["speaker"] in test_speakers for name in names]
        wanted = self.split == "test"
        return [(p, int(m["digit"])) for p, m, test in zip(paths, names, is_test, strict=True) if test == wanted]

    def _read_recordings(self, recordings: list[tuple[Path, int]]) -> tuple[list[Path], np.ndarray, np.ndarray]:
        """Paths, digits (int64 [m]) and spectrograms (float32 [m, size, size]) of all that can be read."""
        paths, labels, clips = [], [], []
        for path, label in recordings:
            try:
                samples, rate = read_audio(path)
            except DataError as error:
                if not self.skip:
                    raise
                self._skip(str(error))
                continue
            paths.append(path)
            labels.append(label)
            clips.append(sounding_clip(resample(samples, rate, SAMPLE_RATE)))
        clips = np.array(clips, dtype=np.float32).reshape(-1, CLIP)
        return paths, np.array(labels, dtype=np.int64), spectrogram(clips, self.size)

    def _skip(self, *reasons: str) -> None:
        self.skipped += len(reasons)
        self.skipped_reasons = (*self.skipped_reasons, *reasons)

    def _pair(self) -> np.ndarray:
        """For each image the index of a recording of its digit, int64 [n]."""
        rng = named_rng(self.seed, self.name, self.split, "pairing")
        try:
            return pair_by_label(self._labels, self.recording_labels, rng)
        except LookupError as error:
            raise DataError(
                f"label {error} has images but no recording in the {self.split} split "
                f"(fsdd_split={self.fsdd_split!r}); expected at least one"
            ) from None


def sounding_clip(x: np.ndarray) -> np.ndarray:
    """Return the CLIP samples around the middle of what sounds in a recording, at an RMS of 0.1.

    x: float32 [n] at SAMPLE_RATE. Returns float32 [CLIP], zero where the recording has ended. The part that sounds goes
    from the first to the last moment (MOMENT samples) whose power is within SOUNDING_DB of the greatest.
    """
    power = np.add.reduceat(np.square(x, dtype=np.float64), np.arange(0, len(x), MOMENT))
    sounding = np.flatnonzero(power >= power.max() * 10 ** (-SOUNDING_DB / 10))
    start = (sounding[0] + sounding[-1] + 1) * MOMENT // 2 - CLIP // 2
    clip = np.zeros(CLIP, dtype=np.float32)
    first, last = max(0, start), min(len(x), start + CLIP)
    clip[first - start : last - start] = x[first:last]
    return normalise_level(clip)


def spectrogram(clips: np.ndarray, size: int) -> np.ndarray:
    """Return `size` mel bands by `size` frames of each clip, in decibels, standardised clip by clip.

    clips: float32 [m, CLIP] at SAMPLE_RATE. Returns float32 [m, size, size].
    """
    n_fft = 512 if size <= 64 else 1024  # narrow bands need a fine transform
    hop = (CLIP - n_fft) // (size - 1)
    out = np.empty((len(clips), size, size), dtype=np.float32)
    for i in range(0, len(clips), 100):  # 100 clips at a time bound the memory
        power = mel_spectrogram(clips[i : i + 100], SAMPLE_RATE, n_fft, hop, size, *BAND, center=False)
        out[i : i + 100] = standardise(log_mel(power[..., :size], top_db=RANGE_DB))
    return out


def _read_images(data_dir: Path, split: str) -> tuple[np.ndarray, np.ndarray, tuple[Path, Path]]:
    folders = [data_dir / folder for folder in IDX_FOLDERS]
    stem = {"train": "train", "test": "t10k"}[split]
    images_path = find_idx(folders, f"{stem}-images-idx3-ubyte")
    labels_path = find_idx([images_path.parent], f"{stem}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(f"{labels_path}: found {len(labels)} labels, expected {len(images)} as images in {images_path}")
    if not images.size:
        raise DataError(f"{images_path}: found no pixels (dimensions {images.shape}), expected at least one image")
    if labels.max() > 9:
        raise DataError(f"{labels_path}: found label {labels.max()}, expected 0 to 9")
    labels.setflags(write=False)
    return images, labels, (images_path, labels_path)
