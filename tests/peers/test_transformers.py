"""Spiking transformers in torch with our weights: the same spikes, scores and gradients in float64."""

import numpy as np
import pytest

from misnet.models import spike_driven, spikformer
from snncore import Tensor, nn, observe
from snncore import functions as F

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

T, N, SIZE, CHANNELS, CLASSES = 3, 2, 16, 3, 5
D, DEPTH, HEADS, RATIO = 16, 2, 2, 2
SWITCHES = {"streams": "visual", "size": SIZE, "timesteps": T, "classes": CLASSES, "width": D, "depth": DEPTH}
SWITCHES |= {"attention_heads": HEADS, "mlp_ratio": RATIO, "visual_channels": CHANNELS}
NETWORKS = {  # ours, the name of theirs, neuron layers of both
    "spikformer": (spikformer, "Spikformer", 5 + DEPTH * (3 + 1 + 1 + 2)),
    "spike-driven": (spike_driven, "SpikeDrivenTransformer", 4 + DEPTH * (1 + 3 + 1 + 2) + 1),
}
NEAR = 1e-9  # how far gradients may be apart


def twins(name):
    from tests.peers import transformer_twins

    module, theirs, *_ = NETWORKS[name]
    ours = module.build(module.Config(**SWITCHES)).astype(np.float64)
    return ours, getattr(transformer_twins, theirs)(CHANNELS, D, DEPTH, HEADS, RATIO, CLASSES).double()


def pairs(ours, theirs):
    """(our layer, their layer) for all that have weights: both networks make them in one order."""
    a = [m for m in ours.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm | nn.Linear)]
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.Linear)
    return list(zip(a, [m for m in theirs.modules() if isinstance(m, kinds)], strict=True))


def as_theirs(layer, x, shape):
    """One of our parameters, or its gradient, in the layout of torch."""
    axes = {nn.Conv2d: (3, 2, 0, 1), nn.Linear: (1, 0)}.get(type(layer), ())
    return (x.transpose(axes) if x.ndim > 1 else x).reshape(shape)  # weights of 1x1 convolutions have an axis more


def parameters(ours, theirs):
    """(our layer, our parameter, theirs), of all layers."""
    for a, b in pairs(ours, theirs):
        assert (a.bias is None) == (b.bias is None)
        yield a, a.weight, b.weight
        if a.bias is not None:
            yield a, a.bias, b.bias


def copy_weights(ours, theirs):
    rng = np.random.default_rng(1)
    for a, p, other in parameters(ours, theirs):
        if isinstance(a, nn.BatchNorm):  # away from ones and zeros, so that neurons fire
            p.data += rng.uniform(1, 2, p.shape) if p is a.weight else rng.uniform(-0.3, 0.7, p.shape)
        with torch.no_grad():
            other.copy_(torch.from_numpy(as_theirs(a, p.data, other.shape).copy()))


def as_ours(s, shape):
    """Their spikes [T, N, C, ...] with channels last, in our shape; ours are split into heads behind attention."""
    s = np.moveaxis(s, 2, -1)
    return s if s.ndim == len(shape) else s.reshape(T, N, s.shape[2], HEADS, -1).transpose(0, 1, 3, 2, 4)


def compare(name):
    """Hold spikes equal, scores and variances to a part in 1e9, gradients to NEAR. Returns the spikes."""
    ours, theirs = twins(name)
    copy_weights(ours, theirs)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(T, N, SIZE, SIZE, CHANNELS)), rng.integers(0, CLASSES, N)

    trains, their_trains = [], []
    with observe(lambda f, i, outputs: trains.append(outputs[0]) if f.spiking else None):
        scores = ours.train()(Tensor(x))
    ours.loss(scores, labels).backward()
    for module in theirs.modules():
        if type(module).__name__ == "LIFNode":
            module.register_forward_hook(lambda m, i, y: their_trains.append(y.detach().numpy()))
    expected = theirs.train()(torch.from_numpy(np.moveaxis(x, -1, 2).copy()))
    torch.nn.functional.cross_entropy(expected, torch.from_numpy(labels)).backward()

    for k, (s, other) in enumerate(zip(trains, their_trains, strict=True)):
        np.testing.assert_array_equal(s, as_ours(other, s.shape), err_msg=f"train {k}")
    np.testing.assert_allclose(scores["v"].data, expected.detach().numpy(), rtol=1e-9)
    scale = max(abs(p.grad).max() for p in ours.parameters())
    for a, p, other in parameters(ours, theirs):
        g = other.grad.numpy()
        # a bias before a batch normalisation has no gradient but what was rounded, a thousandth of NEAR at most
        np.testing.assert_allclose(as_theirs(a, p.grad, g.shape), g, rtol=0, atol=NEAR * (abs(g).max() + 1e-3 * scale))
    for a, b in pairs(ours, theirs):
        if isinstance(a, nn.BatchNorm):
            np.testing.assert_allclose(a.running_var.data, b.running_var.numpy(), rtol=1e-9)
    return trains


@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_scores_and_gradients(name):
    trains = compare(name)
    assert len(trains) == NETWORKS[name][2]
    for k, s in enumerate(trains):
        assert 0.01 < s.mean() < 0.95, f"train {k}"


def test_another_attention_is_noticed(monkeypatch):
    monkeypatch.setattr(spikformer.SpikingSelfAttention.__init__, "__defaults__", (0.5,))  # its scale
    with pytest.raises(AssertionError, match="train 8"):
        compare("spikformer")


def test_a_slightly_wrong_backward_is_noticed(monkeypatch):
    right = F.SEW.backward
    monkeypatch.setattr(F.SEW, "backward", lambda self, go: tuple(1.001 * g for g in right(self, go)))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        compare("spike-driven")
