"""Table 1 of the paper and every switch of the network, as one validated dataclass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from misnet.models.config import ConfigError, Data, ModelConfig, Shape, shape_of, switch
from misnet.models.parts.fuse import FUSIONS
from misnet.models.parts.streams import STREAMS
from snncore.functions.sew import CONNECTS
from snncore.nearest import one_of
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

MOST_CELLS = 254
"""Cells of a stage with a residual around each: spikes begin as 1, each cell adds 1, and a byte holds 255."""


@dataclass(frozen=True)
class MISNetConfig(ModelConfig):
    """Everything that defines a MISNet; the defaults are the paper's, where it can be followed.

    Raises ConfigError, naming the switch, what was found and what is expected.
    """

    PRESETS: ClassVar[tuple[str, ...]] = ("paper", "public-code")
    EARLIER: ClassVar[Mapping[str, Any]] = {"head_scale": 1.0}

    variant: str = switch("S", "size of Table 1: XS, S, L or XL", tuple(VARIANTS))
    channels: tuple[int, ...] | None = switch(None, "channels of each stage instead of Table 1's, as 16,32,64")
    cells: tuple[int, ...] | None = switch(None, "InteractCells of each stage instead of Table 1's, as 1,1,1")
    classes: int = switch(10, "number of classes")
    size: int = switch(32, "height and width of both inputs, in pixels")
    timesteps: int = switch(4, "T, the number of timesteps")
    audio_channels: int = switch(1, "channels of the audio input")
    visual_channels: int = switch(3, "channels of the visual input")
    streams: str = switch(
        "both", "what the network takes: both, or one (Table 2): LIF for MLIF, one head", tuple(STREAMS)
    )

    tau: float = switch(2.0, "membrane time constant, above 1; the membrane keeps 1 - 1/tau of itself (Eqs. 2, 6)")
    decay: float | None = switch(None, "what the membrane keeps of itself, in [0, 1), instead of 1 - 1/tau")
    v_threshold: float = switch(1.0, "firing threshold V_t of the unimodal neurons (Eq. 2)")
    mlif_v_threshold: float = switch(1.0, "firing threshold V_t of the MLIF (Eq. 8)")
    reset: str = switch("soft", "soft subtracts the threshold (Eqs. 2, 10), hard sets 0", ("soft", "hard"))
    detach_reset: bool = switch(False, "cut the gradient through the spikes of the reset")
    surrogate: str = switch("sigmoid", "surrogate gradient of the step (Section 4.2)", tuple(SURROGATES))
    surrogate_scale: float | None = switch(None, "its slope (rectangle, triangle: its width); default: its own")
    neuron: str = switch("lif", "unimodal neuron (Eqs. 3, 4)", NEURONS)

    mlif: str = switch(
        "full",
        "full: the MLIF; fused-charge: Ab1 of Fig. 6, currents fused into one LIF; independent: Ab2, two LIFs, whose "
        "spikes are fused if the fusion is mlp or attention; controls: second-threshold: two LIFs that fire at "
        "V_t / alpha and reset by V_t; off: no neuron in the cell",
        ("full", "fused-charge", "independent", "second-threshold", "off"),
    )
    mlif_fusion: str = switch("concat", "fusion inside the MLIF (Eq. 7, Fig. 6)", ("concat", "mlp", "attention"))
    alpha: float = switch(0.5, "initial alpha_a and alpha_v (Eq. 7)")
    learn_alpha: bool = switch(True, "learn alpha, a scalar per modality and cell")
    spatial_weight: str = switch("pixel", "W of Eq. 5: h x w, per channel, or none", ("pixel", "channel", "none"))
    sew: str = switch("per-modality", "SEW blocks (Eq. 4; off: Table 7)", ("per-modality", "shared", "off"))
    block: str = switch("sew", "what stands where the SEW blocks are: sew, or swin (Table 11)", ("sew", "swin"))
    window: int = switch(4, "height and width of the windows of SwinT blocks, which the maps must be multiples of")
    swin_heads: int = switch(4, "heads of their attention")
    mlp_ratio: int = switch(4, "hidden channels of their MLP, as a multiple of the channels")
    connect: str = switch("add", "how a SEW block joins its input", CONNECTS)
    cell_residual: bool = switch(False, "add the spikes that entered a cell to those that leave it")
    pooling: str = switch("max", "2x2 pooling after the cells of a stage; max keeps spikes binary", ("max", "avg"))
    head: str = switch("concat", "fusion before the classifier (Eq. 13, Table 6)", FUSIONS)
    head_pool: int = switch(0, "0: global average before the heads; k: average over k x k pixels, then flatten")
    dropout: float = switch(0.0, "rate after each stage and before the heads; the public code has 0.3 in L and XL")
    head_scale: float = switch(0.1, "factor on the initial weights of the last layer of each head")

    loss: str = switch("mse", "mse against one-hot labels (Eqs. 14, 15) or cross-entropy", ("mse", "cross-entropy"))
    beta_a: float = switch(0.5, "weight of the audio loss (Eq. 16)")
    beta_v: float = switch(0.5, "weight of the visual loss (Eq. 16)")
    unused_modules: bool = switch(
        False, "also build what the public code builds and never calls, to compare parameter counts"
    )

    def check(self) -> None:
        for name in ("size", "audio_channels", "visual_channels", "window", "swin_heads", "mlp_ratio"):
            self.require(name, getattr(self, name) >= 1, "a positive integer")
        for name in ("v_threshold", "mlif_v_threshold"):
            self.require(name, getattr(self, name) > 0, "a positive number")
        for name in ("beta_a", "beta_v", "head_scale"):
            self.require(name, getattr(self, name) >= 0, "a number of at least 0")
        self.require("dropout", 0 <= self.dropout < 1, "a rate in [0, 1)")
        for name in ("channels", "cells"):
            least = 1 if name == "channels" else 0
            value = getattr(self, name)
            good = value is None or (len(value) > 0 and all(isinstance(n, int) and n >= least for n in value))
            self.require(name, good, f"integers of at least {least}, one a stage")
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

    def _check_combinations(self) -> None:
        stages = len(self.stage_channels)
        last = self.size >> stages
        self.require("size", last >= 1, f"at least {1 << stages}, as {stages} stages halve it")
        fits = self.head_pool == 0 or 1 <= self.head_pool <= last
        self.require("head_pool", fits, f"0 or at most {last}, the size after the last stage")
        if self.streams != "both":
            self._check_one_stream()
        if self.block == "swin":
            self._check_windows()
        if self.mlif in ("second-threshold", "off") and self.mlif_fusion != "concat":
            raise ConfigError(
                f"mlif_fusion: the control mlif={self.mlif} fuses nothing; expected concat, found {self.mlif_fusion!r}"
            )
        if self.mlif == "second-threshold" and not self.alpha > 0:
            raise ConfigError(f"alpha: expected a positive number, as the threshold is V_t / alpha, found {self.alpha}")
        if self.mlif == "off" and self.cell_residual:
            raise ConfigError(
                "cell_residual: without a neuron in the cell (mlif=off) it would double the values at each cell"
            )
        if self.neuron == "plif" and self.membrane_decay == 0:
            raise ConfigError("decay: PLIF learns a tau above 1 and cannot start from decay 0")
        if self.neuron == "clif" and self.reset == "hard":
            raise ConfigError("reset: CLIF defines a soft reset only, found 'hard'")
        most = max(self.stage_cells)
        if self.cell_residual and most > MOST_CELLS:
            raise ConfigError(
                f"cells: expected at most {MOST_CELLS} a stage with cell_residual, to fit a byte, found {most}"
            )

    def _check_windows(self) -> None:
        if self.sew == "off":
            raise ConfigError("block: sew=off leaves no blocks that SwinT blocks could stand for, found 'swin'")
        for stage, (channels, cells) in enumerate(zip(self.stage_channels, self.stage_cells, strict=True)):
            side = self.size >> stage
            where = f"of stage {stage + 1}, which is {side}x{side} at size {self.size}"
            if cells and self.window > side:
                raise ConfigError(f"window: a window of {self.window} pixels is larger than the map {where}")
            if cells and side % self.window:
                raise ConfigError(f"window: windows of {self.window} pixels do not fill the map {where}")
            if cells and channels % self.swin_heads:
                raise ConfigError(
                    f"swin_heads: {self.swin_heads} heads do not divide the {channels} channels of stage {stage + 1}"
                )

    def _check_one_stream(self) -> None:
        only = {"mlif_fusion": "concat", "head": "concat"}
        for name, value in only.items():
            if getattr(self, name) != value:
                raise ConfigError(
                    f"{name}: a network of one stream ({self.streams}) has nothing to fuse; expected {value}, found "
                    f"{getattr(self, name)!r}"
                )
        if self.mlif == "fused-charge":
            raise ConfigError(
                f"mlif: a network of one stream ({self.streams}) has no currents to fuse, found {self.mlif!r}"
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the network takes, a for audio and v for vision, in the order of its inputs."""
        return tuple(name[0] for name in STREAMS[self.streams])

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

    @property
    def title(self) -> str:
        return f"MISNet-{self.variant}"

    def shapes(self) -> dict[str, Shape]:
        pixels = (self.timesteps, self.size, self.size)
        channels = {"audio": self.audio_channels, "visual": self.visual_channels}
        return {name: (*pixels, channels[name]) for name in STREAMS[self.streams]}

    @classmethod
    def found_in(cls, data: Data) -> dict[str, Any]:
        if ("audio" in data.streams) != ("visual" in data.streams):  # enough for a network of one stream
            (name,) = {"audio", "visual"} & set(data.streams)
            _, height, width, channels = shape_of(data, name)
            if height != width:
                raise ConfigError(f"{data.name}: MISNet takes square inputs, found {(height, width)}")
            return super().found_in(data) | {"size": width, f"{name}_channels": channels}
        audio, visual = shape_of(data, "audio"), shape_of(data, "visual")
        if audio[1:-1] != visual[1:-1] or len({*visual[1:-1]}) != 1:
            raise ConfigError(f"{data.name}: MISNet takes two square inputs of one size, found {audio} and {visual}")
        channels = {"audio_channels": audio[-1], "visual_channels": visual[-1]}
        return super().found_in(data) | {"size": visual[1]} | channels

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return PRESETS[name](given.get("variant", "S"))

    @classmethod
    def replaced_by(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        return ("channels", "cells") if "variant" in given else ()  # another variant brings its own


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
        "head_scale": 1.0,
        "cells": (1, 1, 1) if variant == "XS" else cells,
        "size": 32 if len(channels) == 3 else 64,
        "dropout": 0.0 if len(channels) == 3 else 0.3,
        "unused_modules": True,
    }


PRESETS = {"paper": lambda variant: {"variant": variant}, "public-code": _public_code}
"""`paper`: the defaults above. `public-code`: the switches as the authors' earlier public code has them."""


def preset(name: str, variant: str = "S", **switches: Any) -> MISNetConfig:
    """Return the configuration `name` of PRESETS for a variant, with some switches changed.

    Raises ConfigError for an unknown preset, variant or switch.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: {one_of(name, PRESETS)}")
    if variant not in tuple(VARIANTS):
        raise ConfigError(f"variant: {one_of(variant, VARIANTS)}")
    return MISNetConfig.from_dict(PRESETS[name](variant) | switches)
