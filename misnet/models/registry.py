"""The networks that can be trained, evaluated and audited by name.

A model is one module, or a package, that offers `Config`, a subclass of ModelConfig, and `build(config, seed)`, which
returns a Model with fresh weights; and one entry here. It is imported when it is first asked for.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from misnet.models.config import ConfigError, ModelConfig
from misnet.models.contract import Model
from snncore.nearest import one_of

__all__ = ["DEFAULT", "MODELS", "Entry", "build", "config_class", "register"]


@dataclass(frozen=True)
class Entry:
    """The module of a model, and what the model is in a line."""

    module: str
    help: str


MODELS = {
    "misnet": Entry("misnet.models.misnet", "the multimodal interactive spiking network of Liu et al. 2025"),
    "sew-resnet18": Entry("misnet.models.sew_resnet", "the spike-element-wise ResNet18 of Fang et al. 2021"),
    "spiking-resnet18": Entry("misnet.models.spiking_resnet", "the spiking ResNet18 that they compare it with"),
    "spikformer": Entry("misnet.models.spikformer", "the spiking transformer of Zhou et al. 2023"),
    "spike-driven-transformer": Entry("misnet.models.spike_driven", "the spike-driven transformer of Yao et al. 2023"),
    "smmt": Entry("misnet.models.smmt", "two spiking transformers with cross-attention after Guo et al. 2023"),
    "emsnn": Entry("misnet.models.emsnn", "a spiking CNN and recurrent spiking neurons after Liu et al. 2022"),
    "spikingresformer-ti": Entry("misnet.models.spiking_resformer", "the spiking transformer of Shi et al. 2024"),
    "s-cmrl": Entry("misnet.models.s_cmrl", "two spiking transformers that add to each other, He et al. 2025"),
    "concat-resnet18": Entry(
        "misnet.models.concat_resnet", "two ResNet18, no spikes, one linear layer; OGM-GE by switch"
    ),
    "pmr": Entry("misnet.models.pmr", "the same with the prototypes of Fan et al. 2023"),
    "qmf": Entry("misnet.models.qmf", "two ResNet18, no spikes, weighed by confidence as Zhang et al. 2023"),
}
"""Every model by its name; `register` adds one."""

DEFAULT = "misnet"
"""The model where none is named: runs that were written before there were others do not say."""


def register(name: str, module: str, help: str) -> None:
    """Add a model of one's own; raises ValueError for a name that is taken."""
    if name in MODELS:
        raise ValueError(f"name: expected one that is not taken, found {name!r}")
    MODELS[name] = Entry(module, help)


def _module(name: str) -> Any:
    if name not in tuple(MODELS):
        raise ConfigError(f"model: {one_of(name, MODELS)}")
    return importlib.import_module(MODELS[name].module)


def config_class(name: str) -> type[ModelConfig]:
    """Return the class of a model's configurations; raises ConfigError for an unknown name."""
    return _module(name).Config


def build(name: str, config: ModelConfig, seed: int = 0) -> Model:
    """Return a network with fresh weights drawn from the seed; raises ConfigError for an unknown name."""
    return _module(name).build(config, seed)
