"""Layers without weights: elementwise functions, flattening, dropout."""

import numpy as np
import pytest

from snncore import Tensor, at_timestep, manual_seed, nn, training_step
from snncore import functions as F


def test_elementwise_layers_call_their_functions():
    x = np.array([[-1.0, 0.0, 2.0]])
    for layer, function in ((nn.ReLU(), F.ReLU()), (nn.Sigmoid(), F.Sigmoid()), (nn.Tanh(), F.Tanh())):
        np.testing.assert_array_equal(layer(x).data, function(x).data)


def test_flatten_keeps_time_and_samples_and_joins_the_rest():
    x = np.arange(2 * 3 * 4 * 5 * 2).reshape(2, 3, 4, 5, 2).astype(np.float32)
    np.testing.assert_array_equal(nn.Flatten()(x).data, x.reshape(2, 3, 40))
    np.testing.assert_array_equal(nn.Flatten(start=1)(Tensor(x)).data, x.reshape(2, 120))
    assert nn.Flatten()(np.ones((2, 0, 4, 5), np.uint8)).shape == (2, 0, 20)
    with pytest.raises(ValueError, match=r"Flatten: expected more than 2 axes, found \(3, 4\)"):
        nn.Flatten()(np.ones((3, 4)))


def test_dropout_hands_on_what_it_was_given_in_evaluation_and_at_rate_0():
    for x in (Tensor(np.ones((2, 3, 4), np.uint8)), Tensor(np.ones((2, 3)))):
        assert nn.Dropout(0.5).eval()(x) is x
        assert nn.Dropout(0.0)(x) is x


def ones(*shape):
    return np.ones(shape, np.float32)


def test_a_mask_is_shared_over_time_where_there_is_time():
    y = nn.Dropout(0.5)(ones(4, 2, 30)).data
    np.testing.assert_array_equal(y, np.broadcast_to(y[0], y.shape))
    y = nn.Dropout(0.5)(ones(30, 30)).data  # [N, C]: each sample has a mask of its own
    assert (y[0] != y[1]).any()
    y = nn.Dropout(0.5, shared_over_time=False)(ones(4, 2, 30)).data
    assert (y[0] != y[1]).any()


@pytest.mark.parametrize("shared", [True, False])
def test_a_network_that_loops_over_time_gets_the_masks_of_one_that_does_not(shared):
    layer = nn.Dropout(0.5, shared_over_time=shared)
    steps = []
    with training_step(0, 0):
        for t in range(3):
            with at_timestep(t):
                steps.append(layer(ones(2, 3, 30)).data)
    assert ((steps[0] == steps[1]).all(), (steps[1] == steps[2]).all()) == (shared, shared)
    assert (steps[0][0] != steps[0][1]).any()  # the first axis are samples here


def net():
    return nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))


def masks(model, seed, step):
    with training_step(seed, step):
        first, second = (part(ones(50, 20)).data for part in (lambda x: model(x), lambda x: model(x)))
    return first, second


def test_a_resumed_run_draws_what_the_first_one_drew():
    """Whatever was drawn before, and in another model of the same build."""
    first = masks(net(), 7, 5)
    manual_seed(99)
    nn.Dropout(0.5)(ones(4, 4))
    model = net()
    masks(model, 7, 4)
    again = masks(model, 7, 5)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_step_seed_layer_or_call_draws_another_mask():
    first, second = masks(net(), 7, 5)
    others = [second, masks(net(), 7, 6)[0], masks(net(), 8, 5)[0]]
    assert [bool((first != other).any()) for other in others] == [True] * 3
    model, seen = net(), []
    with training_step(0, 0):
        for layer in model:
            seen.append(layer(ones(50, 20)).data)
    assert (seen[0] != seen[1]).any()  # each called by itself, so without a path: their order tells them apart
    with training_step(0, 0):
        y = model(ones(50, 20)).data
    assert 0.15 < (y != 0).mean() < 0.35  # two masks: a quarter passes, not half


def test_outside_a_step_masks_come_from_the_stream_of_the_process():
    layer = nn.Dropout(0.5)
    manual_seed(3)
    first, second = layer(ones(9, 9)).data, layer(ones(9, 9)).data
    manual_seed(3)
    np.testing.assert_array_equal(layer(ones(9, 9)).data, first)
    assert (first != second).any()


def test_a_step_below_zero_is_refused_and_a_rate_of_one_too():
    with pytest.raises(ValueError, match="training_step: expected a seed and a step of at least 0, found 0 and -1"):
        training_step(0, -1).__enter__()
    with pytest.raises(ValueError, match=r"Dropout: expected a rate in \[0, 1\), found 1"):
        nn.Dropout(1.0)
