"""Hyperbolic functions for a guest, by the C library. Python raises where C gives infinity."""

from __future__ import annotations

import math
from collections.abc import Callable


def cosh(x: float) -> float:
    """The hyperbolic cosine."""
    try:
        return math.cosh(x)
    except OverflowError:
        return math.inf


def sinh(x: float) -> float:
    """The hyperbolic sine."""
    try:
        return math.sinh(x)
    except OverflowError:
        return math.copysign(math.inf, x)


FUNCTIONS: dict[str, Callable[[float], float]] = {"cosh": cosh, "sinh": sinh, "tanh": math.tanh}
"""By their names in Lua."""
