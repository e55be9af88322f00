"""Parameters in one buffer on the CPU: the bits of parameter by parameter, other arrays taken in, buffers put back."""

import copy
import pickle

import numpy as np
import pytest

from snncore import manual_seed, nn
from snncore.flat import ALIGN, FlatBuffers, is_finite
from snncore.optim import OPTIMIZERS, SGD, Adam, AdamW, Optimizer
from snncore.optimizer import BLOCK
from snncore.tape import Tensor

SHAPES = {"large": (BLOCK + 3, 2), "w": (3, 4, 5), "b": (7,), "alpha": ()}  # the first is cut into three blocks
SETTINGS = {
    "sgd": {},
    "sgd momentum": {"momentum": 0.9, "weight_decay": 0.1},
    "sgd nesterov": {"momentum": 0.8, "nesterov": True},
    "adam": {},
    "adam decay": {"weight_decay": 0.05, "betas": (0.8, 0.95)},
    "adam quick": {"betas": (0.3, 0.9)},
    "adamw": {"weight_decay": 0.1},
}


def make_parameters(dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return {name: Tensor(np.asarray(rng.normal(size=s), dtype), requires_grad=True) for name, s in SHAPES.items()}


def give_gradients(parameters, step, without=()):
    rng = np.random.default_rng(100 + step)
    for name, p in parameters.items():
        g = np.asarray(rng.normal(size=p.shape), p.dtype)
        p.grad = None if name in without else g


def make(setting, parameters):
    return OPTIMIZERS[setting.split()[0]](parameters.items(), 0.1, **SETTINGS[setting])


def one_by_one(setting, parameters):
    """The same optimizer over each parameter in its own array."""
    made = make(setting, parameters)
    kind = type(made.__class__.__name__, (made.__class__,), {"flattens": False})
    return kind(parameters.items(), 0.1, **SETTINGS[setting])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_step_over_the_buffer_has_the_bits_of_parameter_by_parameter(setting, dtype):
    flat, single = make_parameters(dtype), make_parameters(dtype)
    pair = make(setting, flat), one_by_one(setting, single)
    assert pair[0].flat is not None
    assert pair[1].flat is None
    for step, without in enumerate([(), ("b",), ("large", "alpha"), ()]):
        for optimizer, parameters in zip(pair, (flat, single), strict=True):
            optimizer.zero_grad()
            give_gradients(parameters, step, without)
            optimizer.step(optimizer.all_finite(np.float32(1)))
    for name, p in single.items():
        np.testing.assert_array_equal(flat[name].data, p.data, err_msg=name)
        assert flat[name].dtype == dtype
    states = [optimizer.state_dict() for optimizer in pair]
    assert states[0].keys() == states[1].keys()
    for key, x in states[1].items():
        np.testing.assert_array_equal(states[0][key], x, err_msg=key)


def test_gradients_of_a_backward_lie_in_the_buffer_and_gaps_stay_zero():
    parameters = make_parameters()
    optimizer = Adam(parameters, 0.1)
    for name, p in parameters.items():
        p.backward(np.full(p.shape, 2.0, np.float32))
        assert p.grad is p.grad_home
        assert (optimizer.flat.g[optimizer.flat.places[name]] == 2).all()
    optimizer.step()
    used = np.zeros(optimizer.flat.w.size, bool)
    for place in optimizer.flat.places.values():
        used[place] = True
        assert place.start % ALIGN == 0
    assert used.sum() == sum(p.size for p in parameters.values())
    assert (optimizer.flat.w[~used] == 0).all()
    assert (optimizer.flat.g[~used] == 0).all()


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("where", ["loss", "weight", "gradient"])
@pytest.mark.parametrize("maker", [make, one_by_one])
def test_nothing_changes_where_something_is_not_finite_and_the_count_can_be_taken_back(setting, where, maker):
    parameters = make_parameters()
    optimizer = maker(setting, parameters)
    give_gradients(parameters, 0)
    optimizer.step()
    give_gradients(parameters, 1)
    if where == "weight":
        parameters["w"].data[1, 1, 1] = np.inf
    elif where == "gradient":
        parameters["b"].grad[3] = np.nan
    before = {key: x.copy() for key, x in optimizer.state_dict().items()}
    weights = {name: p.data.copy() for name, p in parameters.items()}
    finite = optimizer.all_finite(np.float32(np.nan if where == "loss" else 1))
    assert int(finite) == 0
    optimizer.step(finite)
    optimizer.take_back()
    for key, x in optimizer.state_dict().items():
        np.testing.assert_array_equal(x, before[key], err_msg=key)
    for name, p in parameters.items():
        np.testing.assert_array_equal(p.data, weights[name], err_msg=name)


def test_an_array_that_was_put_in_the_place_of_a_parameter_is_taken_in():
    parameters = make_parameters()
    optimizer = SGD(parameters, 0.5)
    parameters["b"].data = np.arange(7, dtype=np.float32)
    parameters["b"].grad = np.ones(7, np.float32)
    optimizer.step()
    assert parameters["b"].data.tolist() == [k - 0.5 for k in range(7)]
    parameters["b"].data = np.zeros(7)
    with pytest.raises(ValueError, match=r"b: was float32 \(7,\) when the optimizer was made, found float64 \(7,\)"):
        optimizer.step()


def test_two_optimizers_of_the_same_parameters_step_in_turn():
    parameters, by_hand = make_parameters(), make_parameters()
    first, second = SGD(parameters, 0.5), SGD(parameters, 0.25)
    for step, (optimizer, lr) in enumerate([(first, 0.5), (second, 0.25), (first, 0.5), (first, 0.5), (second, 0.25)]):
        optimizer.zero_grad()
        for name, p in parameters.items():
            g = np.full(p.shape, 2.0**step, np.float32)
            p.backward(g)
            by_hand[name].data -= lr * g
        optimizer.step()
    for name, p in parameters.items():
        np.testing.assert_array_equal(p.data, by_hand[name].data, err_msg=name)


def test_an_optimizer_is_not_copied_with_parameters_outside_its_buffer():
    optimizer = Adam(make_parameters(), 0.1)
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="an optimizer cannot be copied; make a new one and load the state_dict"):
            attempt(optimizer)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_parameters_may_be_given_with_and_without_names(kind):
    def trained(give):
        manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        optimizer = kind(give(net), 0.1)
        for name, p in net.named_parameters():
            p.grad = np.full(p.shape, len(name), np.float32)
        optimizer.step()
        return optimizer, net.state_dict()

    named, expected = trained(lambda net: net.named_parameters())
    ways = {
        "generator": lambda net: net.parameters(),
        "list": lambda net: list(net.parameters()),
        "dict": lambda net: dict(net.named_parameters()),
        "pairs": lambda net: list(net.named_parameters()),
    }
    for way, give in ways.items():
        optimizer, weights = trained(give)
        for name, w in expected.items():
            np.testing.assert_array_equal(weights[name], w, err_msg=f"{way} {name}")
        assert list(optimizer.parameters) == (
            ["0", "1", "2", "3"] if way in ("generator", "list") else list(named.parameters)
        )


