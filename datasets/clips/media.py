"""Clips read as the sets of videos, sounds and images read theirs: folder, crema-d, ave and those of pairs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.clips.finding import Clip
from misnet.datasets.clips.reading import Reading
from misnet.datasets.media.sources import FrameFolder, Pixels, Sound, Still, Video, Vision
from misnet.datasets.media.tracks import opened
from misnet.datasets.sets.crema_d import CremaD
from misnet.datasets.sets.media import MediaDataset, Sample

__all__ = ["media_streams"]


def media_streams(kind: type[MediaDataset], clip: Clip, reading: Reading) -> dict[str, np.ndarray]:
    """Return audio and visual, float32 [T, H, W, C], of what is heard and seen of a clip.

    Where the network takes one of them alone and the clip has no other, it is read as beside a still image, or beside
    silence. Raises DataError as the set does.
    """
    sound: Sound | _Silence = _Silence() if clip.heard is None else reading.sound(clip)
    if clip.seen_as == "video" and clip.heard == clip.seen and "audio" not in reading.needed:
        sound = _Silence()  # a silent film will do
    elif clip.heard_as == "video" and clip.heard is not None:
        with opened(clip.heard) as container:
            if not any(stream.type == "audio" for stream in container.streams):
                raise DataError(
                    f"{clip.heard}: found no sound track, expected one; a sound file of the same name beside it "
                    f"({clip.heard.stem}.wav) is taken too"
                )
    data = _OneSample(kind, Sample(0, sound, _vision(clip, reading), _key(kind, clip)), reading)  # type: ignore[arg-type]
    audio, visual, _ = data[0]
    there = {"audio": None if isinstance(sound, _Silence) else audio, "visual": None if clip.seen is None else visual}
    return {name: x for name, x in there.items() if x is not None}


def _vision(clip: Clip, reading: Reading) -> Vision:
    if clip.seen is None:
        return Pixels(np.zeros((1, 1, 3), np.uint8))
    if clip.seen_as == "video":
        return Video(clip.seen, reading.start or 0.0, reading.stop)
    if clip.seen_as == "image":
        return Still(clip.seen)
    if reading.start is not None or reading.stop is not None:
        raise DataError(f"{clip.seen}: found frames, of which nobody knows the seconds; expected no --start and --stop")
    return FrameFolder(clip.frames)


def _key(kind: type[MediaDataset], clip: Clip) -> str:
    """What the set calls the clip, by which it draws random key frames: folder and name, of both if there are two."""
    seen, heard = clip.seen, clip.heard
    if issubclass(kind, CremaD) and seen is not None:
        return seen.stem
    if clip.seen_as == "video" or heard is None or seen is None:
        return _short(seen or heard or Path())
    return f"{_short(heard)} + {_short(seen)}"


def _short(path: Path) -> str:
    path = path.absolute()
    return f"{path.parent.name}/{path.name}"


@dataclass(frozen=True)
class _Silence:
    """In place of a sound that nobody needs."""

    path: Path = Path()
    stop = None
    in_container = False

    def read(self) -> tuple[np.ndarray, int]:
        return np.zeros(1, np.float32), 16000


class _OneSample(MediaDataset):
    """A sample of one's own, with the mean colours and usual seconds of a set."""

    def __init__(self, kind: type[MediaDataset], sample: Sample, reading: Reading) -> None:
        self.name, self.image_mean, self.image_std = reading.name, kind.image_mean, kind.image_std
        self.aligned_seconds, self.whole_seconds = kind.aligned_seconds, kind.whole_seconds
        view = (reading.option(name) for name in ("spectrogram", "window", "key_frames", "fit"))
        super().__init__("clip", Path(), "error", reading.timesteps, reading.side, reading.seed, *view)
        self._take([sample])
