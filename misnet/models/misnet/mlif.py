"""The multimodal neuron of a cell, by the switches: the MLIF, its ablations (Fig. 6), and controls of what it adds."""

from typing import Any

import numpy as np

from misnet.models.misnet.config import MISNetConfig
from misnet.models.misnet.fusion import FusedMLIF, SingleLIF, check_pair, make_fusion, reset_membrane
from snncore import functions as F
from snncore import nn
from snncore.firing import Firing
from snncore.functions.stated import StatedNeuron, stated_elsewhere
from snncore.tape import Tensor, at_timestep

__all__ = [
    "CurrentLIF",
    "FusedSpikes",
    "NoMLIF",
    "RaisedLIF",
    "SecondThreshold",
    "make_firing",
    "make_lif",
    "make_mlif",
]


def make_firing(config: MISNetConfig, v_threshold: float) -> Firing:
    """Return the settings that all neurons share, with a threshold."""
    surrogate = config.make_surrogate()
    return Firing(config.membrane_decay, v_threshold, config.v_reset, surrogate, config.detach_reset)


def make_mlif(config: MISNetConfig, channels: int, rng: np.random.Generator) -> nn.Module:
    """Return the multimodal neuron of a cell: (o_a, o_v, w_a, w_v) to (s_a, s_v)."""
    firing = make_firing(config, config.mlif_v_threshold)
    alpha = {"alpha": config.alpha, "learn_alpha": config.learn_alpha}
    if config.mlif == "off":
        return NoMLIF()
    if config.mlif == "second-threshold":
        return SecondThreshold(firing, **alpha)
    if config.mlif == "independent":  # two LIF neurons: an MLIF with both alpha fixed at 1
        neuron = nn.MLIF(firing=firing, alpha=1.0, learn_alpha=False)
        if config.mlif_fusion == "concat":
            return neuron
        return FusedSpikes(make_fusion(config.mlif_fusion, channels, rng), neuron)
    if config.mlif == "fused-charge":
        return SingleLIF(make_fusion(config.mlif_fusion, channels, rng), nn.LIF(firing=firing), **alpha)
    if config.mlif_fusion == "concat":
        return nn.MLIF(firing=firing, **alpha)
    return FusedMLIF(make_fusion(config.mlif_fusion, channels, rng), firing, **alpha)


def make_lif(config: MISNetConfig) -> nn.Module | None:
    """Return what stands for the MLIF in a network of one stream: (o, w) to s; None for no neuron."""
    firing = make_firing(config, config.mlif_v_threshold)
    if config.mlif == "off":
        return None
    if config.mlif == "second-threshold":
        return RaisedLIF(firing, config.alpha, config.learn_alpha)
    return CurrentLIF(nn.LIF(firing=firing))


class CurrentLIF(nn.Module):
    """LIF on a weighted current: s = LIF(o * w), Eqs. 2 and 5. o: [T, N, H, W, C]; w: as in MLIF. Returns uint8."""

    def __init__(self, neuron: nn.LIF) -> None:
        self.neuron = neuron

    def forward(self, o: Tensor, w: Tensor | None = None) -> Tensor:
        start = self.neuron.remembered((o,))[0] if self.neuron.stateful else None
        with stated_elsewhere():
            s = self.neuron(F.Cast(self.dtype)(o) if w is None else o * w)
        return stated(s, o, w, start, self.neuron.firing, "LIF")


class FusedSpikes(nn.Module):
    """Ab2.2 and Ab2.3 of Fig. 6 as they are read here: two LIF neurons, whose spikes are fused.

        s_m = LIF(o_m * w_m);   f_a, f_v = fusion(s_a, s_v);   y_m = f_m >= 1/2

    In Ab2 the paper takes fusion and joint firing out of the MLIF and still lists an MLP and an attention; what they
    fuse it does not say. Here it is the spikes, which is all that two neurons hand on. A fused value fires again,
    without a membrane, so that what leaves the cell is binary as everywhere; at 1/2 a fusion that changes nothing
    changes no spike. o_a, o_v, w_a, w_v: as in MLIF. Returns (y_a, y_v): uint8.
    """

    def __init__(self, fusion: nn.Module, neuron: nn.MLIF) -> None:
        self.fusion, self.neuron = fusion, neuron
        self.fire = F.Fire(neuron.firing.surrogate)

    def forward(self, o_a: Tensor, o_v: Tensor, w_a: Tensor | None = None, w_v: Tensor | None = None) -> Any:
        check_pair("FusedSpikes", o_a, o_v)
        f_a, f_v = self.fusion(*self.neuron(o_a, o_v, w_a, w_v))  # float [T, N, H, W, C]
        return self.fire(f_a - 0.5), self.fire(f_v - 0.5)


