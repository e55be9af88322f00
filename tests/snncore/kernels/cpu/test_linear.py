"""Rows of spikes times a matrix, by lists of events: agreement with float64, and which calls take that way."""

import numpy as np
import pytest

from snncore.functions import Linear, MatMul
from snncore.kernels import reference
from snncore.kernels.cpu import conv_event, conv_event_weight, linear
from tests.snncore.calls import differentiate
from tests.snncore.kernels.agreement import assert_agrees

BOUND = 3e-6


@pytest.fixture
def taken(monkeypatch):
    """Names of the kernels that ran."""
    names = []
    for where, function, name in [
        (conv_event, "conv_forward", "events"),
        (conv_event_weight, "conv_backward_weight", "events"),
        (reference, "linear_forward", "dense"),
        (reference, "linear_backward_weight", "dense"),
    ]:
        run = getattr(where, function)
        monkeypatch.setattr(where, function, lambda *a, run=run, name=name: names.append(name) or run(*a))
    return names


def spikes(rng, shape, density, largest=1):
    return ((rng.random(shape) < density) * rng.integers(1, largest + 1, shape)).astype(np.uint8)


@pytest.mark.parametrize(
    ("lead", "ci", "co", "density", "largest"),
    [((4, 64), 70, 33, 0.2, 1), ((131,), 64, 10, 0.1, 3), ((2, 3, 8), 5, 130, 0.5, 2), ((1,), 200, 64, 0.0, 1)],
)
def test_events_agree_with_float64(rng, monkeypatch, taken, lead, ci, co, density, largest):
    monkeypatch.setenv("SNNCORE_KERNELS", "event")
    x = spikes(rng, (*lead, ci), density, largest)
    w = rng.standard_normal((ci, co)).astype(np.float32)
    gy = rng.standard_normal((*lead, co)).astype(np.float32)
    y, gw = linear.linear_forward(x, w), linear.linear_backward_weight(x, gy)
    assert "events" in taken
    assert y.dtype == gw.dtype == np.float32
    wide = x.astype(np.float64)
    assert_agrees(y, wide @ w.astype(np.float64), BOUND)
    if co >= linear.NARROWEST:
        assert taken == ["events", "events"]
    assert_agrees(gw, wide.reshape(-1, ci).T @ gy.reshape(-1, co).astype(np.float64), BOUND)


@pytest.mark.parametrize(
    ("rows", "ci", "co", "density", "forward", "weight"),
    [
        (1024, 256, 256, 0.1, "events", "events"),
        (1024, 256, 256, 0.38, "events", "dense"),
        (1024, 256, 256, 0.6, "dense", "dense"),
        (128, 64, 64, 0.05, "dense", "dense"),
        (4096, 512, 10, 0.1, "events", "dense"),
    ],
)
def test_the_way_is_chosen_by_size_and_density(rng, taken, rows, ci, co, density, forward, weight):
    x = spikes(rng, (rows, ci), density)
    linear.linear_forward(x, np.ones((ci, co), np.float32))
    linear.linear_backward_weight(x, np.ones((rows, co), np.float32))
    assert taken == [forward, weight]


@pytest.mark.parametrize("kind", ["float32 spikes", "float64 weights", "large values", "dense forced"])
def test_what_events_are_not_for_goes_to_the_reference(rng, monkeypatch, taken, kind):
    x = spikes(rng, (1024, 256), 0.1, 200 if kind == "large values" else 1)
    x = x.astype(np.float32) if kind == "float32 spikes" else x
    monkeypatch.setenv("SNNCORE_KERNELS", "dense" if kind == "dense forced" else "auto")
    w = rng.standard_normal((256, 64)).astype(np.float64 if kind == "float64 weights" else np.float32)
    y = linear.linear_forward(x, w)
    assert taken == ["dense"]
    np.testing.assert_array_equal(y, x.astype(w.dtype) @ w)


def test_the_result_does_not_depend_on_the_memory_layout(rng):
    x = spikes(rng, (4, 256, 128), 0.1)
    w = rng.standard_normal((128, 64)).astype(np.float32)
    gy = rng.standard_normal((4, 256, 64)).astype(np.float32)
    for function in (Linear(), MatMul()):
        (y,), gradients = differentiate(function, [x, w], [gy])
        views = [np.asfortranarray(x), np.asfortranarray(w)]
        (other,), others = differentiate(function, views, [np.asfortranarray(gy)])
        np.testing.assert_array_equal(other, y)
        np.testing.assert_array_equal(others[1], gradients[1])


def test_no_rows_and_no_outputs_are_no_error():
    assert linear.linear_forward(np.zeros((0, 3), np.uint8), np.ones((3, 2), np.float32)).shape == (0, 2)
    gw = linear.linear_backward_weight(np.zeros((0, 3), np.uint8), np.ones((0, 2), np.float32))
    np.testing.assert_array_equal(gw, np.zeros((3, 2)))
    assert linear.linear_forward(np.ones((2, 3), np.uint8), np.ones((3, 0), np.float32)).shape == (2, 0)
