"""SpikingJelly's implementation of the model of Lemaire et al. gives what our rule of that name gives."""

import numpy as np
import pytest

from snncore import count_ops
from snncore import functions as F
from snncore.energy import apply_rule

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
energy = pytest.importorskip(
    "spikingjelly.activation_based.op_counter.analytical_energy", reason="the extra peers is not installed"
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0)])
def test_energy_of_convolution_neuron_and_linear(stride, padding):
    from spikingjelly.activation_based import functional, layer, neuron

    x = (np.random.default_rng(0).random((3, 1, 7, 6, 2)) < 0.3).astype(np.uint8)  # [T, N=1, H, W, C]
    conv = layer.Conv2d(2, 4, 3, stride, padding)
    lif = neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=0.3, v_reset=None)
    net = torch.nn.Sequential(conv, lif)
    functional.set_step_mode(net, "m")
    found = energy.estimate_lemaire_energy(net, torch.from_numpy(x.transpose(0, 1, 4, 2, 3).astype(np.float32)))
    w, b = conv.weight.detach().numpy().transpose(2, 3, 1, 0), conv.bias.detach().numpy()
    with count_ops() as ops:
        s = F.LIF(0.5, 0.3)(F.Conv2d(stride, padding)(x, np.ascontiguousarray(w), b))
    assert s.data.sum() > 0
    ours = apply_rule("lemaire", ops)
    assert (ours.mac, ours.ac) == (found.counts["mac"], found.counts["ac"])
    parts = ours.by_part()
    theirs = found.breakdown_pj
    assert parts["operations"] == pytest.approx(theirs["ops_pj"] * 1e-9, rel=1e-12)
    assert parts["addressing"] == pytest.approx(theirs["addressing_pj"] * 1e-9, rel=1e-12)
    assert parts["memory: in and out"] == pytest.approx(theirs["inout_pj"] * 1e-9, rel=1e-12)
    assert parts["memory: parameters"] == pytest.approx(theirs["params_pj"] * 1e-9, rel=1e-12)
    assert parts["memory: potentials"] == pytest.approx(theirs["potential_pj"] * 1e-9, rel=1e-12)
    assert ours.energy_mj == pytest.approx(found.total_pj * 1e-9, rel=1e-12)
