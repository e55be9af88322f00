"""A PyTorch network of anybody as the subject of an audit: `FILE.py:make_model`, run on inputs from a file."""

import hashlib
import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.subject import Subject
from misnet.audit.torch_labels import HEAD, LabelError, Scores, accuracy_of, load_labels
from snncore import CostError
from snncore.files import sha256_of

__all__ = ["SourceError", "load_inputs", "load_model", "torch_subject"]

SUFFIXES = (".npy", ".npz", ".pt")
BATCH = 32  # samples at a time


class SourceError(Exception):
    """A file that holds no network, or inputs that it does not take; the message names the file."""


def torch_subject(
    file: Path,
    function: str,
    inputs: Path,
    timesteps: int = 0,
    layout: str | None = None,
    outer_loop: bool = False,
    batch_size: int | None = None,
    events: bool | None = None,
    labels: Path | None = None,
) -> Subject:
    """Count the network that `function` of `file` makes, in evaluation mode, on all samples of `inputs`.

    layout, outer_loop, events: see `snncore.audit_torch`; a layout that is not told is chosen for all samples at once.
    labels: a file of the class of each sample, for the accuracy on the samples that are counted.
    batch_size: samples at a time, by default BATCH. Floats get the float type of the network. What is not counted is
    among the warnings of the subject. Raises SourceError; ImportError, which says what to install, without PyTorch.
    """
    import snncore

    audit_torch = snncore.audit_torch  # before the file is run, so that a missing PyTorch is said first
    from snncore.foreign.layout import WrongLayout, chosen, doubt, reading

    with _beside(file):
        model = load_model(file, function).eval()
        arrays = [_in_float_type_of(model, x) for x in load_inputs(inputs)]
        shapes = [tuple(x.shape) for x in arrays]
        more: list[str] = []
        accuracy: dict[str, float] = {}

        def count(axes: str) -> Any:
            batches = _cut(arrays, inputs, timesteps, axes, batch_size or BATCH)
            options: dict[str, Any] = {"outer_loop": outer_loop, "events": events, "strict": False, "details": False}
            if labels is None:
                return audit_torch(model, batches, timesteps, layout=axes, **options)
            sizes = [batch[0].shape[axes.index("N")] for batch in batches]
            known, scores = load_labels(labels, load_inputs(labels), sum(sizes)), Scores()
            counted = audit_torch(model, batches, timesteps, layout=axes, run=scores.run, **options)
            found = scores.of_batches(sizes, timesteps, outer_loop, axes)
            accuracy[HEAD] = accuracy_of(found, known, labels)
            return counted

        axes = layout or chosen(shapes[:1], timesteps)
        try:
            try:
                ops = count(axes)
            except WrongLayout:
                if layout or axes != "TN":
                    raise
                axes = "N"  # the network itself says that the first axis is not time
                more.append(f"inputs of shape {shapes[0]} were read as {reading(shapes[0], axes)}")
                ops = count(axes)
        except SourceError:
            raise
        except LabelError as error:
            raise SourceError(str(error) if str(error).startswith(f"{labels}:") else f"{file}: {error}") from None
        except (ValueError, CostError) as error:
            raise SourceError(f"{inputs}: {error}") from None
        except (Exception, SystemExit) as error:  # whatever the code of the network raises
            found = ", ".join(map(str, shapes))
            what = f"SystemExit: {error}" if isinstance(error, SystemExit) else str(error)
            raise SourceError(f"{inputs}: {type(model).__name__} failed on inputs of shape {found}: {what}") from error
    unsure = None if layout else doubt(shapes[0], axes, timesteps, ops.confirmed)
    more += [f"{unsure}, with --layout"] if unsure else []
    name = f"{type(model).__name__} of {file.name}:{function}"
    return Subject(
        title=f"{name}, T={timesteps}, on {inputs.name} ({axes})" if timesteps else f"{name}, on {inputs.name}",
        ops=ops,
        timesteps=timesteps,
        network={
            "file": str(file),
            "function": function,
            "sha256": sha256_of(file),
            "modules": repr(model),
            "versions": _versions(),
        },
        weights=f"as {file.name}:{function} made them (seed 0, if it draws any)",
        parameters=sum(p.numel() for p in model.parameters()),
        data={
            "name": inputs.name,
            "shapes": [list(x) for x in shapes],
            "layout": axes,
            "fingerprint": sha256_of(inputs),
            **({"labels": labels.name, "labels_fingerprint": sha256_of(labels)} if labels else {}),
        },
        accuracy=accuracy,
        warnings=[*more, *ops.notes],
        weights_sha256=_sha256_of_weights(model),
    )


