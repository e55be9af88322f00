"""Write the pages, pictures and notebooks of the tutorial from its scripts, by running these.

    python docs/tutorial/build.py               all chapters
    python docs/tutorial/build.py 1_neuron      one of them

A chapter is one script, `docs/tutorial/N_name.py`, in cells as Jupytext and most editors know them: `# %% [markdown]`
begins text, `# %%` begins code, `# %% tags=["measured"]` code whose numbers differ from machine to machine, and
`# %% tags=["setup"]` code that is not on the page. From it come the page `N_name.md` (text, code, and below each piece
of code what it printed), its pictures `pictures/N_name-K.png` (one for each `plt.show()`), and the notebook
`N_name.ipynb`, without outputs.
A line `{{FILE}}` in a text stands for what is in that file, beside this one.
"""

import argparse
import contextlib
import io
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

FOLDER = Path(__file__).parent
CHAPTERS = ("1_neuron", "2_surrogates", "3_events", "4_mlif", "5_network", "6_audit")
MEASURED = "*Measured; on your machine the numbers differ:*"
HEAD = "<!-- Written by docs/tutorial/build.py from {}.py: change that file, not this one. -->"


@dataclass(frozen=True)
class Cell:
    """A piece of a chapter. kind: `markdown` or `code`. tags: such as `measured`."""

    kind: str
    text: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """What a piece of code did: what it printed, and the names of the figures that it showed."""

    printed: str = ""
    figures: tuple[str, ...] = ()


def cells_of(source: str) -> list[Cell]:
    """Return the cells of a script; what stands before the first mark is dropped."""
    cells = []
    for mark, body in re.findall(r"^# %%(.*)\n((?:(?!# %%).*(?:\n|\Z))*)", source, re.MULTILINE):
        tags = tuple(json.loads(found[1])) if (found := re.search(r"tags=(\[.*?\])", mark)) else ()
        if "[markdown]" in mark:
            lines = [re.sub(r"^# ?", "", line) for line in body.rstrip("\n").split("\n")]
            cells.append(Cell("markdown", "\n".join(lines), tags))
        else:
            cells.append(Cell("code", body.strip("\n"), tags))
    return cells


def with_files(text: str, folder: Path = FOLDER) -> str:
    """Put files where a line `{{FILE}}` names them: a script as code, anything else as it is."""

    def content(found: re.Match[str]) -> str:
        inside = (folder / found[1]).read_text(encoding="utf-8").rstrip("\n")
        return f"```python\n{inside}\n```" if found[1].endswith(".py") else inside

    return re.sub(r"^\{\{(.+)\}\}$", content, text, flags=re.MULTILINE)


def source_of(name: str, solved: bool = False) -> str:
    """Return the source of a chapter, with its exercise solved on request; ValueError if a solution does not fit it."""
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for piece, other in _solutions()[name] if solved else ():
        if source.count(piece) != 1:
            raise ValueError(f"{name}: expected {piece!r} once in its source, found it {source.count(piece)} times")
        source = source.replace(piece, other)
    return source


def _solutions() -> dict[str, list[tuple[str, str]]]:
    space: dict[str, Any] = {}
    exec((FOLDER / "solutions.py").read_text(encoding="utf-8"), space)
    return space["SOLUTIONS"]


def run(name: str, cells: list[Cell], pictures: Path | None = None) -> list[Output]:
    """Run the code cells of a chapter in one namespace, as a notebook does; save what they show in `pictures`."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown: list[str] = []
    count = 0

    def show() -> None:
        nonlocal count
        for number in plt.get_fignums():
            figure = plt.figure(number)
            count += 1
            shown.append(figure.get_label())
            if pictures is not None:
                file = pictures / f"{name}-{count}.png"
                figure.savefig(file, dpi=100, bbox_inches="tight", metadata={"Software": None})
        plt.close("all")

    outputs = []
    space: dict[str, Any] = {"__name__": "__main__", "__file__": str(FOLDER / f"{name}.py")}
    usual, plt.show = plt.show, show
    try:
        for number, cell in enumerate(cells):
            printed = io.StringIO()
            if cell.kind == "code":
                with contextlib.redirect_stdout(printed):
                    exec(compile(cell.text, f"{name}.py, cell {number}", "exec"), space)
            outputs.append(Output(printed.getvalue(), tuple(shown)))
            shown.clear()
    finally:
        plt.show = usual
        plt.close("all")
    return outputs


def page(name: str, cells: list[Cell], outputs: list[Output]) -> str:
    """Return the page of a chapter: texts, code, what it printed, links to its pictures."""
    parts, count = [HEAD.format(name)], 0
    for cell, output in zip(cells, outputs, strict=True):
        if cell.kind == "markdown":
            parts.append(with_files(cell.text))
            continue
        if "setup" in cell.tags:
            continue
        parts.append(f"```python\n{cell.text}\n```")
        if output.printed:
            parts += [MEASURED] if "measured" in cell.tags else []
            parts.append(f"```text\n{output.printed.rstrip()}\n```")
        for label in output.figures:
            count += 1
            parts.append(f"![{label}](pictures/{name}-{count}.png)")
    return "\n\n".join(parts) + "\n"


def notebook(cells: list[Cell]) -> str:
    """Return the chapter as a notebook (nbformat 4.5), without outputs."""
    made = []
    for number, cell in enumerate(cells):
        text = with_files(cell.text) if cell.kind == "markdown" else cell.text
        entry: dict[str, Any] = {
            "cell_type": cell.kind,
            "id": f"cell-{number}",
            "metadata": {"tags": list(cell.tags)} if cell.tags else {},
            "source": text.splitlines(keepends=True),
        }
        if cell.kind == "code":
            entry |= {"execution_count": None, "outputs": []}
        made.append(dict(sorted(entry.items())))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1) + "\n"


def stable(text: str) -> str:
    """Return a page with # for each number that was measured, so that pages of two machines can be compared."""

    def masked(found: re.Match[str]) -> str:
        return found[1] + re.sub(r" *\d+(\.\d+)?", " #", found[2])

    return re.sub(rf"({re.escape(MEASURED)}\n\n```text\n)(.*?)(?=```)", masked, text, flags=re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapter", nargs="*", metavar="CHAPTER", help="such as 1_neuron; by default all")
    names = parser.parse_args().chapter or CHAPTERS
    for name in names:
        if name not in CHAPTERS:
            parser.error(f"CHAPTER: expected one of {', '.join(CHAPTERS)}, found {name!r}")
    (FOLDER / "pictures").mkdir(exist_ok=True)
    for name in names:
        cells = cells_of(source_of(name))
        for old in (FOLDER / "pictures").glob(f"{name}-*.png"):
            old.unlink()
        text = page(name, cells, run(name, cells, FOLDER / "pictures"))
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
        (FOLDER / f"{name}.ipynb").write_text(notebook(cells), encoding="utf-8")
        print(f"wrote {name}.md and {name}.ipynb")
    return 0


if __name__ == "__main__":
    sys.exit(main())
