"""The clips that a command line asks for, each as a data set of one sample that a run's network takes."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misnet.datasets import DataError, Dataset, Subset
from misnet.datasets.clips.finding import Bad, Clip, clips_of
from misnet.datasets.clips.loading import load_clip
from misnet.datasets.clips.reading import Reading
from misnet.datasets.formats.files import read_lines
from misnet.models.config import ConfigError, ModelConfig
from misnet.models.contract import check_fits
from misnet.models.options import option_of
from misnet.tools.networks import note_if_changed
from misnet.tools.parts import Parts, check_not_moved
from misnet.tools.settings import check_settings, override
from misnet.tools.toolkit import UsageError, data_seed
from misnet.training.folder import check_class_names
from misnet.training.sources import Source

__all__ = ["Asked", "asked_of", "class_names_of"]

TAB = "\t"
LONGEST = 1e9  # seconds, of which a sound still has a number of samples


@dataclass(frozen=True)
class Asked:
    """A clip or a sample that is asked for: its name, how it is loaded, and its class where that is known."""

    name: str
    files: tuple[Path, ...] = ()
    clip: Clip | Bad | None = None
    sample: Dataset | None = None
    label: int | None = None

    def load(self, source: Source, reading: Reading) -> Dataset:
        """Return it as a data set of one sample; raises DataError for what the network of `source` cannot take."""
        if isinstance(self.clip, Bad):
            raise self.clip.error
        try:
            data = self.sample or load_clip(self.clip, reading, class_names_of(source))  # type: ignore[arg-type]
            check_fits(source.config, data)
        except ConfigError as error:
            raise DataError(f"{self.name}: {error}") from None
        except ValueError as error:  # an option of the set, which the run's own samples were read with
            raise DataError(f"{self.name}: {error}") from None
        return data


def class_names_of(source: Source) -> tuple[str, ...]:
    """Return the names of the classes; numbers where an earlier version did not write any."""
    return source.class_names or tuple(map(str, range(source.config.classes)))


def asked_of(args: argparse.Namespace, names: list[str], source: Source) -> tuple[list[Asked], Reading]:
    """Return what a command line asks for, and how the run reads it.

    names: files and folders that were given as arguments. Raises UsageError where there is nothing, or too much.
    """
    of_run = check_settings(dict(source.settings), str(source.path))
    settings = override(of_run, {"data_dir": args.data_dir}) if "data_dir" in vars(args) else of_run
    reading = reading_of(settings, source.config, args)
    if args.sample is not None:
        if names or args.list:
            raise UsageError(f"--sample: expected it without clips, found {(names or [args.list])[0]} too")
        if (option := _given(args, "start", "stop", "invert")) is not None:
            raise UsageError(
                f"{option}: expected it with clips, found --sample, which is read as the run's data set is"
            )
        return list(samples_of(args, settings, of_run, source)), reading
    if (option := _given(args, "split", "data_dir")) is not None:
        raise UsageError(f"{option}: expected --sample beside it")
    clips = clips_of(names)
    if args.list:
        clips += [clip for line in lines_of(args.list) for clip in clips_of(line.split(TAB))]
    if not clips:
        raise UsageError("expected clips after the run: files or folders, --list FILE, or --sample K; found none")
    return [Asked(clip.name, _files(clip), clip) for clip in clips], reading


def _given(args: argparse.Namespace, *names: str) -> str | None:
    """The first of these options that was given."""
    values = ((name, vars(args).get(name)) for name in names)
    return next((option_of(name) for name, value in values if value not in (None, False)), None)


def reading_of(settings: dict[str, Any], config: ModelConfig, args: argparse.Namespace) -> Reading:
    """Return how a run with these settings reads a sample, changed as the command line says."""
    start, stop = args.start, args.stop
    if not (0 <= (start or 0) < (LONGEST if stop is None else stop) <= LONGEST):  # false for NaN too
        raise UsageError(
            f"--start, --stop: expected 0 <= start < stop in seconds, at most {LONGEST:g}, found {start} and {stop}"
        )
    shapes = config.shapes()
    sides = [shape[1] for shape in shapes.values() if len(shape) == 4]
    return Reading(
        name=settings["dataset"],
        options=settings["data_options"],
        timesteps=config.timesteps,
        size=config.size if config.size is not None else next(iter(sides), None),
        seed=data_seed(settings),
        needed=shapes,
        start=start,
        stop=stop,
        invert=args.invert,
    )


def samples_of(
    args: argparse.Namespace, settings: dict[str, Any], of_run: dict[str, Any], source: Source
) -> Iterator[Asked]:
    """Yield samples of the run's own data, by their numbers."""
    part = args.split or "test"
    check_not_moved(settings, vars(args))
    data = Parts(settings).load(part, source.config.size, source.config.timesteps)
    names = {} if source.class_names is None else {"class_names": source.class_names}
    check_class_names(names, data)
    note_if_changed(source.recorded, part, data, settings, of_run)
    for text in args.sample.split(","):
        if not text.strip().isdecimal() or int(text) >= len(data):
            raise UsageError(f"--sample: expected numbers from 0 to {len(data) - 1} with commas, found {text!r}")
        k = int(text)
        yield Asked(f"{data.name} {part} {k}", sample=Subset(data, [k]), label=int(data.labels[k]))


def lines_of(place: str) -> list[str]:
    """Return the lines of a list of clips, a file or "-" for standard input; files of one clip are parted by tabs."""
    if place != "-":
        return read_lines(place, "a list of clips, one a line")
    return [line for line in sys.stdin.read().splitlines() if line.strip()]


def _files(clip: Clip | Bad) -> tuple[Path, ...]:
    if isinstance(clip, Bad):
        return ()
    return tuple(path for path in (clip.heard, clip.seen, clip.arrays, *clip.frames) if path is not None)
