"""Rebuilds from a message what its signers signed: the header fields of its keys, the ids of maps.

A commitment covers some keys of a message. To check it, HyperBEAM encodes these keys alone and
verifies the signature over the fields that result; this module does the same. A map among the keys
becomes the field `key+link` with the map's id, unless the commitment is bundled. The id of a map is

- the id of its signed commitments, if it has any; several ids are added modulo 2^256. Only these
  commitments then bind the content of the map, so they are checked too;
- else the HMAC over all its keys.

Source: HyperBEAM `dev_codec_httpsig`, `hb_message:id`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aoshell.errors import AoError
from aoshell.protocol import multipart, wire
from aoshell.protocol.commitment import (
    EDGE,
    HMAC,
    RSA,
    Commitment,
    Profile,
    signature_base,
)
from aoshell.protocol.digest import HEADER as DIGEST
from aoshell.protocol.encoding import ProtocolError, b64url, brief, has_id_form, unb64url
from aoshell.protocol.itemcommitment import DEVICE as ITEM
from aoshell.protocol.itemcommitment import signs_item
from aoshell.protocol.message import raw
from aoshell.protocol.multipart import BODY_KEY
from aoshell.protocol.nested import nested_commitments
from aoshell.protocol.structured import read_types, write_types
from aoshell.protocol.tabm import COMMITMENTS, DEEPEST, LINK, TYPES, Tabm, in_order
from aoshell.protocol.wallet import verify


class SignatureError(ProtocolError):
    """A signature that does not fit the message.

    Attributes:
        commitment: the commitment that failed.
        base: the signature base (RFC 9421 section 2.5) rebuilt from the message, to compare with
            the signer's.
    """

    def __init__(self, commitment: Commitment, base: bytes, path: str) -> None:
        where = f"part {path}" if path else "header signature"
        made = f"of {commitment.committer}" if commitment.committer else "without a signer"
        super().__init__(f"the {commitment.alg} signature {made} is not of this message", 0, where)
        self.commitment = commitment
        self.base = base
        if not path:
            self.hint = (
                "HTTP strips spaces at the edges of headers: if one ends in a space, "
                "ask for the map around it"
            )


class UncheckableError(ProtocolError):
    """A signature of a kind that is not checked here, or over data that was not received."""


@dataclass(slots=True)
class Rebuilder:
    """Rebuilds and checks one message. Each map in it is checked once, however often it is covered.

    Attributes:
        profile: its HMAC makes the ids of maps without commitments.
    """

    profile: Profile = EDGE
    _sealed: dict[int, tuple[str, Tabm]] = field(default_factory=dict)

    def check(
        self,
        commitment: Commitment,
        message: Tabm,
        path: str = "",
        fields: Mapping[str, str] | None = None,
    ) -> Tabm:
        """Check a commitment; the part of the message it covers, maps reduced in the same way.

        Args:
            path: where `message` is in the outer message, "" for the outer message itself.
            fields: the signed fields, where they are signed as sent and need no rebuilding.

        Raises:
            SignatureError: it does not fit, or that of a map in the message does not.
            UncheckableError: this module cannot check it.
            ProtocolError: a key is missing, or is there twice.
        """
        if fields is None:
            part, fields = self.rebuild(commitment, message, path)
            meaning = set(fields)
        else:
            part = _covered(message, commitment.committed, path, (LINK, ""))
            meaning = _meaning(fields)
        components = commitment.components
        if components is None:
            components = tuple(in_order(fields))
        # content-digest (RFC 9530) signs the bytes of the body. Which key these are, and where its
        # parts end, is said by other fields: unsigned, they could give signed bytes a new meaning.
        unsigned = min(meaning - {name.removeprefix("@") for name in components}, default=None)
        if unsigned is not None and DIGEST in components:
            raise ProtocolError(
                f"{brief(unsigned)} gives the body its meaning unsigned", 0, _place(path)
            )
        base = signature_base(replace(commitment, components=components), fields)
        if not fits(commitment, base):
            raise SignatureError(commitment, base, path)
        return part

    def rebuild(
        self, commitment: Commitment, message: Tabm, path: str = ""
    ) -> tuple[Tabm, dict[str, str]]:
        """The keys that a commitment covers, and their header fields; raises as `check()`."""
        part = _covered(message, commitment.committed, path)
        linked, part = (part, part) if commitment.bundle else self.link(part, path)
        try:
            return part, wire.encode(linked, commitment.profile)[0]
        except AoError as error:
            raise ProtocolError(f"not signed by any codec: {error.what}", 0, _place(path)) from None

    def link(self, message: Tabm, path: str = "") -> tuple[Tabm, Tabm]:
        """A message twice: with links for its maps, and with its maps reduced to what is signed.

        Raises as `check()`.
        """
        linked: Tabm = {}
        cut: Tabm = {}
        for key, value in message.items():
            if key == COMMITMENTS:
                continue
            if isinstance(value, str):
                linked[key] = cut[key] = value
                continue
            if key + LINK in message:
                raise ProtocolError(f"{brief(key)} is there and linked to", 0, _place(path))
            id_, cut[key] = self.seal(value, f"{path}/{key}" if path else key)
            linked[key + LINK] = id_
        return linked, cut

    def seal(self, message: Tabm, path: str = "") -> tuple[str, Tabm]:
        """The id of a map, and those of its keys that this id covers.

        Raises:
            SignatureError, UncheckableError, ProtocolError: as `check()`.
        """
        if id(message) not in self._sealed:
            if path.count("/") > DEEPEST:
                raise ProtocolError("nested too deep", 0, _place(path))
            self._sealed[id(message)] = self._seal(message, path)
        return self._sealed[id(message)]

    def signed_ids(self, message: Tabm, keys: Iterable[str]) -> dict[str, str]:
        """Ids of the maps under these keys that carry a signature, by key; raises as `seal()`."""
        maps = {key: value for key in keys if isinstance(value := message.get(key), dict)}
        return {
            key: self.seal(value, key)[0]
            for key, value in maps.items()
            if any(one.committer for one, _ in nested_commitments(value, key))
        }

    def _seal(self, message: Tabm, path: str) -> tuple[str, Tabm]:
        commitments = nested_commitments(message, path)
        if not commitments:
            linked, cut = self.link(message, path)
            return unsigned(linked, self.profile).id, cut
        parts = [
            (one, self._check_nested(one, source, message, path)) for one, source in commitments
        ]
        # HyperBEAM ignores HMACs where there is a signature, so they add no keys either.
        chosen = [(one, part) for one, part in parts if one.committer] or parts
        merged: Tabm = {}
        for _, part in chosen:
            merged |= part
        return add_ids([one.id for one, _ in chosen]), merged

    def _check_nested(self, commitment: Commitment, source: Tabm, message: Tabm, path: str) -> Tabm:
        if commitment.device != ITEM:
            return self.check(commitment, message, path)
        part = signs_item(commitment, source, message)
        if part is None:
            raise UncheckableError(
                "its data item cannot be rebuilt, or is another one", 0, _place(path)
            )
        return part


def unsigned(linked: Tabm, profile: Profile = EDGE, *, bundle: bool = False) -> Commitment:
    """The HMAC over all keys of a message; its id is the message's unsigned id.

    Args:
        linked: the message, its maps already replaced by links unless `bundle`.
    """
    fields, _ = wire.encode(linked, profile)
    bare = Commitment(
        "",
        HMAC,
        "",
        (),
        profile.constant,
        b"",
        tuple(in_order(fields)),
        bundle=bundle,
        profile=profile,
    )
    mac = hmac.digest(raw(bare.keyid), signature_base(bare, fields), "sha256")
    committed = covered_keys(bare, linked, frozenset(linked) - fields.keys())
    return replace(bare, id=b64url(mac), signature=mac, committed=committed)


def covered_keys(
    commitment: Commitment, message: Mapping[str, str | Tabm], in_body: frozenset[str]
) -> tuple[str, ...]:
    """The keys of a message that the signed fields carry, in their order.

    Args:
        in_body: the keys that came in the body; `content-digest` covers them. An unbundled
            commitment covers only the binaries among them that way: it covers maps by links.
    """
    keys: list[str] = []
    for name in (component.removeprefix("@") for component in commitment.components or ()):
        if name == DIGEST:
            keys += (
                k
                for k in in_order(in_body)
                if commitment.bundle or commitment.profile.literal or isinstance(message[k], str)
            )
        elif name == wire.IDS:
            keys += (k for k in in_order(message) if has_id_form(k) and isinstance(message[k], str))
        elif name not in (BODY_KEY, wire.TYPE) or name in message:
            keys.append(wire.key_of(name).removesuffix(LINK))
    return tuple(dict.fromkeys(keys))


def add_ids(ids: Sequence[str]) -> str:
    """One id for several: their sum modulo 2^256, so that their order does not matter."""
    total = sum(int.from_bytes(unb64url(id_), "big") for id_ in ids)
    return b64url((total % (1 << 256)).to_bytes(32, "big"))


def _meaning(fields: Mapping[str, str]) -> set[str]:
    """The fields, of those sent, that decide how the body is read."""
    parts = multipart.boundary_of(fields.get(wire.TYPE, ""))
    return {
        name for name in (BODY_KEY, wire.TYPE) if name in fields and (parts or name == BODY_KEY)
    }


def _covered(
    message: Tabm, keys: Iterable[str], path: str, ends: Sequence[str] = ("", LINK)
) -> Tabm:
    part: Tabm = {}
    for key in keys:
        name = next((key + end for end in ends if key + end in message), None)
        if name is None:
            raise ProtocolError(f"it covers {brief(key)}, which is not there", 0, _place(path))
        part[name] = message[name]
    if isinstance(part.get(TYPES), str) and "status" not in part:
        _forget_status(part)
    return part


def _forget_status(part: Tabm) -> None:
    """Remove the type of `status`, which is not covered.

    A node that answers with a message signed earlier adds the status of the answer, and its type
    to `ao-types`. The signer signed `ao-types` without it.
    """
    types = read_types(part)
    if types.pop("status", None):
        part[TYPES] = write_types(types)


def fits(commitment: Commitment, base: bytes) -> bool:
    """Whether a commitment is one to this signature base. Raises UncheckableError."""
    # The key id of an HMAC is its key, but for "secret:…", whose key the id does not hold.
    if commitment.alg == HMAC and not commitment.keyid.startswith("secret:"):
        mac = hmac.digest(raw(commitment.keyid), base, hashlib.sha256)
        return hmac.compare_digest(mac, commitment.signature)
    if commitment.alg == RSA and commitment.owner:
        return verify(commitment.owner, base, commitment.signature, "sha512")
    raise UncheckableError(
        f"signatures of the kind {brief(commitment.alg)} are not checked here",
        0,
        "header signature-input",
    )


def _place(path: str) -> str:
    return f"part {path}" if path else "the message"
