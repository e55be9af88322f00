"""Neurons of a cell that remember: one timestep at a time equals the whole sequence."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.models.misnet.mlif import make_mlif
from snncore import Tensor, nn, no_grad
from tests.misnet.models.misnet.test_fusion import SHAPE, currents, make
from tests.misnet.tiny import shaken, streams_of, tiny_config

KINDS = [
    *((mlif, f) for mlif in ("full", "fused-charge", "independent") for f in ("concat", "mlp", "attention")),
    ("second-threshold", "concat"),
]
each = pytest.mark.parametrize(("mlif", "fusion"), KINDS)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def remembering(module, stateful=True):
    """Switch the memory of all neurons of a module on."""
    for part in module.modules():
        if isinstance(part, nn.Neuron):
            part.stateful = stateful
    return module


def run(neuron, o_a, o_v, w_a, w_v, part=slice(None)):
    return np.stack([s.data for s in neuron(*map(Tensor, (o_a[part], o_v[part], w_a, w_v)))])


@each
def test_timesteps_one_by_one_equal_the_sequence(rng, mlif, fusion):
    neuron = make(rng, fusion, mlif)
    inputs = currents(rng)
    whole = run(neuron, *inputs)
    assert 0.1 < whole.mean() < 0.9
    remembering(neuron)
    for parts in ([slice(t, t + 1) for t in range(SHAPE[0])], [slice(0, 1), slice(1, 3)]):
        neuron.reset()
        np.testing.assert_array_equal(np.concatenate([run(neuron, *inputs, part) for part in parts], 1), whole)
    assert (run(neuron, *inputs) != whole).any()  # it goes on from where it was
    neuron.reset()
    np.testing.assert_array_equal(run(neuron, *inputs), whole)
    remembering(neuron, False)
    np.testing.assert_array_equal(run(neuron, *inputs), whole)


@each
def test_the_memory_is_a_membrane_a_modality_cut_off_from_the_tape(rng, mlif, fusion):
    neuron = remembering(make(rng, fusion, mlif))
    o_a, o_v, w_a, w_v = currents(rng)
    first = Tensor(o_a, requires_grad=True)
    neuron(first, *map(Tensor, (o_v, w_a, w_v)))
    kept = [v for m in neuron.modules() if isinstance(m, nn.Neuron) for v in m.membrane or ()]
    assert all(type(v) is np.ndarray for v in kept)
    pixels = int(np.prod(SHAPE[1:]))
    assert sum(v.size for v in kept) == 2 * pixels  # fused-charge keeps both in one array
    again = Tensor(o_a, requires_grad=True)
    s_a, s_v = neuron(again, *map(Tensor, (o_v, w_a, w_v)))
    (s_a.sum() + s_v.sum()).backward()
    assert first.grad is None
    assert again.grad.any()


@each
def test_another_batch_size_without_reset_is_refused(rng, mlif, fusion):
    neuron = remembering(make(rng, fusion, mlif))
    o_a, o_v, w_a, w_v = currents(rng)
    run(neuron, o_a, o_v, w_a, w_v)
    with pytest.raises(ValueError, match=r"the membrane kept from the last call has shape .*; call reset\(\) between"):
        run(neuron, o_a[:, :1], o_v[:, :1], w_a, w_v)
    neuron.reset()
    assert run(neuron, o_a[:, :1], o_v[:, :1], w_a, w_v).shape[2] == 1


@pytest.mark.parametrize(
    "switches",
    [{"mlif_fusion": "mlp"}, {"mlif_fusion": "attention", "neuron": "plif"}, {"streams": "visual", "neuron": "clif"}],
    ids=str,
)
def test_a_whole_network_may_be_fed_one_timestep_at_a_time(switches):
    config = tiny_config(mlif_v_threshold=0.4, v_threshold=0.4, **switches)
    model = shaken(MISNet(config)).astype(np.float64).eval()
    inputs = streams_of(config, dtype=np.float64)
    with no_grad():
        whole = model(*map(Tensor, inputs))
        remembering(model)
        steps = [model(*(Tensor(x[t : t + 1]) for x in inputs)) for t in range(config.timesteps)]
    for name, scores in whole.items():
        mean = sum(step[name].data for step in steps) / config.timesteps
        np.testing.assert_allclose(mean, scores.data, rtol=1e-12)
        assert any((step[name].data != steps[0][name].data).any() for step in steps[1:])


def test_stateful_is_off_unless_asked_for(rng):
    neuron = make_mlif(tiny_config(mlif_fusion="mlp"), 4, rng)
    assert not neuron.stateful
    assert neuron.membrane is None
