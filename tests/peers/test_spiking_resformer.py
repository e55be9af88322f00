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


class Twin:
    """The network from the figures and equations of the paper, [T, N, C, H, W] throughout."""

    def __init__(self, model):
        from spikingjelly.activation_based import neuron, surrogate

        self.lif = lambda x: neuron.LIFNode(
            tau=2.0,
            decay_input=True,
            v_reset=0.0,
            surrogate_function=surrogate.ATan(),
            detach_reset=True,
            step_mode="m",
        )(x)
        self.layers, self.weights, self.rates = iter([]), [], []
        for layer in (m for m in model.modules() if isinstance(m, InitialConvBN)):
            arrays = (layer.conv.weight.data.transpose(3, 2, 0, 1), layer.bn.weight.data, layer.bn.bias.data)
            self.weights.append(tuple(torch.tensor(a.copy(), requires_grad=True) for a in arrays))
        self.head = torch.tensor(model.head.linear.weight.data.T.copy(), requires_grad=True)

    def conv_bn(self, x, stride=1, padding=0):
        """The next convolution with its normalisation, in the order in which they are defined."""
        w, gamma, beta = next(self.layers)
        groups = x.shape[2] // w.shape[1]
        y = torch.nn.functional.conv2d(x.flatten(0, 1), w, None, stride, padding, groups=groups)
        y = torch.nn.functional.batch_norm(y, None, None, gamma, beta, training=True)
        return y.unflatten(0, x.shape[:2])

    def scaled(self, product, spikes, size):
        """A product over sqrt(rate size), the rate of the spikes of each head as in a first batch."""
        rate = spikes.detach().mean((0, 1, 3, 4), keepdim=True)
        self.rates.append(rate.flatten().numpy())
        return product / torch.sqrt(rate * size)

    def attention(self, x, heads, patch):
        c, s = x.shape[2], self.lif(x)
        d = c // heads
        y = self.conv_bn(s, patch).flatten(3).unflatten(2, (heads, 2 * d))  # [T, N, heads, 2 d, L]
        y1, y2 = y.split(d, dim=3)
        flat = s.flatten(3).unflatten(2, (heads, d))  # [T, N, heads, d, H W]
        a = self.lif(self.scaled(y1.mT @ flat, flat, d))  # [T, N, heads, L, H W]
        b = self.scaled(y2 @ a, a, y.shape[-1]).flatten(2, 3).unflatten(3, x.shape[3:])
        return x + self.conv_bn(self.lif(b))

    def feed_forward(self, x):
        u = self.conv_bn(self.lif(x))
        u = u + self.conv_bn(self.lif(u), padding=1)
        return x + self.conv_bn(self.lif(u))

    def __call__(self, x):
        self.layers = iter(self.weights)
        x = self.conv_bn(x, padding=1)
        for k, blocks in enumerate(SWITCHES["blocks"]):
            x = self.conv_bn(self.lif(x), 2, 1) if k else x
            for _ in range(blocks):
                x = self.attention(x, SWITCHES["attention_heads"][k], SWITCHES["patches"][k])
                x = self.feed_forward(x)
        return (x.mean((3, 4)) @ self.head.T).mean(0)


def compare(loss_scale=1.0):
    model = build(Config(**SWITCHES)).astype(np.float64).train()
    rng = np.random.default_rng(1)
    for layer in (m for m in model.modules() if isinstance(m, InitialConvBN)):  # away from ones and zeros
        layer.bn.weight.data += rng.uniform(-0.2, 0.6, layer.bn.weight.shape)
        layer.bn.bias.data += rng.uniform(-0.2, 0.4, layer.bn.bias.shape)
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
