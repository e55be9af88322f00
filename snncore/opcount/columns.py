"""The columns of an operation count: what each means, and which are other readings of the same operations."""

from dataclasses import dataclass

__all__ = ["COLUMNS", "Column"]


@dataclass(frozen=True)
class Column:
    """One kind of operation.

    group: what it belongs to. reading: the column (or columns) of which this one is another reading: never add both.
    """

    group: str
    text: str
    reading: str = ""


COLUMNS: dict[str, Column] = {
    # weights applied to events and to analog values
    "ac_binary": Column("synapse", "accumulations of a weight, one for each event of value 1 and target"),
    "ac_graded": Column("synapse", "accumulations for events above 1, one for each event and target"),
    "ac_graded_by_value": Column("synapse", "the same, an event of value k as k accumulations", "ac_graded"),
    "mac": Column("synapse", "multiply-accumulates of analog input, zeros included, taps inside the image only"),
    "mac_nonzero": Column("synapse", "those of them whose input is not zero", "mac"),
    "bias_add": Column("synapse", "additions of a bias"),
    "dense_mac": Column("dense", "multiply-accumulates of the same layer in a dense network", "ac_*, mac"),
    "dense_mac_padded": Column("dense", "the same, taps on the padding counted as others count them", "ac_*, mac"),
    "bn_mul": Column("batch norm", "multiplications by gamma / sqrt(var + eps)"),
    "bn_add": Column("batch norm", "additions of beta - mean * gamma / sqrt(var + eps)"),
    "bn_folded_add": Column("batch norm", "what is left when folded into the weights (evaluation)", "bn_mul, bn_add"),
    "bn_stat_mul": Column("batch norm", "multiplications for the statistics of the batch (training)"),
    "bn_stat_add": Column("batch norm", "additions for the statistics of the batch (training)"),
    # neurons
    "leak_mul": Column("neuron", "multiplications of a membrane by its decay"),
    "charge_add": Column("neuron", "additions of a current to a membrane"),
    "compare": Column("neuron", "comparisons with the threshold"),
    "reset_add": Column("neuron", "subtractions of the threshold, one for each spike (soft reset)"),
    "reset_set": Column("neuron", "assignments of the reset value, one for each spike (hard reset)"),
    "neuron_mul": Column("neuron", "other multiplications in a neuron (CLIF)"),
    "neuron_add": Column("neuron", "other additions in a neuron (CLIF, PLIF)"),
    "neuron_special": Column("neuron", "sigmoids in a neuron (CLIF, PLIF)"),
    "w_select": Column("mlif", "events of value 1 on a spatial weight W: it is picked, nothing is computed"),
    "w_mul": Column("mlif", "multiplications by the spatial weight W: graded events, or analog input"),
    "alpha_mul": Column("mlif", "multiplications of a membrane by alpha before it is compared"),
    # the rest of a network
    "pool_compare": Column("pooling", "comparisons of max pooling"),
    "pool_add": Column("pooling", "additions of average pooling: one for each event, or n - 1 analog ones a window"),
    "pool_mul": Column("pooling", "scalings of average pooling"),
    "residual_add": Column("residual", "additions of two spike trains, where both have an event"),
    "residual_logic": Column("residual", "events that an AND or IAND connection lets pass or stops"),
    "elem_add": Column("arithmetic", "additions and subtractions of elementwise operations, sums, means and losses"),
    "elem_mul": Column("arithmetic", "multiplications of elementwise operations, means and losses"),
    "elem_div": Column("arithmetic", "divisions"),
    "elem_compare": Column("arithmetic", "comparisons of ReLU and of maxima"),
    "special": Column("arithmetic", "exponentials and logarithms"),
    # memory
    "weight_bytes": Column("memory", "bytes of weights, read anew for each accumulation: no reuse"),
    "weight_bytes_once": Column("memory", "bytes of weights, each read once a call: full reuse", "weight_bytes"),
    "spike_read_bytes": Column("memory", "bytes of spikes read as they are held, one a place"),
    "spike_write_bytes": Column("memory", "bytes of spikes written"),
    "analog_read_bytes": Column("memory", "bytes of analog activations read by layers, neurons and pooling"),
    "analog_write_bytes": Column("memory", "bytes of analog activations written"),
    "state_read_bytes": Column("memory", "bytes of membranes read"),
    "state_write_bytes": Column("memory", "bytes of membranes written"),
    # what the counts are made from
    "spikes": Column("activity", "spikes that neurons emitted"),
    "places": Column("activity", "neurons x timesteps x samples: spikes / places is the firing rate"),
    "events_in": Column("activity", "entries that are not zero in the input of layers with weights"),
    "places_in": Column("activity", "all entries in the input of layers with weights"),
    # a backward pass, on request
    "back_mac": Column(
        "backward", "multiply-accumulates: gradients of inputs (dense), and of weights under analog input"
    ),
    "back_ac": Column("backward", "accumulations into gradients of weights, one for each event and target"),
    "back_add": Column("backward", "additions of backpropagation outside the layers with weights"),
    "back_mul": Column("backward", "multiplications of backpropagation outside the layers with weights"),
    "back_special": Column("backward", "evaluations of surrogate derivatives, sigmoids, exponentials"),
}
"""Every column, in the order of reports. An exact count has no other: an unknown name is refused."""
