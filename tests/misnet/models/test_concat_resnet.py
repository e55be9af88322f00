"""Concat-ResNet18: parameters, gradients, counts, the parts of its head, modulated gradients, dropped modalities."""

import numpy as np
import pytest

from misnet.models.concat_resnet import Config, build, modulation
from misnet.models.config import ConfigError
from misnet.training.accumulate import accumulated_step
from misnet.training.step import Totals, train_step
from snncore import Tensor, no_grad
from snncore.optim import SGD
from snncore.rng import named_rng, training_step
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of

TINY = {
    "channels": (2, 3),
    "blocks": (1, 1),
    "size": 4,
    "timesteps": 2,
    "classes": 3,
    "visual_channels": 2,
    "stem": "cifar",
}


def tiny(**switches):
    return Config(**(TINY | switches))


@pytest.mark.parametrize(
    ("switches", "parameters"),
    [
        # two ResNet18 without their linear layer, 11,176,512 each, less two thirds of a 7x7x3x64 stem for audio
        ({"classes": 6}, 2 * 11_176_512 - 2 * 49 * 64 + 2 * 512 * 6 + 6),
        ({"streams": "audio", "classes": 6}, 11_176_512 - 2 * 49 * 64 + 512 * 6 + 6),
    ],
    ids=str,
)
def test_parameters(switches, parameters):
    assert build(Config(**switches)).count_parameters() == parameters


@pytest.mark.parametrize(
    "switches", [{}, {"stem": "imagenet", "size": 9, "loss": "mse"}, {"streams": "visual"}], ids=str
)
def test_every_parameter(switches):
    assert check_gradients_of(build, tiny(**switches), n=3) > 15


@pytest.mark.parametrize("switches", [{}, {"streams": "audio"}], ids=str)
def test_counts_and_rules(switches):
    compared, totals = check_counts_of(build, tiny(**switches))
    assert compared > 10
    assert (totals["spikes"], totals["ac_binary"]) == (0, 0)
    check_rules_of(build, tiny(**switches))


def test_the_parts_of_the_head_add_up_to_one_linear_layer():
    config = tiny()
    model = build(config)
    streams, _ = batch_of(config)
    with no_grad():
        scores = model(*map(Tensor, streams))
        g = [x.mean(0).data for x in model.encode(*map(Tensor, streams))]
    w, b = model.head.linear.weight.data, model.head.linear.bias.data
    assert list(scores) == list(model.heads) == ["av", "a", "v"]
    np.testing.assert_allclose(scores["av"].data, np.concatenate(g, 1) @ w + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores["a"].data, g[0] @ w[:3] + b / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores["v"].data, g[1] @ w[3:] + b / 2, rtol=1e-5, atol=1e-6)


def test_the_factors_of_the_modulation_by_hand():
    p_a = np.log([[3.0, 1.0], [1.0, 3.0]])  # softmax 3/4 and 1/4
    p_v = np.log([[1.0, 1.0], [1.0, 1.0]])
    k_a, k_v = modulation(p_a, p_v, np.array([0, 1]), 0.8)
    assert (k_a, k_v) == (pytest.approx(1 - np.tanh(0.8 * 1.5), rel=1e-12), 1.0)
    k_a, k_v = modulation(p_a, p_v, np.array([1, 0]), 0.8)
    assert (k_a, k_v) == (1.0, pytest.approx(1 - np.tanh(0.8 * 2.0), rel=1e-12))
    assert modulation(p_v, p_v, np.array([1, 0]), 0.8) == (1.0, 1.0)


def gradients(parts=1, **switches):
    """Gradients of one step, by name, and the model."""
    config = tiny(**switches)
    model = build(config)
    streams, labels = batch_of(config, n=6)
    optimizer = SGD(model.named_parameters(), 0.0)
    batch = (*streams, labels)
    if parts == 1:
        train_step(model, optimizer, 0.0, batch, Totals(), step=3, seed=7)
    else:
        accumulated_step(model, optimizer, 0.0, batch, Totals(), 3, parts, seed=7)
    return {name: p.grad.copy() for name, p in model.named_parameters()}, (model, streams, labels)


