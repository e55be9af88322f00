"""Every name of CuPy that the product uses exists in the installed CuPy."""

import ast
import inspect
from pathlib import Path

import pytest

from tests.support.double import truth

ROOT = Path(__file__).parents[2]
MODULES = {"xp", "cupy", "cupyx"}


def names_of_cupy(text):
    """Dotted names that begin with the array module or with cupy, such as `xp.zeros` or `cupy.cuda.Stream`."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in MODULES:
            found.add(".".join([node.id, *reversed(parts)]))
        call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if parts and call and node.func.id in ("array_module", "cupy_module"):
            found.add(".".join(["cupy", *reversed(parts)]))
    return found


def missing(names):
    """Those that the installed CuPy does not have."""
    gone = []
    for name in names:
        first, *rest = name.split(".")
        thing = truth.real_x if first == "cupyx" else truth.real
        for part in rest:
            if not hasattr(thing, part):
                gone.append(name)
                break
            thing = getattr(thing, part)
    return gone


def used():
    """All names of CuPy in the product."""
    files = [p for folder in ("snncore", "misnet", "datasets", "tools") for p in (ROOT / folder).rglob("*.py")]
    return set().union(*(names_of_cupy(p.read_text(encoding="utf-8")) for p in files))


def test_names_are_found_wherever_they_stand():
    text = "y = xp.exp(xp.abs(x)); s = cupy.cuda.Stream(); array_module(x).clip(g); z = np.sum(x)"
    assert names_of_cupy(text) >= {"xp.exp", "xp.abs", "cupy.cuda.Stream", "cupy.clip"}
    assert not any("sum" in name for name in names_of_cupy(text))
    assert {"xp.empty", "xp.matmul", "xp.RawModule", "cupyx.empty_pinned", "cupy.cuda.Device"} <= used()


@pytest.mark.skipif(truth.real is None, reason=truth.MISSING)
def test_all_exist():
    assert missing(used()) == []
    assert missing(["xp.vecdot", "cupy.cudnn"]) == ["xp.vecdot", "cupy.cudnn"]


@pytest.mark.skipif(truth.real is None, reason=truth.MISSING)
def test_methods_of_streams_events_and_devices_exist():
    cuda = truth.real.cuda
    wanted = {
        cuda.Stream: ("record", "wait_event", "synchronize"),
        cuda.Event: ("done", "synchronize"),
        cuda.Device: ("use",),
        cuda.MemoryPool: ("free_all_blocks", "total_bytes", "used_bytes", "malloc"),
        truth.real.RawModule: ("get_function",),
    }
    assert [(kind, name) for kind, names in wanted.items() for name in names if not hasattr(kind, name)] == []
    inspect.signature(cuda.compiler.compile_using_nvrtc).bind("source", ("--std=c++17",))
    assert issubclass(cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(cuda.Memory, cuda.memory.BaseMemory)
    assert callable(cuda.MemoryPointer)
    assert issubclass(cuda.runtime.CUDARuntimeError, RuntimeError)
