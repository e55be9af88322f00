"""Training steps of every model as a GPU would do them: the numbers of the CPU, one reading at the end of a step."""

import re

import numpy as np
import pytest

from misnet.models.registry import build
from misnet.training.graphed import GraphedSteps
from misnet.training.graphed_passes import GraphedPasses
from misnet.training.step import Totals, evaluate, train_step
from snncore import to_device
from snncore.optim import SGD
from tests.misnet.models.checks import batch_of
from tests.misnet.models.test_every_model import SMALL, small
from tests.misnet.training.gpu_step import exact, on_device
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")

DRAWS = ("concat-resnet18",)
"""Models that draw on the host in every step, and so copy to the device."""


def train(name, device):
    """Losses, weights and events of two steps."""
    with exact(device):
        model = build(name, small(name)).to(device)
        optimizer = SGD(model.named_parameters(), 0.1)
        losses, counted = [], []
        for step in range(2):
            streams, labels = batch_of(model.config, 4, seed=step)
            labels[:3] = 0, 1, 2
            batch = on_device((*streams, labels), device)
            before = ledger.events.copy()
            losses.append(train_step(model, optimizer, 0.1, batch, Totals(), step))
            counted.append(ledger.events - before)
        return losses, {key: np.asarray(to_device(x, "cpu")) for key, x in model.state_dict().items()}, counted


@pytest.mark.parametrize("name", SMALL)
def test_two_steps_are_those_of_the_cpu(name):
    losses, weights, _ = train(name, "cpu")
    with double.installed():
        on_gpu, weights_on_gpu, counted = train(name, "cuda")
    np.testing.assert_allclose(on_gpu, losses, rtol=1e-5)
    for key, x in weights.items():
        np.testing.assert_allclose(weights_on_gpu[key], x, rtol=1e-4, atol=1e-5, err_msg=key)
    for events in counted:
        assert events.pop("launch") > 20
        assert (events.pop("h2d", 0) > 0) == (name in DRAWS)
        assert events == {"d2h": 1}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "recorded"), [("spikformer", (False, False)), ("pmr", (False, True))])
def test_what_cannot_be_recorded_runs_as_ever_with_one_line(name, recorded):
    """Attention and the prototypes of PMR call cuBLAS through CuPy."""
    lines = []
    with double.installed():
        model = build(name, small(name)).to("cuda")
        graphed = GraphedSteps(model, SGD(model.named_parameters(), 0.1), lines.append)
        streams, labels = batch_of(model.config, 4)
        batch = on_device((*streams, labels), "cuda")
        for step in range(4):
            graphed.step(0.1, batch, Totals(), step)
        passes = GraphedPasses(model, lines.append, graphed.recorder)
        assert evaluate(model, [batch] * 3, "cuda", passes=passes) == evaluate(model, [batch] * 3, "cuda")
        assert ledger.events["graph"] == 2 * recorded[1]
    assert len(lines) == 2
    for line, on in zip(lines, recorded, strict=True):
        assert re.match(r"CUDA graph.*: on: " if on else r"CUDA graph.*: off: .*calling cuBLAS API", line)
