"""Small networks of the public kinds, each twice with one set of weights: here, and as users of PyTorch write it."""

from types import SimpleNamespace

import numpy as np
import snntorch
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn as tn
from torch.nn import functional as TF

from snncore import functions as F
from snncore import nn
from tests.peers.torch_blocks import (
    Attention,
    Call,
    N,
    Recurrent,
    Residual,
    Scaled,
    Softmax,
    Steps,
    T,
    TheirAttention,
    TheirCall,
    TheirRecurrent,
    TheirResidual,
    TheirSoftmax,
    TheirSteps,
    copy_weights,
    each_step,
    images,
    several,
)


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


def transformer(rng):
    return Softmax(6), TheirSoftmax(6), rng.normal(0, 1, (N, 5, 6)).astype(np.float32), {"timesteps": 0}


def recurrent(rng):
    return Recurrent(8), TheirRecurrent(8), rng.normal(0, 3, (T, N, 6)).astype(np.float32), {}


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


def static(rng, loop=False):
    """One image for all timesteps, convolved and normalised at each: what another reading counts once."""
    settings = {"v_reset": 0.0, "stateful": loop}
    layers = [nn.Conv2d(2, 4, 3, 1, 1), nn.BatchNorm(4), nn.LIF(**settings), nn.AvgPool2d(2), nn.Conv2d(4, 3, 3)]
    layers[0].weight.data[:, :, 0, ::2] = 0  # pruned
    if not loop:
        ours = nn.Sequential(Call(lambda x: F.Stack(0)(*[x] * T)), *layers)
        lif = neuron.LIFNode(decay_input=False)
        theirs = tn.Sequential(
            TheirCall(lambda x: x.unsqueeze(0).repeat(T, 1, 1, 1, 1)), layer.Conv2d(2, 4, 3, 1, 1),
            layer.BatchNorm2d(4), lif, layer.AvgPool2d(2), layer.Conv2d(4, 3, 3),
        )  # fmt: skip
        return ours, several(theirs), images(rng)[0], {"channels": 1}
    ours = Steps(*layers)
    theirs = TheirSteps(
        tn.Conv2d(2, 4, 3, 1, 1), tn.BatchNorm2d(4), snntorch.Leaky(beta=0.5, reset_mechanism="zero"),
        tn.AvgPool2d(2), tn.Conv2d(4, 3, 3),
    )  # fmt: skip
    return ours, theirs, np.stack([images(rng)[0]] * T), {}


ZOO = {
    "static": static,
    "static loop": lambda rng: static(rng, True),
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
