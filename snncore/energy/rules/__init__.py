"""Counting rules: each reads one run as its authors' tool or paper would. The docstring says where that is wrong."""

from collections.abc import Callable

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.exact import exact, exact_memory
from snncore.energy.rules.lemaire import lemaire
from snncore.energy.rules.neurobench import neurobench
from snncore.energy.rules.paper import paper
from snncore.energy.rules.spikingjelly import spikingjelly
from snncore.energy.rules.spikingresformer import spikingresformer
from snncore.energy.rules.syops import syops
from snncore.opcount import Ops

__all__ = ["RULES"]

RULES: dict[str, Callable[[Ops, Prices], Reading]] = {
    "exact": exact,
    "exact-memory": exact_memory,
    "paper": paper,
    "syops": syops,
    "neurobench": neurobench,
    "spikingjelly": spikingjelly,
    "spikingresformer": spikingresformer,
    "lemaire": lemaire,
}
