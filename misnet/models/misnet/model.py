"""MISNet: stages of spiking encoders for two modalities, and heads on what leaves the last (Fig. 3, Algorithm 1)."""

from collections.abc import Mapping

import numpy as np

from misnet.models.contract import Model, Scores
from misnet.models.misnet.blocks import MODALITIES, Stage, make_dropout
from misnet.models.misnet.config import ConfigError, MISNetConfig
from misnet.models.misnet.head import FeaturePool, FusionHead
from misnet.models.parts.streams import HEADS
from snncore import functions as F
from snncore import named_rng, nn
from snncore.backend import Array
from snncore.tape import Tensor

__all__ = ["MISNet", "Outputs", "loss"]


class Outputs(Scores):
    """Class scores, mean over the timesteps, each [N, classes]: av of both modalities, a of audio, v of vision."""

    def __init__(self, p: Tensor, o_a: Tensor, o_v: Tensor) -> None:
        super().__init__(av=p, a=o_a, v=o_v)

    @property
    def p(self) -> Tensor:
        """P of Eq. 13, of both modalities."""
        return self["av"]

    @property
    def o_a(self) -> Tensor:
        """Of the audio head."""
        return self["a"]

    @property
    def o_v(self) -> Tensor:
        """Of the visual head."""
        return self["v"]


class MISNet(Model):
    """The audio-visual classifier of the paper.

        x_m = Stage_l(x_m), l = 1 .. L                     (Eq. 12)
        p   = mean over t of Linear(Pool(fuse(x_a, x_v)))  (Eq. 13)
        o_m = mean over t of Linear_m(Pool(x_m))           (Section 3.4)

    x_a: float [T, N, size, size, audio_channels], mel spectrograms. x_v: float [T, N, size, size, visual_channels].
    Returns Outputs; with one stream (streams="audio" or "visual") it takes that input alone, has UnimodalCells and one
    head, o_m, which is the verdict. seed: of the initial weights. Raises ValueError if an input has another shape.
    """

    config: MISNetConfig
    heads: Mapping[str, str] = {
        "av": "both modalities",
        "a": "audio head alone",
        "v": "visual head alone",
    }

    def __init__(self, config: MISNetConfig, seed: int = 0) -> None:
        if not isinstance(config, MISNetConfig):
            raise ConfigError(
                f'config: expected a MISNetConfig, as preset("paper", "S"), found {type(config).__name__}'
            )
        rng = named_rng(seed, "init")
        self.config = config
        channels = {"a": config.audio_channels, "v": config.visual_channels}
        size, stages = config.size, []
        for c, cells in zip(config.stage_channels, config.stage_cells, strict=True):
            stages.append(Stage(channels, c, cells, size, config, rng))
            channels, size = dict.fromkeys(MODALITIES, c), size // 2
        self.stages = nn.ModuleList(stages)
        self.pool = FeaturePool(config.head_pool)
        features = self.pool.features(config.stage_channels[-1], size)
        linears = []
        if config.streams == "both":
            self.head = FusionHead(features, config, rng)
            linears.append(self.head.linear)
        else:
            self.heads = HEADS[config.streams]
        for m in config.modalities:
            linears.append(nn.Linear(features, config.classes, rng=rng))
            setattr(self, f"head_{m}", linears[-1])
        self.dropout = make_dropout(config)  # before the heads of one modality; FusionHead has its own
        # Scores of a fresh network are noise. While they are large, the quickest way to a smaller loss is fewer spikes
        # in the last stage, and its MLIF, which fires rarely at first, may fall silent before anything is learned.
        for linear in linears:
            for parameter in linear.parameters():
                parameter.data *= np.float32(config.head_scale)

    def forward(self, *x: Tensor) -> Scores:
        for stage in self.stages:
            x = stage(*x)  # [T, N, H / 2, W / 2, C] each
        g = dict(zip(self.config.modalities, (self.pool(x_m) for x_m in x), strict=True))  # [T, N, F] each
        if self.config.streams == "both":
            return Outputs(self.head(g["a"], g["v"]).mean(0), self.classify("a", g["a"]), self.classify("v", g["v"]))
        return {m: self.classify(m, g_m) for m, g_m in g.items()}

    def classify(self, modality: str, g: Tensor) -> Tensor:
        """Return the scores [N, classes] of the head of one modality, from its features [T, N, F]."""
        g = g if self.dropout is None else self.dropout[modality](g)
        return getattr(self, f"head_{modality}")(g).mean(0)

    def loss(self, scores: Scores, labels: Array) -> Tensor:
        """Return the function `loss` below."""
        return loss(scores, labels, self.config)


def loss(outputs: Scores, labels: Array, config: MISNetConfig) -> Tensor:
    """L = L_mm + beta_a L_a + beta_v L_v, each the MSE against one-hot labels (Eqs. 14 to 16), or cross-entropy.

    A network of one stream has one head, whose loss is L.
    labels: integers [N]. Returns a tensor with one entry. Raises ValueError for a label that is no class.
    """
    heads = list(outputs.values())
    if config.loss == "mse":
        target = F.one_hot(labels, config.classes, heads[0].dtype)
        losses = [F.MSE()(x, target) for x in heads]
    else:
        losses = [F.CrossEntropy()(x, labels) for x in heads]
    if config.streams != "both":
        return losses[0]
    return losses[0] + losses[1] * config.beta_a + losses[2] * config.beta_v
