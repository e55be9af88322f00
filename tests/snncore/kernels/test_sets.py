"""The sets of kernels: each kernel by its name, with one signature, from the set itself or from the reference."""

import inspect

import pytest

from snncore.kernels import cpu, cuda, reference

SETS = {"cpu": cpu, "cuda": cuda}
MORE = {"out": "FILLS_OUT", "decay": "DECAY_THERE", "settle": "SETTLES", "also": "ADDS_GRADIENTS"}
"""Parameters beyond those of the reference, each after a name by which a set says that it takes it."""
each = pytest.mark.parametrize("name", SETS)


def own_kernels(module):
    """{name: kernel} of the functions that a set imports from files of its own; those that set it up are none."""
    setup = ("keep_memory", "prepare_cache")
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__.startswith(module.__name__ + ".") and name not in setup
    }


def signature(function):
    return list(inspect.signature(function).parameters)


@each
def test_every_kernel_of_a_set_is_one_of_the_reference_with_the_same_parameters(name):
    kernels = own_kernels(SETS[name])
    assert {"mlif_backward", "batch_norm_lif_backward", "conv_forward"} <= set(kernels) <= set(reference.__all__)
    for kernel, function in kernels.items():
        own = signature(function)
        while getattr(SETS[name], MORE.get(own[-1], ""), False):
            own.pop()
        assert own == signature(getattr(reference, kernel)), kernel


@each
def test_a_kernel_that_a_set_lacks_is_the_references(name):
    kernels, module = own_kernels(SETS[name]), SETS[name]
    assert "clif_forward" not in kernels
    for kernel in reference.__all__:
        right = kernels.get(kernel, getattr(reference, kernel))
        assert getattr(module, kernel) is right
        assert right.__module__.startswith((module if kernel in kernels else reference).__name__)


@each
def test_a_name_that_is_no_kernel_is_refused(name):
    with pytest.raises(AttributeError, match="no kernel is called 'lif_forwards'"):
        _ = SETS[name].lif_forwards
    with pytest.raises(AttributeError, match="no kernel is called 'Array'"):
        _ = SETS[name].Array


def test_a_kernel_with_other_parameters_is_found():
    def lif_forward(c, firing, v0): ...

    assert signature(lif_forward) != signature(reference.lif_forward)
