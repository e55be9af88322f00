"""Gradients where a membrane lands exactly on its threshold: backward sees the spikes that forward fired.

There one rounding decides whether a neuron fires. Inputs on a lattice (spikes 0, 1, 2 with weight 1, or quantised
currents) land there often.
"""

import copy
import itertools
from dataclasses import replace

import hypothesis
import numpy as np
import pytest

from snncore import Tensor, nn, observe, relaxed
from snncore import functions as F
from snncore.firing import Firing
from snncore.kernels import cpu, reference
from snncore.kernels.choice import use_kernels
from snncore.surrogate import Rectangle, Sigmoid
from tests.reference import neurons
from tests.reference.scalar_tape import Scalar, grads, scalars, values
from tests.snncore.calls import differentiate, like
from tests.snncore.functions.cases import CASES
from tests.snncore.kernels.norms import lif_gradients

KERNELS = ("auto", "reference")
RESETS = (None, 0.0, 0.25)
SLOPE = 3.0
LATTICE = np.array(list(itertools.product((0.0, 0.5, 1.0), repeat=4)), np.float32).T  # [T, 81] in every order
SHAPE = (4, 1, 1, 1, 81)

kernels = pytest.mark.parametrize("choice", KERNELS)
settings = pytest.mark.parametrize(("v_reset", "detach_reset"), list(itertools.product(RESETS, (False, True))))


def wrong(found, right):
    """Whether a gradient is off by more than 1e-5 of its scale.

    The scale is its largest entry; for a sum of terms like those of the first gradient, which may cancel, what such a
    sum grows to.
    """
    largest = np.abs(right[0]).max()
    scales = [max(np.abs(r).max(), largest * (right[0].size / r.size) ** 0.5, 1e-3) for r in right]
    return any(np.abs(f - r).max() > 1e-5 * scale for f, r, scale in zip(found, right, scales, strict=True))


def check(outputs, gradients, twin_outputs, twins):
    """Compare all outputs exactly and all gradients to float32 with those of the scalar tape."""
    for found, twin in zip(outputs, twin_outputs, strict=True):
        np.testing.assert_allclose(found, values(twin), rtol=0, atol=1e-6)
    pairs = [(g, grads(twin)) for g, twin in zip(gradients, twins, strict=True) if twin is not None]
    assert not wrong(*zip(*pairs, strict=True))


def ties(c, v0, decay, v_reset):
    """Number of membranes of a LIF with threshold 1 that are exactly on it; all numbers are exact in float32."""
    found, v = 0, v0
    for current in c:
        h = decay * v + current
        found += int((h == 1).sum())
        v = np.where(h >= 1, h - 1 if v_reset is None else v_reset, h)
    return found


@kernels
@settings
@pytest.mark.parametrize("carried", [False, True])
def test_lif(rng, monkeypatch, choice, v_reset, detach_reset, carried):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    c, v0 = LATTICE.reshape(SHAPE), np.full(SHAPE[1:], 1.0 if carried else 0.0, np.float32)
    assert ties(c, v0, 0.5, v_reset) > 20
    gs, gv = (g.astype(np.float32) for g in like(rng, c, v0))
    twin_c, twin_v0 = scalars(c), scalars(v0)
    twin = neurons.lif(twin_c, neurons.sigmoid_slope(SLOPE), 0.5, 1.0, v_reset, detach_reset, twin_v0)
    neurons.backpropagate(twin, [gs, gv])
    lif = F.LIF(0.5, 1.0, v_reset, Sigmoid(SLOPE), detach_reset, return_state=True)
    check(*differentiate(lif, [c, v0], [gs, gv]), twin, [twin_c, twin_v0])


