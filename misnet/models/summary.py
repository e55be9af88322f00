"""A table of a network: layers, shapes, parameters."""

import argparse
from collections.abc import Sequence

import numpy as np

from misnet.models.config import ConfigError
from misnet.models.contract import Model
from misnet.models.options import add_model_options, first_look, model_config, split
from misnet.models.registry import DEFAULT, build, config_class
from snncore import Tensor, no_grad, observe
from snncore.context import context, current_path
from snncore.tape import Function

__all__ = ["empty_inputs", "main", "summarize"]


def empty_inputs(model: Model) -> list[Tensor]:
    """Return the streams of a batch of no samples: running it tells all shapes and costs nothing."""
    shapes = model.config.shapes().values()
    return [Tensor(np.zeros((shape[0], 0, *shape[1:]), model.dtype)) for shape in shapes]


def summarize(model: Model) -> str:
    """Return a table of every layer that has weights, fires or changes the shape, with its output and parameters.

    Shapes come from a real forward pass over no samples; N stands for the batch.
    """
    rows: dict[str, tuple[str, str]] = {}  # path -> kind, output shape

    def note(function: Function, inputs: tuple, outputs: tuple) -> None:
        rows[current_path()] = (type(context.scope[-1]).__name__, _shape(outputs[0].shape))

    training = model.training
    with no_grad(), observe(note):
        model.eval()(*empty_inputs(model))
    model.train(training)

    own = {  # parameters that a module holds itself
        path: sum(p.size for name, p in module.named_parameters() if "." not in name)
        for path, module in model.named_modules()
    }
    for path in [p for p in own if own[p] and p not in rows]:
        rows[path] = ("not called" if "unused" in path else "weights", "")
    order = list(dict.fromkeys((*own, *rows)))  # last the layers that are no attributes of the model
    title = type(model).__name__
    lines = [("layer", "module", "output", "parameters")]
    lines += [(path or title, *rows[path], f"{own.get(path, 0):,}") for path in sorted(rows, key=order.index)]
    lines.append(("total", "", "", f"{model.count_parameters():,}"))
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join((*(text.ljust(n) for text, n in zip(line[:-1], wide, strict=False)), line[-1].rjust(wide[-1])))
        for line in lines
    )


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join("N" if n == 0 else str(n) for n in shape) + "]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the model and switches on the command line."""
    name = first_look(arguments).get("model", DEFAULT)
    parser = argparse.ArgumentParser(
        prog="python -m misnet",
        usage="%(prog)s [--model NAME] [switches]",
        description="Print the layers, shapes and parameters of a network.",
    )
    add_model_options(parser, name)
    _, switches = split(vars(parser.parse_args(arguments)))
    try:
        model = build(name, model_config(config_class(name), switches))
    except ConfigError as error:
        parser.error(str(error))
    print(summarize(model))
