"""A graph of NIR that SpikingJelly writes runs here spike for spike as there, and back."""

import numpy as np
import pytest

pytest.importorskip("nir")
pytest.importorskip("nirtorch")
torch = pytest.importorskip("torch")
exchange = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402

from snncore import Tensor, no_grad  # noqa: E402
from snncore.interchange import network_of, read_graph  # noqa: E402

T, N, DT = 6, 2, 1e-4


def test_a_network_of_spikingjelly_runs_as_it_does_there(tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1),
        neuron.LIFNode(tau=2.0, v_threshold=0.3, v_reset=0.0),
        layer.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
        neuron.IFNode(v_threshold=0.4, v_reset=0.0),
        layer.AvgPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(6 * 2 * 2, 5),
        neuron.LIFNode(tau=3.0, v_threshold=0.1, v_reset=0.0, decay_input=False),
    ).eval()
    x = torch.randint(0, 2, (T, N, 2, 8, 8)).float()
    graph = exchange.export_to_nir(net, x[0], dt=DT, save_path=str(tmp_path / "g.nir"))
    assert len(graph.nodes) >= 8
    functional.reset_net(net)
    with torch.no_grad():
        expected = torch.stack([net(step) for step in x]).numpy()
    network = network_of(read_graph(tmp_path / "g.nir"), DT)
    spikes = np.ascontiguousarray(np.moveaxis(x.numpy(), 2, -1)).astype(np.uint8)
    with no_grad():
        found = network(Tensor(spikes)).data
    np.testing.assert_array_equal(found, expected)
    assert 0.05 < expected.mean() < 0.95
