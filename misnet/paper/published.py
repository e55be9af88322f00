"""The tables that the paper prints, as data: Liu et al., ACM TOMM 21(5), 2025, doi:10.1145/3721981.

Values are as printed, in the units of the table: parameters in millions, accuracies in percent, energies in
millijoules. None: a dash or an empty cell. Rows are numbered from 1 in the order of the table, headings left out.
"""

from dataclasses import dataclass
from typing import Any

from snncore.nearest import one_of

__all__ = ["CLASSES", "LATER", "SIZES", "TABLES", "Later", "Row", "find", "rows"]

_COLUMNS: dict[str, tuple[str, ...]] = {
    "1": ("method", "stages", "channels", "cells"),
    "2a": ("method", "param", "timesteps", "CIFAR10", "Ub8k"),
    "2b": ("method", "param", "timesteps", "CIFAR10-AV", "Ub8k-AV"),
    "3": ("method", "M&N"),
    "4": ("method", "param", "CREMA-D", "AVE"),
    "5": ("method", "Ub8k-AV", "Ub8k-AV energy", "CREMA-D", "CREMA-D energy"),
    "6": ("method", "sum", "hadamard", "mlp", "attention", "concat"),
    "fig6": ("method", "fusion", "CREMA-D MISNet-L", "Ub8k-AV MISNet-S"),
    "7": ("method", "sew", "mlif", "param", "CREMA-D"),
    "8": ("method", "mlif", "unimodal losses", "CREMA-D"),
    "9": ("method", "timesteps", "CREMA-D", "AVE"),
    "10": ("method", "beta_a", "beta_v", "CREMA-D"),
    "11": ("method", "block", "CIFAR10-AV", "Ub8k-AV", "CREMA-D", "AVE"),
}

_CELLS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "1": (
        ("MISNet-XS", 3, (64, 128, 256), (2, 2, 1)),
        ("MISNet-S", 3, (64, 128, 256), (2, 2, 2)),
        ("MISNet-L", 4, (64, 128, 256, 512), (2, 2, 2, 1)),
        ("MISNet-XL", 4, (64, 128, 256, 512), (2, 2, 2, 2)),
    ),
    "2a": (
        ("ResNet18", 11.69, 2, 93.13, None),
        ("Spikeformer-4-384", 9.32, 4, 95.19, None),
        ("DSpikeformer-4-384", 9.32, 4, 95.60, None),
        ("Resformer-Ti", 10.79, 4, 96.24, None),
        ("MISNet-XS", 4.06, 4, 96.32, 89.04),
        ("MISNet-S", 7.33, 4, 96.61, 90.11),
        ("MISNet-L", 19.63, 4, 96.82, 91.05),
        ("MISNet-XL", 31.00, 4, 97.06, 91.92),
    ),
    "2b": (
        ("SMMT", 9.99, 1, 93.53, 94.30),
        ("SMMT", 9.99, 4, 97.01, 96.85),
        ("MISNet-XS", 4.06, 1, 99.03, 96.91),
        ("MISNet-XS", 4.06, 4, 99.53, 97.71),
        ("MISNet-S", 7.33, 1, 98.62, 97.94),
        ("MISNet-S", 7.33, 4, 99.15, 98.09),
        ("MISNet-L", 19.63, 1, 99.18, 98.52),
        ("MISNet-XL", 31.00, 1, 99.26, 98.96),
    ),
    "3": (
        ("EMSNN", 99.10),
        ("SMMT", 99.82),
        ("MISNet-XS", 99.88),
        ("MISNet-S", 99.98),
        ("MISNet-L", 99.98),
        ("MISNet-XL", 99.98),
    ),
    "4": (
        ("Concat", 22.36, 51.70, 65.40),
        ("Concat+Drop (audio)", None, 54.40, 66.40),
        ("Concat+Drop (visual)", None, 53.30, 66.20),
        ("PMR", 22.36, 61.10, 67.10),
        ("QMF", None, 63.71, None),
        ("SMMT", 9.99, 62.50, 51.78),
        ("MISNet-XS", 4.06, 66.45, 58.44),
        ("MISNet-S", 7.33, 68.72, 65.31),
        ("MISNet-L", 19.63, 75.22, 67.24),
        ("MISNet-XL", 31.00, 77.14, 68.04),
    ),
    "5": (
        ("PMR", None, None, 61.10, 266.60),
        ("QMF", None, None, 63.71, 266.60),
        ("SMMT", 96.85, 3.99, 62.50, 5.78),
        ("MISNet-XS", 97.71, 0.97, 66.58, 1.32),
        ("MISNet-S", 98.09, 1.76, 68.72, 2.41),
        ("MISNet-L", 98.52, 2.55, 75.22, 4.58),
        ("MISNet-XL", 98.96, 4.23, 77.14, 6.88),
    ),
    "6": (
        ("MISNet-S", 98.34, 99.18, 99.18, 99.58, 98.09),
        ("SEW-ResNet18-EF", 90.23, 88.63, 88.21, 87.65, 89.69),
        ("SEW-ResNet18-LF", 85.72, 85.21, 89.21, 90.73, 89.41),
    ),
    "fig6": (
        ("Ab1.1", "concat", 65.24, 93.09),
        ("Ab1.2", "mlp", 67.27, 93.42),
        ("Ab1.3", "attention", 68.91, 93.56),
        ("Ab2.1", "concat", 62.55, 91.21),
        ("Ab2.2", "mlp", 63.81, 92.73),
        ("Ab2.3", "attention", 61.23, 89.77),
        ("Ab3.1", "concat", 75.22, 97.76),
        ("Ab3.2", "mlp", 78.24, 98.01),
        ("Ab3.3", "attention", 74.21, 96.35),
    ),
    "7": (
        ("#1", False, False, 3.11, 67.88),
        ("#2", True, False, 19.70, 62.55),
        ("#3", False, True, 3.12, 72.72),
        ("#4", True, True, 19.68, 76.19),
    ),
    "8": (
        ("#1", False, False, 56.42),
        ("#2", False, True, 62.55),
        ("#3", True, False, 66.80),
        ("#4", True, True, 76.19),
    ),
    "9": (
        ("MISNet-S", 5, 69.99, 65.22),
        ("MISNet-S", 6, 70.12, 66.81),
        ("MISNet-L", 5, 76.19, 67.52),
        ("MISNet-L", 6, 76.38, 68.81),
        ("MISNet-XL", 5, 78.29, 68.31),
        ("MISNet-XL", 6, 78.56, 69.42),
    ),
    "10": tuple(
        ("MISNet-L", k / 10, (10 - k) / 10, accuracy)
        for k, accuracy in zip(
            range(1, 10), (76.11, 76.71, 75.30, 76.11, 76.38, 76.11, 75.51, 73.82, 72.31), strict=True
        )
    ),
    "11": (
        ("MISNet-XS", "SEW", 99.53, 97.71, 66.45, 58.44),
        ("MISNet-S", "SEW", 99.55, 98.09, 68.72, 65.31),
        ("MISNet-L", "SEW", 99.68, 98.61, 75.22, 67.24),
        ("MISNet-XL", "SEW", 99.86, 98.68, 77.14, 68.04),
        ("MISNet-XS", "SwinT", 99.63, 98.13, 67.87, 58.80),
        ("MISNet-S", "SwinT", 99.65, 98.84, 69.73, 66.42),
        ("MISNet-L", "SwinT", 99.78, 98.89, 76.61, 68.92),
        ("MISNet-XL", "SwinT", 99.88, 98.97, 77.56, 69.10),
    ),
}

