"""Packages that read one kind of file: loaded where such a file is read, so that all else runs without them."""

from importlib import import_module
from typing import Any

from misnet._checkout import how_to_install
from misnet.datasets.base import MissingPackage

__all__ = ["require"]

# module: (the name people know it by, the name pip knows it by, the extra of pyproject.toml that brings it)
PACKAGES = {
    "soundfile": ("soundfile", "soundfile", ""),
    "av": ("PyAV", "av", "video"),
    "h5py": ("h5py", "h5py", "events"),
    "lz4.frame": ("lz4", "lz4", "events"),
    "zstandard": ("zstandard", "zstandard", "events"),
}


def require(module: str, purpose: str, extra: str | None = None) -> Any:
    """Return a module of PACKAGES.

    purpose: what needs it, for the message ("reading videos"). extra: one that brings it, in place of the one there.
    Raises MissingPackage with the command that installs it, or with the reason why it cannot be loaded.
    """
    name, package, usual = PACKAGES[module]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):  # it is there, and something that it needs is not
            raise MissingPackage(f"{purpose} needs {name}, which cannot be loaded: {error}") from error
        command = how_to_install(package, usual if extra is None else extra)
        raise MissingPackage(f"{purpose} needs {name}, which is not installed; install it with: {command}") from None
    except (ImportError, OSError) as error:  # a library of the system that it needs is missing or too old
        raise MissingPackage(f"{purpose} needs {name}, which cannot be loaded: {error}") from error
