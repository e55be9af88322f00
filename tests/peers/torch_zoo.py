"""Small networks of the public kinds, each twice with one set of weights: here, and as users of PyTorch write it."""

from types import SimpleNamespace

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


def mlp(rng):
    ours = nn.Sequential(nn.Linear(12, 16), nn.IF(), nn.Linear(16, 8), nn.IF(), nn.Linear(8, 3))
    theirs = tn.Sequential(
        layer.Linear(12, 16),
        neuron.IFNode(v_reset=None),
        layer.Linear(16, 8),
        neuron.IFNode(v_reset=None),
        layer.Linear(8, 3),
    )
    return ours, several(theirs), rng.normal(0, 3, (T, N, 12)).astype(np.float32), {}


def lenet(rng):
    """Average pooling and dense layers behind flattened images."""
    ours = nn.Sequential(
        nn.Conv2d(2, 4, 5, padding=2), nn.LIF(v_reset=0.0), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3), nn.LIF(v_reset=0.0),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6, 5), nn.LIF(v_reset=0.0), nn.Linear(5, 3),
    )  # fmt: skip
    fire = [neuron.LIFNode(decay_input=False) for _ in range(3)]
    theirs = tn.Sequential(
        layer.Conv2d(2, 4, 5, padding=2), fire[0], layer.AvgPool2d(2), layer.Conv2d(4, 6, 3), fire[1],
        layer.AvgPool2d(2), layer.Flatten(), layer.Linear(6, 5), fire[2], layer.Linear(5, 3),
    )  # fmt: skip
    return ours, several(theirs), images(rng), {"flat": (1, 1, 6)}


def vgg(rng):
    """Convolution, normalisation, neuron, pooling; a container that folds time into the batch."""

    def block(ci, co):
        return [nn.Conv2d(ci, co, 3, padding=1, bias=False), nn.BatchNorm(co), Scaled()]

    def theirs_block(ci, co):
        ann = layer.SeqToANNContainer(tn.Conv2d(ci, co, 3, padding=1, bias=False), tn.BatchNorm2d(co))
        return [ann, neuron.LIFNode(step_mode="m")]

    ours = nn.Sequential(*block(2, 4), *block(4, 4), nn.MaxPool2d(2), *block(4, 6), nn.GlobalAvgPool(), nn.Linear(6, 3))
    theirs = tn.Sequential(
        *theirs_block(2, 4), *theirs_block(4, 4), layer.SeqToANNContainer(tn.MaxPool2d(2)), *theirs_block(4, 6),
        layer.SeqToANNContainer(tn.AdaptiveAvgPool2d(1), tn.Flatten(1)), layer.Linear(6, 3, step_mode="m"),
    )  # fmt: skip
    return ours, theirs, images(rng), {}


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


def resnet(rng, sew=""):
    ours = nn.Sequential(
        nn.Conv2d(2, 4, 3, 1, 1),
        nn.IF(v_reset=0.0),
        Residual(4, 6, 2, sew),
        Residual(6, 6, 1, sew),
        nn.GlobalAvgPool(),
        nn.Linear(6, 3),
    )
    theirs = tn.Sequential(
        layer.Conv2d(2, 4, 3, 1, 1), neuron.IFNode(), TheirResidual(4, 6, 2, sew), TheirResidual(6, 6, 1, sew),
        layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(6, 3),
    )  # fmt: skip
    return ours, several(theirs), images(rng), {}


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


def attention(rng, masks=False):
    ours = nn.Sequential(
        nn.Conv2d(2, 8, 4, 4), nn.LIF(), Call(lambda s: s.reshape(T, N, 4, 8)), Attention(8, masks),
        Attention(8, masks), Call(lambda s: s.mean(2)), nn.Linear(8, 3),
    )  # fmt: skip
    theirs = tn.Sequential(
        layer.Conv2d(2, 8, 4, 4, step_mode="m"), neuron.LIFNode(v_reset=None, decay_input=False, step_mode="m"),
        tn.Flatten(3), TheirAttention(8, masks), TheirAttention(8, masks), TheirCall(lambda s: s.mean(3)),
        tn.Linear(8, 3),
    )  # fmt: skip
    return ours, theirs, images(rng), {}


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


