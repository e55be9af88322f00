"""SpikingJelly's ResNets with our weights: the same spikes, scores and gradients in float64, away from ties."""

import sys
import types

import numpy as np
import pytest

from misnet.models.concat_resnet import Config as ConcatConfig
from misnet.models.concat_resnet import build as concat
from misnet.models.sew_resnet import Config as SEWConfig
from misnet.models.sew_resnet import build as sew
from misnet.models.spiking_resnet import Config as SpikingConfig
from misnet.models.spiking_resnet import build as spiking
from snncore import Tensor, nn, observe
from snncore import functions as F

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")

T, N, SIZE, CLASSES = 3, 2, 17, 7


@pytest.fixture(scope="module")
def peers():
    """SpikingJelly's modules; its models ask torchvision for a way to download weights, and for nothing else."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torchvision"}
    for name in before:
        del sys.modules[name]
    stub = types.ModuleType("torchvision._internally_replaced_utils")
    stub.load_state_dict_from_url = None
    package = types.ModuleType("torchvision")
    package.__path__ = []
    sys.modules |= {"torchvision": package, stub.__name__: stub}
    from spikingjelly.activation_based import functional, neuron, surrogate
    from spikingjelly.activation_based.model import sew_resnet, spiking_resnet

    del sys.modules["torchvision"], sys.modules[stub.__name__]
    sys.modules |= before
    return types.SimpleNamespace(
        functional=functional, neuron=neuron, surrogate=surrogate, sew=sew_resnet, spiking=spiking_resnet
    )


def pairs(ours, theirs):
    """(our layer, their layer) for all that have weights: both networks hold them in one order."""
    kinds = (nn.Conv2d, nn.BatchNorm, nn.Linear)
    a = [module for module in ours.modules() if isinstance(module, kinds)]
    b = [m for m in theirs.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.Linear)]
    return list(zip(a, b, strict=True))


def as_theirs(layer, x):
    """One of our parameters, or its gradient, in the layout of torch."""
    axes = {nn.Conv2d: (3, 2, 0, 1), nn.Linear: (1, 0)}.get(type(layer), ())
    return x.transpose(axes) if x.ndim > 1 else x


def copy_weights(ours, theirs):
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for a, b in pairs(ours, theirs):
            if isinstance(a, nn.BatchNorm):  # away from ones and zeros
                a.weight.data += rng.uniform(-0.2, 0.6, a.weight.shape)
                a.bias.data += rng.uniform(-0.2, 0.2, a.bias.shape)
            b.weight.copy_(torch.from_numpy(as_theirs(a, a.weight.data).copy()))
            if a.bias is not None:
                b.bias.copy_(torch.from_numpy(a.bias.data.copy()))


def run_ours(model, x, labels):
    trains = []
    with observe(lambda f, i, outputs: trains.append(outputs[0]) if f.spiking else None):
        scores = model.train()(Tensor(x))
    model.loss(scores, labels).backward()
    return scores["v"].data, trains


def run_theirs(peers, net, x, labels):
    peers.functional.set_step_mode(net, "m")
    trains = []
    for module in net.modules():
        if isinstance(module, peers.neuron.BaseNode):
            module.register_forward_hook(lambda m, i, y: trains.append(y.detach().numpy()))
    scores = net.train()(torch.from_numpy(x.transpose(0, 1, 4, 2, 3).copy())).mean(0)
    torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels)).backward()
    return scores.detach().numpy(), trains


def compare(peers, ours, theirs):
    """Hold spikes equal, and scores, gradients and running statistics to a part in 1e9."""
    copy_weights(ours, theirs)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(T, N, SIZE, SIZE, 3)), rng.integers(0, CLASSES, N)
    found, trains = run_ours(ours, x, labels)
    expected, their_trains = run_theirs(peers, theirs, x, labels)
    for k, (s, other) in enumerate(zip(trains, their_trains, strict=True)):
        np.testing.assert_array_equal(s, other.transpose(0, 1, 3, 4, 2), err_msg=f"train {k}")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    for a, b in pairs(ours, theirs):
        for name in ("weight", "bias"):
            p = getattr(a, name)
            if p is not None:
                g = getattr(b, name).grad.numpy()
                np.testing.assert_allclose(as_theirs(a, p.grad), g, rtol=1e-9, atol=1e-9 * abs(g).max(), err_msg=name)
        if isinstance(a, nn.BatchNorm):
            np.testing.assert_allclose(a.running_var.data, b.running_var.numpy(), rtol=1e-9)
    return trains


SWITCHES = {"streams": "visual", "stem": "imagenet", "size": SIZE, "timesteps": T, "classes": CLASSES}


def neuron_settings(peers):
    return {
        "spiking_neuron": peers.neuron.IFNode,
        "surrogate_function": peers.surrogate.ATan(alpha=2.0),
        "detach_reset": True,
        "v_threshold": 1.0,
        "v_reset": 0.0,
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("connect", ["add", "and", "iand"])
def test_sew_resnet18(peers, connect):
    theirs = peers.sew.sew_resnet18(cnf=connect.upper(), num_classes=CLASSES, **neuron_settings(peers)).double()
    trains = compare(peers, sew(SEWConfig(**SWITCHES, connect=connect)).astype(np.float64), theirs)
    assert len(trains) == 1 + 2 * 8 + 3
    assert 0.01 < np.mean([s.mean() for s in trains]) < 0.9


@pytest.mark.filterwarnings("ignore")
def test_spiking_resnet18(peers):
    theirs = peers.spiking.spiking_resnet18(num_classes=CLASSES, **neuron_settings(peers)).double()
    trains = compare(peers, spiking(SpikingConfig(**SWITCHES)).astype(np.float64), theirs)
    assert len(trains) == 1 + 2 * 8


@pytest.mark.filterwarnings("ignore")
def test_a_resnet18_without_spikes(peers):
    """The same network with ReLU for neurons is the encoder of Concat, PMR and QMF."""
    theirs = peers.spiking.spiking_resnet18(num_classes=CLASSES, spiking_neuron=torch.nn.ReLU).double()
    assert compare(peers, concat(ConcatConfig(**SWITCHES)).astype(np.float64), theirs) == []


@pytest.mark.filterwarnings("ignore")
def test_another_connection_is_noticed(peers, monkeypatch):
    theirs = peers.sew.sew_resnet18(cnf="ADD", num_classes=CLASSES, **neuron_settings(peers)).double()
    monkeypatch.setattr(F.SEW, "backward", lambda self, go: (go, 1.001 * go))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        compare(peers, sew(SEWConfig(**SWITCHES)).astype(np.float64), theirs)
