"""Training by several ranks: who writes, whether batch norms are synchronised, and words on both."""

from typing import Any

from misnet.training.journal import Journal
from snncore.parallel import Comm

__all__ = ["FEW", "Silent", "describe_sharing", "synchronises"]

FEW = 16  # samples of a rank below which its own batch statistics are too noisy to train with (Wu and He 2018, Fig. 1)


class Silent(Journal):
    """The journal of a rank that says and writes nothing."""

    def log(self, line: str, result: bool = False) -> None:
        """Say nothing."""

    def warn(self, line: str) -> None:
        """Say nothing."""

    def curves(self, rows: Any, heads: Any) -> None:
        """Draw nothing."""

    def weights(self, epoch: int, model: Any) -> None:
        """Write nothing."""


def describe_sharing(comm: Comm, batch: int, synchronised: bool) -> str:
    """Return words on how ranks share a batch."""
    norms = "of all ranks together" if synchronised else "of each rank by itself"
    return f"{comm.size} ranks, {batch / comm.size:g} of {batch} samples a step each, batch norm {norms}"


def synchronises(asked: bool | None, batch: int, comm: Comm) -> bool:
    """Whether batch norms are synchronised: as asked, or else with less than 16 samples a rank."""
    return comm.size > 1 and (batch / comm.size < FEW if asked is None else asked)
