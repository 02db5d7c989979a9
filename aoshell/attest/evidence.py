"""Evidence: a raw report, a report as JSON, or a node's answers; and the file that stores answers.

That file is JSON, with everything that a later check needs, unchanged. ANSWER is {"headers":
[[name, value], …], "body": base64}. Of `~snp@1.0/generate`:

    {"aoshell-evidence": 1, "origin": URL, "taken": seconds since the epoch,
     "headers": …, "body": …, "challenge": {"value": …, "headers": …, "body": …} or null,
     "vek": base64, "chain": base64, "crl": base64}

A challenge without headers of its own was answered together with the report. Of `~measurement@1.0`:

    {"aoshell-evidence": 2, "origin": URL, "taken": seconds since the epoch, "nonce": base64,
     "fresh": ANSWER, "boot": ANSWER or null, "links": {id: ANSWER},
     "activation": {"secret": base64, "credential": {…}, "headers": …, "body": …} or null,
     "vek": base64, "chain": base64, "crl": base64, "ek_chain": base64}

`load_evidence()` takes any bytes: what is wrong with evidence, the checks report.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from aoshell.attest import forms, frames
from aoshell.attest.errors import EvidenceError
from aoshell.attest.jsonreport import read_json_object

if TYPE_CHECKING:
    from aoshell.protocol.httpsig import Received

FORMAT = "aoshell-evidence"
LARGEST = 8 << 20  # bytes of a kept answer
LARGEST_BODY = 4 << 20  # bytes
LATEST = 253_402_300_799  # seconds since the Unix epoch: the end of the year 9999

_ENVELOPE = re.compile(rb'"(?:lapee-measurement|lapee[-_]attestation[-_]version)"')
_AS_JSON = (("content-type", "application/json"),)
_KEPT = re.compile(rb'\{\s*"%s"' % FORMAT.encode())

_Read = TypeVar("_Read")
Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RawResponse:
    """An HTTP response, as it came.

    Attributes:
        headers: in order, repeated names included.
    """

    headers: Headers
    body: bytes
    _known: dict[tuple[object, ...], object] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def once(self, read: Callable[..., _Read], *given: str) -> _Read:
        """The result of a reader of this answer, cached: the answer never changes, and the
        reader has no side effects. Errors are not cached.

        Args:
            read: takes the answer, and what is `given`.
        """
        key = (read, *given)
        if key not in self._known:
            self._known[key] = read(self, *given)
        return cast("_Read", self._known[key])

    @cached_property
    def received(self) -> Received:
        """The message in it, read once for all checks and not verified. Raises ProtocolError."""
        from aoshell.protocol import httpsig

        return httpsig.receive(self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A random value that a node was asked to sign.

    Attributes:
        answer: the response to it; None if the answer with the report has it.
        fresh: whether this verifier made the value just now; False for one kept in a file.
        unanswered: why there is no response ("the node did not answer"), "" if there is one.
    """

    value: str
    answer: RawResponse | None = None
    fresh: bool = True
    unanswered: str = ""


