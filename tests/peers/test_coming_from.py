"""The equalities that docs/coming_from.md claims: spikes and gradients of SpikingJelly, snnTorch and this engine."""

import numpy as np
import pytest

from snncore import Tensor, nn, surrogate

torch = pytest.importorskip("torch")
pytest.importorskip("spikingjelly")
sj = pytest.importorskip("spikingjelly.activation_based.neuron")
theirs_surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate")
snntorch = pytest.importorskip("snntorch")

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS, SHAPE = 8, (8, 3, 5)  # [T, N, C]


def currents(most=np.inf):
    """Currents that bring membranes above twice the threshold now and then, unless they are cut at 0.9."""
    return np.minimum(np.random.default_rng(0).normal(0.6, 0.8, SHAPE), most)


def weights():
    """What spikes are multiplied with before they are summed: each gets a gradient of its own."""
    return np.random.default_rng(1).normal(0, 1, SHAPE)


def ours(neuron, scale=1.0, most=np.inf):
    """Spikes and the gradient with respect to the currents, [T, N, C] both."""
    c = Tensor(currents(most), requires_grad=True)
    s = neuron(c * scale)
    (s * Tensor(weights())).sum().backward()
    return np.asarray(s.data), c.grad


def of_spikingjelly(node):
    node.step_mode = "m"
    x = torch.tensor(currents(), requires_grad=True)
    s = node.double()(x)
    (s * torch.tensor(weights())).sum().backward()
    return s.detach().numpy(), x.grad.numpy()


def of_snntorch(leaky, most=np.inf):
    x = torch.tensor(currents(most), requires_grad=True)
    mem, out = torch.zeros(SHAPE[1:], dtype=torch.float64), []
    for t in range(STEPS):
        spk, mem = leaky(x[t], mem)
        out.append(spk)
    s = torch.stack(out)
    (s * torch.tensor(weights())).sum().backward()
    return s.detach().numpy(), x.grad.numpy()


def assert_same(a, b):
    (s, gx), (other, gy) = a, b
    assert 0.05 < s.mean() < 0.95
    np.testing.assert_array_equal(s, other)
    np.testing.assert_allclose(gx, gy, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("tau", [2.0, 4.0 / 3.0])
def test_lif_without_decay_of_the_input_is_lif_of_spikingjelly(tau, v_reset, detach_reset):
    theirs = sj.LIFNode(tau=tau, decay_input=False, v_reset=v_reset, detach_reset=detach_reset)
    mine = nn.LIF(tau=tau, v_reset=v_reset, detach_reset=detach_reset)
    assert_same(ours(mine), of_spikingjelly(theirs))


def test_decay_of_the_input_is_a_current_divided_by_tau():
    theirs = of_spikingjelly(sj.LIFNode(tau=1.25, decay_input=True, v_reset=None))
    assert_same(ours(nn.LIF(tau=1.25), scale=1 / 1.25), theirs)
    assert (ours(nn.LIF(tau=1.25))[0] != theirs[0]).any()


def test_the_other_neurons_of_spikingjelly():
    assert_same(ours(nn.IF()), of_spikingjelly(sj.IFNode(v_reset=None)))
    plif = sj.ParametricLIFNode(init_tau=3.0, decay_input=False, v_reset=None)
    mine = nn.PLIF(tau=3.0)
    mine_s, mine_g = ours(mine)
    s, g = of_spikingjelly(plif)
    np.testing.assert_array_equal(mine_s, s)  # their weight and ours are float32: gradients to that
    np.testing.assert_allclose(mine_g, g, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("setting", [0.5, 2.0, 4.0])
def test_surrogates_of_spikingjelly(setting):
    x = np.random.default_rng(2).normal(0, 1, 200)
    pairs = [
        (theirs_surrogate.Sigmoid(alpha=setting), surrogate.Sigmoid(slope=setting)),
        (theirs_surrogate.ATan(alpha=setting), surrogate.ATan(slope=setting)),
        (theirs_surrogate.Erf(alpha=setting), surrogate.Erf(slope=setting)),
        (theirs_surrogate.SoftSign(alpha=setting), surrogate.FastSigmoid(slope=setting)),
        (theirs_surrogate.PiecewiseQuadratic(alpha=setting), surrogate.Triangle(width=1 / setting)),
        (theirs_surrogate.Rect(alpha=setting), surrogate.Rectangle(width=1 / setting)),
    ]
    for theirs, mine in pairs:
        at = torch.tensor(x, requires_grad=True)
        theirs(at).sum().backward()
        np.testing.assert_allclose(mine.derivative(x), at.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=repr(mine))


@pytest.mark.parametrize("setting", [2.0, 25.0])
def test_surrogates_of_snntorch(setting):
    x = np.random.default_rng(2).normal(0, 1, 200)
    peaks = [
        (snntorch.surrogate.sigmoid(slope=setting), surrogate.Sigmoid(slope=setting), 1.0),
        (snntorch.surrogate.atan(alpha=setting), surrogate.ATan(slope=setting), 1.0),
        (snntorch.surrogate.fast_sigmoid(slope=setting), surrogate.FastSigmoid(slope=setting), 2 / setting),
    ]
    for theirs, mine, factor in peaks:
        at = torch.tensor(x, requires_grad=True)
        theirs(at).sum().backward()
        np.testing.assert_allclose(factor * mine.derivative(x), at.grad.numpy(), rtol=1e-9, atol=1e-12)


def leaky(mechanism, **more):
    return snntorch.Leaky(beta=0.75, reset_mechanism=mechanism, spike_grad=snntorch.surrogate.atan(2.0), **more)


def leaking(v_reset):
    return nn.LIF(decay=0.75, v_reset=v_reset, surrogate=surrogate.ATan(2.0))


def test_leaky_of_snntorch_that_resets_to_zero_is_lif_with_a_hard_reset():
    s, gx = ours(leaking(0.0))
    theirs, g = of_snntorch(leaky("zero", reset_delay=False))
    np.testing.assert_array_equal(s, theirs)
    np.testing.assert_allclose(gx, g, rtol=1e-5, atol=1e-6)  # the numbers of their neuron are float32
    late, g_late = of_snntorch(leaky("zero"))  # their default: the same spikes, its reset detached
    np.testing.assert_array_equal(s, late)
    detached = nn.LIF(decay=0.75, v_reset=0.0, surrogate=surrogate.ATan(2.0), detach_reset=True)
    np.testing.assert_allclose(ours(detached)[1], g_late, rtol=1e-5, atol=1e-6)


def test_leaky_of_snntorch_that_subtracts_is_lif_below_twice_the_threshold_without_its_delay():
    s, gx = ours(leaking(None), most=0.9)
    theirs, g = of_snntorch(leaky("subtract", reset_delay=False), most=0.9)
    np.testing.assert_array_equal(s, theirs)
    np.testing.assert_allclose(gx, g, rtol=1e-5, atol=1e-6)
    assert (of_snntorch(leaky("subtract"), most=0.9)[0] != s).any()  # their default leaks before it resets
    assert (of_snntorch(leaky("subtract", reset_delay=False))[0] != ours(leaking(None))[0]).any()  # it resets twice


def test_on_the_threshold_we_fire_as_spikingjelly_does_and_snntorch_does_not():
    one = np.ones((1, 1, 1))
    assert nn.IF()(Tensor(one)).data.item() == 1
    assert sj.IFNode(step_mode="m")(torch.tensor(one)).item() == 1
    assert snntorch.Leaky(beta=1.0)(torch.tensor(one[0]), torch.zeros(1, 1))[0].item() == 0