def test_the_convolutions_of_the_faster_modality_are_held_back():
    plain, (model, streams, labels) = gradients()
    held, _ = gradients(ogm="ogm", ogm_alpha=0.7)
    with no_grad():
        scores = model.train()(*map(Tensor, streams))
    k = dict(zip(("audio", "visual"), modulation(scores["a"].data, scores["v"].data, labels, 0.7), strict=True))
    assert sorted(x == 1 for x in k.values()) == [False, True]
    for name, g in plain.items():
        factor = k[name.split(".")[1]] if g.ndim == 4 else 1.0
        np.testing.assert_allclose(held[name], factor * g, rtol=1e-5, atol=1e-8, err_msg=name)


def test_noise_is_that_of_the_step_and_as_wide_as_the_gradient():
    held, _ = gradients(ogm="ogm", ogm_alpha=0.7)
    noisy, _ = gradients(ogm="ogm-ge", ogm_alpha=0.7)
    again, _ = gradients(ogm="ogm-ge", ogm_alpha=0.7)
    plain, _ = gradients()
    for name, g in plain.items():
        np.testing.assert_array_equal(noisy[name], again[name])
        noise = noisy[name] - held[name]
        if g.ndim != 4:
            assert not noise.any()
            continue
        _, modality, inner = name.split(".", 2)
        with training_step(7, 3):
            drawn = named_rng(7, "step", 3, "", 0, None, "ogm", modality, inner).standard_normal(g.shape, np.float32)
        np.testing.assert_allclose(noise, (g.std() + 1e-8) * drawn, rtol=1e-3, atol=1e-6)


def test_in_parts_the_modulation_is_that_of_the_whole_batch(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "misnet.models.concat_resnet.modulation", lambda *given: seen.append(given) or modulation(*given)
    )
    plain, _ = gradients(parts=2)
    held, _ = gradients(parts=2, ogm="ogm")
    ((p_a, p_v, labels, alpha),) = seen
    assert (p_a.shape, p_v.shape, labels.shape) == ((6, 3), (6, 3), (6,))
    k_a, k_v = modulation(p_a, p_v, labels, alpha)
    name = "encoders.{}.stem.conv.weight"
    for modality, k in (("audio", k_a), ("visual", k_v)):
        np.testing.assert_allclose(held[name.format(modality)], k * plain[name.format(modality)], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("drop", "other"), [("audio", "v"), ("visual", "a")])
def test_a_dropped_modality_gives_nothing_in_training_alone(drop, other):
    config = tiny(drop=drop, drop_rate=1.0)
    model = build(config)
    streams, _ = batch_of(config, n=4)
    half = model.head.linear.bias.data / 2
    with training_step(0, 0), no_grad():
        scores = model.train()(*map(Tensor, streams))
    np.testing.assert_allclose(scores["av"].data, scores[other].data + half, rtol=1e-5, atol=1e-6)
    with no_grad():
        scores = build(config).eval()(*map(Tensor, streams))
        whole = build(tiny()).eval()(*map(Tensor, streams))
    np.testing.assert_array_equal(scores["av"].data, whole["av"].data)


def test_samples_are_dropped_one_by_one_and_anew_in_each_step():
    model = build(tiny(drop="audio", drop_rate=0.25)).train()
    ones = Tensor(np.ones((1000, 3), np.float32))
    kept = []
    for step in (0, 0, 1):
        with training_step(0, step), no_grad():
            g = model.drop(ones).data
        assert (g == g[:, :1]).all()
        kept.append(g[:, 0])
    assert 0.7 < kept[0].mean() < 0.8  # 0.75, standard deviation 0.014
    assert (kept[0] == kept[1]).all()
    assert (kept[0] != kept[2]).any()


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"ogm": "ogm", "streams": "audio"}, "ogm: the modulation compares two modalities, found streams 'audio'"),
        ({"drop": "audio", "streams": "audio"}, "drop: one modality is dropped beside another, found streams 'audio'"),
        ({"ogm": "on"}, "ogm: expected one of off, ogm, ogm-ge, found 'on'"),
        ({"ogm_alpha": 0.0}, "ogm_alpha: expected a positive number, found 0.0"),
        ({"drop_rate": 1.5}, r"drop_rate: expected a number in \[0, 1\], found 1.5"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
