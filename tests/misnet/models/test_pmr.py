"""PMR: parameters, gradients, its loss and its prototypes by hand."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.pmr import PMR, Config, build
from misnet.training.step import Diverged, Totals, train_step
from snncore import Tensor, no_grad
from snncore.optim import SGD
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of
from tests.misnet.models.test_concat_resnet import TINY


def tiny(**switches):
    return Config(**(TINY | {"classes": 2} | switches))


def test_parameters_and_prototypes():
    model = build(Config(classes=6))
    assert model.count_parameters() == 22_352_902
    stored = sum(x.data.size for name, x in model.named_buffers() if "prototypes" in name)
    assert round((model.count_parameters() + stored) / 1e6, 2) == 22.36  # as Table 4 prints


@pytest.mark.parametrize(("beta", "gamma"), [(0.3, 0.0), (0.0, 0.8)])
def test_every_parameter(monkeypatch, beta, gamma):
    """The weights of the two modalities are constants to backward, and so they are here."""
    monkeypatch.setattr(PMR, "weights", lambda self, *_: (np.array(beta), np.array(gamma), np.array(0.2)))
    monkeypatch.setattr(PMR, "move_prototypes", lambda self, *_: None)

    def prepare(model):
        rng = np.random.default_rng(3)
        for buffer in (model.prototypes_a, model.prototypes_v):
            buffer.data[...] = rng.normal(size=buffer.data.shape)

    assert check_gradients_of(build, tiny(), n=3, prepare=prepare) > 15


def test_counts_and_rules():
    assert check_counts_of(build, tiny())[0] > 10
    check_rules_of(build, tiny())


def by_hand(model, scores, labels, alpha, mu):
    """The loss in plain arrays."""

    def softmax(x):
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    rows = np.arange(len(labels))
    q = []
    for g, c in zip(scores.features, (model.prototypes_a.data, model.prototypes_v.data), strict=True):
        distance = np.array([[np.linalg.norm(x - y) for y in c] for x in g.data])
        q.append(softmax(-distance))
    rho = q[0][rows, labels].sum() / q[1][rows, labels].sum()
    beta, gamma = min(max(1 / rho - 1, 0), 1), min(max(rho - 1, 0), 1)
    pce = [-np.log(x[rows, labels]).mean() for x in q]
    h = [-(x * np.log(x)).sum(1).mean() for x in q]
    ce = -np.log(softmax(scores["av"].data)[rows, labels]).mean()
    return ce + alpha * (beta * pce[0] + gamma * pce[1]) - mu * (gamma * h[0] + beta * h[1]), (ce, beta, gamma)


def test_the_loss_by_hand():
    config = tiny(alpha=0.7, mu=0.3, entropy_steps=1)
    model = build(config).train()
    streams, labels = batch_of(config, n=5)
    labels[:2] = 0, 1
    x = [Tensor(3 * s) for s in streams]
    scores = model(*x)
    first = model.loss(scores, labels).item()
    assert first == pytest.approx(by_hand(model, scores, labels, 0, 0)[0], rel=1e-5)  # no prototypes yet
    for mu in (0.0, 0.3):  # after its one step the entropy counts no more
        model.steps.data[...] = 0 if mu else 1
        expected, (ce, beta, gamma) = by_hand(model, scores, labels, 0.7, mu)
        assert abs(expected - ce) > 1e-4
        assert (beta > 0) != (gamma > 0)
        assert model.eval().loss(scores, labels).item() == pytest.approx(expected, rel=1e-5)


def test_the_weights_of_the_public_code():
    model = build(tiny(balance="step"))
    model.seen.data[...] = 1
    likely, flat, labels = np.array([[0.0, -3.0]]), np.zeros((1, 2)), np.array([0])
    assert model.weights(likely, flat, labels)[:2] == (0, 1)
    assert model.weights(flat, likely, labels)[:2] == (1, 0)
    assert model.weights(flat, flat, labels)[:2] == (0, 0)
    beta, gamma, _ = build(tiny()).weights(flat, likely, labels)
    assert (beta, gamma) == (0, 0)  # no class has a prototype


def test_prototypes_move_in_training_alone_and_as_written():
    model = build(tiny(momentum=0.75)).train()
    g = np.array([[1.0, 2, 3], [3, 2, 1], [5, 5, 5]], np.float32)
    features = (Tensor(g), Tensor(-g))
    model.move_prototypes(features, np.array([0, 0, 0]))
    np.testing.assert_allclose(model.prototypes_a.data, [[3, 3, 3], [0, 0, 0]], rtol=1e-6)
    assert model.seen.data.tolist() == [1, 0]
    model.move_prototypes(features, np.array([1, 0, 1]))
    np.testing.assert_allclose(model.prototypes_a.data, [[3, 2.75, 2.5], [3, 3.5, 4]], rtol=1e-6)
    np.testing.assert_allclose(model.prototypes_v.data, -model.prototypes_a.data, rtol=1e-6)
    assert (model.seen.data.tolist(), model.steps.data.tolist()) == ([1, 1], [2])
    before = model.prototypes_a.data.copy()
    streams, labels = batch_of(model.config)
    with no_grad():
        model.eval().loss(model(*map(Tensor, streams)), labels)
    np.testing.assert_array_equal(model.prototypes_a.data, before)


def test_a_refused_step_leaves_the_prototypes_as_they_were():
    config = tiny()
    model = build(config)
    optimizer = SGD(model.named_parameters(), 0.1)
    streams, labels = batch_of(config, n=4)
    train_step(model, optimizer, 0.1, (*streams, labels), Totals(), step=0)
    before = {name: x.data.copy() for name, x in model.named_buffers()}
    streams[0][0, 0, 0, 0, 0] = np.nan
    with pytest.raises(Diverged):
        train_step(model, optimizer, 0.1, (*streams, labels), Totals(), step=1)
    for name, x in model.named_buffers():
        np.testing.assert_array_equal(x.data, before[name], err_msg=name)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"streams": "visual"}, "streams: PMR balances two modalities, found streams 'visual'"),
        ({"mu": -1.0}, "mu: expected a number of at least 0, found -1.0"),
        ({"momentum": 1.0}, r"momentum: expected a number in \[0, 1\), found 1.0"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
