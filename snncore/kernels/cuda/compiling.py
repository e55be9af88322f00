"""CUDA C to kernels that can be launched, kept on disk.

As `cupy.RawModule(code=...)`, which adds -ftz=true behind all options: products and sums of float32 would take numbers
below 2^-126 for zeros, and NumPy does not.
"""

import functools
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from snncore.files import replace_file

__all__ = ["load"]


def load(xp: Any, text: str, options: tuple[str, ...]) -> Any:
    """Return the `cupy.RawModule` of a source for the current device, compiled by NVRTC unless it was before.

    What was compiled lies where CuPy keeps what it compiles (CUPY_CACHE_DIR); where nothing can be written there, in a
    folder for this process. Raises `cupy.cuda.compiler.CompileException` with the compiler's words.
    """
    # what another card, CuPy or CUDA would compile to something else
    card, versions = xp.cuda.Device().compute_capability, (xp.__version__, xp.cuda.runtime.runtimeGetVersion())
    name = f"snncore-{hashlib.sha256(repr((text, options, card, versions)).encode()).hexdigest()}.cubin"
    kept = Path(os.environ.get("CUPY_CACHE_DIR") or os.path.expanduser("~/.cupy/kernel_cache"), name)
    if not kept.is_file():
        made, _ = xp.cuda.compiler.compile_using_nvrtc(text, options)
        kept = _written(kept, made)
    return xp.RawModule(path=str(kept))


def _written(path: Path, content: bytes) -> Path:
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
        return path
    path = Path(_folder().name) / path.name
    replace_file(path, content)
    return path


@functools.cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="snncore-kernels-")
