"""The picture of tools/scale.py: samples a second against ranks."""

from typing import Any

from misnet.pictures import COLOURS, picture_bytes
from misnet.training.plots import make_figure

__all__ = ["scale_picture"]


def scale_picture(result: dict[str, Any], ending: str = "png") -> bytes:
    """Draw strong and weak scaling side by side, a line for each network and one for perfect scaling, in a format."""
    figure, panels = make_figure(9, 3.8, panels=2)
    for axes, kind in zip(panels, ("strong", "weak"), strict=True):
        rows = [row for row in result["projection"] if row["scaling"] == kind]
        ranks = sorted({row["ranks"] for row in rows})
        one = rows[0]["samples_per_s"]
        axes.plot(ranks, [r * one for r in ranks], "--", color="0.5", linewidth=1.2, label="R times one rank")
        for k, speed in enumerate(dict.fromkeys(row["gbit_per_s"] for row in rows)):
            line = [row for row in rows if row["gbit_per_s"] == speed]
            x, y = ([row[name] for row in line] for name in ("ranks", "samples_per_s"))
            axes.plot(x, y, "os"[k % 2] + "-", color=COLOURS[k], markersize=4, label=f"{speed:g} Gbit/s")
        what = f"{rows[0]['batch']} samples a step" if kind == "strong" else f"{rows[0]['batch']} samples a rank"
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(ranks, [str(r) for r in ranks])
        axes.set(xlabel="ranks (machines)", ylabel="samples a second", title=f"{kind} scaling: {what}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(f"projected: {result['network']}", fontsize=9)
    return picture_bytes(figure, ending)