def transformer(rng):
    return Softmax(6), TheirSoftmax(6), rng.normal(0, 1, (N, 5, 6)).astype(np.float32), {"timesteps": 0}


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


def recurrent(rng):
    return Recurrent(8), TheirRecurrent(8), rng.normal(0, 3, (T, N, 6)).astype(np.float32), {}


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


def snntorch_conv(rng):
    settings = {"decay": 0.5, "v_reset": 0.0, "stateful": True}
    ours = Steps(
        nn.Conv2d(2, 4, 3), nn.LIF(**settings), nn.MaxPool2d(2), nn.Conv2d(4, 4, 2), nn.LIF(**settings), nn.Flatten(1),
        nn.Linear(16, 3), nn.LIF(**settings),
    )  # fmt: skip
    fire = [snntorch.Leaky(beta=0.5, reset_mechanism="zero") for _ in range(3)]
    theirs = TheirSteps(
        tn.Conv2d(2, 4, 3),
        fire[0],
        tn.MaxPool2d(2),
        tn.Conv2d(4, 4, 2),
        fire[1],
        tn.Flatten(1),
        tn.Linear(16, 3),
        fire[2],
    )
    return ours, theirs, images(rng), {"flat": (2, 2, 4)}


def snntorch_mlp(rng):
    """Neurons that never leak, and reset by subtraction, keep the same membranes in both."""
    ours = Steps(nn.Linear(6, 8), nn.IF(stateful=True), nn.Linear(8, 4), nn.IF(stateful=True))
    theirs = TheirSteps(tn.Linear(6, 8), snntorch.Leaky(beta=1.0), tn.Linear(8, 4), snntorch.Leaky(beta=1.0))
    return ours, theirs, rng.normal(0, 3, (T, N, 6)).astype(np.float32), {}


def depthwise(rng):
    ours = nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, 1), nn.PLIF(v_reset=0.0), nn.GroupedConv2d(4, 4, 3, padding=1, bias=False),
        nn.BatchNorm(4), nn.PLIF(v_reset=0.0), nn.GroupedConv2d(4, 6, 3, padding=1, groups=2), nn.IF(v_reset=0.0),
        nn.GlobalAvgPool(), nn.Linear(6, 3),
    )  # fmt: skip
    plif = [neuron.ParametricLIFNode(decay_input=False) for _ in range(2)]
    theirs = tn.Sequential(
        layer.Conv2d(2, 4, 3, 2, 1), plif[0], layer.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        layer.BatchNorm2d(4), plif[1], layer.Conv2d(4, 6, 3, padding=1, groups=2), neuron.IFNode(),
        layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(6, 3),
    )  # fmt: skip
    return ours, several(theirs), images(rng), {}


