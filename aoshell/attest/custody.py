"""Where else the key of an attested node may be. Its own line, never part of PASS.

A report proves that the software asked for the key's address to be put in it, not that the key was
made there, nor that it never left. Nodes of a "green zone" hand their key to each other, upon a
check that is weaker than the ones here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from aoshell.attest.checks.frame import Case


class State(Enum):
    """Who may have the key: this guest only, others as well, or nobody can tell."""

    EXCLUSIVE = "EXCLUSIVE"
    SHARED = "SHARED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Custody:
    """What can be said of the key, and why."""

    state: State
    detail: str


_SIGNS = ("green_zone_initialized", "trusted_nodes", "identities")
_PEER = "green_zone_peer_"


def judge_custody(case: Case, *, bound: bool) -> Custody | None:
    """Who may have the node's key; None for a report alone.

    Args:
        bound: whether the node's configuration was shown to be the one in the report.
    """
    if case.signed is None:
        return None
    message = case.signed.message.get("node-message")
    signs = sorted(_signs(message)) if isinstance(message, Mapping) else []
    if signs:
        what = f"the key may be on other nodes, too: the configuration has {', '.join(signs)}"
        return Custody(State.SHARED, what)
    if case.image and case.image.exclusive_key and bound:
        return Custody(State.EXCLUSIVE, f"you say that {case.image.name} keeps its keys to itself")
    return Custody(State.UNKNOWN, "nobody has shown that the key was made in this guest and stays")


def _signs(message: Mapping[str, object]) -> Iterable[str]:
    for key, value in message.items():
        name = key.replace("-", "_")
        if (name in _SIGNS and value not in (None, False, "", "false")) or name.startswith(_PEER):
            yield name
