"""state_dict and load_state_dict: all or nothing."""

import numpy as np
import pytest

from snncore import CheckpointError, nn


def net(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Conv2d(1, 2, rng=rng), nn.BatchNorm(2), nn.PLIF(), nn.MLIF(learn_alpha=False))


NAMES = ["0.weight", "0.bias", "1.weight", "1.bias", "2.w", "1.running_mean", "1.running_var", "3.alpha_a", "3.alpha_v"]


def copies(module):
    return {name: x.copy() for name, x in module.state_dict().items()}


def test_state_dict_holds_the_arrays_of_parameters_and_buffers():
    module = net()
    state = module.state_dict()
    assert list(state) == NAMES
    assert all(state[name] is p.data for name, p in module.named_parameters())
    assert all(state[name] is b.data for name, b in module.named_buffers())


def test_loading_copies_every_value_into_the_arrays_that_are_there():
    source, target = net(1), net(2)
    own, given = target.state_dict(), copies(source)
    target.load_state_dict(given)
    for name, x in target.state_dict().items():
        assert x is own[name]  # an optimiser may hold it
        np.testing.assert_array_equal(x, source.state_dict()[name])
    for x in given.values():
        x += 1
    np.testing.assert_array_equal(target.state_dict()["0.weight"], source.state_dict()["0.weight"])


def change(**arrays):
    def edit(state):
        for name, x in arrays.items():
            state.pop(name) if x is None else state.update({name: x})

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(**{"1.bias": None}), "1.bias"),
        (change(**{"9.weight": np.zeros(1, np.float32)}), "9.weight"),
        (change(**{"1.bias": np.zeros(3, np.float32)}), r"1\.bias.*\(2,\).*\(3,\)|1\.bias.*\(3,\).*\(2,\)"),
        (change(**{"1.running_var": np.zeros(2, np.float64)}), r"(?s)1\.running_var.*float"),
        (change(**{"2.w": np.zeros(1, np.float32)}), r"2\.w"),
    ],
)
def test_a_wrong_name_shape_or_type_is_named_before_anything_changes(edit, message):
    target = net(2)
    before, given = copies(target), {name: x + 1 for name, x in copies(net(1)).items()}
    edit(given)
    with pytest.raises(CheckpointError, match=message):
        target.load_state_dict(given)
    for name, x in target.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (None, "Sequential: expected arrays by name, found a NoneType"),
        ([1], "Sequential: expected arrays by name, found a list"),
        ({"0.weight": [[1.0]]}, "Sequential: 0.weight: expected an array without a mask, found a list"),
        ({"0.weight": np.ma.masked_equal([1.0], 1)}, "0.weight: expected an array without a mask, found a MaskedArray"),
    ],
)
def test_what_are_no_arrays_is_refused_by_name(arrays, message):
    with pytest.raises(CheckpointError, match=message):
        nn.Sequential(nn.Linear(1, 1)).load_state_dict(arrays)
