"""Rule `training`: forward, backward, optimizer, by hand; rule `exact-dram`; prices of small precisions."""

from collections import Counter

import numpy as np
import pytest

from snncore import CostError, Tensor, at_timestep, count_ops, optim
from snncore import functions as F
from snncore.energy import Prices, apply_rule, load_prices
from tests.snncore.energy.test_rules import run

SPIKES = np.zeros((2, 1, 4), np.uint8)
SPIKES[0, 0, :2] = SPIKES[1, 0, 0] = 1


def step(optimizer=optim.SGD, backward=True):
    """3 -> 4 on analog input and 4 -> 5 on three events, two timesteps, one sample, and a step over 32 weights."""
    w, v = (Tensor(np.ones(shape, np.float32), requires_grad=True) for shape in ((3, 4), (4, 5)))
    chosen = optimizer([w, v], 0.1) if optimizer else None
    with count_ops(backward=backward, samples=1) as ops:
        y = F.Linear()(Tensor(np.full((2, 1, 3), 0.5, np.float32)), w)
        z = F.Linear()(Tensor(SPIKES), v)
        for out in (y, z):
            out.backward(np.ones(out.shape, np.float32))
        if chosen:
            optim.add_step(ops, chosen)
    return ops


def test_a_step_by_hand():
    reading = apply_rule("training", step())
    forward = 24 * 4.6 + 15 * 0.9
    backward = 24 * 4.6 + 15 * 0.9  # gradients of weights alone: as many products, and sums over the same events
    optimizer = 32 * (3.7 + 0.9)
    assert reading.extra["forward_mj"] * 1e9 == pytest.approx(forward, rel=1e-12)
    assert reading.extra["backward_mj"] * 1e9 == pytest.approx(backward, rel=1e-12)
    assert reading.extra["optimizer_mj"] * 1e9 == pytest.approx(optimizer, rel=1e-12)
    assert reading.energy_mj * 1e9 == pytest.approx(forward + backward + optimizer, rel=1e-12)
    assert (reading.mac, reading.ac) == (48, 30)
    assert reading.by_layer()["optimizer"] * 1e9 == pytest.approx(optimizer, rel=1e-12)
    assert reading.notes == []


def test_what_was_not_counted_is_named():
    notes = apply_rule("training", step(optimizer=None, backward=False)).notes
    assert [note.split(" was")[0] for note in notes] == ["no backward pass", "no optimizer"]
    adam = apply_rule("training", step(optim.Adam))
    assert adam.notes == ["32 exponentials, roots and derivatives have no price in horowitz-45nm-fp32"]
    assert adam.extra["optimizer_mj"] * 1e9 == pytest.approx(32 * (7 * 3.7 + 5 * 0.9), rel=1e-12)


@pytest.mark.parametrize("loop", [False, True])
def test_membranes_that_are_kept(loop):
    current = np.ones((3, 2, 5), np.float32)
    with count_ops(samples=2) as ops:
        if loop:
            for t in range(3):
                with at_timestep(t):
                    F.LIF(0.5, 1.0)(current[t : t + 1])
        else:
            F.LIF(0.5, 1.0)(current)
    extra = apply_rule("training", ops).extra
    assert (extra["membrane_bytes"], extra["membrane_bytes_forward"]) == (3 * 2 * 5 * 4, 2 * 5 * 4)


DONE = Counter()


def counting(kind, apply):
    """A method of `Scalar` that counts itself."""

    def method(self, other=0.0):
        DONE[kind] += 1
        return Scalar(apply(self.value, getattr(other, "value", other)))

    return method


