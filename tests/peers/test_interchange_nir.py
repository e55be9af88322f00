"""Graphs of NIR that are written here run in SpikingJelly and snnTorch with the same spikes, and theirs here."""

import numpy as np
import pytest

nir = pytest.importorskip("nir", reason="the extra peers is not installed")
pytest.importorskip("nirtorch", reason="the extra peers is not installed")
torch = pytest.importorskip("torch", reason="the extra peers is not installed")
exchange = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
snntorch = pytest.importorskip("snntorch", reason="the extra peers is not installed")

from misnet.interchange.graph import shapes_of  # noqa: E402
from misnet.models.sew_resnet import Config, build  # noqa: E402
from snncore import Tensor, nn, no_grad, observe  # noqa: E402
from snncore.interchange import network_of, read_graph, to_nir, write_nir  # noqa: E402
from tests.snncore.interchange.networks import convolutions, linears, lively  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
T, N = 8, 3


def events(shape, rate=0.5):
    return (np.random.default_rng(1).random((T, N, *shape)) < rate).astype(np.uint8)


def ours(network, x):
    with no_grad():
        return network.eval()(Tensor(x))


def channels_first(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 2))).float()


def in_spikingjelly(path, x):
    """Its output of every timestep, the state handed on."""
    net, state, made = exchange.import_from_nir(path).eval(), None, []
    with torch.no_grad():
        for step in channels_first(x) if x.ndim == 5 else torch.from_numpy(x).float():
            y, state = net(step, state)
            made.append(y)
    return torch.stack(made).numpy()


def in_snntorch(path, x):
    """The same; its convolutions take one sample at a time, as its Flatten knows of no batch."""
    from snntorch.import_nir import import_from_nir

    samples = []
    for n in range(x.shape[1]):
        net, made, state = import_from_nir(nir.read(path)), [], None
        with torch.no_grad():
            for step in channels_first(x) if x.ndim == 5 else torch.from_numpy(x).float():
                y, state = net(step[n : n + 1], state)
                made.append(y[0])
        samples.append(torch.stack(made))
    return torch.stack(samples, 1).numpy()


def test_convolutions_and_neurons_in_spikingjelly(tmp_path):
    network, x = convolutions(), events((8, 8, 2))
    write_nir(tmp_path / "g.nir", to_nir(network, (8, 8, 2)))
    expected = ours(network, x).data
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(in_spikingjelly(tmp_path / "g.nir", x), expected)


@pytest.mark.parametrize("setting", ["tau", "v_threshold", "r"])
def test_a_wrong_setting_is_seen_there(tmp_path, setting):
    network, x = convolutions(), events((8, 8, 2))
    graph = to_nir(network, (8, 8, 2))
    node = next(n for n in graph.nodes.values() if isinstance(n, nir.LIF))
    if setting == "r":  # R = 1 is a neuron that divides its current by tau
        node.r = np.ones_like(node.r)
    else:
        setattr(node, setting, 1.2 * getattr(node, setting))
        node.r = node.tau / 1e-4
    write_nir(tmp_path / "g.nir", graph)
    assert (in_spikingjelly(tmp_path / "g.nir", x) != ours(network, x).data).any()


def test_sums_of_spikes_in_spikingjelly(tmp_path):
    """A residual network: edges that meet in one node are added there as the SEW connection adds here."""
    config = Config(streams="visual", size=8, timesteps=T, classes=5, channels=(4, 6), blocks=(1, 1))
    model = lively(build(config))
    write_nir(tmp_path / "g.nir", to_nir(model, shapes_of(model)))
    x = np.random.default_rng(2).normal(size=(T, N, 8, 8, 3)).astype(np.float32)
    trains = []
    with observe(lambda f, i, o: trains.append(o[0].mean()) if f.spiking else None):
        expected = ours(model, x)["v"].data
    assert min(trains) > 0.02
    found = in_spikingjelly(tmp_path / "g.nir", x).mean(0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert abs(expected).max() > 0.1


@pytest.mark.parametrize("make", [linears, convolutions])
def test_networks_in_snntorch(tmp_path, capsys, make):
    """Without IF, which its reader takes for a leaky neuron, and with a reset to 0, as it knows no other."""
    network = make(neuron=lambda **settings: nn.LIF(**settings | {"v_reset": 0.0, "tau": 2.5}))
    shape = (8, 8, 2) if make is convolutions else (6,)
    x = events(shape)
    write_nir(tmp_path / "g.nir", to_nir(network, shape))
    expected = ours(network, x).data
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(in_snntorch(tmp_path / "g.nir", x), expected)


def test_a_network_of_snntorch_here(tmp_path, capsys):
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(0)
    leaky = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 16),
        snntorch.Leaky(beta=torch.full((16,), 0.8), threshold=torch.full((16,), 0.3), **leaky),
        torch.nn.Linear(16, 5),
        snntorch.Leaky(beta=torch.full((5,), 0.6), threshold=torch.full((5,), 0.1), **leaky, output=True),
    )
    x = events((6,))
    graph = export_to_nir(net, torch.zeros(1, 6), ignore_dims=[0])
    nir.write(tmp_path / "g.nir", graph)
    for layer in (net[1], net[3]):
        layer.reset_hidden()
    with torch.no_grad():
        expected = torch.stack([net(step)[0] for step in torch.from_numpy(x).float()]).numpy()
    assert 0.1 < expected.mean() < 0.9
    found = ours(network_of(read_graph(tmp_path / "g.nir")), x).data
    np.testing.assert_array_equal(found, expected)
