"""Who else may have the key of an attested node. Shown on a separate line, never part of PASS.

A report proves that the software asked for the key's address to be put into it. It does not prove
that the key was made there, or that it never left. Nodes of a "green zone" (HyperBEAM's
`~green-zone@1.0`) give their key to each other, after weaker checks than the ones here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from aoshell.attest.checks.frame import Case
from aoshell.attest.kinds import Kind


class CustodyState(Enum):
    """Who has the key: this guest only, other nodes as well, or unknown."""

    EXCLUSIVE = "EXCLUSIVE"
    SHARED = "SHARED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Custody:
    """Who has the key, and the reason (`detail`, for people)."""

    state: CustodyState
    detail: str


_SIGNS = ("green_zone_initialized", "trusted_nodes", "identities")
_PEER = "green_zone_peer_"


def judge_custody(case: Case, *, verified: bool) -> Custody | None:
    """Who has the node's key; None for a report alone.

    Args:
        verified: whether all checks passed, with the one that binds the configuration to the
            evidence. Otherwise the software may be another one, and an unbound configuration
            could hide that keys are shared.
    """
    if case.signed is None:
        return None
    signs = sorted(_signs(case.configuration or {}))
    if signs:
        what = f"other nodes may have the key: the configuration has {', '.join(signs)}"
        return Custody(CustodyState.SHARED, what)
    if case.image and case.image.exclusive_key and verified:
        return Custody(
            CustodyState.EXCLUSIVE,
            f"your policy says that {case.image.name} keeps its keys to itself",
        )
    where = "on this machine" if case.kind is Kind.TPM else "in this guest"
    return Custody(
        CustodyState.UNKNOWN, f"nothing shows that the key was made {where} and never leaves it"
    )


def _signs(message: Mapping[str, object]) -> Iterable[str]:
    for key, value in message.items():
        name = key.replace("-", "_")
        if (name in _SIGNS and value not in (None, False, "", "false")) or name.startswith(_PEER):
            yield name
