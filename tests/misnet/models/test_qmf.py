"""QMF: parameters, gradients, confidence and regulariser by hand."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.qmf import QMF, Config, build
from snncore import Tensor, no_grad
from tests.misnet.models.checks import batch_of, check_counts_of, check_gradients_of, check_rules_of
from tests.misnet.models.test_concat_resnet import TINY


def tiny(**switches):
    return Config(**(TINY | switches))


def test_parameters():
    assert build(Config(classes=6)).count_parameters() == 2 * 11_176_512 - 2 * 49 * 64 + 2 * (512 * 6 + 6)


def test_every_parameter(monkeypatch):
    """The losses that the samples are ranked by are constants to backward, and so they are here."""
    monkeypatch.setattr(QMF, "sample_losses", lambda self, *_: np.array([0.0, 1.0, 0.3]))
    assert check_gradients_of(build, tiny(rank_weight=0.7), n=3) > 15


def test_counts_and_rules():
    assert check_counts_of(build, tiny())[0] > 10
    check_rules_of(build, tiny())


def by_hand(scores, labels, rank_weight):
    rows, total = np.arange(len(labels)), 0.0
    for name in ("av", "a", "v"):
        p = scores[name].data.astype(np.float64)
        total_of = np.log(np.exp(p).sum(1))
        losses = total_of - p[rows, labels]
        total += losses.mean()
        if name == "av":
            continue
        w, scaled = total_of / 10, (losses - losses.min()) / (losses.max() - losses.min())
        terms = []
        for i in rows:
            j = (i + 1) % len(rows)
            terms.append(max(0.0, np.sign(scaled[i] - scaled[j]) * (w[i] - w[j]) + abs(scaled[i] - scaled[j])))
        total += rank_weight * np.mean(terms)
    return total


def test_scores_and_loss_by_hand():
    config = tiny(rank_weight=0.5)
    model = build(config)
    streams, labels = batch_of(config, n=4)
    with no_grad():
        scores = model.train()(*map(Tensor, streams))
        p_a, p_v = (scores[m].data.astype(np.float64) for m in "av")
        w_a, w_v = (np.log(np.exp(p).sum(1, keepdims=True)) / 10 for p in (p_a, p_v))
        np.testing.assert_allclose(scores["av"].data, w_a * p_a + w_v * p_v, rtol=1e-5, atol=1e-7)
        assert model.loss(scores, labels).item() == pytest.approx(by_hand(scores, labels, 0.5), rel=1e-5)
        assert model.eval().loss(scores, labels).item() == pytest.approx(by_hand(scores, labels, 0.0), rel=1e-5)


def test_one_sample_has_nothing_to_be_ranked_with():
    model = build(tiny()).train()
    streams, labels = batch_of(model.config, n=1)
    with no_grad():
        assert np.isfinite(model.loss(model(*map(Tensor, streams)), labels).item())
    assert model.sample_losses(np.zeros((2, 3)), np.array([0, 1])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"streams": "audio"}, "streams: QMF weighs two modalities, found streams 'audio'"),
        ({"loss": "mse"}, "loss: expected cross-entropy, as confidence is read from its scores, found 'mse'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(switches, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**switches)
