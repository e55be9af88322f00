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
DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w\s]+?)\s*(\w+)\s*\[\s*\]\s*;")
FLAGS = (
    *("-std=c++20", "-O1", "-fPIC", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function"),
    "-fno-gnu-unique",  # else all libraries share one state
    "-ffp-contract=off",  # as --fmad=false
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
    """The source between the names of CUDA and functions that launch each kernel and tell its arguments."""
    launchers = "\n".join(
        f'extern "C" const char* launch_{n}(const unsigned* g, const unsigned* b, size_t m, int h, void** a)'
        f"{{ return shim::launch(&{n}, g, b, m, h, a); }}\n"
        f'extern "C" const char* signature_{n}() {{ return shim::signature(&{n}); }}'
        for n in kernel_names(source)
    )
    body = DYNAMIC.sub(r"SHIM_DYNAMIC(\1, \2);", source)
    return f'#include "cuda.h"\n#line 1 "kernel.cu"\n{body}\n#line 1 "launchers"\n{launchers}\n'


def build(source: str, race: bool = False) -> ctypes.CDLL:
    """Compile, or find what was compiled before, and load; with `race`, every access is watched."""
    text = host_source(source)
    flags = [*FLAGS, *(("-DSHIM_RACE", "-fsanitize=thread") if race else ())]
    parts = [text, *flags, *((HERE / f).read_text() for f in ("cuda.h", "scheduler.h", "race.cpp"))]
    target = CACHE / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.so"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            os.replace(_compile(Path(folder), text, flags, race), target)
    return ctypes.CDLL(str(target))


def _compile(folder: Path, text: str, flags: list[str], race: bool) -> Path:
    (folder / "k.cpp").write_text(text)
    _run([*flags, f"-I{HERE}", "-c", str(folder / "k.cpp"), "-o", str(folder / "k.o")])
    more = [str(HERE / "race.cpp")] if race else []  # instead of libtsan
    _run(["-std=c++20", "-O1", "-fPIC", "-shared", str(folder / "k.o"), *more, "-o", str(folder / "k.so")])
    return folder / "k.so"


def _run(arguments: list[str]) -> None:
    done = subprocess.run([compiler() or "g++", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"g++ rejected the kernel source:\n{done.stderr}")
