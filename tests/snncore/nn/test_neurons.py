"""Neuron layers: settings, learnable constants, and the membrane between calls."""

import numpy as np
import pytest

from snncore import Tensor, nn, observe
from snncore import functions as F
from snncore.surrogate import ATan

MAKERS = {
    "LIF": lambda **kw: nn.LIF(**kw),
    "LIF hard": lambda **kw: nn.LIF(decay=0.8, v_reset=-0.2, **kw),
    "IF": lambda **kw: nn.IF(**kw),
    "PLIF": lambda **kw: nn.PLIF(tau=3.0, **kw),
    "CLIF": lambda **kw: nn.CLIF(tau=3.0, **kw),
    "MLIF": lambda **kw: nn.MLIF(**kw),
    "MLIF frozen": lambda **kw: nn.MLIF(learn_alpha=False, **kw),
}
each = pytest.mark.parametrize("name", MAKERS)


def currents(rng, name, timesteps=6, samples=2):
    n = 2 if name.startswith("MLIF") else 1
    return [rng.normal(0.9, 0.9, (timesteps, samples, 3)).astype(np.float32) for _ in range(n)]


def call(neuron, inputs):
    out = neuron(*(Tensor(x, requires_grad=True) for x in inputs))
    return np.stack([s.data for s in (out if isinstance(out, tuple) else (out,))])


@each
def test_single_steps_in_a_row_equal_one_call_of_all_steps(rng, name):
    inputs = currents(rng, name)
    whole = call(MAKERS[name](), inputs)
    assert 0 < whole.sum() < whole.size
    stateful = MAKERS[name](stateful=True)
    steps = [call(stateful, [x[t : t + 1] for x in inputs]) for t in range(6)]
    np.testing.assert_array_equal(np.concatenate(steps, axis=1), whole)
    stateful.reset()
    parts = [call(stateful, [x[part] for x in inputs]) for part in (slice(0, 2), slice(2, 6))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@each
def test_reset_forgets_and_a_neuron_that_is_not_stateful_forgets_by_itself(rng, name):
    inputs = currents(rng, name)
    stateful, forgetful = MAKERS[name](stateful=True), MAKERS[name]()
    first = call(stateful, inputs)
    assert (call(stateful, inputs) != first).any()
    stateful.reset()
    np.testing.assert_array_equal(call(stateful, inputs), first)
    for _ in range(2):
        np.testing.assert_array_equal(call(forgetful, inputs), first)
    assert forgetful.membrane is None


@each
def test_another_batch_size_without_reset_is_refused(rng, name):
    neuron = MAKERS[name](stateful=True)
    call(neuron, currents(rng, name, samples=2))
    with pytest.raises(ValueError, match=r"IF: .* shape \(2, 3\), this call needs \(5, 3\); call reset\(\)"):
        call(neuron, currents(rng, name, samples=5))
    neuron.reset()
    assert call(neuron, currents(rng, name, samples=5)).shape[-2:] == (5, 3)


def test_a_stateful_mlif_checks_the_membrane_of_both_modalities(rng):
    neuron = nn.MLIF(stateful=True)
    o_a, o_v = rng.random((2, 3, 2, 4)).astype(np.float32)
    neuron(o_a, o_v[..., :1])
    with pytest.raises(ValueError, match=r"MLIF: .* shape \(2, 1\), this call needs \(2, 4\); call reset\(\)"):
        neuron(o_a, o_v)  # to which the membrane would be broadcast


@pytest.mark.parametrize(
    ("tau", "decay", "expected"), [(2.0, None, 0.5), (1.25, None, 0.2), (None, 0.0, 0.0), (None, 0.9, 0.9)]
)
def test_decay_of_tau_or_decay(tau, decay, expected):
    assert nn.decay_of(tau, decay) == pytest.approx(expected, abs=1e-16)
    for layer in (nn.LIF(tau, decay), nn.MLIF(tau, decay)):
        assert layer.firing.decay == pytest.approx(expected, abs=1e-16)


@pytest.mark.parametrize("tau", [0.2, 1.0, 0.0, -3.0, float("nan")])
def test_tau_up_to_one_is_refused_with_the_reason(tau):
    for make in (lambda: nn.decay_of(tau, None), lambda: nn.LIF(tau), lambda: nn.MLIF(tau), lambda: nn.PLIF(tau)):
        with pytest.raises(ValueError, match=rf"tau: expected a number above 1, found {tau}: .* gives -4 and diverges"):
            make()


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, float("nan")])
def test_decay_outside_zero_to_one_is_refused(decay):
    for make in (lambda: nn.decay_of(None, decay), lambda: nn.LIF(decay=decay), lambda: nn.MLIF(decay=decay)):
        with pytest.raises(ValueError, match=rf"decay: expected a number in \[0, 1\), found {decay}"):
            make()


