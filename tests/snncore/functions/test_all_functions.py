"""What holds for every function: types, purity, memory layout, repetition."""

import copy

import numpy as np
import pytest

from snncore import Tensor, functions, no_grad, observe
from snncore.tape import Function
from tests.snncore.calls import differentiate, like
from tests.snncore.functions.cases import CASES

every_function = pytest.mark.parametrize("name", CASES)
takes_spikes = pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.spikes])


def run(name, dtype=np.float32, spikes=()):
    """Return (call, inputs, outputs, output gradients) of one recorded call: `call.backward` is still to be called."""
    case = CASES[name]
    inputs = case.inputs(dtype, spikes)
    calls = []
    with observe(lambda call, _, outputs: calls.append((call, outputs))):
        copy.deepcopy(case.function)(
            *(Tensor(x, requires_grad=x.dtype.kind == "f" or i in spikes) for i, x in enumerate(inputs))
        )
    ((call, outputs),) = calls
    return call, inputs, outputs, [g.astype(dtype) for g in like(np.random.default_rng(2), *outputs)]


def several(x):
    return x if isinstance(x, tuple) else (x,)


def backward(call, gys):
    return several(call.backward(*gys))


def test_every_function_has_a_case():
    covered = {type(case.function).__name__ for case in CASES.values()}
    offered = {name for name in functions.__all__ if issubclass(getattr(functions, name), Function)}
    assert covered == offered


@every_function
def test_outputs_are_arrays_also_where_they_have_one_entry(name):
    _, _, outputs, _ = run(name)
    assert [type(y) for y in outputs] == [np.ndarray] * len(outputs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_function
def test_types_stay_what_they_are(name, dtype):
    call, _, outputs, gys = run(name, dtype)
    spikes = 0 if not call.spiking else 2 if isinstance(call, functions.MLIF) else 1
    given = np.float32 if isinstance(call, functions.Cast) else dtype
    assert [y.dtype for y in outputs] == [np.dtype(np.uint8 if i < spikes else given) for i in range(len(outputs))]
    assert {g.dtype for g in backward(call, gys) if g is not None} == {np.dtype(dtype)}


@takes_spikes
def test_spikes_as_bytes_give_what_the_same_numbers_as_floats_give(name, monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")  # compiled convolutions add events in another order
    case = CASES[name]
    _, _, outputs, gys = run(name)
    _, expected = differentiate(copy.deepcopy(case.function), case.inputs(np.float32), gys)
    found, gradients = differentiate(copy.deepcopy(case.function), case.inputs(np.float32, case.spikes), gys)
    for y, right in zip(found, outputs, strict=True):
        np.testing.assert_array_equal(y, right)
        assert y.dtype in (np.uint8, np.float32)
    for g, right in zip(gradients, expected, strict=True):
        if right is not None:
            np.testing.assert_array_equal(g, right)
            assert g.dtype == np.float32


AT_ZERO = ("Log", "Sqrt")  # have no value or no slope at 0, and refuse spikes in a test of their own


@pytest.mark.parametrize(
    "name",
    [name for name, case in CASES.items() if 0 not in case.spikes and case.shapes[0] and name not in AT_ZERO],
)
def test_spikes_where_floats_are_wanted_are_refused_by_type_or_taken_as_floats(name):
    case = CASES[name]
    inputs = case.inputs(np.float32)
    inputs[0] = np.random.default_rng(3).integers(0, 2, inputs[0].shape).astype(np.float32)
    _, _, _, gys = run(name)
    outputs, gradients = differentiate(copy.deepcopy(case.function), inputs, gys)
    refusal = None
    try:
        spikes = [inputs[0].astype(np.uint8), *inputs[1:]]
        found, found_gradients = differentiate(copy.deepcopy(case.function), spikes, gys)
    except (TypeError, ValueError) as error:
        refusal = str(error)
    if refusal is not None:
        assert "uint8" in refusal
        return
    for y, right in zip((*found, *found_gradients), (*outputs, *gradients), strict=True):
        if right is not None:
            np.testing.assert_allclose(y, right, rtol=1e-6, atol=1e-6)
    assert {g.dtype for g in found_gradients if g is not None} == {np.dtype(np.float32)}


@every_function
def test_forward_reads_its_inputs_and_backward_its_gradients_only(name):
    case = CASES[name]
    inputs = case.inputs(np.float32, case.spikes)
    gys = run(name, spikes=case.spikes)[3]
    before = [x.copy() for x in (*inputs, *gys)]
    calls = []
    with observe(lambda call, _, outputs: calls.append((call, outputs))):
        copy.deepcopy(case.function)(*(Tensor(x, requires_grad=True) for x in inputs))
    ((call, outputs),) = calls
    made = [y.copy() for y in outputs]
    backward(call, gys)
    for x, kept in zip((*inputs, *gys, *outputs), (*before, *made), strict=True):
        np.testing.assert_array_equal(x, kept)


@every_function
def test_inputs_and_gradients_in_any_memory_layout_give_the_same_numbers(name):
    def apart(x):
        """The same array as every other entry along the axes of a larger one, in Fortran order."""
        if not x.ndim:
            return x
        room = np.zeros([2 * n for n in x.shape], x.dtype, order="F")
        view = room[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        return view

    case = CASES[name]
    inputs = case.inputs(np.float64, case.spikes)
    _, _, _, gys = run(name, np.float64, case.spikes)
    outputs, gradients = differentiate(copy.deepcopy(case.function), inputs, gys)
    other = differentiate(copy.deepcopy(case.function), [apart(x) for x in inputs], [apart(g) for g in gys])
    tolerance = 1e-6 if isinstance(case.function, functions.Cast | functions.BatchNorm) else 1e-13
    for found, expected in zip((*other[0], *other[1]), (*outputs, *gradients), strict=True):
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@every_function
def test_backward_twice_gives_the_same_gradients(name):
    call, _, _, gys = run(name)
    first = [None if g is None else g.copy() for g in backward(call, gys)]
    for found, expected in zip(backward(call, gys), first, strict=True):
        if expected is not None:
            np.testing.assert_array_equal(found, expected)


@every_function
def test_a_call_leaves_the_function_as_it_was(name):
    case = CASES[name]
    function = copy.deepcopy(case.function)
    settings = copy.deepcopy(vars(function))
    first = function(*(Tensor(x, requires_grad=x.dtype.kind == "f") for x in case.inputs(np.float32)))
    if not isinstance(function, functions.BatchNorm):  # whose running statistics move, as they should
        assert vars(function) == settings
    second = function(*case.inputs(np.float32))
    for a, b in zip(several(first), several(second), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@every_function
def test_without_the_tape_the_numbers_are_the_same(name):
    case = CASES[name]
    _, inputs, outputs, _ = run(name)
    with no_grad():
        found = copy.deepcopy(case.function)(*(Tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs))
    for y, expected in zip(several(found), outputs, strict=True):
        assert not y.requires_grad
        assert y.node is None
        np.testing.assert_array_equal(y.data, expected)
