"""Commitments: who stands for which keys of a message, and the two header fields that say so.

On the wire a commitment is a member of `signature` and of `signature-input` (RFC 9421) under one
label; inside a message it is a map under `commitments`, by id. What its fields look like depends on
the version that wrote it, which the label and the key id give away:

| profile   | label                        | key id                       | of the HMAC   |
|-----------|------------------------------|------------------------------|---------------|
| edge      | sig-<id of the signature>    | modulus in base64            | ao            |
| current   | comm-<id of the signature>   | publickey:<modulus, base64>  | constant:ao   |
| core-libs | http-sig-<part of the address> | modulus in base64url       | none          |

The id in a label is SHA-256 of the raw signature in base64url, in lower case. An HMAC is keyed with
its own key id, hence proves nothing but that the message is whole: its value is the unsigned id.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aoshell.protocol.encoding import ProtocolError, b64url, brief, unb64url
from aoshell.protocol.fields import escaped, parameters, parse_dictionary, quoted
from aoshell.protocol.message import raw
from aoshell.protocol.wallet import address_of

RSA = "rsa-pss-sha512"
HMAC = "hmac-sha256"
DEVICE = "httpsig@1.0"
MOST = 64

# In the order in which HyperBEAM sends them; in the signature base they are sorted.
PARAMETERS = ("alg", "keyid", "tag", "created", "expires", "nonce", "bundle")
ID = "id"  # not signed; nodes of 2026 send it where the id does not follow from the signature


@dataclass(frozen=True, slots=True)
class Profile:
    """How one version of AO's software writes commitments.

    Attributes:
        name: as users read it.
        label: what labels begin with.
        scheme: what the key id of a public key begins with.
        literal: whether plain RFC 9421 holds: header fields signed as they are sent, parameters in
            the order of the wire. Else what is signed is rebuilt from the message.
        linked: whether a commitment inside a message stands there as header fields, with a link to
            its list of keys. Nodes since September 2025 also take it as a map, those since
            November 2025 only so.
    """

    name: str
    label: str
    scheme: str
    constant: str
    literal: bool = False
    linked: bool = False

    def keyid(self, owner: bytes) -> str:
        """The key id of an RSA modulus."""
        return self.scheme + base64.b64encode(owner).decode("ascii")


EDGE = Profile("HyperBEAM edge (2025-06)", "sig-", "", "ao", linked=True)
CURRENT = Profile("HyperBEAM", "comm-", "publickey:", "constant:ao")
CORE_LIBS = Profile("ao-core-libs", "http-sig-", "", "", literal=True)


@dataclass(frozen=True, slots=True)
class Commitment:
    """A statement of one key about some keys of a message. Verified only where a verifier says so.

    Attributes:
        id: b64url, 43 characters: SHA-256 of the signature, or the HMAC itself.
        alg: "rsa-pss-sha512", "hmac-sha256", or another that is not checked here.
        committer: address of the signer; "" for an HMAC, which has none.
        committed: keys of the message, without "+link" and the like.
        keyid: as the profile writes it.
        signature: raw.
        components: the header fields signed, in their order; None inside a message, where they
            follow from `committed`.
        tag, nonce: free text, "" where absent. HyperBEAM puts the path of the computation there.
        created, expires: seconds since the Unix epoch, None where absent.
        bundle: whether nested maps were signed in place rather than as links.
        device: what kind of commitment it is ("httpsig@1.0", "ans104@1.0").
        uncheckable: why nobody here can tell whether it fits, as the end of "it cannot be checked,
            because …"; "" where it can be told.
    """

    id: str
    alg: str
    committer: str
    committed: tuple[str, ...]
    keyid: str = field(repr=False)
    signature: bytes = field(repr=False)
    components: tuple[str, ...] | None = None
    tag: str = ""
    nonce: str = ""
    created: int | None = None
    expires: int | None = None
    bundle: bool = False
    device: str = DEVICE
    profile: Profile = EDGE
    uncheckable: str = ""

    @property
    def owner(self) -> bytes:
        """The modulus of the signer, b"" where the key id names none."""
        return _owner(self.keyid, self.alg)

    @property
    def label(self) -> str:
        """Its name in the header fields."""
        return self.profile.label + b64url(hashlib.sha256(self.signature).digest()).lower()

    def signed(self, signature: bytes) -> Commitment:
        """The same with this signature, and with the id that follows from it."""
        return replace(self, signature=signature, id=id_of(signature))

    def parameters(self) -> list[tuple[str, str | int]]:
        """The parameters of the signature that are there, in the order of the wire."""
        values = (
            *(self.alg, self.keyid, self.tag or None, self.created, self.expires),
            *(self.nonce or None, "true" if self.bundle else None),
        )
        pairs = zip(PARAMETERS, values, strict=True)
        return [(name, value) for name, value in pairs if value is not None]


PROFILES = (CORE_LIBS, EDGE, CURRENT)
SIGNATURE = "signature"
INPUT = "signature-input"


def read_commitments(fields: Mapping[str, str], place: str = "") -> tuple[Commitment, ...]:
    """The commitments in the two header fields, signers first, () where both are absent.

    Nothing is checked; their `committed` is empty, as it follows from the message.

    Args:
        place: what has these fields, where it is a part ("part outbox/1").

    Raises:
        ProtocolError: malformed fields, one without the other, or written by no known version.
    """
    if SIGNATURE not in fields and INPUT not in fields:
        return ()
    where = {name: f"header {name}{f' of {place}' if place else ''}" for name in (SIGNATURE, INPUT)}
    signatures, inputs = (
        parse_dictionary(fields.get(name, ""), where[name]) for name in (SIGNATURE, INPUT)
    )
    if signatures.keys() != inputs.keys():
        odd = min(signatures.keys() ^ inputs.keys())
        raise ProtocolError(f"{brief(odd)} is in one of the two only", 0, where[INPUT])
    if not 0 < len(inputs) <= MOST:
        raise ProtocolError(f"{len(inputs)} signatures", 0, where[INPUT])
    found = (
        _commitment(label, signatures[label], inputs[label], fields[SIGNATURE], where)
        for label in inputs
    )
    return tuple(sorted(found, key=lambda one: not one.committer))


def _commitment(
    label: str, signature: object, member: object, field: str, where: Mapping[str, str]
) -> Commitment:
    profile = next((profile for profile in PROFILES if label.startswith(profile.label)), None)
    strange = "" if profile else f"no version known here writes the label {brief(label)}"
    match signature, member:
        case (bytes() as raw_signature, _), (list() as components, dict() as given):
            pass
        case _:
            raise ProtocolError(f"{brief(label)} is no signature", 0, where[SIGNATURE])
    if base64.b64encode(raw_signature).decode("ascii") not in field:
        raise ProtocolError("base64 with stray bits", 0, where[SIGNATURE])
    values = read_parameters(given, where[INPUT])
    values["uncheckable"] = strange or values["uncheckable"]
    names = _names(components, where[INPUT])
    return make_commitment(raw_signature, profile or CURRENT, components=names, **values)


def id_of(signature: bytes) -> str:
    """The id of a commitment with that signature; an HMAC, 32 bytes long, is its own."""
    return b64url(signature if len(signature) == 32 else hashlib.sha256(signature).digest())


def make_commitment(
    signature: bytes, profile: Profile, *, alg: str, keyid: str, **rest: Any
) -> Commitment:
    """A commitment whose id, device and committer follow from the rest."""
    device, slash, kind = alg.rpartition("/")
    owner = _owner(keyid, kind)
    committer = address_of(owner) if owner else ""
    if slash:
        rest["device"] = device
    given = rest.pop(ID, "")
    if given and given != id_of(signature):
        rest["uncheckable"] = f"its id {brief(given)} does not follow from the signature"
    return Commitment(
        id_of(signature),
        kind,
        committer,
        rest.pop("committed", ()),
        keyid,
        signature,
        profile=profile,
        **rest,
    )


def _names(components: list[object], place: str) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for component in components:
        match component:
            case (str() as name, {}) if name not in names and not component[1]:
                names[name] = None
            case _:
                raise ProtocolError("a component with parameters, or twice", 0, place)
    return tuple(names)


def read_parameters(given: Mapping[str, object], place: str) -> dict[str, Any]:
    """The parameters of a signature as `make_commitment()` takes them.

    One that is not known here might mean anything, so it makes the signature uncheckable, not bad:
    RFC 9421 section 2.3 lets applications add parameters, and newer nodes do.

    Raises:
        ProtocolError: one that is known and has another type, or no algorithm.
    """
    values: dict[str, Any] = {"keyid": "", "uncheckable": ""}
    for name, value in given.items():
        numeric = name in ("created", "expires")
        if name not in PARAMETERS and name != ID:
            values["uncheckable"] = f"its parameter {brief(name)} is not known here"
        elif type(value) is not (int if numeric else str):
            raise ProtocolError(f"the parameter {brief(name)} has another type", 0, place)
        else:
            values[name] = value
    if "alg" not in values:
        raise ProtocolError("no algorithm", 0, place)
    if "bundle" in values:
        values["bundle"] = values["bundle"] == "true"
    return values


def _owner(keyid: str, alg: str) -> bytes:
    """The modulus in a key id; b"" for an HMAC or what is none."""
    scheme, _, encoded = keyid.rpartition(":")
    if alg == HMAC or scheme not in ("", "publickey"):
        return b""
    try:
        return unb64url(encoded.rstrip("=").replace("+", "-").replace("/", "_"))
    except ValueError:
        return b""


def write_commitments(commitments: Iterable[Commitment]) -> dict[str, str]:
    """The two header fields, {} where there are no commitments. Labels are in order."""
    by_label = sorted((commitment.label, commitment) for commitment in commitments)
    if not by_label:
        return {}
    return {
        SIGNATURE: ", ".join(f"{label}={_bytes(one.signature)}" for label, one in by_label),
        INPUT: ", ".join(
            f"{label}={_inner_list(one.components or ())}{parameters(one.parameters())}"
            for label, one in by_label
        ),
    }


def _bytes(value: bytes) -> str:
    return f":{base64.b64encode(value).decode('ascii')}:"


def _inner_list(names: Iterable[str]) -> str:
    return f"({' '.join(map(quoted, names))})"


_DERIVED = frozenset(
    (
        "method",
        "target-uri",
        "authority",
        "scheme",
        "request-target",
        "path",
        "query",
        "query-param",
    )
)


_START = re.compile(r'^"(?:[^"\\]|\\.)*": ', re.MULTILINE)


def signature_base(commitment: Commitment, fields: Mapping[str, str]) -> bytes:
    """What is signed (RFC 9421 section 2.5), of the values that `fields` has for the components.

    Raises:
        ProtocolError: a component is not in `fields`, or its value looks like another one, so that
            the base of two messages would be the same.
    """
    lines, names = [], []
    literal = commitment.profile.literal
    for name in commitment.components or ():
        if name not in fields:
            raise ProtocolError(
                f"it covers {brief(name)}, which is not there", 0, f"header {INPUT}"
            )
        lines.append(f"{escaped(name)}: {fields[name]}")
        names.append(f"@{name}" if name in _DERIVED and not literal else name)
    given = commitment.parameters()
    ordered = parameters(given if literal else sorted(given))
    # Of no components there is an empty line, unlike in RFC 9421; empty maps have their id from it.
    text = "\n".join(lines)
    _refuse_ambiguous(text, commitment.components or ())
    components = " ".join(map(escaped, names))
    return raw(f'{text}\n"@signature-params": ({components}){ordered}')


def _refuse_ambiguous(text: str, components: tuple[str, ...]) -> None:
    """Values in maps may hold line breaks, and behind these what looks like another key's line."""
    if text.count("\n") < len(components):
        return
    starts = {f"{escaped(name)}: " for name in components}
    found = sum(start[0] in starts for start in _START.finditer(text))
    if found != len(components):
        raise ProtocolError(
            "a value with a line break could be two: nobody can say which was signed",
            0,
            "the signature base",
        )
