"""The peer of `gpu_steps.py`: the same network in PyTorch with SpikingJelly on a card, launched and as CUDA graphs."""

import gc
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from misnet.models.misnet.config import MISNetConfig
from misnet.tools.gpu_checks import batches
from misnet.tools.gpu_steps import Run, median_ms, row

LAUNCHES_BEFORE = 3  # of what is recorded, on a stream of its own: cuDNN chooses, memory is there


class Peer:
    """The network of tools/benchmarks/peer.py, its optimizer and two batches in turn; ImportError without PyTorch."""

    def __init__(self, config: MISNetConfig, samples: int, tf32: bool, channels_last: bool, graph: bool) -> None:
        import torch
        import torch.nn.functional as nnf

        from misnet.tools.benchmarks import peer

        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net = peer.Peer(config.to_dict(), config.stage_channels, config.stage_cells)
        self.net = self.net.cuda().to(memory_format=layout)
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-3, fused=True, capturable=graph)
        data = []
        for *streams, labels in batches(config, samples, 2):
            turned = [torch.from_numpy(x.reshape(-1, *x.shape[2:])).permute(0, 3, 1, 2).cuda() for x in streams]
            target = nnf.one_hot(torch.from_numpy(labels), config.classes).float().cuda()
            data.append([*(x.contiguous(memory_format=layout) for x in turned), target])
        self.data = itertools.cycle(data)

    def step(self, *batch: Any) -> Any:
        """A training step; the loss, on the card."""
        import torch.nn.functional as nnf
        from spikingjelly.activation_based import functional

        *inputs, target = batch
        functional.reset_net(self.net)
        self.optimizer.zero_grad(set_to_none=True)
        p, a, v = self.net(*inputs)
        loss = nnf.mse_loss(p, target) + 0.5 * nnf.mse_loss(a, target) + 0.5 * nnf.mse_loss(v, target)
        loss.backward()
        self.optimizer.step()
        return loss

    def scores(self, *batch: Any) -> Any:
        """Inference; the scores, on the card."""
        from spikingjelly.activation_based import functional

        functional.reset_net(self.net)
        return self.net(*batch[:-1])[0]


def launched(peer: Peer) -> Run:
    """Return both as PyTorch runs them."""
    import torch

    def train() -> float:
        peer.net.train()
        return peer.step(*next(peer.data)).item()

    def infer() -> Any:
        peer.net.eval()
        with torch.inference_mode():
            return peer.scores(*next(peer.data)).cpu()

    return Run(train, infer)


def recorded(peer: Peer) -> Run:
    """Return both as CUDA graphs, each recorded at its first call."""
    import torch

    def infer() -> Callable[..., Any]:
        peer.net.eval()
        with torch.no_grad():
            return _record(peer.scores, next(peer.data))

    def train() -> Callable[..., Any]:
        peer.net.train()
        return _record(peer.step, next(peer.data))

    made: dict[str, Callable[..., Any]] = {}

    def again(make: Callable[[], Callable[..., Any]]) -> Any:
        if make.__name__ not in made:
            made.clear()  # one at a time, as their modes differ
            made[make.__name__] = make()
        return made[make.__name__](*next(peer.data)).cpu()

    return Run(lambda: again(train), lambda: again(infer))


def _record(work: Callable[..., Any], batch: list[Any]) -> Callable[..., Any]:
    """Return what copies a batch to where the recording reads it, and launches the recording of work(*batch)."""
    import torch

    inputs, side, graph = [x.clone() for x in batch], torch.cuda.Stream(), torch.cuda.CUDAGraph()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(LAUNCHES_BEFORE):
            work(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        result = work(*inputs).detach()

    def launch(*new: Any) -> Any:
        for x, y in zip(inputs, new, strict=True):
            x.copy_(y)
        graph.replay()
        return result

    return launch


def peer_lines(config: MISNetConfig, samples: int, repeats: int) -> Iterator[str]:
    """Time one case of PyTorch in its ways, a line each; the line says why where it cannot."""
    for tf32, channels_last, graph in itertools.product((False, True), (False, True), (False, True)):
        name = (
            f"PyTorch {'TF32' if tf32 else 'float32'} {'NHWC' if channels_last else 'NCHW'}{' graph' if graph else ''}"
        )
        try:
            import torch

            torch.cuda.reset_peak_memory_stats()
            run = (recorded if graph else launched)(Peer(config, samples, tf32, channels_last, graph))
            train, infer = (median_ms(f, repeats) for f in run)
            memory = f"memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
            yield row(name, config, samples, train, infer, memory)
            del run
            gc.collect()
            torch.cuda.empty_cache()
        except Exception as error:  # not installed, or whatever another library raises: it must not end the report
            said = str(error).strip().splitlines()[:1]
            yield f"{name}: not compared: {type(error).__name__}: {' '.join(said)}"
            if isinstance(error, ImportError):
                return
