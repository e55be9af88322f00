"""Where `misnet.datasets` and `misnet.tools` are in a checkout: the folders datasets/ and tools/ beside this package.

An installation puts both folders into the package, since `datasets` as a top-level name belongs to another project.
In a checkout, installed or not, they stand at the root, and a finder of two entries says so.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {f"misnet.{name}": ROOT / name for name in ("datasets", "tools") if not (ROOT / "misnet" / name).exists()}
IS_CHECKOUT = all((folder / "__init__.py").is_file() for folder in (ROOT / "datasets", ROOT / "tools")) and bool(
    FOLDERS
)


class CheckoutFinder:
    """Finds the packages in FOLDERS, where the folder is there."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Return where a package is, or None if it is not one of ours."""
        start = FOLDERS.get(name, ROOT) / "__init__.py"
        if name not in FOLDERS or not start.is_file():
            return None
        return importlib.util.spec_from_file_location(name, start, submodule_search_locations=[str(start.parent)])


def how_to_install(package: str, extra: str) -> str:
    """Return the command that brings a package: an extra of the checkout, the package alone beside an installation.

    extra: "" for a package that every installation brings.
    """
    if not IS_CHECKOUT:
        return f"pip install {package}"
    return f'pip install -e ".[{extra}]"' if extra else "pip install -e ."


if not any(getattr(finder, "__name__", "") == "CheckoutFinder" for finder in sys.meta_path):
    sys.meta_path.insert(0, CheckoutFinder)  # type: ignore[arg-type]
