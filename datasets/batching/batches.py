"""Batches of a data set in an order that depends on nothing but the seed and the epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from misnet.datasets.base import Dataset
from misnet.datasets.batching.augment import Augmentation
from snncore.parallel import slice_of
from snncore.rng import named_rng

__all__ = ["Batch", "BatchIterator"]


@dataclass(frozen=True)
class Batch:
    """N samples: streams, [T, N, ...] each by name, and labels [N]. Unpacks as `stream, ..., labels = batch`."""

    streams: dict[str, np.ndarray]
    labels: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from self.streams.values()
        yield self.labels

    def __getitem__(self, place: int) -> np.ndarray:
        return (*self,)[place]


class BatchIterator:
    """Go through a data set in batches, each epoch in its own order, from any batch on.

        order(epoch) = permutation of n drawn from (seed, epoch)       the data set's order if not `shuffle`
        batch k      = order[k * batch_size : (k + 1) * batch_size]

    A run that stopped inside an epoch resumes with `epoch(number, start_batch)` and sees the batches it would have
    seen. The last batch may be smaller, down to one sample, unless `drop_last` leaves it out. `augment` changes each
    sample, with the epoch and its index in the data set to draw from.
    rank, ranks: of several processes that share each batch, this one reads its own samples alone
    (`snncore.parallel.slice_of`): together they have each sample of a batch once, in its order.
    Raises ValueError if `batch_size` is below 1, if the data set is empty, if `drop_last` would leave no batch, or if a
    stream that `augment` changes is missing.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        augment: Augmentation | None = None,
        rank: int = 0,
        ranks: int = 1,
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
        if augment is not None:
            augment.check(dataset.streams, dataset.name)
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.shuffle, self.drop_last, self.augment = shuffle, drop_last, augment
        self.rank, self.ranks = rank, ranks

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

        Yields Batch: each stream of the data set, [T, N, ...], and labels, int64 [N]; C-contiguous, fresh arrays each
        time. Streams are float32; those of counts of events the smallest unsigned type that holds all of the batch.
        Raises ValueError, at once, if `start_batch` is not from 0 to `len(self)`.
        """
        if not 0 <= start_batch <= len(self):
            raise ValueError(f"start_batch: expected 0 to {len(self)}, found {start_batch}")
        return self._batches(number, start_batch)

    def _batches(self, number: int, start_batch: int) -> Iterator[Batch]:
        order = self.order(number)
        for k in range(start_batch, len(self)):
            batch = order[k * self.batch_size : (k + 1) * self.batch_size]
            yield self._collate(batch[slice_of(len(batch), self.rank, self.ranks)], number)

    def samples_in(self, batch: int) -> int:
        """Return how many samples a batch has on all ranks."""
        return min(self.batch_size, len(self.dataset) - batch * self.batch_size)

    def _collate(self, indices: np.ndarray, number: int) -> Batch:
        shapes, n = self.dataset.streams, len(indices)
        streams: dict[str, np.ndarray] = {}
        labels = np.empty(n, dtype=np.int64)
        for j, index in enumerate(indices):
            *arrays, labels[j] = self.dataset[int(index)]
            sample = dict(zip(shapes, arrays, strict=True))
            if self.augment is not None:
                sample = self.augment(sample, number, int(index))
            for name, x in sample.items():
                if j == 0:
                    shape = (shapes[name][0], n, *shapes[name][1:])
                    streams[name] = np.empty(shape, x.dtype if x.dtype.kind == "u" else np.float32)
                elif streams[name].dtype.kind == "u" and streams[name].dtype != x.dtype:
                    whole = x.dtype.kind == "u"  # a sample with larger counts than those before it
                    dtype = np.promote_types(streams[name].dtype, x.dtype) if whole else np.float32
                    streams[name] = streams[name].astype(dtype)
                streams[name][:, j] = x
        return Batch(streams, labels)
