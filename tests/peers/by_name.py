"""Layers in torch that find their weights by the names that ours have, channels last; neurons are SpikingJelly's."""

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch.nn import functional


class Net:
    """Weights of a network of ours as leaves of torch, and the layers that use them.

    parameters: arrays by name. trains: the spikes of each neuron layer by its name, as they fire. x: [T, N, ..., C].
    """

    def __init__(self, parameters, **lif):
        self.p = {name: torch.tensor(x.copy(), requires_grad=True) for name, x in parameters.items()}
        self.lif, self.trains = lif, {}
        self.step = surrogate.Sigmoid(alpha=4.0)

    def __contains__(self, name):
        return name in self.p

    def linear(self, x, name):
        y = x @ self.p[f"{name}.weight"]
        return y + self.p[f"{name}.bias"] if f"{name}.bias" in self.p else y

    def bn(self, x, name):
        flat = functional.batch_norm(
            x.flatten(0, -2), None, None, self.p[f"{name}.weight"], self.p[f"{name}.bias"], training=True
        )
        return flat.reshape(x.shape)

    def conv_bn(self, x, name, stride=1):
        w = self.p[f"{name}.conv.weight"].permute(3, 2, 0, 1)
        y = functional.conv2d(x.flatten(0, 1).permute(0, 3, 1, 2), w, None, stride, w.shape[-1] // 2)
        return self.bn(y.permute(0, 2, 3, 1).unflatten(0, x.shape[:2]), f"{name}.bn")

    def pooled(self, x, kernel, stride, padding=0):
        y = functional.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), kernel, stride, padding)
        return y.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])

    def node(self, v_threshold=1.0, step_mode="m"):
        settings = {"tau": 2.0, "v_threshold": v_threshold, "step_mode": step_mode, "surrogate_function": self.step}
        return neuron.LIFNode(**settings, **self.lif)

    def fire(self, c, name, v_threshold=1.0):
        """Spikes of LIF neurons on currents; their name is that of the layer."""
        return self.note(self.node(v_threshold)(c), name)

    def note(self, s, name):
        self.trains[name] = s.detach()
        return s

    def conv_lif(self, x, name):
        return self.fire(self.conv_bn(x, name), f"{name}.neuron")

    def linear_lif(self, x, name):
        return self.fire(self.bn(self.linear(x, f"{name}.linear"), f"{name}.bn"), f"{name}.neuron")
