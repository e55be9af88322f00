"""Layers: hold parameters and state, call functions."""

from snncore.nn.init import fan_in_uniform, kaiming_normal
from snncore.nn.layers import AvgPool2d, BatchNorm, Conv2d, GlobalAvgPool, GroupedConv2d, Linear, MaxPool2d, Sequential
from snncore.nn.module import Buffer, Module, ModuleDict, ModuleList, Parameter
from snncore.nn.neurons import CLIF, IF, LIF, MLIF, PLIF, Neuron, WithAlpha, decay_of, unfused

__all__ = [
    "CLIF",
    "IF",
    "LIF",
    "MLIF",
    "PLIF",
    "AvgPool2d",
    "BatchNorm",
    "Buffer",
    "Conv2d",
    "GlobalAvgPool",
    "GroupedConv2d",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Neuron",
    "Parameter",
    "Sequential",
    "WithAlpha",
    "decay_of",
    "fan_in_uniform",
    "kaiming_normal",
    "unfused",
]
