"""A gradient check that fails says which slip looks like this; each is made here, and what is right is not accused."""

import numpy as np
import pytest

from snncore import Function, GradientError, Tensor, check_gradients, nn
from snncore.functions import LIF, Linear
from snncore.surrogate import Sigmoid, fire

HINTS = {
    "sign": "; backward gives -1 times the finite differences everywhere",
    "half": "; backward gives 0.5 times the finite differences everywhere",
    "none": "; backward gives 0 everywhere: is the gradient of this input missing?",
    "no gy": "; given twice the gradient, backward does not give twice as much: is gy missing in it, or rounded?",
    "bytes": "; given twice the gradient, backward does not give twice as much: is gy missing in it, or rounded?",
    "float32": "; the outputs are float32, though the inputs are float64: forward must keep the type of its inputs",
    "rounds": "; over a smaller step the finite differences are others: forward rounds (does it compute in float32?), "
    "or has a step or a kink here",
}


class Product(Function):
    """y = x w, with one slip."""

    def __init__(self, slip=""):
        self.slip = slip

    def forward(self, x, w):
        self.save(x, w)
        if self.slip in ("float32", "rounds"):
            y = x.astype(np.float32) @ w.astype(np.float32)
            return y if self.slip == "float32" else y.astype(np.float64)
        return x @ w

    def backward(self, gy):
        x, w = self.saved
        gw = x.T @ gy
        slips = {
            "sign": -gw,
            "half": gw / 2,
            "none": None,
            "no gy": x.T @ np.ones_like(gy),
            "bytes": gw.astype(np.int8),
        }
        return gy @ w.T, slips.get(self.slip, gw)


@pytest.mark.parametrize("slip", HINTS)
def test_the_slip_of_a_product_is_said(rng, slip):
    inputs = [rng.normal(0, 1, (3, 4)), rng.normal(0, 1, (4, 2))]
    assert check_gradients(Product(), inputs) < 1e-9
    with pytest.raises(GradientError) as caught:
        check_gradients(Product(slip), inputs)
    assert str(caught.value).endswith(HINTS[slip])
    assert str(caught.value).startswith("input 0 (x): " if slip in ("float32", "rounds") else "input 1 (w): ")


@pytest.mark.parametrize("slip", ["sign", "half", "none", "no gy", "bytes"])
def test_the_slip_is_said_along_random_directions_too(rng, slip):
    with pytest.raises(GradientError) as caught:
        check_gradients(Product(slip), [rng.normal(0, 1, (3, 4)), rng.normal(0, 1, (4, 2))], full=False)
    assert str(caught.value).endswith(HINTS[slip])


def test_a_slip_of_no_known_kind_gets_no_hint():
    class Swapped(Product):
        def backward(self, gy):
            return super().backward(gy)[::-1]

    with pytest.raises(GradientError, match=r"compared values do\)$"):
        check_gradients(Swapped(), list(np.random.default_rng(0).normal(0, 1, (2, 3, 3))))


class OwnLIF(Function):
    """A LIF with a learned threshold for each neuron, and one slip."""

    def __init__(self, slip="", spiking=True):
        self.slip, self.spiking = slip, spiking

    def forward(self, c, v_threshold):
        v, h, s = np.zeros_like(c[0]), [], []
        for t in range(len(c)):
            h.append(0.5 * v + c[t])
            x = h[t] - v_threshold
            s.append((x >= 0).view(np.uint8) if self.slip == "step" else fire(x, Sigmoid()))
            s[t] = (x >= 0).astype(c.dtype) if self.slip == "float step" else s[t]
            v = h[t] - v_threshold * s[t]
        self.save(np.stack(h), np.stack(s), v_threshold)
        return np.stack(s)

    def backward(self, gs):
        h, s, v_threshold = self.saved
        gc, gv, gthreshold = np.empty_like(h), np.zeros_like(h[0]), np.zeros_like(v_threshold)
        for t in reversed(range(len(h))):
            by_spike = gs[t] - (0 if self.slip == "no reset" else v_threshold) * gv
            by_membrane = by_spike * Sigmoid().derivative(h[t] - (0 if self.slip == "at h" else v_threshold))
            gc[t] = by_membrane + (0 if self.slip == "no carry" else gv)
            gthreshold -= by_membrane + gv * s[t]
            gv = (1.0 if self.slip == "no leak" else 0.5) * gc[t]
        return gc, gthreshold