@pytest.mark.parametrize("wrong", [[1.0], ["weight"], [("w", np.ones(3))], [(Tensor(np.ones(3)), "w")]])
def test_what_is_no_parameter_is_refused(wrong):
    with pytest.raises(ValueError, match=r"parameters: expected tensors or \(name, tensor\) pairs, .*at place 0"):
        Adam(wrong, 0.1)


@pytest.mark.parametrize("beta1", [0.0, 0.1, 0.4, 0.5, 0.9])
def test_the_average_is_exact_for_any_beta1_though_gradients_change_by_orders_of_magnitude(beta1):
    rng = np.random.default_rng(3)
    gradients = (rng.normal(size=(60, 50)) * 10.0 ** rng.integers(-6, 7, (60, 1))).astype(np.float32)
    w = Tensor(np.zeros(50, np.float32), requires_grad=True)
    optimizer = Adam([w], 0.1, betas=(beta1, 0.999))
    m, scale = np.zeros(50), np.zeros(50)
    for g in gradients:
        w.grad = g
        optimizer.step()
        m = beta1 * m + (1 - beta1) * g.astype(np.float64)
        scale = beta1 * scale + (1 - beta1) * abs(g.astype(np.float64))  # what rounding is relative to
        assert (abs(optimizer.state_dict()["exp_avg/0"] - m) <= 5e-7 * scale).all()  # all of it with m += g - m


