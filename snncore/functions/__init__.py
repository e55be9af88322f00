"""The operations, one subject a file: equations, forward and backward side by side."""

from snncore.functions import operators as operators
from snncore.functions.arithmetic import Add, Cast, Div, Mul, ReLU, Sub
from snncore.functions.batch_norm import BatchNorm
from snncore.functions.batch_norm_lif import BatchNormLIF
from snncore.functions.clif import CLIF
from snncore.functions.conv1d import Conv1d
from snncore.functions.conv2d import Conv2d
from snncore.functions.dropout import Dropout
from snncore.functions.extremes import Abs, Max
from snncore.functions.fire import Fire
from snncore.functions.grouped_conv2d import GroupedConv2d
from snncore.functions.layer_norm import LayerNorm
from snncore.functions.lif import LIF
from snncore.functions.linear import Linear
from snncore.functions.loss import MSE, CrossEntropy
from snncore.functions.loss import one_hot as one_hot  # no operation: __all__ lists those
from snncore.functions.matmul import MatMul
from snncore.functions.mlif import MLIF
from snncore.functions.plif import PLIF
from snncore.functions.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d
from snncore.functions.reduction import Mean, Sum
from snncore.functions.sew import SEW
from snncore.functions.shape import Concat, GetItem, Reshape, Stack, Transpose
from snncore.functions.softmax import Softmax
from snncore.functions.transcendental import Exp, Log, Power, Sigmoid, Sqrt, Tanh

__all__ = [
    "CLIF",
    "LIF",
    "MLIF",
    "MSE",
    "PLIF",
    "SEW",
    "Abs",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "BatchNormLIF",
    "Cast",
    "Concat",
    "Conv1d",
    "Conv2d",
    "CrossEntropy",
    "Div",
    "Dropout",
    "Exp",
    "Fire",
    "GetItem",
    "GlobalAvgPool",
    "GroupedConv2d",
    "LayerNorm",
    "Linear",
    "Log",
    "MatMul",
    "Max",
    "MaxPool2d",
    "Mean",
    "Mul",
    "Power",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Sqrt",
    "Stack",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
]
