"""Ways into an audit other than a network of ours: each is an option of its own, and says which counts it brings."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from misnet.audit.subject import Subject
from misnet.tools.table_ways import add_layers, add_nir, layers_subject, nir_subject
from misnet.tools.torch_way import add_torch, torch_way

__all__ = ["WAYS", "Way"]


@dataclass(frozen=True)
class Way:
    """One way in. add: declares its options in a group of the parser, the first of them by the name of the way.

    subject: counts, given the parsed arguments; raises UsageError or DataError for what it cannot take.
    beside: options that go with this way, or with others that name them too.
    """

    add: Callable[[argparse._ArgumentGroup], None]
    subject: Callable[[argparse.Namespace], Subject]
    beside: tuple[str, ...] = ()


WAYS: dict[str, Way] = {
    "layers": Way(add_layers, layers_subject, beside=("spikes", "layout", "steps", "rate")),
    "nir": Way(add_nir, nir_subject, beside=("nir_dt", "nir_table", "inputs", "steps", "rate")),
    "torch": Way(add_torch, torch_way, beside=("inputs", "steps", "layout", "outer_loop", "events", "labels")),
}
"""By option: `--torch FILE.py:make_model` is the way `torch`."""
