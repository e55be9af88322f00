"""The five fusions before the classifier against NumPy, and the pooling of features."""

import numpy as np
import pytest

from misnet.models.misnet.head import FeaturePool, FusionHead
from snncore import Tensor, check_gradients
from tests.misnet.models.misnet.numpy_mlif import attention_fusion
from tests.misnet.tiny import random_spikes, tiny_config

T, N, FEATURES = 3, 4, 5


def expected(fusion, w, g_a, g_v):
    """Scores from the equations in the docstring of FusionHead."""
    if fusion == "sum":
        g = g_a + g_v
    elif fusion == "hadamard":
        g = g_a * g_v
    elif fusion == "attention":
        inner = {name.removeprefix("attention."): x for name, x in w.items()}
        g = np.concatenate(attention_fusion(inner)(g_a, g_v), axis=-1)
    else:
        g = np.concatenate([g_a, g_v], axis=-1)
    if fusion == "mlp":
        g = np.maximum(g @ w["hidden.weight"] + w["hidden.bias"], 0)
    return g @ w["linear.weight"] + w["linear.bias"]


@pytest.fixture
def features():
    return np.random.default_rng(1).normal(0.5, 1.0, (2, T, N, FEATURES))


def make_head(fusion):
    return FusionHead(FEATURES, tiny_config(head=fusion), np.random.default_rng(0)).astype(np.float64)


@pytest.mark.parametrize("fusion", ["concat", "sum", "hadamard", "mlp", "attention"])
def test_scores_are_those_of_the_equations(features, fusion):
    head = make_head(fusion)
    scores = head(*map(Tensor, features))
    assert scores.shape == (T, N, 4)
    np.testing.assert_allclose(scores.data, expected(fusion, head.state_dict(), *features), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fusion", ["concat", "sum", "hadamard", "mlp", "attention"])
def test_features_get_their_gradient(features, fusion):
    assert check_gradients(make_head(fusion), list(features), names=["g_a", "g_v"], rtol=1e-7) < 1e-7


@pytest.mark.parametrize("fusion", ["concat", "sum", "hadamard", "mlp", "attention"])
def test_both_modalities_count(features, fusion):
    head = make_head(fusion)
    g_a, g_v = map(Tensor, features)
    scores, zero = head(g_a, g_v).data, Tensor(np.zeros_like(g_a.data))
    assert np.abs(head(zero, g_v).data - scores).max() > 0.01
    assert np.abs(head(g_a, zero).data - scores).max() > 0.01


def test_global_pooling_is_the_mean_over_all_pixels():
    s = random_spikes(np.random.default_rng(0), T, N, 4, 4, 6)
    g = FeaturePool(0)(Tensor(s))
    assert g.dtype == np.float32
    np.testing.assert_array_equal(g.data, s.mean((2, 3)).astype(np.float32))
    assert FeaturePool(0).features(6, 4) == 6


@pytest.mark.parametrize(("size", "window", "places"), [(4, 2, 2), (4, 4, 1), (5, 2, 2), (3, 1, 3)])
def test_windows_are_averaged_and_flattened_row_by_row(size, window, places):
    s = random_spikes(np.random.default_rng(0), T, N, size, size, 3)
    pool = FeaturePool(window)
    whole = s[:, :, : places * window, : places * window].reshape(T, N, places, window, places, window, 3)
    expected = whole.mean((3, 5)).reshape(T, N, -1)
    g = pool(Tensor(s))
    np.testing.assert_allclose(g.data, expected, rtol=1e-6)
    assert pool.features(3, size) == g.shape[-1] == 3 * places**2


def test_features_take_the_float_type_of_the_network():
    s = Tensor(random_spikes(np.random.default_rng(0), T, N, 4, 4, 6))
    for window in (0, 2):
        assert FeaturePool(window).astype(np.float64)(s).dtype == np.float64