@kernels
@settings
def test_plif(rng, monkeypatch, choice, v_reset, detach_reset):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    c, v0, w = LATTICE.reshape(SHAPE), np.ones(SHAPE[1:], np.float32), np.zeros((), np.float32)  # sigmoid(0) = 1 / 2
    gs, gv = (g.astype(np.float32) for g in like(rng, c, v0))
    twin_c, twin_v0, twin_w = scalars(c), scalars(v0), Scalar(0.0)
    more = {"v_threshold": 1.0, "v_reset": v_reset, "detach_reset": detach_reset, "v0": twin_v0}
    twin = neurons.plif(twin_c, twin_w, neurons.sigmoid_slope(SLOPE), **more)
    neurons.backpropagate(twin, [gs, gv])
    plif = F.PLIF(0.5, 1.0, v_reset, Sigmoid(SLOPE), detach_reset, return_state=True)
    check(*differentiate(plif, [c, w, v0], [gs, gv]), twin, [twin_c, twin_w, twin_v0])


@kernels
@pytest.mark.parametrize("detach_reset", [False, True])
def test_clif(rng, monkeypatch, choice, detach_reset):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    c, v0, m0 = LATTICE.reshape(SHAPE), np.ones(SHAPE[1:], np.float32), np.full(SHAPE[1:], 0.5, np.float32)
    gys = [g.astype(np.float32) for g in like(rng, c, v0, m0)]
    twins = [scalars(c), scalars(v0), scalars(m0)]
    twin = neurons.clif(twins[0], neurons.sigmoid_slope(SLOPE), 2.0, 1.0, detach_reset, *twins[1:])
    neurons.backpropagate(twin, gys)
    clif = F.CLIF(2.0, 1.0, Sigmoid(SLOPE), detach_reset, return_state=True)
    check(*differentiate(clif, [c, v0, m0], gys), twin, twins)


@kernels
@settings
@pytest.mark.parametrize("carried", [False, True])
def test_mlif(rng, monkeypatch, choice, v_reset, detach_reset, carried):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    o = (2 * LATTICE).reshape(SHAPE)  # 0, 1, 2; with alpha 0.5 the thresholds are those of LIF
    u = np.full(SHAPE[1:], 2.0 if carried else 0.0, np.float32)
    alpha, w = np.array(0.5, np.float32), np.ones((1, 1, 1), np.float32)
    gys = [g.astype(np.float32) for g in like(rng, o, o, u, u)]
    twins = [scalars(o), scalars(o), Scalar(0.5), Scalar(0.5), scalars(w), scalars(w), scalars(u), scalars(u)]
    pair = [dict(zip("av", twins[i : i + 2], strict=True)) for i in (0, 2, 4, 6)]
    slope = neurons.sigmoid_slope(SLOPE)
    s, after = neurons.mlif(*pair[:3], slope, 0.5, 1.0, v_reset, detach_reset, pair[3])
    outputs = [s["a"], s["v"], after["a"], after["v"]]
    neurons.backpropagate(outputs, gys)
    inputs = [o, o, alpha, alpha, w, w, *((u, u) if carried else (None, None))]
    mlif = F.MLIF(0.5, 1.0, v_reset, Sigmoid(SLOPE), detach_reset, return_state=True)
    check(*differentiate(mlif, inputs, gys), outputs, twins if carried else [*twins[:6], None, None])


@kernels
@settings
def test_batch_norm_lif(rng, monkeypatch, choice, v_reset, detach_reset):
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    x, one, zero = (LATTICE * 4).reshape(4, 1, 9, 9, 1), np.ones(1, np.float32), np.zeros(1, np.float32)
    gamma, beta = np.full(1, 0.25, np.float32), zero
    gs = rng.standard_normal(x.shape).astype(np.float32)
    twin_x, twin_gamma, twin_beta = scalars(x), scalars(gamma), scalars(beta)
    currents = twin_x * twin_gamma[0] + twin_beta[0]
    s, _ = neurons.lif(currents, neurons.sigmoid_slope(SLOPE), 0.5, 1.0, v_reset, detach_reset)
    neurons.backpropagate([s], [gs])
    function = F.BatchNormLIF(zero, one, False, 0.1, 0.0, 0.5, 1.0, v_reset, Sigmoid(SLOPE), detach_reset)
    check(*differentiate(function, [x, gamma, beta], [gs]), [s], [twin_x, twin_gamma, twin_beta])


