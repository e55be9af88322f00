"""Optimizers against numbers from PyTorch, resumed runs bit for bit, and clipping worked out by hand.

data/torch_optim.json was printed once by the PyTorch version that it names, in float64 on a CPU, for each variant by

    w = torch.tensor([[0.5, -1.0, 2.0], [0.25, 0.0, -1.5]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor(0.75, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w, b], lr=1.0, foreach=False, **settings)
    for k in range(5):
        optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)
        for p in (w, b):
            x = p.detach()
            p.grad = None if p is b and k in (0, 3) else x * x * x - 0.5 * x + 0.1 * (k + 1)
        optimizer.step()
        steps.append({"w": w.tolist(), "b": b.item()})

b sits out steps 0 and 3, so that its averages and its bias correction lag behind those of w.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from snncore import nn
from snncore.kernels.choice import use_kernels
from snncore.optim import OPTIMIZERS, SGD, Adam, AdamW, clip_grad_norm, clip_grad_value
from snncore.tape import Tensor

TORCH = json.loads((Path(__file__).parent / "data" / "torch_optim.json").read_text())["variants"]
VARIANTS = pytest.mark.parametrize("variant", TORCH.values(), ids=TORCH.keys())


def make_parameters(dtype=np.float64):
    w = np.array([[0.5, -1.0, 2.0], [0.25, 0.0, -1.5]], dtype)
    return {"w": Tensor(w, requires_grad=True), "b": Tensor(np.array(0.75, dtype), requires_grad=True)}


def make_optimizer(variant, parameters):
    return OPTIMIZERS[variant["optimizer"]](parameters.items(), lr=1.0, **variant["settings"])


def one_step(optimizer, parameters, k):
    optimizer.lr = 0.1 / (k + 1)
    for name, p in parameters.items():
        x = p.data
        p.grad = None if name == "b" and k in (0, 3) else np.asarray(x * x * x - 0.5 * x + 0.1 * (k + 1), x.dtype)
    optimizer.step()


def with_gradients(*gradients, dtype=np.float64):
    tensors = [Tensor(np.zeros(np.shape(g), dtype), requires_grad=True) for g in gradients]
    for tensor, g in zip(tensors, gradients, strict=True):
        tensor.grad = np.array(g, dtype)
    return tensors


@VARIANTS
def test_every_step_equals_pytorch(variant):
    parameters = make_parameters()
    optimizer = make_optimizer(variant, parameters)
    for k, expected in enumerate(variant["steps"]):
        one_step(optimizer, parameters, k)
        for name, p in parameters.items():
            np.testing.assert_allclose(p.data, expected[name], rtol=1e-12, atol=1e-15, err_msg=f"{name}, step {k}")


@VARIANTS
def test_arrays_stay_the_same_objects_of_the_same_dtype_and_gradients_are_not_changed(variant):
    parameters = make_parameters(np.float32)
    optimizer = make_optimizer(variant, parameters)
    arrays = {name: p.data for name, p in parameters.items()}
    for k in range(5):
        optimizer.lr = np.float64(0.1)  # must not widen anything
        for p in parameters.values():
            p.grad = np.full(p.shape, 0.1 * (k + 1), np.float32)
        before = {name: p.grad.copy() for name, p in parameters.items()}
        optimizer.step()
        for name, p in parameters.items():
            assert p.data is arrays[name]
            assert p.dtype == np.float32
            np.testing.assert_array_equal(p.grad, before[name])
    assert {x.dtype for key, x in optimizer.state_dict().items() if "/" in key and "updates" not in key} <= {p.dtype}


@VARIANTS
def test_float32_follows_float64(variant):
    parameters = make_parameters(np.float32)
    optimizer = make_optimizer(variant, parameters)
    for k in range(5):
        one_step(optimizer, parameters, k)
    for name, p in parameters.items():
        np.testing.assert_allclose(p.data, variant["steps"][-1][name], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adam", {}),
        ("adam", {"weight_decay": 0.1, "betas": (0.4, 0.9)}),
        ("adamw", {"weight_decay": 0.1}),
        ("sgd", {}),
        ("sgd", {"momentum": 0.9, "weight_decay": 0.1}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_one_compiled_pass_has_the_bits_of_the_array_code(name, settings, rng):
    start = {f"p{i}": rng.standard_normal(n).astype(np.float32) for i, n in enumerate((3, 40_000, 65))}
    gradients = [{k: rng.standard_normal(w.shape).astype(np.float32) for k, w in start.items()} for _ in range(3)]
    gradients[0]["p1"][:9] = 0  # averages of zero, and gradients that are zero for once
    gradients[1]["p1"][:20] = -0.0
    ends = []
    for kernels in ("reference", "auto"):
        tensors = {k: Tensor(w.copy(), requires_grad=True) for k, w in start.items()}
        optimizer = OPTIMIZERS[name](tensors, lr=0.1, **settings)
        with use_kernels(kernels):
            for step, g in enumerate(gradients):
                for k, p in tensors.items():
                    p.grad = None if k == "p2" and step == 0 else g[k].copy()
                optimizer.step()
        ends.append({k: p.data for k, p in tensors.items()} | optimizer.state_dict())
    for key, expected in ends[0].items():
        assert ends[1][key].tobytes() == expected.tobytes(), key


@VARIANTS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resumed_run_ends_bit_for_bit_the_same(variant, dtype):
    straight = make_parameters(dtype)
    optimizer = make_optimizer(variant, straight)
    for k in range(6):
        if k == 3:
            saved = optimizer.state_dict()
            arrays = {name: p.data.copy() for name, p in straight.items()}
        one_step(optimizer, straight, k)  # also shows that `saved` holds copies

    resumed = {name: Tensor(x, requires_grad=True) for name, x in arrays.items()}
    second = make_optimizer(variant, resumed)
    second.load_state_dict(saved)
    assert second.steps == 3
    for k in range(3, 6):
        one_step(second, resumed, k)
    for name in straight:
        assert resumed[name].data.tobytes() == straight[name].data.tobytes()
    for key, x in optimizer.state_dict().items():
        assert second.state_dict()[key].tobytes() == x.tobytes(), key


def test_a_fresh_optimizer_would_not_have_resumed():
    """The test above could fail: without the saved averages the end is another one."""
    straight, fresh = make_parameters(), make_parameters()
    optimizer = Adam(straight.items(), lr=1.0)
    for k in range(6):
        if k == 3:
            for name, p in fresh.items():
                p.data[...] = straight[name].data
        one_step(optimizer, straight, k)
    second = Adam(fresh.items(), lr=1.0)
    for k in range(3, 6):
        one_step(second, fresh, k)
    assert not np.array_equal(fresh["w"].data, straight["w"].data)


def test_state_keys():
    parameters = make_parameters().items()
    assert set(SGD(parameters, lr=0.1).state_dict()) == {"step"}
    assert set(SGD(parameters, lr=0.1, momentum=0.9).state_dict()) == {"step", "momentum/w", "momentum/b"}
    state = AdamW(parameters, lr=0.1).state_dict()
    assert set(state) == {"step"} | {f"{a}/{p}" for a in ("exp_avg", "exp_avg_sq", "updates") for p in "wb"}
    assert (state["step"].shape, state["step"].dtype) == ((), np.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("momentum/w"), r"state of SGD: missing \['momentum/w'\], unexpected \[\]"),
        (lambda s: s.update(extra=s["step"]), r"missing \[\], unexpected \['extra'\]"),
        (
            lambda s: s.update({"momentum/w": np.zeros((3, 2))}),
            r"momentum/w: expected float64 of shape \(2, 3\), found float64 of shape \(3, 2\)",
        ),
        (lambda s: s.update({"momentum/w": np.zeros((2, 3), np.float32)}), "momentum/w: expected float64.*float32"),
        (lambda s: s.update(step=np.array(-1)), "step: expected a count, found -1"),
    ],
)
def test_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    parameters = make_parameters()
    optimizer = SGD(parameters.items(), lr=0.1, momentum=0.9)
    one_step(optimizer, parameters, 1)
    before = optimizer.state_dict()
    state = {key: x * 2 for key, x in optimizer.state_dict().items()}
    state["step"] = np.array(7)
    change(state)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    for key, x in optimizer.state_dict().items():
        np.testing.assert_array_equal(x, before[key])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameter_without_gradient_is_left_alone_also_by_weight_decay(name):
    parameters = make_parameters()
    optimizer = OPTIMIZERS[name](parameters.items(), lr=0.1, weight_decay=0.5)
    parameters["w"].grad = np.ones((2, 3))
    optimizer.step()
    assert parameters["b"].item() == 0.75
    assert not np.array_equal(parameters["w"].data, make_parameters()["w"].data)


def test_shared_parameter_is_updated_once():
    w = Tensor(np.ones(2), requires_grad=True)
    optimizer = SGD([("encoder.w", w), ("decoder.w", w)], lr=0.5)
    w.grad = np.ones(2)
    optimizer.step()
    np.testing.assert_array_equal(w.data, [0.5, 0.5])


def test_zero_grad():
    parameters = make_parameters()
    optimizer = SGD(parameters.items(), lr=0.1)
    one_step(optimizer, parameters, 1)
    optimizer.zero_grad()
    assert all(p.grad is None for p in parameters.values())


def test_gradient_of_another_shape_is_refused_before_anything_changes():
    parameters = make_parameters()
    optimizer = SGD(parameters.items(), lr=0.1)
    parameters["w"].grad = np.ones((2, 3))
    parameters["b"].grad = np.ones(1)  # would broadcast
    with pytest.raises(ValueError, match=r"b: expected a gradient of shape \(\), found \(1,\)"):
        optimizer.step()
    np.testing.assert_array_equal(parameters["w"].data, make_parameters()["w"].data)
    assert optimizer.steps == 0


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (SGD, {"lr": -0.1}, "lr: expected a finite number >= 0, found -0.1"),
        (SGD, {"lr": math.nan}, "lr: .*nan"),
        (SGD, {"lr": math.inf}, "lr: .*inf"),
        (SGD, {"lr": 0.1, "momentum": 1.0}, r"momentum: expected a number in \[0, 1\), found 1.0"),
        (SGD, {"lr": 0.1, "momentum": -0.1}, "momentum"),
        (SGD, {"lr": 0.1, "weight_decay": -1e-4}, "weight_decay"),
        (SGD, {"lr": 0.1, "nesterov": True}, "nesterov: expected momentum > 0"),
        (Adam, {"lr": 0.1, "betas": (1.0, 0.999)}, r"betas\[0\]"),
        (AdamW, {"lr": 0.1, "betas": (0.9, -0.1)}, r"betas\[1\]"),
        (Adam, {"lr": 0.1, "betas": (0.9,)}, "betas: expected two numbers"),
        (Adam, {"lr": 0.1, "eps": 0.0}, "eps: expected a number > 0"),
        (Adam, {"lr": 0.1, "weight_decay": math.nan}, "weight_decay"),
    ],
)
def test_bad_settings_are_named(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(make_parameters().items(), **settings)


def test_bad_parameters_are_named():
    w = Tensor(np.ones(2))
    with pytest.raises(ValueError, match="at least one parameter"):
        SGD([], lr=0.1)
    with pytest.raises(ValueError, match="the name 'w' stands for two parameters"):
        SGD([("w", w), ("w", Tensor(np.ones(2)))], lr=0.1)
    with pytest.raises(ValueError, match="'s': expected floating point, found uint8"):
        SGD([("s", Tensor(np.ones(2, np.uint8)))], lr=0.1)


def test_lr_set_from_outside_is_checked():
    optimizer = SGD(make_parameters().items(), lr=0.1)
    optimizer.lr = 0.0
    with pytest.raises(ValueError, match="lr"):
        optimizer.lr = math.nan
    assert optimizer.lr == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_grad_norm_by_hand(dtype):
    tensors = with_gradients([3.0, 0.0], [[4.0]], 12.0, dtype=dtype)  # 9 + 16 + 144 = 13^2
    arrays = [t.grad for t in tensors]
    assert clip_grad_norm(iter([*tensors, Tensor(np.ones(3))]), 6.5) == 13.0
    for t, array, expected in zip(tensors, arrays, ([1.5, 0.0], [[2.0]], 6.0), strict=True):
        assert t.grad is array
        assert t.grad.dtype == dtype
        np.testing.assert_array_equal(t.grad, expected)


@pytest.mark.parametrize("max_norm", [5.0, 5.1, math.inf])
def test_clip_grad_norm_leaves_small_gradients_alone(max_norm):
    (t,) = with_gradients([3.0, -4.0])
    assert clip_grad_norm([t], max_norm) == 5.0
    np.testing.assert_array_equal(t.grad, [3.0, -4.0])


def test_clip_grad_norm_counts_a_shared_parameter_once():
    (t,) = with_gradients([3.0, 4.0])
    assert clip_grad_norm([t, t], 2.5) == 5.0
    np.testing.assert_array_equal(t.grad, [1.5, 2.0])


def test_clip_grad_norm_adds_in_float64():
    (t,) = with_gradients(np.full(100_001, 1e-3), dtype=np.float32)
    t.grad[0] = 3e3  # float32 would lose the other squares: 9e6 + 1e-6
    expected = math.sqrt(9e6 + 100_000 * float(np.float32(1e-3)) ** 2)
    assert clip_grad_norm([t], math.inf) == pytest.approx(expected, rel=1e-14)
    (t,) = with_gradients([1e30, 0.0], dtype=np.float32)  # whose square float32 cannot hold
    assert clip_grad_norm([t], 1.0) == pytest.approx(1e30, rel=1e-7)
    np.testing.assert_allclose(t.grad, [1.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
def test_clip_grad_norm_returns_a_norm_that_is_not_finite_and_touches_nothing(bad):
    tensors = with_gradients([3.0, bad], [4.0])
    assert not math.isfinite(clip_grad_norm(tensors, 1.0))
    np.testing.assert_array_equal(tensors[0].grad, [3.0, bad])
    np.testing.assert_array_equal(tensors[1].grad, [4.0])


def test_clip_grad_norm_of_nothing_is_zero():
    assert clip_grad_norm([Tensor(np.ones(2))], 1.0) == 0.0


def test_clip_grad_value():
    tensors = [*with_gradients([3.0, -4.0, 0.5, math.nan], 9.0, dtype=np.float32), Tensor(np.ones(2))]
    array = tensors[0].grad
    clip_grad_value(tensors, np.float64(1.0))
    assert tensors[0].grad is array
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array([1.0, -1.0, 0.5, math.nan], np.float32))
    assert tensors[1].grad == 1.0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_clip_limits_are_checked(bad):
    with pytest.raises(ValueError, match="max_norm"):
        clip_grad_norm([], bad)
    with pytest.raises(ValueError, match="max_value"):
        clip_grad_value([], bad)


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        (Tensor(np.ones(3), requires_grad=True), "expected several tensors, .* found one Tensor"),  # it has rows
        (nn.Linear(1, 1), "expected several tensors, such as net.parameters.., found one Linear"),
        (None, "found one NoneType"),
        ([np.ones(3)], "found ndarray at place 0"),
    ],
)
def test_what_are_no_parameters_is_refused_by_optimizers_and_clipping_alike(parameters, found):
    for take in (SGD, clip_grad_norm, clip_grad_value):
        with pytest.raises(ValueError, match=f"parameters: .*{found}"):
            take(parameters, 0.1)


def test_gradients_are_clipped_of_parameters_given_by_name():
    p = Tensor(np.zeros(2), requires_grad=True)
    p.grad = np.array([3.0, 4.0])
    assert clip_grad_norm({"p": p}.items(), 1.0) == 5.0
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-15)
    clip_grad_value({"p": p}, 0.7)
    assert p.grad.tolist() == [pytest.approx(0.6), 0.7]


@pytest.mark.parametrize("lr", ["0.1", None, [0.1], np.ones(2)])
def test_a_rate_that_is_no_number_is_named(lr):
    with pytest.raises(ValueError, match="lr: expected a finite number >= 0, found"):
        SGD(make_parameters(), lr)


@pytest.mark.parametrize(("grad", "found"), [([1.0, 1.0], "list"), (2.0, "float")])
def test_a_gradient_that_is_no_array_is_named(grad, found):
    p = Tensor(np.ones(2), requires_grad=True)
    p.grad = grad
    with pytest.raises(ValueError, match=rf"0: expected a gradient of shape \(2,\), found {found}"):
        SGD([p], 0.1).step()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "state of SGD: expected arrays by name, found a NoneType"),
        ({"step": 3}, "state of SGD: step: expected an array of int64, found a int"),
    ],
)
def test_a_state_that_holds_no_arrays_is_named(state, message):
    with pytest.raises(ValueError, match=message):
        SGD(make_parameters(), 0.1).load_state_dict(state)


def test_limits_and_betas_that_are_no_numbers_are_named():
    for clip, name in ((clip_grad_norm, "max_norm"), (clip_grad_value, "max_value")):
        for limit in ("1", None):
            with pytest.raises(ValueError, match=f"{name}: expected a number > 0, found {limit!r}"):
                clip(make_parameters(), limit)
    with pytest.raises(ValueError, match=r"betas: expected two numbers, found 0\.9"):
        Adam(make_parameters(), 0.1, betas=0.9)