SIZES = {"CIFAR10-AV": 32, "Ub8k-AV": 96, "CREMA-D": 128, "AVE": 128}
"""Input height and width by data set (Section 4.1)."""

CLASSES = {"CIFAR10-AV": 10, "Ub8k-AV": 10, "CREMA-D": 6, "AVE": 28}
"""Number of classes by data set (Section 4.1; ten for the first two by their sources)."""


@dataclass(frozen=True)
class Row:
    """One printed row. table: its number, such as "5"; 2a and 2b are the halves of Table 2. number: from 1."""

    table: str
    number: int
    cells: dict[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.cells[column]

    @property
    def where(self) -> str:
        """Table and row, to be cited."""
        name = f"Fig. {self.table[3:]}" if self.table.startswith("fig") else f"Table {self.table}"
        return f"{name}, row {self.number}"


TABLES: dict[str, tuple[Row, ...]] = {
    table: tuple(
        Row(table, i + 1, dict(zip(_COLUMNS[table], cells, strict=True))) for i, cells in enumerate(_CELLS[table])
    )
    for table in _COLUMNS
}
"""Every row of every table."""


@dataclass(frozen=True)
class Later:
    """A rival that came after the paper and without usable code: it is printed beside a table and cannot be run.

    table: the one whose columns it has. cells: accuracies in percent, by column. second_hand: whether the figures were
    seen quoted, and not in the source itself.
    """

    name: str
    table: str
    cells: dict[str, float]
    source: str
    second_hand: bool

    @property
    def note(self) -> str:
        """Where the figures are from."""
        where = "second hand: quoted from it elsewhere" if self.second_hand else "as its abstract prints them"
        return f"not of the paper: {self.source}; figures {where}; no network here, as no usable code was found"


LATER = (
    Later(
        "TAAF (2025)",
        "4",
        {"CREMA-D": 77.55, "AVE": 70.65},
        "Shen et al., Spiking Neural Networks with Temporal Attention-Guided Adaptive Fusion, arXiv 2505.14535",
        False,
    ),
    Later(
        "SNNergy (2026)",
        "4",
        {"CREMA-D": 78.38, "AVE": 72.14},
        "Saleh and Ahmadi, Cross-Modal Binary Attention, arXiv 2602.00701",
        True,
    ),
)
"""Later rivals; S-CMRL, whose code is public, is a network here."""


def rows(table: str) -> tuple[Row, ...]:
    """Return the rows of a table; raises KeyError, naming those there are, for another."""
    if table not in TABLES:
        raise KeyError(f"table: {one_of(table, TABLES)}")
    return TABLES[table]


def find(table: str, **cells: Any) -> Row:
    """Return the first row of a table whose cells are these, such as find("5", method="MISNet-XS")."""
    for row in rows(table):
        if all(row[name] == value for name, value in cells.items()):
            return row
    raise KeyError(f"table {table}: no row with {cells}")
