"""The set of CUDA kernels: the same names as the reference, sources in order, arguments as CuPy takes them."""

from pathlib import Path

import numpy as np
import pytest

from snncore.kernels import cuda, kernels_for, reference
from snncore.kernels.cuda import module
from snncore.kernels.cuda.surrogates import KINDS, code_of
from snncore.surrogate import SURROGATES
from tests.support import double
from tests.support.shim.build import kernel_names

ROOT = Path(__file__).parents[4]
SOURCES = [*module.FOLDER.glob("*.cu"), *module.FOLDER.glob("*.cuh"), *(ROOT / "tests/support/shim").glob("*.[hc]*")]


def test_cupy_arrays_choose_these_kernels_unless_the_reference_is_forced(monkeypatch):
    with double.installed() as cupy:
        assert kernels_for(cupy.ones(2), None) is cuda
        assert kernels_for(np.ones(2)) is not cuda
        monkeypatch.setenv("SNNCORE_KERNELS", "reference")
        assert kernels_for(cupy.ones(2)) is reference


def test_every_surrogate_has_its_number():
    assert set(KINDS) == set(SURROGATES.values())
    assert sorted(number for number, _ in KINDS.values()) == list(range(len(KINDS)))
    assert code_of(SURROGATES["triangle"](0.7)) == (3, 0.7)


def test_every_kernel_is_launched_by_name_and_every_name_is_a_kernel():
    kernels = {name for file in module.FILES for name in kernel_names(module.source(file))}
    text = "".join(path.read_text() for path in module.FOLDER.glob("*.py"))
    plain = {name for name in kernels if f'"{name}"' in text}
    typed = {name for name in kernels - plain if name.rpartition("_")[2] in ("u8", "f32")}
    assert kernels - plain - typed == set()
    assert all(f"{name.rpartition('_')[0]}_{{" in text for name in typed)


def test_arguments_have_the_sizes_that_the_kernels_expect():
    given = (True, 3, 0.5, np.int64(4), np.float64(0.25), module.Double(0.1))
    arguments = [module._CONVERSIONS[type(a)](a) for a in given]
    assert [a.dtype.name for a in arguments] == ["int32", "int32", "float32", "int64", "float32", "float64"]
    assert arguments[-1] == 0.1


def test_an_array_with_strides_is_refused_not_read_wrongly():
    with double.installed() as cupy:
        x, out = cupy.zeros((4, 6), np.float32), cupy.zeros((), np.uint64)
        with pytest.raises(ValueError, match=r"count_spikes: argument 0 of shape \(6, 4\) is not C-contiguous"):
            module.launch("spikes", "count_spikes", (1,), (32,), x.T, out, np.int64(24))


@pytest.mark.parametrize(
    ("rows", "channels", "grid"), [(1, 1, (1, 1)), (8, 32, (1, 1)), (9, 33, (2, 2)), (10**6, 256, (512, 8))]
)
def test_grids(rows, channels, grid):
    assert module.grid_over_rows(rows, channels) == grid


def test_sources_are_ascii_and_not_too_long():
    assert len(SOURCES) == len(module.FILES) + 8
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert text.isascii(), path.name
        assert text.count("\n") <= 400, path.name
        assert max(map(len, text.splitlines())) <= 120, path.name
