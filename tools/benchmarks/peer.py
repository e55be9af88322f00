"""The same network in PyTorch with SpikingJelly, to measure against: the paper's preset, with our weights.

Tensors between layers are [T * N, C, H, W], as SpikingJelly's stateless layers have them inside. Imported only by
workers that were asked for a peer; `pip install -e ".[peers]"` brings both.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.surrogate import sigmoid
from torch import nn

MODALITIES = ("a", "v")


class ConvBNLIF(nn.Module):
    """conv3x3, batch normalisation, SpikingJelly's LIF."""

    def __init__(self, channels_in: int, channels: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.timesteps = config["timesteps"]
        self.conv = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.neuron = neuron.LIFNode(
            tau=config["tau"],
            decay_input=False,
            v_threshold=config["v_threshold"],
            v_reset=None,
            surrogate_function=surrogate.Sigmoid(alpha=4.0),
            step_mode="m",
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn(self.conv(x))
        return self.neuron(y.unflatten(0, (self.timesteps, -1))).flatten(0, 1)


class Cell(nn.Module):
    """A SEW block for each modality and the MLIF over both, which SpikingJelly does not have: a loop over timesteps."""

    def __init__(self, channels: int, size: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.timesteps, self.decay = config["timesteps"], 1 - 1 / config["tau"]
        self.v_threshold = config["mlif_v_threshold"]
        self.c1, self.c2 = (
            nn.ModuleDict({m: ConvBNLIF(channels, channels, config) for m in MODALITIES}) for _ in range(2)
        )
        self.w = nn.ParameterDict({m: nn.Parameter(torch.ones(size, size)) for m in MODALITIES})
        self.alpha = nn.ParameterDict({m: nn.Parameter(torch.tensor(config["alpha"])) for m in MODALITIES})

    def fire(self, c: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        spikes, u = [], None
        for current in c.unflatten(0, (self.timesteps, -1)):
            u = current if u is None else self.decay * u + current
            s = sigmoid.apply(alpha * u - self.v_threshold, 4.0)
            u = u - self.v_threshold * s
            spikes.append(s)
        return torch.cat(spikes)

    def forward(self, s: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        o = {m: s[m] + self.c2[m](self.c1[m](s[m])) for m in MODALITIES}
        return {m: self.fire(o[m] * self.w[m], self.alpha[m]) for m in MODALITIES}


class Peer(nn.Module):
    """MISNet with the paper's switches: (x_a, x_v) [T * N, C, H, W] to three score tensors [N, classes]."""

    def __init__(self, config: dict[str, Any], channels: tuple[int, ...], cells: tuple[int, ...]) -> None:
        super().__init__()
        self.timesteps, size = config["timesteps"], config["size"]
        inputs = {"a": config["audio_channels"], "v": config["visual_channels"]}
        self.stems, self.cells = nn.ModuleList(), nn.ModuleList()
        for c, n in zip(channels, cells, strict=True):
            self.stems.append(nn.ModuleDict({m: ConvBNLIF(inputs[m], c, config) for m in MODALITIES}))
            self.cells.append(nn.ModuleList([Cell(c, size, config) for _ in range(n)]))
            inputs, size = dict.fromkeys(MODALITIES, c), size // 2
        self.head = nn.Linear(2 * c, config["classes"])
        self.heads = nn.ModuleDict({m: nn.Linear(c, config["classes"]) for m in MODALITIES})

    def forward(self, x_a: torch.Tensor, x_v: torch.Tensor) -> tuple[torch.Tensor, ...]:
        s = {"a": x_a, "v": x_v}
        for stem, cells in zip(self.stems, self.cells, strict=True):
            s = {m: stem[m](s[m]) for m in MODALITIES}
            for cell in cells:
                s = cell(s)
            s = {m: nnf.max_pool2d(s[m], 2) for m in MODALITIES}
        g = {m: s[m].mean((2, 3)) for m in MODALITIES}
        scores = (self.head(torch.cat([g["a"], g["v"]], 1)), self.heads["a"](g["a"]), self.heads["v"](g["v"]))
        return tuple(y.unflatten(0, (self.timesteps, -1)).mean(0) for y in scores)


def load_weights(peer: Peer, arrays: dict[str, np.ndarray]) -> None:
    """Copy what `state_dict_of` makes of a MISNet into the peer; RuntimeError for arrays missing or without a place."""
    peer.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items()})


class PeerRun:
    """Training steps (SGD with momentum) and inference on one batch; arrays: as `load_weights` takes them.

    half: with autocast to bfloat16, in which convolutions and what follows them then run.
    """

    def __init__(
        self,
        config: dict[str, Any],
        shape: tuple[tuple[int, ...], tuple[int, ...]],
        arrays: dict[str, np.ndarray],
        batch: tuple[np.ndarray, np.ndarray, np.ndarray],
        memory_format: str,
        compiled: bool,
        half: bool = False,
    ) -> None:
        layout = getattr(torch, memory_format)
        self.half = half
        self.net = Peer(config, *shape)
        load_weights(self.net, arrays)
        self.net = self.net.to(memory_format=layout)
        self.inputs = [
            torch.from_numpy(x.reshape(-1, *x.shape[2:]).transpose(0, 3, 1, 2).copy()).contiguous(memory_format=layout)
            for x in batch[:2]
        ]
        self.target = nnf.one_hot(torch.from_numpy(batch[2]), config["classes"]).float()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
        self.call = torch.compile(self.net) if compiled else self.net

    def train(self) -> float:
        self.net.train()
        functional.reset_net(self.net)
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            p, o_a, o_v = (y.float() for y in self.call(*self.inputs))
            loss = nnf.mse_loss(p, self.target)
            loss = loss + 0.5 * nnf.mse_loss(o_a, self.target) + 0.5 * nnf.mse_loss(o_v, self.target)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def infer(self) -> np.ndarray:
        self.net.eval()
        with torch.inference_mode(), self.autocast():
            functional.reset_net(self.net)
            return self.call(*self.inputs)[0].float().numpy()

    def autocast(self) -> torch.autocast:
        """Return what a forward pass runs under."""
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half)

    def spikes_apart(self) -> dict[str, float]:
        """Return how far the spikes of an inference in bfloat16 are from those in float32, all neurons together.

        spikes: share of neurons and timesteps that fire in float32; apart: share where the two differ; verdicts: share
        of samples with another largest score.
        """
        fired: dict[bool, list[torch.Tensor]] = {False: [], True: []}
        scores, before = {}, self.half
        for self.half, found in fired.items():
            hooks = [
                module.register_forward_hook(lambda _module, _inputs, s, found=found: found.extend(trains(s)))
                for module in self.net.modules()
                if isinstance(module, ConvBNLIF | Cell)
            ]
            eager, self.call = self.call, self.net  # compiled code runs no hooks
            scores[self.half] = self.infer()
            self.call = eager
            for hook in hooks:
                hook.remove()
        self.half = before
        total = sum(s.numel() for s in fired[False])
        apart = sum(int((s != h).sum()) for s, h in zip(fired[False], fired[True], strict=True))
        return {
            "spikes": sum(int(s.sum()) for s in fired[False]) / total,
            "apart": apart / total,
            "verdicts": float((scores[False].argmax(1) != scores[True].argmax(1)).mean()),
        }


def trains(s: torch.Tensor | dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Return what a module fired, as booleans; s: its output, of one modality or of both by name."""
    return [x > 0.5 for x in (s.values() if isinstance(s, dict) else [s])]
