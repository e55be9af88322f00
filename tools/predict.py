"""Predict: what a trained network says of a clip of yours, how its verdict forms, and what that costs.

Files are read exactly as the test samples of the run's data set are. Printed are the class scores of every head, the
verdict after each timestep, what becomes of it where one modality is silenced (its input all zeros), and the energy of
this one sample by every counting rule. Several clips get a line each; one that cannot be read is named, and the exit
status is 1 in the end.
"""

if not __package__:  # run as a script, perhaps from a checkout that was never installed
    import gc

    import _checkout as _checkout

    gc.disable()  # until all is imported: looking for garbage among modules takes a sixth of the time to an answer

import argparse
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from misnet.audit.provenance import date_of, made_by, price_values
from misnet.datasets import BatchIterator, DataError
from misnet.datasets.formats.files import printable
from misnet.models.contract import Model, sizes, take
from misnet.pictures import ENDINGS, format_of
from misnet.predicting.energy import energy_lines, energy_of
from misnet.predicting.text import clip_lines, score_lines, timestep_lines
from misnet.predicting.verdict import Verdict, deciding, verdict_of
from misnet.tools.clips import Asked, asked_of, class_names_of
from misnet.tools.loudness import add_loudness_options, is_quiet, is_verbose, say
from misnet.tools.naming import Parser, called
from misnet.tools.outputs import check_outputs, picture_file, write_outputs
from misnet.tools.parts import PARTS
from misnet.tools.toolkit import (
    DATA,
    UsageError,
    add_arithmetic_option,
    add_device_options,
    arithmetic_from,
    complain,
    device_from,
    progress,
    run_tool,
)
from misnet.training.sources import Source, read_source
from snncore import to_device
from snncore.energy import DEFAULT_TABLE, OWN_TABLES, RULES, Prices, load_prices
from snncore.files import json_bytes, sha256_of

EXAMPLES = (
    (
        "a video with its sound, and a picture of the answer",
        "python tools/predict.py runs/mine clip.mp4 --picture clip.png",
    ),
    ("an image and a sound", "python tools/predict.py runs/first digit.png tone.wav"),
    ("every clip in a folder, all figures in a file", "python tools/predict.py runs/mine clips --json clips.json"),
    ("a test sample of the run's own data set", "python tools/predict.py runs/first --sample 17"),
    ("a checkpoint alone, without its run folder", "python tools/predict.py --weights best.safetensors clip.mp4"),
)


class ClipParser(Parser):
    """A parser whose options may stand between the run and the clips."""

    def _known(self, args: Any, namespace: Any) -> tuple[Any, list[str]]:
        return self.parse_known_intermixed_args(args, namespace)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = ClipParser(
        usage="%(prog)s RUN CLIP [CLIP ...] [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "places",
        nargs="*",
        metavar="RUN CLIP",
        help="folder that tools/train.py wrote, or a checkpoint in it; then clips: videos, sounds with images or "
        "folders of frames, event files, arrays (.npz), or folders of them",
    )
    parser.add_argument("--weights", metavar="FILE", help="a checkpoint in place of RUN; all arguments are then clips")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="weights to use (default: last)")
    group = parser.add_argument_group("clips")
    group.add_argument(
        "--list", metavar="FILE", help="file with a clip a line (- for standard input); tabs part the files of one clip"
    )
    group.add_argument(
        "--start", type=float, metavar="SECONDS", help="of a video, sound or event file: leave out before"
    )
    group.add_argument("--stop", type=float, metavar="SECONDS", help="leave out what is after")
    group.add_argument("--invert", action="store_true", help="turn light and dark in an image of a digit")
    group.add_argument("--sample", metavar="K[,K...]", help="samples of the run's data set by their numbers, not clips")
    group.add_argument("--split", choices=PARTS[::-1], help="that --sample is of (default: test)")
    group.add_argument(
        "--data-dir", metavar="DIR", default=argparse.SUPPRESS, help="of --sample, where the files lie elsewhere by now"
    )
    out = parser.add_argument_group("output")
    out.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every clip to a JSON file")
    out.add_argument(
        "--picture",
        type=picture_file,
        metavar="FILE",
        help=f"draw what the network is given and says of it: {ENDINGS}",
    )
    add_loudness_options(parser, "the verdict on each clip", "everything of each clip, though there are several")
    add_device_options(parser)
    add_arithmetic_option(parser)
    return parser


@dataclass(frozen=True)
class Answer:
    """What was found of a clip. notes: what a person should know of it."""

    asked: Asked
    inputs: dict[str, np.ndarray]
    verdict: Verdict
    energy: dict[str, Any]
    notes: tuple[str, ...]


