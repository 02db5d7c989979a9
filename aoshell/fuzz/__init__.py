"""Tests properties of processes with random messages: `aoshell fuzz` (docs/fuzz.md).

`state`, `invariant` and `answers` declare in Python what must always be true. `Checked` checks it
in a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aoshell.fuzz.holding import Checked, answers, invariant, state

__all__ = ["Checked", "answers", "invariant", "state"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.holding"), name)
