"""SpikingResformer in torch with SpikingJelly's LIF and our weights: the same scores, gradients, rates, in float64."""

import numpy as np
import pytest

from misnet.models.parts.dual_attention import DSSA, InitialConvBN
from misnet.models.spiking_resformer import Config, build
from snncore import Tensor

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")

T, N, SIZE, CLASSES = 3, 2, 8, 5
SWITCHES = {
    "streams": "visual",
    "size": SIZE,
    "timesteps": T,
    "classes": CLASSES,
    "channels": (8, 12),
    "blocks": (1, 2),
    "attention_heads": (2, 3),
    "patches": (4, 1),
    "group": 16,
}


def compare(loss_scale=1.0):
    model = build(Config(**SWITCHES)).astype(np.float64).train()
    rng = np.random.default_rng(1)
    for layer in (m for m in model.modules() if isinstance(m, InitialConvBN)):  # away from ones and zeros
        layer.bn.weight.data += rng.uniform(-0.2, 0.6, layer.bn.weight.shape)
        layer.bn.bias.data += rng.uniform(-0.2, 0.4, layer.bn.bias.shape)
    from tests.peers.resformer_twin import Twin

    twin = Twin(model)
    x, labels = rng.normal(size=(T, N, SIZE, SIZE, 3)), rng.integers(0, CLASSES, N)
    scores = model(Tensor(x))
    (model.loss(scores, labels) * loss_scale).backward()
    theirs = twin(torch.tensor(x.transpose(0, 1, 4, 2, 3).copy()))
    torch.nn.functional.cross_entropy(theirs, torch.tensor(labels)).backward()
    np.testing.assert_allclose(scores["v"].data, theirs.detach().numpy(), rtol=1e-9)
    ours = [m for m in model.modules() if isinstance(m, InitialConvBN)]
    for k, (layer, theirs_too) in enumerate(zip(ours, twin.weights, strict=True)):
        grads = (layer.conv.weight.grad.transpose(3, 2, 0, 1), layer.bn.weight.grad, layer.bn.bias.grad)
        for grad, other in zip(grads, theirs_too, strict=True):
            g = other.grad.numpy()
            np.testing.assert_allclose(grad, g, rtol=1e-8, atol=1e-9 * abs(g).max(), err_msg=f"layer {k}")
    np.testing.assert_allclose(model.head.linear.weight.grad.T, twin.head.grad.numpy(), rtol=1e-8, atol=1e-12)
    attentions = [m for m in model.modules() if isinstance(m, DSSA)]
    rates = [rate.rate.data for layer in attentions for rate in (layer.rate_s, layer.rate_a)]
    for rate, other in zip(rates, twin.rates, strict=True):
        assert 0.01 < rate.min() < 0.9
        np.testing.assert_allclose(rate, other, rtol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_scores_gradients_and_rates():
    compare()


@pytest.mark.filterwarnings("ignore")
def test_a_slightly_wrong_gradient_is_noticed():
    with pytest.raises(AssertionError, match="layer 0"):
        compare(loss_scale=1 + 1e-6)
