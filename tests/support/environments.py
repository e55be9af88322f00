"""Environments for tests of the installation: a copy of the tree, and a Python that has no copy of this project."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("snncore", "misnet", "datasets", "tools")  # what is installed; all else stays
OURS = ("snncore", "misnet", "__editable__")  # how names of this project begin in a folder of installed packages
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")


def copy_of_tree(to: Path) -> Path:
    """Copy what an installation is made of, and nothing that an earlier one left; return the folder."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, to / folder, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "setup.py", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    return to


def module_files(root: Path = ROOT) -> set[str]:
    """Paths, as they are when installed, of every file below FOLDERS that an installation must have."""
    found = set()
    for folder in FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.is_file() and path.parent.name != "__pycache__":
                inside = path.relative_to(root).as_posix()
                found.add(inside if folder in ("snncore", "misnet") else f"misnet/{inside}")
    return found


def clean_python(folder: Path, hidden: Iterable[str] = ()) -> Path:
    """Make a virtual environment with this one's packages but for this project and `hidden`; return its interpreter.

    hidden: beginnings of names in the folder of packages. The packages are links, so that this takes no time.
    """
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for path in map(Path, sys.path):
        if path.name in ("site-packages", "dist-packages"):
            for entry in path.iterdir():
                wanted = entry.suffix != ".pth" and not entry.name.startswith((*OURS, *hidden, "__pycache__"))
                if wanted and not (packages / entry.name).exists():
                    (packages / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


def run(command: list[object], cwd: Path, **extra: str) -> subprocess.CompletedProcess:
    """Run a command with no PYTHONPATH, in a folder, as a user does; text is captured."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")} | extra
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, env=environment, timeout=300
    )
