"""The parts of the networks of `torch_zoo`: blocks, here and as users of PyTorch write them, and their weights."""

import numpy as np
import snntorch
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn as tn
from torch.nn import functional as TF

from snncore import Tensor, at_timestep, nn
from snncore import functions as F

T, N = 4, 2


def copy_weights(ours, theirs, flat=None):
    """Give theirs the weights of ours, layer by layer. flat: [H, W, C] of what the first Linear behind images sees."""
    a = [m for m in ours.modules() if hasattr(m, "weight")]
    kinds = (tn.Conv1d, tn.Conv2d, tn.ConvTranspose2d, tn.Linear, tn.BatchNorm1d, tn.BatchNorm2d, tn.LayerNorm)
    b = [m for m in theirs.modules() if isinstance(m, kinds)]
    rng = np.random.default_rng(5)
    for mine, other in zip(a, b, strict=True):
        if isinstance(mine, nn.BatchNorm):  # away from ones and zeros, so that neurons fire
            mine.weight.data += rng.uniform(0, 1, mine.weight.shape).astype(np.float32)
            mine.bias.data += rng.uniform(0, 0.5, mine.bias.shape).astype(np.float32)
            other.running_mean.copy_(torch.from_numpy(mine.running_mean.data))
            other.running_var.copy_(torch.from_numpy(mine.running_var.data))
        w = mine.weight.data
        if isinstance(mine, nn.Linear):
            if flat is not None:
                h, wide, c = flat
                w, flat = w.reshape(h, wide, c, -1).transpose(2, 0, 1, 3).reshape(w.shape), None
            w = w.T
        elif w.ndim > 1:
            w = w.transpose(*(w.ndim - 1, w.ndim - 2), *range(w.ndim - 2))
        with torch.no_grad():
            other.weight.copy_(torch.from_numpy(np.ascontiguousarray(w)))
            if mine.bias is not None:
                other.bias.copy_(torch.from_numpy(mine.bias.data))


class Scaled(nn.Module):
    """LIF of SpikingJelly with decay_input: each current times 1 / tau."""

    def __init__(self, tau=2.0, v_reset=0.0):
        self.tau, self.neuron = tau, nn.LIF(tau, v_reset=v_reset)

    def forward(self, c):
        return self.neuron(c * (1 / self.tau))


