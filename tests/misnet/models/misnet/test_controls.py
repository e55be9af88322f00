"""Ab2.2, Ab2.3 and the controls of Fig. 6: what each computes, and which are the same network."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.models.misnet.mlif import SecondThreshold, make_mlif
from snncore import Tensor, nn
from snncore.firing import Firing
from tests.misnet.models.misnet.numpy_mlif import FUSIONS, lif
from tests.misnet.models.misnet.test_fusion import SHAPE, SMALL, THRESHOLD, Opened, currents, make, neuron_reset
from tests.misnet.tiny import make_batch, tiny_config

DECAY = 1 - 1 / 1.6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def raised_lif(c, threshold, v_reset):
    """Fires at `threshold`, resets by THRESHOLD: in plain NumPy, from the equations."""
    u, trains = np.zeros(c.shape[1:]), []
    for current in c:
        u = DECAY * u + current
        s = (u >= threshold).astype(float)
        u = u - THRESHOLD * s if v_reset is None else np.where(s == 1, v_reset, u)
        trains.append(s)
    return np.array(trains)


@pytest.mark.parametrize("fusion", ["mlp", "attention"])
def test_ab2_fuses_the_spikes_of_two_lifs(rng, fusion):
    neuron = make(rng, fusion, "independent")
    o_a, o_v, w_a, w_v = currents(rng)
    s_a, s_v = (lif(c, DECAY, THRESHOLD) for c in (o_a * w_a, o_v * w_v))
    weights = {n.removeprefix("fusion."): p.data for n, p in neuron.named_parameters()}
    found = neuron(*map(Tensor, (o_a, o_v, w_a, w_v)))
    for y, f, s in zip(found, FUSIONS[fusion](weights)(s_a, s_v), (s_a, s_v), strict=True):
        assert y.data.dtype == np.uint8
        np.testing.assert_array_equal(y.data, f >= 0.5)
        assert (y.data != s).any()  # the fusion does something


@pytest.mark.parametrize("fusion", ["mlp", "attention"])
def test_a_fusion_of_spikes_that_adds_nothing_changes_nothing(rng, fusion):
    neuron = make(rng, fusion, "independent")
    for name, p in neuron.named_parameters():
        if name.startswith(("fusion.fc2", "fusion.value")):
            p.data[...] = 0
    o = list(map(Tensor, currents(rng)))
    for y, s in zip(neuron(*o), neuron.neuron(*o), strict=True):
        np.testing.assert_array_equal(y.data, s.data)
        assert 0.1 < s.data.mean() < 0.9


@pytest.mark.parametrize("fusion", ["mlp", "attention"])
def test_sound_reaches_vision_through_fused_spikes(rng, fusion):
    neuron = make(rng, fusion, "independent")
    o_a, o_v, w_a, w_v = map(Tensor, currents(rng))
    before, after = neuron(o_a, o_v, w_a, w_v)[1], neuron(Tensor(o_a.data * 0), o_v, w_a, w_v)[1]
    assert (before.data != after.data).any()


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_the_second_threshold_is_above_what_the_reset_subtracts(rng, reset):
    neuron = make(rng, "concat", "second-threshold", reset=reset, learn_alpha=False)
    o_a, o_v, w_a, w_v = currents(rng)
    found = neuron(*map(Tensor, (o_a, o_v, w_a, w_v)))
    for s, c in zip(found, (o_a * w_a, o_v * w_v), strict=True):
        expected = raised_lif(c, float(np.float32(THRESHOLD / 0.5)), neuron_reset(reset))
        np.testing.assert_array_equal(s.data, expected)
        assert 0.05 < s.data.mean() < 0.9
        assert (s.data != lif(c, DECAY, 2 * THRESHOLD, neuron_reset(reset))).any() == (reset == "soft")


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_the_concat_mlif_is_two_lifs_with_a_second_threshold(rng, v_reset, detach_reset, alpha):
    """Spikes and gradients, though one is written with alpha and fusion, the other with neither."""
    firing = Firing(0.4, 1.0, v_reset, detach_reset=detach_reset)
    arrays, gradients = currents(rng), rng.standard_normal((2, *SHAPE))
    results = []
    for neuron in (nn.MLIF(firing=firing, alpha=alpha, learn_alpha=False), SecondThreshold(firing, alpha, False)):
        neuron.astype(np.float64)
        for m in "av":  # not the float32 nearest to alpha, whose inverse is no float32 threshold
            if isinstance(neuron, nn.MLIF):
                getattr(neuron, f"alpha_{m}").data = np.array(alpha)
            else:
                getattr(neuron, m).threshold.data = np.array(1.0 / alpha)
        leaves = [Tensor(x, True) for x in arrays]
        spikes = neuron(*leaves)
        sum((s * Tensor(g)).sum() for s, g in zip(spikes, gradients, strict=True)).backward()
        results.append(([s.data for s in spikes], [x.grad for x in leaves]))
    for s, t in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_array_equal(s, t)
        assert 0.05 < s.mean() < 0.9
    for g, expected in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-12, atol=1e-12)
        assert np.abs(g).max() > 1e-3


def test_whole_networks_with_either_give_the_same_scores():
    config = {"learn_alpha": False, "alpha": 0.5, "mlif_v_threshold": 0.5}
    x_a, x_v, _ = make_batch(tiny_config(), dtype=np.float64)
    first, second = (
        MISNet(tiny_config(mlif=mlif, **config)).astype(np.float64)(Tensor(x_a), Tensor(x_v))
        for mlif in ("full", "second-threshold")
    )
    assert any(first["av"].data[0] != first["av"].data[1])
    for name in first:
        np.testing.assert_allclose(first[name].data, second[name].data, rtol=1e-12)


@pytest.mark.parametrize(("mlif", "fusion"), [("independent", "mlp"), ("independent", "attention")])
def test_gradients_of_fused_spikes(rng, mlif, fusion):
    neuron = make(rng, fusion, mlif, channels=SMALL[-1])
    assert Opened(neuron).check(currents(rng, SMALL), rtol=1e-6) < 1e-6


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_gradients_of_a_learned_threshold(rng, reset):
    opened = Opened(make(rng, "concat", "second-threshold", channels=SMALL[-1], reset=reset))
    assert list(opened.parameters) == ["a.threshold", "v.threshold"]
    assert opened.check(currents(rng, SMALL), rtol=1e-6) < 1e-6


def test_a_learned_threshold_starts_at_v_over_alpha(rng):
    neuron = make_mlif(tiny_config(mlif="second-threshold", alpha=0.25, mlif_v_threshold=0.5), 4, rng)
    assert {n: float(p.data) for n, p in neuron.named_parameters()} == {"a.threshold": 2.0, "v.threshold": 2.0}


def test_without_a_neuron_a_cell_hands_on_what_sew_gives(rng):
    neuron = make_mlif(tiny_config(mlif="off"), 4, rng)
    o_a, o_v = map(Tensor, rng.integers(0, 3, (2, *SHAPE), dtype=np.uint8))
    assert neuron(o_a, o_v) == (o_a, o_v)
    model = MISNet(tiny_config(mlif="off", cells=(2, 1)))
    cell = model.stages[0].cells[0]
    assert cell.w_a is cell.w_v is None
