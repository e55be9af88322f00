"""Networks of the engine as graphs of NIR: against NIR's equations in float64, and what cannot be written is named."""

import numpy as np
import pytest

from snncore import Tensor, nn, no_grad
from snncore import functions as F
from snncore.interchange import InterchangeError, network_of, read_graph, to_nir, write_nir
from tests.snncore.interchange.networks import convolutions, linears, lively
from tests.snncore.interchange.simulation import simulate

nir = pytest.importorskip("nir", reason="the extra nir is not installed")
T, N = 6, 3


def spikes(shape, seed=1):
    return (np.random.default_rng(seed).random((T, N, *shape)) < 0.5).astype(np.uint8)


def run(network, *xs):
    with no_grad():
        return network.eval()(*(Tensor(x) for x in xs))


@pytest.mark.parametrize("dt", [1e-4, 1e-3])
@pytest.mark.parametrize(("make", "shape"), [(convolutions, (8, 8, 2)), (linears, (6,))])
def test_a_network_is_its_graph(tmp_path, make, shape, dt):
    network, x = make(), spikes(shape)
    graph = to_nir(network, shape, dt)
    expected = run(network, x).data
    found = simulate(graph.nodes, np.moveaxis(x, -1, 2), dt)["output"]
    np.testing.assert_array_equal(found, expected)
    assert 0.1 < expected.mean() < 0.9
    write_nir(tmp_path / "g.nir", graph)
    back = network_of(read_graph(tmp_path / "g.nir"), dt)
    np.testing.assert_array_equal(run(back, x).data, expected)


@pytest.mark.parametrize("name", ["tau", "r", "v_threshold", "v_reset"])
def test_a_wrong_setting_is_another_network(tmp_path, name):
    network, x = convolutions(), spikes((8, 8, 2))
    graph = to_nir(network, (8, 8, 2))
    node = next(n for n in graph.nodes.values() if type(n).__name__ == "LIF")
    setattr(node, name, 1.2 * getattr(node, name) - (name == "v_reset") * 0.3)
    write_nir(tmp_path / "g.nir", graph)
    assert (run(network_of(read_graph(tmp_path / "g.nir")), x).data != run(network, x).data).any()


def test_settings_of_neurons_are_those_of_nirs_equations():
    """tau dv/dt = v_leak - v + R I in steps of dt is v = decay v + c for tau = dt / (1 - decay), R = tau / dt."""
    lif = to_nir(nn.Sequential(nn.LIF(decay=0.75, v_threshold=0.6, v_reset=-0.2)), (3,), dt=1e-3).nodes["0"]
    plain = to_nir(nn.Sequential(nn.IF(v_threshold=2.0, v_reset=0.0)), (3,), dt=1e-3).nodes["0"]
    found = {name: getattr(lif, name) for name in ("tau", "r", "v_leak", "v_threshold", "v_reset")}
    for name, value in {"tau": 4e-3, "r": 4.0, "v_leak": 0.0, "v_threshold": 0.6, "v_reset": -0.2}.items():
        np.testing.assert_allclose(found[name], np.full(3, value), rtol=1e-12)
    np.testing.assert_allclose(plain.r, np.full(3, 1e3), rtol=1e-12)
    np.testing.assert_array_equal(plain.v_threshold, np.full(3, 2.0))


