"""Fusion inside the neuron: what the fused MLIF computes, its gradient, and the ablations of Fig. 6."""

import numpy as np
import pytest

from misnet.models.misnet.blocks import make_mlif
from misnet.models.misnet.fusion import ConcatFusion, FusedMLIF
from snncore import GradientError, Tensor, check_gradients, no_grad
from snncore import functions as F
from snncore.firing import Firing
from snncore.surrogate import Sigmoid
from tests.misnet.models.misnet.numpy_mlif import FUSIONS, fused_mlif, lif
from tests.misnet.tiny import random_spikes, tiny_config

SHAPE = (3, 2, 2, 2, 3)  # T, N, H, W, C
SMALL = (3, 1, 1, 2, 2)
THRESHOLD = 0.6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def currents(rng, shape=SHAPE):
    """Two continuous inputs and two W, so that no membrane is on its threshold."""
    o_a, o_v = rng.normal(1.0, 1.0, (2, *shape))
    w_a, w_v = rng.uniform(0.5, 1.5, (2, *shape[2:4], 1))
    return o_a, o_v, w_a, w_v


def make(rng, fusion, mlif="full", channels=SHAPE[-1], **switches):
    """The neuron of a cell in float64, with weights large enough to fire."""
    config = tiny_config(mlif=mlif, mlif_fusion=fusion, mlif_v_threshold=THRESHOLD, tau=1.6, **switches)
    neuron = make_mlif(config, channels, rng).astype(np.float64)
    for name, p in neuron.named_parameters():
        p.data *= {"alpha_a": 1.4, "alpha_v": 1.8}.get(name, 2.0)
    return neuron


def constants(neuron):
    """alpha, decay, threshold and the weights of the fusion, as the NumPy twin takes them."""
    weights = {n.removeprefix("fusion."): p.data for n, p in neuron.named_parameters() if n.startswith("fusion.")}
    return weights, {"a": float(neuron.alpha_a.data), "v": float(neuron.alpha_v.data)}


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.0])
def test_with_concat_the_fused_mlif_is_the_mlif(rng, v_reset, detach_reset):
    arrays = currents(rng)
    gradients = rng.standard_normal((2, *SHAPE))
    firing = Firing(0.4, THRESHOLD, v_reset, Sigmoid(), detach_reset)
    fused = FusedMLIF(ConcatFusion(), firing, alpha=0.5, learn_alpha=True).astype(np.float64)
    fused.alpha_a.data, fused.alpha_v.data = np.array(0.7), np.array(0.9)
    plain = F.MLIF(firing=firing)
    alphas = Tensor(np.array(0.7), True), Tensor(np.array(0.9), True)
    results = []
    for call, alpha in (
        (fused, (fused.alpha_a, fused.alpha_v)),
        (lambda o_a, o_v, w_a, w_v: plain(o_a, o_v, *alphas, w_a, w_v), alphas),
    ):
        leaves = [Tensor(x, True) for x in arrays]
        spikes = call(*leaves)
        sum((s * Tensor(g)).sum() for s, g in zip(spikes, gradients, strict=True)).backward()
        results.append(([s.data for s in spikes], [x.grad for x in (*leaves, *alpha)]))
    for s, t in zip(results[0][0], results[1][0], strict=True):
        assert s.dtype == t.dtype == np.uint8
        np.testing.assert_array_equal(s, t)
    for g, expected in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_spikes_are_those_of_the_equations(rng, fusion, reset):
    neuron = make(rng, fusion, reset=reset)
    o_a, o_v, w_a, w_v = currents(rng)
    weights, alpha = constants(neuron)
    found = neuron(*map(Tensor, (o_a, o_v, w_a, w_v)))
    o, w = {"a": o_a, "v": o_v}, {"a": w_a, "v": w_v}
    expected = fused_mlif(FUSIONS[fusion](weights), o, w, alpha, 1 - 1 / 1.6, THRESHOLD, neuron_reset(reset))
    for s, m in zip(found, "av", strict=True):
        np.testing.assert_array_equal(s.data, expected[m])
        assert 0.1 < s.data.mean() < 0.9


