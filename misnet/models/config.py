"""Configurations: dataclasses whose fields are switches, checked by type and choice, read from and written to JSON."""

import functools
import math
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import asdict, field, fields, replace
from typing import Any, ClassVar, Protocol

from snncore.nearest import nearest_words, one_of

__all__ = ["ConfigError", "Data", "ModelConfig", "Shape", "shape_of", "switch"]

LARGEST = 2.0**127
"""The largest switch that is a number: weights, thresholds and scales are of single precision."""
LARGEST_INTEGER = 2**31
"""No integer is as large; NumPy takes no such shapes, and neither does a memory."""

Shape = tuple[int, ...]
"""Shape of one sample of a stream, T first: [T, H, W, C] for images and spectrograms."""


C = typing.TypeVar("C", bound="ModelConfig")


class ConfigError(ValueError):
    """A switch with a value that cannot be used, or data that a network cannot take; the message names it."""


class Data(Protocol):
    """What a configuration is fitted to: `misnet.datasets.Dataset` has it."""

    name: str
    class_names: tuple[str, ...]
    timesteps: int

    @property
    def streams(self) -> Mapping[str, Shape]:
        """The streams that each sample has, by name, with their shapes."""


def switch(default: Any, text: str, choices: Collection[str] | None = None) -> Any:
    """Return a field of a configuration: its default, a line of help, and the values it may have (None: any)."""
    return field(default=default, metadata={"help": text, "choices": choices})


def shape_of(data: Data, stream: str) -> Shape:
    """Return the shape of a stream; raises ConfigError, with what there is, if the data do not have it."""
    if stream not in data.streams:
        offered = ", ".join(f"{name!r}" for name in data.streams)
        raise ConfigError(f"{data.name}: the network takes the stream {stream!r}, the data set offers {offered}")
    return tuple(data.streams[stream])


class ModelConfig:
    """Base of everything that defines a network: subclass it as a frozen dataclass whose fields are made by `switch`.

        @dataclass(frozen=True)
        class Config(ModelConfig):
            classes: int = switch(10, "number of classes")
            timesteps: int = switch(4, "T, the number of timesteps")
            width: int = switch(32, "channels of the hidden layer")

            def shapes(self): return {"visual": (self.timesteps, 8, 8, 1)}

    A field is bool, int, float, str, a tuple of integers, or one of these or None. Each field is also an option of the
    command lines and an entry of config.json. `classes` and `timesteps` must be among them. A field called `size` is
    the height and width that data are read at; without it a data set takes its own.
    Raises ConfigError, naming the switch, what was found and what is expected.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    PRESETS: ClassVar[tuple[str, ...]] = ()
    """Names of sets of switches to start from, the default first; none if there is only the defaults of the fields."""

    EARLIER: ClassVar[Mapping[str, Any]] = {}
    """What a config.json means that was written before there was a switch, where that is not the default."""

    classes: int
    timesteps: int
    size: int | None = None

    # -- what a subclass says --

    def shapes(self) -> dict[str, Shape]:
        """Shape of one sample of each stream that the network takes, in the order of forward's arguments."""
        raise TypeError(f"{type(self).__name__} defines no shapes")

    def check(self) -> None:
        """Raise ConfigError for values that cannot be used (see `require`), once types and choices are right."""

    @property
    def title(self) -> str:
        """Name of the network in printed lines."""
        return type(self).__name__.removesuffix("Config")

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The switches that a preset sets, for a user who gives the switches `given`."""
        return {}

    @classmethod
    def replaced_by(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Switches of an earlier configuration that go back to their default where those `given` are changed."""
        return ()

    @classmethod
    def found_in(cls, data: Data) -> dict[str, Any]:
        """The switches that the data decide, with their values; a subclass adds the shapes of its streams."""
        return {"classes": len(data.class_names), "timesteps": data.timesteps}

    # -- what every configuration can do --

    def fit(self: C, data: Data) -> C:
        """Return this configuration with everything that the data decide as the data have it."""
        fitted = replace(self, **self.found_in(data))
        fitted.check_streams(data)
        return fitted

    def check_streams(self, data: Data) -> None:
        """Raise ConfigError unless the data have every stream that the network takes, in the shape that it takes."""
        for name, shape in self.shapes().items():
            if shape != (found := shape_of(data, name)):
                raise ConfigError(f"{name} input: the network takes {shape}, {data.name} has {found}")

    def to_dict(self) -> dict[str, Any]:
        """Return all switches as plain values, as JSON can hold them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[C], values: Mapping[str, Any]) -> C:
        """Build a configuration from `to_dict()`; raises ConfigError for a switch that does not exist."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            near = nearest_words(unknown[0], known)
            raise ConfigError(f"unknown switch {', '.join(unknown)}; known are {', '.join(sorted(known))}{near}")
        return cls(**values)

    def require(self, name: str, good: bool, expected: str) -> None:
        """Raise ConfigError unless the value of a switch is good."""
        if not good:
            raise ConfigError(f"{name}: expected {expected}, found {getattr(self, name)!r}")

    def __post_init__(self) -> None:
        hints = types_of(type(self))
        for f in fields(self):
            if isinstance(getattr(self, f.name), list):  # as JSON has it
                object.__setattr__(self, f.name, tuple(getattr(self, f.name)))
            self._check_type(f.name, hints[f.name])
            if f.metadata["choices"] is not None:
                value, known = getattr(self, f.name), f.metadata["choices"]
                if value not in known:
                    raise ConfigError(f"{f.name}: {one_of(value, known)}")
        for name in ("classes", "timesteps"):
            self.require(name, getattr(self, name) >= 1, "a positive integer")
        self.check()

    def _check_type(self, name: str, kind: Any) -> None:
        value = getattr(self, name)
        if isinstance(kind, types.UnionType):  # X | None
            if value is None:
                return
            kind = typing.get_args(kind)[0]
        good, expected = {
            bool: (isinstance(value, bool), "true or false"),
            int: (isinstance(value, int) and not isinstance(value, bool), "an integer"),
            float: (isinstance(value, int | float) and not isinstance(value, bool), "a number"),
            str: (isinstance(value, str), "text"),
        }.get(kind, (isinstance(value, tuple) and all(type(x) is int for x in value), "a list of integers"))
        if not good:
            raise ConfigError(f"{name}: a value of the wrong type: expected {expected}, found {value!r}")
        self.require(name, not isinstance(value, float) or math.isfinite(value), "a finite number")
        fits = not isinstance(value, float) or abs(value) <= LARGEST
        self.require(
            name, fits, f"a number of at most {LARGEST:.1e} either way, as single precision holds no larger one"
        )
        for x in value if isinstance(value, tuple) else (value,):
            fits = not isinstance(x, int) or abs(x) < LARGEST_INTEGER
            self.require(name, fits, f"integers below {LARGEST_INTEGER}")


@functools.cache
def types_of(kind: type[ModelConfig]) -> dict[str, Any]:
    """Return the type of each switch, though the module of the class may keep annotations as text."""
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}
