"""From files and folders that a user names to clips: what is heard and what is seen of each."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import one_form, printable, sorted_files, sorted_folders
from misnet.datasets.media.audio import AUDIO_SUFFIXES
from misnet.datasets.media.images import IMAGE_SUFFIXES
from misnet.datasets.media.video import VIDEO_SUFFIXES

__all__ = ["Bad", "Clip", "clips_of", "kind_of"]

EVENT_SUFFIXES = frozenset({".aedat", ".aedat4", ".bin"})
SPIKE_SUFFIXES = frozenset({".hdf5", ".h5"})
ARRAY_SUFFIXES = frozenset({".npz"})
SUFFIXES = {
    "video": VIDEO_SUFFIXES,
    "sound": AUDIO_SUFFIXES,
    "image": IMAGE_SUFFIXES,
    "events": EVENT_SUFFIXES,
    "arrays": ARRAY_SUFFIXES,
}
HEARD, SEEN = ("sound", "spikes"), ("image", "frames", "events")
READ = (
    "a video (.mp4, .mkv, ...), a sound (.wav, .flac, ...), an image (.png, .jpg, ...), events (.aedat, .bin), spikes "
    "of a cochlea (FILE.hdf5:NAME), arrays (.npz), or a folder of them"
)


@dataclass(frozen=True)
class Clip:
    """What is heard and seen of one sample.

    name: as the user calls it. heard: a sound file, a video whose sound track it is, or an HDF5 file; None if nothing
    is. seen: a video, an image, an event file, or a folder of frames. heard_as, seen_as: their kinds. take: name of the
    recording in an HDF5 file. arrays: a file that holds the streams themselves, in place of both.
    """

    name: str
    heard: Path | None = None
    heard_as: str = ""
    seen: Path | None = None
    seen_as: str = ""
    frames: tuple[Path, ...] = ()
    take: str = ""
    arrays: Path | None = None

    def beside(self, other: "Clip") -> "Clip":
        """Return this clip and another, of which one is heard and one is seen, as one."""
        heard, seen = (self, other) if self.heard is not None else (other, self)
        both = replace(seen, heard=heard.heard, heard_as=heard.heard_as, take=heard.take)
        return replace(both, name=f"{self.name} + {other.name}")


@dataclass(frozen=True)
class Bad:
    """A clip that cannot be used, and why."""

    name: str
    error: DataError


def kind_of(path: Path) -> str:
    """Return video, sound, image, events, spikes, arrays or frames (a folder); raises DataError for another file."""
    text = str(path)
    if Path(text.rpartition(":")[0]).suffix.lower() in SPIKE_SUFFIXES:
        return "spikes"
    if path.is_dir():
        return "frames"
    suffix = path.suffix.lower()
    if suffix in SPIKE_SUFFIXES:
        raise DataError(f"{path}: expected the name of a recording in it too, as in {path}:woman-ae-a-3")
    kind = next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), None)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if kind is None:
        raise DataError(f"{path}: found a file that ends in {path.suffix or 'nothing'}; expected {READ}")
    return kind


def clips_of(names: Iterable[str]) -> list[Clip | Bad]:
    """Return the clips that a list of files and folders means, in its order.

    A video is a clip, with the sound file beside it that has its name, else with the sound in it. A sound and an image,
    folder of frames or event file that follow one another are one clip. A folder stands for what is in it: its
    videos, its event files, its pairs of sounds and images of one name, or, where it holds images and at most one
    sound, the frames of one clip; a folder of folders for each of these.
    """
    found: list[Clip | Bad] = []
    waiting = False  # whether the last one has no partner yet
    for name in names:
        try:
            parts: Sequence[Clip | Bad] = _clips(Path(name))
        except DataError as error:
            parts = [Bad(name, error)]
        last = found[-1] if waiting else None
        if len(parts) == 1 and isinstance(last, Clip) and _are_partners(last, parts[0]):
            assert isinstance(parts[0], Clip)
            found[-1], waiting = last.beside(parts[0]), False
        else:
            found += parts
            waiting = len(parts) == 1
    return found


def _are_partners(one: Clip, other: Clip | Bad) -> bool:
    """Whether one of the two is only heard and the other only seen."""
    if not isinstance(other, Clip) or one.arrays or other.arrays:
        return False
    return (one.heard is None) != (other.heard is None) and (one.seen is None) != (other.seen is None)


def _clips(path: Path) -> list[Clip | Bad]:
    kind = kind_of(path)
    if kind == "video":
        sounds = _sounds_beside(path)
        heard = sounds[0] if sounds else path
        return [Clip(str(path), heard, "sound" if sounds else "video", path, "video")]
    if kind == "spikes":
        file, _, take = str(path).rpartition(":")
        return [Clip(str(path), Path(file), "spikes", take=take)]
    if kind == "arrays":
        return [Clip(str(path), arrays=path)]
    if kind == "frames":
        return list(_in_folder(path))
    return [Clip(str(path), path, kind) if kind in HEARD else Clip(str(path), seen=path, seen_as=kind)]


def _sounds_beside(path: Path) -> list[Path]:
    """Sound files beside a file or folder that have its name."""
    stem = one_form(path.name if path.is_dir() else path.stem)
    return [p for p in sorted_files(path.parent, AUDIO_SUFFIXES) if one_form(p.stem) == stem]


def _in_folder(folder: Path) -> Iterator[Clip | Bad]:
    sounds, images, videos, events, arrays = (
        sorted_files(folder, suffixes)
        for suffixes in (AUDIO_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES, EVENT_SUFFIXES, ARRAY_SUFFIXES)
    )
    for path in (*videos, *events, *arrays):
        yield from _clips(path)
    sounds = [p for p in sounds if one_form(p.stem) not in {one_form(v.stem) for v in videos}]
    if images and len(sounds) <= 1 and (not videos):
        found = Clip(str(folder), seen=folder, seen_as="frames", frames=tuple(images))
        if len(images) == 1:
            found = Clip(str(images[0]), seen=images[0], seen_as="image")
        heard = sounds or _sounds_beside(folder)
        yield replace(found, heard=heard[0], heard_as="sound") if heard else found
    elif sounds or images:
        yield from _pairs(sounds, images)
    folders = sorted_folders(folder)
    for place in folders:
        yield from _in_folder(place)
    if not (sounds or images or videos or events or arrays or folders):
        yield Bad(
            str(folder), DataError(f"{printable(str(folder))}: found nothing in it that is read; expected {READ}")
        )


def _pairs(sounds: Sequence[Path], images: Sequence[Path]) -> Iterator[Clip | Bad]:
    """Sounds and images of one name; those without a namesake as they are."""
    seen = {one_form(path.stem): path for path in reversed(images)}
    for path in sounds:
        heard = Clip(str(path), path, "sound")
        image = seen.pop(one_form(path.stem), None)
        yield heard if image is None else heard.beside(Clip(image.name, seen=image, seen_as="image"))
    for path in images:
        if seen.get(one_form(path.stem)) == path:
            yield Clip(str(path), seen=path, seen_as="image")
