"""Training steps of the spiking models beside the same networks in PyTorch with SpikingJelly, in turns, on one thread.

`python -m misnet.tools.benchmarks.models` from a checkout, with `pip install -e ".[peers]"`: a Markdown table of the
models whose twin in torch is in tests/peers, where spikes, scores and gradients of both are held equal. Here both have
the same weights, batch, loss and optimizer (SGD with momentum), and one trains while the other waits: ours, theirs,
ours, theirs. Times are seconds of the processor, which on one thread are those of the clock where nothing else
runs: medians of whole steps, with the least and the largest.

Fresh networks hardly fire, which is kind to kernels that skip zeros: --gain multiplies the scale of every batch
normalisation, and the column `spikes` says what share of the neurons fires then.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from misnet.models.options import model_config
from misnet.models.registry import build, config_class
from misnet.training.step import Totals, train_step
from snncore import Tensor, nn, no_grad, observe
from snncore.optim import SGD

PAIRS = ("misnet", "smmt", "emsnn", "s-cmrl")  # timed on audio and vision, the others on vision alone
MODELS = ("sew-resnet18", "spiking-resnet18", "spikformer", "spike-driven-transformer", "spikingresformer-ti", *PAIRS)
LR, MOMENTUM = 1e-3, 0.9
THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Ours:
    """A network with its optimizer and its batch."""

    def __init__(self, model: Any, streams: Sequence[np.ndarray], labels: np.ndarray) -> None:
        self.model, self.batch, self.count = model, (*streams, labels), 0
        self.optimizer = SGD(model.named_parameters(), LR, momentum=MOMENTUM)

    def step(self) -> None:
        self.count += 1
        train_step(self.model, self.optimizer, LR, self.batch, Totals(), self.count)


class Theirs:
    """The twin in torch; call: from [T, N, C, H, W] to scores [N, classes] or [T, N, classes]."""

    def __init__(self, torch: Any, call: Callable, parameters: list[Any], x: np.ndarray, labels: np.ndarray) -> None:
        self.torch, self.call = torch, call
        self.x = torch.from_numpy(np.moveaxis(x, -1, 2).copy())
        self.labels = torch.from_numpy(labels)
        self.optimizer = torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM)

    def loss(self) -> Any:
        return self.torch.nn.functional.cross_entropy(self.scores(), self.labels)

    def scores(self) -> Any:
        functional = importlib.import_module("spikingjelly.activation_based.functional")
        if isinstance(self.call, self.torch.nn.Module):
            functional.reset_net(self.call)
        y = self.call(self.x)
        return y.mean(0) if y.ndim == 3 else y

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        self.optimizer.step()


class TheirsOfBoth(Theirs):
    """The twin of a network of audio and vision: functions of weights by name, images channels last in memory."""

    def __init__(self, torch: Any, model: Any, streams: Sequence[np.ndarray], labels: np.ndarray) -> None:
        rivals, misnet = peers("multimodal_twins"), peers("misnet_twin")
        names = {"SMMT": "smmt", "EMSNN": "emsnn", "SCMRL": "s_cmrl", "MISNet": "misnet"}
        of, name = (misnet if type(model).__name__ == "MISNet" else rivals), names[type(model).__name__]
        self.torch, self.config, self.forward, self.of = torch, model.config, getattr(of, name), of
        self.net = rivals.make(model, **(misnet.PAPER if of is misnet else rivals.RIVALS))
        self.streams, self.labels = [torch.from_numpy(x.copy()) for x in streams], torch.from_numpy(labels)
        self.optimizer = torch.optim.SGD(list(self.net.p.values()), lr=LR, momentum=MOMENTUM)

    def scores(self) -> Any:
        return self.forward(self.net, self.config, *self.streams)["av"]

    def loss(self) -> Any:
        found = self.forward(self.net, self.config, *self.streams)
        if hasattr(self.of, "loss"):
            return self.of.loss(found, self.labels, self.config)
        if "features" in found:
            return self.of.alignment(found, self.labels, self.config)
        return self.torch.nn.functional.cross_entropy(found["av"], self.labels)


def peers(name: str) -> Any:
    """Return a module of tests/peers; raises SystemExit outside a checkout."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    try:
        return importlib.import_module(f"tests.peers.{name}")
    except ImportError as error:
        raise SystemExit(f"error: the twins are in tests/peers of a checkout: {error}") from None


def spikingjelly_resnet(torch: Any, name: str, classes: int) -> Any:
    """Return SpikingJelly's network with a first layer for small images: 3x3, stride 1, no pooling."""
    before = {k: m for k, m in sys.modules.items() if k.split(".")[0] == "torchvision"}
    stub = types.ModuleType("torchvision._internally_replaced_utils")
    stub.load_state_dict_from_url = None  # type: ignore[attr-defined]
    package = types.ModuleType("torchvision")
    package.__path__ = []
    sys.modules |= {"torchvision": package, stub.__name__: stub}  # its models ask for no more of it than this
    base = "spikingjelly.activation_based"
    neuron, surrogate, layer, functional = (
        importlib.import_module(f"{base}.{m}") for m in ("neuron", "surrogate", "layer", "functional")
    )
    settings = {
        "spiking_neuron": neuron.IFNode,
        "surrogate_function": surrogate.ATan(alpha=2.0),
        "detach_reset": True,
        "v_threshold": 1.0,
        "v_reset": 0.0,
    }
    if name == "sew-resnet18":
        module = importlib.import_module(f"{base}.model.sew_resnet")
        net = module.sew_resnet18(cnf="ADD", num_classes=classes, **settings)
    else:
        module = importlib.import_module(f"{base}.model.spiking_resnet")
        net = module.spiking_resnet18(num_classes=classes, **settings)
    del sys.modules["torchvision"], sys.modules[stub.__name__]
    sys.modules |= before
    net.conv1 = layer.Conv2d(3, net.conv1.out_channels, 3, padding=1, bias=False)
    net.maxpool = torch.nn.Identity()
    functional.set_step_mode(net, "m")
    return net


