"""QMF: two ResNet18 whose scores are added with their confidence as weights (`--model qmf`).

Source: Zhang et al., Provable Dynamic Fusion for Low-Quality Multimodal Data, ICML 2023, and their public code.

    p_m = W_m g_m + b_m,   w_m = logsumexp(p_m) / 10,   p = w_a p_a + w_v p_v
    L = CE(p) + CE(p_a) + CE(p_v) + lambda (R_a + R_v)
    R_m = mean over pairs (i, i + 1) of the batch of max(0, sign(l_i - l_j) (w_i - w_j) + |l_i - l_j|)

R_m is the regulariser as the paper prints it: of two samples the one with the larger loss is to have the smaller
confidence, by the difference of the losses, which are scaled to [0, 1]. (The public code subtracts that difference.)
22,346,752 parameters and 1,026 a class, with the encoders of concat_resnet.py.

Read from their code: the factor 1/10, the cross-entropy of all three scores, pairs of neighbours in the batch, and
lambda, 0.1 for RGB and depth (1 for text and images). Gradients pass through w_m, as in their network for RGB and
depth (the one for text and images cuts them where p is formed), not through l_i.

Inferred: the losses l_i. Their code adds up, for each sample, its losses of all epochs so far, and scales these sums by
the least and the largest of the whole training set; a model here is not told which samples it sees, so l_i is the
loss in this step, scaled by those of the batch. The source has no audio-visual network, and no code for CREMA-D: the
encoders are those of the other rows of Table 4.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import switch
from misnet.models.contract import Scores
from misnet.models.parts.pair import PairConfig, ResNetPair, log_sum_exp
from snncore import functions as F
from snncore import nn
from snncore.backend import Array, array_module
from snncore.tape import Tensor

__all__ = ["QMF", "ConfidenceHead", "Config", "build"]


@dataclass(frozen=True)
class Config(PairConfig):
    """The switches."""

    rank_weight: float = switch(0.1, "lambda, weight of the regulariser of confidence")

    @property
    def title(self) -> str:
        return "QMF"

    def check(self) -> None:
        super().check()
        self.require_both("streams", "QMF weighs two modalities")
        self.require("rank_weight", self.rank_weight >= 0, "a number of at least 0")
        self.require("loss", self.loss == "cross-entropy", "cross-entropy, as confidence is read from its scores")


class ConfidenceHead(nn.Module):
    """A linear layer a modality, and the sum of both weighted by confidence. g: [N, F]. Returns (p, p_a, p_v)."""

    def __init__(self, features: int, classes: int, rng: np.random.Generator) -> None:
        self.audio = nn.Linear(features, classes, rng=rng)
        self.visual = nn.Linear(features, classes, rng=rng)

    def forward(self, g_a: Tensor, g_v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p_a, p_v = self.audio(g_a), self.visual(g_v)
        return p_a * confidence(p_a) + p_v * confidence(p_v), p_a, p_v


class QMF(ResNetPair):
    """The network of the configuration, with weights drawn from the seed."""

    config: Config

    def make_head(self, features: int, rng: np.random.Generator) -> nn.Module:
        return ConfidenceHead(features, self.config.classes, rng)

    def loss(self, scores: Scores, labels: Array) -> Tensor:
        """Return the loss above; in evaluation without the regulariser."""
        value = F.CrossEntropy()(scores["av"], labels)
        for name in ("a", "v"):
            value = value + F.CrossEntropy()(scores[name], labels)
            if self.training and len(labels) > 1:
                value = value + self.rank_loss(scores[name], labels) * self.config.rank_weight
        return value

    def rank_loss(self, p: Tensor, labels: Array) -> Tensor:
        """Return R_m of the scores p [N, classes]."""
        xp = array_module(p.data)
        losses = self.sample_losses(p.data, labels)
        difference = losses - xp.roll(losses, -1)
        w = confidence(p).reshape(len(labels))
        after = F.Concat(0)(w[1:], w[:1])
        return F.ReLU()((w - after) * xp.sign(difference) + abs(difference)).mean()

    def sample_losses(self, p: Array, labels: Array) -> Array:
        """Return the cross-entropy of each sample, [N], from 0 for the least of the batch to 1 for the largest."""
        xp = array_module(p)
        shifted = p - p.max(axis=1, keepdims=True)
        losses = xp.log(xp.exp(shifted).sum(axis=1)) - shifted[xp.arange(len(p)), labels]
        span = losses.max() - losses.min()
        return (losses - losses.min()) / xp.where(span > 0, span, 1)


def confidence(p: Tensor) -> Tensor:
    """Return logsumexp(p) / 10 of scores [N, classes], [N, 1]."""
    return log_sum_exp(p) * 0.1


build = QMF
