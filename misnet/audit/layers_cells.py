"""The cells of one line of a layer table, read and checked."""

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from misnet.audit.layers_row import DECAYS, KINDS, LARGEST, POOLS, WEIGHTED, Pair, Rate, Row, TableError, Values

__all__ = ["Cells", "parse_rate"]

NUMBER = r"((?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,3})?)\s*(%?)"


def parse_rate(text: str) -> Rate:
    """Read `0.13`, `13 %`, `0.1 - 0.3` or `10 - 30 %`; ValueError, which says what is expected, for anything else."""
    found = re.fullmatch(rf"{NUMBER}(?:\s*(?:-|\u2013|to)\s*{NUMBER})?", text.strip())
    if not found:
        raise ValueError("a rate such as 0.13 or 13 %, or a range such as 0.1 - 0.3")
    low, percent, high, of_high = found.groups()
    percent = percent or (of_high if high else "")  # 10 - 30 %
    ends = [_share(low, percent), _share(high, of_high or percent) if high else _share(low, percent)]
    if ends[0] > ends[1]:
        raise ValueError("the lower rate first")
    if ends[1] > 1:
        raise ValueError("a share of at most 1, or 100 % (events above 1 are told by values: graded V)")
    return Rate(ends[0], ends[1])


def _share(text: str, percent: str) -> Fraction:
    return Fraction(text) / (100 if percent else 1)


