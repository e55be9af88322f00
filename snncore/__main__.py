"""`python -m snncore` says what runs here: versions, kernels, threads, devices, and the optional packages."""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np

from snncore import __version__
from snncore.backend import BackendError, cupy_module
from snncore.cores import usable_cores
from snncore.extras import extras
from snncore.kernels import kernels_for
from snncore.kernels.choice import arithmetic_choice, kernel_choice

CORE = ("numpy", "scipy", "numba", "safetensors")


@contextmanager
def printing() -> Iterator[None]:
    """What is printed in this block ends quietly where the reader left, as `head` does, and with a line if it fails."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
        if not isinstance(error, BrokenPipeError):
            sys.exit(f"error: standard output: {error.strerror or error}")


def lines() -> Iterator[str]:
    """Yield what is printed, line by line; what cannot be found out is said in its place."""
    yield f"snncore {__version__}, {Path(__file__).parent}"
    yield f"python      {platform.python_version()}, {platform.platform()}"
    yield f"packages    {', '.join(f'{name} {_version(name)}' for name in CORE)}"
    yield f"kernels     {_kernels()}"
    yield f"threads     {_threads()}"
    yield f"sums        {_sums()}"
    yield f"AMX         {_amx()}"
    for n, text in enumerate(_devices()):
        yield f"{'' if n else 'GPU':<11} {text}"
    yield ""
    yield "optional packages"
    for extra in extras():
        have = ", ".join(f"{name} {version}" for name, version in extra.installed.items())
        lack = f"missing: {', '.join(extra.missing)}; {extra.command}" if extra.missing else ""
        yield f"  {extra.name:<12} {'; '.join(text for text in (have, lack) if text)}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _kernels() -> str:
    try:
        choice, kind = kernel_choice(), kernels_for(np.zeros(1, np.float32)).__name__.rpartition(".")[2]
    except BackendError as error:
        return f"none: {error}"
    if kind != "cpu":
        return f"{kind} (SNNCORE_KERNELS={choice})"
    from snncore.kernels.cpu.simd import AVX512, VNNI

    width = "AVX-512 with dot products of bytes" if VNNI else "AVX-512" if AVX512 else "no AVX-512"
    return f"compiled for this CPU, {width} (SNNCORE_KERNELS={choice})"


def _threads() -> str:
    usable = usable_cores()
    try:
        import numba

        count = str(getattr(numba.config, "NUMBA_NUM_THREADS"))  # noqa: B009 (set when it is imported)
    except (ImportError, ValueError) as error:
        count = f"unknown ({error})"
    return f"{count} on {usable} usable processors (NUMBA_NUM_THREADS sets another number)"


def _sums() -> str:
    try:
        return f"{arithmetic_choice()} (SNNCORE_ARITHMETIC)"
    except BackendError as error:
        return f"none: {error}"


def _amx() -> str:
    try:
        from snncore.kernels.cpu import amx

        return amx.status()
    except (BackendError, ImportError) as error:
        return f"none: {error}"


def _check_amx() -> bool:
    """Print what the check of AMX finds, a line at a time; returns whether it ran there and was right."""
    kernels_for(np.zeros(1, np.float32))  # raises BackendError where Numba cannot be loaded
    from snncore.kernels.cpu import amx_check

    return amx_check.check(lambda line: print(line, flush=True))


def _devices() -> Iterator[str]:
    try:
        cupy = cupy_module()
    except BackendError as error:
        reason = str(error).removeprefix('device "cuda": ')
        yield f"none: {reason}"
        return
    for index in range(cupy.cuda.runtime.getDeviceCount()):
        found = cupy.cuda.runtime.getDeviceProperties(index)
        name = found["name"].decode() if isinstance(found["name"], bytes) else found["name"]
        yield f"cuda:{index}, {name}, {found['totalGlobalMem'] / 2**30:.0f} GiB, CuPy {cupy.__version__}"


def main() -> int:
    """Print; returns 1 where the check of AMX could not be done or found a difference."""
    parser = argparse.ArgumentParser(prog="python -m snncore", description=__doc__)
    parser.add_argument(
        *("--check-amx",),
        action="store_true",
        help="compare the kernels on AMX tiles with the reference, bit for bit, and time them (a minute)",
    )
    if not parser.parse_args().check_amx:
        with printing():
            print("\n".join(lines()))
        return 0
    right = False
    with printing():
        try:
            right = _check_amx()
        except BackendError as error:
            sys.exit(f"error: {error}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
