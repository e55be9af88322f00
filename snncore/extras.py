"""The optional packages of the project, which of them are installed, and the command that brings the others."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

__all__ = ["Extra", "extras"]

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
"""In a checkout; an installation has its metadata instead."""

NAME = re.compile(r"([A-Za-z0-9._-]+)(?:\[([\w,-]+)\])?")


@dataclass(frozen=True)
class Extra:
    """One set of optional packages.

    installed: version by package. missing: packages that are not there. command: brings them.
    """

    name: str
    installed: dict[str, str]
    missing: tuple[str, ...]
    command: str


def extras(project: Path = PROJECT) -> list[Extra]:
    """Return every extra of the project, in its own order; project: the pyproject.toml of a checkout, if there is one.

    An extra that names others of this project has their packages too.
    """
    required = _of_checkout(project) if project.is_file() else _of_installation()
    found = []
    for name in required:
        versions = {package: _version(package) for package in _packages(name, required)}
        missing = tuple(package for package, version in versions.items() if version is None)
        installed = {package: version for package, version in versions.items() if version is not None}
        command = f'pip install -e ".[{name}]"' if project.is_file() else f"pip install {' '.join(missing)}"
        found.append(Extra(name, installed, missing, command))
    return found


def _packages(name: str, required: Mapping[str, Sequence[str]]) -> list[str]:
    packages: list[str] = []
    for requirement in required[name]:
        if found := NAME.match(requirement):
            package, more = found[1], found[2] or ""
            ours = package == "snncore"
            packages += [p for part in more.split(",") for p in _packages(part, required)] if ours else [package]
    return list(dict.fromkeys(packages))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _of_checkout(project: Path) -> dict[str, list[str]]:
    return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def _of_installation() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        requirements = metadata.requires("snncore") or []
    except metadata.PackageNotFoundError:  # the folder alone was copied
        requirements = []
    for requirement in requirements:
        if of := re.search(r"""extra\s*==\s*["']([\w-]+)["']""", requirement):
            found.setdefault(of[1], []).append(requirement)
    return found
