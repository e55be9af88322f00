"""Feature maps: where in the picture, and in the spectrogram, a layer is active."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from misnet.training.plots import new_figure
from misnet.visual.style import FONT

__all__ = ["draw_maps", "draw_overlays", "share_of_channels"]


def share_of_channels(x: np.ndarray) -> np.ndarray:
    """Return what of the channels is active at each place, [T, H, W]: the share that fires, or the mean above 0."""
    return (x > 0).mean(-1) if x.dtype.kind != "f" else np.maximum(x, 0).mean(-1)


def draw_maps(inputs: Mapping[str, np.ndarray], networks: Mapping[str, Mapping[str, np.ndarray]], sample: str) -> Any:
    """Figure 9 of the paper: how many channels of stage 1 fire at each place, beside the input, for one sample.

    inputs: [T, H, W, C] of each modality. networks: by name, spikes [T, H, W, C] of each modality.
    """
    rows = [(name, modality) for modality in inputs for name in ("input", *networks)]
    figure, axes = _grid(rows, len(next(iter(inputs.values()))))
    for row, (name, modality) in zip(axes, rows, strict=True):
        maps = inputs[modality].mean(-1) if name == "input" else share_of_channels(networks[name][modality])
        largest = max(float(maps.max()), 1e-9)
        for t, ax in enumerate(row):
            low = maps.min() if name == "input" else 0
            ax.imshow(maps[t], cmap="gray" if name == "input" else "cividis", vmin=low, vmax=largest)
        _name(row[0], modality if name == "input" else f"{name}\nmost {100 * largest:.0f} %")
    figure.suptitle(f"stage 1, share of channels that fire; {sample}", fontsize=FONT)
    figure.tight_layout()
    return figure


def draw_overlays(inputs: Mapping[str, np.ndarray], layers: Mapping[str, Mapping[str, np.ndarray]], title: str) -> Any:
    """Draw the input of each stream, and below it what each layer makes of it, laid over the input.

    inputs: [T, H, W, C] of each stream. layers: of each stream, by path, [T, H', W', C'], spikes or activations. The
    brighter, the more channels are active there; what is quiet shows the input in grey.
    """
    rows = [(stream, path) for stream in inputs for path in ("", *layers.get(stream, {}))]
    figure, axes = _grid(rows, max(len(x) for x in inputs.values()))
    for row, (stream, path) in zip(axes, rows, strict=True):
        below = inputs[stream].mean(-1)  # [T, H, W]
        maps = share_of_channels(layers[stream][path]) if path else below
        largest = max(float(maps.max()), 1e-9)
        box = (0, below.shape[2], below.shape[1], 0)
        for t, ax in enumerate(row):
            if t >= len(maps):
                ax.set_axis_off()
                continue
            ax.imshow(
                below[min(t, len(below) - 1)], cmap="gray", vmin=below.min(), vmax=max(below.max(), 1e-9), extent=box
            )
            if path:
                share = maps[t] / largest
                ax.imshow(share, cmap="plasma", vmin=0, vmax=1, alpha=0.85 * share**0.5, extent=box)
        many = f"most {100 * largest:.0f} %" if layers.get(stream, {}).get(path, below).dtype.kind != "f" else ""
        _name(row[0], f"{path}\n{many}" if path else stream)
    figure.suptitle(title, fontsize=FONT)
    figure.tight_layout()
    return figure


def _grid(rows: list[Any], steps: int) -> Any:
    figure = new_figure(max(3.0, 1.25 * steps + 1.2), 1.25 * len(rows) + 0.4)
    axes = figure.subplots(len(rows), steps, squeeze=False)
    for ax, t in zip(axes[0], range(steps), strict=True):
        ax.set_title(f"t = {t + 1}", fontsize=FONT)
    for ax in axes.ravel():
        ax.set_xticks([])
        ax.set_yticks([])
    return figure, axes


def _name(ax: Any, words: str) -> None:
    ax.set_ylabel(words, fontsize=FONT - 1, rotation=0, ha="right", va="center")
