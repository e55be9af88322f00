"""A table of a configuration: layers, shapes, parameters."""

import argparse
from collections.abc import Sequence

import numpy as np

from misnet.models.misnet.config import ConfigError, MISNetConfig
from misnet.models.misnet.model import MISNet
from misnet.models.options import add_model_options, model_config
from snncore import Tensor, no_grad, observe
from snncore.context import context
from snncore.tape import Function

__all__ = ["summarize"]


def summarize(config: MISNetConfig) -> str:
    """Return a table of every layer that has weights, fires or changes the shape, with its output and parameters.

    Shapes come from a real forward pass over no samples, which costs nothing; N stands for the batch.
    """
    model = MISNet(config).eval()
    rows: dict[str, tuple[str, str]] = {}  # path -> kind, output shape
    names = {id(module): path for path, module in model.named_modules()}

    def note(function: Function, inputs: tuple, outputs: tuple) -> None:
        module = context.scope[-1]
        rows[names[id(module)]] = (type(module).__name__, _shape(outputs[0].shape))

    shape = (config.timesteps, 0, config.size, config.size)
    with no_grad(), observe(note):
        audio = Tensor(np.zeros((*shape, config.audio_channels), np.float32))
        model(audio, Tensor(np.zeros((*shape, config.visual_channels), np.float32)))

    own = {  # parameters that a module holds itself
        path: sum(p.size for name, p in module.named_parameters() if "." not in name)
        for path, module in model.named_modules()
    }
    for path in [p for p in own if own[p] and p not in rows]:
        rows[path] = ("not called" if "unused" in path else "weights", "")
    lines = [("layer", "module", "output", "parameters")]
    lines += [(path or "MISNet", *rows[path], f"{own.get(path, 0):,}") for path in sorted(rows, key=list(own).index)]
    lines.append(("total", "", "", f"{model.count_parameters():,}"))
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join((*(text.ljust(n) for text, n in zip(line[:-1], wide, strict=False)), line[-1].rjust(wide[-1])))
        for line in lines
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join("N" if n == 0 else str(n) for n in shape) + "]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the switches on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m misnet",
        usage="%(prog)s [switches]",
        description="Print the layers, shapes and parameters of a MISNet.",
    )
    add_model_options(parser)
    try:
        config = model_config(vars(parser.parse_args(arguments)))
    except ConfigError as error:
        parser.error(str(error))
    print(summarize(config))
