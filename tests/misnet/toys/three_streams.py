"""A classifier of three streams of other shapes, spiking, with two heads, and switches named as options of training."""

from dataclasses import dataclass
from typing import ClassVar

from misnet.models.config import ConfigError, ModelConfig, shape_of, switch
from misnet.models.contract import Model
from snncore import functions as F
from snncore import named_rng, nn


@dataclass(frozen=True)
class Config(ModelConfig):
    """The switches."""

    classes: int = switch(2, "number of classes")
    timesteps: int = switch(3, "T")
    entries: tuple[int, ...] = switch((1, 1, 1), "entries of a timestep of each stream")
    width: int = switch(6, "neurons of each stream")
    lr: float = switch(1.0, "threshold of the neurons; named as an option of training is")
    norm: bool = switch(True, "normalise over the batch")

    def check(self):
        self.require("lr", self.lr > 0, "a positive number")
        self.require("entries", len(self.entries) == 3, "three numbers")

    def shapes(self):
        names = ("touch", "visual", "words")
        return {name: (self.timesteps, n) for name, n in zip(names, self.entries, strict=True)}

    @classmethod
    def found_in(cls, data):
        shapes = [shape_of(data, name) for name in ("touch", "visual", "words")]
        if any(len(shape) != 2 for shape in shapes):
            raise ConfigError(f"{data.name}: expected streams [T, entries], found {shapes}")
        return super().found_in(data) | {"entries": tuple(shape[1] for shape in shapes)}


class build(Model):
    """Each stream through neurons of its own; one head over all of them, one over touch."""

    heads: ClassVar = {"all": "all streams", "touch": "touch alone"}

    def __init__(self, config, seed=0):
        rng = named_rng(seed, "init")
        self.config = config
        self.inputs = nn.ModuleList(nn.Linear(n, config.width, rng=rng) for n in config.entries)
        self.norms = nn.ModuleList(nn.BatchNorm(config.width) for _ in range(3)) if config.norm else None
        self.neurons = nn.ModuleList(nn.LIF(tau=2.0, v_threshold=config.lr) for _ in range(3))
        self.out, self.out_touch = nn.Linear(3 * config.width, 2, rng=rng), nn.Linear(config.width, 2, rng=rng)

    def forward(self, *streams):
        spikes = []
        for k, x in enumerate(streams):
            c = self.inputs[k](x)  # [T, N, width]
            spikes.append(self.neurons[k](c if self.norms is None else self.norms[k](c)))
        together = F.Concat(-1)(*(F.Cast(self.dtype)(s) for s in spikes))
        touch = F.Cast(self.dtype)(spikes[0])
        return {"all": self.out(together).mean(0), "touch": self.out_touch(touch).mean(0)}

    def loss(self, scores, labels):
        return F.CrossEntropy()(scores["all"], labels) + F.CrossEntropy()(scores["touch"], labels) * 0.5
