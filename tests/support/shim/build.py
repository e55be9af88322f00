"""CUDA C to a shared library by g++, kept by a hash of everything that goes into it."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("SNNCORE_SHIM_CACHE", Path(tempfile.gettempdir()) / f"snncore-shim-{os.getuid()}"))
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(")
SHARED_IN_TEMPLATE = re.compile(r"^template\b(?:(?!^}).)*?__shared__", re.M | re.S)
DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w\s]+?)\s*(\w+)\s*\[\s*\]\s*;")
FLAGS = (
    *("-std=c++20", "-O1", "-fPIC", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function"),
    "-fno-gnu-unique",  # else all libraries share one state
    "-ffp-contract=off",  # as --fmad=false
    "-U_FORTIFY_SOURCE",  # which takes a jump to another stack for a mistake
)


class BuildError(RuntimeError):
    """g++ rejects a kernel; the message is its own."""


def compiler() -> str | None:
    """Path of the C++ compiler, or None."""
    return shutil.which(os.environ.get("CXX", "g++"))


def kernel_names(source: str) -> list[str]:
    """Names of the kernels in a source, without those in comments."""
    return KERNEL.findall(re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.S))


def host_source(source: str) -> str:
    """The source between the names of CUDA and functions that launch each kernel and tell its arguments.

    Raises BuildError for shared memory in a template, which g++ puts where nobody poisons or watches it.
    """
    if SHARED_IN_TEMPLATE.search(re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.S)):
        raise BuildError("__shared__ in a template; expected it in the kernel, which hands it on")
    launchers = "\n".join(
        f'extern "C" const char* launch_{n}(const unsigned* g, const unsigned* b, size_t m, int h, void** a)'
        f"{{ return shim::launch(&{n}, g, b, m, h, a); }}\n"
        f'extern "C" const char* signature_{n}() {{ return shim::signature(&{n}); }}'
        for n in kernel_names(source)
    )
    body = DYNAMIC.sub(r"SHIM_DYNAMIC(\1, \2);", source)
    return f'#include "cuda.h"\n#line 1 "kernel.cu"\n{body}\n#line 1 "launchers"\n{launchers}\n'


def build(source: str, race: bool = False) -> ctypes.CDLL:
    """Compile, or find what was compiled before, and load; with `race`, every access of the kernels is watched."""
    flags = (*FLAGS, "-DSHIM_RACE") if race else FLAGS
    watched = (*flags, "-fsanitize=thread") if race else flags
    headers = _headers(watched)
    parts = [
        _object(host_source(source), watched, headers),
        _object((HERE / "scheduler.cpp").read_text(), flags, headers),
        *([_object((HERE / "race.cpp").read_text(), flags, headers)] if race else []),  # instead of libtsan
    ]
    target = CACHE / f"{_hash(*(p.name for p in parts))}.so"
    if not target.exists():
        _make(target, ["-shared", *map(str, parts)])
    return ctypes.CDLL(str(target))


def _headers(flags: tuple[str, ...]) -> Path:
    """Folder with cuda.h compiled beforehand, which takes half of what a small kernel takes."""
    texts = [(HERE / name).read_text() for name in ("cuda.h", "scheduler.h")]
    folder = CACHE / _hash(*texts, *flags)
    if not (folder / "cuda.h.gch").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(folder / "cuda.h.gch", [*flags, "-x", "c++-header", str(HERE / "cuda.h")])
    return folder


def _object(text: str, flags: tuple[str, ...], headers: Path) -> Path:
    target = CACHE / f"{_hash(text, headers.name, *flags)}.o"
    if not target.exists():
        code = target.with_suffix(f".{os.getpid()}.cpp")
        CACHE.mkdir(parents=True, exist_ok=True)
        code.write_text(text)
        try:
            _make(target, [*flags, f"-I{headers}", f"-I{HERE}", "-c", str(code)])
        finally:
            code.unlink()
    return target


def _hash(*parts: str) -> str:
    return hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]


def _make(target: Path, arguments: list[str]) -> None:
    """Run the compiler and put what it makes in its place at once, for tests may run side by side."""
    partial = target.with_suffix(f".{os.getpid()}{target.suffix}")
    done = subprocess.run([compiler() or "g++", *arguments, "-o", str(partial)], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"g++ rejected the kernel source:\n{done.stderr}")
    os.replace(partial, target)
