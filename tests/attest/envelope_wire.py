"""Messages as nodes sign and send them: as HTTP, as JSON, in parts, inside another message."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from served import Wire

from aoshell.attest.envelope.ids import canonical_payload
from aoshell.protocol import nested, signing, wire
from aoshell.protocol.commitment import CURRENT, write_commitments
from aoshell.protocol.digest import content_digest
from aoshell.protocol.rebuild import SORTED, Rebuilder, unsigned
from aoshell.protocol.structured import LARGEST_READ, from_tabm, read_types, to_tabm, write_types
from aoshell.protocol.tabm import LINK, TYPES, Tabm
from aoshell.protocol.wallet import Wallet

Message = dict[str, Any]
JSON = "application/json"


def sign(wallet: Wallet, message: Mapping[str, Any]) -> Wire:
    """A message as a node signs and sends it, with keys and numbers that we would not send."""
    return sign_tabm(wallet, to_tabm(message, LARGEST_READ))


def sign_tabm(wallet: Wallet, tabm: Tabm) -> Wire:
    commitments = signing.commit(wallet, tabm, profile=CURRENT)
    fields, body = wire.encode(tabm, CURRENT)
    return [*fields.items(), *write_commitments(commitments).items()], body or b""


def sign_in_memory_order(wallet: Wallet, message: Mapping[str, Any]) -> Wire:
    """The same, but that the keys of large maps are in another order than theirs, as in Erlang's
    memory and in what HyperBEAM sends: by a hash, with `ao-types` among them."""
    tabm = in_memory_order(to_tabm(message, LARGEST_READ))
    commitments = signing.commit(wallet, tabm, profile=CURRENT)
    fields, body = wire.encode(tabm, CURRENT)
    boundary = dict(fields)["content-type"].partition('"')[2][:-1].encode()
    parts = [_in_order(part, tabm) for part in (body or b"").split(b"--" + boundary)]
    rest = {key: value for key, value in fields.items() if key != "content-digest"}
    sent = (b"--" + boundary).join(parts)
    digest = {"content-digest": content_digest(sent)}
    return [*(rest | digest | write_commitments(commitments)).items()], sent


def in_memory_order(tabm: Any) -> Any:
    if not isinstance(tabm, dict):
        return tabm
    keys = list(tabm)
    if len(keys) > SORTED:
        keys.sort(key=lambda key: hashlib.sha256(key.encode()).digest())
    return {key: in_memory_order(tabm[key]) for key in keys}


def _in_order(part: bytes, tabm: Any) -> bytes:
    """A part of a body with its lines in the order of the map that it is of."""
    named = re.search(rb'form-data;name="([^"]+)"', part)
    for key in named[1].decode().split("/") if named else ():
        tabm = tabm.get(key, {}) if isinstance(tabm, dict) else {}
    if not named or not isinstance(tabm, dict) or len(tabm) <= SORTED:
        return part
    head, found, body = part[2:].partition(b"\r\n\r\n")
    lines = head.removesuffix(b"\r\n").split(b"\r\n")
    order = {key.encode(): place for place, key in enumerate(tabm)}
    lines.sort(key=lambda line: order.get(line.partition(b": ")[0], len(order)))
    return b"\r\n" + b"\r\n".join(lines) + (found + body if found else b"\r\n")


def wrapped(wallet: Wallet, message: Mapping[str, Any]) -> Wire:
    """The same message with its signature, as the body of an answer that nobody signed."""
    tabm = to_tabm(message, LARGEST_READ)
    commitments = signing.commit(wallet, tabm, profile=CURRENT)
    inner = nested.carry(tabm, commitments, lambda _: "")
    fields, body = wire.encode({"body": inner, "status": "200"}, CURRENT)
    return [*fields.items()], body or b""


def set_apart(tabm: Tabm, path: str, wallet: Wallet, stored: dict[str, Wire]) -> Tabm:
    """A message with a link at a path ("body/system"). What it links to goes to `stored`."""
    key, _, rest = path.partition("/")
    part = tabm[key]
    assert isinstance(part, dict)
    if rest:
        return tabm | {key: set_apart(part, rest, wallet, stored)}
    id_ = unsigned(Rebuilder(CURRENT).link(part)[0], CURRENT).id
    stored[id_] = answered(wallet, part)
    # In place, so that the keys stay in order.
    return {
        (name + LINK if name == key else name): (id_ if name == key else value)
        for name, value in tabm.items()
    }


def answered(wallet: Wallet, tabm: Tabm) -> Wire:
    """A message as the answer to its id: with a status, and signed anew with that."""
    types = {**read_types(tabm), "status": "integer"}
    return sign_tabm(wallet, tabm | {"status": "200", TYPES: write_types(types)})


def as_json(wallet: Wallet, message: Mapping[str, Any]) -> Wire:
    """The same message as JSON, with its signature."""
    tabm = to_tabm(message, LARGEST_READ)
    commitments = signing.commit(wallet, tabm, profile=CURRENT)
    kept = {one.id: {**nested.to_map(one), "committed": list(one.committed)} for one in commitments}
    written = json.dumps({**written_as_json(message), "commitments": kept})
    return [("content-type", JSON)], written.encode()


def part_as_json(answer: Wire) -> Wire:
    """The answer to an id as JSON, without signatures."""
    tabm = wire.decode({k: v for k, v in answer[0] if not k.startswith("signature")}, answer[1])[0]
    return [("content-type", JSON)], json.dumps(written_as_json(from_tabm(tabm))).encode()


def written_as_json(message: Mapping[str, Any]) -> Message:
    """As HyperBEAM writes it: atoms as text, named in `ao-types`."""
    atoms = {key: "atom" for key, value in message.items() if isinstance(value, bool | None)}
    values = {
        key: written_as_json(value) if isinstance(value, dict) else canonical_payload(value)
        for key, value in message.items()
    }
    return values | ({"ao-types": write_types(atoms)} if atoms else {})


def canonical(message: Mapping[str, Any]) -> Message:
    found = canonical_payload(message)
    assert isinstance(found, dict)
    return found