def test_without_memory_an_average_is_its_gradient():
    w = Tensor(np.zeros(1, np.float32), requires_grad=True)
    optimizer = Adam([w], 0.1, betas=(0.0, 0.0))
    for g in (1e8, 0.1):
        w.grad = np.array([g], np.float32)
        optimizer.step()
    assert optimizer.state_dict()["exp_avg/0"][0] == np.float32(0.1)  # 0 by 1e8 + (0.1 - 1e8)


def test_an_optimizer_of_ones_own_works_parameter_by_parameter():
    class Sign(Optimizer):
        def _update(self, name, w, g):
            w -= self.lr * np.sign(g)

    parameters = make_parameters()
    before = {name: p.data for name, p in parameters.items()}
    optimizer = Sign(parameters, 0.5)
    give_gradients(parameters, 0)
    optimizer.step(optimizer.all_finite(np.float32(0)))
    for name, p in parameters.items():
        assert p.data is before[name]
    assert optimizer.flat is None


def test_buffers_are_kept_and_put_back():
    net = nn.Sequential(nn.BatchNorm(3), nn.BatchNorm(5))
    buffers = [b for _, b in net.named_buffers()]
    before = [b.data.copy() for b in buffers]
    flat = FlatBuffers(buffers)
    assert flat.hold(buffers)
    for b, x in zip(buffers, before, strict=True):
        np.testing.assert_array_equal(b.data, x)
    kept = flat.keep()
    for b in buffers:
        b.data += 7
    flat.put_back(kept)
    for b, x in zip(buffers, before, strict=True):
        np.testing.assert_array_equal(b.data, x)
    buffers[1].data = buffers[1].data.copy()
    assert not flat.hold(buffers)
    assert not flat.hold(buffers[:2])


@pytest.mark.parametrize(
    ("values", "good"), [([1, 2], True), ([3e38, 3e38], True), ([1, np.nan], False), ([-np.inf], False)]
)
def test_finite_also_where_the_sum_overflows(values, good):
    assert is_finite(np.array(values, np.float32)) is good


def test_a_parameter_that_got_another_array_keeps_its_gradient_in_the_type_and_shape_of_that():
    """It lay where the optimizer keeps gradients of the first array: in float32, which a check in float64 noticed."""
    net = nn.Linear(2, 2, rng=np.random.default_rng(0))
    optimizer = SGD(net.named_parameters(), 0.1)
    net.astype(np.float64)
    net.weight.backward(np.full((2, 2), 1 / 3))
    assert net.weight.grad.dtype == np.float64
    assert net.weight.grad[0, 0] == 1 / 3
    net.bias.data = np.zeros(5)
    net.bias.backward(np.ones(5))
    assert net.bias.grad.tolist() == [1] * 5
    with pytest.raises(
        ValueError, match=r"weight: was float32 \(2, 2\) when .* found float64 \(2, 2\) of numpy; make a new"
    ):
        optimizer.step()


def test_an_array_of_the_same_kind_is_taken_in_with_its_gradient():
    p = nn.Parameter(np.ones(3, np.float32))
    optimizer = SGD([p], 0.5)
    p.data = np.full(3, 2, np.float32)
    p.backward(np.ones(3, np.float32))
    optimizer.step()
    assert p.data.tolist() == [1.5] * 3
    p.zero_grad()
    p.backward(np.ones(3, np.float32))
    assert p.grad is p.grad_home
