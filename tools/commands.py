"""The commands of an installation: `misnet-train` runs what `python tools/train.py` runs, and so on."""

from collections.abc import Callable
from importlib import import_module

from misnet.tools.toolkit import run_tool


def command(name: str) -> Callable[[], None]:
    """Return a function that runs `main` of misnet.tools.<name> and exits with its status; the module loads then."""

    def run() -> None:
        run_tool(import_module(f"misnet.tools.{name}").main)

    return run


train = command("train")
evaluate = command("evaluate")
predict = command("predict")
compare = command("compare")
report = command("report")
visualize = command("visualize")
audit = command("audit")
prepare = command("prepare")
reproduce = command("reproduce")
export = command("export")
adopt = command("adopt")
