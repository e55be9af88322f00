"""A network in PyTorch counts what the same network counts here, to the last integer, in every column and by every rule."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
pytest.importorskip("snntorch", reason="the extra peers is not installed")

from snncore import Tensor, count_ops, no_grad  # noqa: E402
from snncore.energy import RULES, apply_rule  # noqa: E402
from snncore.foreign import audit_torch  # noqa: E402
from snncore.opcount.columns import COLUMNS  # noqa: E402
from tests.peers.torch_zoo import ZOO, N, T, made  # noqa: E402

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
    """Calls that counted something, in the order of execution; where an addition of ours is SEW, either name is right."""
    return [(call.function, call.cost.totals()) for call in ops.calls if call.cost.totals()]


def differences(ours, theirs):
    """Every column, timestep and sample, and every figure of every rule, in which two counts differ."""
    a, b = ours.totals(), theirs.totals()
    found = {name: (a[name], b[name]) for name in COLUMNS if a[name] != b[name]}
    for name in COLUMNS:
        if name not in found and not np.array_equal(ours.table(name), theirs.table(name)):
            found[f"table of {name}"] = (ours.table(name).tolist(), theirs.table(name).tolist())
    for rule in RULES:
        one, other = apply_rule(rule, ours), apply_rule(rule, theirs)
        for field in ("mac", "ac", "energy_mj"):
            if getattr(one, field) != pytest.approx(getattr(other, field), rel=1e-12):
                found[f"{rule}.{field}"] = (getattr(one, field), getattr(other, field))
    return found


@pytest.mark.parametrize("name", ZOO)
def test_the_same_network_counts_the_same(name):
    ours, theirs, _ = both(name)
    assert per_function(theirs) == per_function(ours)
    assert differences(ours, theirs) == {}
    assert (theirs.samples, theirs.notes) == (N, [])
    if name != "transformer":
        rate = ours.totals()["spikes"] / ours.totals()["places"]
        assert 0.02 < rate < 0.9