def load_model(file: Path, function: str) -> Any:
    """Run a Python file and call a function of it that returns a torch.nn.Module; raises SourceError."""
    import torch

    try:
        names = runpy.run_path(str(file.resolve()))
    except OSError as error:
        raise SourceError(f"{file}: {error.strerror}") from None
    except (Exception, SystemExit) as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise SourceError(f"{file}: running it failed at line {line}: {type(error).__name__}: {error}") from error
    torch.manual_seed(0)  # weights that the function does not load are the same each time
    make = names.get(function)
    if not callable(make):
        others = [name for name, value in names.items() if callable(value) and not name.startswith("_")]
        raise SourceError(f"{file}: expected a function {function}, found {', '.join(others) or 'no function'}")
    try:
        model = make()
    except (Exception, SystemExit) as error:
        raise SourceError(f"{file}: {function}() failed: {type(error).__name__}: {error}") from error
    if not isinstance(model, torch.nn.Module):
        raise SourceError(f"{file}: expected {function}() to return a torch.nn.Module, found {type(model).__name__}")
    return model


def load_inputs(file: Path) -> list[Any]:
    """Arrays of a .npy, .npz or .pt file, one for each argument of the network, in their order; raises SourceError."""
    if file.suffix not in SUFFIXES:
        raise SourceError(f"{file}: expected inputs in {', '.join(SUFFIXES)}")
    try:
        if file.suffix == ".pt":
            import torch

            found = torch.load(file, map_location="cpu", weights_only=True)
            values = list(found.values()) if isinstance(found, dict) else found
            arrays = [values] if torch.is_tensor(values) else list(values)
        elif file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as stored:
                arrays = [stored[name] for name in stored.files]
        else:
            arrays = [np.load(file, allow_pickle=False)]
    except OSError as error:
        raise SourceError(f"{file}: {error.strerror or error}") from None
    except Exception as error:
        raise SourceError(f"{file}: expected arrays, found {type(error).__name__}: {error}") from None
    for x in arrays:
        if not hasattr(x, "ndim") or x.ndim == 0 or not _are_numbers(x):
            raise SourceError(f"{file}: expected arrays of numbers with axes, found {getattr(x, 'shape', type(x))}")
        if 0 in x.shape:
            raise SourceError(
                f"{file}: expected at least one sample of at least one value, found shape {tuple(x.shape)}"
            )
    if not arrays:
        raise SourceError(f"{file}: expected at least one array, found none")
    return arrays


def _are_numbers(x: Any) -> bool:
    """Whether an array or tensor holds bits, integers or floats."""
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "biuf"
    return not (x.is_complex() or x.is_quantized or x.is_sparse)


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """Let a file import what lies beside it, as it may where Python runs it."""
    sys.path.insert(0, folder := str(file.resolve().parent))
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)


def _in_float_type_of(model: Any, x: Any) -> Any:
    """A tensor of x; floats in the float type of the network."""
    from snncore.foreign.inputs import tensor

    made = tensor(x)
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), made.dtype)
    return made.to(own) if made.is_floating_point() else made


def _cut(arrays: list[Any], file: Path, timesteps: int, layout: str, size: int) -> list[tuple[Any, ...]]:
    """Batches of at most `size` samples, cut along their axis."""
    first = arrays[0]
    axis = layout.index("N")
    counts = {x.shape[axis] if x.ndim > axis else None for x in arrays}
    if len(counts) != 1 or None in counts:
        raise SourceError(
            f"{file}: expected one number of samples, found shapes {[tuple(x.shape) for x in arrays]} ({layout})"
        )
    samples = counts.pop()
    if "T" in layout and timesteps and first.shape[layout.index("T")] != timesteps:
        raise SourceError(
            f"{file}: expected {timesteps} timesteps in layout {layout}, found shape {tuple(first.shape)}"
        )
    starts = range(0, samples, size)
    return [tuple(x.narrow(axis, i, min(size, samples - i)).contiguous().clone() for x in arrays) for i in starts]


def _sha256_of_weights(model: Any) -> str:
    """SHA-256 over names, types, shapes and values of all parameters and buffers that a checkpoint would hold."""
    digest = hashlib.sha256()
    for name, x in model.state_dict().items():
        if hasattr(x, "detach"):
            digest.update(f"{name} {x.dtype} {tuple(x.shape)}\n".encode())
            digest.update(x.detach().cpu().float().contiguous().numpy().tobytes() if x.numel() else b"")
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    """Versions of the libraries that ran the network, as far as they are installed."""
    found = {}
    for name in ("torch", "spikingjelly", "snntorch"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
