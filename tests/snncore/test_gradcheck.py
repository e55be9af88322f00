"""A checker that never fails proves nothing: wrong gradients of every sort are caught and named."""

from dataclasses import replace

import numpy as np
import pytest

from snncore import Function, GradientError, check_gradients, nn
from snncore.functions import LIF, Abs, Add, Linear, MaxPool2d, Mul, Reshape
from snncore.surrogate import Rectangle, Sigmoid


class Cube(Function):
    """y = x^3, with its gradient times `factor`."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, x):
        self.save(x)
        return x**3

    def backward(self, gy):
        return self.factor * 3 * self.saved[0] ** 2 * gy


class Turn(Function):
    """y = A x, with A^T gy going back; `spoiled` is added to one entry of A^T."""

    def __init__(self, a, spoiled=0.0):
        self.a, self.back = a, a.T.copy()
        self.back[1, 2] += spoiled

    def forward(self, x):
        return self.a @ x

    def backward(self, gy):
        return self.back @ gy


def test_a_user_checks_a_function_of_their_own_in_three_lines():
    error = check_gradients(Cube(), [np.linspace(-1, 1, 7)], rtol=1e-8)
    assert error < 1e-9


@pytest.mark.parametrize("factor", [-1.0, 1.01, 0.0, 1.00001, 1e6])
@pytest.mark.parametrize("full", [True, False])
def test_a_wrong_sign_or_factor_is_caught(rng, factor, full):
    with pytest.raises(GradientError, match="input 0"):
        check_gradients(Cube(factor), [rng.uniform(0.5, 1.5, 5)], full=full)


def test_the_message_names_the_worst_entry_and_both_values():
    # dy[2]/dx[2] is 3 * 2^2 = 12, given as 12.12: the worst of the three
    with pytest.raises(GradientError) as caught:
        check_gradients(Cube(1.01), [np.array([0.5, 1.0, 2.0])], names=["membrane"])
    message = str(caught.value)
    assert message.startswith("membrane: d output[2] / d entry [2]: backward gives 12.12, finite differences 12")
    assert "the difference 0.12 exceeds" in message
    assert "(3 of 9 compared values do)" in message


def test_with_several_outputs_the_message_names_the_output():
    class Pair(Function):
        def forward(self, x):
            return x * 1.0, x * 2.0

        def backward(self, gy, gz):
            return gy + 3 * gz

    with pytest.raises(GradientError, match=r"d output 1\[0\] / d entry \[0\]: backward gives 3, finite differences 2"):
        check_gradients(Pair(), [np.ones(1)])


@pytest.mark.parametrize("full", [True, False])
def test_one_wrong_entry_of_a_jacobian_is_caught(rng, full):
    a = rng.standard_normal((4, 5))
    assert check_gradients(Turn(a), [rng.standard_normal(5)], full=full) < 1e-9
    with pytest.raises(GradientError, match="input 0"):
        check_gradients(Turn(a, spoiled=1e-3), [rng.standard_normal(5)], full=full)


def test_gradients_given_to_the_wrong_input_are_caught(rng):
    class Swapped(Mul):
        def backward(self, gy):
            ga, gb = super().backward(gy)
            return gb, ga

    inputs = [rng.uniform(1, 2, 3), rng.uniform(3, 4, 3)]
    assert check_gradients(Mul(), inputs) < 1e-9
    with pytest.raises(GradientError, match=r"^a: d output"):
        check_gradients(Swapped(), inputs, names=["a", "b"])
    with pytest.raises(GradientError, match=r"^b: d output"):
        check_gradients(Swapped(), inputs, names=["a", "b"], wrt=[1])


@pytest.mark.parametrize("full", [True, False])
def test_a_missing_reset_term_is_caught(rng, full):
    c = rng.normal(1.0, 1.0, (5, 2, 3))  # T = 5: long enough for the reset to be felt later
    assert check_gradients(LIF(0.5, surrogate=Sigmoid(2.0)), [c], relaxed=True, full=full) < 1e-8
    with pytest.raises(GradientError, match=r"^c: "):
        check_gradients(LIF(0.5, surrogate=Sigmoid(2.0), detach_reset=True), [c], names=["c"], relaxed=True, full=full)


def test_a_missing_leak_is_caught(rng):
    class NoLeak(LIF):
        def backward(self, gs, gv=None):
            self.firing = replace(self.firing, decay=1.0)
            return super().backward(gs, gv)

    with pytest.raises(GradientError, match="input 0"):
        check_gradients(NoLeak(0.5), [rng.normal(1.0, 1.0, (5, 3))], relaxed=True)


def test_a_spiking_function_passes_in_relaxed_mode_only(rng):
    c = rng.normal(1.0, 1.0, (3, 4))
    assert check_gradients(LIF(0.5), [c], relaxed=True, rtol=1e-7) < 1e-7
    with pytest.raises(GradientError, match="finite differences 0"):
        check_gradients(LIF(0.5), [c])


def test_a_surrogate_of_another_primitive_is_caught(rng):
    class Mixed(Rectangle):
        def derivative(self, x):
            return Sigmoid(4.0).derivative(x)

    with pytest.raises(GradientError):
        check_gradients(LIF(0.5, surrogate=Mixed()), [rng.normal(1.0, 1.0, (3, 4))], relaxed=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_caught_and_named(bad):
    class Spoiled(Cube):
        def backward(self, gy):
            gx = super().backward(gy)
            gx[1] = bad
            return gx

    with pytest.raises(GradientError, match=rf"d output\[0\] / d entry \[1\]: backward gives {bad}"):
        check_gradients(Spoiled(), [np.ones(3)])
    with pytest.raises(GradientError, match=r"random direction 0: backward gives [-naif]+,"):
        check_gradients(Spoiled(), [np.ones(3)], full=False)


def test_a_forward_that_is_not_finite_is_caught():
    class Nan(Cube):
        def forward(self, x):
            return super().forward(x) * np.nan

    with pytest.raises(GradientError, match="finite differences nan"):
        check_gradients(Nan(), [np.ones(2)])


def test_outputs_cut_off_from_the_tape_are_caught_and_the_input_is_named():
    with pytest.raises(GradientError, match=r"^weight: the outputs do not depend on it"):
        check_gradients(lambda x: x.detach() * 2.0, [np.ones(2)], names=["weight"])


def test_nothing_to_check_is_refused():
    for inputs in ([], [None], [np.ones(2, np.uint8)]):
        with pytest.raises(ValueError, match="no floating-point input to check"):
            check_gradients(Reshape(2), inputs)
    with pytest.raises(ValueError, match="no floating-point input to check"):
        check_gradients(Cube(), [np.ones(2)], wrt=[])


def test_integer_inputs_are_passed_on_and_none_is_left_out(rng):
    x, w = rng.integers(0, 2, (3, 4)).astype(np.uint8), rng.standard_normal((4, 2))
    assert check_gradients(Linear(), [x, w, None]) < 1e-9


def test_float32_inputs_are_checked_in_float64():
    assert check_gradients(Cube(), [np.linspace(-1, 1, 5, dtype=np.float32)], rtol=1e-9, atol=1e-9) < 1e-9


def test_inputs_are_left_as_they_were(rng):
    x = rng.standard_normal(4)
    kept = x.copy()
    check_gradients(Cube(), [x])
    check_gradients(Cube(), [x], full=False)
    np.testing.assert_array_equal(x, kept)


def test_any_callable_on_tensors_may_be_checked(rng):
    a, b = rng.standard_normal((2, 3))
    assert check_gradients(lambda x, y: (x * y + x, (y * 2.0).sum()), [a, b]) < 1e-9
    assert check_gradients(Add(), [a, b], full=False, directions=2, seed=3) < 1e-9


def test_a_tie_of_max_pooling_is_no_derivative_and_is_caught():
    with pytest.raises(GradientError):
        check_gradients(MaxPool2d(2), [np.zeros((1, 2, 2, 1))])


def test_large_inputs_are_checked_along_random_directions(rng):
    x = rng.uniform(0.5, 1.5, 1000)  # a million entries of the Jacobian
    assert check_gradients(Cube(), [x]) < 1e-8
    with pytest.raises(GradientError, match="random direction"):
        check_gradients(Cube(1.001), [x])


def test_an_array_without_entries_is_refused_by_name():
    with pytest.raises(ValueError, match=r"check_gradients: current of shape \(0, 3\) has no entries to check"):
        check_gradients(Cube(), [np.ones((0, 3))], names=["current"])
    with pytest.raises(ValueError, match=r"the outputs, of shapes \[\(0,\)\], have no entries to check"):
        check_gradients(lambda x: x[:0], [np.ones(3)])


def test_spikes_that_are_checked_as_they_are_lead_to_a_hint(rng):
    c = rng.normal(1.0, 0.1, (3, 2))
    with pytest.raises(GradientError, match=r"; LIF spikes: check it with relaxed=True$"):
        check_gradients(LIF(), [c])
    with pytest.raises(GradientError) as caught:
        check_gradients(LIF(detach_reset=True), [c], relaxed=True)  # which drops a term on purpose
    assert "relaxed=True" not in str(caught.value)
    norm, neuron = nn.BatchNorm(2).astype(np.float64), nn.LIF()
    with pytest.raises(GradientError, match=r"BatchNormLIF spikes"):
        check_gradients(lambda x: neuron(x, norm), [c])


@pytest.mark.parametrize("full", [True, False])
def test_a_forward_that_writes_to_its_input_and_a_backward_that_writes_to_its_gradient_are_caught(full):
    class ChangesInput(Cube):
        def forward(self, x):
            x *= 1
            return super().forward(x)

    class ChangesGradient(Cube):
        def backward(self, gy):
            gy *= 1
            return super().backward(gy)

    for function in (ChangesInput(), ChangesGradient()):
        with pytest.raises(GradientError, match="forward writes to an input, or backward to a gradient"):
            check_gradients(function, [np.ones(3)], full=full)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wrt": [2]}, r"wrt: expected places of inputs that are given, among 2, found \[2\]"),
        ({"wrt": [-1]}, r"wrt: .* found \[-1\]"),
        ({"names": ["a"]}, r"names: expected one for each of 2 inputs, found \['a'\]"),
        ({"eps": 0.0}, r"eps: expected a finite number above 0, found 0\.0"),
        ({"eps": -1e-5}, "eps: expected a finite number above 0, found -1e-05"),
        ({"directions": 0, "full": False}, "directions: expected a finite number above 0, found 0"),
        ({"rtol": np.nan}, "rtol: expected a finite number >= 0, found nan"),  # under it, no gradient would be wrong
        ({"atol": np.inf}, "atol: expected a finite number >= 0, found inf"),
    ],
)
def test_a_setting_under_which_nothing_would_be_checked_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        check_gradients(Add(), [np.ones(2), np.ones(2)], **settings)


def test_an_input_that_was_left_out_cannot_be_checked_and_one_alone_may_be_named():
    with pytest.raises(ValueError, match=r"wrt: .* among 3, found \[2\]"):
        check_gradients(Linear(), [np.ones(2), np.ones((2, 2)), None], wrt=[2])
    assert check_gradients(Add(), [np.ones(2), np.ones(2)], wrt=1) < 1e-9


@pytest.mark.parametrize(
    ("function", "inputs", "message"),
    [
        (lambda x: x.data * 2, [np.ones(2)], "a tensor or a tuple of them from function, found ndarray"),
        (lambda x: [x * 2], [np.ones(2)], "a tensor or a tuple of them from function, found list"),
        (lambda x: None, [np.ones(2)], "a tensor or a tuple of them from function, found NoneType"),
        (3, [np.ones(2)], "a function and a list of its inputs, found int and list"),
        (Abs(), None, "a function and a list of its inputs, found Abs and NoneType"),
        (Abs(), [np.ma.masked_equal([1.0, 2.0], 1)], "an array without a mask, found 1 of 2 entries masked"),
    ],
)
def test_what_cannot_be_checked_is_named(function, inputs, message):
    with pytest.raises(TypeError, match=f"expected {message}"):
        check_gradients(function, inputs)
