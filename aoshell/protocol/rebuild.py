"""Rebuilds from a message what its signers signed: the header fields of its keys, the ids of maps.

A commitment covers some keys of a message. To check it, HyperBEAM encodes these keys alone and
verifies the signature over the fields that result; this module does the same. A map among the keys
becomes the field `key+link` with the map's id, unless the commitment is bundled. The id of a map is

- the id of its signed commitments, if it has any; several ids are added modulo 2^256. Only these
  commitments then bind the content of the map, so they are checked too;
- else the HMAC over all its keys.

A message does not tell two things, so both ways are tried (`Rebuilder._readings`): whether the type
of the status that nodes add to an answer was signed; and whether the id of a map with several
signers is that sum, or the id of the one commitment that it had when the map around it was signed.
A map of more than 32 keys has them in the order of the node's memory, so they are taken as sent.
Source: answers of nodes of 2025; HyperBEAM `dev_message:id`, `dev_codec_httpsig`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product

from aoshell.errors import AoError
from aoshell.protocol import multipart, wire
from aoshell.protocol.commitment import (
    DERIVED_PATH,
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


READINGS = 32  # ways to read one message that are tried, each at the cost of one signature check
SORTED = 32  # the most keys of a map that HyperBEAM keeps sorted


@dataclass(frozen=True, slots=True)
class Sealed:
    """A map under one of its possible ids.

    Attributes:
        id: the id.
        part: the keys and values that the id covers.
        signed: ids of the signed commitments in the map from which the id was made.
    """

    id: str
    part: Tabm
    signed: frozenset[str] = frozenset()


@dataclass(slots=True)
class Rebuilder:
    """Rebuilds and checks one message. Each map in it is checked once, however often it is covered.

    Attributes:
        profile: whose HMAC makes the ids of maps without commitments.
        shallow: leave out what maps hold, and do not check the commitments in them.
    """

    profile: Profile = EDGE
    shallow: bool = False
    _sealed: dict[int, tuple[Sealed, ...]] = field(default_factory=dict)
    _signed: dict[int, frozenset[str]] = field(default_factory=dict)
    _unordered: bool = False  # a map was read whose keys may have been signed in another order

    def check(
        self,
        commitment: Commitment,
        message: Tabm,
        path: str = "",
        fields: Mapping[str, str] | None = None,
    ) -> Tabm:
        """Check a commitment; returns the part of the message and of its maps that is covered.

        Args:
            path: where `message` is in the outer message, "" for the outer message itself.
            fields: the signed fields, where they are signed as sent and need no rebuilding.

        Raises:
            SignatureError: it does not fit, or that of a map in the message does not.
            UncheckableError: this module cannot check it.
            ProtocolError: a key is missing, or is there twice.
        """
        if fields is not None:
            part = _covered(message, commitment.committed, path, (LINK, ""))
            bases = [_base(commitment, fields, _meaning(fields), path)]
            if DERIVED_PATH in (commitment.components or ()):
                bases.append(signature_base(commitment, fields, path_as_key=True))
            if not any(fits(commitment, base) for base in bases):
                raise SignatureError(commitment, bases[0], path)
            return part
        failure: SignatureError | None = None
        for reading, part, fields in islice(self._readings(commitment, message, path), READINGS):
            base = _base(commitment, fields, set(fields), path)
            if fits(commitment, base):
                self._note(message, reading)
                return part
            failure = failure or SignatureError(commitment, base, path)
        assert failure is not None
        if self.shallow and any(isinstance(message.get(k), dict) for k in commitment.committed):
            what = "the maps in it may have changed since it was signed"
            raise UncheckableError(what, 0, _place(path)) from failure
        if self._unordered:
            what = f"a map in it has more than {SORTED} keys, in an order that only the node knows"
            raise UncheckableError(what, 0, _place(path)) from failure
        raise failure

    def _readings(
        self, commitment: Commitment, message: Tabm, path: str
    ) -> Iterator[tuple[Mapping[str, Sealed], Tabm, dict[str, str]]]:
        """What a commitment may have signed: its maps, the part it covers, the header fields.

        Raises as `check()`.
        """
        covered = _covered(message, commitment.committed, path)
        bundle = commitment.bundle
        maps = {} if bundle else self._maps(covered, path)
        types = [covered] if not _has_status_type(covered) else [_without_status(covered), covered]
        for chosen, plain in product(product(*maps.values()), types):
            reading = dict(zip(maps, chosen, strict=True))
            linked, cut = (plain, plain) if bundle else self._linked(plain, reading)
            try:
                yield reading, cut, wire.encode(linked, commitment.profile)[0]
            except AoError as error:
                what = f"not signed by any codec: {error.what}"
                raise ProtocolError(what, 0, _place(path)) from None

    def _note(self, message: Tabm, reading: Mapping[str, Sealed]) -> None:
        """Remember which signatures of a message's maps its own signature covers."""
        for key, sealed in reading.items():
            at = id(message[key])
            self._signed[at] = self._signed.get(at, sealed.signed) & sealed.signed

    def _maps(self, message: Tabm, path: str) -> dict[str, tuple[Sealed, ...]]:
        """The maps of a message by key, each under all its possible ids."""
        found = {}
        for key, value in message.items():
            if isinstance(value, str) or key == COMMITMENTS:
                continue
            if key + LINK in message:
                raise ProtocolError(f"{brief(key)} is there and linked to", 0, _place(path))
            found[key] = self._seals(value, f"{path}/{key}" if path else key)
        return found

    def _linked(self, message: Tabm, reading: Mapping[str, Sealed]) -> tuple[Tabm, Tabm]:
        """(the message with links in place of its maps, the message with its maps cut down)."""
        linked: Tabm = {}
        cut: Tabm = {}
        for key, value in message.items():
            if isinstance(value, str):
                linked[key] = cut[key] = value
            elif key in reading:
                linked[key + LINK] = reading[key].id
                if not self.shallow:
                    cut[key] = reading[key].part
        return linked, cut

    def link(self, message: Tabm, path: str = "") -> tuple[Tabm, Tabm]:
        """(the message with links in place of its maps, the message with its maps cut down to what
        their ids cover); raises as `check()`."""
        first = {key: seals[0] for key, seals in self._maps(message, path).items()}
        return self._linked(message, first)

    def _seals(self, message: Tabm, path: str) -> tuple[Sealed, ...]:
        """A map under each of its possible ids, the likeliest first; raises as `check()`."""
        if id(message) not in self._sealed:
            if path.count("/") > DEEPEST:
                raise ProtocolError("nested too deep", 0, _place(path))
            self._sealed[id(message)] = self._seal(message, path)
        return self._sealed[id(message)]

    def signed_ids(self, message: Tabm, keys: Iterable[str]) -> dict[str, frozenset[str]]:
        """By key, the ids of signatures in the maps under `keys` that a checked one covers."""
        maps = {key: value for key in keys if isinstance(value := message.get(key), dict)}
        return {
            key: signed for key, value in maps.items() if (signed := self._signed.get(id(value)))
        }

    def _seal(self, message: Tabm, path: str) -> tuple[Sealed, ...]:
        if self.shallow:
            ones = [one for one, _ in nested_commitments(message, path)]
            parts: list[tuple[Commitment, Tabm]] = [(one, {}) for one in ones]
        else:
            parts = self.check_commitments(message, path)
        if not parts:
            linked, cut = self.link(message, path)
            # HyperBEAM keeps the keys of large maps in an order of its own, and sends them so.
            as_came = len(linked) > SORTED
            self._unordered |= as_came
            return (Sealed(unsigned_id(linked, self.profile, as_came=as_came), cut),)
        signers = [(one, part) for one, part in parts if one.committer]
        chosen = signers or parts
        merged: Tabm = {}
        for _, part in chosen:
            merged |= part
        signed = frozenset(one.id for one, _ in signers)
        whole = Sealed(add_ids([one.id for one, _ in chosen]), merged, signed)
        if len(signers) < 2:
            return (whole,)
        return whole, *(Sealed(one.id, part, frozenset((one.id,))) for one, part in signers)

    def check_commitments(self, message: Tabm, path: str = "") -> list[tuple[Commitment, Tabm]]:
        """The commitments that a map carries, signers first, each with the part of the map that it
        covers; raises as `check()`."""
        commitments = nested_commitments(message, path)
        return [
            (one, self._check_nested(one, source, message, path)) for one, source in commitments
        ]

    def _check_nested(self, commitment: Commitment, source: Tabm, message: Tabm, path: str) -> Tabm:
        if commitment.uncheckable:
            raise UncheckableError(commitment.uncheckable, 0, _place(path))
        if commitment.device != ITEM:
            return self.check(commitment, message, path)
        part = signs_item(commitment, source, message)
        if part is None:
            raise UncheckableError(
                "its data item cannot be rebuilt, or is another one", 0, _place(path)
            )
        return part