def test_fire():
    (s,), (gx,) = differentiate(F.Fire(Sigmoid(4.0)), [np.zeros(1, np.float32)], [np.ones(1, np.float32)])
    assert (s.item(), gx.item()) == (1, 1.0)  # slope / 4


@kernels
def test_an_alpha_times_a_membrane_that_rounds_to_the_threshold(monkeypatch, choice):
    """0.4 * 3 rounds to the 1.2 of float32, but is below it before rounding. Gradients by PyTorch 2.14 in float32."""
    monkeypatch.setenv("SNNCORE_KERNELS", choice)
    mlif = nn.MLIF(tau=2.0, v_threshold=1.2, alpha=0.4)
    o = Tensor(np.array([2, 2, 1], np.float32).reshape(3, 1, 1, 1, 1), requires_grad=True)
    s, _ = mlif(o, o.data)
    s.backward(np.array([0, 0, 1], np.float32).reshape(s.shape))
    assert s.data.ravel().tolist() == [0, 1, 0]
    np.testing.assert_allclose(o.grad.ravel(), [0.0191, 0.0521, 0.2004], rtol=0, atol=5e-5)
    np.testing.assert_allclose(mlif.alpha_a.grad, 0.5562, rtol=0, atol=5e-5)


ALPHAS = [n / 10 for n in range(1, 9)]
THRESHOLDS = [0.3, 0.5, 0.6, 0.75, 0.9, 1.0, 1.2, 1.5, 1.6, 2.0]
DECAYS = [0.0, 0.25, 0.5, 0.9]
SCAN = list(itertools.product(ALPHAS, THRESHOLDS, DECAYS, (None, 0.0)))


def mlif_case(alpha, v_threshold, decay, v_reset, rng):
    """(x, the kernels' arguments between s and the settings, those, gs): o 0, 1, 2 and weight 1."""
    o = (2 * LATTICE).reshape(SHAPE).astype(np.uint8)
    head = (np.ones((1, 1, 1), np.float32), np.array(alpha, np.float32), None)
    return o, head, Firing(decay, v_threshold, v_reset), rng.standard_normal(SHAPE).astype(np.float32)


def norm_case(gamma, v_threshold, decay, v_reset, rng):
    """The same for BatchNormLIF, x 0, 1, 3 scaled by gamma and shifted by 0.2."""
    x = np.array([0, 1, 3], np.float32)[(2 * LATTICE).astype(int)].reshape(4, 81, 1)
    head = (np.zeros(1), np.ones(1), np.full(1, gamma, np.float32), np.full(1, 0.2, np.float32))
    return x, head, Firing(decay, v_threshold, v_reset), rng.standard_normal(x.shape).astype(np.float32)


def mlif_gradients(module, o, s, head, firing, gs):
    return module.mlif_backward(gs, None, o, s, *head, firing)[:3]


def norm_gradients(module, x, s, head, firing, gs):
    return lif_gradients(module, gs, x, s, *head, firing, False)


