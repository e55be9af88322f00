"""What an operation and a memory access cost: tables as TOML files, each with its source."""

import math
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from snncore.nearest import nearest_words

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

__all__ = ["DEFAULT_TABLE", "TABLES", "PriceError", "Prices", "load_prices"]

FOLDER = Path(__file__).parent / "tables"

TABLES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
"""Names of the tables that come with the package."""

DEFAULT_TABLE = "horowitz-45nm-fp32"
"""The price table of every rule whose authors have no other."""

OPERATIONS = ("mac", "add", "mul", "compare")


class PriceError(ValueError):
    """A price table that cannot be used; the message names the file and the price."""


@dataclass(frozen=True)
class Prices:
    """Prices in picojoules.

    mac, add, mul, compare: of one operation. special: of an exponential or a sigmoid, or None: not priced.
    sram: (capacity in bytes, price of an access), rising. access_bytes: what an access brings. dram: of an access;
    rule `exact-dram` takes it. bits: of a weight, an analog value and a membrane, 32 unless the table says so.
    """

    name: str
    process: str
    source: str
    mac: float
    add: float
    mul: float
    compare: float
    special: float | None
    access_bytes: int
    sram: tuple[tuple[float, float], ...]
    dram: float
    bits: int = 32

    def sram_access(self, capacity: float) -> float:
        """Price of an access to a memory of `capacity` bytes: linear between the sizes of the table.

        From 0 at no bytes, as Lemaire et al. do; above the largest size, its price, which is too low then.
        """
        points = ((0.0, 0.0), *self.sram)
        for (x0, y0), (x1, y1) in pairwise(points):
            if capacity <= x1:
                return y0 + (y1 - y0) * (capacity - x0) / (x1 - x0)
        return points[-1][1]

    def dram_byte(self) -> float:
        """Price of a byte from DRAM, where accesses use all that they bring."""
        return self.dram / self.access_bytes

    def sram_byte(self, capacity: float) -> float:
        """Price of a byte from a memory of `capacity` bytes, where accesses use all that they bring."""
        return self.sram_access(capacity) / self.access_bytes


def load_prices(name: str | os.PathLike = DEFAULT_TABLE) -> Prices:
    """Return the price table of that name (one of TABLES), or from the TOML file at that path.

    Raises PriceError for an unknown name, a file that is none, or a price that is missing, negative or not a number.
    """
    text = os.fspath(name)
    path = FOLDER / f"{text}.toml" if text in TABLES else Path(text)
    if text not in TABLES and path.suffix != ".toml":
        near = nearest_words(text, TABLES)
        raise PriceError(f"prices: expected one of {', '.join(TABLES)} or a .toml file, found {text!r}{near}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PriceError(f"{path}: no such price table") from None
    except (OSError, ValueError) as error:
        raise PriceError(f"{path}: cannot be read as TOML: {error}") from None
    operation, memory = (_section(content, part, path) for part in ("operation", "memory"))
    for key in ("name", "process", "source"):
        if not isinstance(content.get(key), str):
            raise PriceError(f"{path}: expected a text {key!r}, found {content.get(key)!r}")
    prices = {key: _price(operation, key, f"{path}: [operation] {key}") for key in OPERATIONS}
    special = _price(operation, "special", f"{path}: [operation] special") if "special" in operation else None
    bits = _price(operation, "bits", f"{path}: [operation] bits", least=1) if "bits" in operation else 32
    if bits % 1:
        raise PriceError(f"{path}: [operation] bits: expected a whole number, found {bits:g}")
    return Prices(
        name=content["name"],
        process=content["process"],
        source=content["source"],
        special=special,
        access_bytes=int(_price(memory, "access_bytes", f"{path}: [memory] access_bytes", least=1)),
        sram=_steps(memory.get("sram"), f"{path}: [memory] sram"),
        dram=_price(memory, "dram_access", f"{path}: [memory] dram_access"),
        bits=int(bits),
        **prices,
    )


def _section(content: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = content.get(name)
    if not isinstance(section, dict):
        raise PriceError(f"{path}: expected a section [{name}], found {section!r}")
    return section


def _price(section: dict[str, Any], key: str, where: str, least: float = 0) -> float:
    value = section.get(key)
    if value is None:
        raise PriceError(f"{where}: expected a price in pJ, found none")
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < math.inf:
        raise PriceError(f"{where}: expected a finite number of at least {least}, found {value!r}")
    return float(value)


def _steps(value: Any, where: str) -> tuple[tuple[float, float], ...]:
    expected = "expected rising pairs [bytes, pJ]"
    if not isinstance(value, list) or not value:
        raise PriceError(f"{where}: {expected}, found {value!r}")
    pairs: list[tuple[float, float]] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise PriceError(f"{where}: {expected}, found {pair!r}")
        size, price = (_price({"x": v}, "x", where) for v in pair)
        if size <= (pairs[-1][0] if pairs else 0):
            raise PriceError(f"{where}: {expected}, found {value!r}")
        pairs.append((size, price))
    return tuple(pairs)
