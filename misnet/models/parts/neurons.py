"""The switches of the spiking neurons of a network, and the neuron that they describe."""

from dataclasses import dataclass

from misnet.models.config import ConfigError, switch
from misnet.models.parts.streams import FusionConfig
from snncore import nn
from snncore.firing import Firing, decay_of
from snncore.nn import NEURONS
from snncore.surrogate import SURROGATES, Surrogate

__all__ = ["SpikingConfig"]


@dataclass(frozen=True)
class SpikingConfig(FusionConfig):
    """Switches of a network whose neurons are all of one kind: the defaults are the usual ones of SpikingJelly.

        decay_input off:  h[t] = (1 - 1/tau) v[t-1] + c[t]
        decay_input on:   h[t] = (1 - 1/tau) v[t-1] + c[t] / tau

    The second neuron is the first with a threshold and a surrogate tau times as wide (the membrane in units of tau),
    so that no current is multiplied: for a power of 2 as tau the spikes are the same bit for bit. Subclasses give
    other defaults by naming a field again.
    """

    neuron: str = switch("lif", "neuron: lif, if, plif or clif", tuple(NEURONS))
    tau: float = switch(2.0, "membrane time constant, above 1; the membrane keeps 1 - 1/tau of itself")
    decay_input: bool = switch(True, "divide the current of a lif by tau")
    v_threshold: float = switch(1.0, "firing threshold")
    reset: str = switch("hard", "hard sets the membrane to 0, soft subtracts the threshold", ("hard", "soft"))
    detach_reset: bool = switch(True, "cut the gradient through the spikes of the reset")
    surrogate: str = switch("sigmoid", "surrogate gradient of the step", tuple(SURROGATES))
    surrogate_scale: float | None = switch(None, "its slope (rectangle, triangle: its width); default: its own")

    def check(self) -> None:
        super().check()
        self.require("v_threshold", self.v_threshold > 0, "a positive number")
        if self.neuron == "clif" and self.reset == "hard":
            raise ConfigError("reset: CLIF defines a soft reset only, found 'hard'")
        try:
            decay_of(self.tau, None)
            self.make_surrogate()
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def make_surrogate(self, stretch: float = 1.0) -> Surrogate:
        """Return the surrogate gradient with its scale, `stretch` times as wide."""
        kind = SURROGATES[self.surrogate]
        made = kind() if self.surrogate_scale is None else kind(self.surrogate_scale)
        if stretch == 1:
            return made
        ((name, scale),) = vars(made).items()
        return kind(scale * stretch if name == "width" else scale / stretch)

    def make_neuron(self, v_threshold: float | None = None) -> nn.Neuron:
        """Return a neuron layer; v_threshold: another threshold than the switch says."""
        stretch = self.tau if self.decay_input and self.neuron == "lif" else 1.0
        threshold = (self.v_threshold if v_threshold is None else v_threshold) * stretch
        v_reset = 0.0 if self.reset == "hard" else None
        firing = Firing(decay_of(self.tau, None), threshold, v_reset, self.make_surrogate(stretch), self.detach_reset)
        return NEURONS[self.neuron](firing=firing)
