"""Table 1 of the paper and every switch of the network, as one validated dataclass."""

import math
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from snncore.functions.sew import CONNECTS
from snncore.nn import NEURONS, decay_of
from snncore.surrogate import SURROGATES, Surrogate

__all__ = ["PRESETS", "VARIANTS", "ConfigError", "MISNetConfig", "preset"]

VARIANTS = {
    "XS": ((64, 128, 256), (2, 2, 1)),
    "S": ((64, 128, 256), (2, 2, 2)),
    "L": ((64, 128, 256, 512), (2, 2, 2, 1)),
    "XL": ((64, 128, 256, 512), (2, 2, 2, 2)),
}
"""Table 1: channels of each stage and number of InteractCells in it."""

HEADS = ("concat", "sum", "hadamard", "mlp", "attention")


class ConfigError(ValueError):
    """A switch with a value that cannot be used; the message names it."""


def _switch(default: Any, text: str, choices: Collection[str] | None = None) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class MISNetConfig:
    """Everything that defines a MISNet; the defaults are the paper's, where it can be followed.

    Raises ConfigError, naming the switch, what was found and what is expected.
    """

    variant: str = _switch("S", "size of Table 1: XS, S, L or XL", tuple(VARIANTS))
    channels: tuple[int, ...] | None = _switch(None, "channels of each stage instead of Table 1's, as 16,32,64")
    cells: tuple[int, ...] | None = _switch(None, "InteractCells of each stage instead of Table 1's, as 1,1,1")
    classes: int = _switch(10, "number of classes")
    size: int = _switch(32, "height and width of both inputs, in pixels")
    timesteps: int = _switch(4, "T, the number of timesteps")
    audio_channels: int = _switch(1, "channels of the audio input")
    visual_channels: int = _switch(3, "channels of the visual input")

    tau: float = _switch(2.0, "membrane time constant, above 1; the membrane keeps 1 - 1/tau of itself (Eqs. 2, 6)")
    decay: float | None = _switch(None, "what the membrane keeps of itself, in [0, 1), instead of 1 - 1/tau")
    v_threshold: float = _switch(1.0, "firing threshold V_t of the unimodal neurons (Eq. 2)")
    mlif_v_threshold: float = _switch(1.0, "firing threshold V_t of the MLIF (Eq. 8)")
    reset: str = _switch("soft", "soft subtracts the threshold (Eqs. 2, 10), hard sets 0", ("soft", "hard"))
    detach_reset: bool = _switch(False, "cut the gradient through the spikes of the reset")
    surrogate: str = _switch("sigmoid", "surrogate gradient of the step (Section 4.2)", tuple(SURROGATES))
    surrogate_scale: float | None = _switch(None, "its slope (rectangle, triangle: its width); default: its own")
    neuron: str = _switch("lif", "unimodal neuron (Eqs. 3, 4)", NEURONS)

    mlif: str = _switch(
        "full",
        "full: the MLIF; fused-charge: Ab1 of Fig. 6, currents fused into one LIF; independent: Ab2, two LIFs",
        ("full", "fused-charge", "independent"),
    )
    mlif_fusion: str = _switch("concat", "fusion inside the MLIF (Eq. 7, Fig. 6)", ("concat", "mlp", "attention"))
    alpha: float = _switch(0.5, "initial alpha_a and alpha_v (Eq. 7)")
    learn_alpha: bool = _switch(True, "learn alpha, a scalar per modality and cell")
    spatial_weight: str = _switch("pixel", "W of Eq. 5: h x w, per channel, or none", ("pixel", "channel", "none"))
    sew: str = _switch("per-modality", "SEW blocks (Eq. 4; off: Table 7)", ("per-modality", "shared", "off"))
    connect: str = _switch("add", "how a SEW block joins its input", CONNECTS)
    cell_residual: bool = _switch(False, "add the spikes that entered a cell to those that leave it")
    pooling: str = _switch("max", "2x2 pooling after the cells of a stage; max keeps spikes binary", ("max", "avg"))
    head: str = _switch("concat", "fusion before the classifier (Eq. 13, Table 6)", HEADS)
    head_pool: int = _switch(0, "0: global average before the heads; k: average over k x k pixels, then flatten")

    loss: str = _switch("mse", "mse against one-hot labels (Eqs. 14, 15) or cross-entropy", ("mse", "cross-entropy"))
    beta_a: float = _switch(0.5, "weight of the audio loss (Eq. 16)")
    beta_v: float = _switch(0.5, "weight of the visual loss (Eq. 16)")
    unused_modules: bool = _switch(
        False, "also build what the public code builds and never calls, to compare parameter counts"
    )

    def __post_init__(self) -> None:
        for name in ("channels", "cells"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        for switch in fields(self):
            self._check_type(switch.name, switch.type)
            self._check_choice(switch.name, switch.metadata["choices"])
        for name in ("classes", "size", "timesteps", "audio_channels", "visual_channels"):
            self._require(name, getattr(self, name) >= 1, "a positive integer")
        for name in ("v_threshold", "mlif_v_threshold"):
            self._require(name, getattr(self, name) > 0, "a positive number")
        for name in ("beta_a", "beta_v"):
            self._require(name, getattr(self, name) >= 0, "a number of at least 0")
        for name in ("channels", "cells"):
            least = 1 if name == "channels" else 0
            value = getattr(self, name)
            good = value is None or (len(value) > 0 and all(isinstance(n, int) and n >= least for n in value))
            self._require(name, good, f"integers of at least {least}, one a stage")
        if len(self.stage_channels) != len(self.stage_cells):
            raise ConfigError(
                f"cells: expected {len(self.stage_channels)} numbers, one for each of the channels "
                f"{self.stage_channels}, found {self.stage_cells}"
            )
        try:
            decay_of(None if self.decay is not None else self.tau, self.decay)
            self.make_surrogate()
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self._check_combinations()

    def _require(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ConfigError(f"{name}: expected {expected}, found {getattr(self, name)!r}")

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
        }.get(kind, (isinstance(value, tuple), "a list of integers"))
        if not good:
            raise ConfigError(f"{name}: a value of the wrong type: expected {expected}, found {value!r}")
        self._require(name, not isinstance(value, float) or math.isfinite(value), "a finite number")

    def _check_choice(self, name: str, choices: tuple[str, ...] | None) -> None:
        if choices is not None:
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")

    def _check_combinations(self) -> None:
        stages = len(self.stage_channels)
        last = self.size >> stages
        self._require("size", last >= 1, f"at least {1 << stages}, as {stages} stages halve it")
        fits = self.head_pool == 0 or 1 <= self.head_pool <= last
        self._require("head_pool", fits, f"0 or at most {last}, the size after the last stage")
        if self.mlif == "independent" and self.mlif_fusion != "concat":
            raise ConfigError(
                f"mlif_fusion: independent neurons (Ab2 of Fig. 6) have no fusion to replace, and the paper does not "
                f"say what its Ab2.2 and Ab2.3 fuse; expected concat, found {self.mlif_fusion!r}"
            )
        if self.neuron == "plif" and self.membrane_decay == 0:
            raise ConfigError("decay: PLIF learns a tau above 1 and cannot start from decay 0")
        if self.neuron == "clif" and self.reset == "hard":
            raise ConfigError("reset: CLIF defines a soft reset only, found 'hard'")

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return self.channels or VARIANTS[self.variant][0]

    @property
    def stage_cells(self) -> tuple[int, ...]:
        """InteractCells of each stage."""
        return self.cells or VARIANTS[self.variant][1]

    @property
    def membrane_decay(self) -> float:
        """What a membrane keeps of itself from one timestep to the next."""
        return decay_of(None if self.decay is not None else self.tau, self.decay)

    @property
    def v_reset(self) -> float | None:
        """None for a soft reset, 0 for a hard one."""
        return None if self.reset == "soft" else 0.0

    def make_surrogate(self) -> Surrogate:
        """Return the surrogate gradient with its scale."""
        kind = SURROGATES[self.surrogate]
        return kind() if self.surrogate_scale is None else kind(self.surrogate_scale)

    def to_dict(self) -> dict[str, Any]:
        """Return all switches as plain values, as JSON can hold them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MISNetConfig":
        """Build a configuration from `to_dict()`; raises ConfigError for a switch that does not exist."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown switch {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return cls(**values)


def _public_code(variant: str) -> dict[str, Any]:
    channels, cells = VARIANTS[variant]
    return {
        "variant": variant,
        "tau": 2.0,
        "neuron": "clif",
        "surrogate": "rectangle",
        "sew": "shared",
        "cell_residual": True,
        "spatial_weight": "none",
        "pooling": "avg",
        "learn_alpha": False,
        "head_pool": 2 if len(channels) == 3 else 4,
        "cells": (1, 1, 1) if variant == "XS" else cells,
        "size": 32 if len(channels) == 3 else 64,
        "unused_modules": True,
    }


PRESETS = {"paper": lambda variant: {"variant": variant}, "public-code": _public_code}
"""`paper`: the defaults above. `public-code`: the switches as the authors' earlier public code has them."""


def preset(name: str, variant: str = "S", **switches: Any) -> MISNetConfig:
    """Return the configuration `name` of PRESETS for a variant, with some switches changed.

    Raises ConfigError for an unknown preset, variant or switch.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, found {name!r}")
    if variant not in tuple(VARIANTS):
        raise ConfigError(f"variant: expected one of {', '.join(VARIANTS)}, found {variant!r}")
    return MISNetConfig.from_dict(PRESETS[name](variant) | switches)
