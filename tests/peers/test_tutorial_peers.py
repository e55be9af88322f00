"""The three programs of the tutorial's chapter 5 with equal weights: one network, and where snnTorch differs."""

from pathlib import Path

import numpy as np
import pytest

from snncore import Tensor, nn
from tests.docs.test_tutorial import compare

torch = pytest.importorskip("torch")
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"


def run(system):
    """The names that a system's program has defined, without training."""
    space = {"__name__": "program"}
    exec(compile(compare.program(system, loop=False), system, "exec"), space)
    return space


def ours(gain=1.0):
    """Our program with the weights of chapter 6, moved off the ties that rounded weights have; convolutions x gain."""
    space = run("snncore")
    rng = np.random.default_rng(0)
    weights = {
        name: w / 128 + rng.uniform(-1e-3, 1e-3, w.shape) for name, w in np.load(TUTORIAL / "digits.npz").items()
    }
    space["net"].load_state_dict(
        {name: (w * (gain if "conv" in name else 1)).astype(np.float32) for name, w in weights.items()}
    )
    return space


def as_theirs(w):
    """A parameter in the layout of PyTorch: [kh, kw, Ci, Co] to [Co, Ci, kh, kw], and Ci joined as C, H, W."""
    if w.ndim == 4:
        return w.transpose(3, 2, 0, 1)
    return w.reshape(4, 4, 16, 10).transpose(3, 2, 0, 1).reshape(10, 256) if w.ndim == 2 else w


def compared(system, space, samples=40):
    """Largest difference of the scores, and of each gradient as a share of its largest entry."""
    peer = run(system)
    for name, p in peer["net"].named_parameters():
        p.data = torch.from_numpy(np.ascontiguousarray(as_theirs(space["net"].state_dict()[name])))
    scores, theirs = space["net"](space["x"][:samples]), peer["net"](peer["x"][:samples])
    space["functions"].CrossEntropy()(scores, space["labels"][:samples]).backward()
    peer["cross_entropy"](theirs, peer["y"][:samples]).backward()
    grads = {name: as_theirs(p.grad) for name, p in space["net"].named_parameters()}
    errors = [
        abs(p.grad.numpy() - grads[name]).max() / abs(grads[name]).max() for name, p in peer["net"].named_parameters()
    ]
    return abs(scores.data - theirs.detach().numpy()).max(), max(errors)


def test_with_equal_weights_spikingjelly_gives_our_scores_and_gradients():
    pytest.importorskip("spikingjelly")
    scores, gradients = compared("spikingjelly", ours())
    assert scores < 2e-5  # scores are up to 12
    assert gradients < 1e-5


def test_with_weights_that_keep_membranes_low_snntorch_does_too():
    """Its neuron differs where a membrane is above the threshold even after its reset: it then may not fire next."""
    pytest.importorskip("snntorch")
    scores, gradients = compared("snntorch", ours(gain=0.5))
    assert scores < 2e-5
    assert gradients < 1e-5
    assert compared("snntorch", ours())[0] > 0.1


def test_the_neuron_of_snntorch_is_ours_until_a_reset_leaves_more_than_the_threshold():
    snntorch = pytest.importorskip("snntorch")

    def spikes(currents):
        leaky, v, train = snntorch.Leaky(beta=0.5, reset_delay=False), torch.zeros(()), []
        for c in currents:
            s, v = leaky(torch.tensor(c), v)
            train.append(int(s))
        return train, nn.LIF(tau=2.0)(Tensor(np.array(currents)[:, None])).data.ravel().tolist()

    low = np.random.default_rng(0).uniform(-0.5, 1.0, 200).tolist()
    theirs, own = spikes(low)
    assert theirs == own
    assert sum(own) > 20
    assert spikes([2.5, 0.5, 0.0]) == ([1, 0, 0], [1, 1, 0])  # 1.5 is left, then 0.75 + 0.5 is above 1