KINDS = {
    "mlif": (mlif_case, lambda module, *args: module.mlif_forward(*args)[0], mlif_gradients),
    "batch_norm_lif": (norm_case, lambda module, *args: module.batch_norm_lif_forward(*args), norm_gradients),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("surrogate", [Sigmoid(), Rectangle()])
def test_no_setting_gives_a_compiled_gradient_of_other_spikes(kind, surrogate):
    """Nor, on the edge of a rectangle, one of the wrong side of it. All 640 settings in the profile `nightly`."""
    case, fired, gradients = KINDS[kind]
    assert len(SCAN) == 640
    for settings in SCAN[:: 1 if hypothesis.settings().max_examples > 1000 else 5]:
        x, head, firing, gs = case(*settings, np.random.default_rng(0))
        firing = replace(firing, surrogate=surrogate)
        s, right = (fired(module, x, *head, firing) for module in (cpu, reference))
        np.testing.assert_array_equal(s, right)
        found, expected = (gradients(module, x, s, head, firing, gs) for module in (cpu, reference))
        assert not wrong(found, expected), settings


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("v_reset", [None, 0.0])
def test_on_the_edge_of_a_rectangle_a_compiled_gradient_is_the_references(kind, v_reset):
    """Where membranes round onto the edge at 1/2, fused multiply-add would put them on the other side."""
    case, fired, gradients = KINDS[kind]
    factor, v_threshold = (0.6, 1.0) if kind == "mlif" else (0.4, 0.9)
    x, head, firing, gs = case(factor, v_threshold, 0.5, v_reset, np.random.default_rng(0))
    firing = replace(firing, surrogate=Rectangle(1.0))
    s = fired(cpu, x, *head, firing)
    right = gradients(reference, x, s, head, firing, gs)
    assert not wrong(gradients(cpu, x, s, head, firing, gs), right)
    others = (replace(firing, surrogate=Rectangle(width)) for width in (1 - 5e-7, 1 + 5e-7))
    assert any(wrong(gradients(reference, x, s, head, other, gs), right) for other in others)  # some lie there


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("v_reset", [None, 0.0])
def test_the_scan_would_find_a_backward_of_other_spikes(kind, v_reset):
    case, fired, gradients = KINDS[kind]
    setting = (0.4, 1.2) if kind == "mlif" else (0.5, 0.7)
    x, head, firing, gs = case(*setting, 0.5, v_reset, np.random.default_rng(0))
    s = fired(reference, x, *head, firing)
    higher = replace(firing, v_threshold=np.nextafter(np.float32(firing.v_threshold), np.float32(2)))
    others = fired(reference, x, *head, higher)
    assert 0 < (s != others).sum() < s.size / 2  # those on the threshold, or nearly
    right = gradients(reference, x, s, head, firing, gs)
    assert wrong(gradients(reference, x, others, head, firing, gs), right)
    assert not wrong(gradients(cpu, x, None, head, firing, gs), right)  # which finds them by itself
    assert wrong(gradients(cpu, x, None, head, higher, gs), right)


def relaxed_gradients(function, inputs, inside):
    """Gradients of the sum of squares of all outputs of a relaxed forward; backward inside its block or after it."""
    leaves = [Tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    with relaxed():
        result = function(*leaves)
        terms = [(y * y).sum() for y in (result if isinstance(result, tuple) else (result,))]
        loss = sum(terms[1:], terms[0])
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    return [x.grad for x in leaves]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.function.spiking])
def test_backward_after_the_relaxed_block_is_that_inside_it(name):
    inputs = CASES[name].inputs(np.float32)
    right, found = (relaxed_gradients(copy.deepcopy(CASES[name].function), inputs, inside) for inside in (True, False))
    for g, expected in zip(found, right, strict=True):
        np.testing.assert_array_equal(g, expected)


def test_backward_of_spikes_inside_a_relaxed_block_is_that_of_the_spikes(rng):
    c = rng.normal(0.8, 0.7, (5, 40)).astype(np.float32)
    gradients = []
    for mode in (False, True):
        x = Tensor(c, requires_grad=True)
        s = F.LIF()(x)
        assert 0 < s.data.sum() < s.data.size
        if mode:
            with relaxed():
                s.backward(np.ones(c.shape, np.float32))
        else:
            s.backward(np.ones(c.shape, np.float32))
        gradients.append(x.grad)
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("kernels", KERNELS)
def test_every_spiking_function_keeps_its_spikes_for_backward_unless_its_kernels_find_them(kernels):
    for case in (case for case in CASES.values() if case.function.spiking and not isinstance(case.function, F.Fire)):
        calls = []
        with use_kernels(kernels), observe(lambda call, _, outputs, calls=calls: calls.append((call, outputs))):
            copy.deepcopy(case.function)(*(Tensor(x, requires_grad=True) for x in case.inputs(np.float32)))
        ((call, outputs),) = calls
        trains = outputs[: 2 if isinstance(call, F.MLIF) else 1]
        found_again = kernels == "auto" and isinstance(call, F.MLIF | F.BatchNormLIF)
        for s in trains:
            assert any(kept is s for kept in call.saved) is not found_again  # the same arrays, not copies
