"""Files of weights: NumPy's archives, safetensors, and PyTorch's own, for which alone PyTorch is needed."""

import importlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from misnet._checkout import how_to_install
from misnet.interchange.about import FORMAT
from misnet.models.config import ConfigError
from misnet.models.registry import MODELS, config_class
from snncore.interchange import InterchangeError
from snncore.nearest import nearest_path

__all__ = ["ABOUT", "READ", "TORCH_FILES", "npz_bytes", "read_weights", "torch_bytes"]

ABOUT = "about"
"""Name of the entry of an archive that says in JSON what network the arrays are of; no parameter is called so."""

TORCH_FILES = (".pt", ".pth", ".bin", ".tar")
READ = (".npz", ".safetensors", ".nir", *TORCH_FILES)
INSIDE = ("state_dict", "model_state_dict", "model", "net")  # where training scripts keep it, beside other things
LARGEST = 2**33  # bytes of an archive: no network here has more


def _torch(what: str) -> Any:
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError:
        raise InterchangeError(
            f"{what} needs PyTorch, which is not installed; install it with: {how_to_install('torch', 'torch')}, or "
            "take a safetensors file"
        ) from None


def npz_bytes(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> bytes:
    """Return an archive of `numpy.savez` with the arrays by name, and `about` as JSON text."""
    file = io.BytesIO()
    np.savez(file, **{ABOUT: np.array(json.dumps(about))}, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def torch_bytes(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any], path: Path) -> bytes:
    """Return a state dict: a file of `torch.save`, or safetensors by its name, which needs no PyTorch.

    The safetensors file has `about` in its metadata, a state dict of PyTorch has room for arrays alone.
    """
    if path.suffix == ".safetensors":
        return save({name: np.array(x, order="C") for name, x in arrays.items()}, {ABOUT: json.dumps(about)})
    torch = _torch(f"{path}: writing it")
    file = io.BytesIO()
    torch.save({name: torch.from_numpy(np.array(x)) for name, x in arrays.items()}, file)
    return file.getvalue()


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a file by name, and what it says about its network, or nothing.

    Raises InterchangeError, which names the file, for one that is missing, damaged, or holds more than arrays.
    """
    if not path.is_file():
        raise InterchangeError(
            f"{path}: expected a file of weights, found "
            + ("a folder" if path.is_dir() else f"no such file{nearest_path(path)}")
        )
    if path.stat().st_size == 0:
        raise InterchangeError(f"{path}: expected a file of weights, found an empty file")
    if path.suffix == ".npz":
        arrays, about = _read_npz(path)
    elif path.suffix == ".safetensors":
        arrays, about = _read_safetensors(path)
    elif path.suffix in TORCH_FILES:
        arrays, about = _read_torch(path), {}
    else:
        raise InterchangeError(f"{path}: expected a name that ends with one of {', '.join(READ)}")
    for name, x in arrays.items():
        if x.dtype.kind not in "biuf":
            raise InterchangeError(f"{path}: {name}: expected numbers, found type {x.dtype}")
        if not np.isfinite(x).all():
            raise InterchangeError(
                f"{path}: {name}: expected finite values, found {int((~np.isfinite(x)).sum())} others"
            )
    return arrays, about


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise InterchangeError(f"{path}: expected at most {LARGEST >> 30} GiB of weights, found more")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except InterchangeError:
        raise
    except Exception as error:  # which types a damaged archive raises differs between versions
        raise InterchangeError(
            f"{path}: expected an archive of numpy.savez, found none that is whole: {error}"
        ) from None
    text = arrays.pop(ABOUT, None)
    return arrays, {} if text is None else _about(str(text), path)


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except Exception as error:  # the same
        raise InterchangeError(f"{path}: expected a safetensors file, found none that can be read: {error}") from None
    if "snncore" in metadata:
        raise InterchangeError(f"{path}: expected weights from elsewhere, found a checkpoint of this program")
    return arrays, _about(metadata[ABOUT], path) if ABOUT in metadata else {}


def _about(text: str, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
        good = isinstance(found["model"], str) and isinstance(found["network"], dict) and type(found["format"]) is int
        names = found.get("class_names", [])
        good = good and isinstance(names, list) and all(isinstance(name, str) for name in names)
    except (ValueError, KeyError, TypeError, RecursionError):
        good = False
    if not good:
        raise InterchangeError(
            f"{path}: expected its entry {ABOUT!r} to name model, network and format, found it damaged"
        )
    if found["format"] > FORMAT:
        raise InterchangeError(f"{path}: expected format {FORMAT}, found {found['format']}: use a newer snncore")
    if found["model"] not in MODELS:
        raise InterchangeError(f"{path}: expected weights of one of {', '.join(MODELS)}, found {found['model']!r}")
    try:
        config_class(found["model"]).from_dict(found["network"])
    except (ConfigError, TypeError) as error:
        raise InterchangeError(f"{path}: its entry {ABOUT!r}: {error}") from None
    return found


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    torch = _torch(f"{path}: reading it")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any type, from unpickling
        first = str(error).strip().splitlines()[:1]
        raise InterchangeError(
            f"{path}: expected a state dict of torch.save and nothing but arrays, found none: {' '.join(first)[:200]}"
        ) from None
    for name in INSIDE:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not found or not all(isinstance(x, torch.Tensor) for x in found.values()):
        raise InterchangeError(f"{path}: expected a state dict, arrays by name, found {type(found).__name__}")
    arrays = {}
    for name, x in found.items():
        x = x.detach()
        arrays[str(name)] = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    if all(name.startswith("module.") for name in arrays):  # of DataParallel
        arrays = {name.removeprefix("module."): x for name, x in arrays.items()}
    return arrays
