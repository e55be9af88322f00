"""The settings of a neuron: checked once, the same object from the layer to the kernels."""

import dataclasses

import numpy as np
import pytest

from snncore import functions as F
from snncore import nn
from snncore.firing import Firing
from snncore.kernels import cpu
from snncore.surrogate import ATan, Sigmoid

OTHER = Firing(0.3, 0.7, None, ATan(3.0), True)


def norm_lif(**settings):
    return F.BatchNormLIF(np.zeros(1, np.float32), np.ones(1, np.float32), **settings)


MAKERS = {
    "LIF": F.LIF,
    "PLIF": F.PLIF,
    "CLIF": F.CLIF,
    "MLIF": F.MLIF,
    "BatchNormLIF": norm_lif,
    "nn.LIF": nn.LIF,
    "nn.PLIF": nn.PLIF,
    "nn.CLIF": nn.CLIF,
    "nn.MLIF": nn.MLIF,
}
each = pytest.mark.parametrize("name", MAKERS)


@each
def test_firing_stands_for_the_settings_one_by_one(name):
    assert MAKERS[name](firing=OTHER).firing is OTHER
    assert MAKERS[name]().firing == Firing(0.5, 1.0, None, Sigmoid(4.0), False)
    found = MAKERS[name](v_threshold=0.7, surrogate=ATan(3.0), detach_reset=True).firing
    assert found == dataclasses.replace(OTHER, decay=0.5)


@each
def test_both_at_once_are_refused(name):
    with pytest.raises(TypeError, match=r"LIF: expected firing or its settings one by one, found both: .*0\.7.*0\.8"):
        MAKERS[name](v_threshold=0.8, firing=OTHER)


@each
@pytest.mark.parametrize("v_threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_that_is_not_positive_is_refused(name, v_threshold):
    with pytest.raises(ValueError, match=f"v_threshold: expected a positive number, found {v_threshold}"):
        MAKERS[name](v_threshold=v_threshold)


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    for make in (Firing, F.LIF, F.MLIF):
        with pytest.raises(ValueError, match=rf"decay: expected a number in \[0, 1\], found {decay}"):
            make(decay)


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OTHER.decay = 0.9


def test_neurons_of_the_table_are_made_alike():
    for name, make in nn.NEURONS.items():
        neuron = make(firing=OTHER, stateful=True)
        assert neuron.firing == dataclasses.replace(OTHER, decay=1.0 if name == "if" else 0.3)
        assert neuron.stateful


def test_what_a_neuron_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"CLIF: expected a soft reset, v_reset None, found 0\.0"):
        nn.CLIF(firing=Firing(v_reset=0.0))
    for decay in (0.0, 1.0):
        with pytest.raises(ValueError, match=f"PLIF: expected a decay between 0 and 1 to start from, found {decay}"):
            nn.PLIF(firing=Firing(decay))


def test_the_kernels_are_given_the_object_of_the_layer(monkeypatch):
    seen = []

    def spy(x, mean, inv_std, gamma, beta, firing):
        seen.append(firing)
        return np.zeros(x.shape, np.uint8)

    monkeypatch.setattr(cpu, "batch_norm_lif_forward", spy)
    nn.LIF(firing=OTHER)(np.ones((2, 2, 1), np.float32), nn.BatchNorm(1))
    assert len(seen) == 1
    assert seen[0] is OTHER


@pytest.mark.parametrize("make", [lambda s: nn.LIF(surrogate=s), lambda s: nn.CLIF(surrogate=s), F.Fire, F.MLIF])
def test_a_surrogate_that_is_none_is_refused_where_it_is_given(make):
    for given, found in ((Sigmoid, "the class Sigmoid"), ("atan", "'atan'"), (4.0, r"4\.0")):
        with pytest.raises(TypeError, match=f"surrogate: expected an instance of a Surrogate, .* found {found}"):
            make(given) if make is not F.MLIF else make(surrogate=given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau": "2"}, "tau: expected a number above 1, found '2'"),
        ({"decay": [0.5]}, r"decay: expected a number in \[0, 1\), found \[0\.5\]"),
        ({"v_threshold": np.ones(3)}, "v_threshold: expected a positive number, found array"),
        ({"v_reset": "hard"}, "v_reset: expected a finite number, or None for a soft reset, found 'hard'"),
        ({"v_reset": np.inf}, "v_reset: expected a finite number, .* found inf"),
    ],
)
def test_what_is_no_number_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        nn.LIF(**settings)


def test_numbers_of_numpy_are_numbers():
    lif = nn.LIF(tau=np.float32(2), v_threshold=np.array(1.0), v_reset=np.int64(0))
    assert lif(np.array([1.5, 0.5], np.float32)).data.tolist() == [1, 0]