class Scalar:
    """A number that counts what is done with it."""

    def __init__(self, value):
        self.value = value

    __add__ = __radd__ = counting("add", lambda a, b: a + b)
    __sub__ = counting("add", lambda a, b: a - b)
    __mul__ = __rmul__ = counting("mul", lambda a, b: a * b)
    __truediv__ = counting("mul", lambda a, b: a / b)
    sqrt = counting("special", lambda a, _: a**0.5)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {}),
        ("SGD", {"weight_decay": 0.1}),
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
        ("Adam", {}),
        ("Adam", {"betas": (0.3, 0.9)}),
        ("Adam", {"weight_decay": 0.1}),
        ("AdamW", {}),
        ("AdamW", {"weight_decay": 0.0}),
    ],
)
def test_an_optimizer_states_what_its_update_does(kind, options):
    """The update itself runs on numbers that count; a step states that for each entry of what has a gradient."""
    w, still = Tensor(np.ones((2, 3), np.float32), requires_grad=True), Tensor(np.ones(4, np.float32))
    optimizer = getattr(optim, kind)([w, still], 0.1, **options)
    names = {"SGD": ("momentum",), "Adam": ("exp_avg", "exp_avg_sq"), "AdamW": ("exp_avg", "exp_avg_sq")}[kind]
    w_, g, *averages = (np.array([Scalar(0.5)], object) for _ in range(2 + len(names)))
    DONE.clear()
    optimizer._update_block(w_, g, dict(zip(names, averages, strict=True)), 1)
    assert optimizer._entry_cost() == DONE
    assert optimizer.cost().totals() == {}  # no gradient yet
    w.grad = np.ones((2, 3), np.float32)
    assert optimizer.cost().totals() == {f"opt_{name}": 6 * n for name, n in DONE.items()}


def test_an_optimizer_without_a_cost_is_named():
    class Sign(optim.Optimizer):
        def _update(self, name, w, g):
            w -= self.lr * np.sign(g)

    with pytest.raises(CostError, match="Sign states no cost and cannot be counted; give it a method _entry_cost"):
        Sign([Tensor(np.ones(2, np.float32))], 0.1).cost()


def test_dram_holds_what_no_sram_does():
    """The second convolution has 72 bytes of weights and its map 72; an SRAM of 50 holds the head and the first."""
    prices = Prices("mine", "p", "s", 1.0, 1.0, 1.0, 1.0, None, 4, ((50.0, 8.0),), 400.0)
    ops = run()
    memory, dram = apply_rule("exact-memory", ops, prices), apply_rule("exact-dram", ops, prices)
    weights = (9 + 4) * 2 * 4
    state = 54 * 4  # 36 writes and 18 reads of a map of 72 bytes
    assert (dram.energy_mj - memory.energy_mj) * 1e9 == pytest.approx((weights + state) * (100 - 2), rel=1e-12)
    assert dram.extra["dram_layers"] == ["Conv2d", "LIF"]
    assert any("2 layers hold more" in note for note in memory.notes)
    assert not any("priced too low" in note for note in dram.notes)


def test_weights_and_membranes_have_the_bits_of_the_table():
    """A table of 8 bits reads a quarter of the bytes, from a memory of a quarter of the size."""
    wide = Prices("mine", "p", "s", 1.0, 1.0, 1.0, 1.0, None, 4, ((1e6, 8.0),), 400.0)
    narrow = Prices("mine", "p", "s", 1.0, 1.0, 1.0, 1.0, None, 4, ((1e6, 8.0),), 400.0, bits=8)
    ops = run()
    parts = [apply_rule("exact-memory", ops, prices).by_part() for prices in (wide, narrow)]
    for part in ("memory: weights", "memory: state"):
        assert parts[1][part] == pytest.approx(parts[0][part] / 16, rel=1e-12)
    assert parts[1]["memory: spikes"] == parts[0]["memory: spikes"]


@pytest.mark.parametrize(("name", "bits", "figures"), [("int8", 8, (0.23, 0.03, 0.2)), ("fp16", 16, (1.5, 0.4, 1.1))])
def test_small_precisions_of_horowitz(name, bits, figures):
    """ISSCC 2014: addition and multiplication 0.03 and 0.2 pJ at 8 bits, 0.4 and 1.1 pJ in half precision."""
    prices = load_prices(f"horowitz-45nm-{name}")
    assert (prices.mac, prices.add, prices.mul) == figures
    assert prices.mac == pytest.approx(prices.mul + prices.add)
    assert prices.bits == bits
    assert (load_prices().bits, load_prices("horowitz-45nm-int32").bits) == (32, 32)
