"""Where compiled kernels are kept on disk, what is thrown away, and what is said about it, once each, on stderr.

Numba keeps a kernel beside its source, or in the user's cache folder if that cannot be written. It looks for changes in
the kernel's own file only; the intrinsics are in another, so `cache_key` says when any file of this folder changed, and
what was kept before is then removed. Files of the cache that are cut short are made anew, and where no folder can be
written, kernels are compiled in every process.
"""

import contextlib
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, NullCache

from snncore.kernels.cpu.claims import Claims, claims_of

__all__ = ["KernelCache", "cache_for", "cache_key", "remove_stale", "say_once"]

missed: Callable[[], Any] | None = None
"""Called once, and forgotten, when a kernel is not in the cache; set by `ahead.at_first_miss`."""

_said: set[str] = set()
_looked_at: set[str] = set()


def say_once(sentence: str) -> None:
    """Print a sentence on stderr unless this process has printed it before."""
    if sentence not in _said:
        _said.add(sentence)
        print(f"snncore: {sentence}", file=sys.stderr, flush=True)


class KernelCache(FunctionCache):
    """The cache of one kernel; a file that cannot be read or written costs a compilation, never the run."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel for a signature, None if there is none that can be read.

        None is a claim: until `save_overload` other processes wait for what this one makes. Raises claims.Taken.
        """
        global missed
        found = self._load(sig, target_context)
        if found is None:
            start, missed = missed, None
            if start is not None:
                start()
            if self._claims.take(self._impl.filename_base):
                found = self._load(sig, target_context)
                if found is not None:
                    self._claims.give_up(self._impl.filename_base)
        return found

    @property
    def _claims(self) -> Claims:
        return claims_of(Path(self.cache_path))

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # whatever unpickling half a file raises
            kind = type(error).__name__
            say_once(f"{self.cache_path}: a file of compiled kernels is damaged ({kind}); compiling again ...")
            with contextlib.suppress(OSError):  # the folder cannot be written any more: `save_overload` says so
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel, if the disk takes it."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            say_once(f"{self.cache_path}: compiled kernels cannot be kept ({error}); every process compiles them anew")
        finally:
            self._claims.give_up(self._impl.filename_base)


def cache_for(function: Callable) -> Any:
    """Return the cache of a kernel, one that keeps nothing where no folder can be written.

    The first call for a folder removes what was compiled from other sources.
    """
    try:
        cache = KernelCache(function)
    except RuntimeError:  # Numba's "no locator available"
        say_once(
            f"compiled kernels cannot be kept, neither in {Path(__file__).parent} nor in the user's cache folder: "
            "every process compiles them anew, about a minute (set NUMBA_CACHE_DIR to a folder that can be written)"
        )
        return NullCache()
    if cache.cache_path not in _looked_at:
        _looked_at.add(cache.cache_path)
        remove_stale(Path(cache.cache_path))
    return cache


def cache_key() -> str:
    """Hash of every source file of this folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def remove_stale(folder: Path) -> None:
    """Remove from `folder` what was compiled from other sources; say so if kernels are to be compiled."""
    stamp = folder / "snncore-kernels.sha256"
    key = cache_key()
    try:
        if stamp.read_text() == key:
            return
    except (OSError, UnicodeDecodeError):
        pass
    modules = {path.stem for path in Path(__file__).parent.glob("*.py")}
    say_once("compiling the CPU kernels, once for this machine (about a minute) ...")
    try:
        for path in folder.glob("*.nb[ic]"):
            if path.name.split(".")[0] in modules:
                path.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(key)
    except OSError:  # the folder cannot be written any more: `KernelCache.save_overload` says so
        pass