class Cells:
    """The cells of one line, read by column."""

    def __init__(self, path: Path, line: int, given: dict[str, str]) -> None:
        self.path, self.line, self.given = path, line, given

    def fail(self, column: str, expected: str) -> TableError:
        found = repr(self.given[column]) if column in self.given else "an empty cell"
        return TableError(f"{self.path}, line {self.line}, column {column}: expected {expected}, found {found}")

    def row(self) -> Row:
        name = self.needed("name", "a name")
        kind = self.needed("kind", f"one of {', '.join(KINDS)}").lower().replace(" ", "_")
        if kind not in KINDS:
            raise self.fail("kind", f"one of {', '.join(KINDS)}")
        inside = self.whole("in_channels", needed=True)
        out = inside
        if kind in WEIGHTED:
            out = self.whole("out_channels", default=inside if kind == "depthwise" else None, needed=True)
        size = self.size(kind)
        pool = kind in POOLS
        kernel = self.pair("kernel", 2 if pool else 3) if kind in ("conv", "depthwise", *POOLS) else (1, 1)
        if kind == "global_avg_pool":
            kernel = (size[0], size[1])
        dilation = self.pair("dilation", 1)
        stride = self.pair("stride", kernel if pool else 1)
        same = tuple((k - 1) // 2 * d for k, d in zip(kernel, dilation, strict=True))
        padding = self.pair("padding", (0, 0) if pool else (same[0], same[1]), least=0)
        groups = inside if kind == "depthwise" else self.whole("groups", default=1)
        row = Row(
            line=self.line,
            name=name,
            kind=kind,
            channels=(inside, out),
            size=size,
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=self.choice("bias", {"yes": True, "no": False}, False),
            timesteps=self.whole("timesteps") if "timesteps" in self.given else None,
            values=self.values("values"),
            rate=self.rate("rate"),
            values_other=self.values("values_other"),
            rate_other=self.rate("rate_other"),
            reset=self.choice("reset", {"soft": "soft", "hard": "hard"}, "soft"),
            decay=self.decay(kind),
            still=self.given.get("input", "").lower() == "still",
            outside=self.choice("input", {"outside": True, "still": True, "inside": False}, None),
            repeat=self.whole("repeat", default=1),
            recording=self.given.get("recording"),
            recording_other=self.given.get("recording_other"),
            layout=self.given["layout"].upper() if "layout" in self.given else None,
        )
        self.check(row)
        return row

    def check(self, row: Row) -> None:
        """Raise TableError for a window that does not fit, groups that do not divide, or a layer beyond all bounds."""
        if row.kind in ("conv", "depthwise"):
            for column, channels in zip(("in_channels", "out_channels"), row.channels, strict=True):
                if channels % row.groups:
                    raise self.fail(column, f"a multiple of {row.groups} groups")
        if row.kind in ("conv", "depthwise", "max_pool", "avg_pool", "sum_pool"):
            for n, k, p, d in zip(row.size, row.kernel, row.padding, row.dilation, strict=True):
                if n + 2 * p < d * (k - 1) + 1:
                    raise self.fail("size", f"at least {d * (k - 1) + 1 - 2 * p} pixels a side for a kernel of {k}")
        if row.kind.endswith("_pool") and any(2 * p > k for k, p in zip(row.kernel, row.padding, strict=True)):
            raise self.fail("padding", "at most half the kernel")
        heads = row.groups if row.kind == "matmul" else 1
        entries = max(row.channels) * (row.timesteps or 1) * heads * math.prod(row.size)
        if entries > LARGEST:
            raise TableError(
                f"{self.path}, line {self.line}: expected a layer of at most {LARGEST:,} entries, found {entries:,}"
            )
        weights = math.prod(row.kernel) * row.channels[0] // row.groups * row.channels[1] if row.kind != "matmul" else 0
        if row.weighted and weights > LARGEST:
            raise TableError(
                f"{self.path}, line {self.line}: expected a layer of at most {LARGEST:,} weights, found {weights:,}"
            )
        if row.values_other is not None and not row.values_other.events:
            raise self.fail("values_other", "binary or graded V (empty for the analog side of a product)")
        if row.neuron and row.values is not None and row.values != Values("binary"):
            raise self.fail("values", "binary or nothing: what a neuron fires is 0 or 1")
        if row.kind == "clif" and row.reset == "hard":
            raise self.fail("reset", "soft: a CLIF has no other")
        if row.kind == "residual" and row.values is not None and not row.values.events:
            raise self.fail("values", "binary or graded V: a residual adds two spike trains")

    def needed(self, column: str, expected: str) -> str:
        if column not in self.given:
            raise self.fail(column, expected)
        return self.given[column]

    def whole(self, column: str, default: int | None = None, needed: bool = False) -> int:
        if column not in self.given and default is not None:
            return default
        text = self.needed(column, "a whole number of at least 1") if needed else self.given[column]
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
            raise self.fail(column, "a whole number of at least 1")
        return int(text)

    def pair(self, column: str, default: int | Pair, least: int = 1) -> Pair:
        if column not in self.given:
            return (default, default) if isinstance(default, int) else default
        found = re.fullmatch(r"([0-9]{1,6})(?:\s*[xX*,]\s*([0-9]{1,6}))?", self.given[column])
        pair = (int(found[1]), int(found[2] or found[1])) if found else (-1, -1)
        if min(pair) < least:
            raise self.fail(column, f"a whole number of at least {least}, or two of them such as 3x5")
        return pair

    def size(self, kind: str) -> tuple[int, ...]:
        """The size of the input: two numbers where there are pixels, one where there are tokens or rows, or none."""
        pixels = kind in ("conv", "depthwise", *POOLS)
        if "size" not in self.given and not pixels and kind != "matmul":
            return ()
        if kind == "matmul":
            return (self.whole("size", needed=True),)
        if pixels:
            self.needed("size", "height and width, such as 32 or 32x16")
            return self.pair("size", 1)
        alone = not re.search(r"[xX*,]", self.given["size"])
        if alone and kind != "linear":  # a square, or tokens? 64 times as much is no matter of taste
            raise self.fail("size", "height x width such as 32x32, or tokens such as 196x1")
        return (self.whole("size"),) if alone else self.pair("size", 1)

    def choice(self, column: str, choices: dict[str, Any], default: Any) -> Any:
        if column not in self.given:
            return default
        text = self.given[column].lower()
        if text not in choices:
            raise self.fail(column, " or ".join(choices))
        return choices[text]

    def decay(self, kind: str) -> float:
        try:
            share = float(self.given.get("decay", DECAYS.get(kind, 0.5)))
        except ValueError:
            share = -1.0
        if not 0 <= share < 1:
            raise self.fail("decay", "a number from 0 to below 1, 1 - 1 / tau")
        return share

    def values(self, column: str) -> Values | None:
        if column not in self.given:
            return None
        text = self.given[column].lower()
        if text in ("binary", "averaged", "analog"):
            return Values(text)
        found = re.fullmatch(r"graded\s*(?:up to\s*)?([0-9]{1,3})", text)
        if not found or not 1 <= int(found[1]) <= 255:
            raise self.fail(column, "binary, graded V with V from 1 to 255, averaged or analog")
        return Values("graded", int(found[1]))

    def rate(self, column: str) -> Rate | None:
        if column not in self.given:
            return None
        try:
            return parse_rate(self.given[column])
        except ValueError as error:
            raise self.fail(column, str(error)) from None
