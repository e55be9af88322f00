"""Pairing of sounds with images of the same class, each in one split only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import sorted_files, sorted_folders
from misnet.datasets.media.audio import AUDIO_SUFFIXES
from misnet.datasets.media.images import IMAGE_SUFFIXES
from misnet.datasets.media.sources import FrameFolder, Sound, Still
from misnet.datasets.sets.media import MediaDataset, Sample
from snncore.rng import named_rng

__all__ = ["Item", "PairedDataset", "draw_splits", "images_by_class", "sounds_by_class"]

Labeller = Callable[[str, Path], int]


@dataclass(frozen=True)
class Item:
    """A sound or an image of a class. `test`: whether it is for testing, None as long as that is not known."""

    source: Any
    label: int
    key: str
    group: str | None = None
    test: bool | None = None

    @property
    def name(self) -> tuple[int, str]:
        """Label, and file name without its ending."""
        return self.label, Path(self.key).stem


def sounds_by_class(folder: Path, label: Labeller) -> list[Item]:
    """Return the sounds `<folder>/<class>/<file>`, keyed "<class>/<file>".

    label: gives the label of a class, or raises DataError, from its name and the folder.
    """
    return [
        Item(Sound(path), label(place.name, folder), f"{place.name}/{path.name}")
        for place in sorted_folders(folder)
        for path in sorted_files(place, AUDIO_SUFFIXES)
    ]


def images_by_class(folder: Path, label: Labeller) -> list[Item]:
    """Return the images `<folder>/<class>/<file>`, and folders of frames `<folder>/<class>/<clip>/<file>`."""
    found = []
    for place in sorted_folders(folder):
        for path in sorted_files(place, IMAGE_SUFFIXES):
            found.append(Item(Still(path), label(place.name, folder), f"{place.name}/{path.name}"))
        for clip in sorted_folders(place):
            if frames := sorted_files(clip, IMAGE_SUFFIXES):
                found.append(Item(FrameFolder(tuple(frames)), label(place.name, folder), f"{place.name}/{clip.name}"))
    return found


def draw_splits(items: Sequence[Item], fraction: float, seed: int, name: str) -> list[Item]:
    """Return the items with `test` drawn where it was not known, a whole group at a time.

    Groups, or single items that have none, are put into the test split in an order drawn with the seed, class by class,
    until it has about `fraction` of the class; at least one is, and at least one is not, if a class has two.
    """
    unknown = [i for i, item in enumerate(items) if item.test is None]
    test: dict[str, bool] = {}
    for label in sorted({items[i].label for i in unknown}):
        mine = [items[i].group or items[i].key for i in unknown if items[i].label == label]
        groups = sorted(set(mine))
        left = fraction * len(mine)
        for k, j in enumerate(named_rng(seed, name, "split", label).permutation(len(groups))):
            size = mine.count(groups[j])
            chosen = k < len(groups) - 1 and (k == 0 or left >= size / 2)
            test.setdefault(groups[j], chosen)  # a recording with sounds of two classes stays where it is
            left -= size if chosen else 0
    drawn = {i: test[items[i].group or items[i].key] for i in unknown}
    return [replace(item, test=drawn[i]) if i in drawn else item for i, item in enumerate(items)]


def split_like(images: Sequence[Item], sounds: Sequence[Item], seed: int, name: str) -> list[Item]:
    """Return the images with splits drawn so that about as large a part is for testing as of the sounds.

    Raises DataError for a class that has sounds in both splits and a single image, which cannot be in both.
    """
    share = sum(bool(sound.test) for sound in sounds) / max(1, len(sounds))
    images = draw_splits(images, share, seed, f"{name} images")
    for label in sorted({image.label for image in images}):
        tests = {image.test for image in images if image.label == label}
        if len(tests) == 1 and {sound.test for sound in sounds if sound.label == label} == {True, False}:
            raise DataError(
                f"{name}: class {label} has images in one split only ({images[0].key} is one); expected at least two, "
                "as no image may be in both splits"
            )
    return images


def same_name(sounds: Sequence[Item], images: Sequence[Item]) -> list[Item] | None:
    """Return for each sound the image of its class whose file name is the same but for the ending.

    None unless every sound and every image has exactly one partner.
    """
    by_name = {image.name: image for image in images}
    names = [sound.name for sound in sounds]
    if len(by_name) != len(images) or len(set(names)) != len(names) or set(names) != set(by_name):
        return None
    return [by_name[name] for name in names]


def draw_partners(first: Sequence[Item], second: Sequence[Item], rng: np.random.Generator, where: object) -> list[Item]:
    """Return for each item of `first` one of `second` of the same class, drawn so that all are used about as often.

    where: for the message. Raises DataError for a class of which `second` has none.
    """
    partner: dict[int, Item] = {}
    for label in sorted({item.label for item in first}):
        mine = [i for i, item in enumerate(first) if item.label == label]
        others = [item for item in second if item.label == label]
        if not others:
            raise DataError(f"{where}: found nothing to pair {first[mine[0]].key} with; expected some of its class")
        order = np.concatenate([rng.permutation(len(others)) for _ in range(-(-len(mine) // len(others)))])
        partner.update((i, others[k]) for i, k in zip(mine, order, strict=False))
    return [partner[i] for i in range(len(first))]


class PairedDataset(MediaDataset):
    """Samples of a sound and an image that were recorded apart, and have nothing in common but their class."""

    def _take_pairs(self, sounds: list[Item], images: list[Item], *, each_image: bool, test_part: float) -> None:
        """Take the pairs of the split.

        Sounds and images whose names are the same but for the ending, if that is so of all, are pairs, and the sound
        says in which split. Otherwise each image (or each sound, if not `each_image`) of the split gets a sound (or
        image) of it. test_part: of the sounds, where it is not known which are for testing.
        """
        namesakes = same_name(sounds, images)
        sounds = draw_splits(sounds, test_part, self.seed, self.name)
        test = self.split != "train"
        if namesakes is not None:
            pairs = [(s, i) for s, i in zip(sounds, namesakes, strict=True) if s.test == test]
            self._take([self._paired(*pair) for pair in pairs])
            return
        images = split_like(images, sounds, self.seed, self.name)
        sounds = [sound for sound in sounds if sound.test == test]
        images = [image for image in images if image.test == test]
        if self.skip:
            sounds = self._readable(sounds, lambda item: item.source.read())
            images = self._readable(images, lambda item: item.source.frames((0.0,)))
        rng = named_rng(self.seed, self.name, self.split, "pairing")
        if each_image:
            sounds = draw_partners(images, sounds, rng, f"{self.data_dir}, {self.split} split")
        else:
            images = draw_partners(sounds, images, rng, f"{self.data_dir}, {self.split} split")
        self._take([self._paired(*pair) for pair in zip(sounds, images, strict=True)], readable=True)

    def _paired(self, sound: Item, image: Item) -> Sample:
        key = f"{sound.key} + {image.key}"
        return Sample(sound.label, sound.source, image.source, key, sound.group or image.group)
