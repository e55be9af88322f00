"""A picture of samples: all streams side by side, such as key frames and spectrograms, with the label.

So a person sees that they fit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from misnet.datasets.base import DataError, Dataset, MissingPackage
from misnet.datasets.formats.files import printable
from misnet.pictures import format_of, picture_bytes
from snncore.files import replace_file
from snncore.rng import named_rng

__all__ = ["draw_preview", "pick_samples"]


def pick_samples(dataset: Dataset, count: int, seed: int = 0, first: int = 0) -> list[int]:
    """Return up to `count` sample indices, drawn with the seed: one of each class, then a second of each, and so on.

    first: class to begin with. Samples that cannot be read are passed over.
    """
    rng = named_rng(seed, "preview", dataset.name, dataset.split)
    order = rng.permutation(len(dataset))
    rank = np.zeros(len(dataset), dtype=np.int64)  # how many of its class come before it
    for label in np.unique(dataset.labels):
        mine = order[dataset.labels[order] == label]
        rank[mine] = np.arange(len(mine))
    picked: list[int] = []
    turn = (dataset.labels - first) % len(dataset.class_names)
    for index in order[np.lexsort((turn[order], rank[order]))]:
        if len(picked) == count:
            break
        try:
            dataset[int(index)]
        except MissingPackage:
            raise
        except DataError:
            continue
        picked.append(int(index))
    return picked


def as_pictures(video: np.ndarray) -> np.ndarray:
    """Return frames as RGB from 0 to 1, spread over the sample's own range.

    video: float [T, H, W, C]; C = 1 is gray, C = 3 is RGB, C = 2 are the OFF (blue) and ON (red) events of a camera.
    Returns float [T, H, W, 3].
    """
    low, high = video.min(), video.max()
    x = (video - low) / (high - low if high > low else 1)
    if x.shape[-1] == 2:
        return np.stack([x[..., 1], np.zeros_like(x[..., 0]), x[..., 0]], axis=-1)
    return np.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x[..., :3]


def draw_preview(datasets: Sequence[Dataset], path: str | Path, count: int = 12, seed: int = 0) -> int:
    """Draw up to `count` samples, shared among the splits given, into a picture; return how many were drawn.

    Each has its label and its streams: T frames side by side, T spectrograms side by side with low bands at the bottom,
    and of any other stream [T, ...] its entries from bottom to top over time.
    Raises DataError if no sample can be read, OSError if the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    share = -(-count // len(datasets))
    shown: list[tuple[Dataset, int]] = []
    for dataset in datasets:
        wanted = min(share, count - len(shown))
        shown += [(dataset, i) for i in pick_samples(dataset, wanted, seed, first=len(shown))]
    if not shown:
        raise DataError(f"{datasets[0].name}: no sample can be read, so that there is none to draw")
    rows = -(-len(shown) // 2)
    timesteps = datasets[0].timesteps
    names = sorted(datasets[0].streams, key=lambda name: name != "visual")  # pictures first
    panels = len(names)
    figure = Figure(figsize=(1.98 * panels * min(timesteps, 5), 1.25 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    what = "frames, and spectrograms beside them," if names == ["visual", "audio"] else f"{', '.join(names)},"
    figure.suptitle(f"{datasets[0].name}: {what} in {timesteps} timesteps", fontsize=10)
    halves = figure.subfigures(1, 2, wspace=0.03)  # a gap between the two samples of a row
    axes = np.concatenate([half.subplots(rows, panels, squeeze=False) for half in halves], axis=1)
    for place in axes.flat:
        place.set_axis_off()
    one_colour = False
    for k, (dataset, i) in enumerate(shown):
        places = axes[k // 2, panels * (k % 2) : panels * (k % 2 + 1)]
        *arrays, label = dataset[i]
        streams = dict(zip(dataset.streams, arrays, strict=True))
        for place, name in zip(places, names, strict=True):
            draw_stream(place, name, streams[name], last=k + 2 >= len(shown))
            x = streams[name].reshape(len(streams[name]), -1)
            one_colour |= x.shape[1] > 1 and bool((np.ptp(x, axis=1) == 0).any())
        # Matplotlib takes no bytes that are no text
        files = printable(", ".join(file.name for file in dataset.files(i)))
        files = files if len(files) < 50 else files[:47] + "..."
        places[0].set_title(f"{dataset.class_names[label]}  ({dataset.split} {i})", fontsize=10, loc="left")
        if panels > 1:
            places[-1].set_title(files, fontsize=7, loc="left")
        else:
            places[0].set_title(files, fontsize=7, loc="right")
    if one_colour:
        figure.supxlabel("a frame of one colour: nothing is seen or heard there", fontsize=9)
    replace_file(path, picture_bytes(figure, format_of(Path(path))))
    return len(shown)


def draw_stream(place: Any, name: str, x: np.ndarray, last: bool = False) -> None:
    """Draw a stream of a sample, float [T, ...], into axes; below the last one, the timesteps have their numbers."""
    place.set_axis_on()
    place.set_frame_on(False)
    place.tick_params(length=0, labelsize=8)
    width = x.shape[2] + _gap(x) if x.ndim == 4 else 1
    middles = (np.arange(len(x)) + 0.5) * width - 0.5 - (_gap(x) / 2 if x.ndim == 4 else 0)
    shown = range(0, len(x), -(-len(x) // 10))  # of many timesteps, ten numbers
    place.set_xticks(middles[shown] if last else [], [str(t + 1) for t in shown] if last else [])
    place.set_yticks([])
    if last:
        place.set_xlabel("timestep", fontsize=8)
    if name == "audio" or x.ndim != 4:
        place.set_ylabel("frequency" if name == "audio" and x.ndim == 4 else name, fontsize=8)
    if x.ndim == 4 and name != "audio":
        place.imshow(np.nan_to_num(_side_by_side(as_pictures(x)), nan=1.0), interpolation="nearest", aspect="equal")
        return
    picture = _side_by_side(x[..., :1])[..., 0] if x.ndim == 4 else x.reshape(len(x), -1).T  # [entries, T]
    shape = "equal" if x.ndim == 4 else "auto"
    place.imshow(picture, interpolation="nearest", origin="lower", cmap="magma", aspect=shape)


def _side_by_side(frames: np.ndarray) -> np.ndarray:
    """[T, H, W, C] -> [H, T * W + gaps, C]; NaN in the gaps, which is drawn as nothing."""
    gap = _gap(frames)
    padded = np.pad(frames[:-1], [(0, 0), (0, 0), (0, gap), (0, 0)], constant_values=np.nan)
    return np.concatenate([*padded, frames[-1]], axis=1)


def _gap(frames: np.ndarray) -> int:
    """Pixels between two frames of [T, H, W, C]."""
    return max(1, frames.shape[2] // 32)
