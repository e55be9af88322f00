"""Layers: hold parameters and state, call functions."""

from snncore.nn.init import fan_in_uniform, kaiming_normal
from snncore.nn.layers import AvgPool2d, BatchNorm, Conv2d, GlobalAvgPool, Linear, MaxPool2d, Sequential
from snncore.nn.module import Buffer, Module, ModuleDict, ModuleList, Parameter
from snncore.nn.neurons import CLIF, IF, LIF, MLIF, NEURONS, PLIF, Neuron, decay_of, unfused

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
    "Conv2d",
    "GlobalAvgPool",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Neuron",
    "Parameter",
    "Sequential",
    "decay_of",
    "fan_in_uniform",
    "kaiming_normal",
    "unfused",
]