class RaisedLIF(nn.Neuron):
    """LIF whose firing threshold is another than what its reset subtracts.

        u[t] = decay * u[t-1] + c[t]
        s[t] = u[t] >= threshold                    threshold = v_threshold / alpha at first
        u[t] = u[t] - v_threshold * s[t]

    The surrogate is taken at alpha * (u - threshold), as in the MLIF that this equals while the threshold is
    v_threshold / alpha. threshold: learned or fixed. o: [T, N, H, W, C]; w: as in MLIF. Returns uint8 spikes.
    """

    def __init__(self, firing: Firing, alpha: float, learn: bool, stateful: bool = False) -> None:
        super().__init__(stateful)
        make: type = nn.Parameter if learn else nn.Buffer
        self.threshold = make(np.array(firing.v_threshold / alpha, np.float32))
        self.firing, self.alpha = firing, alpha
        self.fire = F.Fire(firing.surrogate)

    def forward(self, o: Tensor, w: Tensor | None = None) -> Tensor:
        (start,) = self.remembered((o,))
        with stated_elsewhere():
            s = self._run(o, w, start)
        return stated(s, o, w, start, self.firing)

    def _run(self, o: Tensor, w: Tensor | None, u: Tensor | None) -> Tensor:
        c = F.Cast(self.dtype)(o) if w is None else o * w
        threshold = Tensor(self.threshold.data) if isinstance(self.threshold, nn.Buffer) else self.threshold
        spikes: list[Tensor] = []
        for t in range(o.shape[0]):
            with at_timestep(t):
                h = c[t] if u is None else u * self.firing.decay + c[t]
                spikes.append(self.fire((h - threshold) * self.alpha))
                u = reset_membrane(h, spikes[-1], self.firing)
        self.remember((u,))
        return F.Stack(0)(*spikes)


def stated(s: Tensor, o: Tensor, w: Tensor | None, u: Tensor | None, firing: Firing, name: str = "MLIF") -> Tensor:
    """Return the spikes s of a neuron without alpha on o * w, with what it costs stated; u: its membrane before."""
    known = [None if x is None else x.detach() for x in (w, u)]
    return StatedNeuron(firing, name)(s, o.detach(), None, *known)  # type: ignore[no-any-return]


class SecondThreshold(nn.Module):
    """Control of Fig. 6: what the concat MLIF is, written as two neurons that know nothing of each other.

    Modality m is a LIF that fires at v_threshold / alpha and resets by v_threshold: no fusion, no alpha. With a fixed
    threshold its spikes and gradients are those of the MLIF with a fixed alpha; with a learned one, the threshold
    itself is learned. o_a, o_v, w_a, w_v: as in MLIF. Returns (s_a, s_v): uint8.
    """

    def __init__(self, firing: Firing, alpha: float, learn_alpha: bool) -> None:
        self.a, self.v = (RaisedLIF(firing, alpha, learn_alpha) for _ in "av")

    def forward(self, o_a: Tensor, o_v: Tensor, w_a: Tensor | None = None, w_v: Tensor | None = None) -> Any:
        check_pair("SecondThreshold", o_a, o_v)
        return self.a(o_a, w_a), self.v(o_v, w_v)


class NoMLIF(nn.Module):
    """Control of Fig. 6: no neuron in the cell; what the SEW blocks give is handed on. W is not there either."""

    def forward(self, o_a: Tensor, o_v: Tensor, w_a: Tensor | None = None, w_v: Tensor | None = None) -> Any:
        return o_a, o_v
