"""A data set of three streams of vectors, made from a seed: touch and words tell the class, visual is noise."""

import numpy as np

from misnet.datasets import Dataset
from misnet.datasets.base import content_hash
from misnet.datasets.registry import Entry
from snncore.rng import named_rng

NAMES = ("touch", "visual", "words")


class Triple(Dataset):
    """`samples` samples. names: streams that are there. classes: names of the two classes, in order."""

    name = "triple"

    def __init__(self, split, timesteps, size, seed=0, samples=20, names=NAMES, classes=("left", "right"), entries=5):
        self.split, self.timesteps, self.class_names = split, timesteps, tuple(classes)
        self.shapes = {name: (timesteps, entries + NAMES.index(name)) for name in names}
        self.settings = {"split": split, "seed": seed, "samples": samples, "size": size}
        rng = named_rng(seed, "triple", split)
        self._labels = rng.integers(0, 2, samples)
        lean = {"touch": 1.0, "visual": 0.0, "words": 2.0}
        self.arrays = {
            name: (rng.normal(size=(samples, *shape)) + lean[name] * (2 * self._labels[:, None, None] - 1)).astype("f4")
            for name, shape in self.shapes.items()
        }

    @property
    def streams(self):
        return self.shapes

    @property
    def labels(self):
        return self._labels

    def __getitem__(self, index):
        return (*(x[self.checked(index)] for x in self.arrays.values()), int(self._labels[index]))

    def fingerprint(self):
        return content_hash(self.settings, arrays=[np.asarray(x) for x in self.arrays.values()])


ENTRY = Entry(Triple, "three streams of vectors", default_size=1, default_epochs=3)
