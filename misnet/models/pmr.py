"""PMR: Concat whose slower modality is drawn to prototypes of the classes (`--model pmr`).

Source: Fan et al., PMR: Prototypical Modal Rebalance for Multimodal Learning, CVPR 2023, and their public code.

    q_m(k) = softmax over k of -|g_m - c_m[k]|,   c_m[k] the prototype: mean of the features of class k
    rho = sum over the batch of q_a(label) / sum of q_v(label)
    beta = clip(1 / rho - 1, 0, 1),   gamma = clip(rho - 1, 0, 1)                    one of the two is 0
    L = CE(p) + alpha (beta PCE_a + gamma PCE_v) - mu (gamma H_a + beta H_v),   PCE_m = mean of -log q_m(label)

H_m is the mean entropy of q_m: while training begins (`entropy_steps`) it holds the faster modality back. `--balance
step` is the public code: beta is 1 where rho < 1, else gamma is 1 where rho > 1, and there is no entropy (`--mu 0`).

Network, parameters and what is read of T timesteps are those of concat_resnet.py: 22,352,902 parameters for six
classes, and 6,144 numbers of prototypes, 22.36 M in all, as Table 4 prints.

Read from their code: the distance and its softmax, rho, that one modality alone is drawn, alpha 1 by default, and
that the terms count in epochs 0 to 100 of 150. The clipped weights and the entropy are the paper's and in no code that
was found; mu and its number of steps have no published value.

Inferred: when prototypes move, and that the terms count to the end. Their code computes prototypes before the first
epoch and after each, in evaluation mode, from a tenth of the training batches (for AVE from all of its validation
split), and mixes in one part in five of the old ones. Here they move in every step, towards the mean of the batch for
each class that is in it, c = momentum c + (1 - momentum) mean, as running statistics do; the first mean of a class is
taken whole, and the terms above are left out until every class has one. With `--accumulate K` each of the K parts
counts as a step of the prototypes.
"""

from dataclasses import dataclass

import numpy as np

from misnet.models.config import switch
from misnet.models.contract import Scores
from misnet.models.parts.pair import PairConfig, PairScores, ResNetPair, log_sum_exp
from misnet.models.parts.streams import class_loss
from snncore import functions as F
from snncore import nn
from snncore.backend import Array, array_module
from snncore.tape import Tensor

__all__ = ["PMR", "Config", "build"]


@dataclass(frozen=True)
class Config(PairConfig):
    """The switches."""

    alpha: float = switch(1.0, "weight of the prototypes")
    mu: float = switch(0.01, "weight of the entropy")
    entropy_steps: int = switch(1000, "steps in which the entropy counts")
    momentum: float = switch(0.9, "what a prototype keeps of itself in a step")
    balance: str = switch("clip", "weights of the modalities: clip, as the paper; step, as the code", ("clip", "step"))

    @property
    def title(self) -> str:
        return "PMR"

    def check(self) -> None:
        super().check()
        self.require_both("streams", "PMR balances two modalities")
        for name in ("alpha", "mu", "entropy_steps"):
            self.require(name, getattr(self, name) >= 0, "a number of at least 0")
        self.require("momentum", 0 <= self.momentum < 1, "a number in [0, 1)")


class PMR(ResNetPair):
    """The network of the configuration, with weights drawn from the seed."""

    config: Config

    def __init__(self, config: Config, seed: int = 0) -> None:
        super().__init__(config, seed)
        shape = (config.classes, config.channels[-1])
        self.prototypes_a, self.prototypes_v = (nn.Buffer(np.zeros(shape, np.float32)) for _ in "av")
        self.seen = nn.Buffer(np.zeros(config.classes, np.float32))  # 1 for a class that has a prototype
        self.steps = nn.Buffer(np.zeros(1, np.float32))

    def loss(self, scores: Scores, labels: Array) -> Tensor:
        assert isinstance(scores, PairScores)
        value = class_loss(self.config, scores["av"], labels)
        logits = [
            similarity(g, c.data) for g, c in zip(scores.features, (self.prototypes_a, self.prototypes_v), strict=True)
        ]
        beta, gamma, mu = self.weights(logits[0].data, logits[1].data, labels)
        for x, slow, fast in ((logits[0], beta, gamma), (logits[1], gamma, beta)):
            value = value + F.CrossEntropy()(x, labels) * (self.config.alpha * slow) - entropy(x) * (mu * fast)
        if self.training:
            self.move_prototypes(scores.features, labels)
        return value

    def weights(self, x_a: Array, x_v: Array, labels: Array) -> tuple[Array, Array, Array]:
        """Return beta, gamma and mu, arrays of shape (); x: similarities [N, classes]."""
        xp = array_module(x_a)

        def score(x: Array) -> Array:
            e = xp.exp(x - x.max(axis=1, keepdims=True))
            return (e / e.sum(axis=1, keepdims=True))[xp.arange(len(x)), labels].sum()

        rho, ready = score(x_a) / score(x_v), self.seen.data.min()
        beta, gamma = (xp.clip(r - 1, 0, 1) for r in (1 / rho, rho))
        if self.config.balance == "step":
            beta, gamma = ((x > 0).astype(x_a.dtype) for x in (beta, gamma))
        early = self.steps.data[0] < self.config.entropy_steps
        return ready * beta, ready * gamma, xp.where(early, self.config.mu, 0.0)

    def move_prototypes(self, features: tuple[Tensor, Tensor], labels: Array) -> None:
        """Move the prototypes of the classes that are in a batch."""
        xp, seen = array_module(labels), self.seen.data
        members = F.one_hot(labels, self.config.classes, seen.dtype)  # [N, classes]
        count = members.sum(0)
        kept = xp.where(count > 0, self.config.momentum * seen, 1.0)[:, None]
        for g, prototypes in zip(features, (self.prototypes_a, self.prototypes_v), strict=True):
            means = members.T @ g.data / xp.maximum(count, 1)[:, None]  # [classes, F]
            prototypes.data[...] = kept * prototypes.data + (1 - kept) * means
        seen[...] = xp.maximum(seen, count > 0)
        self.steps.data += 1


def similarity(g: Tensor, prototypes: Array) -> Tensor:
    """Return -|g - c[k]| for each class k: features [N, F] and prototypes [classes, F] to [N, classes]."""
    difference = g.reshape(g.shape[0], 1, g.shape[1]) - prototypes  # [N, classes, F]
    return -((difference**2).sum(-1) + 1e-12).sqrt()  # a slope where the two are equal would be infinite


def entropy(x: Tensor) -> Tensor:
    """Return the mean over samples of the entropy of softmax(x), x [N, classes]."""
    return -(F.Softmax(-1)(x) * (x - log_sum_exp(x))).sum(-1).mean()


build = PMR
