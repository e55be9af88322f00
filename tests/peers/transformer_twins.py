"""Spikformer and the spike-driven transformer in torch, written from their published layer lists.

Tensors are [T, N, C, H, W] in the patch splitting and [T, N, C, P] behind it, neurons are SpikingJelly's. Layers are
made in the order in which our networks make theirs, so that weights can be copied one after another.
"""

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import nn


def lif(v_threshold=1.0):
    settings = {"v_threshold": v_threshold, "v_reset": 0.0, "detach_reset": True, "step_mode": "m"}
    return neuron.LIFNode(tau=2.0, decay_input=True, surrogate_function=surrogate.Sigmoid(alpha=4.0), **settings)


def each_step(layer, x):
    """Apply a layer without time to [T, N, ...]."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Conv(nn.Module):
    """A convolution and its normalisation, of images (3x3) or of tokens (1x1)."""

    def __init__(self, ci, co, tokens, bias):
        super().__init__()
        self.conv = nn.Conv1d(ci, co, 1, bias=bias) if tokens else nn.Conv2d(ci, co, 3, padding=1, bias=bias)
        self.bn = nn.BatchNorm1d(co) if tokens else nn.BatchNorm2d(co)

    def forward(self, x):
        return each_step(lambda y: self.bn(self.conv(y)), x)


class Tokens(nn.Sequential):
    """1x1 convolution, normalisation, neuron."""

    def __init__(self, ci, co, bias=True):
        super().__init__(Conv(ci, co, True, bias), lif())


def pool(x):
    return each_step(nn.MaxPool2d(3, 2, 1), x)


def split(x, heads):
    """[T, N, C, P] to [T, N, heads, P, C / heads]."""
    return x.unflatten(2, (heads, -1)).transpose(-1, -2)


class SpikingSelfAttention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = Tokens(d, d), Tokens(d, d), Tokens(d, d)
        self.attn_lif, self.proj = lif(0.5), Tokens(d, d)

    def forward(self, x):
        q, k, v = (split(part(x), self.heads) for part in (self.q, self.k, self.v))
        a = torch.einsum("tnhpd,tnhkd->tnhpk", q, k)
        a = torch.einsum("tnhpk,tnhkd->tnhpd", a, v) * 0.125
        return self.proj(self.attn_lif(a.transpose(-1, -2).flatten(2, 3)))  # [T, N, C, P]


class SpikformerBlock(nn.Module):
    def __init__(self, d, heads, ratio):
        super().__init__()
        self.attn = SpikingSelfAttention(d, heads)
        self.mlp = nn.Sequential(Tokens(d, ratio * d), Tokens(ratio * d, d))

    def forward(self, x):
        x = x + self.attn(x)
        return x + self.mlp(x)


class Spikformer(nn.Module):
    def __init__(self, channels, d, depth, heads, ratio, classes):
        super().__init__()
        widths = (channels, d // 8, d // 4, d // 2, d, d)
        self.convs = nn.ModuleList(Conv(widths[i], widths[i + 1], False, False) for i in range(5))
        self.lifs = nn.ModuleList(lif() for _ in range(5))
        self.blocks = nn.Sequential(*(SpikformerBlock(d, heads, ratio) for _ in range(depth)))
        self.head = nn.Linear(d, classes)

    def forward(self, x):
        for i in range(4):
            x = self.lifs[i](self.convs[i](x))
            x = pool(x) if i >= 2 else x
        x = x + self.lifs[4](self.convs[4](x))
        return self.head(self.blocks(x.flatten(3)).mean(3).mean(0))


class SpikeDrivenBlock(nn.Module):
    def __init__(self, d, ratio):
        super().__init__()
        self.shortcut_lif = lif()
        self.q, self.k, self.v = (Tokens(d, d, bias=False) for _ in range(3))
        self.mask_lif, self.proj = lif(0.5), Conv(d, d, True, True)
        self.fc1_lif, self.fc1, self.fc2 = lif(), Tokens(d, ratio * d), Conv(ratio * d, d, True, True)

    def forward(self, c):
        s = self.shortcut_lif(c)
        q, kv = self.q(s), self.k(s) * self.v(s)
        c = c + self.proj(q * self.mask_lif(kv.sum(-1, keepdim=True)))
        return c + self.fc2(self.fc1(self.fc1_lif(c)))


class SpikeDrivenTransformer(nn.Module):
    def __init__(self, channels, d, depth, heads, ratio, classes):
        super().__init__()
        widths = (channels, d // 8, d // 4, d // 2, d, d)
        self.convs = nn.ModuleList(Conv(widths[i], widths[i + 1], False, False) for i in range(5))
        self.lifs = nn.ModuleList(lif() for _ in range(4))
        self.blocks = nn.Sequential(*(SpikeDrivenBlock(d, ratio) for _ in range(depth)))
        self.head_lif, self.head = lif(), nn.Linear(d, classes)

    def forward(self, x):
        for i in range(3):
            x = self.lifs[i](self.convs[i](x))
        c = pool(self.convs[3](pool(x)))
        c = c + self.convs[4](self.lifs[3](c))
        return self.head(self.head_lif(self.blocks(c.flatten(3)).mean(3))).mean(0)
