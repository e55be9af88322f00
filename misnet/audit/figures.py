"""Figures as text: a unit that fits the figures of a table, and never a zero for what is only small."""

from collections.abc import Iterable

__all__ = ["COUNT_UNITS", "ENERGY_UNITS", "count_unit", "energy_unit", "figure", "largest_unit", "significant"]

ENERGY_UNITS = {"mJ": 1.0, "uJ": 1e-3, "nJ": 1e-6, "pJ": 1e-9}
COUNT_UNITS = {"M": 1e6, "k": 1e3, "": 1.0}


def figure(value: float, places: int = 4) -> str:
    """Return a value with so many decimals; one of which they would leave less than two digits, with three digits."""
    whole = value == 0 or abs(value) >= 10.0 ** (1 - places)
    return f"{value:,.{places}f}" if whole else f"{value:.3g}"


def significant(value: float, digits: int = 4) -> str:
    """Return a value with so many significant digits; a larger one as a whole number, not with an exponent."""
    return f"{value:,.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}"


def energy_unit(energies: Iterable[float]) -> str:
    """Return the unit of energies in mJ that stand side by side: mJ, unless one of them has no digits left there.

    Then it is the largest unit in which the least of them (zeros aside) is at least 0.1.
    """
    least = min((mj for mj in energies if mj > 0), default=1.0)
    if least >= 1e-3:
        return "mJ"
    return next((name for name, mj in ENERGY_UNITS.items() if least >= 0.1 * mj), "pJ")


def largest_unit(energies: Iterable[float]) -> str:
    """Return the largest unit in which the largest of energies in mJ is at least 1."""
    most = max(energies, default=0.0)
    return next((name for name, mj in ENERGY_UNITS.items() if most >= mj), "pJ")


def count_unit(counts: Iterable[float]) -> str:
    """Return what counts that stand side by side are counted in: the largest of which their largest is one or more."""
    most = max(counts, default=0.0)
    return next((name for name, size in COUNT_UNITS.items() if most >= size), "") if most else "M"