@dataclass(frozen=True, slots=True)
class Activation:
    """A secret that a node was asked to open (`envelope.activation`).

    Attributes:
        secret: the 32 bytes.
        credential: the message that was sent.
        answer: the response; None without one.
        unanswered: why there is no response, "" if there is one.
    """

    secret: bytes
    credential: Mapping[str, str]
    answer: RawResponse | None = None
    unanswered: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What `~measurement@1.0` was asked, and its answers.

    Attributes:
        fresh: the answer with the envelope that is checked.
        boot: the envelope that the node made when it started; None if it was not asked for.
        nonce: the one that the fresh envelope must have; b"" if that is not known.
        asked_now: whether this verifier made the nonce just now; False for one kept in a file.
        links: answers for the parts that came as links, by id.
        activation: None if no secret was sent.
    """

    fresh: RawResponse
    boot: RawResponse | None = None
    nonce: bytes = b""
    asked_now: bool = False
    links: Mapping[str, RawResponse] = field(default_factory=dict)
    activation: Activation | None = None


@dataclass(frozen=True, slots=True)
class Collateral:
    """What a report is checked against, as the content of files: DER or PEM, b"" if missing.

    Attributes:
        vek: the certificate of the key that signed the report.
        chain: two certificates, ASK (or ASVK) and ARK.
        crl: AMD's list of revoked certificates.
        ek_chain: certificates above that of a TPM's endorsement key, and lists of revoked ones.
    """

    vek: bytes = b""
    chain: bytes = b""
    crl: bytes = b""
    ek_chain: bytes = b""

    def filled(self, other: Collateral) -> Collateral:
        """This, with what is missing taken from another."""
        return Collateral(
            self.vek or other.vek,
            self.chain or other.chain,
            self.crl or other.crl,
            self.ek_chain or other.ek_chain,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is to be checked. Exactly one of `raw`, `text`, `answer`, `exchange` and `fault` is set.

    Attributes:
        raw: a report as bytes.
        text: a report as JSON.
        answer: of `~snp@1.0/generate`, with a report in it.
        exchange: with `~measurement@1.0`, or an envelope alone.
        fault: why a file cannot be read, though its form is known.
        table: the certificate table after a raw report, b"" without one.
        form: how a raw report was written in its file, for people; "" for bytes alone.
        challenge: None if the node was not challenged.
        configuration: what the node tells of it now; None if it tells nothing. Not kept in files.
        collateral: what came with the evidence. It is checked like any other.
        origin: the URL that an answer came from.
        taken: when it was fetched, seconds since the Unix epoch.
    """

    raw: bytes | None = None
    text: bytes | None = None
    answer: RawResponse | None = None
    exchange: Exchange | None = None
    fault: EvidenceError | None = None
    table: bytes = b""
    form: str = ""
    challenge: Challenge | None = None
    configuration: RawResponse | None = None
    collateral: Collateral = field(default_factory=Collateral)
    origin: str = ""
    taken: int = 0


def load_evidence(data: bytes) -> Evidence:
    """The evidence in a file. Raises nothing."""
    text = forms.decode_text(data)[:64]
    beginning = text.lstrip(b" \t\r\n")
    if _KEPT.match(beginning) and len(data) <= LARGEST:
        try:
            return _kept(read_json_object(data, LARGEST))
        except EvidenceError as fault:
            return Evidence(fault=fault)
    if beginning[:1] in (b"{", b"[", b'"') and b"\0" not in text:
        if is_envelope(data):
            return Evidence(exchange=Exchange(RawResponse(_AS_JSON, forms.decode_text(data))))
        return Evidence(text=data)
    try:
        found = frames.read_frame(data)
    except EvidenceError as fault:
        return Evidence(fault=fault)
    if found.text:
        return Evidence(text=found.text)
    return Evidence(raw=found.raw, table=found.table, form=found.form)


def is_envelope(data: bytes) -> bool:
    """Whether JSON seems to be an envelope of `~measurement@1.0`, or of an older version of it: it
    has one of their names as a string."""
    return len(data) <= LARGEST and _ENVELOPE.search(data) is not None


def save_evidence(evidence: Evidence, collateral: Collateral) -> bytes:
    """A file with a node's answers and what they were checked against, for `load_evidence()`."""
    if evidence.exchange:
        version, answers = 2, _written_exchange(evidence.exchange)
    else:
        assert evidence.answer is not None
        version, answers = 1, _written(evidence.answer) | _written_challenge(evidence.challenge)
    members = {
        FORMAT: version,
        "origin": evidence.origin,
        "taken": evidence.taken,
        **answers,
        "vek": _base64(collateral.vek),
        "chain": _base64(collateral.chain),
        "crl": _base64(collateral.crl),
        **({"ek_chain": _base64(collateral.ek_chain)} if version == 2 else {}),
    }
    return json.dumps(members, indent=1).encode() + b"\n"


def _written_challenge(challenge: Challenge | None) -> dict[str, object]:
    if challenge is None:
        return {"challenge": None}
    answer = _written(challenge.answer) if challenge.answer else {}
    return {"challenge": {"value": challenge.value, **answer}}


def _written_exchange(exchange: Exchange) -> dict[str, object]:
    sent = exchange.activation
    opened = sent and {
        "secret": _base64(sent.secret),
        "credential": dict(sent.credential),
        **(_written(sent.answer) if sent.answer else {}),
    }
    return {
        "nonce": _base64(exchange.nonce),
        "fresh": _written(exchange.fresh),
        "boot": exchange.boot and _written(exchange.boot),
        "links": {id_: _written(answer) for id_, answer in exchange.links.items()},
        "activation": opened,
    }


def _written(answer: RawResponse) -> dict[str, object]:
    return {"headers": [list(pair) for pair in answer.headers], "body": _base64(answer.body)}


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


