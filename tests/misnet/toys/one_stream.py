"""A classifier of images: one stream, one head, no spikes, and layers without a time axis."""

from dataclasses import dataclass
from typing import ClassVar

from misnet.models.config import ModelConfig, shape_of, switch
from misnet.models.contract import Model
from snncore import functions as F
from snncore import named_rng, nn


@dataclass(frozen=True)
class Config(ModelConfig):
    """The switches."""

    classes: int = switch(10, "number of classes")
    timesteps: int = switch(2, "frames that are averaged")
    size: int = switch(8, "height and width")
    colours: int = switch(1, "channels of a frame")
    width: int = switch(16, "hidden units")

    def shapes(self):
        return {"visual": (self.timesteps, self.size, self.size, self.colours)}

    @classmethod
    def found_in(cls, data):
        _, height, _, colours = shape_of(data, "visual")
        return super().found_in(data) | {"size": height, "colours": colours}


class build(Model):
    """Linear, ReLU, Linear on the mean frame."""

    heads: ClassVar = {"digit": "the only head"}

    def __init__(self, config, seed=0):
        rng = named_rng(seed, "init")
        self.config = config
        self.hidden = nn.Linear(config.size**2 * config.colours, config.width, rng=rng)
        self.out = nn.Linear(config.width, config.classes, rng=rng)

    def forward(self, x):
        x = x.mean(0).reshape(x.shape[1], self.hidden.weight.shape[0])  # [N, F]
        return {"digit": self.out(F.ReLU()(self.hidden(x)))}

    def loss(self, scores, labels):
        return F.CrossEntropy()(scores["digit"], labels)
