"""Pairing of sounds with images of the same class, each in one split only."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError
from misnet.datasets.formats.files import one_form, printable, sorted_files, sorted_folders
from misnet.datasets.media.audio import AUDIO_SUFFIXES
from misnet.datasets.media.images import IMAGE_SUFFIXES
from misnet.datasets.media.sources import FrameFolder, Sound, Still
from misnet.datasets.sets.media import MediaDataset, Sample
from snncore.rng import named_rng

__all__ = ["Item", "PairedDataset", "draw_splits", "images_by_class", "sounds_by_class"]

Labeller = Callable[[str, Path], int]
NAMED = 5  # odd files that a note names; it counts the others


@dataclass(frozen=True)
class Item:
    """A sound or an image of a class. `test`: whether it is for testing, None as long as that is not known."""

    source: Any
    label: int
    key: str
    group: str | None = None
    test: bool | None = None

    @cached_property
    def name(self) -> tuple[int, str]:
        """Label, and file name without its ending, or name of a folder of frames, in one Unicode form."""
        name = self.key.rpartition("/")[2]
        return self.label, one_form(name if isinstance(self.source, FrameFolder) else os.path.splitext(name)[0])


def sounds_by_class(folder: Path, label: Labeller, passed: list[Path] | None = None) -> list[Item]:
    """Return the sounds `<folder>/<class>/<file>`, keyed "<class>/<file>".

    label: gives the label of a class, or raises DataError, from its name and the folder. passed: as of `sorted_files`.
    """
    return [
        Item(Sound(path), label(place.name, folder), f"{place.name}/{path.name}")
        for place in sorted_folders(folder)
        for path in sorted_files(place, AUDIO_SUFFIXES, passed)
    ]


def images_by_class(folder: Path, label: Labeller, passed: list[Path] | None = None) -> list[Item]:
    """Return the images `<folder>/<class>/<file>`, and folders of frames `<folder>/<class>/<clip>/<file>`.

    label, passed: as of `sounds_by_class`.
    """
    found = []
    for place in sorted_folders(folder):
        for path in sorted_files(place, IMAGE_SUFFIXES, passed):
            found.append(Item(Still(path), label(place.name, folder), f"{place.name}/{path.name}"))
        for clip in sorted_folders(place):
            if frames := sorted_files(clip, IMAGE_SUFFIXES, passed):
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
        sizes = Counter(mine)
        groups = sorted(sizes)
        left = fraction * len(mine)
        for k, j in enumerate(named_rng(seed, name, "split", label).permutation(len(groups))):
            size = sizes[groups[j]]
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


@dataclass(frozen=True)
class Namesakes:
    """Sounds and images of one class and one name but for the ending: pairs, and what is left on either side."""

    pairs: list[tuple[Item, Item]]
    odd: list[Item]

    @property
    def are_pairs(self) -> bool:
        """Whether the names mean pairs: at least as many sounds and images have a namesake as have none."""
        return bool(self.pairs) and len(self.odd) <= 2 * len(self.pairs)

    def note(self) -> str | None:
        """Return how sounds and images are paired, and which have no partner; None where all are pairs by name."""
        if not self.pairs:
            return "sounds and images are paired at random within their class, as no names are the same"
        if not self.are_pairs:
            return (
                f"sounds and images are paired at random within their class: only {len(self.pairs)} names are on both "
                f"sides ({self.pairs[0][0].key} is one), {len(self.odd)} files have no namesake"
            )
        if not self.odd:
            return None
        named = ", ".join(item.key for item in self.odd[:NAMED])
        more = f" and {len(self.odd) - NAMED} more" if len(self.odd) > NAMED else ""
        return (
            f"{len(self.pairs)} pairs of sounds and images, by name; left out {len(self.odd)} without a partner of "
            f"their name: {named}{more}"
        )


def namesakes(sounds: Sequence[Item], images: Sequence[Item]) -> Namesakes:
    """Return the sounds and images whose class and name but for the ending are the same, in the order of the sounds.

    Names are compared in one Unicode form, and those that are left then without regard to case. Of several of one name
    on one side, the first has the partner; one for training and one for testing are no pair.
    """
    partner: dict[int, Item] = {}
    taken: set[int] = set()
    for key in (_as_it_is, _without_case):
        first: dict[tuple[int, str], Item] = {}
        for image in images:
            if id(image) not in taken:
                first.setdefault(key(image), image)
        for sound in sounds:
            found = None if id(sound) in partner else first.get(key(sound))
            if found is not None and (None in (sound.test, found.test) or sound.test == found.test):
                partner[id(sound)] = first.pop(key(sound))
                taken.add(id(found))
    pairs = [(sound, partner[id(sound)]) for sound in sounds if id(sound) in partner]
    return Namesakes(pairs, [item for item in (*sounds, *images) if id(item) not in partner and id(item) not in taken])


def _as_it_is(item: Item) -> tuple[int, str]:
    return item.name


def _without_case(item: Item) -> tuple[int, str]:
    return item.name[0], item.name[1].casefold()


def draw_partners(first: Sequence[Item], second: Sequence[Item], rng: np.random.Generator, where: object) -> list[Item]:
    """Return for each item of `first` one of `second` of the same class, drawn so that all are used about as often.

    where: for the message. Raises DataError for a class of which `second` has none.
    """
    partner: dict[int, Item] = {}
    places: dict[int, list[int]] = {}
    choices: dict[int, list[Item]] = {}
    for i, item in enumerate(first):
        places.setdefault(item.label, []).append(i)
    for item in second:
        choices.setdefault(item.label, []).append(item)
    for label in sorted(places):
        mine, others = places[label], choices.get(label, [])
        if not others:
            raise DataError(f"{where}: found nothing to pair {first[mine[0]].key} with; expected some of its class")
        order = np.concatenate([rng.permutation(len(others)) for _ in range(-(-len(mine) // len(others)))])
        partner.update((i, others[k]) for i, k in zip(mine, order, strict=False))
    return [partner[i] for i in range(len(first))]


class PairedDataset(MediaDataset):
    """Samples of a sound and an image that were recorded apart, and have nothing in common but their class."""

    def _take_pairs(self, sounds: list[Item], images: list[Item], *, each_image: bool, test_part: float) -> None:
        """Take the pairs of the split.

        Sounds and images whose names are the same but for the ending are pairs, if at least half of them have such a
        namesake, and the sound says in which split; those without are left out and named in `notes`. Otherwise each
        image (or each sound, if not `each_image`) of the split gets a sound (or image) of it, which `notes` says, too.
        test_part: of the sounds, where it is not known which are for testing.
        """
        found = namesakes(sounds, images)
        if (note := found.note()) is not None:
            self.notes = (*self.notes, printable(note))
        if found.are_pairs:
            known = {sound.name: image.test for sound, image in found.pairs}
            sounds = [replace(s, test=known.get(s.name)) if s.test is None else s for s in sounds]
        sounds = draw_splits(sounds, test_part, self.seed, self.name)
        test = self.split != "train"
        if found.are_pairs:
            tests = {sound.name: sound.test for sound in reversed(sounds)}  # of several of a name, the first's
            self._take([self._paired(*pair) for pair in found.pairs if tests[pair[0].name] == test])
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
