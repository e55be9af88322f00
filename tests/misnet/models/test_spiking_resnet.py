"""Spiking ResNet18: parameters, gradients, counts, and a block that fires after the addition."""

import numpy as np
import pytest

from misnet.models.spiking_resnet import Config, build
from snncore import Tensor, no_grad
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of

TINY = {"channels": (2, 3), "blocks": (1, 1), "size": 4, "timesteps": 2, "classes": 3, "visual_channels": 2}


def tiny(**switches):
    return Config(**(TINY | switches))


def test_parameters_are_those_of_resnet18():
    config = Config(streams="visual", stem="imagenet", classes=1000)
    assert build(config).count_parameters() == 11_689_512


@pytest.mark.parametrize(
    "switches",
    [{"streams": "visual", "timesteps": 3}, {"neuron": "lif", "stem": "imagenet", "size": 9}, {"fusion": "early"}],
    ids=str,
)
def test_every_parameter(switches):
    assert check_gradients_of(build, tiny(detach_reset=False, **switches)) > 15


def test_counts_and_rules():
    config = tiny(v_threshold=0.4)
    compared, totals = check_counts_of(build, config)
    assert compared > 10
    assert totals["spikes"] > 0
    check_rules_of(build, config)


def test_blocks_give_binary_spikes_and_zero_init_makes_them_identities():
    config = tiny(streams="visual", channels=(3,), blocks=(2,), zero_init=True, timesteps=3)
    encoder = build(config).encoders["visual"]
    (x,), _ = batch_of(config)
    with no_grad():
        s = encoder.stem(Tensor(2 * x))
        np.testing.assert_array_equal(encoder.stages(s).data, s.data)  # an IF with threshold 1 repeats its input
        encoder.stages[0][0].c2.bn.weight.data[...] = 2
        o = encoder.stages(s).data
    assert 0 < s.data.mean() < 1
    assert (o.max(), (o != s.data).any()) == (1, True)
