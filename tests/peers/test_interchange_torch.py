"""State dicts: SpikingJelly's networks with our weights and ours with theirs fire the same spikes, in evaluation."""

import numpy as np
import pytest

from misnet.interchange.files import read_weights, torch_bytes
from misnet.interchange.state import from_state_dict, state_dict_of
from misnet.models import spike_driven, spikformer
from misnet.models.concat_resnet import Config as ConcatConfig
from misnet.models.concat_resnet import build as concat
from misnet.models.sew_resnet import Config as SEWConfig
from misnet.models.sew_resnet import build as sew
from misnet.models.spiking_resnet import Config as SpikingConfig
from misnet.models.spiking_resnet import build as spiking
from snncore import Tensor, no_grad, observe
from snncore.interchange import InterchangeError
from tests.peers.test_resnets import neuron_settings, peers  # noqa: F401
from tests.snncore.interchange.networks import lively

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

T, N, SIZE, CLASSES = 3, 1, 8, 7
SWITCHES = {"streams": "visual", "size": SIZE, "timesteps": T, "classes": CLASSES}
RESNET = SWITCHES | {"stem": "imagenet"}
SMALL = SWITCHES | {"width": 16, "depth": 2, "attention_heads": 2}


def data():
    return np.random.default_rng(0).normal(size=(T, N, SIZE, SIZE, 3))


def ours(model):
    """(scores, spikes of each layer)"""
    trains = []
    with no_grad(), observe(lambda f, i, o: trains.append(o[0]) if f.spiking else None):
        scores = model.eval()(Tensor(data()))
    return scores["v"].data, trains


def theirs(net, base):
    from spikingjelly.activation_based import functional

    functional.set_step_mode(net, "m")
    functional.reset_net(net)
    trains, hooks = [], []
    for module in net.modules():
        if isinstance(module, base):
            hooks.append(module.register_forward_hook(lambda m, i, y: trains.append(y.numpy())))
    with torch.no_grad():
        y = net.eval()(torch.from_numpy(np.moveaxis(data(), -1, 2).copy()))
    for hook in hooks:
        hook.remove()
    return (y.mean(0) if y.ndim == 3 else y).numpy(), trains


def check_same(model, net, base):
    """Hold the scores to a part in 1e9, and the spikes equal where both have them in one order."""
    (found, trains), (expected, others) = ours(model), theirs(net, base)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert len(trains) == len(others)
    for s, other in zip(trains, others, strict=True):
        assert s.sum() == other.sum()
    if trains:
        assert 0.01 < np.mean([s.mean() for s in trains]) < 0.9
    assert abs(expected).max() > 0.01


def make(name, peers):  # noqa: F811
    """(our model, their network), in float64, with different weights."""
    if name == "sew-resnet18":
        settings = neuron_settings(peers) | {"cnf": "ADD", "num_classes": CLASSES}
        net = peers.sew.SEWResNet(peers.sew.BasicBlock, [1, 1, 1, 1], **settings)
        model = sew(SEWConfig(**RESNET, blocks=(1, 1, 1, 1)))
    else:
        from spikingjelly.activation_based.model.spike_driven_transformer import SpikeDrivenTransformer

        net = SpikeDrivenTransformer(
            T, 3, num_classes=CLASSES, embed_dims=16, num_heads=2, depths=2, pooling_stat="0011"
        )
        model = spike_driven.build(spike_driven.Config(**SMALL))
    return lively(model.astype(np.float64)), net.double()


def test_names_and_shapes_of_whole_resnets(peers):  # noqa: F811
    """Without a number: their networks are made on a device that has none."""
    settings, classes = neuron_settings(peers), {"num_classes": CLASSES}
    with torch.device("meta"):
        found = {
            "sew-resnet18": (sew(SEWConfig(**RESNET)), peers.sew.sew_resnet18(**classes, **settings, cnf="ADD")),
            "spiking-resnet18": (
                spiking(SpikingConfig(**RESNET)),
                peers.spiking.spiking_resnet18(**classes, **settings),
            ),
            "concat-resnet18": (
                concat(ConcatConfig(**RESNET)),
                peers.spiking.spiking_resnet18(**classes, spiking_neuron=torch.nn.ReLU),
            ),
        }
    for name, (model, net) in found.items():
        expected = {key: tuple(x.shape) for key, x in net.state_dict().items()}
        assert {key: x.shape for key, x in state_dict_of(model, name).items()} == expected, name


@pytest.mark.parametrize("name", ["sew-resnet18", "spike-driven-transformer"])
def test_there_and_back(name, peers, tmp_path):  # noqa: F811
    """Our weights there, by a strict load of a file; then weights of theirs here, biases of convolutions and all."""
    model, net = make(name, peers)
    base = peers.neuron.BaseNode
    path = tmp_path / "w.pt"
    path.write_bytes(torch_bytes(state_dict_of(model, name), {}, path))
    net.load_state_dict(torch.load(path, weights_only=True))  # strict: every name, every shape
    check_same(model, net, base)
    torch.manual_seed(1)
    with torch.no_grad():
        for key, x in net.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                x *= 1 + 0.2 * torch.rand_like(x)
            if key.endswith(".0.bias"):
                x += 0.1 * torch.rand_like(x)
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": x for k, x in net.state_dict().items()}}, path)
    arrays, _ = read_weights(path)
    model.load_state_dict(from_state_dict(model, name, arrays, "w.pt"))
    check_same(model, net, base)


def test_another_tau_or_threshold_is_another_network(peers):  # noqa: F811
    """What a state dict does not hold must be given as switches: the check above sees it where that is wrong."""
    model, net = make("spike-driven-transformer", peers)
    state = state_dict_of(model, "spike-driven-transformer")
    net.load_state_dict({k: torch.from_numpy(x) for k, x in state.items()})
    for switches in ({"tau": 2.5}, {"v_threshold": 0.9}, {"reset": "soft"}, {"decay_input": False}):
        other = spike_driven.build(spike_driven.Config(**SMALL | switches)).astype(np.float64)
        other.load_state_dict(from_state_dict(other, "spike-driven-transformer", state, "w"))
        with pytest.raises(AssertionError):
            check_same(other, net, peers.neuron.BaseNode)


def test_spikformer_by_the_twin_of_the_tests(peers):  # noqa: F811
    """The twin has the layers of the authors' code in its order; names aside, so has the state dict."""
    from tests.peers.transformer_twins import Spikformer

    model = lively(spikformer.build(spikformer.Config(**SMALL)).astype(np.float64))
    net = Spikformer(3, 16, 2, 2, 4, CLASSES).double()
    arrays = list(state_dict_of(model, "spikformer").values())
    state = net.state_dict()
    assert len(arrays) == len(state)
    net.load_state_dict(
        {k: torch.from_numpy(x).reshape(v.shape) for (k, v), x in zip(state.items(), arrays, strict=True)}
    )
    check_same(model, net, peers.neuron.BaseNode)


def test_what_is_no_state_dict_is_refused(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"weights": [1, 2]}, path)
    with pytest.raises(InterchangeError, match="expected a state dict, arrays by name, found dict"):
        read_weights(path)
    torch.save(torch.nn.Linear(2, 2), path)  # a whole module: reading it would run its code
    with pytest.raises(InterchangeError, match=r"expected a state dict of torch\.save and nothing but arrays"):
        read_weights(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InterchangeError, match=r"w.pt: expected a state dict of torch.save"):
        read_weights(path)
