"""Arrays without entries, with one axis or with one entry too many: computed in every kernel, or refused by name."""

import numpy as np
import pytest

from snncore import Tensor, arithmetic, count_ops
from snncore import functions as F
from snncore.kernels.choice import use_kernels
from tests.snncore.calls import differentiate

f32 = np.float32
W = np.ones((3, 3, 2, 4), f32)


def zeros(*shape):
    return np.zeros(shape, f32)


@pytest.fixture(params=[("auto", "float32"), ("auto", "exact"), ("reference", "float32"), ("reference", "exact")])
def way(request):
    kernels, sums = request.param
    with use_kernels(kernels), arithmetic(sums):
        yield


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (F.Conv2d(1, 1), [zeros(3, 0, 5, 5, 2), W, zeros(4)]),
        (F.Conv2d(1, 2, 2), [zeros(3, 0, 5, 5, 2), W, zeros(4)]),  # dilated
        (F.GroupedConv2d(1, 1), [zeros(3, 0, 5, 5, 4), W, zeros(4)]),
        (F.GroupedConv2d(1, 1), [zeros(3, 0, 5, 5, 4).astype(np.uint8), W[:, :, :1], zeros(4)]),
        (F.Conv1d(1, 1), [zeros(3, 0, 5, 2), W[0], zeros(4)]),
        (F.Linear(), [zeros(3, 0, 2), W[0, 0], zeros(4)]),
        (F.MaxPool2d(2), [zeros(3, 0, 4, 4, 2)]),
        (F.AvgPool2d(2), [zeros(3, 0, 4, 4, 2)]),
    ],
)
def test_no_samples_give_no_outputs_and_gradients_of_zero(way, function, inputs):
    ndim = inputs[0].ndim
    y = function(*inputs).data
    assert y.ndim == ndim
    assert y.shape[:2] == (3, 0)
    _, gradients = differentiate(function, inputs, [np.ones(y.shape, f32)])
    for x, g in zip(inputs, gradients, strict=True):
        assert g.shape == x.shape
        assert not g.any()


def test_a_layer_without_outputs_goes_back(way):
    (y,), (gx, gw, gb) = differentiate(F.Linear(), [np.ones((2, 3), f32), zeros(3, 0), zeros(0)], [zeros(2, 0)])
    assert y.shape == (2, 0)
    assert gx.tolist() == [[0.0] * 3] * 2
    assert (gw.shape, gb.shape) == ((3, 0), (0,))


@pytest.mark.parametrize(
    ("function", "inputs", "message"),
    [
        (
            F.Conv2d(1, 1),
            [zeros(1, 2, 0, 5, 2), W],
            r"Conv2d: expected x and w with pixels, .* x \(1, 2, 0, 5, 2\) and",
        ),
        (F.Conv2d(1, 1), [zeros(2, 5, 5, 0), zeros(3, 3, 0, 4)], r"Conv2d: .* w \(3, 3, 0, 4\)"),
        (F.Conv2d(1, 1), [zeros(2, 5, 5, 2), zeros(0, 3, 2, 4)], r"Conv2d: .* w \(0, 3, 2, 4\)"),
        (F.GroupedConv2d(1, 1), [zeros(2, 0, 5, 2), W], r"GroupedConv2d: .* x \(2, 0, 5, 2\)"),
        (F.MaxPool2d(1), [zeros(2, 4, 4, 0)], r"MaxPool2d: .* found \(2, 4, 4, 0\)"),
        (F.AvgPool2d(2, padding=1), [zeros(2, 0, 4, 2)], r"AvgPool2d: .* found \(2, 0, 4, 2\)"),
        (F.MSE(), [zeros(0, 3), zeros(0, 3)], r"MSE: expected predictions of at least one sample .* \(0, 3\)"),
        (F.CrossEntropy(), [zeros(0, 3), np.zeros(0, int)], r"CrossEntropy: .* at least one sample .* \(0, 3\)"),
        (F.CrossEntropy(), [zeros(2, 0), np.zeros(2, int)], r"CrossEntropy: .* and class, found \(2, 0\)"),
        (F.Softmax(), [zeros(2, 0)], r"Softmax: expected at least one entry along axis -1, found x \(2, 0\)"),
        (F.BatchNorm(zeros(0), zeros(0)), [zeros(5, 0), zeros(0), zeros(0)], r"BatchNorm: .* one channel, .*\(5, 0\)"),
        (F.BatchNormLIF(zeros(3), zeros(3)), [zeros(3)] * 3, r"BatchNormLIF: .* at least two axes, found \(3,\)"),
        (
            F.MLIF(),
            [zeros(0, 1, 2), zeros(1, 1, 2), zeros(), zeros()],
            r"MLIF: expected o_a .* timestep, found \(0, 1, 2\)",
        ),
        (F.MLIF(), [zeros(1, 2), zeros(1, 2), zeros(), zeros(2)], r"MLIF: expected alpha_v of one entry, .* \(2,\)"),
        (F.PLIF(), [zeros(1, 2), zeros(2)], r"PLIF: expected w of one entry, found shape \(2,\)"),
        (F.Sum((0, -1)), [zeros(2)], r"Sum: expected axes of an array of shape \(2,\), each once, found \(0, -1\)"),
    ],
)
def test_what_has_no_answer_is_refused_in_one_sentence_by_all_kernels(way, function, inputs, message):
    with pytest.raises(ValueError, match=message):
        function(*inputs)


def test_the_mean_over_no_axis_left_out_keeps_its_bits(rng):
    x = rng.normal(size=(3, 4))
    assert F.Sum(())(x).data.tolist() == x.tolist()
    assert F.Sum((0, -1))(x).data == x.sum(axis=(0, 1))


def test_currents_with_no_axis_but_time_go_on_from_a_membrane(way):
    lif = F.LIF(decay=0.5, return_state=True)
    c, v0 = np.array([0.5, 0.25], f32), np.array(1.0, f32)
    (s, v), (gc, gv0) = differentiate(lif, [c, v0], [None, np.array(1.0, f32)])
    assert s.tolist() == [1, 0]  # 0.5 + 0.5 fires and leaves 0
    assert v == f32(0.25)
    assert (gc.shape, gv0.shape) == ((2,), ())


def test_one_entry_a_channel_is_normalised_in_evaluation_by_all_kernels(way):
    norm = F.BatchNorm(np.array([1, 2], f32), np.array([4, 4], f32), training=False, eps=0.0)
    (y,), (gx, ggamma, gbeta) = differentiate(norm, [np.array([3, 2], f32)] + [np.ones(2, f32)] * 2, [np.ones(2, f32)])
    assert y.tolist() == [2.0, 1.0]
    assert gx.tolist() == [0.5, 0.5]
    assert ggamma.tolist() == [1.0, 0.0]
    assert gbeta.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("alpha", "scaled"), [(0.5, 4), (1.0, 0)])
def test_an_alpha_of_shape_1_is_counted_as_one_of_no_axes(alpha, scaled):
    counts = []
    for shape in ((), (1,)):
        with count_ops() as ops:
            F.MLIF()(*[np.ones((2, 1, 1), f32)] * 2, *[np.full(shape, alpha, f32)] * 2)
        counts.append(ops.totals())
    assert counts[0] == counts[1]
    assert counts[0]["alpha_mul"] == scaled


def test_a_step_of_integers_is_refused_as_it_is_asked_for():
    with pytest.raises(TypeError, match=r"Fire: expected x to be floating point, found int64 of shape \(2,\)"):
        F.Fire()(Tensor(np.array([1, -1]), requires_grad=True))
