"""The readings that decide what a run costs: one list, each with a sentence and a source."""

from dataclasses import dataclass

__all__ = ["CHOICES", "Choice"]


@dataclass(frozen=True)
class Choice:
    """A way to read the same run that a rule does not take, and that an auditor may.

    title: in a few words, for tables. text: what is then counted otherwise. source: who reads it so, or why it holds.
    """

    title: str
    text: str
    source: str


CHOICES: dict[str, Choice] = {
    "zeros": Choice(
        "zeros of analog input skipped",
        "A multiply-accumulate whose analog input is exactly zero is not executed.",
        "Han et al., EIE, ISCA 2016 (skips zero activations); NeuroBench counts synaptic operations so",
    ),
    "averaged": Choice(
        "averaged spikes as events",
        "A mean of spikes that is not zero is one event, accumulated once for each target; the scale of the mean moves "
        "into the weights after it.",
        "Rueckauer et al., Conversion of Continuous-Valued Deep Networks to Efficient Event-Driven Networks, Frontiers "
        "in Neuroscience 2017 (average pooling as a layer of spikes with fixed weights)",
    ),
    "static": Choice(
        "static input computed once",
        "The layer that sees an input from outside which is that of the timestep before, and the batch normalisation "
        "after it, run once and not at every timestep.",
        "Fang et al., Incorporating Learnable Membrane Time Constant, ICCV 2021 (the first convolution stands before "
        "the loop over time); Yao et al., Attention Spiking Neural Networks, 2023, count the first layer without T",
    ),
    "alpha": Choice(
        "alpha folded into the threshold",
        "The product of each membrane with alpha is done once, on the threshold: alpha u >= v is u >= v / alpha.",
        "algebra, for alpha above 0 and no weights between alpha and the threshold; a test of MLIF holds it",
    ),
    "shift": Choice(
        "decay by a shift",
        "A decay that is a power of two (or zero) is a shift of an integer, or a step of the exponent, not a product.",
        "IEEE 754: scaling by a power of two changes the exponent alone",
    ),
    "zero-weights": Choice(
        "zero weights skipped",
        "An operation whose weight is exactly zero is not executed: what a pruned network gains.",
        "Han et al., EIE, ISCA 2016 (stores no zero weights); NeuroBench leaves them out",
    ),
    "by-value": Choice(
        "graded events by value",
        "An event of value k is k accumulations, not one.",
        "the monitor of SpikingResformer (Shi et al., CVPR 2024) sums by value",
    ),
    "unfolded": Choice(
        "batch normalisation not folded",
        "Batch normalisation in evaluation is a product and an addition an entry, not folded into the weights.",
        "syops-counter and SpikingJelly's counters charge it so",
    ),
    "weights-kept": Choice(
        "weights read once a timestep",
        "Each weight of a layer is read at most once for each timestep and sample, and then kept.",
        "Chen, Emer and Sze, Eyeriss, ISCA 2016 (weight stationary and row stationary dataflows)",
    ),
    "sums-in-memory": Choice(
        "partial sums in memory",
        "Each accumulation also reads and writes the sum that it adds to.",
        "Lemaire et al., ICONIP 2022 (the potential is read and written for each spike and target)",
    ),
    "dram": Choice(
        "large layers in DRAM",
        "What is larger than the largest SRAM of the price table is in DRAM, and not in an SRAM of that size.",
        "Horowitz, ISSCC 2014 (an access to DRAM)",
    ),
}
"""By name. A rule hangs what each of them changes on its `snncore.energy.Reading`."""
