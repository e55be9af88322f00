"""Words for a run that is not where it is said to be: what stands there instead, and what was probably meant."""

from pathlib import Path

from snncore.nearest import nearest_path

__all__ = ["OF_A_RUN", "words_on_missing"]

OF_A_RUN = ("last.safetensors", "best.safetensors", "previous.safetensors", "metrics.csv", "run.log")
MOST = 3  # runs that are named


def words_on_missing(path: Path) -> str:
    """Return what to say of a config.json that is not there, or is a folder, or whose folder is not there or is a file.

    path: as the command line has it, or RUN/config.json.
    """
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        meant = folder.parent if (folder.parent / "config.json").is_file() else None
        return f"{folder}: expected the folder of a training run, found a file" + _nearest(meant)
    if not folder.exists() and path.name == "config.json":
        return f"{folder}: no such folder; expected that of a training run{nearest_path(folder, folders=True)}"
    if path.is_dir():
        meant = path / "config.json" if (path / "config.json").is_file() else None
        return f"{path}: expected the config.json of a training run, found a folder" + _nearest(meant)
    expected = f"{path}: no such file; expected the config.json of a training run"
    return expected + (_beside(folder) if path.name == "config.json" else nearest_path(path))


def _nearest(path: Path | None) -> str:
    return "" if path is None else f"; nearest: {path}"


def _beside(folder: Path) -> str:
    """Words on what a folder that is no run holds of runs."""
    runs = sorted(place.parent for place in folder.glob("*/config.json"))
    if runs:
        shown = ", ".join(map(str, runs[:MOST]))
        more = f" and {len(runs) - MOST} more" if len(runs) > MOST else ""
        return f"; runs lie in this folder: {shown}{more}"
    found = [name for name in OF_A_RUN if (folder / name).is_file()]
    return f"; of a run, this folder holds {', '.join(found)} alone" if found else ""
