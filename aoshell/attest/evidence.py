"""Evidence: a raw report, a report as JSON, or a node's answer; and the file that keeps an answer.

That file is JSON, with everything that a later check needs, as it came:

    {"aoshell-evidence": 1, "origin": URL, "taken": seconds since the epoch,
     "headers": [[name, value], …], "body": base64,
     "challenge": {"value": …, "headers": …, "body": …} or null,
     "vek": base64, "chain": base64, "crl": base64}

A challenge without headers of its own was answered together with the report. `load_evidence()`
takes any bytes: what is wrong with evidence, the checks report.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aoshell.attest import forms, frames
from aoshell.attest.errors import EvidenceError
from aoshell.attest.jsonreport import read_json_object

FORMAT = "aoshell-evidence"
LARGEST = 8 << 20  # bytes of a kept answer
LARGEST_BODY = 4 << 20  # bytes

_KEPT = re.compile(rb'\{\s*"%s"' % FORMAT.encode())

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RawResponse:
    """An HTTP response, as it came.

    Attributes:
        headers: in order, repeated names included.
    """

    headers: Headers
    body: bytes


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
class Collateral:
    """What a report is checked against, as the content of files: DER or PEM, b"" if missing.

    Attributes:
        vek: the certificate of the key that signed the report.
        chain: two certificates, ASK (or ASVK) and ARK.
        crl: AMD's list of revoked certificates.
    """

    vek: bytes = b""
    chain: bytes = b""
    crl: bytes = b""

    def filled(self, other: Collateral) -> Collateral:
        """This, with what is missing taken from another."""
        return Collateral(self.vek or other.vek, self.chain or other.chain, self.crl or other.crl)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is to be checked. Exactly one of `raw`, `text`, `answer` and `fault` is set.

    Attributes:
        raw: a report as bytes.
        text: a report as JSON.
        answer: a node's, with a report in it.
        fault: why a file cannot be read, though its form is known.
        table: the certificate table behind a raw report, b"" without one.
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
        return Evidence(text=data)
    try:
        found = frames.read_frame(data)
    except EvidenceError as fault:
        return Evidence(fault=fault)
    if found.text:
        return Evidence(text=found.text)
    return Evidence(raw=found.raw, table=found.table, form=found.form)


def save_evidence(evidence: Evidence, collateral: Collateral) -> bytes:
    """A file with a node's answer and what it was checked against, for `load_evidence()`."""
    assert evidence.answer is not None
    challenge = evidence.challenge
    members = {
        FORMAT: 1,
        "origin": evidence.origin,
        "taken": evidence.taken,
        **_written(evidence.answer),
        "challenge": challenge
        and {"value": challenge.value, **(_written(challenge.answer) if challenge.answer else {})},
        "vek": _base64(collateral.vek),
        "chain": _base64(collateral.chain),
        "crl": _base64(collateral.crl),
    }
    return json.dumps(members, indent=1).encode() + b"\n"


def _written(answer: RawResponse) -> dict[str, object]:
    return {"headers": [list(pair) for pair in answer.headers], "body": _base64(answer.body)}


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


_MEMBERS = {FORMAT, "origin", "taken", "headers", "body", "challenge", "vek", "chain", "crl"}


def _kept(members: Mapping[str, object]) -> Evidence:
    _check_keys(members, _MEMBERS)
    if members[FORMAT] != 1:
        what = f"the file was kept by another version: {FORMAT} is {members[FORMAT]!r}, not 1"
        raise EvidenceError("JSON_RANGE", what)
    origin, taken = members["origin"], members["taken"]
    if not isinstance(origin, str) or type(taken) is not int:
        raise EvidenceError("JSON_TYPE", "in a kept answer, origin is text and taken is a number")
    return Evidence(
        answer=_answer(members),
        challenge=_challenge(members["challenge"]),
        collateral=Collateral(*(_octets(members, name) for name in ("vek", "chain", "crl"))),
        origin=origin,
        taken=taken,
    )


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