def neuron_reset(reset):
    return None if reset == "soft" else 0.0


class Opened:
    """A neuron as a function of its inputs, its alphas and its weights, for check_gradients."""

    def __init__(self, neuron):
        self.neuron, self.parameters = neuron, dict(neuron.named_parameters())
        self.owners = {}
        for path in self.parameters:
            *folders, name = path.split(".")
            owner = neuron
            for folder in folders:
                owner = getattr(owner, folder)
            self.owners[path] = owner, name

    def __call__(self, o_a, o_v, w_a, w_v, *weights):
        for (owner, name), w in zip(self.owners.values(), weights, strict=True):
            setattr(owner, name, w)
        return self.neuron(o_a, o_v, w_a, w_v)

    def check(self, arrays, rtol):
        names = ["o_a", "o_v", "w_a", "w_v", *self.parameters]
        inputs = [*arrays, *(p.data.copy() for p in self.parameters.values())]
        return check_gradients(self, inputs, names=names, relaxed=True, rtol=rtol, atol=1e-9)


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("mlif", ["full", "fused-charge"])
@pytest.mark.parametrize("fusion", ["mlp", "attention"])
def test_gradients_through_three_timesteps(rng, fusion, mlif, reset):
    neuron = make(rng, fusion, mlif, channels=SMALL[-1], reset=reset)
    assert Opened(neuron).check(currents(rng, SMALL), rtol=1e-6) < 1e-6


def test_the_gradient_check_notices_a_detached_reset(rng):
    opened = Opened(make(rng, "mlp", channels=SMALL[-1], detach_reset=True))
    with pytest.raises(GradientError, match="o_a"):
        opened.check(currents(rng, SMALL), rtol=1e-3)


def test_spikes_of_either_kind_are_taken_without_w(rng):
    o_a, o_v = random_spikes(rng, *SHAPE), random_spikes(rng, *SHAPE)
    for mlif in ("full", "fused-charge"):
        neuron = make(rng, "attention", mlif)
        found = neuron(Tensor(o_a), Tensor(o_v))
        expected = neuron(Tensor(o_a.astype(float)), Tensor(o_v.astype(float)))
        for s, t in zip(found, expected, strict=True):
            np.testing.assert_array_equal(s.data, t.data)
            assert s.data.any()


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_ab1_with_concat_is_two_lifs_on_scaled_currents(rng, reset):
    neuron = make(rng, "concat", "fused-charge", reset=reset)
    o_a, o_v, w_a, w_v = currents(rng)
    _, alpha = constants(neuron)
    found = neuron(*map(Tensor, (o_a, o_v, w_a, w_v)))
    for s, m, c in zip(found, "av", (o_a * w_a, o_v * w_v), strict=True):
        np.testing.assert_array_equal(s.data, lif(alpha[m] * c, 1 - 1 / 1.6, THRESHOLD, neuron_reset(reset)))
        assert 0.1 < s.data.mean() < 0.9


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_ab2_is_two_lifs(rng, reset):
    neuron = make(rng, "concat", "independent", reset=reset)
    assert list(neuron.named_parameters()) == []
    o_a, o_v, w_a, w_v = currents(rng)
    found = neuron(*map(Tensor, (o_a, o_v, w_a, w_v)))
    for s, c in zip(found, (o_a * w_a, o_v * w_v), strict=True):
        np.testing.assert_array_equal(s.data, lif(c, 1 - 1 / 1.6, THRESHOLD, neuron_reset(reset)))


@pytest.mark.parametrize("mlif", ["full", "fused-charge"])
@pytest.mark.parametrize(("fusion", "coupled"), [("concat", False), ("mlp", True), ("attention", True)])
def test_sound_changes_what_is_seen_only_where_a_fusion_couples_them(rng, mlif, fusion, coupled):
    neuron = make(rng, fusion, mlif)
    o_a, o_v, w_a, w_v = map(Tensor, currents(rng))
    with no_grad():
        _, before = neuron(o_a, o_v, w_a, w_v)
        _, after = neuron(Tensor(o_a.data * 3 - 1), o_v, w_a, w_v)
    assert (before.data != after.data).any() == coupled
    assert before.data.any()
