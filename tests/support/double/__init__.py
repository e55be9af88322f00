"""A strict stand-in for the `cupy` module, for machines without a GPU.

Arrays live in NumPy buffers but behave like device memory: no implicit conversion, no mixing with NumPy arrays, results
without axes stay arrays, fresh memory is poisoned, red zones are looked at after each launch, copies and waits of the
host are counted in `ledger.events`. Kernels run on the shim. Where the true CuPy is installed, every function, method
and keyword that is used is checked against it. What it cannot show: how fast anything is, what runs at the same time,
how cuBLAS rounds.
"""

import contextlib
import os
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any
from unittest import mock

from tests.support.double import array, blas, device, functions, kernels, ledger
from tests.support.shim.build import CACHE


class _Cupy(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return functions.shared_function(name)


MADE = [
    "array",
    "asarray",
    "ascontiguousarray",
    "asnumpy",
    "empty",
    "full",
    "zeros",
    "ones",
    "empty_like",
    "zeros_like",
    "ones_like",
    "arange",
    "eye",
]


def make_modules() -> dict[str, types.ModuleType]:
    """The modules that stand for `cupy` and `cupyx`, by name."""
    cupy, cupyx, cuda = _Cupy("cupy"), types.ModuleType("cupyx"), types.ModuleType("cupy.cuda")
    cupy.__dict__.update({name: getattr(functions, name) for name in MADE})
    cupy.__dict__.update(ndarray=array.ndarray, RawModule=kernels.RawModule, cuda=cuda, __version__="double")
    cupy.__dict__["get_default_memory_pool"] = device.Pool
    runtime = types.SimpleNamespace(getDeviceCount=lambda: device.DEVICES, CUDARuntimeError=device.CUDARuntimeError)
    runtime.getDeviceProperties = lambda k: {"name": b"double", "multiProcessorCount": 1, "totalGlobalMem": 2**30}
    runtime.getDevice = lambda: device.Device.current
    runtime.runtimeGetVersion = runtime.driverGetVersion = lambda: 12090
    cuda.__dict__.update(
        Stream=device.Stream,
        Event=device.Event,
        Device=device.Device,
        runtime=runtime,
        memory=types.SimpleNamespace(OutOfMemoryError=ledger.OutOfMemoryError, alloc=device.alloc),
        MemoryPool=device.MemoryPool,
        Memory=device.Memory,
        MemoryPointer=lambda memory, offset: memory,
        using_allocator=device.using_allocator,
        get_current_stream=device.get_current_stream,
        get_elapsed_time=device.get_elapsed_time,
        compiler=types.SimpleNamespace(compile_using_nvrtc=kernels.compile_using_nvrtc),
        is_available=lambda: True,
        set_allocator=lambda allocator: None,  # every array is allocated by itself as it is
    )
    cupyx.__dict__["empty_pinned"] = device.empty_pinned
    return {"cupy": cupy, "cupy.cuda": cuda, "cupyx": cupyx}


@contextlib.contextmanager
def put_in_place(modules: dict[str, types.ModuleType]) -> Iterator[None]:
    """Have modules be found under their names inside the block; then the names are what they were, and no others.

    Not `mock.patch.dict`, which also forgets whatever is imported inside for the first time: Numba loads parts of
    itself when it first compiles, and cannot do so twice.
    """
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@contextlib.contextmanager
def installed(race: bool = False, order: int = 0, specialised: bool = False) -> Iterator[Any]:
    """Put the double in the place of `cupy` inside the block; yields it.

    race: watch every access of the kernels. order: of threads and blocks, see the shim. specialised: compile neurons
    for each number of timesteps and each surrogate, which takes long; else the same code runs for all.
    """
    from snncore import backend, capture, recorded_memory
    from snncore.kernels.cuda import gemm, module

    modules = make_modules()
    with (
        put_in_place(modules),
        mock.patch.object(kernels.RawModule, "race", race),
        mock.patch.object(kernels.Function, "order", order),
        mock.patch.object(gemm, "load_library", blas.Library),
        mock.patch.dict(gemm._handles, clear=True),  # each holds a workspace of 32 MiB
        mock.patch.object(module, "SPECIALISED", specialised),
        mock.patch.object(capture, "_recorders", weakref.WeakSet()),
        mock.patch.multiple(recorded_memory, _taking=weakref.WeakSet(), _most=0, _lowered=(0, 0)),
        mock.patch.dict(os.environ, CUPY_CACHE_DIR=str(CACHE / "sources")),  # not where a card's kernels are kept
    ):
        backend.cupy_module.cache_clear()
        try:
            backend.parse_device("cuda")  # tries the first device once, and waits for it
            ledger.clear()
            yield modules["cupy"]
        finally:
            backend.cupy_module.cache_clear()
            ledger.capturing = None
