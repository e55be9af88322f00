"""The command line of tools/train.py."""

import argparse

from misnet.datasets import AUGMENTATIONS, describe
from misnet.datasets.registry import REGISTRY
from misnet.models.options import add_model_options
from misnet.models.registry import DEFAULT
from misnet.tools.loudness import add_loudness_options
from misnet.tools.naming import Parser
from misnet.tools.seeds import seeds_of
from misnet.tools.settings import RECIPES, SCHEDULES
from misnet.tools.toolkit import add_arithmetic_option, add_data_options, add_device_options, add_graph_option
from snncore.optim import OPTIMIZERS

__all__ = ["make_parser"]

DESCRIPTION = """Train a network: `python tools/train.py --variant S` runs on two cores in minutes and needs no files.

Without further options it trains on dialpad, a small built-in audio-visual set. A run folder then holds
config.json, metrics.csv, last.safetensors, previous.safetensors, best.safetensors, curves.png and run.log; Ctrl-C
saves and leaves, and `--resume RUN_DIR` goes on to the same weights as a run that was never stopped.
"""

EXAMPLES = (
    ("minutes on two cores, nothing to download", "python tools/train.py --variant S --output-dir runs/first"),
    ("go on with it for ten more epochs", "python tools/train.py --resume runs/first --epochs 15"),
    ("three seeds, with mean and spread", "python tools/train.py --variant XS --seeds 0,1,2 --output-dir runs/seeds"),
    (
        "recorded data, the best epoch chosen by a tenth of the training samples",
        "python tools/train.py --dataset mnist-fsdd --data-dir DIR --variant XS --val-part 0.1",
    ),
    ("another network, with its own switches", "python tools/train.py --model spikformer --timesteps 4"),
)


def make_parser(model: str = DEFAULT) -> argparse.ArgumentParser:
    """Return the parser for a model; options not given are absent from the namespace."""
    epochs = ", ".join(f"{entry.default_epochs} for {name}" for name, entry in REGISTRY.items())
    parser = Parser(
        usage="%(prog)s [--model NAME] [options]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        epilog="data sets:\n\n" + "\n\n".join(describe(name) for name in REGISTRY),
        examples=EXAMPLES,
    )
    more = "the settings, the switches of the network and the software versions in force"
    add_loudness_options(parser, "what the run reached", more)
    add_data_options(parser)
    group = parser.add_argument_group("training")
    group.add_argument("--recipe", choices=tuple(RECIPES), help="default: Adam, lr 2e-3, cosine; paper: SGD 0.9, 1e-3")
    group.add_argument("--epochs", type=int, help=f"passes over the training set (default: {epochs})")
    group.add_argument("--batch-size", type=int, help="samples per step (default: 32)")
    group.add_argument(
        "--accumulate", type=int, metavar="K", help="compute a batch in K parts, with less memory (default: 1)"
    )
    group.add_argument(
        "--augment",
        type=lambda text: [name for name in text.split(",") if name],
        metavar="NAMES",
        help=f"random changes of training samples, some of {', '.join(AUGMENTATIONS)}, with commas (default: none)",
    )
    group.add_argument(
        "--weights",
        metavar="RUN_OR_FILE",
        help="start from the weights of another run (its last epoch) or of a checkpoint, such as RUN/best.safetensors, "
        "of a network with the same switches; where the classes differ, the heads start anew",
    )
    group.add_argument("--optimizer", choices=tuple(OPTIMIZERS), help="instead of the recipe's")
    group.add_argument("--lr", type=float, help="learning rate, instead of the recipe's")
    group.add_argument("--final-lr", type=float, help="where the cosine ends, instead of the recipe's")
    group.add_argument("--momentum", type=float, help="of SGD, instead of the recipe's")
    group.add_argument("--weight-decay", type=float, help="instead of the recipe's")
    group.add_argument("--schedule", choices=SCHEDULES, help="of the learning rate (default: cosine)")
    group.add_argument("--step-epochs", type=int, metavar="N", help="of --schedule step: epochs between two steps")
    group.add_argument(
        "--step-factor", type=float, metavar="F", help="of --schedule step: what a step multiplies by (default: 0.1)"
    )
    group.add_argument("--warmup-steps", type=int, help="steps in which the learning rate rises (default: 0)")
    group.add_argument(
        "--clip-norm", type=float, metavar="NORM", help="limit the common norm of all gradients (default: no limit)"
    )
    group.add_argument("--seed", type=int, help="of weights, data and order (default: 0); repeats a run bit for bit")
    group.add_argument(
        "--seeds",
        type=seeds_of,
        metavar="SEEDS",
        help="a run for each of these, as 0,1,2, and their mean and deviation",
    )
    group.add_argument(
        "--data-seed",
        type=int,
        metavar="SEED",
        help="of pairs, splits and limits of the data (default: that of --seed)",
    )
    select = parser.add_argument_group("choosing the best epoch (default: by the test samples)")
    select.add_argument("--val-part", type=float, metavar="PART", help="by this part of the training split, held out")
    select.add_argument(
        "--val-split", action=argparse.BooleanOptionalAction, help="by the val split that the data set brings"
    )
    select.add_argument("--patience", type=int, metavar="N", help="end after N epochs without a better one")
    add_device_options(parser)
    add_graph_option(parser)
    add_arithmetic_option(parser)
    parser.add_argument(
        "--sync-batch-norm",
        action=argparse.BooleanOptionalAction,
        help="with mpiexec: batch norms take the statistics of the batch on all ranks (default: with less than 16 "
        "samples a rank)",
    )
    run = parser.add_argument_group("run folder")
    run.add_argument("--output-dir", metavar="DIR", help="folder to write (default: runs/<dataset>-<network>-<time>)")
    run.add_argument(
        "--resume",
        metavar="RUN_DIR",
        help="go on with a run that was stopped; --epochs makes it longer, other rates, schedule or augmentation hold "
        "from here on; --save-every and options of the device are those of the run unless given",
    )
    run.add_argument(
        "--save-every",
        metavar="TIME",
        help="save within epochs too, after 90s, 10min, 2h (default: 10min); 0: after each epoch alone",
    )
    run.add_argument(
        "--log",
        metavar="NAMES",
        help="tell others each epoch too, with commas: tensorboard (into RUN_DIR/tensorboard), or a function of your "
        "own as MODULE:FUNCTION or FILE.py:FUNCTION, see docs/reports.md",
    )
    run.add_argument("--config", metavar="FILE", help="start from the config.json of another run; options override it")
    add_model_options(parser, model)
    return parser
