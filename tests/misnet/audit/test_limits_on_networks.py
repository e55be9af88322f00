"""The least and the most of every rule on MISNets of many configurations."""

import pytest

from misnet import MISNet
from snncore import Tensor, count_ops, no_grad
from tests.misnet.test_exact_counts import SWITCHES
from tests.misnet.tiny import shaken, streams_of, tiny_config
from tests.snncore.energy.test_limits import check_between


@pytest.mark.parametrize("name", SWITCHES)
def test_every_rule_lies_between_its_limits(name):
    config = tiny_config(timesteps=2, size=4 if name != "public code" else 8, v_threshold=0.4, **SWITCHES[name])
    model = shaken(MISNet(config)).eval()
    with no_grad(), count_ops(samples=2, timesteps=2) as ops:
        model(*(Tensor(x) for x in streams_of(config, n=2)))
    check_between(ops)
