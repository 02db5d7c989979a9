"""A static check of Lua: finds what works in this shell and would fail on a network.

`check` looks at one source, `check_bundle` at several that run in one process. Nothing is run. The
rules are listed in docs/check.md; they report only what is certain from the text.
"""

from aoshell.check.checker import check, check_bundle
from aoshell.check.finding import TARGETS, VERSIONS, Finding, Severity

__all__ = ["TARGETS", "VERSIONS", "Finding", "Severity", "check", "check_bundle"]
