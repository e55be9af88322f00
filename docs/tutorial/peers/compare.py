"""Train the network of chapter 5 with snncore, snnTorch and SpikingJelly in turns; print lines, seconds, accuracies.

    pip install "torch>=2.4" "snntorch>=0.9" "spikingjelly>=0.0.0.0.14"
    python docs/tutorial/peers/compare.py

Each runs in a process of its own. They take turns, one epoch each, so that all meet the same moods of the machine. The
program of snncore is what chapter 5 shows: its cells with the tag `network`.
"""

import argparse
import ast
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
import tokenize
from io import StringIO
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
CHAPTER = FOLDER.parent / "5_network.py"
SYSTEMS = {"snncore": "snncore", "snntorch": "snnTorch", "spikingjelly": "SpikingJelly"}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def program(system: str, loop: bool = True) -> str:
    """Return the source of a system's program; of snncore the cells of chapter 5, with the training loop or without."""
    if system != "snncore":
        return (FOLDER / f"digits_{system}.py").read_text(encoding="utf-8")
    sys.path.insert(0, str(FOLDER.parent))
    from build import cells_of

    cells = [cell for cell in cells_of(CHAPTER.read_text(encoding="utf-8")) if "network" in cell.tags]
    return "\n\n\n".join(cell.text for cell in cells if loop or "loop" not in cell.tags) + "\n"


def lines_of_code(source: str) -> int:
    """Return the number of lines that hold code: no blank lines, no comments, no docstrings."""
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type not in skip:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.value.end_lineno + 1))
    return len(lines)


def work(system: str, threads: int) -> None:
    """Be the process of one system: a word on standard input, an answer in JSON on standard output."""
    if system != "snncore":
        import torch

        torch.set_num_threads(threads)
    space: dict[str, Any] = {"__name__": "program"}
    exec(compile(program(system, loop=False), system, "exec"), space)
    print(json.dumps({"epochs": space["EPOCHS"]}), flush=True)
    for word in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        answer = space["train_epoch"]() if word.strip() == "epoch" else float(space["accuracy"]())
        seconds = time.perf_counter() - start, time.process_time() - busy
        print(json.dumps({"seconds": seconds, "answer": answer}), flush=True)


class Worker:
    """The process of one system, and of each of its epochs the seconds that passed and those of the CPU."""

    def __init__(self, system: str, threads: int) -> None:
        self.system, self.seconds = system, []
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--threads", str(threads), "--system", system],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(THREADS, str(threads)),
        )
        self.epochs = self._read()["epochs"]

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            sys.exit(f"{self.system}: its process ended: {(errors.strip().splitlines() or ['no message'])[-1]}")
        return json.loads(line)

    def ask(self, word: str) -> dict[str, Any]:
        """Send a word and return the answer."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self._read()


def table(workers: list[Worker], threads: int) -> str:
    """Train with all workers in turns and return a table in Markdown."""
    for _ in range(workers[0].epochs):
        for worker in workers:
            worker.seconds.append(worker.ask("epoch")["seconds"])
    head = (
        f"{threads} thread{'s' * (threads > 1)}",
        "lines of code",
        "seconds an epoch",
        "of the CPU",
        "test accuracy",
    )
    rows = [head, ("---",) * len(head)]
    for worker in workers:
        name = SYSTEMS[worker.system]
        if worker.system != "snncore":
            name += f" {importlib.metadata.version(worker.system)}"
        seconds = [f"{statistics.median(column):.2f}" for column in zip(*worker.seconds, strict=True)]
        code = str(lines_of_code(program(worker.system)))
        rows.append((name, code, *seconds, f"{worker.ask('accuracy')['answer']:.1%}"))
        worker.process.stdin.close()
        worker.process.wait()
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of each process (default: 1)")
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)  # in the processes that it starts
    options = parser.parse_args()
    if options.system:
        work(options.system, options.threads)
    else:
        print(table([Worker(system, options.threads) for system in SYSTEMS], options.threads))


if __name__ == "__main__":
    main()