@pytest.fixture
def inputs(rng):
    return [rng.normal(1, 1, (5, 3)), np.array([0.8, 1.0, 1.3])]


def refused(*arguments, **settings):
    with pytest.raises(GradientError) as caught:
        check_gradients(*arguments, **settings)
    return str(caught.value)


def test_a_right_neuron_passes(inputs):
    assert check_gradients(OwnLIF(), inputs, relaxed=True) < 1e-8


@pytest.mark.parametrize("slip", ["no reset", "no carry", "no leak"])
def test_what_is_lost_between_timesteps_is_told_from_what_is_wrong_within_one(inputs, slip):
    said = refused(OwnLIF(slip), inputs, relaxed=True)
    assert "wrong are those of a current 1 or more steps before: look at what backward carries" in said
    assert "steps before" not in refused(OwnLIF("at h"), inputs, relaxed=True)


def test_a_neuron_that_steps_in_relaxed_mode_or_does_not_say_that_it_spikes(inputs):
    assert refused(OwnLIF("step"), inputs, relaxed=True).endswith(
        "; OwnLIF gives whole numbers in relaxed mode, too: let it fire by snncore.surrogate.fire"
    )
    assert "an operation that spikes has `spiking = True`" in refused(OwnLIF(spiking=False), inputs)
    assert refused(OwnLIF(), inputs).endswith("; OwnLIF spikes: check it with relaxed=True")
    assert "finite differences are 0 everywhere" in refused(OwnLIF("float step"), inputs, relaxed=True)


def test_detach_reset_is_named(inputs):
    said = refused(nn.LIF(detach_reset=True), inputs[:1], relaxed=True)
    assert said.endswith("; LIF has detach_reset, which drops a term of the gradient: check without it")


def test_a_function_that_remembers_or_draws_is_no_function_to_check(inputs):
    said = refused(nn.LIF(stateful=True), inputs[:1], relaxed=True)
    assert said.startswith("check_gradients: two calls on the same inputs gave different outputs")
    assert "stateful=True" in said
    rng = np.random.default_rng(0)
    assert "two calls" in refused(lambda x: x * rng.random(), inputs[:1])


def test_what_is_no_function_or_no_list_is_refused(inputs):
    with pytest.raises(TypeError, match=r"found the class LIF: write LIF\(\)"):
        check_gradients(LIF, inputs[:1])
    for array in (inputs[0], Tensor(inputs[0])):
        with pytest.raises(TypeError, match=r"expected a list of inputs, found one array of shape \(5, 3\): \[x\]"):
            check_gradients(LIF(), array)
    with pytest.raises(ValueError, match=r"no floating-point input to check; found uint8 \(2,\)"):
        check_gradients(LIF(), [np.ones(2, np.uint8)])
    with pytest.raises(ValueError, match=r"input 1 \(w\): expected finite entries, found NaN or infinity"):
        check_gradients(Linear(), [np.ones((1, 2)), np.array([[1.0], [np.nan]])])


def test_outputs_that_are_bytes_or_booleans_are_subtracted_as_numbers():
    class Step(Function):
        def __init__(self, dtype):
            self.dtype = dtype

        def forward(self, x):
            return (x >= 0).astype(self.dtype)

        def backward(self, gy):
            return np.zeros_like(gy, np.float64)

    for dtype in (bool, np.uint8):
        assert check_gradients(Step(dtype), [np.array([-1.0, 1.0])]) == 0.0
        assert "finite differences -" not in refused(Step(dtype), [np.array([0.0])])  # 0 - 1 would be 255 in bytes