def unsigned(
    linked: Tabm, profile: Profile = EDGE, *, bundle: bool = False, as_came: bool = False
) -> Commitment:
    """The HMAC over a whole message; its id is the message's unsigned id.

    Args:
        linked: its maps replaced by links already, unless `bundle`.
        as_came: keep the order of the keys; else they are sorted by their bytes.
    """
    bare, fields, mac = _mac(linked, profile, bundle, as_came)
    committed = covered_keys(bare, linked, frozenset(linked) - fields.keys())
    return replace(bare, id=b64url(mac), signature=mac, committed=committed)


def unsigned_id(linked: Tabm, profile: Profile, *, as_came: bool) -> str:
    """The id of `unsigned()`, alone."""
    return b64url(_mac(linked, profile, False, as_came)[2])


def _mac(
    linked: Tabm, profile: Profile, bundle: bool, as_came: bool
) -> tuple[Commitment, Mapping[str, str], bytes]:
    """(what is signed, its fields, the HMAC over them)."""
    fields, _ = wire.encode(linked, profile)
    order = [key for key in linked if key in fields] if as_came else []
    order += in_order(fields.keys() - set(order))
    bare = Commitment(
        "",
        HMAC,
        "",
        (),
        profile.constant,
        b"",
        tuple(order),
        bundle=bundle,
        profile=profile,
    )
    mac = hmac.digest(raw(bare.keyid), signature_base(bare, fields), "sha256")
    return bare, fields, mac


