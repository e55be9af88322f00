"""What other readings leave out: zeros, repeated timesteps, means of spikes; equal to the scalar interpreter's."""

import numpy as np
import pytest

from snncore import Tensor, at_timestep, count_ops, nn, no_grad
from snncore import functions as F
from snncore.opcount import conv_taps, weights_cost
from snncore.opcount.events import Events, count_analog
from snncore.opcount.origin import Origin, repeated_cells
from snncore.opcount.spared import effective_facts, met_zeros, unit_cells, zeros_of_conv, zeros_of_linear
from tests.reference.exact import check, record
from tests.support import double

SHAPE = (3, 2, 4, 5, 4)  # [T, N, H, W, C]


def pruned(rng, *shape):
    w = rng.standard_normal(shape).astype(np.float32)
    return w * (rng.random(shape) < 0.6)


def still(rng, dtype, shape=SHAPE):
    """Frames of which the first sample never changes, and the second once."""
    x = rng.integers(0, 3, shape).astype(dtype) * (rng.random(shape) < 0.5).astype(dtype)
    x[1:, 0] = x[0, 0]
    x[2, 1] = x[1, 1]
    return x


LAYERS = {
    "conv": lambda rng: (F.Conv2d((2, 1), (1, 2)), pruned(rng, 3, 2, 4, 5)),
    "dilated": lambda rng: (F.Conv2d(1, 1, (2, 1)), pruned(rng, 2, 2, 4, 3)),
    "grouped": lambda rng: (F.GroupedConv2d(1, 1), pruned(rng, 3, 3, 2, 6)),
    "depthwise": lambda rng: (F.GroupedConv2d(2, 0), pruned(rng, 2, 2, 1, 4)),
    "linear": lambda rng: (F.Linear(), pruned(rng, 4, 3)),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("layer", LAYERS)
def test_pruned_weights_and_repeated_frames(layer, dtype, rng):
    function, w = LAYERS[layer](rng)
    b = np.ones(w.shape[-1], np.float32)
    calls, ops = record(lambda: function(still(rng, dtype), w, b))
    assert check(calls, ops) == 1
    kind = "ac" if dtype == np.uint8 else "mac"
    found = ops.totals()
    done = found["ac_binary"] + found["ac_graded"] + found["mac"]
    both = found[f"{kind}_repeated"] + found[f"{kind}_zero_weight"]
    assert 0 < found[f"{kind}_repeated"] < done
    assert 0 < found[f"{kind}_zero_weight"] < done
    assert max(found[f"{kind}_repeated"], found[f"{kind}_zero_weight"]) < found[f"{kind}_spared"] < done
    assert kind == "mac" or found["ac_spared"] < both  # what is both is spared once
    assert found["add_repeated"] == found["bias_add"] // 2  # 3 of 6 cells repeat


WAYS = {
    "pooled": (F.AvgPool2d(2), True),
    "pooled twice": (lambda s: F.AvgPool2d(2)(F.AvgPool2d(1)(s)), True),
    "scaled": (lambda s: F.AvgPool2d(2)(s) * 0.5, True),
    "joined": (lambda s: F.Concat(-1)(*[F.AvgPool2d(2)(s)[..., :2]] * 2), True),
    "cast": (F.Cast(np.float32), True),
    "largest": (lambda s: F.MaxPool2d(2)(F.AvgPool2d(1)(s)), True),
    "shifted": (lambda s: F.AvgPool2d(2)(s) + 1.0, False),
    "weighted": (lambda s: F.AvgPool2d(2)(s) * np.ones(4, np.float32), False),
    "product": (lambda s: F.AvgPool2d(2)(s) * F.AvgPool2d(2)(s), False),
    "rectified": (lambda s: F.ReLU()(F.AvgPool2d(2)(s)), False),
}


@pytest.mark.parametrize("way", WAYS)
def test_means_of_spikes_are_known_as_such(way, rng):
    between, known = WAYS[way]
    conv = nn.Conv2d(4, 3, 2, 1, 0, rng=rng)

    def run():
        s = nn.LIF(v_threshold=0.5)(Tensor(rng.normal(0, 1, SHAPE).astype(np.float32)))
        conv(between(s))

    calls, ops = record(run)
    assert check(calls, ops) >= 2
    found = ops.totals()
    assert found["mac"] > 0
    assert found["mac_averaged"] == (found["mac"] if known else 0)
    assert found["mac_averaged_nonzero"] == (found["mac_nonzero"] if known else 0)
    assert found["mac_averaged_left"] == (found["mac"] - found["mac_spared"] if known else 0)


def test_a_static_image_is_repeated_however_it_comes_and_batch_normalisation_with_it(rng):
    conv, norm = nn.Conv2d(1, 3, 3, 1, 1, bias=False, rng=rng), nn.BatchNorm(3).eval()
    fire, second = nn.LIF(v_threshold=0.1), nn.Conv2d(3, 3, 3, 1, 1, rng=rng)
    image = rng.normal(1, 1, (2, 4, 4, 1)).astype(np.float32)

    def of(x):
        return second(fire(norm(conv(x))))

    calls, whole = record(lambda: of(Tensor(np.stack([image] * 4))))
    check(calls, whole)
    stacked = count(lambda: of(F.Stack(0)(*[Tensor(image)] * 4) * 2.0))
    fire.stateful = True

    def loop():
        for t in range(4):
            with at_timestep(t):
                of(Tensor(image[None]))

    looped = count(loop)
    for ops in (whole, stacked, looped):
        found = ops.totals()
        assert found["mac_repeated"] == found["mac"] * 3 // 4 > 0
        assert found["add_repeated"] == 2 * 16 * 3 * 3  # of the batch normalisation; the second layer has spikes
        assert ops.by_timestep("mac_repeated") == [0, *[found["mac"] // 4] * 3]
    moving = rng.normal(1, 1, (4, 2, 4, 4, 1)).astype(np.float32)
    fire.reset()
    found = count(lambda: of(Tensor(moving))).totals()
    assert (found["mac_repeated"], found["add_repeated"]) == (0, 0)


def count(run):
    with no_grad(), count_ops(samples=2) as ops:
        run()
    return ops


def test_a_layer_of_ones_own_that_tells_no_zeros_spares_none(rng):
    x, w = np.ones((2, 1, 3, 3, 1), np.uint8), np.zeros((2, 2, 1, 1), np.float32)
    cost = weights_cost("Own", x, np.zeros((2, 1, 2, 2, 1)), w, None, 1, conv_taps((3, 3), (2, 2), (1, 1)))
    assert cost.totals()["ac_binary"] == 2 * 16
    assert not {"ac_zero_weight", "ac_spared"} & set(cost.totals())


@pytest.mark.parametrize(("decay", "shifts"), [(0.5, True), (0.125, True), (0.0, True), (0.4, False), (1.0, False)])
def test_a_decay_of_a_power_of_two_is_a_shift(decay, shifts):
    found = count(lambda: F.LIF(decay)(np.ones((3, 2, 4), np.float32))).totals()
    assert found["leak_mul"] == (16 if decay != 1 else 0)
    assert found["leak_shift"] == (16 if shifts else 0)


@pytest.mark.parametrize(("alpha", "scales"), [(1.0, 0), (0.5, 2 * 3 * 2 * 4)])
def test_an_alpha_of_one_multiplies_nothing(alpha, scales):
    x, a = np.ones((3, 2, 2, 1, 2), np.uint8), np.float32(alpha)
    found = count(lambda: F.MLIF()(x, x, np.array(a), np.array(a))).totals()
    assert (found["alpha_mul"], found["alpha_folded_mul"]) == (scales, 0)


class PrunedThatForgetsBorders(F.Conv2d):
    """Counts for each event all zeros of the window, wherever it stands."""

    def cost(self, inputs, outputs):
        x, w, _ = inputs
        cost = super().cost(inputs, outputs)
        cost.blocks[0][1]["ac_zero_weight"] = np.array((x != 0).sum(axis=(2, 3, 4)) * int((w == 0).sum()))
        return cost


def test_a_wrong_count_of_zeros_is_caught(rng, monkeypatch):
    monkeypatch.setattr(PrunedThatForgetsBorders, "name", "Conv2d")
    x = (rng.random((2, 2, 3, 3, 1)) < 0.5).astype(np.uint8)
    calls, ops = record(lambda: PrunedThatForgetsBorders(1, 1)(x, pruned(rng, 3, 3, 1, 2), None))
    with pytest.raises(AssertionError, match="Conv2d"):
        check(calls, ops)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_spared_is_found_on_arrays_of_a_gpu_too(dtype, rng):
    x, w, flat = still(rng, dtype), pruned(rng, 3, 3, 2, 6), pruned(rng, 4, 3)
    seen = Events(*(np.arange(6).reshape(3, 2) for _ in range(3)), (15, 15, 15))

    def found(as_array):
        x_there, w_there = as_array(x), as_array(w)
        zeros = zeros_of_conv(w_there, (4, 5), 4, (1, 1), (1, 1))
        met = met_zeros(x_there, (3, 2), zeros)
        repeated = repeated_cells(x_there, (3, 2), Origin(outside=True, before=x_there))
        units = unit_cells(count_analog(x_there, (3, 2))) if x.dtype.kind == "f" else None
        facts = effective_facts(units, (3, 2), seen, seen, 0)
        return [zeros, zeros_of_linear(as_array(flat)), met, repeated, *facts.values()]

    expected = found(np.asarray)
    assert expected[3].tolist() == [[True, False], [True, False], [True, True]]
    with double.installed() as cupy:
        there = found(cupy.asarray)
    for y, right in zip(there, expected, strict=True):
        assert type(y) is type(right)
        np.testing.assert_array_equal(y, right)
