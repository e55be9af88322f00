"""SpikingResformer in torch, from the figures and equations of its paper: [T, N, C, H, W] throughout."""

import torch
from spikingjelly.activation_based import neuron, surrogate

from misnet.models.parts.dual_attention import InitialConvBN


class Twin:
    """The network of a model of ours, with copies of its weights; the rates of its products are kept in `rates`."""

    def __init__(self, model):
        self.config = model.config
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
        self.layers, self.rates = iter(self.weights), []
        x = self.conv_bn(x, padding=1)
        for k, blocks in enumerate(self.config.blocks):
            x = self.conv_bn(self.lif(x), 2, 1) if k else x
            for _ in range(blocks):
                x = self.attention(x, self.config.attention_heads[k], self.config.patches[k])
                x = self.feed_forward(x)
        return (x.mean((3, 4)) @ self.head.T).mean(0)
