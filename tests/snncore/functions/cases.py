"""One case of every function, with inputs that are neither square nor symmetric: for tests that hold for all."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snncore import functions as F

IMAGES = (3, 2, 5, 4, 2)  # T, N, H, W, C


@dataclass(frozen=True)
class Case:
    """A function and the shapes of its inputs: a tuple for floats, ("labels", n, classes) for integers.

    spikes: the inputs that may be uint8 spikes as well.
    """

    function: Any
    shapes: tuple
    spikes: tuple[int, ...] = ()

    def inputs(self, dtype, spikes=()):
        rng = np.random.default_rng(1)
        made = []
        for i, shape in enumerate(self.shapes):
            if shape and shape[0] == "labels":
                made.append(rng.integers(0, shape[2], shape[1]))
            elif i in self.spikes:  # the same numbers as spikes and as floats
                made.append(rng.integers(0, 3, shape).astype(np.uint8 if i in spikes else dtype))
            else:
                made.append(rng.uniform(0.3, 1.7, shape).astype(dtype))
        return made


def neurons(function, state, v_reset=(None,), **settings):
    return [
        (
            f"{function.__name__} reset {r} detach {d}",
            Case(function(**r_setting, detach_reset=d, return_state=True), state),
        )
        for r in v_reset
        for r_setting in [settings if r is None else {**settings, "v_reset": r}]
        for d in (False, True)
    ]


def batch_norm(training):
    return F.BatchNorm(np.zeros(2, np.float32), np.ones(2, np.float32), training)


def batch_norm_lif(training, **settings):
    return F.BatchNormLIF(np.zeros(2, np.float32), np.ones(2, np.float32), training, **settings)


FLAT = IMAGES[1:]
CASES = dict(
    [
        *neurons(F.LIF, (IMAGES, FLAT), v_reset=(None, 0.0)),
        *neurons(F.PLIF, (IMAGES, (), FLAT), v_reset=(None, 0.0)),
        *neurons(F.CLIF, (IMAGES, FLAT, FLAT)),
        ("LIF at rest", Case(F.LIF(), (IMAGES,))),
        ("PLIF at rest", Case(F.PLIF(), (IMAGES, ()))),
        ("CLIF at rest", Case(F.CLIF(), (IMAGES,))),
        ("MLIF at rest", Case(F.MLIF(), (IMAGES, IMAGES, (), ()), (0, 1))),
        ("MLIF per pixel", Case(F.MLIF(), (IMAGES, IMAGES, (), (), (5, 4, 1), (5, 4, 1)), (0, 1))),
        (
            "MLIF with all",
            Case(F.MLIF(v_reset=0.0, return_state=True), (IMAGES, IMAGES, (), (), (2,), (2,), FLAT, FLAT), (0, 1)),
        ),
        ("Fire", Case(F.Fire(), ((3, 4),))),
        ("Add", Case(F.Add(), ((3, 4), (4,)), (0, 1))),
        ("Add two trains", Case(F.Add(), ((3, 4), (3, 4)), (0, 1))),
        ("Sub", Case(F.Sub(), ((3, 4), (4,)), (0,))),
        ("Mul", Case(F.Mul(), ((3, 4), (4,)), (0, 1))),
        ("Mul two trains", Case(F.Mul(), ((3, 4), (3, 4)), (0, 1))),
        ("Div", Case(F.Div(), ((3, 4), (4,)), (0,))),
        ("Div single", Case(F.Div(), ((), ()))),
        ("ReLU", Case(F.ReLU(), ((3, 4),))),
        ("Cast", Case(F.Cast(np.float32), ((3, 4),), (0,))),
        ("SEW add", Case(F.SEW("add"), ((3, 4), (3, 4)), (0, 1))),
        ("SEW and", Case(F.SEW("and"), ((3, 4), (3, 4)), (0, 1))),
        ("SEW iand", Case(F.SEW("iand"), ((3, 4), (3, 4)))),
        ("BatchNorm training", Case(batch_norm(True), (IMAGES, (2,), (2,)))),
        ("BatchNorm evaluation", Case(batch_norm(False), (IMAGES, (2,), (2,)))),
        ("BatchNormLIF training", Case(batch_norm_lif(True, v_reset=0.0), (IMAGES, (2,), (2,)))),
        ("BatchNormLIF evaluation", Case(batch_norm_lif(False, detach_reset=True), (IMAGES, (2,), (2,)))),
        ("Conv2d", Case(F.Conv2d(1, 1), (IMAGES, (3, 3, 2, 3), (3,)), (0,))),
        ("Conv2d stride", Case(F.Conv2d((2, 1), (0, 1)), (IMAGES, (3, 2, 2, 3)), (0,))),
        ("Conv2d dilation", Case(F.Conv2d(1, (2, 1), (2, 1)), (IMAGES, (3, 2, 2, 3), (3,)), (0,))),
        ("GroupedConv2d depthwise", Case(F.GroupedConv2d(1, 1), (IMAGES, (3, 3, 1, 2), (2,)), (0,))),
        (
            "GroupedConv2d",
            Case(F.GroupedConv2d((2, 1), (1, 0), (1, 2)), ((2, 2, 5, 4, 4), (3, 2, 2, 6), (6,)), (0,)),
        ),
        ("Linear", Case(F.Linear(), ((3, 2, 4), (4, 5), (5,)), (0,))),
        ("MatMul", Case(F.MatMul(), ((2, 3, 4), (4, 5)), (0,))),
        ("Softmax", Case(F.Softmax(), ((3, 4),))),
        ("MaxPool2d", Case(F.MaxPool2d(2), (IMAGES,), (0,))),
        ("MaxPool2d padding", Case(F.MaxPool2d((3, 2), 2, 1), (IMAGES,), (0,))),
        ("MaxPool2d overlapping", Case(F.MaxPool2d((3, 2), 1), (IMAGES,), (0,))),
        ("AvgPool2d", Case(F.AvgPool2d(2), (IMAGES,), (0,))),
        ("GlobalAvgPool", Case(F.GlobalAvgPool(), (IMAGES,), (0,))),
        ("Sum", Case(F.Sum(), ((3, 4),), (0,))),
        ("Sum axis", Case(F.Sum((0, -1), keepdims=True), (IMAGES,), (0,))),
        ("Mean", Case(F.Mean(), ((3, 4),), (0,))),
        ("Mean axis", Case(F.Mean(1), (IMAGES,), (0,))),
        ("MSE", Case(F.MSE(), ((3, 4), (3, 4)))),
        ("CrossEntropy", Case(F.CrossEntropy(), ((3, 4), ("labels", 3, 4)))),
        ("Reshape", Case(F.Reshape(2, 6), ((3, 4),), (0,))),
        ("Transpose", Case(F.Transpose(2, 0, 1), ((3, 4, 2),), (0,))),
        ("GetItem", Case(F.GetItem((slice(1, None), 0)), ((3, 4),), (0,))),
        ("GetItem single", Case(F.GetItem((1, 0)), ((3, 4),), (0,))),
        ("Concat", Case(F.Concat(), ((3, 4), (3, 2)), (0, 1))),
        ("Stack", Case(F.Stack(1), ((3, 4), (3, 4)), (0, 1))),
        *((kind.__name__, Case(kind(), ((3, 4),), (0,))) for kind in (F.Exp, F.Tanh, F.Sigmoid, F.Abs)),
        ("Log", Case(F.Log(), ((3, 4),))),
        ("Sqrt", Case(F.Sqrt(), ((3, 4),))),
        ("Power", Case(F.Power(3), ((3, 4),), (0,))),
        ("Power of two", Case(F.Power(2), ((3, 4),), (0,))),
        ("Max", Case(F.Max(), ((3, 4),), (0,))),
        ("Max axis", Case(F.Max(2, keepdims=True), (IMAGES,), (0,))),
        ("LayerNorm", Case(F.LayerNorm(), ((3, 2, 4), (4,), (4,)))),
        ("Dropout", Case(F.Dropout(0.4, (0, "mask"), shared=True), (IMAGES,), (0,))),
        ("Dropout of events", Case(F.Dropout(0.4, (0, "mask"), scale=False), (IMAGES,), (0,))),
        ("Conv1d", Case(F.Conv1d(2, 1), ((3, 2, 5, 2), (3, 2, 4), (4,)), (0,))),
    ]
)
