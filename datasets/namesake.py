"""Making way for another project's package `datasets`, where the root of a checkout comes first on Python's path.

Python puts the folder of a script first on its path, and with `python -c` or `-m` the current folder. A script at the
root of the checkout that imports Hugging Face's `datasets`, itself or through a library, would so get this folder,
whose name is `misnet.datasets`. This file imports nothing of ours.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path


def make_way(name: str = "datasets", root: Path | None = None) -> None:
    """Import the package of this name that is elsewhere on the path, in place of the folder below `root`.

    root: by default the root of this checkout. Raises ModuleNotFoundError if there is no other.
    """
    root = (root or Path(__file__).parents[1]).resolve()
    spec = importlib.machinery.PathFinder.find_spec(name, [p for p in sys.path if Path(p or ".").resolve() != root])
    if spec is None or spec.loader is None:
        ours = f"the folder {root / name} is imported as misnet.{name}"
        raise ModuleNotFoundError(f"No module named {name!r}; {ours}", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # which is what the import that is under way then returns
    spec.loader.exec_module(module)
