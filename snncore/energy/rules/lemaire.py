"""Operations, addressing and memory: the analytical model of Lemaire et al. 2022."""

import math

from snncore.energy.prices import Prices
from snncore.energy.reading import Reading
from snncore.energy.rules.unread import note_unread
from snncore.opcount import Ops
from snncore.opcount.cost import Facts

__all__ = ["read_lemaire"]

WORD = 4  # bytes: weights, potentials and addresses of 32 bits
FIFO = 1000  # events that the queue between two layers holds


def read_lemaire(ops: Ops, prices: Prices) -> Reading:
    """E = operations + addressing + memory, layer by layer, from the spikes that really occurred.

    A spike into a convolution: Co * ceil(kh / sy) * ceil(kw / sx) additions; 2 multiply-accumulates and Co kh kw
    additions for addresses; Co kh kw weights read, and as many potentials read and written. Into a linear layer: Co of
    each. Neurons: a multiply-accumulate an entry for the leak, an addition a spike for the reset; each potential read
    and written a timestep. Analog input: dense multiply-accumulates, inputs and weights read for each. Biases: an
    addition and a word an output. Memories: 1,000 events, or one
    analog input, between layers; all weights of the layer; its potentials.
    Leaves out: batch normalisation (taken as folded), alpha and W, pooling, residual additions.
    Wrong where: at borders, where a spike reaches fewer outputs; with stride 2 and a 3x3 kernel, where ceil(3 / 2)^2 is
    4 though a spike reaches 1, 2 or 4; graded events count once. Source: Lemaire et al., An analytical estimation of
    spiking neural networks energy efficiency, ICONIP 2022, doi:10.1007/978-3-031-30105-6_48. Its prices are those of
    `horowitz-45nm-int32`; CLIF's calculating_energy.py takes the same memories with an interpolation that drops the
    base at each knot.
    """
    reading = Reading("lemaire")
    for layer, facts in ops.facts():
        if facts.kind in ("conv", "linear"):
            _weights(reading, layer, facts, prices)
        elif facts.kind == "neuron":
            potentials = _word_price(prices, facts.out_size / max(1, facts.cells))
            reading.charge(layer, "memory: potentials", 2 * facts.out_size, potentials)
            reading.charge(layer, "memory: in and out", facts.events, _word_price(prices, FIFO))
            _operations(reading, layer, "operations", facts.events, facts.out_size if facts.leak else 0, prices)
    note_unread(reading, ops)
    return reading


def _word_price(prices: Prices, words: float) -> float:
    """Price of a word from a memory that holds `words`."""
    return prices.sram_byte(words * WORD) * WORD


def _operations(reading: Reading, layer: str, part: str, adds: float, macs: float, prices: Prices) -> None:
    if part == "operations":
        reading.ac += adds
        reading.mac += macs
    reading.charge(layer, part, adds, prices.add)
    reading.charge(layer, part, macs, prices.mul + prices.add)


def _weights(reading: Reading, layer: str, facts: Facts, prices: Prices) -> None:
    window, co = math.prod(facts.kernel), facts.channels[1]
    dense = facts.out_size // max(1, co) * facts.weights
    reached = co // facts.groups  # channels of the output that one of the input goes into
    biases = facts.out_size if facts.bias else 0
    parameters = _word_price(prices, facts.weights + facts.bias)
    conv = facts.kind == "conv"
    if facts.spikes:
        reach = math.prod(-(-k // s) for k, s in zip(facts.kernel, facts.stride, strict=True))
        _operations(reading, layer, "operations", facts.events * reached * reach + biases, 0, prices)
        touched = facts.events * reached * window
        _operations(reading, layer, "addressing", touched, 2 * facts.events if conv else 0, prices)
        reading.charge(layer, "memory: in and out", facts.events, _word_price(prices, FIFO))
        reading.charge(layer, "memory: parameters", touched + biases, parameters)
        potentials = _word_price(prices, facts.out_size / max(1, facts.cells))
        reading.charge(layer, "memory: potentials", 2 * touched, potentials)
        return
    _operations(reading, layer, "operations", biases, dense, prices)
    addresses = facts.in_size + facts.out_size + (co * window * facts.cells if conv else 0)
    _operations(reading, layer, "addressing", addresses, 0, prices)
    inputs = _word_price(prices, facts.in_size / max(1, facts.cells))
    reading.charge(layer, "memory: in and out", dense if conv else facts.in_size, inputs)
    reading.charge(layer, "memory: parameters", dense + biases, parameters)
