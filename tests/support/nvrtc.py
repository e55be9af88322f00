"""Compiling the kernels as CuPy would, for any architecture and without a GPU, and what each needs of one.

`python -m tests.support.nvrtc` prints the table of docs/gpu_tables.md. Needs: pip install -e ".[gpu-check]"
"""

import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from snncore.kernels.cuda.module import FILES, OPTIONS, source
from snncore.kernels.cuda.tensor_cores import defines_tall, tall_for

ARCHITECTURES = (75, 80, 90)  # Turing (T4, RTX 20), Ampere (A100), Hopper (H100)
INSTALL = 'NVRTC and ptxas are not installed; install them with: pip install -e ".[gpu-check]"'


class Usage(NamedTuple):
    """Of one kernel: registers a thread, bytes spilled to memory, bytes of shared memory a block."""

    registers: int
    spilled: int
    shared: int


def ptxas() -> str | None:
    """Path of the assembler that comes with the pip package, or that is on the path, or None."""
    try:
        import nvidia
    except ImportError:
        return shutil.which("ptxas")
    found = [p for root in nvidia.__path__ for p in glob.glob(os.path.join(root, "**", "bin", "ptxas"), recursive=True)]
    return found[0] if found else shutil.which("ptxas")


def version() -> str | None:
    """Version of NVRTC, or None if it or ptxas cannot be used."""
    try:
        from cupy_backends.cuda.libs import nvrtc

        return None if ptxas() is None else ".".join(map(str, nvrtc.getVersion()))
    except (ImportError, RuntimeError):  # CuPy without NVRTC raises a RuntimeError of its own
        return None


def known() -> list[int]:
    """Architectures that this version of NVRTC compiles for."""
    from cupy_backends.cuda.libs import nvrtc

    return [int(a) for a in nvrtc.getSupportedArchs()]


@functools.cache
def to_ptx(text: str, architecture: int) -> str:
    """Compile; raises RuntimeError with the compiler's words."""
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(text, "kernels.cu", (), ())
    try:
        # the second is what CuPy adds by itself
        options = [f"--gpu-architecture=compute_{architecture}", "--device-as-default-execution-space", *OPTIONS]
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        raise RuntimeError(nvrtc.getProgramLog(program)) from None
    made = nvrtc.getPTX(program)
    return made.decode() if isinstance(made, bytes) else made


def usage(ptx: str, architecture: int) -> dict[str, Usage]:
    """Assemble and return what each kernel needs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "k.ptx"
        path.write_text(ptx)
        command = [
            ptxas() or "ptxas",
            "-v",
            f"-arch=sm_{architecture}",
            str(path),
            "-o",
            str(path.with_suffix(".cubin")),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = {}
    for part in done.stderr.split("Compiling entry function '")[1:]:
        numbers = (
            re.search(p, part) for p in (r"Used (\d+) registers", r"(\d+) bytes spill stores", r"(\d+) bytes smem")
        )
        found[part.split("'")[0]] = Usage(*(int(n[1]) if n else 0 for n in numbers))
    return found


@functools.cache
def measured(file: str, architecture: int) -> dict[str, Usage]:
    """What the kernels of a .cu file need."""
    return usage(to_ptx(text(file, architecture), architecture), architecture)


def text(file: str, architecture: int) -> str:
    """The source of a .cu file, with the definitions that cards of an architecture have."""
    multiplies_bytes = file in ("exact_gradient", "exact_mma")
    return source(file, defines_tall(tall_for(architecture)) if multiplies_bytes else "")


def bodies(ptx: str) -> dict[str, str]:
    """The instructions of each kernel."""
    parts = re.split(r"\.entry (\w+)\(", ptx)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# of a block; 256 elsewhere
THREADS = {
    "exact_gradient_bytes": 128,
    "exact_gradient_pieces": 128,
    "exact_mma_bytes": 128,
    "exact_mma_pieces": 128,
    "halves_backward_input": 128,
    "bn_merge_moments": 1024,
    "sum_partials": 1024,
    "sum_gradients": 1024,
    "sum_mlif": 1024,
    "conv_events_weight": 64,
    "exact_pack_digits": 1024,
    "exact_pack_whole": 1024,
}
WARPS, REGISTERS, SHARED = 64, 65536, 227 * 1024  # of a multiprocessor of an H100


def occupancy(name: str, usage: Usage) -> float:
    """Which part of the warps that a multiprocessor of an H100 can hold fit at once."""
    warps = THREADS.get(name, 256) // 32
    by_registers = REGISTERS // (-(-usage.registers // 8) * 8 * 32 * warps)
    by_shared = SHARED // (usage.shared + 1024)
    return min(WARPS // warps, by_registers, by_shared, 32) * warps / WARPS


def head(file: str) -> str:
    """The line in the head of a .cu file that says what its kernels need."""
    found = measured(file, 90)
    parts = [f"{name} {u.registers} ({100 * occupancy(name, u):.0f} %)" for name, u in sorted(found.items())]
    text, lines = "// Registers a thread, and occupancy, on an H100:", []
    for i, part in enumerate(parts):
        part += "." if i == len(parts) - 1 else ","
        if len(text) + len(part) > 118:
            lines.append(text)
            text = "//"
        text += f" {part}"
    return "\n".join([*lines, text])


def table() -> str:
    """Registers, spills and shared memory of every kernel on every architecture, in Markdown."""
    head = "".join(f" sm_{a} |" for a in ARCHITECTURES)
    rows = [
        f"| kernel | file |{head} shared memory | spilled |",
        "| --- | --- |" + " ---: |" * (len(ARCHITECTURES) + 2),
    ]
    for file in FILES:
        found = [measured(file, a) for a in ARCHITECTURES]
        for name in sorted(found[0]):
            each = [f[name] for f in found]
            registers = "".join(f" {u.registers} |" for u in each)
            rows.append(f"| {name} | {file}.cu |{registers} {each[0].shared} B | {max(u.spilled for u in each)} B |")
    return "\n".join(rows)


if __name__ == "__main__":
    if version() is None:
        sys.exit(f"error: {INSTALL}")
    print(f"NVRTC {version()}, options {' '.join(OPTIONS)}\n\n{table()}\n")
    for file in FILES:
        print(f"{file}.cu:\n{head(file)}")
