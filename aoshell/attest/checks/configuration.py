"""Compares a node's configuration now (`~meta@1.0/info`) with the attested one. Shown on a
separate line, never part of PASS.

An operator may change a configuration that is not permanent, and a node adds more keys to an
answer. Source: HyperBEAM `dev_meta`, `dev_snp`.
"""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.checks.frame import Case
from aoshell.attest.envelope.ids import canonical_payload
from aoshell.attest.errors import EvidenceError
from aoshell.attest.signed import verify_answer
from aoshell.protocol.structured import Value
from aoshell.protocol.tabm import LINK

MOST_NAMES = 16  # keys that are named
LONGEST_NAME = 64  # characters of such a key

_ADDED = {"address", "status"}  # by `info`, to what is configured
_OF_A_REQUEST = {"trace"}
_PRIVATE = "priv"  # keys with this prefix are left out of answers, also inside maps


def describe_changes(case: Case) -> str:
    """How the configuration now differs from the attested one, for people; "" if it does not, or if
    nobody was asked.

    The caller has checked that the evidence is bound to the attested one.
    """
    if case.signed is None or case.configuration is None or not case.asked_now:
        return ""
    if case.evidence.configuration is None:
        return "unknown: the node does not report it"
    try:
        now = verify_answer(case.evidence.configuration)
    except EvidenceError as error:
        return f"unknown: {error.what}"
    if now.commitment.owner != case.signed.commitment.owner:
        return "unknown: another key signed it than the evidence"
    names = _differing(case.configuration, now.message)
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    listed = ", ".join(name[:LONGEST_NAME] for name in names[:MOST_NAMES]) + more
    return f"differs from the attested one in {listed}"


def _differing(before: Mapping[str, Value], now: Mapping[str, Value]) -> list[str]:
    old, new = _comparable(before), _comparable(now)
    skipped = _OF_A_REQUEST | (_ADDED - old.keys())
    # A link stands for a value that is not here, so whether that differs is unknown.
    skipped |= {key.removesuffix(LINK) for key in new if key.endswith(LINK)}
    skipped |= {key for key, value in new.items() if key.endswith(LINK) or _has_link(value)}
    keys = (old.keys() | new.keys()) - skipped
    return sorted(key for key in keys if key not in old or key not in new or old[key] != new[key])


def _comparable(value: Mapping[str, Value]) -> dict[str, object]:
    """With dashes in all names, atoms as text, and without private keys."""
    return {
        key.replace("_", "-"): _value(canonical_payload(one))
        for key, one in value.items()
        if not key.startswith(_PRIVATE)
    }


def _value(value: Value) -> object:
    if isinstance(value, Mapping):
        return _comparable(value)
    return [_value(one) for one in value] if isinstance(value, list) else value


def _has_link(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(key.endswith(LINK) or _has_link(one) for key, one in value.items())
    return isinstance(value, list) and any(map(_has_link, value))
