"""Layers: hold parameters and state, call functions."""

from snncore.nn.containers import ModuleDict, ModuleList, Sequential
from snncore.nn.evaluated import conv_norm_neuron
from snncore.nn.init import fan_in_uniform, kaiming_normal
from snncore.nn.layers import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    GlobalAvgPool,
    GroupedConv2d,
    LayerNorm,
    Linear,
    MaxPool2d,
)
from snncore.nn.module import Buffer, Module, Parameter
from snncore.nn.neurons import CLIF, IF, LIF, MLIF, NEURONS, PLIF, Neuron, decay_of, unfused
from snncore.nn.shaping import Dropout, Flatten, ReLU, Sigmoid, Tanh

__all__ = [
    "CLIF",
    "IF",
    "LIF",
    "MLIF",
    "NEURONS",
    "PLIF",
    "AvgPool2d",
    "BatchNorm",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GroupedConv2d",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Neuron",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "conv_norm_neuron",
    "decay_of",
    "fan_in_uniform",
    "kaiming_normal",
    "unfused",
]