class Branches(nn.Module):
    """Two inputs joined along the channels, a shortcut of spikes, and a mean over time at the end."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.a = nn.Conv2d(5, 4, 3, padding=1, bias=False, rng=rng)
        self.bn, self.lif = nn.BatchNorm(4), nn.LIF(v_threshold=0.5, v_reset=0.0)
        self.group = nn.GroupedConv2d(4, 4, 3, padding=2, dilation=2, groups=2, rng=rng)
        self.more = nn.IF(v_threshold=0.7, v_reset=0.0)
        self.join, self.mean = F.SEW("add"), nn.GlobalAvgPool()
        self.head = nn.Linear(8, 3, rng=rng)

    def forward(self, x, y):
        s = self.lif(self.a(F.Concat(-1)(x, y)), self.bn)
        o = self.join(self.more(self.group(s)), s)
        return {"scores": self.head(F.Concat(-1)(self.mean(o), self.mean(s))).mean(0)}


def test_sums_joined_channels_and_the_mean_over_time(tmp_path):
    network = lively(Branches())
    x, y = spikes((4, 6, 2), 1), spikes((4, 6, 3), 2)
    graph = to_nir(network, {"x": (4, 6, 2), "y": (4, 6, 3)})
    assert {tuple(sorted(a for a, b in graph.edges if b == name)) for name in ("a", "a_2")} == {("x",), ("y",)}
    assert graph.nodes["scores"].metadata == {"averaged_over_time": "yes"}
    write_nir(tmp_path / "g.nir", graph)
    back = network_of(read_graph(tmp_path / "g.nir"))
    assert back.inputs == ["x", "y"]
    expected = run(network, x, y)["scores"].data
    np.testing.assert_allclose(run(back, x, y).data.mean(0), expected, rtol=1e-5, atol=1e-6)
    assert abs(expected).max() > 0.1
    with pytest.raises(ValueError, match="expected 2 inputs, x, y, found 3"):
        run(back, x, y, y)


def test_writing_leaves_the_network_as_it_was():
    network = convolutions().train()
    before = network.state_dict(copy=True)
    graph = to_nir(network, (8, 8, 2))
    assert all(module.training for module in network.modules())
    for node in graph.nodes.values():
        if hasattr(node, "weight"):
            node.weight += 1
    assert all((before[name] == x).all() for name, x in network.state_dict().items())


class Twice(nn.Module):
    def __init__(self):
        self.lif = nn.LIF(v_reset=0.0)

    def forward(self, x):
        s = self.lif(x)
        return s + s


class Joined(nn.Module):
    def __init__(self):
        self.a, self.b = nn.IF(v_reset=0.0), nn.LIF(v_reset=0.0)

    def forward(self, x):
        return F.SEW("iand")(self.a(x), self.b(x))


REFUSED = {
    "0 (LIF: it resets to a value, and a soft reset subtracts": nn.Sequential(nn.LIF()),
    "0 (PLIF: it resets to a value": nn.Sequential(nn.PLIF()),
    "0 (CLIF: its second membrane has no node)": nn.Sequential(nn.CLIF()),
    "0 (MaxPool2d: no node takes a maximum": nn.Sequential(nn.MaxPool2d(2)),
    "0 (BatchNorm: no convolution or linear layer of its own comes before it": nn.Sequential(nn.BatchNorm(2)),
    "1 (ReLU: no node is without time": nn.Sequential(nn.Conv2d(2, 3), nn.ReLU()),
    "0 (Linear: it runs over pixels or tokens": nn.Sequential(nn.Linear(2, 3)),
    "(SEW: only the connection add is a sum": Joined(),
    "(Add: the same layer is added twice": Twice(),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_written_is_named_with_the_reason(words):
    with pytest.raises(InterchangeError) as error:
        to_nir(REFUSED[words], (4, 4, 2))
    assert words in str(error.value)


def test_one_message_tells_of_all_layers_of_a_kind():
    layers = [layer for _ in range(5) for layer in (nn.Conv2d(2, 2, 1), nn.LIF())]
    network = nn.Sequential(*layers, nn.MaxPool2d(2))
    with pytest.raises(InterchangeError) as error:
        to_nir(network, (4, 4, 2))
    assert "cannot hold 1, 3, 5 and 2 more (LIF: " in str(error.value)
    assert "; 10 (MaxPool2d: " in str(error.value)


def test_an_mlif_is_named():
    class Two(nn.Module):
        def __init__(self):
            self.mlif = nn.MLIF(v_reset=0.0)

        def forward(self, x):
            return self.mlif(x, x)[0]

    with pytest.raises(InterchangeError, match=r"mlif \(MLIF: its two trains share a neuron"):
        to_nir(Two(), (4, 4, 2))


def test_what_nir_itself_refuses(tmp_path):
    """Kernels that are not square: nir 1.0.8 finds the wrong shape behind them, and no reader would take the file."""
    network = nn.Sequential(nn.Conv2d(2, 3, (3, 2)), nn.LIF(v_reset=0.0))
    try:
        graph = to_nir(network, (6, 6, 2))
    except InterchangeError as error:
        assert "the package nir refuses the graph" in str(error)  # noqa: PT017
    else:  # a later version, which knows better
        write_nir(tmp_path / "g.nir", graph)
        assert read_graph(tmp_path / "g.nir").nodes


def test_files_that_cannot_be_written_or_read(tmp_path, monkeypatch):
    graph = to_nir(linears(), (6,))
    with pytest.raises(InterchangeError, match=r"nowhere.g\.nir: cannot be written: No such file"):
        write_nir(tmp_path / "nowhere" / "g.nir", graph)
    graph.edges.append(("0", "nobody"))
    write_nir(tmp_path / "g.nir", graph)
    with pytest.raises(InterchangeError, match="expected edges between its nodes, found one of 'nobody'"):
        read_graph(tmp_path / "g.nir")
    graph.edges.pop()
    graph.nodes["0"].weight[0, 0] = np.nan
    write_nir(tmp_path / "g.nir", graph)
    with pytest.raises(InterchangeError, match="its weight is not finite"):
        network_of(read_graph(tmp_path / "g.nir"))
    whole = (tmp_path / "g.nir").read_bytes()
    for cut in (0, 100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "g.nir").write_bytes(whole[:cut])
        with pytest.raises(InterchangeError, match=r"g\.nir: expected a file of NIR, found none"):
            read_graph(tmp_path / "g.nir")
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(InterchangeError, match=r'needs the package nir.*pip install -e "\.\[nir\]"'):
        to_nir(linears(), (6,))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="dt: expected seconds above 0, found 0"):
        to_nir(linears(), (6,), dt=0)
