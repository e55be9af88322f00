"""Kernels are compiled once and kept; numbers below 2^-126 are what they are."""

import numpy as np
import pytest

from snncore.kernels import cuda, reference
from snncore.kernels.cuda import compiling
from snncore.kernels.cuda.module import OPTIONS
from tests.snncore.kernels.cuda.pairs import up
from tests.support import double, nvrtc

SOURCE = 'extern "C" __global__ void f(float* x) { x[0] = x[1] * x[2]; }'


@pytest.fixture
def asked(monkeypatch):
    """The double, and the sources that its compiler was given."""
    with double.installed() as cupy:
        given, own = [], cupy.cuda.compiler.compile_using_nvrtc

        def compiled(text, options):
            given.append((text, options))
            return own(text, options)

        monkeypatch.setattr(cupy.cuda.compiler, "compile_using_nvrtc", compiled)
        yield cupy, given


def test_what_was_compiled_is_found_again(asked, tmp_path, monkeypatch):
    cupy, given = asked
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "new"))
    for text, options in ((SOURCE, ("-a",)), (SOURCE, ("-a",)), (SOURCE, ("-b",)), (f"{SOURCE} ", ("-a",))):
        compiling.load(cupy, text, options)
    assert given == [(SOURCE, ("-a",)), (SOURCE, ("-b",)), (f"{SOURCE} ", ("-a",))]
    assert sorted(path.read_text() for path in (tmp_path / "new").iterdir()) == [SOURCE, SOURCE, f"{SOURCE} "]
    monkeypatch.setattr(cupy.cuda.Device, "compute_capability", "75")
    compiling.load(cupy, SOURCE, ("-a",))
    assert len(given) == 4  # for another card


def test_where_nothing_can_be_kept_it_is_compiled_for_the_process(asked, tmp_path, monkeypatch):
    cupy, given = asked
    (tmp_path / "file").touch()
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "file"))
    compiling.load(cupy, SOURCE, ()).get_function("f")
    assert given == [(SOURCE, ())]
    assert (tmp_path / "file").is_file()


def test_small_currents_stay_what_they_are(gpu, rng):
    """On a card too: with -ftz=true, as CuPy compiles by itself, all of these would be zeros."""
    from snncore.firing import Firing

    x = (rng.standard_normal((4, 3, 2, 2, 5)) * 2.0**-140).astype(np.float32)
    s, v = cuda.lif_forward(up(gpu, x), None, Firing(0.5, 1.0))
    expected = reference.lif_forward(x, None, Firing(0.5, 1.0))[1]
    assert np.count_nonzero(expected) == expected.size
    np.testing.assert_array_equal(v.get(), expected)
    assert not s.get().any()


@pytest.mark.skipif(nvrtc.version() is None, reason=nvrtc.INSTALL)
def test_the_option_decides():
    assert "mul.rn.f32" in nvrtc.to_ptx(SOURCE, 90) or "mul.f32" in nvrtc.to_ptx(SOURCE, 90)
    assert ".ftz" not in nvrtc.to_ptx(SOURCE, 90)
    assert "--ftz=false" in OPTIONS
