"""What a node tells of its configuration now (`~meta@1.0/info`), beside the attested one.

This is shown and decides nothing: an operator may change a configuration that is not permanent,
and nodes add keys of their own to each answer. Source: HyperBEAM `dev_meta`, `dev_snp`.
"""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.envelope.ids import canonical_payload
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Evidence
from aoshell.attest.signed import verify_answer
from aoshell.protocol.structured import Value
from aoshell.protocol.tabm import LINK

MOST_NAMES = 16  # keys that are named
LONGEST_NAME = 64  # characters of such a key

_ADDED = {"address", "status"}  # by `info`, to what is configured
_OF_A_REQUEST = {"trace"}
_PRIVATE = "priv"  # keys that begin so are left out of answers, within maps as well


def describe_changes(evidence: Evidence, attested: Mapping[str, Value], address: str) -> str:
    """Whether the configuration now is the attested one, for people; "" if it is.

    Args:
        attested: the configuration that the evidence vouches for.
        address: of the node's key.
    """
    exchange, challenge = evidence.exchange, evidence.challenge
    if not (exchange.asked_now if exchange else challenge and challenge.fresh):
        return ""  # a file: there is no now
    if evidence.configuration is None:
        return "the node does not tell its configuration now; it may differ from the attested one"
    try:
        now = verify_answer(evidence.configuration)
    except EvidenceError as error:
        return f"the configuration that the node tells now was not compared: {error.what}"
    if now.commitment.committer != address:
        return "the configuration that the node tells now was not compared: another key signed it"
    names = _differing(attested, now.message)
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    listed = ", ".join(name[:LONGEST_NAME] for name in names[:MOST_NAMES]) + more
    return f"the configuration that the node tells now differs from the attested one in {listed}"


def _differing(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    old, new = _comparable(before), _comparable(now)
    skipped = _OF_A_REQUEST | (_ADDED - old.keys())
    # A link stands for a value that is not here, so whether that differs is unknown.
    skipped |= {key.removesuffix(LINK) for key in new if key.endswith(LINK)}
    skipped |= {key for key, value in new.items() if key.endswith(LINK) or _has_link(value)}
    keys = (old.keys() | new.keys()) - skipped
    return sorted(key for key in keys if key not in old or key not in new or old[key] != new[key])


def _has_link(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(key.endswith(LINK) or _has_link(one) for key, one in value.items())
    return isinstance(value, list) and any(map(_has_link, value))


def _comparable(value: Mapping[str, object]) -> dict[str, object]:
    """With dashes in all names, and without private keys."""
    return {
        key.replace("_", "-"): _value(one)
        for key, one in value.items()
        if not key.startswith(_PRIVATE)
    }


def _value(value: object) -> object:
    if value is None or isinstance(value, bool):
        return canonical_payload(value)  # envelopes have atoms as text
    if isinstance(value, Mapping):
        return _comparable(value)
    return [_value(one) for one in value] if isinstance(value, list | tuple) else value
