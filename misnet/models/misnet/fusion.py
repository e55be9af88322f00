"""Fusion of the two modalities: inside the neuron (Eq. 7, Fig. 6) and before the classifier (Eq. 13, Table 6)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from misnet.models.parts.fuse import CrossModalAttention, check_pair
from snncore import functions as F
from snncore import nn
from snncore.firing import Firing
from snncore.functions.stated import StatedCurrent, StatedNeuron, counted_here, stated_elsewhere
from snncore.tape import Tensor, at_timestep

__all__ = [
    "CrossModalAttention",
    "FusedMLIF",
    "FusionMLP",
    "SingleLIF",
    "check_pair",
    "make_fusion",
    "reset_membrane",
]


Pair = tuple[Tensor, Tensor]


class ConcatFusion(nn.Module):
    """[x_v; x_a], split again: the modalities stay as they are."""

    def forward(self, x_a: Tensor, x_v: Tensor) -> tuple[Tensor, Tensor]:
        return x_a, x_v


class FusionMLP(nn.Module):
    """Two layers over both modalities, added to them: [y_a; y_v] = x + W2 relu(W1 x + b1) + b2, x = [x_a; x_v].

    x_a, x_v: float [..., C], fused at each pixel. The hidden layer has C units. The paper names the fusion and gives
    no form. The added x makes the start near concat fusion; without it the potentials of a fresh network stay far
    below the threshold, and a neuron that never fires learns nothing.
    """

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.channels = channels
        self.fc1 = nn.Linear(2 * channels, channels, rng=rng)
        self.fc2 = nn.Linear(channels, 2 * channels, rng=rng)

    def forward(self, x_a: Tensor, x_v: Tensor) -> tuple[Tensor, Tensor]:
        x = F.Concat(-1)(x_a, x_v)  # [..., 2C]
        y = x + self.fc2(F.ReLU()(self.fc1(x)))
        return y[..., : self.channels], y[..., self.channels :]


def make_fusion(name: str, channels: int, rng: np.random.Generator) -> nn.Module:
    """Return the fusion `concat`, `mlp` or `attention` of two [..., C] into two [..., C]."""
    if name == "concat":
        return ConcatFusion()
    return FusionMLP(channels, rng) if name == "mlp" else CrossModalAttention(channels, rng)


class WithAlpha(nn.Module):
    """Holds alpha_a and alpha_v of Eq. 7, one number each: parameters, or buffers if they are not learned."""

    def __init__(self, alpha: float, learn_alpha: bool) -> None:
        make: type = nn.Parameter if learn_alpha else nn.Buffer
        self.alpha_a = make(np.array(alpha, np.float32))
        self.alpha_v = make(np.array(alpha, np.float32))

    def alphas(self) -> tuple[Tensor, Tensor]:
        """Return both as tensors."""
        a, v = (Tensor(x.data) if isinstance(x, nn.Buffer) else x for x in (self.alpha_a, self.alpha_v))
        return a, v


def reset_membrane(u: Tensor, s: Tensor, firing: Firing) -> Tensor:
    """Return the membrane after firing (Eq. 10), with the operations of the tape."""
    s = F.Cast(u.dtype)(s.detach() if firing.detach_reset else s)
    if firing.v_reset is None:
        return u - s * firing.v_threshold
    return u * (1.0 - s) + s * firing.v_reset


class FusedMLIF(WithAlpha, nn.Neuron):
    """MLIF whose fusion couples the modalities (Ab3.2 and Ab3.3 of Fig. 6), one timestep after the other.

        u_m[t] = decay * u_m[t-1] + c_m[t]                                  (Eq. 6)
        f_a, f_v = fusion(alpha_a u_a[t], alpha_v u_v[t])                   (Eq. 7)
        s_m[t] = f_m >= v_threshold                                         (Eqs. 8, 9)
        u_m[t] = u_m[t] - v_threshold * s_m[t]                              (Eq. 10)

    Written with the operations of the tape, since the fusion has weights of its own; with concat fusion it equals
    `snncore.functions.MLIF`, which is faster, and costs what that costs (tests hold both).
    stateful: as in `nn.Neuron`; kept are u_a and u_v after their reset, so that the fusion, which has no memory, sees
    at the next call what it would have seen in a longer one.
    o_a, o_v: [T, N, H, W, C]; w_a, w_v: as in MLIF. Returns (s_a, s_v): uint8.
    """

    def __init__(
        self, fusion: nn.Module, firing: Firing, alpha: float, learn_alpha: bool, stateful: bool = False
    ) -> None:
        nn.Neuron.__init__(self, stateful)
        self.fusion, self.firing = fusion, firing
        self.fire = F.Fire(firing.surrogate)
        WithAlpha.__init__(self, alpha, learn_alpha)

    def forward(self, o_a: Tensor, o_v: Tensor, w_a: Tensor | None = None, w_v: Tensor | None = None) -> Any:
        check_pair("FusedMLIF", o_a, o_v)
        alpha, o, w = self.alphas(), (o_a, o_v), (w_a, w_v)
        start = self.remembered(o)
        with stated_elsewhere():
            trains = self._run(o, w, alpha, start)
        folds = isinstance(self.fusion, ConcatFusion)
        known = (None if x is None else x.detach() for x in (*o, *alpha, *w, *start))
        return StatedNeuron(self.firing, folds=folds)(*trains, *known)

    def _run(self, o: Pair, w: Sequence[Tensor | None], alpha: Pair, u: Sequence[Tensor | None]) -> list[Tensor]:
        """The equations, in which only the fusion is counted; the spikes of each modality, [T, N, H, W, C]."""
        decay, v_threshold = self.firing.decay, self.firing.v_threshold
        currents = [F.Cast(self.dtype)(o_m) if w_m is None else o_m * w_m for o_m, w_m in zip(o, w, strict=True)]
        spikes: list[list[Tensor]] = []
        for t in range(o[0].shape[0]):
            with at_timestep(t):
                charged = [c[t] if v is None else v * decay + c[t] for v, c in zip(u, currents, strict=True)]
                scaled = charged[0] * alpha[0], charged[1] * alpha[1]
                with counted_here():
                    fused = self.fusion(*scaled)
                spikes.append([self.fire(f - v_threshold) for f in fused])
                u = [reset_membrane(h, s_m, self.firing) for h, s_m in zip(charged, spikes[-1], strict=True)]
        self.remember(u)
        return [F.Stack(0)(*train) for train in zip(*spikes, strict=True)]


class SingleLIF(WithAlpha):
    """Ab1 of Fig. 6: the currents are fused first, and one LIF neuron over both fires and resets.

    f_a, f_v = fusion(alpha_a c_a[t], alpha_v c_v[t]);   s = LIF([f_a; f_v])

    It costs what a neuron of this kind must do: W and alpha where an event comes, as in the MLIF; with concat fusion
    the membrane is charged there too, and nowhere else.
    stateful: that of its LIF.
    """

    def __init__(self, fusion: nn.Module, neuron: nn.LIF, alpha: float, learn_alpha: bool) -> None:
        self.fusion, self.neuron = fusion, neuron
        super().__init__(alpha, learn_alpha)

    def forward(self, o_a: Tensor, o_v: Tensor, w_a: Tensor | None = None, w_v: Tensor | None = None) -> Any:
        check_pair("SingleLIF", o_a, o_v)
        alpha, o, w, channels = self.alphas(), (o_a, o_v), (w_a, w_v), o_a.shape[-1]
        with stated_elsewhere():
            currents = [F.Cast(self.dtype)(x) if w_m is None else x * w_m for x, w_m in zip(o, w, strict=True)]
            currents = [c * alpha_m for c, alpha_m in zip(currents, alpha, strict=True)]
        known = [*o, *alpha, *w]
        if not isinstance(self.fusion, ConcatFusion):
            detached = [None if x is None else x.detach() for x in known]
            currents = [StatedCurrent()(c, *detached[m::2]) for m, c in enumerate(currents)]
            s = self.neuron(F.Concat(-1)(*self.fusion(*currents)))  # [T, N, H, W, 2C]
            return s[..., :channels], s[..., channels:]
        (start,) = self.neuron.remembered((F.Concat(-1)(o_a, o_v),)) if self.neuron.stateful else (None,)
        halves = np.s_[..., :channels], np.s_[..., channels:]
        with stated_elsewhere():
            s = self.neuron(F.Concat(-1)(*currents))
            trains = [s[half] for half in halves]
            known += [None if start is None else start[half] for half in halves]
        detached = [None if x is None else x.detach() for x in known]
        return StatedNeuron(self.neuron.firing, "LIF", on_current=True)(*trains, *detached)