def copy_weights(torch: Any, ours: Any, theirs: Any) -> None:
    """Give a twin our weights: both hold their layers in one order."""
    layers = [m for m in ours.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm | nn.Linear)]
    t = torch.nn
    kinds = (t.Conv1d, t.Conv2d, t.BatchNorm1d, t.BatchNorm2d, t.Linear)
    with torch.no_grad():
        for a, b in zip(layers, (m for m in theirs.modules() if isinstance(m, kinds)), strict=True):
            axes = {nn.Conv2d: (3, 2, 0, 1), nn.Linear: (1, 0)}.get(type(a), (0,))
            x = np.ascontiguousarray(a.weight.data.transpose(axes)).reshape(tuple(b.weight.shape))
            b.weight.copy_(torch.from_numpy(x.copy()))
            if a.bias is not None:
                b.bias.copy_(torch.from_numpy(a.bias.data.copy()))


def make_twin(torch: Any, name: str, model: Any, streams: Sequence[np.ndarray], labels: np.ndarray) -> Theirs:
    """Return the same network in torch; raises SystemExit outside a checkout."""
    if len(streams) == 2:
        return TheirsOfBoth(torch, model, streams, labels)
    (x,), config = streams, model.config
    if name in ("sew-resnet18", "spiking-resnet18"):
        net = spikingjelly_resnet(torch, name, config.classes)
    else:
        transformers, resformer = peers("transformer_twins"), peers("resformer_twin")
        if name == "spikingresformer-ti":
            twin = resformer.Twin(model)
            return Theirs(torch, twin, [*(p for layer in twin.weights for p in layer), twin.head], x, labels)
        kind = transformers.Spikformer if name == "spikformer" else transformers.SpikeDrivenTransformer
        sizes = (config.width, config.depth, config.attention_heads, config.mlp_ratio, config.classes)
        net = kind(config.visual_channels, *sizes)
    copy_weights(torch, model, net)
    return Theirs(torch, net.train(), list(net.parameters()), x, labels)


def spikes_of(model: Any, streams: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the share of neurons that fire in a training pass, and the scores."""
    fired, size = [], []

    def look(function: Any, inputs: tuple, outputs: tuple) -> None:
        if function.spiking:
            fired.append(int((outputs[0] > 0).sum()))
            size.append(outputs[0].size)

    with no_grad(), observe(look):
        scores = model.train()(*map(Tensor, streams))
    return sum(fired) / sum(size), next(iter(scores.values())).data


def measure(torch: Any, name: str, given: argparse.Namespace, **switches: Any) -> dict[str, Any]:
    """Time one model and its twin in turns; switches: of the model."""
    switches |= {"size": given.size, "timesteps": given.timesteps}
    switches |= {"streams": "both" if name in PAIRS else "visual"}
    model = build(name, model_config(config_class(name), switches))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm):
            module.weight.data *= given.gain
    rng = np.random.default_rng(0)
    shapes = model.config.shapes().values()
    streams = [rng.standard_normal((s[0], given.batch, *s[1:])).astype(np.float32) for s in shapes]
    labels = rng.integers(0, 10, given.batch)
    theirs = make_twin(torch, name, model, streams, labels)
    rate, scores = spikes_of(model, streams)
    with torch.no_grad():
        apart = float(abs(theirs.scores().numpy() - scores).max())
    ours = Ours(model, streams, labels)
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for k in range(given.steps + 1):
        for who, run in (("ours", ours), ("theirs", theirs)):
            began = time.process_time()
            run.step()  # type: ignore[attr-defined]
            if k:  # the first compiles and fills caches
                times[who].append(time.process_time() - began)
    return {"model": name, "spikes": rate, "scores_apart": apart, **times}


def line(found: dict[str, Any]) -> str:
    """Return a row of the table."""
    a, b = found["ours"], found["theirs"]
    times = (f"{statistics.median(x):.2f} ({min(x):.2f} to {max(x):.2f})" for x in (a, b))
    ratio = statistics.median(b) / statistics.median(a)
    return f"| `{found['model']}` | {found['spikes']:.3f} | {' | '.join(times)} | {ratio:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MODELS, help="one model")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each (default: 5)")
    parser.add_argument("--batch-size", type=int, default=8, dest="batch")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--gain", type=float, default=1.0, help="factor on the scales of batch normalisation")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time that was measured")
    given = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in THREADS):  # libraries read these when they are imported: begin again
        os.environ.update(dict.fromkeys(THREADS, "1"))
        os.execv(sys.executable, [sys.executable, "-m", "misnet.tools.benchmarks.models", *sys.argv[1:]])
    try:
        torch = importlib.import_module("torch")
        importlib.import_module("spikingjelly")
    except ImportError as error:
        raise SystemExit(f'error: {error}; pip install -e ".[peers]" brings PyTorch and SpikingJelly') from None
    torch.set_num_threads(1)
    print("| model | spikes | ours, s | PyTorch + SpikingJelly, s | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: |")
    found = []
    warnings.simplefilter("ignore")  # of torch, on what it has not got
    for name in (given.only,) if given.only else MODELS:
        found.append(measure(torch, name, given))
        print(line(found[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
