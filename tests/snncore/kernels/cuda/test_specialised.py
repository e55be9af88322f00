"""Neurons compiled for one number of timesteps and one surrogate are those that take any, bit for bit."""

import numpy as np
import pytest

from snncore.firing import Firing
from snncore.kernels import cuda, reference
from snncore.kernels.cuda import module
from snncore.surrogate import FastSigmoid
from tests.snncore.kernels.cuda.pairs import floats, up
from tests.snncore.kernels.norms import lif_gradients
from tests.support import double, nvrtc
from tests.support.shim.build import compiler

T, KIND = 3, 4
FIRING = Firing(0.6, 1.0, surrogate=FastSigmoid(1.5))


def run(name, *args, specialised):
    """Results on the double as NumPy arrays."""
    with double.installed(specialised=specialised) as cupy:
        there = [up(cupy, a) for a in args]
        got = lif_gradients(cuda, *there, True) if "sums" in name else getattr(cuda, name)(*there)
        return [None if g is None else g.get() for g in (got if isinstance(got, tuple) else (got,))]


@pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
@pytest.mark.parametrize("neuron", ["lif", "batch_norm_lif", "mlif"])
def test_the_same_bits(rng, neuron):
    shape = (T, 3, 2, 2, 5)
    x, gs = floats(rng, *shape, std=1.5), floats(rng, *shape)
    o, w, alpha = rng.integers(0, 3, shape).astype(np.uint8), floats(rng, 2, 2, 1), np.array(0.8, np.float32)
    norm = (np.zeros(5), np.ones(5), floats(rng, 5), floats(rng, 5), FIRING)
    forward, backward = {
        "lif": (("lif_forward", x, None, FIRING), ("lif_backward", gs, None, x)),
        "batch_norm_lif": (("batch_norm_lif_forward", x, *norm), ("batch_norm_lif_gradient_sums", gs, x)),
        "mlif": (("mlif_forward", o, w, alpha, None, FIRING), ("mlif_backward", gs, None, o)),
    }[neuron]
    s = getattr(reference, forward[0])(*forward[1:])
    s = s[0] if isinstance(s, tuple) else s
    for call in (forward, (*backward, s, *forward[2:])):
        general, special = (run(*call, specialised=specialised) for specialised in (False, True))
        for g, e in zip(special, general, strict=True):
            np.testing.assert_array_equal(g, e)


def test_definitions(monkeypatch):
    assert module.defines_for(4, 0) == "#define STEPS 4\n#define SURROGATE 0\n"
    assert module.defines_for(9, 1) == "#define SURROGATE 1\n"  # too many for the registers
    assert module.defines_for(2) == "#define STEPS 2\n"
    monkeypatch.setattr(module, "SPECIALISED", False)
    assert module.defines_for(4, 0) == ""


@pytest.mark.skipif(nvrtc.version() is None, reason=nvrtc.INSTALL)
@pytest.mark.parametrize("file", ["lif", "batch_norm_lif", "mlif"])
def test_no_register_spills_with_all_timesteps_in_registers(file):
    for timesteps in (4, module.MOST_STEPS):
        ptx = nvrtc.to_ptx(module.source(file, module.defines_for(timesteps, 0)), 90)
        for name, usage in nvrtc.usage(ptx, 90).items():
            assert usage.spilled == 0, name
            assert usage.registers <= 64, name  # four blocks of 256 threads
            assert "backward" in name or nvrtc.bodies(ptx)[name].count("fma.rn.f32") == 0, name
