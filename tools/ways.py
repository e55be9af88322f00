"""Ways into an audit other than a network of ours: each is an option of its own, and says which counts it brings."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from misnet.audit.subject import Subject

__all__ = ["WAYS", "Way"]


@dataclass(frozen=True)
class Way:
    """One way in. add: declares its options in a group of the parser, the first of them by the name of the way.

    subject: counts, given the parsed arguments; raises UsageError or DataError for what it cannot take.
    """

    add: Callable[[argparse._ArgumentGroup], None]
    subject: Callable[[argparse.Namespace], Subject]


WAYS: dict[str, Way] = {}
"""By option: `--torch FILE.py:make_model` is the way `torch`."""
