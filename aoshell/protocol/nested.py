"""Commitments inside messages: maps under `commitments`, by id.

In memory and in JSON, HyperBEAM keeps these keys

    commitment-device, committed (a numbered map), committer, keyid, signature (base64url), type

and `tag`, `bundle`… if the commitment has them. In a part of a body it is written like that, too,
since November 2025. Before that the signature was written like the header fields, with an empty
list of components: they follow from `committed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from aoshell.protocol.commitment import (
    CURRENT,
    DEVICE,
    EDGE,
    INPUT,
    MOST,
    PARAMETERS,
    Commitment,
    make_commitment,
    read_commitments,
    read_parameters,
    write_commitments,
)
from aoshell.protocol.encoding import ProtocolError, b64url, unb64url
from aoshell.protocol.structured import ITSELF, write_types
from aoshell.protocol.tabm import COMMITMENTS, TYPES, Tabm


def to_map(commitment: Commitment) -> Tabm:
    """A commitment as HyperBEAM keeps it."""
    kept: Tabm = {
        "commitment-device": commitment.device,
        "committed": _numbered(commitment.committed),
        "signature": b64url(commitment.signature),
        "type": commitment.alg,
    }
    kept |= {name: str(value) for name, value in commitment.parameters() if name != "alg"}
    return kept | ({"committer": commitment.committer} if commitment.committer else {})


def _numbered(keys: Iterable[str]) -> Tabm:
    return {str(number): key for number, key in enumerate(keys, 1)}


def carry(message: Tabm, commitments: Iterable[Commitment], id_of: Callable[[Tabm], str]) -> Tabm:
    """A message with commitments in it, in the form that parts of a body carry.

    Args:
        id_of: computes the id of a map without commitments, for HyperBEAM's link to the list of
            keys.
    """
    kept: Tabm = {}
    for one in commitments:
        kept[one.id] = whole = to_map(one)
        if not one.profile.linked:
            whole["committed"] = _numbered(one.committed) | {TYPES: write_types({ITSELF: "list"})}
        else:
            whole["committed+link"] = id_of(_numbered(one.committed))
            whole |= write_commitments([replace(one, components=None)])
    return message | {COMMITMENTS: kept}


def nested_commitments(message: Tabm, path: str = "") -> list[tuple[Commitment, Tabm]]:
    """The commitments in a map, signers first, each with the map it was read from.

    They are not verified.

    Raises:
        ProtocolError: one cannot be read, or is under an id that is not its own.
    """
    kept = message.get(COMMITMENTS, {})
    if not isinstance(kept, dict) or len(kept) > MOST:
        raise ProtocolError(
            f"`{COMMITMENTS}` is not a map, or has more than {MOST}", 0, f"part {path}"
        )
    found: list[tuple[Commitment, Tabm]] = []
    for id_, source in kept.items():
        if isinstance(source, str):
            raise ProtocolError("a commitment that is not a map", 0, f"part {path}")
        found.append((_nested(id_, source, f"{path}/{COMMITMENTS}/{id_}"), source))
    return sorted(found, key=lambda pair: not pair[0].committer)


def _nested(id_: str, source: Tabm, path: str) -> Commitment:
    place = f"part {path}"
    flat = {key: value for key, value in source.items() if isinstance(value, str)}
    fields = read_commitments(flat, path) if INPUT in flat else (_from_map(flat, place),)
    device = flat.get("commitment-device", DEVICE)
    committed = _committed(source.get("committed"), place)
    commitment = replace(fields[0], components=None, committed=committed, device=device)
    if len(fields) > 1 or commitment.id != id_:
        raise ProtocolError("a commitment under an id that is not its own", 0, place)
    return commitment


def _from_map(flat: Mapping[str, str], place: str) -> Commitment:
    try:
        signature = unb64url(flat["signature"])
        given = {name: flat[name] for name in PARAMETERS if name in flat} | {"alg": flat["type"]}
    except (KeyError, ValueError):
        raise ProtocolError("a commitment without its signature or its type", 0, place) from None
    profile = EDGE if given.get("keyid", "") and ":" not in given["keyid"] else CURRENT
    return make_commitment(signature, profile, **read_parameters(given, place))


def _committed(keys: str | Tabm | None, place: str) -> tuple[str, ...]:
    if not isinstance(keys, dict):
        raise ProtocolError("it has no list of the keys that it covers", 0, place)
    numbers = [key for key in keys if key != TYPES]
    listed = [keys.get(str(number)) for number in range(1, len(numbers) + 1)]
    if not all(isinstance(key, str) for key in listed):
        raise ProtocolError("its list of the keys that it covers is not numbered from 1", 0, place)
    return tuple(str(key) for key in listed)
