"""What weights alone do not say: the network that they are of, and how its neurons leak, fire and reset."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from misnet.models.contract import Model
from snncore import nn
from snncore.functions.plif import sigmoid

__all__ = ["FORMAT", "about", "neuron_lines", "neurons_of"]

FORMAT = 1
"""Raise it when a file written from then on cannot be read by the code before."""

OTHER_THRESHOLDS = {"mlif": "{} / alpha", "fusedmlif": "{} / alpha", "raisedlif": "a threshold of its own"}
"""Where neurons of a cell of MISNet fire, by kind, if that is not what they subtract, {}."""


def neurons_of(model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, settings) of each layer of neurons.

        h[t] = decay * v[t-1] + c[t],   s[t] = h[t] >= v_threshold,   v[t] = v_reset if s[t], or h[t] - v_threshold s[t]

    kind: as in `--neuron`, or mlif and its like, which compare alpha h[t], or h[t] with a threshold of their own.
    v_reset: None where the threshold is subtracted. decay of a PLIF is that which it learned.
    A neuron that divides its current by tau (`--decay-input`) is written with a threshold tau times as high, which
    fires the same spikes.
    """
    for path, module in model.named_modules():
        if not isinstance(module, nn.Neuron):
            continue
        firing: Any = getattr(module, "firing", None)
        if firing is None:
            continue
        decay = 1 - float(sigmoid(module.w.data.astype("d"))) if isinstance(module, nn.PLIF) else firing.decay
        kind = type(module).__name__.lower()
        yield path, {"kind": kind, "decay": decay, "v_threshold": firing.v_threshold, "v_reset": firing.v_reset}


def neuron_lines(model: Model) -> list[str]:
    """Return a line for each setting of neurons, with how many layers have it."""
    counts = Counter(tuple(settings.items()) for _, settings in neurons_of(model))
    lines = []
    for items, count in counts.items():
        s = dict(items)
        v_threshold = f"{s['v_threshold']:g}"
        fires = OTHER_THRESHOLDS.get(s["kind"], "{}").format(v_threshold)
        subtracted = "it" if fires == v_threshold else v_threshold
        reset = f"subtracts {subtracted}" if s["v_reset"] is None else f"resets to {s['v_reset']:g}"
        layers = f"{count} layers" if count > 1 else "1 layer"
        lines.append(f"{layers} of {s['kind']}: keeps {s['decay']:g}, fires at {fires}, {reset}")
    return lines


def about(name: str, model: Model, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file of weights says of its network. content: the config.json of its run."""
    return {
        "format": FORMAT,
        "model": name,
        "network": model.config.to_dict(),
        "class_names": list(content.get("class_names", [])),
        "heads": list(model.heads),
        "streams": {stream: list(shape) for stream, shape in model.config.shapes().items()},
        "neurons": dict(neurons_of(model)),
    }
