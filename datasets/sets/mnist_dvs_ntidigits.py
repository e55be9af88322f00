"""`mnist-dvs-ntidigits`: digits as an event camera sees them, with digits as a silicon cochlea hears them ("M&N")."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import AudioVisualDataset, DataError, MissingPackage, content_hash, file_stamps
from misnet.datasets.formats.ntidigits import CHANNELS, DIGITS, read_labels, read_spikes
from misnet.datasets.media.events import (
    SLICINGS,
    VALUES,
    Events,
    around,
    cochlea_maps,
    event_frames,
    event_values,
    first_events,
)
from misnet.datasets.media.images import resize_bilinear, resize_matrix
from misnet.datasets.sets.event_recordings import find_recordings, find_spoken, read_recording
from misnet.datasets.sets.partners import pair_by_label
from snncore.nearest import one_of
from snncore.rng import named_rng

__all__ = ["MnistDvsNtidigits"]

READING = 2  # raised when other values are read from the same files: 2 has bit 0 of MNIST-DVS as 1 for OFF
CHOICES = {
    "sensor": ("auto", "mnist-dvs", "n-mnist"),
    "scale": ("all", "04", "08", "16"),
    "slicing": SLICINGS,
    "values": VALUES,
    "on_bad_sample": ("error", "skip"),
}


class MnistDvsNtidigits(AudioVisualDataset):
    """Digits before an event camera (MNIST-DVS or N-MNIST), each with a digit spoken to a silicon cochlea (N-TIDIGITS).

    Each visual recording of the split is one sample; a spoken one is drawn for it, with the seed, from those of the
    same digit in the same split, so that no recording is in two splits. N-TIDIGITS and N-MNIST have splits of their
    own (the speakers of N-TIDIGITS' two are different people). MNIST-DVS has none: the numbers that are multiples of
    ten are for testing, at all scales, as one number is one handwritten digit.

    Video: events of each of T slices of the recording, counted per pixel, OFF and ON as two channels; brought to `size`
    by Pillow's bilinear filter. Audio: spikes of each of the 64 channels (rows, in the sensor's order, brought to
    `size`) in `size` slices of each timestep. `slicing`: "time" for slices of equal duration, "count" for slices of
    equally many events, in both. `values`: "log" for log(1 + count), standardised to mean 0 and variance 1 over the
    sample; "count" for counts as they are (averages where pixels were merged); "binary" for 1 where there was any.
    Counts that are whole come as unsigned integers, which a network accumulates.

    sensor: "mnist-dvs", "n-mnist", or "auto" for the one that is there. scale: of MNIST-DVS, "04", "08", "16" or "all".
    crop: cut MNIST-DVS to a square of 8 * scale pixels around the median of the events, as a digit of scale 04 fills a
    fifth of the sensor. polarity: keep OFF and ON apart. duration_ms: use the first part of a visual recording.
    oh: also use "oh" as a spoken zero. on_bad_sample: "error", or "skip" to read every recording at the start, leave
    out those that are damaged, and count them in `skipped`.
    Raises MissingPackage without h5py; DataError for files that are missing or damaged and for a digit without a spoken
    one; ValueError for options.
    Source: T. Serrano-Gotarredona and B. Linares-Barranco 2015; G. Orchard et al. 2015; J. Anumula et al. 2018; paired
    by Q. Liu et al. 2022.
    """

    name = "mnist-dvs-ntidigits"
    class_names = tuple("0123456789")

    def __init__(
        self,
        split: str,
        *,
        data_dir: str | Path,
        timesteps: int = 4,
        size: int = 32,
        seed: int = 0,
        sensor: str = "auto",
        scale: str = "all",
        crop: bool = True,
        slicing: str = "time",
        polarity: bool = True,
        values: str = "log",
        duration_ms: float | None = None,
        oh: bool = False,
        on_bad_sample: str = "error",
    ):
        scale = f"{scale:02}" if isinstance(scale, int) else scale
        options = {
            "sensor": sensor,
            "scale": scale,
            "crop": crop,
            "slicing": slicing,
            "polarity": polarity,
            "values": values,
            "duration_ms": duration_ms,
            "oh": oh,
            "on_bad_sample": on_bad_sample,
        }
        _check(options, timesteps, size)
        self.split, self.timesteps, self.size, self.seed = split, timesteps, size, seed
        self.visual_channels = 2 if polarity else 1
        self.options = options
        self.spoken_file = find_spoken(Path(data_dir))
        self.recordings = find_recordings(Path(data_dir), split, sensor, scale)
        names = [name for name in read_labels(self.spoken_file, split) if len(name.split("-")[-1]) == 1]
        digits = DIGITS | ({"o": 0} if oh else {})
        self.spoken = [name for name in names if name[-1] in digits]
        if on_bad_sample == "skip":
            self._leave_out_damaged()
        self.events = self._whole()
        self._labels = np.array([r.digit for r in self.recordings], dtype=np.int64)
        self._labels.setflags(write=False)
        spoken_labels = np.array([digits[name[-1]] for name in self.spoken], dtype=np.int64)
        try:
            self.pairing = pair_by_label(self._labels, spoken_labels, named_rng(seed, self.name, split, "pairing"))
        except LookupError as error:
            raise DataError(
                f"{self.spoken_file}: found no single digit {error} in the {split} split, expected at least one"
            ) from None

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
        index = self.checked(index)
        recording = self.recordings[index]
        t, channel = read_spikes(self.spoken_file, self.split, self.spoken[self.pairing[index]])
        video = self._frames(read_recording(recording), recording.scale)
        return self._map(t, channel), video, recording.digit

    def files(self, index: int) -> tuple[Path, ...]:
        """The visual recording of the sample; the spoken one is in one file with all others."""
        return (self.recordings[self.checked(index)].path,)

    def group(self, index: int) -> str | None:
        """The speaker, as N-TIDIGITS names them: gender and code."""
        return "-".join(self.spoken[self.pairing[self.checked(index)]].split("-")[:2])

    def fingerprint(self) -> str:
        """SHA-256 over settings and pairing, and over name, size and content of every file of the split."""
        return content_hash(self._settings(), self._files(), (self.pairing,))

    def stamp(self) -> str:
        """SHA-256 over what `fingerprint` covers, with size and times of each file in place of its content."""
        return content_hash(self._settings() | {"files": file_stamps(self._files())}, (), (self.pairing,))

    def _settings(self) -> dict[str, Any]:
        settings = {key: getattr(self, key) for key in ("name", "split", "timesteps", "size", "seed")} | self.options
        return settings | {"spoken": self.spoken, "reading": READING}

    def _files(self) -> tuple[Path, ...]:
        return (*(recording.path for recording in self.recordings), self.spoken_file)

    def _frames(self, events: Events, scale: int) -> np.ndarray:
        """[T, size, size, channels], float32, or unsigned integers where they are counts."""
        if self.options["duration_ms"] is not None:
            events = first_events(events, self.options["duration_ms"])
        if self.options["crop"] and scale:
            events = around(events, 8 * scale)
        counts = event_frames(events, self.timesteps, self.options["slicing"], self.options["polarity"])
        if counts.shape[1:3] != (self.size, self.size):
            # [T, H, W, C] -> [T, C, H, W] -> [T, C, size, size] -> [T, size, size, C]
            counts = resize_bilinear(counts.transpose(0, 3, 1, 2).astype(np.float32), self.size).transpose(0, 2, 3, 1)
        return event_values(counts, self.options["values"])

    def _map(self, t: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """[T, size, size, 1], float32, or unsigned integers where they are counts."""
        counts = cochlea_maps(t, channel, CHANNELS, self.timesteps, self.size, self.options["slicing"])
        if self.size != CHANNELS:
            counts = resize_matrix(CHANNELS, self.size) @ counts.astype(np.float32)  # rows; the columns are time
        return event_values(counts[..., None], self.options["values"])

    def _whole(self) -> tuple[str, ...]:
        """The streams that are counts of events in every sample: none that came to another size, unless binary."""
        if self.options["values"] == "log":
            return ()
        if self.options["values"] == "binary":
            return tuple(self.streams)
        sides = {(8 * r.scale if self.options["crop"] else 128) if r.scale else 34 for r in self.recordings}
        good = {"audio": self.size == CHANNELS, "visual": sides == {self.size}}
        return tuple(name for name in self.streams if good[name])

    def _leave_out_damaged(self) -> None:
        reasons: list[str] = []

        def readable(read: Callable, *arguments: object) -> bool:
            try:
                read(*arguments)
            except MissingPackage:
                raise
            except DataError as error:
                reasons.append(str(error))
                return False
            return True

        self.recordings = [r for r in self.recordings if readable(read_recording, r)]
        self.spoken = [name for name in self.spoken if readable(read_spikes, self.spoken_file, self.split, name)]
        self.skipped, self.skipped_reasons = len(reasons), tuple(reasons)
        if not self.recordings:
            raise DataError(f"all recordings of the {self.split} split are damaged; the first: {reasons[0]}")


def _check(options: dict, timesteps: int, size: int) -> None:
    for name, allowed in CHOICES.items():
        if options[name] not in allowed:
            raise ValueError(f"{name}: {one_of(options[name], allowed)}")
    for name in ("crop", "polarity", "oh"):
        if not isinstance(options[name], bool):
            raise ValueError(f"{name}: expected true or false, found {options[name]!r}")
    duration = options["duration_ms"]
    if duration is not None and not (isinstance(duration, int | float) and duration > 0):
        raise ValueError(f"duration_ms: expected a positive number of milliseconds, found {duration!r}")
    if timesteps < 1:
        raise ValueError(f"timesteps: expected at least 1, found {timesteps}")
    if not 8 <= size <= 128:
        raise ValueError(f"size: expected 8 to 128 for mnist-dvs-ntidigits, found {size}")
