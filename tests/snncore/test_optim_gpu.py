"""Optimizers over one flat buffer: the bits of the CPU, one launch, nothing changed where something is not finite."""

import numpy as np
import pytest

from snncore.backend import asnumpy
from snncore.flat import ALIGN, FlatParameters, flat_parameters
from snncore.optim import OPTIMIZERS, SGD, Adam, Optimizer, clip_grad_norm, clip_grad_value
from snncore.tape import Tensor
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")

SHAPES = {"w": (3, 4, 5), "b": (7,), "alpha": (), "odd": (257,)}
SETTINGS = {
    "sgd": {},
    "sgd momentum": {"momentum": 0.9, "weight_decay": 0.1},
    "sgd nesterov": {"momentum": 0.8, "nesterov": True},
    "adam": {},
    "adam decay": {"weight_decay": 0.05, "betas": (0.8, 0.95)},
    "adam quick": {"betas": (0.3, 0.9)},
    "adamw": {"weight_decay": 0.1},
}


@pytest.fixture
def gpu():
    with double.installed() as cupy:
        yield cupy


def make_parameters(cupy=None, dtype=np.float32, seed=0):
    """Parameters on the CPU, or on the device of cupy."""
    rng = np.random.default_rng(seed)
    arrays = {name: np.asarray(rng.normal(size=shape).astype(dtype)) for name, shape in SHAPES.items()}
    return {name: Tensor(x if cupy is None else cupy.asarray(x), requires_grad=True) for name, x in arrays.items()}


def give_gradients(parameters, step, without=(), cupy=None):
    rng = np.random.default_rng(100 + step)
    for name, p in parameters.items():
        g = np.asarray(rng.normal(size=p.shape).astype(np.float32))
        p.grad = None if name in without else g if cupy is None else cupy.asarray(g)


def make(setting, parameters):
    return OPTIMIZERS[setting.split()[0]](parameters.items(), 0.1, **SETTINGS[setting])


@pytest.mark.parametrize("setting", SETTINGS)
def test_steps_have_the_bits_of_the_cpu_also_when_some_parameters_sit_out(gpu, setting):
    on_cpu, on_gpu = make_parameters(), make_parameters(gpu)
    pair = make(setting, on_cpu), make(setting, on_gpu)
    for step, without in enumerate([(), ("b",), ("w", "odd"), (), ("alpha",)]):
        for optimizer, parameters, cupy in zip(pair, (on_cpu, on_gpu), (None, gpu), strict=True):
            optimizer.lr = 0.1 / (step + 1)
            optimizer.zero_grad()
            give_gradients(parameters, step, without, cupy)
            optimizer.step()
    for name, p in on_cpu.items():
        np.testing.assert_array_equal(on_gpu[name].data.get(), p.data, err_msg=name)
    states = [optimizer.state_dict() for optimizer in pair]
    assert states[0].keys() == states[1].keys()
    for key, x in states[0].items():
        np.testing.assert_array_equal(asnumpy(states[1][key]), x, err_msg=key)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_step_is_one_launch_and_waits_for_nothing(gpu, setting):
    parameters = make_parameters(gpu)
    optimizer = make(setting, parameters)
    give_gradients(parameters, 0, cupy=gpu)
    ledger.clear()
    finite = optimizer.all_finite(gpu.ones((), np.float32))
    optimizer.step(finite)
    optimizer.zero_grad()
    assert ledger.events == {"launch": 2}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("where", ["loss", "weight", "gradient", "gradient, negative"])
def test_nothing_changes_where_something_is_not_finite_and_the_count_can_be_taken_back(gpu, setting, where):
    parameters = make_parameters(gpu)
    optimizer = make(setting, parameters)
    give_gradients(parameters, 0, cupy=gpu)
    optimizer.step()
    give_gradients(parameters, 1, cupy=gpu)
    loss = gpu.full((), np.nan if where == "loss" else 3.0, np.float32)
    if where == "weight":
        parameters["odd"].data[256] = np.inf
    elif where.startswith("gradient"):
        parameters["b"].grad[3] = -np.inf if "negative" in where else np.nan
    before = {key: asnumpy(x).copy() for key, x in optimizer.state_dict().items()}
    weights = {name: p.data.get() for name, p in parameters.items()}
    finite = optimizer.all_finite(loss)
    assert int(finite) == 0
    optimizer.step(finite)
    optimizer.take_back()
    for key, x in optimizer.state_dict().items():
        np.testing.assert_array_equal(asnumpy(x), before[key], err_msg=key)
    for name, p in parameters.items():
        np.testing.assert_array_equal(p.data.get(), weights[name], err_msg=name)


def test_all_that_is_finite_is_found_so(gpu):
    parameters = make_parameters(gpu)
    optimizer = SGD(parameters.items(), 0.1)
    give_gradients(parameters, 0, cupy=gpu)
    parameters["b"].grad[0] = 3.4e38
    assert int(optimizer.all_finite(gpu.zeros((), np.float32))) == 1


