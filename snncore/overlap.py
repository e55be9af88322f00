"""Gradients that are added up over ranks while the backward pass goes on.

A bucket of the flat buffer is final when the gradient of every parameter that reaches into it is. The sums run from the
last bucket to the first, about as backward goes, and none begins before the one ahead of it: so every rank begins them
in the same order, whatever order its own gradients come in. That order is all that MPI and NCCL ask for.
Source: gradient buckets as in Li et al. 2020, "PyTorch Distributed", VLDB 13(12), Section 3.2.3, with a fixed order.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager

from snncore.context import changed
from snncore.flat import FlatParameters
from snncore.parallel import Begun, Comm, buckets_of
from snncore.tape import Tensor

__all__ = ["Overlap"]


class Overlap:
    """Adds up the gradients of one backward pass over all ranks: the bits of `comm.sum_flat(flat.g)`.

    flat: the parameters, whose gradients are zero or those of earlier passes, to which this one adds. bucket: entries.
    `watching()` is the block in which backward runs; `finish()` begins what is left and waits for all of it. A
    parameter that the pass does not reach is final from its start; one that is used twice after its second gradient.
    """

    def __init__(self, flat: FlatParameters, comm: Comm, bucket: int | None = None) -> None:
        flat.gather()
        self.flat, self.comm = flat, comm
        self.slices = buckets_of(len(flat.g), bucket)
        length = self.slices[0].stop
        self.buckets: dict[int, range] = {}  # that each parameter reaches into, by id
        self.members: list[list[tuple[str, Tensor]]] = [[] for _ in self.slices]
        for name, p in flat.parameters.items():
            place = flat.places[name]
            self.buckets[id(p)] = range(place.start // length, -(-place.stop // length))
            for k in self.buckets[id(p)]:
                self.members[k].append((name, p))
        self.missing = [len(members) for members in self.members]  # gradients that are not final
        self.next = len(self.slices) - 1
        self.begun: list[Begun] = []

    def watching(self) -> AbstractContextManager[None]:
        """Return the block in which `Tensor.backward` tells this object what is final."""
        return changed("gradients", self)

    def expect(self, leaves: Iterable[Tensor]) -> None:
        """Hear, before backward begins, which leaves it will reach: the parameters that it does not are final."""
        coming = {id(leaf) for leaf in leaves}
        for p in self.flat.parameters.values():
            if id(p) not in coming:
                self._count(p)
        self._begin()

    def final(self, leaf: Tensor) -> None:
        """Hear that nothing more will be added to the gradient of a leaf."""
        if id(leaf) in self.buckets:
            self._count(leaf)
            self._begin()

    def go_on(self) -> None:
        """Let MPI work on the sums that are under way: it does so only when it is called."""
        for each in self.begun[-2:]:
            each.test()

    def finish(self) -> None:
        """Begin the sums that backward left, and wait until all are done."""
        self.missing = [0] * len(self.slices)
        self._begin()
        for each in self.begun:
            each.wait()

    def _count(self, p: Tensor) -> None:
        for k in self.buckets[id(p)]:
            self.missing[k] -= 1

    def _begin(self) -> None:
        while self.next >= 0 and self.missing[self.next] <= 0:
            for name, p in self.members[self.next]:
                home = self.flat.homes[name]
                if p.grad is not None and p.grad is not home:  # was put elsewhere, as another optimizer does
                    home[...] = p.grad
                    p.grad = home
            self.begun.append(self.comm.begin_sum(self.flat.g[self.slices[self.next]]))
            self.next -= 1
