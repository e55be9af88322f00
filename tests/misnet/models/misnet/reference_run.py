"""Numbers of an independent MISNet (PyTorch autograd, SpikingJelly's LIF), and how its names map to ours.

`data/reference_small.safetensors` holds a variant XS with channels 4, 6, 8 at 16x16, T=4, batch 2, tau 1.25, LIF
threshold 1.0, MLIF threshold 0.5: weights, inputs and, in float64, outputs, loss, every gradient, running statistics,
and the spikes of every neuron in training and evaluation (numpy.packbits). Tensors are [T*N, C, H, W], row t*N + n. Its
constants (BN affine, W, alpha) were perturbed, so that every gradient is tested and no membrane sits on a threshold.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from misnet import MISNet, MISNetConfig, Outputs
from snncore import Tensor, observe
from snncore.context import current_path
from snncore.tape import Function

SMALL = Path(__file__).parent / "data" / "reference_small.safetensors"


@dataclass
class Reference:
    """The arrays of a reference file by name, and its settings."""

    arrays: Mapping[str, np.ndarray]
    meta: dict[str, Any]

    @classmethod
    def small(cls) -> "Reference":
        """Load the file that the repository holds."""
        with safe_open(SMALL, "numpy") as file:
            return cls({name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["meta"]))  # noqa: SIM118

    @classmethod
    def npz(cls, path: Path) -> "Reference":
        """Load a file of numpy.savez with the same names."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(arrays, json.loads(str(arrays.pop("meta"))))

    @property
    def config(self) -> MISNetConfig:
        """The configuration that the numbers belong to."""
        m = self.meta
        return MISNetConfig(
            variant=m["variant"],
            channels=m["channels"],
            cells=m["cells"],
            classes=m["classes"],
            size=m["size"],
            timesteps=m["T"],
            tau=m["tau"],
            v_threshold=m["v_lif"],
            mlif_v_threshold=m["v_mlif"],
        )

    def model(self, dtype: type) -> MISNet:
        """Return our model with the weights of the reference."""
        model = MISNet(self.config).astype(dtype)
        weights = model.state_dict()
        model.load_state_dict(
            {name: self.ours(f"param/{theirs(name)}", w).astype(dtype) for name, w in weights.items()}
        )
        return model

    def ours(self, key: str, like: Any) -> np.ndarray:
        """Return a weight or gradient in our layout, with the shape of `like`."""
        x = self.arrays[key]
        if x.ndim == 4:  # conv [Co, Ci, kh, kw]
            x = x.transpose(2, 3, 1, 0)
        elif "head" in key and key.endswith("weight"):  # linear [Co, Ci]
            x = x.T
        return x.reshape(like.shape)

    def images(self, x: np.ndarray) -> np.ndarray:
        """Return [T*N, C, H, W] as [T, N, H, W, C]."""
        x = x.reshape(self.meta["T"], self.meta["batch"], *x.shape[1:])
        return np.ascontiguousarray(x.transpose(0, 1, 3, 4, 2))

    def inputs(self, dtype: type) -> tuple[Tensor, Tensor]:
        """Return the audio and visual input."""
        return tuple(Tensor(self.images(self.arrays[f"input/x{m}"]).astype(dtype)) for m in "av")

    @property
    def labels(self) -> np.ndarray:
        """The labels of the batch."""
        return self.arrays["input/y"].argmax(axis=1)

    def spikes(self, mode: str, layer: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return the spikes of one of our layers in `train` or `eval`."""
        t, n, h, w, c = shape
        bits = np.unpackbits(self.arrays[f"{mode}/spikes_packed/{theirs(layer)}"], count=t * n * h * w * c)
        return self.images(bits.reshape(t * n, c, h, w))


def theirs(name: str) -> str:
    """Return the name that the reference has for one of our parameters, buffers or neuron layers."""
    name = re.sub(r"^stages\.(\d)\.unimodal\.", r"stem.\1.", name)
    name = re.sub(r"^stages\.(\d)\.cells\.", r"cells.\1.", name)
    return re.sub(r"\.w_([av])$", r".W.\1", name).replace("head.linear", "head").replace(".neuron", ".lif")


def forward_with_spikes(model: MISNet, inputs: tuple[Tensor, Tensor]) -> tuple[Outputs, dict[str, np.ndarray]]:
    """Run the model and return its outputs and the spikes of every neuron layer."""
    spikes: dict[str, np.ndarray] = {}

    def keep(function: Function, _: tuple, outputs: tuple) -> None:
        if function.spiking:
            suffixes = ("",) if len(outputs) == 1 else (".a", ".v")
            spikes.update({current_path() + s: y for s, y in zip(suffixes, outputs, strict=True)})

    with observe(keep):
        outputs = model(*inputs)
    return outputs, spikes
