"""Which network, with which switches, on which data each printed accuracy is of: Tables 2 to 11 and Fig. 6."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from misnet.paper.published import Row, rows
from snncore.nearest import one_of

__all__ = ["CONTROLS", "DATA", "GRIDS", "MODELS", "TITLES", "Cell", "Source", "cells"]


@dataclass(frozen=True)
class Source:
    """A data set of Section 4.1 as it is read: its name here, pixels of both inputs, classes, channels of vision.

    static: one image and one sound, the same at every timestep (Fig. 5, right); else a key frame with its spectrogram
    or a slice of the recording at each timestep (Fig. 5, left).
    """

    dataset: str
    size: int
    classes: int
    visual_channels: int
    static: bool


DATA = {
    "CIFAR10-AV": Source("cifar10-av", 32, 10, 3, True),
    "Ub8k-AV": Source("urbansound8k-av", 96, 10, 3, True),
    "CREMA-D": Source("crema-d", 128, 6, 3, False),
    "AVE": Source("ave", 128, 28, 3, False),
    "M&N": Source("mnist-dvs-ntidigits", 32, 10, 2, False),
}
"""By the paper's name. The two settings of Section 4: static pairs, and recordings. It gives no size for M&N."""


@dataclass(frozen=True)
class Cell:
    """One printed accuracy and the network that it is of.

    row, column: as printed. data: a name of DATA. model: a name of `registry.MODELS`, now or once it is there.
    switches: of the model, apart from what the data decide (size, classes, channels); `timesteps` is among them.
    accuracy: in percent; parameters: in millions; energy: in millijoules; None where nothing is printed.
    note: what is read into the paper, or guessed.
    """

    table: str
    row: str
    column: str
    data: str
    model: str
    switches: Mapping[str, Any]
    accuracy: float | None = None
    parameters: float | None = None
    energy: float | None = None
    note: str = ""


RIVALS: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet18": ("sew-resnet18", {}),
    "Spikeformer-4-384": ("spikformer", {}),
    "DSpikeformer-4-384": ("spike-driven-transformer", {}),
    "Resformer-Ti": ("spikingresformer-ti", {}),
    "SMMT": ("smmt", {}),
    "EMSNN": ("emsnn", {}),
    "Concat": ("concat-resnet18", {}),
    "Concat+Drop (audio)": ("concat-resnet18", {"drop": "audio"}),
    "Concat+Drop (visual)": ("concat-resnet18", {"drop": "visual"}),
    "PMR": ("pmr", {}),
    "QMF": ("qmf", {}),
    "SEW-ResNet18-EF": ("sew-resnet18", {"fusion": "early"}),
    "SEW-ResNet18-LF": ("sew-resnet18", {"fusion": "late"}),
}
"""Model and switches of every system but MISNet, by its printed name."""

NOTES = {
    "ResNet18": "the citation is of a paper on training ResNet18 with other neurons; read as SEW-ResNet18",
    "DSpikeformer-4-384": "the cited network is 2-512 on CIFAR; the printed name and parameters are Spikformer's",
}


def system(name: str) -> tuple[str, dict[str, Any]]:
    """Return the model and switches of a printed name; raises KeyError for one that is not in the paper."""
    if name.startswith("MISNet-"):
        return "misnet", {"variant": name.removeprefix("MISNet-")}
    return RIVALS[name]


def _cell(row: Row, column: str, data: str, name: str = "", **rest: Any) -> Cell:
    """Return the cell of one column. rest: `switches` beyond those of the system, and fields of Cell."""
    label = str(row["method"])
    model, own = system(name or label)
    switches = own | {"timesteps": 4} | rest.pop("switches", {})
    note = rest.pop("note", "") or NOTES.get(label, "")
    return Cell(row.table, rest.pop("label", label), column, data, model, switches, row[column], note=note, **rest)


def _table2() -> Iterator[Cell]:
    for row in rows("2a"):
        for column, data in (("CIFAR10", "CIFAR10-AV"), ("Ub8k", "Ub8k-AV")):
            if row[column] is not None:
                switches = {"streams": "visual", "timesteps": row["timesteps"]}
                yield _cell(row, column, data, switches=switches, parameters=row["param"])
    for row in rows("2b"):
        for column in ("CIFAR10-AV", "Ub8k-AV"):
            label = f"{row['method']}, T={row['timesteps']}"
            switches = {"timesteps": row["timesteps"]}
            yield _cell(row, column, column, switches=switches, parameters=row["param"], label=label)


