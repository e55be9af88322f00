"""The commands of an installation: `misnet-train` runs what `python tools/train.py` runs, and so on."""

import gc
from collections.abc import Callable
from importlib import import_module

from misnet.tools.toolkit import STOPPED, run_tool


def command(name: str) -> Callable[[], None]:
    """Return a function that runs `main` of misnet.tools.<name> and exits with its status; the module loads then."""

    def run() -> None:
        gc.disable()  # modules are no garbage, and looking for some among them takes a tenth of the start
        try:
            tool = import_module(f"misnet.tools.{name}")
        except KeyboardInterrupt:
            raise SystemExit(STOPPED) from None
        finally:
            gc.enable()
        run_tool(tool.main)

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
scale = command("scale")
