"""The calls of a network of ours, as torch modules with the same weights and inputs, for the tools of others."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from misnet import MISNet
from snncore import Tensor, count_ops, nn, no_grad, observe
from tests.misnet.tiny import lively, make_batch, tiny_config

NETWORKS = {
    "binary": {},
    "graded": {"cell_residual": True},
    "averaged": {"pooling": "avg", "neuron": "if"},
}


@dataclass
class Layer:
    """One call: the torch module, its input and output, and the name of our operation."""

    name: str
    module: Any
    x: Any
    y: Any


def network(name):
    """Return (counts of ours, its layers in torch) of a small network in evaluation mode."""
    config = tiny_config(v_threshold=0.3, mlif_v_threshold=0.3, cells=(2, 1), **NETWORKS[name])
    model: MISNet = lively(config)
    x_a, x_v, _ = make_batch(config, n=2)
    calls = []
    with no_grad(), nn.unfused(), count_ops() as ops, observe(lambda *call: calls.append(call)):
        model(Tensor(x_a), Tensor(x_v))
    return ops, [layer for call in calls if (layer := in_torch(*call))]


def in_torch(function, inputs, outputs):
    """One call as a Layer, with images [M, C, H, W]; None for what the tools have no module for."""
    import torch

    x, y = inputs[0], outputs[0]
    build = {"Conv2d": conv, "Linear": linear, "BatchNorm": batch_norm, "MaxPool2d": pool, "AvgPool2d": pool}
    if function.name == "GlobalAvgPool":
        module = torch.nn.AdaptiveAvgPool2d(1)
    elif function.name in ("LIF", "IF"):
        module = None
    elif function.name in build:
        module = build[function.name](torch, function, *inputs)
    else:
        return None
    return Layer(function.name, module, images(torch, x), images(torch, y))


def images(torch, x):
    flat = x.reshape(-1, *x.shape[2:]).astype(np.float32)
    return torch.from_numpy(flat if flat.ndim < 4 else np.ascontiguousarray(flat.transpose(0, 3, 1, 2)))


def conv(torch, function, x, w, b):
    kh, kw, ci, co = w.shape
    module = torch.nn.Conv2d(ci, co, (kh, kw), function.stride, function.padding, bias=b is not None)
    module.weight.data = torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1)))
    if b is not None:
        module.bias.data = torch.from_numpy(b.copy())
    return module


def linear(torch, function, x, w, b):
    module = torch.nn.Linear(*w.shape, bias=b is not None)
    module.weight.data = torch.from_numpy(np.ascontiguousarray(w.T))
    module.bias.data = torch.from_numpy(b.copy())
    return module


def batch_norm(torch, function, x, gamma, beta):
    return torch.nn.BatchNorm2d(len(gamma)).eval()


def pool(torch, function, x):
    kind = torch.nn.MaxPool2d if function.name == "MaxPool2d" else torch.nn.AvgPool2d
    return kind(function.kernel, function.stride)
