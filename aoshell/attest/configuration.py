"""What a node tells of its configuration now (`~meta@1.0/info`), beside the attested one.

This is shown and decides nothing: an operator may change a configuration that is not permanent,
and nodes add keys of their own to each answer. Source: HyperBEAM `dev_meta`, `dev_snp`.
"""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.answer import verify_answer
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Evidence
from aoshell.protocol.tabm import LINK

MOST_NAMES = 16  # keys that are named
LONGEST_NAME = 64  # characters of such a key

_ADDED = {"address", "status"}  # by `info`, to what is configured
_OF_A_REQUEST = {"trace"}
_PRIVATE = "priv"  # keys that begin so are left out of answers, within maps as well


def describe_changes(evidence: Evidence) -> str:
    """Whether the configuration now is the one in a node's evidence, for people; "" if it is.

    The caller has checked that the report vouches for the one in the evidence.
    """
    if evidence.answer is None or evidence.challenge is None or not evidence.challenge.fresh:
        return ""  # a file: there is no now
    if evidence.configuration is None:
        return "the node does not tell its configuration now; it may differ from the attested one"
    attested = verify_answer(evidence.answer)
    try:
        now = verify_answer(evidence.configuration)
    except EvidenceError as error:
        return f"the configuration that the node tells now was not compared: {error.what}"
    if now.commitment.owner != attested.commitment.owner:
        return "the configuration that the node tells now was not compared: another key signed it"
    before = attested.message.get("node-message")
    names = _differing(before if isinstance(before, Mapping) else {}, now.message)
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
    if isinstance(value, Mapping):
        return _comparable(value)
    return [_value(one) for one in value] if isinstance(value, list | tuple) else value