def covered_keys(
    commitment: Commitment, message: Mapping[str, str | Tabm], in_body: frozenset[str]
) -> tuple[str, ...]:
    """The keys of a message that the signed fields carry, in their order.

    Args:
        in_body: the keys that came in the body; `content-digest` covers them. An unbundled
            commitment covers only the binaries among them that way: it covers maps by links.
    """
    keys: list[str] = []
    for component in commitment.components or ():
        name = component.removeprefix("@")
        if name != component and commitment.profile.literal:
            continue  # a component of the request, not of the message
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
            # Nodes change maps that were signed before, and leave the signatures in them.
            kind = UncheckableError if path else ProtocolError
            raise kind(f"it covers {brief(key)}, which is not there", 0, _place(path))
        part[name] = message[name]
    return part


def _has_status_type(part: Tabm) -> bool:
    """Whether a part has the type of a status but no status. Nodes add a status and its type to a
    signed message when they answer with it; some sign the type."""
    typed = isinstance(part.get(TYPES), str) and "status" not in part
    return typed and "status" in read_types(part)


def _without_status(part: Tabm) -> Tabm:
    types = read_types(part)
    del types["status"]
    return part | {TYPES: write_types(types)}


def _base(commitment: Commitment, fields: Mapping[str, str], meaning: set[str], path: str) -> bytes:
    """The signature base of a commitment over fields.

    Raises:
        UncheckableError: a map was signed by its id, and was not sent so.
        ProtocolError: a field that decides how the body is read is not signed.
    """
    components = commitment.components
    if components is None:
        components = tuple(in_order(fields))
    unsigned = min(meaning - {name.removeprefix("@") for name in components}, default=None)
    if unsigned is not None and DIGEST in components:
        raise ProtocolError(
            f"{brief(unsigned)} decides how the body is read, but is not signed", 0, _place(path)
        )
    missing = [name for name in components if name not in fields]
    if missing and all(name.endswith(LINK) for name in missing):
        what = f"the value of {brief(missing[0].removesuffix(LINK))} is not the signed map"
        raise UncheckableError(what, 0, _place(path))
    return signature_base(replace(commitment, components=components), fields)


def fits(commitment: Commitment, base: bytes) -> bool:
    """Whether a commitment is one to this signature base. Raises UncheckableError."""
    # The key id of an HMAC is its key, but for "secret:…", whose key the id does not hold.
    if commitment.alg == HMAC and not commitment.keyid.startswith("secret:"):
        mac = hmac.digest(raw(commitment.keyid), base, hashlib.sha256)
        return hmac.compare_digest(mac, commitment.signature)
    if commitment.alg == RSA and commitment.owner:
        return verify(commitment.owner, base, commitment.signature, "sha512")
    why = f"signatures of the kind {brief(commitment.alg)} are not checked here"
    if commitment.alg == RSA:
        why = "it names no public key"
    raise UncheckableError(why, 0, "header signature-input")


def _place(path: str) -> str:
    return f"part {path}" if path else "the message"
