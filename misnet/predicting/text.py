"""What a network says of a clip, as lines of text."""

from collections.abc import Mapping, Sequence

import numpy as np

from misnet.audit.text import table
from misnet.predicting.energy import three_digits
from misnet.predicting.verdict import Verdict

__all__ = ["clip_lines", "score_lines", "timestep_lines"]

CLASSES = 12  # of more classes, the first few of the verdict are shown
SHOWN = 8
FORMING = 3  # classes whose scores are followed over the timesteps


def score_lines(verdict: Verdict, class_names: Sequence[str], heads: Mapping[str, str]) -> list[str]:
    """Return a table of scores: a line a class, the best first, a column for each head and each silenced stream.

    heads: words for each head, as the model has them.
    """
    order = np.argsort(-verdict.scores[verdict.head], kind="stable")
    shown = order if len(order) <= CLASSES else order[:SHOWN]
    columns = {heads[head]: scores for head, scores in verdict.scores.items()}
    columns |= {f"{name} silenced": scores[verdict.head] for name, scores in verdict.silenced.items()}
    best = {name: int(scores.argmax()) for name, scores in columns.items()}
    rows = [("class", *columns)]
    for k in shown:
        cells = (f"{scores[k]:.3f}{'*' if best[name] == k else ' '}" for name, scores in columns.items())
        rows.append((class_names[k], *cells))
    lines = table(rows)
    if len(shown) < len(order):
        lines.append(f"and {len(order) - len(shown)} more classes")
    return [*lines, "* the largest score of a column"]


def timestep_lines(verdict: Verdict, class_names: Sequence[str]) -> list[str]:
    """Return a table of how the verdict forms: the class that leads after each timestep, and the scores of some."""
    if verdict.running is None:
        return ["how it forms: this network takes all timesteps at once"]
    running = verdict.running[verdict.head]  # [T, classes]
    followed = np.argsort(-running[-1], kind="stable")[:FORMING]
    rows = [("after timestep", *(str(t + 1) for t in range(len(running))))]
    rows.append(("leads", *(class_names[k] for k in running.argmax(axis=1))))
    rows += [(f"score of {class_names[k]}", *(f"{x:.3f}" for x in running[:, k])) for k in followed]
    return table(rows)


def clip_lines(clips: Sequence[tuple[str, Verdict, float]], class_names: Sequence[str]) -> list[str]:
    """Return a table of several clips: verdict and score, and the class of each head and without each stream.

    clips: name, verdict, and energy in mJ by the first rule.
    """
    first = clips[0][1]
    heads = [head for head in first.scores if head != first.head]
    rows = [("clip", "verdict", "score", *heads, *(f"{name} silenced" for name in first.silenced), "energy (uJ)")]
    for name, verdict, mj in clips:
        labels = [int(verdict.scores[head].argmax()) for head in heads]
        labels += [verdict.label_without(stream) for stream in verdict.silenced]
        score = f"{verdict.scores[verdict.head].max():.3f}"
        row = (name, class_names[verdict.label], score, *(class_names[k] for k in labels), three_digits(1e3 * mj))
        rows.append(row)
    return table(rows)