class Call(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        self._function = function

    def forward(self, *x):
        return self._function(*x)


class TheirCall(tn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *x):
        return self.function(*x)


def images(rng, size=8, channels=2, scale=2.0):
    return rng.normal(0.5, scale, (T, N, size, size, channels)).astype(np.float32)


def several(theirs):
    functional.set_step_mode(theirs, "m")
    return theirs


class Residual(nn.Module):
    """A block of a spiking ResNet: currents are added, then fire. Or of a SEW ResNet: spikes are added."""

    def __init__(self, ci, co, stride, sew):
        self.conv1, self.bn1, self.lif1 = nn.Conv2d(ci, co, 3, stride, 1, False), nn.BatchNorm(co), nn.IF(v_reset=0.0)
        self.conv2, self.bn2 = nn.Conv2d(co, co, 3, 1, 1, False), nn.BatchNorm(co)
        self.down, self.bn3 = nn.Conv2d(ci, co, 1, stride, 0, False), nn.BatchNorm(co)
        self.lif2, self.lif3 = nn.IF(v_reset=0.0), nn.IF(v_reset=0.0)
        self._sew = sew

    def forward(self, s):
        a = self.bn2(self.conv2(self.lif1(self.bn1(self.conv1(s)))))
        b = self.bn3(self.down(s))
        if self._sew:
            return F.SEW(self._sew)(self.lif2(a), self.lif3(b))
        return self.lif2(a + b)


class TheirResidual(tn.Module):
    def __init__(self, ci, co, stride, sew):
        super().__init__()
        self.conv1, self.bn1 = layer.Conv2d(ci, co, 3, stride, 1, bias=False), layer.BatchNorm2d(co)
        self.conv2, self.bn2 = layer.Conv2d(co, co, 3, 1, 1, bias=False), layer.BatchNorm2d(co)
        self.down, self.bn3 = layer.Conv2d(ci, co, 1, stride, bias=False), layer.BatchNorm2d(co)
        self.lif1, self.lif2, self.lif3 = neuron.IFNode(), neuron.IFNode(), neuron.IFNode()
        self.sew = sew

    def forward(self, s):
        a = self.bn2(self.conv2(self.lif1(self.bn1(self.conv1(s)))))
        b = self.bn3(self.down(s))
        if self.sew == "add":
            y = self.lif2(a)
            y += self.lif3(b)
            return y
        if self.sew == "iand":
            a = self.lif2(a)
            return self.lif3(b) * (1.0 - a)
        if self.sew == "and":
            a = self.lif2(a)
            return a * self.lif3(b)
        return self.lif2(a + b)


def each_step(module, x):
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Attention(nn.Module):
    """Spikformer: q k^T v of spikes, without softmax, two heads; or with the masks of the spike-driven transformer."""

    def __init__(self, d, masks):
        self.convs = nn.ModuleList(nn.Conv1d(d, d, 1) for _ in range(4))
        self.norms = nn.ModuleList(nn.BatchNorm(d) for _ in range(4))
        self.lifs = nn.ModuleList(nn.LIF(v_threshold=0.5) for _ in range(5))
        self._masks = masks

    def forward(self, s):  # [T, N, P, D]
        q, k, v = (self.lifs[i](self.norms[i](self.convs[i](s))) for i in range(3))
        if self._masks:
            m = self.lifs[3](F.SEW("and")(k, v).sum(2, keepdims=True))  # [T, N, 1, D]
            y = q * m
        else:
            q, k, v = (x.reshape(*x.shape[:3], 2, -1).transpose(0, 1, 3, 2, 4) for x in (q, k, v))
            y = (q @ k.transpose(0, 1, 2, 4, 3)) @ v * 0.25  # [T, N, heads, P, D / heads]
            y = self.lifs[3](y.transpose(0, 1, 3, 2, 4).reshape(*s.shape))
        return F.SEW("add")(self.lifs[4](self.norms[3](self.convs[3](y))), s)


class TheirAttention(tn.Module):
    def __init__(self, d, masks):
        super().__init__()
        self.convs = tn.ModuleList(tn.Conv1d(d, d, 1) for _ in range(4))
        self.norms = tn.ModuleList(tn.BatchNorm1d(d) for _ in range(4))
        settings = {"v_reset": None, "v_threshold": 0.5, "decay_input": False, "step_mode": "m"}
        self.lifs = tn.ModuleList(neuron.LIFNode(**settings) for _ in range(5))
        self.masks = masks

    def forward(self, s):  # [T, N, D, P]
        q, k, v = (self.lifs[i](each_step(lambda x, i=i: self.norms[i](self.convs[i](x)), s)) for i in range(3))
        if self.masks:
            y = q * self.lifs[3]((k * v).sum(-1, keepdim=True))
        else:
            q, k, v = (
                x.transpose(-1, -2).reshape(*x.shape[:2], -1, 2, x.shape[2] // 2).permute(0, 1, 3, 2, 4)
                for x in (q, k, v)
            )
            y = (q @ k.transpose(-2, -1)) @ v * 0.25
            y = self.lifs[3](y.transpose(3, 4).reshape(*s.shape).contiguous())
        return self.lifs[4](each_step(lambda x: self.norms[3](self.convs[3](x)), y)) + s


class Softmax(nn.Module):
    """An artificial transformer block: no spikes, no time."""

    def __init__(self, d):
        self.norm, self.qkv, self.proj = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):  # [N, P, D]
        d = x.shape[-1]
        y = self.qkv(self.norm(x))
        q, k, v = (y[..., i * d : (i + 1) * d] for i in range(3))
        scores = (q @ k.transpose(0, 2, 1)) * (1 / d**0.5)
        return F.ReLU()(self.proj(F.Softmax()(scores) @ v) + x)


class TheirSoftmax(tn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.qkv, self.proj = tn.LayerNorm(d), tn.Linear(d, 3 * d), tn.Linear(d, d)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        return TF.relu(self.proj(TF.scaled_dot_product_attention(q, k, v)) + x, inplace=True)


class Recurrent(nn.Module):
    """A loop over time with spikes that come back through weights."""

    def __init__(self, d):
        self.into, self.back, self.head = nn.Linear(6, d), nn.Linear(d, d), nn.Linear(d, 3)
        self.fire = nn.LIF(decay=0.9, v_reset=0.0, stateful=True)
        self._d = d

    def forward(self, x):
        self.fire.reset()
        s, made = Tensor(np.zeros((x.shape[1], self._d), np.uint8)), []
        for t in range(T):
            with at_timestep(t):
                c = self.into(x[t])
                s = self.fire((c + self.back(s)).reshape(1, -1, self._d))[0]
                made.append(self.head(s))
        return F.Stack(0)(*made).sum(0)


class TheirRecurrent(tn.Module):
    def __init__(self, d):
        super().__init__()
        self.into, self.back, self.head = tn.Linear(6, d), tn.Linear(d, d), tn.Linear(d, 3)
        self.fire = snntorch.Leaky(beta=0.9, reset_mechanism="zero")
        self.d = d

    def forward(self, x):
        s, mem, made = torch.zeros(x.shape[1], self.d, dtype=torch.bool).to(x.dtype), self.fire.reset_mem(), []
        for t in range(len(x)):
            s, mem = self.fire(self.into(x[t]) + self.back(s), mem)
            made.append(self.head(s))
        return torch.stack(made).sum(0)


class Steps(nn.Module):
    """A chain of layers run for one timestep after the other."""

    def __init__(self, *layers):
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        self.layers.reset()
        made = []
        for t in range(T):
            with at_timestep(t):
                y = x[t]
                for module in self.layers:
                    y = module(y.reshape(1, *y.shape))[0] if isinstance(module, nn.LIF) else module(y)
                made.append(y)
        return F.Stack(0)(*made).sum(0)


class TheirSteps(tn.Module):
    """A time loop as the tutorials of snnTorch write it."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = tn.ModuleList(layers)

    def forward(self, x):
        mems = [m.reset_mem() if isinstance(m, snntorch.Leaky) else None for m in self.layers]
        made = []
        for t in range(len(x)):
            y = x[t]
            for i, module in enumerate(self.layers):
                if isinstance(module, snntorch.Leaky):
                    y, mems[i] = module(y, mems[i])
                else:
                    y = module(y)
            made.append(y)
        return torch.stack(made, 0).sum(0)