def main() -> int:
    """Predict, write and print, and return the exit status: 1 if a clip could not be used."""
    parser = make_parser()
    args = parser.parse_args()
    if args.weights is None and not args.places:
        parser.error("expected a run folder or a checkpoint, and clips")
    place, names = (args.weights, args.places) if args.weights else (args.places[0], args.places[1:])
    try:
        date_of(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from None
    check_outputs(vars(args))
    device = device_from(vars(args))
    source = read_source(Path(place), args.checkpoint)
    summing = arithmetic_from({"arithmetic": source.arithmetic} | vars(args))
    asked, reading = asked_of(args, names, source)
    check_unlike(args, asked)
    model = source.network()
    model.to(device)
    prices = {name: load_prices(OWN_TABLES.get(name, DEFAULT_TABLE)) for name in RULES}
    answers: list[Answer] = []
    errors: dict[str, str] = {}
    with summing:
        for one in progress(asked, total=len(asked), initial=0, text="clips") if len(asked) > 1 else asked:
            reading.notes.clear()
            try:
                data = one.load(source, reading)
                answers.append(answer_of(one, data, model, prices, device, tuple(reading.notes)))
            except DataError as error:
                errors[one.name] = str(error)
    names_of = class_names_of(source)
    files: dict[str, bytes] = {}
    if args.json:
        files["json"] = json_bytes(report(answers, errors, model, source, prices, device))
    if args.picture and answers:
        from misnet.predicting.picture import clip_picture  # Matplotlib takes half a second

        answer = answers[0]
        shown = printable(" + ".join(Path(part).name for part in answer.asked.name.split(" + ")))
        title = f"{shown}: {names_of[answer.verdict.label]} ({model.config.title})"
        files["picture"] = clip_picture(
            title, answer.inputs, answer.verdict, names_of, model.heads, format_of(args.picture)
        )
    write_outputs(files, vars(args))
    if lines := lines_of(answers, model, source, is_verbose() or len(asked) == 1):
        print("\n".join(lines))
    for name in files:
        say(f"\nwrote {vars(args)[name]}")
    for message in errors.values():
        complain(message, DATA)
    return DATA if errors else 0


def check_unlike(args: argparse.Namespace, asked: list[Asked]) -> None:
    """Raise UsageError for a picture of several clips, and for an output that is one of the clips."""
    if args.picture and len(asked) > 1:
        raise UsageError(f"--picture: expected one clip, found {len(asked)}; draw them one by one")
    inputs = {os.path.realpath(path) for one in asked for path in one.files}
    for name in ("json", "picture"):
        if (path := vars(args)[name]) is not None and os.path.realpath(path) in inputs:
            raise UsageError(f"--{name}: expected a file of its own, found {path}, which is a clip")


def answer_of(
    one: Asked, data: Any, model: Model, prices: dict[str, Prices], device: str, notes: tuple[str, ...]
) -> Answer:
    """Run the network on a data set of one sample."""
    batch = next(iter(BatchIterator(data, 1, shuffle=False).epoch(0)))
    *streams, _ = take(model, batch)
    verdict = verdict_of(model, [to_device(x, device) for x in streams])
    inputs = {name: x[:, 0] for name, x in zip(model.streams, streams, strict=True)}
    return Answer(one, inputs, verdict, energy_of(model, batch, prices, device), notes)


def report(
    answers: list[Answer],
    errors: dict[str, str],
    model: Model,
    source: Source,
    prices: dict[str, Prices],
    device: str,
) -> dict[str, Any]:
    """Return everything as plain values, as JSON can hold them."""
    class_names = class_names_of(source)

    def named(scores: np.ndarray) -> dict[str, Any]:
        return {"class": class_names[int(scores.argmax())], "scores": [float(x) for x in scores]}

    clips = []
    for answer in answers:
        verdict = answer.verdict
        label = answer.asked.label
        clips.append(
            {
                "clip": answer.asked.name,
                "files": [str(path) for path in answer.asked.files],
                "class": class_names[verdict.label],
                "true_class": None if label is None else class_names[label],
                "heads": {head: named(scores) for head, scores in verdict.scores.items()},
                "by_timestep": None
                if verdict.running is None
                else {head: [named(row) for row in rows] for head, rows in verdict.running.items()},
                "silenced": {
                    stream: {head: named(scores) for head, scores in of.items()}
                    for stream, of in verdict.silenced.items()
                },
                "decides": deciding(verdict, class_names),
                "energy": answer.energy,
                "notes": list(answer.notes),
            }
        )
    return {
        "schema": 1,
        "provenance": made_by(f"{called('predict')} {shlex.join(sys.argv[1:])}", device),
        "weights": str(source.path),
        "weights_sha256": sha256_of(source.path),
        "network": model.config.to_dict(),
        "heads": dict(model.heads),
        "class_names": list(class_names),
        "clips": clips,
        "errors": errors,
        "price_tables": price_values(prices.values()),
    }


def lines_of(answers: list[Answer], model: Model, source: Source, full: bool) -> list[str]:
    """Return the lines that are printed."""
    class_names, config = class_names_of(source), model.config
    if is_quiet():
        return [f"{answer.asked.name}: {class_names[answer.verdict.label]}" for answer in answers]
    trained = f"trained on {source.settings.get('dataset')}; {source.path}"
    lines = [f"{config.title}, {sizes(config)}, T={config.timesteps}, {trained}"]
    if source.class_names is None:
        lines.append(
            "note: an earlier version trained this run and did not write its classes: they are shown by number"
        )
    for answer in answers if full else ():
        verdict, label = answer.verdict, answer.asked.label
        truth = "" if label is None else f" (it is {class_names[label]})"
        rate = answer.energy["firing_rate"]
        lines += [
            "",
            f"{answer.asked.name}: {class_names[verdict.label]}{truth}",
            *(f"note: {note}" for note in answer.notes),
            "",
            *score_lines(verdict, class_names, model.heads),
            "",
            *timestep_lines(verdict, class_names),
            "",
            f"which modality decides: {deciding(verdict, class_names)}",
            "",
            f"energy of this sample{'' if rate is None else f', firing rate {rate:.4f}'}:",
            *energy_lines(answer.energy),
        ]
    if not full and answers:
        rule = next(iter(answers[0].energy["rules"]))
        table = [(a.asked.name, a.verdict, a.energy["rules"][rule]["energy_mj"]) for a in answers]
        lines += [
            "",
            *clip_lines(table, class_names),
            f"energy by rule {rule}; everything of each clip: --verbose, --json",
        ]
        lines += [f"note: {note}" for answer in answers for note in answer.notes]
    return lines


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    run_tool(main)