def dilated(rng):
    """Dilated windows, two branches joined by concatenation, samples before time."""

    class Ours(nn.Module):
        def __init__(self):
            self.a, self.b, self.c = (
                nn.Conv2d(2, 4, 3, 1, 2, dilation=2),
                nn.Conv2d(2, 4, 3, 1, 1),
                nn.Conv2d(8, 3, 3, 2, 4, dilation=(1, 3)),
            )
            self.fire, self.fire2 = nn.LIF(v_reset=0.0), nn.LIF(v_reset=0.0)

        def forward(self, x):
            return self.c(F.Concat(-1)(self.fire(self.a(x)), self.fire2(self.b(x))))

    class Theirs(tn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = tn.Conv2d(2, 4, 3, 1, 2, dilation=2), tn.Conv2d(2, 4, 3, 1, 1)
            self.c = tn.Conv2d(8, 3, 3, 2, 4, dilation=(1, 3))
            self.fire, self.fire2 = (neuron.LIFNode(decay_input=False, step_mode="m") for _ in range(2))

        def forward(self, x):  # [N, T, C, H, W]
            x = x.transpose(0, 1).contiguous()
            s = torch.cat([self.fire(each_step(self.a, x)), self.fire2(each_step(self.b, x))], dim=2)
            return each_step(self.c, s.detach().clone())

    return Ours(), Theirs(), images(rng), {"layout": "NT"}


def audio(rng):
    """One-dimensional convolutions."""
    ours = nn.Sequential(
        nn.Conv1d(2, 4, 5, 2, 2),
        nn.LIF(),
        nn.Conv1d(4, 4, 3, 1, 1, bias=False),
        nn.BatchNorm(4),
        nn.LIF(),
        Call(lambda s: s.mean(2)),
        nn.Linear(4, 3),
    )
    lif = [neuron.LIFNode(v_reset=None, decay_input=False) for _ in range(2)]
    theirs = tn.Sequential(
        layer.Conv1d(2, 4, 5, 2, 2), lif[0], layer.Conv1d(4, 4, 3, 1, 1, bias=False), layer.BatchNorm1d(4), lif[1],
        TheirCall(lambda s: s.mean(3)), layer.Linear(4, 3),
    )  # fmt: skip
    return ours, several(theirs), rng.normal(0, 2, (T, N, 16, 2)).astype(np.float32), {}


def shared(rng):
    """One convolution called three times, weights used by function, a static input that is stacked over time inside."""

    class Ours(nn.Module):
        def __init__(self):
            self.first, self.conv, self.head = nn.Conv2d(2, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1), nn.Linear(4, 3)
            self.fire = nn.ModuleList(nn.IF() for _ in range(3))

        def forward(self, x):  # [N, H, W, C]
            s = self.fire[0](F.Stack(0)(*[self.first(x)] * T))
            for i in (1, 2):
                s = self.fire[i](self.conv(s))
            return self.head(F.GlobalAvgPool()(self.conv(s)).mean(0))

    class Theirs(tn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.conv, self.head = tn.Conv2d(2, 4, 3, 1, 1), tn.Conv2d(4, 4, 3, 1, 1), tn.Linear(4, 3)
            self.fire = tn.ModuleList(neuron.IFNode(v_reset=None, step_mode="m") for _ in range(3))

        def forward(self, x):
            s = self.fire[0](self.first(x).unsqueeze(0).repeat(T, 1, 1, 1, 1))
            for i in (1, 2):
                s = self.fire[i](each_step(self.conv, s))
            y = each_step(lambda s: TF.conv2d(s, self.conv.weight, self.conv.bias, padding=1), s)
            return self.head(functional.seq_to_ann_forward(y, tn.AdaptiveAvgPool2d(1)).flatten(2).mean(0))

    return Ours(), Theirs(), images(rng)[0], {"channels": 1}


ZOO = {
    "mlp": mlp,
    "lenet": lenet,
    "vgg": vgg,
    "resnet": resnet,
    "sew add": lambda rng: resnet(rng, "add"),
    "sew and": lambda rng: resnet(rng, "and"),
    "sew iand": lambda rng: resnet(rng, "iand"),
    "spikformer": attention,
    "spike-driven": lambda rng: attention(rng, True),
    "transformer": transformer,
    "recurrent": recurrent,
    "snntorch conv": snntorch_conv,
    "snntorch mlp": snntorch_mlp,
    "depthwise": depthwise,
    "dilated": dilated,
    "audio": audio,
    "shared": shared,
}


def made(name):
    """Both networks with one set of weights, the input of each, settings of `audit_torch`, number of samples."""
    ours, theirs, x, settings = ZOO[name](np.random.default_rng(3))
    copy_weights(ours, theirs, settings.pop("flat", None))
    channels = settings.pop("channels", 2 if x.ndim > 3 else x.ndim - 1)
    theirs_x = np.moveaxis(x, -1, channels)
    if settings.get("layout") == "NT":
        theirs_x = np.swapaxes(theirs_x, 0, 1)
    settings.setdefault("timesteps", T)
    return SimpleNamespace(ours=ours, theirs=theirs, x=x, theirs_x=np.ascontiguousarray(theirs_x), settings=settings)
