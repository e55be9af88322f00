"""Counting rules: each reads one run as its authors' tool or paper would. The docstring says where that is wrong."""

from collections.abc import Callable

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.exact import read_exact
from snncore.energy.rules.exact_memory import read_exact_dram, read_exact_memory
from snncore.energy.rules.lemaire import read_lemaire
from snncore.energy.rules.neurobench import read_neurobench, read_neurobench_steps
from snncore.energy.rules.rate_times_dense import read_rate_times_dense
from snncore.energy.rules.spikingjelly import read_spikingjelly, read_spikingjelly_neurons
from snncore.energy.rules.spikingresformer import read_spikingresformer
from snncore.energy.rules.syops import read_syops
from snncore.energy.rules.training import read_training
from snncore.opcount import Ops

__all__ = ["ON_REQUEST", "RULES"]

RULES: dict[str, Callable[[Ops, Prices], Reading]] = {
    "exact": read_exact,
    "exact-memory": read_exact_memory,
    "paper": read_rate_times_dense,
    "syops": read_syops,
    "neurobench": read_neurobench,
    "neurobench-steps": read_neurobench_steps,
    "spikingjelly": read_spikingjelly,
    "spikingjelly-neurons": read_spikingjelly_neurons,
    "spikingresformer": read_spikingresformer,
    "lemaire": read_lemaire,
}
"""By name. `paper` is the paper that MISNet is from: the rule stands in `rate_times_dense.py`."""

ON_REQUEST: dict[str, Callable[[Ops, Prices], Reading]] = {
    "exact-dram": read_exact_dram,
    "training": read_training,
}
"""Rules that stand beside the others only where they are asked for by name."""
