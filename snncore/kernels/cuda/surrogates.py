"""The surrogates by the numbers that common.cuh gives them."""

from snncore.surrogate import ATan, Erf, FastSigmoid, Rectangle, Sigmoid, Surrogate, Triangle

__all__ = ["KINDS", "code_of"]

KINDS: dict[type[Surrogate], tuple[int, str]] = {
    Sigmoid: (0, "slope"),
    ATan: (1, "slope"),
    Rectangle: (2, "width"),
    Triangle: (3, "width"),
    FastSigmoid: (4, "slope"),
    Erf: (5, "slope"),
}
"""Number and parameter of each surrogate."""


def code_of(surrogate: Surrogate) -> tuple[int, float] | None:
    """Return (number, parameter) for the kernels, or None for a surrogate that they do not know."""
    if type(surrogate) not in KINDS:
        return None
    number, parameter = KINDS[type(surrogate)]
    return number, float(getattr(surrogate, parameter))