_COLLATERAL = {1: ("vek", "chain", "crl"), 2: ("vek", "chain", "crl", "ek_chain")}
_COMMON = {FORMAT, "origin", "taken"}
_MEMBERS = {
    1: _COMMON | {*_COLLATERAL[1], "headers", "body", "challenge"},
    2: _COMMON | {*_COLLATERAL[2], "nonce", "fresh", "boot", "links", "activation"},
}


def _kept(members: Mapping[str, object]) -> Evidence:
    version = members[FORMAT]
    if type(version) is not int or version not in _MEMBERS:
        what = f"the file was kept by another version: {FORMAT} is {version!r}, not 1 or 2"
        raise EvidenceError("JSON_RANGE", what)
    _check_keys(members, _MEMBERS[version])
    origin, taken = members["origin"], members["taken"]
    if not isinstance(origin, str) or type(taken) is not int:
        raise EvidenceError("JSON_TYPE", "in a kept answer, origin is text and taken is a number")
    if not 0 <= taken <= LATEST:
        raise EvidenceError("JSON_RANGE", f"taken of a kept answer is {taken}, which is no time")
    return Evidence(
        answer=_answer(members) if version == 1 else None,
        exchange=_exchange(members) if version == 2 else None,
        challenge=_challenge(members["challenge"]) if version == 1 else None,
        collateral=Collateral(*(_octets(members, name) for name in _COLLATERAL[version])),
        origin=origin,
        taken=taken,
    )


def _exchange(members: Mapping[str, object]) -> Exchange:
    links = _object(members, "links")
    return Exchange(
        fresh=_answer(_object(members, "fresh")),
        boot=_answer(_object(members, "boot")) if members["boot"] is not None else None,
        nonce=_octets(members, "nonce"),
        links={id_: _answer(_object(links, id_)) for id_ in links},
        activation=_activation(members["activation"]),
    )


def _activation(value: object) -> Activation | None:
    if value is None:
        return None
    sent = _object({"activation": value}, "activation")
    with_answer = "headers" in sent
    _check_keys(sent, {"secret", "credential", *(("headers", "body") if with_answer else ())})
    credential: dict[str, str] = {}
    for key, text in _object(sent, "credential").items():
        if not isinstance(text, str):
            raise EvidenceError("JSON_TYPE", "the values of a kept credential are texts")
        credential[key] = text
    unanswered = "" if with_answer else "the node had not answered when this was kept"
    answer = _answer(sent) if with_answer else None
    return Activation(_octets(sent, "secret"), credential, answer, unanswered)


def _object(members: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = members[name]
    if not isinstance(value, dict):
        raise EvidenceError("JSON_TYPE", f"{name} of a kept answer is not an object")
    return value


def _check_keys(members: Mapping[str, object], known: set[str]) -> None:
    if unknown := sorted(members.keys() - known):
        raise EvidenceError("JSON_UNKNOWN_KEY", f"a kept answer has no key {unknown[0]!r}")
    if missing := sorted(known - members.keys()):
        raise EvidenceError("JSON_MISSING_KEY", f"the kept answer lacks {', '.join(missing)}")


def _challenge(value: object) -> Challenge | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("value"), str):
        raise EvidenceError("JSON_TYPE", "a kept challenge is an object with a value")
    with_answer = "headers" in value
    _check_keys(value, {"value", "headers", "body"} if with_answer else {"value"})
    return Challenge(value["value"], _answer(value) if with_answer else None, fresh=False)


def _answer(members: Mapping[str, object]) -> RawResponse:
    if missing := {"headers", "body"} - members.keys():
        raise EvidenceError("JSON_MISSING_KEY", f"a kept answer lacks {min(missing)}")
    headers = members["headers"]
    if not isinstance(headers, list):
        raise EvidenceError("JSON_TYPE", "the headers of a kept answer are an array")
    pairs = []
    for pair in headers:
        match pair:
            case [str() as name, str() as value]:
                pairs.append((name, value))
            case _:
                raise EvidenceError("JSON_TYPE", "a header of a kept answer is a name and a value")
    return RawResponse(tuple(pairs), _octets(members, "body"))


def _octets(members: Mapping[str, object], name: str) -> bytes:
    value = members[name]
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise EvidenceError("JSON_TYPE", f"{name} of a kept answer is not base64")