def _table3() -> Iterator[Cell]:
    for row in rows("3"):
        yield _cell(row, "M&N", "M&N", note="timesteps and size are not printed")


def _table4() -> Iterator[Cell]:
    for row in rows("4"):
        for column in ("CREMA-D", "AVE"):
            if row[column] is not None:
                yield _cell(row, column, column, parameters=row["param"])


def _table5() -> Iterator[Cell]:
    for row in rows("5"):
        for column in ("Ub8k-AV", "CREMA-D"):
            if row[column] is not None:
                switches, note = {}, ""
                if column == "Ub8k-AV":
                    same = [r for r in rows("2b") if r["method"] == row["method"] and r[column] == row[column]]
                    switches = {"timesteps": same[0]["timesteps"]}
                    note = "timesteps by the accuracy that Table 2 prints; those of the energy are not printed"
                yield _cell(row, column, column, switches=switches, energy=row[f"{column} energy"], note=note)


def _table6() -> Iterator[Cell]:
    for row in rows("6"):
        for head in ("sum", "hadamard", "mlp", "attention", "concat"):
            yield _cell(row, head, "Ub8k-AV", switches={"head": head})


MLIFS = {"Ab1": "fused-charge", "Ab2": "independent", "Ab3": "full"}
COLUMNS = {"CREMA-D MISNet-L": ("CREMA-D", "MISNet-L"), "Ub8k-AV MISNet-S": ("Ub8k-AV", "MISNet-S")}

CONTROLS: dict[str, dict[str, Any]] = {
    "no neuron in the cell": {"mlif": "off"},
    "two LIFs, threshold V, reset by V": {"mlif": "independent"},
    "two LIFs, threshold 2 V, reset by 2 V": {"mlif": "independent", "mlif_v_threshold": 2.0},
    "two LIFs, threshold 2 V, reset by V": {"mlif": "second-threshold", "learn_alpha": False},
    "two LIFs, learned threshold from 2 V, reset by V": {"mlif": "second-threshold"},
    "MLIF, alpha fixed at 0.5": {"mlif": "full", "learn_alpha": False},
    "MLIF, alpha learned from 1": {"mlif": "full", "alpha": 1.0},
    "MLIF, alpha learned from 0.5": {"mlif": "full"},
}
"""What the concat MLIF adds, one at a time: a neuron in the cell, a higher threshold, one above the reset, one that is
learned. The second is Ab2.1 and the last Ab3.1; the fourth and the sixth are one network written twice."""


def _fig6() -> Iterator[Cell]:
    for row in rows("fig6"):
        kind = row["method"].partition(".")[0]
        note = ""
        if kind == "Ab2" and row["fusion"] != "concat":
            note = "a reading: the spikes of two LIFs are fused and fire again where the fused value is half or more"
        for column, (data, name) in COLUMNS.items():
            switches = {"mlif": MLIFS[kind], "mlif_fusion": row["fusion"]}
            yield _cell(row, column, data, name, switches=switches, note=note)


def _controls() -> Iterator[Cell]:
    for label, switches in CONTROLS.items():
        for column, (data, name) in COLUMNS.items():
            model, own = system(name)
            yield Cell("fig6-controls", label, column, data, model, own | {"timesteps": 4} | switches)


def _table7() -> Iterator[Cell]:
    for row in rows("7"):
        switches = {
            "timesteps": 6,
            "sew": "per-modality" if row["sew"] else "off",
            "mlif": "full" if row["mlif"] else "independent",
        }
        label = f"{row['method']}: SEW {'on' if row['sew'] else 'off'}, MLIF {'on' if row['mlif'] else 'off'}"
        note = "" if row["mlif"] else "without MLIF is read as Ab2.1, whose accuracy is printed again in row 2"
        yield _cell(
            row, "CREMA-D", "CREMA-D", "MISNet-L", switches=switches, parameters=row["param"], label=label, note=note
        )


