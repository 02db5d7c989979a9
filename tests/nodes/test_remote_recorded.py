"""Every answer that was recorded of real HyperBEAM nodes, whole and cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_remote_vectors import replied

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.hyperbeam.refusal import LONGEST, refusal_in
from aoshell.nodes.remote.hyperbeam.signed import examine, is_message_in_json
from aoshell.nodes.remote.hyperbeam.trust import Trust
from aoshell.nodes.values import Verify
from aoshell.protocol.httpsig import SignatureStatus

CUTS = 50  # places at which each answer is cut
# The recorder's own HTTP lost the header fields behind a raw line break.
NO_HTTP = {"sept-compute-error-key-linebreak"}


def recorded(shared: Path) -> Iterator[tuple[str, Response, bool]]:
    """Name, answer, and whether it has a signature."""
    for path in sorted(shared.glob("vectors/hyperbeam*/*.json")):
        exchange: Any = json.loads(path.read_text())
        status, headers, body = replied(exchange)
        signed = any(name == "signature" for name, _ in headers)
        yield path.stem, Response("http://node", status, tuple(headers), body), signed


def test_no_signed_answer_of_any_generation_is_called_bad(shared: Path) -> None:
    outcomes: dict[SignatureStatus, list[str]] = {status: [] for status in SignatureStatus}
    for name, answer, signed in recorded(shared):
        checked = examine(answer)
        claims = signed or (is_message_in_json(answer) and b'"commitments"' in answer.body)
        if claims and name not in NO_HTTP:
            assert checked.outcome is not SignatureStatus.BAD, (name, checked.failure)
            outcomes[checked.outcome].append(name)
    # What cannot be checked is the one error whose trace passed through Lua.
    assert outcomes[SignatureStatus.UNCHECKABLE] == ["sept-dryrun-item-refused"]
    assert len(outcomes[SignatureStatus.VERIFIED]) >= 20


def test_a_changed_answer_of_any_generation_is_not_verified(shared: Path) -> None:
    """The control of the test above: each signed text counts."""
    tried = 0
    for name, answer, signed in recorded(shared):
        if not signed or examine(answer).outcome is not SignatureStatus.VERIFIED or not answer.body:
            continue
        at = len(answer.body) // 2
        body = answer.body[:at] + bytes([answer.body[at] ^ 1]) + answer.body[at + 1 :]
        changed = Response(answer.url, answer.status, answer.headers, body)
        checked = examine(changed)
        untouched = examine(answer).verified
        assert checked.outcome is not SignatureStatus.VERIFIED or checked.verified == untouched, (
            name
        )
        tried += 1
    assert tried >= 15


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
def test_errors_cut_short_say_nothing_false(shared: Path, level: Verify) -> None:
    errors = [each for each in recorded(shared) if not each[1].ok]
    assert len(errors) >= 5
    for name, answer, _ in errors:
        whole = answer.body + b"".join(
            value.encode("utf-8", "replace") for _, value in answer.headers
        )
        for cut in range(CUTS):
            body = answer.body[: len(answer.body) * cut // CUTS]
            headers = answer.headers[: len(answer.headers) * cut // CUTS]
            for short in ((answer.headers, body), (headers, answer.body), (headers, body)):
                one = Response(answer.url, answer.status, *short)
                trust = Trust("http://node", lambda _: None)
                trust.level, trust.address = level, "A" * 43
                said = trust.failure(one, "compute", "does not do it")
                assert str(answer.status) in said and "Traceback" not in said, (name, cut)
                assert "\n" not in said and len(said) < LONGEST + 400, (name, cut)
                if level is Verify.ON:  # nothing of it is signed by that key
                    quoted = said.partition(f": {answer.status}")[2].strip()
                    assert not quoted or quoted.encode() not in whole, (name, cut, said)
                refusal = trust.refusal(one, "compute")
                assert refusal.slot is None or str(refusal.slot).encode() in whole


@pytest.mark.parametrize("level", Verify)
def test_answers_cut_short_are_errors_or_less(shared: Path, level: Verify) -> None:
    """Never another error than an AoError."""
    for _, answer, signed in recorded(shared):
        if not answer.ok:
            continue
        for cut in range(0, CUTS, 5):
            body = answer.body[: len(answer.body) * cut // CUTS]
            trust = Trust("http://node", lambda _: None)
            trust.level = level
            one = Response(answer.url, answer.status, answer.headers, body)
            try:
                trust.read(one, "compute")
            except AoError as error:
                assert error.stage == "verify"
            else:
                assert level is Verify.OFF or not signed or body == answer.body


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": "x" * 9000}, 160),
        ({"body": "<html>" + "x" * 99}, 0),
        ({"error": {"a": "b"}, "details": "{badmatch,1}"}, 12),
        ({"attempted-slot": "-1", "phase": "p" * 99}, 0),
        ({"attempted-slot": "9" * 5000, "phase": "compute"}, 0),
        ({"attempted-slot": True, "reason": "a\nb\x1b]0;x\x07"}, 9),
    ],
)
def test_refusals_of_any_kind_are_read(fields: dict[str, Any], words: int) -> None:
    refusal = refusal_in(fields)
    assert len(refusal.words) <= words
    assert "\n" not in refusal.words and len(refusal.phase) <= 40
    assert refusal.slot is None or 0 <= refusal.slot < 1 << 64


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/html", b"<html><title>500 - Oops.</title></html>", "does not: 500 Oops."),
        ("multipart/form-data; boundary=x", b"--x\r\ntrace: y\r\n--x--", "does not: 500"),
        ("text/plain", b"the node is full", "does not: 500 the node is full"),
        ("", b"", "does not: 500"),
    ],
)
def test_errors_that_give_no_reason_show_no_trace(kind: str, body: bytes, said: str) -> None:
    trust = Trust("http://node", lambda _: None)
    answer = Response("http://node", 500, (("content-type", kind),), body)
    assert trust.failure(answer, "now", "does not").endswith(said)
