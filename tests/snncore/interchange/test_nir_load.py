"""Weights of a graph in a network of the same nodes; any other graph is refused, with the node and what differs."""

import numpy as np
import pytest

from snncore import Tensor, nn, no_grad
from snncore.interchange import InterchangeError, to_nir, weights_of_graph, write_nir
from tests.snncore.interchange.networks import convolutions, linears, lively
from tests.snncore.interchange.test_nir_write import Branches, spikes

nir = pytest.importorskip("nir", reason="the extra nir is not installed")
SHAPE = (8, 8, 2)


def scores(network, *xs):
    with no_grad():
        return network.eval()(*(Tensor(x) for x in xs))


def fresh(seed=5):
    """The network with other weights."""
    network, rng = convolutions(), np.random.default_rng(seed)
    for p in network.parameters():
        if p.data.ndim:
            p.data[...] = rng.normal(0, 1, p.shape)
    return network


@pytest.mark.parametrize("names", ["ours", "others"])
def test_weights_come_back(tmp_path, names):
    network, other, x = convolutions(), fresh(), spikes(SHAPE)
    network[9].w.data[...] = 0.3  # a PLIF has learned
    graph = to_nir(network, SHAPE)
    if names == "others":
        new = {name: f"n{k}" for k, name in enumerate(reversed(list(graph.nodes)))}
        graph = nir.NIRGraph(
            {new[n]: node for n, node in graph.nodes.items()}, [(new[a], new[b]) for a, b in graph.edges]
        )
    write_nir(tmp_path / "g.nir", graph)
    expected = scores(network, x).data
    assert (scores(other, x).data != expected).any()
    other.load_state_dict(weights_of_graph(other, SHAPE, tmp_path / "g.nir"))
    np.testing.assert_array_equal(scores(other, x).data, expected)
    assert other[9].w.data == pytest.approx(0.3, abs=1e-6)


def test_weights_of_joined_channels_and_of_groups_come_back(tmp_path):
    network, other = lively(Branches()), lively(Branches(), seed=9)
    for p in other.parameters():
        p.data[...] = 1
    shapes = {"x": (4, 6, 2), "y": (4, 6, 3)}
    write_nir(tmp_path / "g.nir", to_nir(network, shapes))
    other.load_state_dict(weights_of_graph(other, shapes, tmp_path / "g.nir"))
    x = (spikes((4, 6, 2), 1), spikes((4, 6, 3), 2))
    found, expected = (scores(n, *x)["scores"].data for n in (other, network))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def changed(what):
    """A graph of the network with one thing that is another."""
    graph = to_nir(convolutions(), SHAPE)
    lif = graph.nodes["2"]
    if what in ("tau", "v_threshold", "v_reset", "r"):
        setattr(lif, what, getattr(lif, what) * 1.01 + (what == "v_reset") * 0.1)
    elif what == "stride":
        graph.nodes["4"].stride = (1, 2)
    elif what == "weights":
        graph.nodes["7"].weight = graph.nodes["7"].weight[:, :-1]
    elif what == "kind":
        graph.nodes["3"] = nir.SumPool2d(*(np.array(n) for n in ((2, 2), (2, 2), (0, 0))))
    elif what == "nan":
        graph.nodes["7"].weight[0] = np.nan
    return graph


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("tau", r"node 2: tau: the network has 0\.00025, the graph 0\.0002525"),
        ("r", r"node 2: r: the network has 2\.5, the graph 2\.525"),
        ("v_threshold", r"node 2: v_threshold: the network has 0\.6, the graph 0\.606"),
        ("v_reset", r"node 2: v_reset: the network has 0, the graph 0\.1"),
        ("stride", r"node 4: expected kernel, stride, padding, dilation .* found .*\(1, 2\)"),
        ("kind", "node 3: expected AvgPool2d, found SumPool2d"),
        ("nan", "expected finite weights of 7, found others"),
    ],
)
def test_what_differs_is_named(tmp_path, what, words):
    nir.write(tmp_path / "g.nir", changed(what))
    with pytest.raises(InterchangeError, match=words):
        weights_of_graph(convolutions(), SHAPE, tmp_path / "g.nir")


def test_a_graph_of_another_network(tmp_path):
    write_nir(tmp_path / "g.nir", to_nir(linears(), (6,)))
    with pytest.raises(InterchangeError, match=r"g\.nir: expected the nodes of the network, 10 of them, found 4 names"):
        weights_of_graph(convolutions(), SHAPE, tmp_path / "g.nir")
    wider = nn.Sequential(nn.Linear(6, 16, bias=False), nn.LIF(v_reset=0.0))
    write_nir(tmp_path / "g.nir", to_nir(wider, (6,)))
    narrow = nn.Sequential(nn.Linear(6, 8, bias=False), nn.LIF(v_reset=0.0))
    with pytest.raises(InterchangeError, match=r"node 0: expected weights \(8, 6\), found \(16, 6\)"):
        weights_of_graph(narrow, (6,), tmp_path / "g.nir")
