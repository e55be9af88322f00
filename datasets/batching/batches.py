"""Batches of a data set in an order that depends on nothing but the seed and the epoch."""

from collections.abc import Iterator

import numpy as np

from misnet.datasets.base import AudioVisualDataset
from misnet.datasets.batching.augment import Augmentation
from snncore.rng import named_rng

__all__ = ["BatchIterator"]

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class BatchIterator:
    """Go through a data set in batches, each epoch in its own order, from any batch on.

        order(epoch) = permutation of n drawn from (seed, epoch)       the data set's order if not `shuffle`
        batch k      = order[k * batch_size : (k + 1) * batch_size]

    A run that stopped inside an epoch resumes with `epoch(number, start_batch)` and sees the batches it would have
    seen. The last batch may be smaller, down to one sample, unless `drop_last` leaves it out. `augment` changes each
    sample, with the epoch and its index in the data set to draw from.
    Raises ValueError if `batch_size` is below 1, if the data set is empty, or if `drop_last` would leave no batch.
    """

    def __init__(
        self,
        dataset: AudioVisualDataset,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        augment: Augmentation | None = None,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        if len(dataset) == 0:
            raise ValueError(f"dataset: expected at least one sample, found none in {dataset.name} {dataset.split}")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(
                f"batch_size: expected at most {len(dataset)}, the samples of {dataset.name} {dataset.split}, "
                f"as drop_last leaves out smaller batches; found {batch_size}"
            )
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.shuffle, self.drop_last, self.augment = shuffle, drop_last, augment

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def order(self, number: int) -> np.ndarray:
        """Sample indices of epoch `number` in the order they are visited, int64 [n]."""
        n = len(self.dataset)
        return named_rng(self.seed, "shuffle", number).permutation(n) if self.shuffle else np.arange(n)

    def epoch(self, number: int, start_batch: int = 0) -> Iterator[Batch]:
        """Return an iterator over the batches of epoch `number` from `start_batch` on.

        Yields `(audio [T, N, H, W, audio_channels], video [T, N, H, W, visual_channels], labels [N])`: float32,
        float32 and int64, C-contiguous, fresh arrays each time.
        Raises ValueError, at once, if `start_batch` is not from 0 to `len(self)`.
        """
        if not 0 <= start_batch <= len(self):
            raise ValueError(f"start_batch: expected 0 to {len(self)}, found {start_batch}")
        return self._batches(number, start_batch)

    def _batches(self, number: int, start_batch: int) -> Iterator[Batch]:
        order = self.order(number)
        for k in range(start_batch, len(self)):
            yield self._collate(order[k * self.batch_size : (k + 1) * self.batch_size], number)

    def _collate(self, indices: np.ndarray, number: int) -> Batch:
        d = self.dataset
        shape = (d.timesteps, len(indices), d.size, d.size)
        audio = np.empty((*shape, d.audio_channels), dtype=np.float32)
        video = np.empty((*shape, d.visual_channels), dtype=np.float32)
        labels = np.empty(len(indices), dtype=np.int64)
        for j, index in enumerate(indices):
            x_a, x_v, labels[j] = d[int(index)]
            if self.augment is not None:
                x_a, x_v = self.augment(x_a, x_v, number, int(index))
            audio[:, j], video[:, j] = x_a, x_v
        return audio, video, labels