def test_parameters_and_gradients_live_in_two_buffers(gpu):
    parameters = make_parameters(gpu)
    before = {name: p.data.get() for name, p in parameters.items()}
    flat = FlatParameters(parameters)
    assert flat.w.size % ALIGN == 0
    for name, p in parameters.items():
        np.testing.assert_array_equal(p.data.get(), before[name])
        assert (p.data.data.ptr - flat.w.data.ptr) % (4 * ALIGN) == 0
    (parameters["b"]).backward(gpu.full((7,), 2.0, np.float32))  # a leaf puts its gradient into the buffer
    assert parameters["b"].grad is parameters["b"].grad_home
    assert flat.g[flat.places["b"]].get().tolist() == [2.0] * 7
    parameters["b"].backward(gpu.ones((7,), np.float32))
    assert flat.g[flat.places["b"]].get().tolist() == [3.0] * 7


def test_spans_join_neighbours_with_one_key(gpu):
    flat = FlatParameters(make_parameters(gpu))
    places = {name: place.start for name, place in flat.places.items()}
    assert places == {"w": 0, "b": 64, "alpha": 128, "odd": 192}

    def spans(**keys):
        return [(s.start, s.stop, key) for s, key in flat.spans(keys)]

    assert spans(w=1, b=1, alpha=1, odd=1) == [(0, 512, 1)]
    assert spans(w=1, b=2, alpha=2, odd=1) == [(0, 64, 1), (64, 192, 2), (192, 512, 1)]
    assert spans(b=1, odd=1) == [(64, 128, 1), (192, 512, 1)]
    assert spans() == []


def test_parameters_that_differ_in_type_or_device_are_left_where_they_are(gpu):
    on_cpu, on_gpu = make_parameters(), make_parameters(gpu)
    for mixed in (on_cpu | {"more": on_gpu["w"]}, on_cpu | {"more": make_parameters(dtype=np.float64)["w"]}):
        arrays = [p.data for p in mixed.values()]
        assert flat_parameters(mixed) is None
        assert all(p.data is x for p, x in zip(mixed.values(), arrays, strict=True))


@pytest.mark.parametrize("setting", SETTINGS)
def test_float64_on_a_gpu_has_the_bits_of_the_cpu_without_a_kernel(gpu, setting):
    on_cpu, on_gpu = make_parameters(dtype=np.float64), make_parameters(gpu, np.float64)
    for parameters, cupy in ((on_cpu, None), (on_gpu, gpu)):
        optimizer = make(setting, parameters)
        for step in range(2):
            give_gradients(parameters, step, cupy=cupy)
            optimizer.step(optimizer.all_finite(parameters["alpha"].data))
    for name, p in on_cpu.items():
        np.testing.assert_array_equal(on_gpu[name].data.get(), p.data, err_msg=name)


def test_an_optimizer_of_ones_own_works_parameter_by_parameter(gpu):
    class Sign(Optimizer):
        def _update(self, name, w, g):
            w -= self.lr * (g / abs(g))

    parameters = make_parameters(gpu)
    before = parameters["w"].data.get()
    optimizer = Sign(parameters.items(), 0.5)
    give_gradients(parameters, 0, cupy=gpu)
    optimizer.step()
    np.testing.assert_allclose(abs(before - parameters["w"].data.get()), 0.5, rtol=1e-6)


def test_an_array_that_moved_to_another_device_is_named(gpu):
    parameters = make_parameters(gpu)
    optimizer = Adam(parameters.items(), 0.1)
    give_gradients(parameters, 0, cupy=gpu)
    parameters["b"].data = np.zeros(7, np.float32)
    with pytest.raises(ValueError, match=r"b: was float32 \(7,\) when the optimizer was made, found .* of numpy"):
        optimizer.step()


def test_state_goes_to_the_cpu_and_back_and_training_goes_on_bit_for_bit(gpu):
    whole, parts = make_parameters(gpu), make_parameters(gpu)
    optimizer, first = Adam(whole.items(), 0.1), Adam(parts.items(), 0.1)
    for step in range(4):
        give_gradients(whole, step, cupy=gpu)
        optimizer.step()
        if step == 2:
            state = {key: asnumpy(x) for key, x in first.state_dict().items()}
            first = Adam(parts.items(), 0.1)
            first.load_state_dict(state)
        give_gradients(parts, step, cupy=gpu)
        first.step()
    for name, p in whole.items():
        np.testing.assert_array_equal(parts[name].data.get(), p.data.get(), err_msg=name)


@pytest.mark.parametrize("largest", [0.5, 1e9, np.inf])
def test_clipping_by_the_norm_waits_for_nothing(gpu, largest):
    on_cpu, on_gpu = make_parameters(), make_parameters(gpu)
    give_gradients(on_cpu, 0)
    give_gradients(on_gpu, 0, cupy=gpu)
    ledger.clear()
    norm = clip_grad_norm(on_gpu.values(), largest)
    clip_grad_value(on_gpu.values(), 0.25)
    assert ledger.events == {}
    assert float(norm) == pytest.approx(clip_grad_norm(on_cpu.values(), largest), rel=1e-12)
    clip_grad_value(on_cpu.values(), 0.25)
    for name, p in on_cpu.items():
        np.testing.assert_allclose(on_gpu[name].grad.get(), p.grad, rtol=1e-6, err_msg=name)


def test_clipping_leaves_gradients_that_are_not_finite_alone(gpu):
    parameters = make_parameters(gpu)
    give_gradients(parameters, 0, cupy=gpu)
    parameters["b"].grad[1] = np.nan
    before = parameters["w"].grad.get()
    assert np.isnan(float(clip_grad_norm(parameters.values(), 0.1)))
    np.testing.assert_array_equal(parameters["w"].grad.get(), before)
