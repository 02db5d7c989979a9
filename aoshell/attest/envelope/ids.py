"""Ids of the parts of an envelope, computed as the node does before it binds them.

The node first turns a message into its canonical payload: links are loaded, `commitments` and
`ao-types` left out, and atoms become text ("true", "null"). Numbers, texts and lists stay. The id
is the unsigned id of that (PermawebOS `dev_measurement:stable_id`; HyperBEAM `dev_message:id`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.rebuild import SORTED
from aoshell.protocol.signing import tabm_id, unsigned_id
from aoshell.protocol.structured import Value, read_types, write_types
from aoshell.protocol.tabm import COMMITMENTS, LINK, TYPES, Tabm

_ATOMS = {True: "true", False: "false", None: "null"}


def stable_id(message: Mapping[str, Value]) -> str:
    """The id of a message, in base64url.

    Raises:
        AoError: the message cannot be encoded, as where a link stands for a part that is missing.
    """
    payload = canonical_payload(message)
    assert isinstance(payload, Mapping)
    return unsigned_id(payload, CURRENT)


def stable_digest(message: Mapping[str, Value]) -> bytes:
    """`stable_id()` as 32 bytes. Raises AoError."""
    return unb64url(stable_id(message))


def stable_digest_as_came(tabm: Tabm) -> bytes:
    """`stable_digest()` of a message as it came, in which large maps have their keys in the order
    of the node's memory, `ao-types` among them. Raises AoError."""
    return unb64url(tabm_id(_canonical(tabm), CURRENT))


def _canonical(tabm: Tabm) -> Tabm:
    """The canonical payload, the keys in their order."""
    types = read_types(tabm)
    kept = {key: kind for key, kind in types.items() if kind != "atom"}
    payload: Tabm = {}
    for key, value in tabm.items():
        if key == COMMITMENTS or (key == TYPES and not kept):
            continue
        if isinstance(value, dict):
            payload[key] = _canonical(value)
        elif key == TYPES:
            payload[key] = write_types(kept)
        else:
            payload[key] = value.strip('"') if types.get(key) == "atom" else value
    return payload


def without_commitments(tabm: Tabm) -> Tabm:
    """A message without the signatures in it, the keys in their order."""
    return {
        key: without_commitments(value) if isinstance(value, dict) else value
        for key, value in tabm.items()
        if key != COMMITMENTS
    }


def is_large(value: Value) -> bool:
    """Whether a message has a map of so many keys that their order counts."""
    if isinstance(value, Mapping):
        return len(value) >= SORTED or any(map(is_large, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return len(value) >= SORTED or any(map(is_large, value))
    return False


def has_links(tabm: Tabm) -> bool:
    """Whether a message has parts that came as links."""
    return any(
        key.endswith(LINK) or (isinstance(value, dict) and has_links(value))
        for key, value in tabm.items()
    )


def canonical_payload(value: Value) -> Value:
    """A message as the node hashes it. Links stay as they are."""
    if value is None or isinstance(value, bool):
        return _ATOMS[value]
    if isinstance(value, str):
        return str(value)  # an Atom becomes text
    if isinstance(value, Mapping):
        return {
            key: canonical_payload(inner)
            for key, inner in value.items()
            if key not in (COMMITMENTS, TYPES)
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [canonical_payload(inner) for inner in value]
    return value
