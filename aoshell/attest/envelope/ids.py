"""Ids of the parts of an envelope, computed as the node does before it binds them.

The node first turns a message into its canonical payload: links are loaded, `commitments` and
`ao-types` left out, and atoms become text ("true", "null"). Numbers, texts and lists stay. The id
is the unsigned id of that (PermawebOS `dev_measurement:stable_id`; HyperBEAM `dev_message:id`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.httpsig import unsigned_id
from aoshell.protocol.structured import Value
from aoshell.protocol.tabm import COMMITMENTS, TYPES

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
