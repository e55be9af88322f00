"""One layer of a layer table: what it is, how large, what its input is and how often that fires."""

from dataclasses import dataclass
from fractions import Fraction

__all__ = [
    "COLUMNS",
    "DECAYS",
    "KINDS",
    "LARGEST",
    "NEURONS",
    "POOLS",
    "TEMPLATE",
    "WEIGHTED",
    "Pair",
    "Rate",
    "Row",
    "TableError",
    "Values",
]

WEIGHTED = ("conv", "depthwise", "linear", "matmul")
NEURONS = ("lif", "if", "plif", "clif", "mlif", "li")
POOLS = ("max_pool", "avg_pool", "sum_pool", "global_avg_pool")
KINDS = (*WEIGHTED, *POOLS, "batch_norm", *NEURONS, "residual")
"""What a layer can be. `li` is a leaky integrator that never fires: a readout, or the current of a synapse."""

DECAYS = {"plif": 0.6}
"""Decays of kinds whose default is not 0.5; no power of two, since what is learnt is hardly a shift."""

COLUMNS = {
    "name": "of the layer, each once",
    "kind": f"one of {', '.join(KINDS)}",
    "in_channels": "channels or features of the input; of matmul, the entries that each product sums over",
    "out_channels": "of a layer with weights; of depthwise, in_channels if it is empty; of matmul, the columns",
    "size": "of the input, height x width: 32x16; of convolutions and pooling, 32 is 32x32; of linear, 196 is tokens, "
    "which are 196x1 elsewhere; of matmul, the rows; empty: a vector",
    "kernel": "3 or 3x5; empty: 3 of a convolution, 2 of pooling",
    "stride": "empty: 1 of a convolution, the kernel of pooling",
    "padding": "empty: of a convolution what keeps the size at stride 1, (kernel - 1) / 2 x dilation; of pooling 0",
    "dilation": "empty: 1",
    "groups": "of a convolution; of matmul, products side by side (heads); empty: 1",
    "bias": "yes or no; empty: no",
    "timesteps": "of this layer, such as 1 for a first layer that runs once on a still image; empty: of the network",
    "values": "of the input: binary, graded V (integers up to V), averaged (means of spikes), analog",
    "rate": "share of the input that is not zero; of averaged, its mean; of a neuron, the spikes that it fires",
    "values_other": "the same for the other input: of a residual, or the right side of matmul (empty: analog there)",
    "rate_other": "the same; of mlif, of the spikes that come in",
    "reset": "of a neuron: soft or hard; empty: soft",
    "decay": "of a neuron that leaks: what its membrane keeps at a timestep, 1 - 1 / tau; empty: 0.5, of plif 0.6",
    "input": "outside: data; still: data alike at all timesteps; inside: what layers made; empty: outside up to the "
    "first layer with weights",
    "repeat": "so many layers like this; empty: 1",
    "recording": "array of --spikes with the input (of a neuron: what it fires); empty: the name, if there is one",
    "recording_other": "array of --spikes with the other input",
    "layout": "axes of the recording, such as TNCHW; empty: of --layout",
}
"""The columns of a table, with what an empty cell means. `name` and `kind` are needed, others where a kind has them."""

TEMPLATE = (
    "\n".join(
        [
            "# A layer a line; lines that begin with # are comments. Columns may come in any order, and those that are",
            "# not needed may be left out. A rate is a number (0.13, 13 %) or a range (9.5 - 14 %).",
            *(f"# {name}: {text}" for name, text in COLUMNS.items()),
            "name,kind,in_channels,out_channels,size,kernel,stride,padding,groups,bias,values,rate,rate_other",
            "conv1,conv,3,64,32,3,1,1,,no,analog,,",
            "bn1,batch_norm,64,,32x32,,,,,,,,",
            "lif1,lif,64,,32x32,,,,,,,12 %,",
            "conv2,conv,64,64,32,3,1,1,,no,binary,12 %,",
            "lif2,lif,64,,32x32,,,,,,,8 - 10 %,",
            "sew,residual,64,,32x32,,,,,,,8 - 10 %,12 %",
            "pool,max_pool,64,,32,2,2,0,,,graded 2,15 - 20 %,",
            "conv3,depthwise,64,64,16,3,1,1,,no,graded 2,30 - 40 %,",
            "lif3,lif,64,,16x16,,,,,,,5 %,",
            "fc,linear,16384,10,,,,,,yes,binary,5 %,",
        ]
    )
    + "\n"
)
"""A table that can be read as it stands."""

Pair = tuple[int, int]
LARGEST = 2**31  # entries of one layer: more is a slip of the pen


class TableError(ValueError):
    """A table, a recording or a graph that cannot be taken: names the file, the place, what was found, what is due."""


@dataclass(frozen=True)
class Rate:
    """A share of entries, as exact fractions. low and high are equal where one number is given."""

    low: Fraction
    high: Fraction


@dataclass(frozen=True)
class Values:
    """What the entries of an input are. kind: binary, graded, averaged or analog. top: the largest, of graded."""

    kind: str
    top: int = 1

    @property
    def events(self) -> bool:
        """Whether they are integers, which accumulate."""
        return self.kind in ("binary", "graded")


@dataclass(frozen=True)
class Row:
    """One layer; None where a cell is empty and its default is not in the table. line: where it stands in the file."""

    line: int
    name: str
    kind: str
    channels: Pair
    size: tuple[int, ...] = ()
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False
    timesteps: int | None = None
    values: Values | None = None
    rate: Rate | None = None
    values_other: Values | None = None
    rate_other: Rate | None = None
    reset: str = "soft"
    decay: float = 0.5
    still: bool = False
    outside: bool | None = None
    repeat: int = 1
    recording: str | None = None
    recording_other: str | None = None
    layout: str | None = None

    @property
    def weighted(self) -> bool:
        """Whether it applies weights, or is a product."""
        return self.kind in WEIGHTED

    @property
    def neuron(self) -> bool:
        """Whether its rate is that of the spikes which it fires."""
        return self.kind in NEURONS

    @property
    def two(self) -> bool:
        """Whether it has two inputs."""
        return self.kind in ("residual", "mlif") or (self.kind == "matmul" and self.other_events)

    @property
    def other_events(self) -> bool:
        """Whether the right side of a product is events as well."""
        return self.rate_other is not None or self.values_other is not None or self.recording_other is not None