def _table8() -> Iterator[Cell]:
    for row in rows("8"):
        switches: dict[str, Any] = {"timesteps": 6, "mlif": "full" if row["mlif"] else "independent"}
        if not row["unimodal losses"]:
            switches |= {"beta_a": 0.0, "beta_v": 0.0}
        words = f"MLIF {'on' if row['mlif'] else 'off'}, unimodal losses {'on' if row['unimodal losses'] else 'off'}"
        yield _cell(row, "CREMA-D", "CREMA-D", "MISNet-L", switches=switches, label=f"{row['method']}: {words}")


def _table9() -> Iterator[Cell]:
    for row in rows("9"):
        for column in ("CREMA-D", "AVE"):
            label = f"{row['method']}, T={row['timesteps']}"
            yield _cell(row, column, column, switches={"timesteps": row["timesteps"]}, label=label)


def _table10() -> Iterator[Cell]:
    for row in rows("10"):
        betas = {"beta_a": row["beta_a"], "beta_v": row["beta_v"]}
        label = f"beta_a {row['beta_a']}, beta_v {row['beta_v']}"
        note = "T=6 by the accuracy at (0.5, 0.5), which Table 9 prints for T=6"
        yield _cell(row, "CREMA-D", "CREMA-D", switches={"timesteps": 6} | betas, label=label, note=note)


def _table11() -> Iterator[Cell]:
    for row in rows("11"):
        for column in ("CIFAR10-AV", "Ub8k-AV", "CREMA-D", "AVE"):
            label, block = f"{row['method']}, {row['block']} blocks", row["block"].lower().removesuffix("t")
            note = "" if block == "sew" else "windows, heads and width of the MLP are not printed"
            yield _cell(row, column, column, switches={"block": block}, label=label, note=note)


MODELS = {
    "MISNet-XS": ("misnet", {"variant": "XS"}),
    "MISNet-S": ("misnet", {"variant": "S"}),
    "SEW-ResNet18, late fusion": ("sew-resnet18", {}),
    "SEW-ResNet18, early fusion": ("sew-resnet18", {"fusion": "early"}),
    "Spiking-ResNet18": ("spiking-resnet18", {}),
    "Spikformer": ("spikformer", {}),
    "Spike-driven Transformer": ("spike-driven-transformer", {}),
    "SpikingResformer": ("spikingresformer-ti", {}),
    "SMMT": ("smmt", {}),
    "EMSNN": ("emsnn", {}),
    "S-CMRL": ("s-cmrl", {}),
    "Concat-ResNet18": ("concat-resnet18", {}),
    "PMR": ("pmr", {}),
    "QMF": ("qmf", {}),
}
"""Every model that there is, by the name of its row in the table of all models, which is not of the paper."""


def _models() -> Iterator[Cell]:
    for label, (model, own) in MODELS.items():
        yield Cell("models", label, "audio and vision", "CIFAR10-AV", model, own | {"timesteps": 4})


GRIDS = {
    "models": _models,
    "table2": _table2,
    "table3": _table3,
    "table4": _table4,
    "table5": _table5,
    "table6": _table6,
    "fig6": _fig6,
    "fig6-controls": _controls,
    "table7": _table7,
    "table8": _table8,
    "table9": _table9,
    "table10": _table10,
    "table11": _table11,
}
"""What can be run: all models, then the paper in its order."""

TITLES = {
    "models": "All models: each trained on audio and vision",
    "table2": "Table 2: vision alone, and audio-visual pairs, beside other spiking networks",
    "table3": "Table 3: event camera and silicon cochlea (M&N)",
    "table4": "Table 4: recordings, beside networks with and without spikes",
    "table5": "Table 5: energy",
    "table6": "Table 6: fusion before the classifier",
    "fig6": "Figure 6: what is inside the MLIF",
    "fig6-controls": "Controls of Figure 6: what the concat MLIF adds, one at a time",
    "table7": "Table 7: with and without SEW blocks and MLIF, T=6",
    "table8": "Table 8: with and without MLIF and the losses of one modality, T=6",
    "table9": "Table 9: timesteps",
    "table10": "Table 10: weights of the losses of one modality",
    "table11": "Table 11: SEW blocks and SwinT blocks",
}


def cells(name: str) -> tuple[Cell, ...]:
    """Return the cells of a table or figure, in the order of the page; raises KeyError, naming those there are."""
    if name not in GRIDS:
        raise KeyError(f"grid: {one_of(name, GRIDS)}")
    return tuple(GRIDS[name]())
