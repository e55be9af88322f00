"""What training, evaluation, run folder and audit know of a network: streams in, scores by head out, a loss."""

from collections.abc import Mapping, Sequence
from typing import Any

from misnet.models.config import ConfigError, Data, ModelConfig
from snncore import nn
from snncore.backend import Array
from snncore.tape import Tensor

__all__ = ["Model", "Scores", "check_fits", "sizes", "take"]

Scores = dict[str, Tensor]
"""Class scores [N, classes] of each head, by name; the first head is the verdict."""


class Model(nn.Module):
    """A network that can be trained, evaluated and audited: what goes in, what comes out, what is minimised.

    config: everything that defines it; `config.shapes()` names the streams it takes. heads: name of each head that
    forward returns, in its order, with words for printed tables. forward also works on no samples, which tells the
    shapes of all layers (`python -m misnet`): write out the sizes of a reshape, as -1 cannot be found from no entries.
    Calling it raises ValueError, before anything runs, if a stream has another shape than the configuration says, or
    if the streams do not have the same number of timesteps and samples.
    """

    config: ModelConfig
    heads: Mapping[str, str]

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of forward's arguments."""
        return tuple(self.config.shapes())

    def forward(self, *streams: Tensor) -> Scores:
        """Return the scores of each head. streams: float [T, N, ...] each, shapes as the configuration says."""
        raise TypeError(f"{type(self).__name__} defines no forward")

    def loss(self, scores: Scores, labels: Array) -> Tensor:
        """Return what training minimises, a tensor with one entry. labels: integers [N]."""
        raise TypeError(f"{type(self).__name__} defines no loss")

    def after_backward(self, scores: Scores, labels: Array) -> None:
        """Change the gradients of a step in place, before the optimizer takes them; by default nothing is changed.

        scores, labels: those of all samples of the step. What is drawn here with `snncore.rng.step_key` depends on the
        seed of the run, the step and the names that are given to it alone.
        """

    def __call__(self, *streams: Any) -> Any:
        self.check_inputs(streams)
        return super().__call__(*streams)

    def check_inputs(self, inputs: Sequence[Any]) -> None:
        """Raise ValueError unless the inputs are what forward takes."""
        shapes = self.config.shapes()
        if len(inputs) != len(shapes):
            raise ValueError(
                f"{self.config.title}: expected {len(shapes)} streams, {_join(shapes)}, found {len(inputs)}"
            )
        for (name, expected), x in zip(shapes.items(), inputs, strict=True):
            if not hasattr(x, "ndim"):
                raise ValueError(f"{name} input: expected an array, found a {type(x).__name__}")
            if x.ndim != 1 + len(expected) or x.shape[2:] != expected[1:]:
                rest = ", ".join(map(str, expected[1:]))
                raise ValueError(f"{name} input: expected [T, N, {rest}], found {tuple(x.shape)}")
        first, *others = shapes
        for name, x in zip(others, inputs[1:], strict=True):
            if x.shape[:2] != inputs[0].shape[:2]:
                raise ValueError(
                    f"expected the same timesteps T and samples N in every stream, found {first} "
                    f"{tuple(inputs[0].shape)} and {name} {tuple(x.shape)}"
                )


def take(model: Model, batch: Any) -> tuple[Array, ...]:
    """Return a batch as (stream, ..., labels), the streams that the network takes in the order of its forward.

    batch: a `misnet.datasets.Batch`, which may have other streams too, or a tuple in that order already.
    Raises ConfigError if a stream is missing.
    """
    if not hasattr(batch, "streams"):
        return tuple(batch)
    if missing := [name for name in model.streams if name not in batch.streams]:
        raise ConfigError(f"{model.config.title} takes the stream {missing[0]!r}, the batch has {_join(batch.streams)}")
    return (*(batch.streams[name] for name in model.streams), batch.labels)


def check_fits(config: ModelConfig, data: Data) -> None:
    """Raise ConfigError, naming what differs, unless a network of this configuration can take the data."""
    for name, value in type(config).found_in(data).items():
        if getattr(config, name) != value:
            raise ConfigError(f"{name}: the network has {getattr(config, name)}, {data.name} has {value}")
    config.check_streams(data)


def sizes(config: ModelConfig) -> str:
    """Return the size of the streams in words: 32x32 for images and spectrograms of 32 pixels."""
    return ", ".join(dict.fromkeys("x".join(map(str, shape[1:-1] or shape[1:])) for shape in config.shapes().values()))


def _join(names: Any) -> str:
    return ", ".join(names)
