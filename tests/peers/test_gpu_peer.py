"""What the timings on a card compare with: the peer's step does train, and where there is no card a line says so."""

import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")

from misnet.models.misnet.config import MISNetConfig  # noqa: E402
from misnet.tools import gpu_peer  # noqa: E402

CONFIG = MISNetConfig(variant="XS", size=8)


def test_a_step_of_the_peer_trains(monkeypatch):
    own = torch.optim.Adam
    monkeypatch.setattr(torch.Tensor, "cuda", lambda x: x)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda net: net)
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, lr, **_: own(parameters, lr))
    peer = gpu_peer.Peer(CONFIG, 4, tf32=False, channels_last=True, graph=False)
    run = gpu_peer.launched(peer)
    losses = [run.train() for _ in range(12)]  # of two batches in turn
    assert sum(losses[-2:]) < 0.85 * sum(losses[:2])
    assert run.infer().shape == (4, CONFIG.classes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_every_way_says_why():
    lines = list(gpu_peer.peer_lines(CONFIG, 4, repeats=1))
    assert len(lines) == 8
    assert all(": not compared: " in line for line in lines)
    assert lines[3].startswith("PyTorch float32 NHWC graph: not compared:")