def test_tau_and_decay_together_or_neither_are_refused():
    for make in (lambda: nn.decay_of(2.0, 0.5), lambda: nn.LIF(2.0, 0.5), lambda: nn.MLIF(tau=2.0, decay=0.5)):
        with pytest.raises(ValueError, match=r"expected one of the two, found tau=2\.0, decay=0\.5"):
            make()
    with pytest.raises(ValueError, match="found tau=None, decay=None"):
        nn.decay_of(None, None)
    assert nn.LIF().firing.decay == nn.MLIF().firing.decay == 0.5


def test_if_does_not_leak():
    neuron = nn.IF(stateful=True)
    neuron(np.full((7, 1), 0.125))
    assert neuron.membrane[0].tolist() == [0.875]
    assert neuron(np.array([[0.125]])).data.tolist() == [[1]]
    assert neuron.membrane[0].tolist() == [0.0]


@pytest.mark.parametrize("tau", [1.1, 2.0, 10.0, 100.0])
def test_plif_starts_at_the_tau_it_is_given_and_learns_it(tau):
    neuron = nn.PLIF(tau, stateful=True)
    c = Tensor(np.array([[0.5], [0.0]]))
    neuron(c)
    np.testing.assert_allclose(neuron.membrane[0], [0.5 * (1 - 1 / tau)], rtol=1e-5)
    neuron.reset()
    neuron(c).sum().backward()
    assert [name for name, _ in neuron.named_parameters()] == ["w"]
    assert neuron.w.grad != 0


def test_settings_reach_the_function(rng):
    (c,) = currents(rng, "LIF")
    gs = rng.standard_normal(c.shape).astype(np.float32)
    settings = {"v_threshold": 0.7, "v_reset": -0.1, "surrogate": ATan(3.0), "detach_reset": True}
    for layer, function, extra in [
        (nn.LIF(decay=0.3, **settings), F.LIF(0.3, **settings), ()),
        (nn.IF(**settings), F.LIF(1.0, **settings), ()),
        (nn.PLIF(2.0, **settings), F.PLIF(**settings), (np.zeros((), np.float32),)),
    ]:
        x, y = Tensor(c, requires_grad=True), Tensor(c, requires_grad=True)
        s, expected = layer(x), function(y, *extra)
        np.testing.assert_array_equal(s.data, expected.data)
        s.backward(gs)
        expected.backward(gs)
        np.testing.assert_array_equal(x.grad, y.grad)


def test_mlif_learns_alpha_unless_it_is_frozen(rng):
    o_a, o_v = currents(rng, "MLIF")
    learning, frozen = nn.MLIF(alpha=0.7), nn.MLIF(alpha=0.7, learn_alpha=False)
    for neuron in (learning, frozen):
        s_a, s_v = neuron(Tensor(o_a, requires_grad=True), o_v)
        (s_a.sum() + s_v.sum()).backward()
        assert neuron.alpha_a.data == np.float32(0.7)
    assert [name for name, _ in learning.named_parameters()] == ["alpha_a", "alpha_v"]
    assert learning.alpha_a.grad != 0
    assert learning.alpha_v.grad != 0
    assert list(frozen.named_parameters()) == []
    assert [name for name, _ in frozen.named_buffers()] == ["alpha_a", "alpha_v"]


def test_mlif_takes_weights_of_both_modalities(rng):
    o_a, o_v = currents(rng, "MLIF")
    w_a, w_v = nn.Parameter(np.full(3, 1.5, np.float32)), nn.Parameter(np.full(3, 0.8, np.float32))
    s_a, s_v = nn.MLIF()(o_a, o_v, w_a, w_v)
    half = np.array(0.5, np.float32)
    expected = F.MLIF()(o_a, o_v, half, half, w_a.data, w_v.data)
    np.testing.assert_array_equal(s_a.data, expected[0].data)
    np.testing.assert_array_equal(s_v.data, expected[1].data)


@pytest.mark.parametrize("make", [nn.LIF, nn.IF, nn.PLIF, nn.CLIF])
def test_a_neuron_called_with_a_norm_applies_it_first(rng, make):
    x = rng.normal(0.5, 1.0, (3, 2, 4, 4, 5)).astype(np.float32)
    neuron, norm = make(), nn.BatchNorm(5)
    with nn.unfused():
        apart = neuron(x, norm).data
    running = norm.running_mean.data.copy()
    again = nn.BatchNorm(5)
    np.testing.assert_array_equal(neuron(x, again).data, apart)
    np.testing.assert_array_equal(neuron(nn.BatchNorm(5)(x)).data, apart)
    np.testing.assert_array_equal(again.running_mean.data, running)
    assert 0.05 < apart.mean() < 0.95


def test_lif_runs_norm_and_neuron_as_one_operation_unless_told_otherwise(rng):
    x, names = rng.standard_normal((3, 2, 4)).astype(np.float32), []
    with observe(lambda function, *_: names.append(function.name)):
        nn.LIF()(x, nn.BatchNorm(4))
        with nn.unfused():
            nn.LIF()(x, nn.BatchNorm(4))
        nn.LIF(stateful=True)(x, nn.BatchNorm(4))
    assert names == ["BatchNormLIF", "BatchNorm", "LIF", "BatchNorm", "LIF"]
