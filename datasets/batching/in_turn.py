"""Whole batches of a data set, dealt to ranks in turn: what needs no step in common is then the same bits as of one."""

from collections.abc import Iterator

from misnet.datasets.batching.batches import Batch, BatchIterator

__all__ = ["InTurn"]


class InTurn(BatchIterator):
    """Go through every `ranks`-th batch of a data set, from number `rank` on: arguments as of BatchIterator.

        rank r of R has the batches r, r + R, r + 2 R, ... that BatchIterator has with one rank

    `len` is the number of batches here; `batches` that of all ranks together.
    """

    @property
    def batches(self) -> int:
        """Batches in an epoch on all ranks together."""
        return super().__len__()

    def __len__(self) -> int:
        """Batches in an epoch on this rank."""
        return len(range(self.rank, self.batches, self.ranks))

    def _batches(self, number: int, start_batch: int) -> Iterator[Batch]:
        order = self.order(number)
        for k in range(self.rank + start_batch * self.ranks, self.batches, self.ranks):
            yield self._collate(order[k * self.batch_size : (k + 1) * self.batch_size], number)

    def samples_in(self, batch: int) -> int:
        """Return how many samples a batch of this rank has."""
        return super().samples_in(self.rank + batch * self.ranks)
