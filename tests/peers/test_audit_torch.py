"""A network in PyTorch counts what the same network counts here: to the last integer, in every column."""

from dataclasses import replace
from itertools import zip_longest

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
pytest.importorskip("snntorch", reason="the extra peers is not installed")

from misnet.models.sew_resnet import Config, build  # noqa: E402
from snncore import Tensor, count_ops, no_grad  # noqa: E402
from snncore.foreign import audit_torch  # noqa: E402
from snncore.opcount.columns import COLUMNS  # noqa: E402
from tests.peers.test_resnets import SWITCHES, copy_weights, neuron_settings, peers  # noqa: E402, F401
from tests.peers.torch_zoo import ZOO, N, made  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def both(name, training=False):
    """Counts of one network here and there, and what both put out."""
    case = made(name)
    time = case.settings["timesteps"]
    case.ours.train(training)
    case.theirs.train(training)
    with no_grad(), count_ops(samples=N, timesteps=time) as ops:
        y = case.ours(Tensor(case.x)).data
    return ops, audit_torch(case.theirs, case.theirs_x, **case.settings), y


def per_function(ops):
    """Calls that counted something, in the order of execution."""
    return [(call.function, call.cost.totals()) for call in ops.calls if call.cost.totals()]


def facts(ops):
    """What the rules of others are made from; sums of floats are compared apart, their order differs."""
    found = [fact for _, fact in ops.facts()]
    return [replace(fact, value_sum=0, value_taps=0) for fact in found], [f.value_sum + f.value_taps for f in found]


def differences(ours, theirs):
    """Every column, timestep, sample and fact in which two counts differ."""
    a, b = ours.totals(), theirs.totals()
    found = {name: (a[name], b[name]) for name in COLUMNS if a[name] != b[name]}
    for name in COLUMNS:
        if name not in found and not np.array_equal(ours.table(name), theirs.table(name)):
            found[f"table of {name}"] = (ours.table(name).tolist(), theirs.table(name).tolist())
    (one, sums), (other, their_sums) = facts(ours), facts(theirs)
    found |= {f"facts {i}": pair for i, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1]}
    if sums != pytest.approx(their_sums, rel=1e-5, abs=1e-5):  # sums of float32 in another order
        found["sums"] = (sums, their_sums)
    return found


@pytest.mark.parametrize("name", ZOO)
def test_the_same_network_counts_the_same(name):
    ours, theirs, _ = both(name)
    assert per_function(theirs) == per_function(ours)
    assert differences(ours, theirs) == {}
    assert (theirs.samples, theirs.notes) == (N, [])
    if name.startswith("static"):
        assert min(ours.totals()[column] for column in ("mac_repeated", "mac_zero_weight", "mac_averaged")) > 0
    if name != "transformer":
        rate = ours.totals()["spikes"] / ours.totals()["places"]
        assert 0.02 < rate < 0.9


def test_training_counts_the_statistics_of_the_batch():
    ours, theirs, _ = both("vgg", training=True)
    assert ours.totals()["bn_stat_add"] > 0
    assert per_function(theirs) == per_function(ours)
    assert differences(ours, theirs) == {}


class Mean(torch.nn.Module):
    """The verdict: the mean over time."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).mean(0)


def test_sew_resnet18(peers):  # noqa: F811
    """SpikingJelly's own network, run as its users run it, counts what ours counts."""
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
