"""The columns of an operation count: what each means, its price, and which read the same operations in another way."""

import difflib
from dataclasses import dataclass
from typing import Literal

__all__ = ["COLUMNS", "SCALING", "Column", "as_expected"]

Price = Literal["mac", "add", "mul", "compare", "special"]


@dataclass(frozen=True)
class Column:
    """One kind of operation.

    group: what it belongs to. reading: the column (or columns) of which this one is another reading: never add both.
    price: what rule `exact` charges for one, by its name in a price table. None: nothing, because `reading` says so,
    or for the reason in `free`.
    """

    group: str
    text: str
    reading: str = ""
    price: Price | None = None
    free: str = ""


MOVED = "no arithmetic: a value is picked, assigned, let pass or stopped"
BYTES = "moved, not computed: rule exact-memory charges it by the size of the memory"
ACTIVITY = "what was seen, not what was done"
BACKWARD = "no part of an inference: rule training prices it"

COLUMNS: dict[str, Column] = {
    # weights applied to events and to analog values
    "ac_binary": Column("synapse", "accumulations of a weight, one for each event of value 1 and target", price="add"),
    "ac_graded": Column("synapse", "accumulations for events above 1, one for each event and target", price="add"),
    "ac_graded_by_value": Column("synapse", "the same, an event of value k as k accumulations", "ac_graded"),
    "mac": Column(
        "synapse", "multiply-accumulates of analog input, zeros included, taps inside the image only", price="mac"
    ),
    "mac_nonzero": Column("synapse", "those of them whose input is not zero", "mac"),
    "mac_zero": Column("synapse", "those of them whose input is zero", "mac"),
    "mac_averaged": Column("synapse", "those of them whose input is a mean of spikes (average pooling)", "mac"),
    "mac_averaged_nonzero": Column("synapse", "those whose input is a mean of spikes, and not zero", "mac"),
    "mac_averaged_left": Column("synapse", "those of mac_averaged that mac_spared does not hold", "mac"),
    "mac_repeated": Column("synapse", "those on an input from outside that is that of the timestep before", "mac"),
    "mac_zero_weight": Column("synapse", "those of them whose weight is exactly zero", "mac"),
    "mac_spared": Column("synapse", "those on a zero, by a zero, or repeated: all that can be left out", "mac"),
    "ac_repeated": Column("synapse", "accumulations of an input from outside that is that of the step before", "ac_*"),
    "ac_zero_weight": Column("synapse", "accumulations of a weight that is exactly zero", "ac_*"),
    "ac_spared": Column("synapse", "accumulations of a zero, or repeated: all that can be left out", "ac_*"),
    "bias_add": Column("bias", "additions of a bias", price="add"),
    "add_repeated": Column(
        "bias", "additions of biases and folded batch normalisation on what is repeated", "bias_add, bn_folded_add"
    ),
    "dense_mac": Column("dense", "multiply-accumulates of the same layer in a dense network", "ac_*, mac"),
    "dense_mac_padded": Column("dense", "the same, taps on the padding counted as others count them", "ac_*, mac"),
    "bn_mul": Column("batch norm", "multiplications by gamma / sqrt(var + eps)", price="mul"),
    "bn_add": Column("batch norm", "additions of beta - mean * gamma / sqrt(var + eps)", price="add"),
    "bn_folded_add": Column(
        "batch norm", "what is left when folded into the weights (evaluation)", "bn_mul, bn_add", price="add"
    ),
    "bn_stat_mul": Column("batch norm", "multiplications for the statistics of the batch (training)", price="mul"),
    "bn_stat_add": Column("batch norm", "additions for the statistics of the batch (training)", price="add"),
    # neurons
    "leak_mul": Column("neuron", "multiplications of a membrane by its decay", price="mul"),
    "leak_shift": Column("neuron", "those by a decay that is zero or a power of two: a shift", "leak_mul"),
    "charge_add": Column("neuron", "additions of a current to a membrane", price="add"),
    "compare": Column("neuron", "comparisons with the threshold", price="compare"),
    "reset_add": Column("neuron", "subtractions of the threshold, one for each spike (soft reset)", price="add"),
    "reset_set": Column("neuron", "assignments of the reset value, one for each spike (hard reset)", free=MOVED),
    "neuron_mul": Column("neuron", "other multiplications in a neuron (CLIF)", price="mul"),
    "neuron_add": Column("neuron", "other additions in a neuron (CLIF, PLIF)", price="add"),
    "neuron_special": Column("neuron", "sigmoids in a neuron (CLIF, PLIF)", price="special"),
    "w_select": Column("mlif", "events of value 1 on a spatial weight W, which is picked", free=MOVED),
    "w_mul": Column("mlif", "multiplications by the spatial weight W: graded events, or analog input", price="mul"),
    "alpha_mul": Column(
        "mlif", "multiplications by alpha: of a membrane that is compared, or of what comes in (Ab1)", price="mul"
    ),
    "alpha_folded_mul": Column("mlif", "what is left of them when alpha is folded into the threshold", "alpha_mul"),
    # the rest of a network
    "pool_compare": Column("pooling", "comparisons of max pooling", price="compare"),
    "pool_add": Column(
        "pooling", "additions of average pooling: one for each event, or n - 1 analog ones a window", price="add"
    ),
    "pool_mul": Column("pooling", "scalings of average pooling", price="mul"),
    "pool_mul_averaged": Column("pooling", "those of means of spikes: a factor of the weights after them", "pool_mul"),
    "residual_add": Column("residual", "additions of two spike trains, where both have an event", price="add"),
    "residual_logic": Column("residual", "events that an AND or IAND connection lets pass or stops", free=MOVED),
    "elem_add": Column(
        "arithmetic", "additions and subtractions of elementwise operations, sums, means and losses", price="add"
    ),
    "elem_mul": Column("arithmetic", "multiplications of elementwise operations, means and losses", price="mul"),
    "elem_div": Column("arithmetic", "divisions, priced as multiplications", price="mul"),
    "elem_compare": Column("arithmetic", "comparisons of ReLU and of maxima", price="compare"),
    "special": Column(
        "arithmetic", "exponentials, logarithms, tanh and logistic functions, roots and powers", price="special"
    ),
    # memory
    "weight_bytes": Column("memory", "bytes of weights, read anew for each accumulation: no reuse", free=BYTES),
    "weight_bytes_once": Column("memory", "bytes of weights, each read once a call: full reuse", "weight_bytes"),
    "spike_read_bytes": Column("memory", "bytes of spikes read as they are held, one a place", free=BYTES),
    "spike_write_bytes": Column("memory", "bytes of spikes written", free=BYTES),
    "analog_read_bytes": Column(
        "memory", "bytes of analog activations read by layers, neurons and pooling", free=BYTES
    ),
    "analog_write_bytes": Column("memory", "bytes of analog activations written", free=BYTES),
    "state_read_bytes": Column("memory", "bytes of membranes read", free=BYTES),
    "state_write_bytes": Column("memory", "bytes of membranes written", free=BYTES),
    # what the counts are made from
    "spikes": Column("activity", "spikes that neurons emitted", free=ACTIVITY),
    "places": Column("activity", "neurons x timesteps x samples: spikes / places is the firing rate", free=ACTIVITY),
    "events_in": Column(
        "activity", "entries that are not zero in the input of layers with weights and of products", free=ACTIVITY
    ),
    "places_in": Column("activity", "all entries in the input of layers with weights and of products", free=ACTIVITY),
    # a backward pass, on request
    "back_mac": Column(
        "backward",
        "multiply-accumulates: gradients of inputs (dense), and of weights under analog input",
        free=BACKWARD,
    ),
    "back_ac": Column(
        "backward", "accumulations into gradients of weights, one for each event and target", free=BACKWARD
    ),
    "back_add": Column("backward", "additions of backpropagation outside the layers with weights", free=BACKWARD),
    "back_mul": Column("backward", "multiplications of backpropagation outside the layers with weights", free=BACKWARD),
    "back_special": Column("backward", "evaluations of surrogate derivatives, sigmoids, exponentials", free=BACKWARD),
    # a step of an optimizer, on request
    "opt_add": Column("optimizer", "additions and subtractions of an optimizer's step", free=BACKWARD),
    "opt_mul": Column("optimizer", "multiplications of an optimizer's step, divisions among them", free=BACKWARD),
    "opt_special": Column("optimizer", "square roots of an optimizer's step", free=BACKWARD),
}
"""Every column, in the order of reports. An exact count has no other: an unknown name is refused."""

SCALING = frozenset(
    (
        "elem_add",
        "elem_mul",
        "elem_div",
        "pool_add",
        "pool_mul",
        "pool_mul_averaged",
        "w_select",
        "w_mul",
        "add_repeated",
    )
    + tuple(name for name, column in COLUMNS.items() if column.group in ("batch norm", "memory"))
)
"""Columns of operations that only move, add and scale entries: what they make of an input is still that input."""


def as_expected(name: object) -> str:
    """Return the sentence for a name that is no column, with the nearest one."""
    near = difflib.get_close_matches(str(name), COLUMNS, n=1, cutoff=0)
    return f"column: expected a name of snncore.opcount.columns.COLUMNS, such as {near[0]!r}, found {name!r}"
