"""What is raised where a network or its weights cannot go to another format, or come from it."""

from snncore.checkpoint import CheckpointError

__all__ = ["InterchangeError"]


class InterchangeError(CheckpointError):
    """A file of another format that cannot be read, or a network that another format cannot hold; it says why."""
