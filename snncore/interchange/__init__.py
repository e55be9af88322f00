"""Networks and their weights to other formats, and from them: NIR, PyTorch's layout of arrays, NumPy's archives."""

from snncore.interchange.error import InterchangeError
from snncore.interchange.nir_graph import Graph, Node, read_graph
from snncore.interchange.nir_load import weights_of_graph
from snncore.interchange.nir_network import DT, GraphNetwork, network_of
from snncore.interchange.nir_write import to_nir, write_nir
from snncore.interchange.torch_layout import from_torch_layout, in_torch_layout

__all__ = [
    "DT",
    "Graph",
    "GraphNetwork",
    "InterchangeError",
    "Node",
    "from_torch_layout",
    "in_torch_layout",
    "network_of",
    "read_graph",
    "to_nir",
    "weights_of_graph",
    "write_nir",
]
