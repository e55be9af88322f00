"""SpikingJelly's own SEW-ResNet-18, run as its users run it, counts what ours counts."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")

from misnet.models.sew_resnet import Config, build  # noqa: E402
from snncore import Tensor, audit_torch, count_ops, no_grad  # noqa: E402
from tests.peers.test_resnets import SWITCHES, copy_weights, neuron_settings, peers  # noqa: E402, F401


class Mean(torch.nn.Module):
    """The verdict: the mean over time."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).mean(0)


@pytest.mark.filterwarnings("ignore")
def test_sew_resnet18(peers):  # noqa: F811
    theirs = peers.sew.sew_resnet18(cnf="ADD", num_classes=SWITCHES["classes"], **neuron_settings(peers))
    ours = build(Config(**SWITCHES, connect="add"))
    copy_weights(ours, theirs)
    peers.functional.set_step_mode(theirs, "m")
    x = np.random.default_rng(0).normal(size=(3, 2, 17, 17, 3)).astype(np.float32)
    with no_grad(), count_ops(samples=2, timesteps=3) as ops:
        ours.eval()(Tensor(x))
    found = audit_torch(Mean(theirs).eval(), np.moveaxis(x, -1, 2).copy(), timesteps=3)
    assert found.totals() == ops.totals()
    assert found.by_sample("ac_binary") == ops.by_sample("ac_binary")
    assert found.totals()["ac_graded"] > 0
    assert found.notes == []
    assert list(found.layers())[:2] == ["network.conv1", "network.bn1"]
