"""A static check of Lua: finds what works in this shell and would fail on a network.

`check` checks one source, `check_bundle` several that run in one process. Nothing is run. The
rules, listed in docs/check.md, report only what is certain from the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aoshell.check.checker import check, check_bundle
    from aoshell.check.finding import TARGETS, VERSIONS, Finding, Severity

# Name → its module, imported on first use: a user of `known` alone does not wait for the rest.
_HOMES = {
    "TARGETS": "finding",
    "VERSIONS": "finding",
    "Finding": "finding",
    "Severity": "finding",
    "check": "checker",
    "check_bundle": "checker",
}
__all__ = ["TARGETS", "VERSIONS", "Finding", "Severity", "check", "check_bundle"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
