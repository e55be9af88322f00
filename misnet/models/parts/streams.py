"""Audio, vision or both: the switches, the encoders with early or late fusion, the head and the loss that models share.

A model of this kind is a configuration, a subclass of `StreamsConfig`, `FusionConfig` or `SpikingConfig` (neurons.py),
and one encoder: a module that takes [T, N, H, W, C] and returns features [T, N, F]. `FusionModel` does the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from misnet.models.config import ConfigError, Data, ModelConfig, Shape, switch
from misnet.models.contract import Model, Scores
from snncore import functions as F
from snncore import nn
from snncore.backend import Array
from snncore.tape import Tensor

__all__ = ["HEADS", "STREAMS", "FusionConfig", "FusionModel", "PooledHead", "StreamsConfig", "class_loss"]

STREAMS = {"both": ("audio", "visual"), "audio": ("audio",), "visual": ("visual",)}
"""The streams that a network takes, by the value of its switch `streams`."""

HEADS: dict[str, Mapping[str, str]] = {
    "both": {"av": "both modalities"},
    "audio": {"a": "audio alone"},
    "visual": {"v": "vision alone"},
}
"""The one head of a network, by the value of its switch `streams`."""

LOSSES = ("cross-entropy", "mse")


@dataclass(frozen=True)
class StreamsConfig(ModelConfig):
    """Switches of a network that takes audio, vision or both.

    Raises ConfigError, naming the switch, what was found and what is expected.
    """

    streams: str = switch("both", "what the network takes: both, audio or visual", tuple(STREAMS))
    classes: int = switch(10, "number of classes")
    size: int = switch(32, "height and width of the inputs, in pixels")
    timesteps: int = switch(4, "T, the number of timesteps")
    audio_channels: int = switch(1, "channels of the audio input")
    visual_channels: int = switch(3, "channels of the visual input")
    audio_size: tuple[int, ...] | None = switch(None, "height,width of the audio input if it is not size x size")
    visual_size: tuple[int, ...] | None = switch(None, "height,width of the visual input if it is not size x size")
    loss: str = switch("cross-entropy", "cross-entropy, or mse against one-hot labels", LOSSES)

    def check(self) -> None:
        for name in ("size", "audio_channels", "visual_channels"):
            self.require(name, getattr(self, name) >= 1, "a positive integer")
        for name in ("audio_size", "visual_size"):
            value = getattr(self, name)
            good = value is None or (len(value) == 2 and all(isinstance(n, int) and n >= 1 for n in value))
            self.require(name, good, "two positive integers, height and width")

    def shapes(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {}
        for name in STREAMS[self.streams]:
            height, width = getattr(self, f"{name}_size") or (self.size, self.size)
            shapes[name] = (self.timesteps, height, width, getattr(self, f"{name}_channels"))
        return shapes

    def encoder_inputs(self) -> dict[str, Shape]:
        """Shape [T, H, W, C] of what each encoder takes, by the name of the encoder: one encoder a stream."""
        return self.shapes()

    @classmethod
    def found_in(cls, data: Data) -> dict[str, Any]:
        """Classes, timesteps, and sizes and channels of audio and vision as far as the data have them."""
        found, size = super().found_in(data), None
        for name in ("visual", "audio"):
            shape = data.streams.get(name, ())
            if len(shape) != 4:
                continue  # a network that takes it refuses the data afterwards
            _, height, width, channels = shape
            if size is None:
                size = found["size"] = height
            found[f"{name}_size"] = None if (height, width) == (size, size) else (height, width)
            found[f"{name}_channels"] = channels
        return found

    def check_streams(self, data: Data) -> None:
        """As of every configuration; of data with one modality it is said how to take that alone."""
        try:
            super().check_streams(data)
        except ConfigError as error:
            alone = next(iter(data.streams)) if len(data.streams) == 1 else None
            if self.streams != "both" or alone not in STREAMS:
                raise
            raise ConfigError(f"{error}; --streams {alone} takes that alone") from None


@dataclass(frozen=True)
class FusionConfig(StreamsConfig):
    """Switches of a network whose modalities meet before one encoder (early) or after two (late)."""

    fusion: str = switch("late", "late: an encoder a stream; early: channels joined before one", ("late", "early"))

    def check(self) -> None:
        super().check()
        if self.fusion == "late":
            return
        if self.streams != "both":
            raise ConfigError(f"fusion: early fusion joins two streams, found streams {self.streams!r}")
        audio, visual = (shape[1:-1] for shape in self.shapes().values())
        if audio != visual:
            raise ConfigError(
                f"fusion: early fusion joins the channels of two inputs of one size, found audio of {audio} and visual "
                f"of {visual} pixels; use late fusion"
            )

    def encoder_inputs(self) -> dict[str, Shape]:
        """Shape [T, H, W, C] of what each encoder takes; with early fusion one, called `both`."""
        shapes = self.shapes()
        if self.fusion == "late":
            return shapes
        first, channels = next(iter(shapes.values())), sum(shape[-1] for shape in shapes.values())
        return {"both": (*first[:-1], channels)}


class PooledHead(nn.Module):
    """Class scores from the features of all encoders: p = mean over t of W [g_1[t]; g_2[t]; ...] + b.

    features: F of each encoder. g: [T, N, F] each, float or spikes. Returns float [N, classes].
    """

    def __init__(self, features: tuple[int, ...], classes: int, rng: np.random.Generator) -> None:
        self.linear = nn.Linear(sum(features), classes, rng=rng)

    def forward(self, *g: Tensor) -> Tensor:
        joined = g[0] if len(g) == 1 else F.Concat(-1)(*g)  # [T, N, F_1 + F_2]
        return self.linear(joined).mean(0)  # [N, classes]


class FusionModel(Model):
    """Encoders and one head over all of them, the scores averaged over T.

        late fusion:   g_m = Encoder_m(x_m),   p = mean over t of Linear([g_a[t]; g_v[t]])
        early fusion:  g = Encoder([x_a; x_v]), p = mean over t of Linear(g[t])
        one stream:    g = Encoder(x),          p = mean over t of Linear(g[t])

    encoder: called with the shape [T, H, W, C] of an input, returns a module from [T, N, H, W, C] to [T, N, features].
    """

    config: StreamsConfig

    def __init__(
        self,
        config: StreamsConfig,
        encoder: Callable[[Shape], nn.Module],
        features: int,
        rng: np.random.Generator,
    ) -> None:
        self.config = config
        self.heads = HEADS[config.streams]
        self.encoders = nn.ModuleDict({name: encoder(shape) for name, shape in config.encoder_inputs().items()})
        self.head = self.make_head(features, rng)

    def make_head(self, features: int, rng: np.random.Generator) -> nn.Module:
        """Return the head over the features of all encoders; a model with another one overrides this."""
        return PooledHead((features,) * len(self.encoders), self.config.classes, rng)

    def encode(self, *streams: Tensor) -> list[Tensor]:
        """Return the features [T, N, F] of each encoder."""
        inputs = streams if len(self.encoders) == len(streams) else (F.Concat(-1)(*streams),)
        return [self.encoders[name](x) for name, x in zip(self.encoders, inputs, strict=True)]

    def forward(self, *streams: Tensor) -> Scores:
        (name,) = self.heads
        return {name: self.head(*self.encode(*streams))}

    def loss(self, scores: Scores, labels: Array) -> Tensor:
        """Return the loss of the verdict."""
        return class_loss(self.config, next(iter(scores.values())), labels)


def class_loss(config: StreamsConfig, scores: Tensor, labels: Array) -> Tensor:
    """Return the cross-entropy of scores [N, classes], or their mean squared error against one-hot labels."""
    if config.loss == "mse":
        return F.MSE()(scores, F.one_hot(labels, config.classes, scores.dtype))
    return F.CrossEntropy()(scores, labels)
