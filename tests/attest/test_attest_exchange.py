"""What a node is asked for its evidence, over HTTP, and what its answers come to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from attest_node import SimulatedNode
from der_writer import NOW
from envelope_edits import Node
from envelope_node import NONCE, TpmNode
from envelope_wire import JSON, answered, sign, wrapped
from served import Wire, served

from aoshell.attest.envelope import reading
from aoshell.attest.evidence import (
    Collateral,
    Evidence,
    RawResponse,
    load_evidence,
    save_evidence,
)
from aoshell.attest.kinds import Kind
from aoshell.attest.unverified import kind_of
from aoshell.attest.verify import Verdict
from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.hyperbeam import evidence as asking
from aoshell.protocol.encoding import b64url
from aoshell.protocol.structured import LARGEST_READ, to_tabm
from aoshell.shell.attestation.judging import Wishes, judge_evidence

CONFIGURATION = "/~meta@1.0/info"
INFO, BOOT, FRESH, UNWRAP = (
    f"/~measurement@1.0/{name}" for name in ("info", "boot", "fresh", "unwrap-secret")
)


def asked(node: Node, nonce: bytes = NONCE, kind: str = "") -> tuple[Evidence, list[str]]:
    """What a node gives, and the paths that it was asked for."""
    paths: list[str] = []
    with served(node.respond, paths) as url:
        return asyncio.run(asking.ask(url, nonce, kind=kind)), paths


def judged(node: Node, evidence: Evidence) -> Verdict:
    assert evidence.exchange
    return node.verify(exchange=evidence.exchange)


def failed(node: Node, kind: str = "") -> AoError:
    with pytest.raises(AoError) as raised:
        asked(node, kind=kind)
    return raised.value


def answering(node: Node, path: str, message: Mapping[str, Any] | None) -> Any:
    """The same node, which answers a path so; None for 404."""
    wire: Wire | None = sign(node.wallet, message) if message is not None else None
    return node.but(answers={**node.answers, path: wire})


def refusal(status: int, error: str) -> dict[str, Any]:
    return {"status": status, "body": {"error": error, "reason": "it does not"}}


def with_generate(node: Node, snp: SimulatedNode) -> Any:
    """The node, with the older device beside it."""

    class Both:
        endpoint = node

        @staticmethod
        def respond(path: str, headers: Any, body: bytes) -> Wire | None:
            return snp.respond(path) if "snp@1.0" in path else node.respond(path, headers, body)

    return Both


def test_a_node_is_asked_for_the_best_that_it_has(measured_node: Node) -> None:
    evidence, paths = asked(measured_node)
    verdict = judged(measured_node, evidence)
    assert (verdict.verdict, verdict.freshness) == ("PASS", "nonce")
    assert paths == [INFO, BOOT, f"{FRESH}?nonce={b64url(NONCE)}", UNWRAP, CONFIGURATION]
    assert evidence.exchange and evidence.exchange.asked_now and evidence.origin


def test_without_a_nonce_only_what_is_offered_is_seen(measured_node: Node) -> None:
    evidence, paths = asked(measured_node, b"")
    assert paths == [INFO, BOOT]
    verdict = judged(measured_node, evidence)
    assert (verdict.verdict, verdict.freshness) == ("INCONCLUSIVE", "unknown")


@pytest.mark.parametrize("send", [sign, wrapped])
def test_links_are_fetched(measured_node: Node, send: Any) -> None:
    apart = ("body/system", "body/node", "body", "secret-recipient/binding")
    node = measured_node.but(apart=apart, stored={}, send=send)
    evidence, paths = asked(node)
    assert judged(node, evidence).verdict == "PASS"
    links = [path for path in paths if path.removeprefix("/") in node.stored]
    assert len(links) == len(set(links)) == len(evidence.exchange.links)  # type: ignore[union-attr]


def test_a_part_that_http_does_not_carry_comes_as_json(tpm_node: TpmNode) -> None:
    """Its certificate in PEM has line breaks, which a node writes raw into a field of HTTP."""
    node = tpm_node.but(apart=("evidence",), stored={}, signs_recipient=True)
    evidence, paths = asked(node)
    assert all(paths.count(f"/{link}") == 2 for link in node.stored) and len(node.stored) == 2
    assert judged(node, evidence).verdict == "PASS"
    kept = load_evidence(save_evidence(evidence, Collateral())).exchange
    assert kept and node.verify(exchange=kept).errors == ("AK_UNBOUND",)
    (id_, answer), *_ = kept.links.items()
    for old, new in ((b'"endorsement"', b'"endorsements"'), (b"}", b""), (b"{", b"[")):
        changed = RawResponse(answer.headers, answer.body.replace(old, new))
        links = {**kept.links, id_: changed}
        assert node.verify(exchange=replace(kept, links=links)).error == "LINK_MISMATCH"


def test_json_that_lost_what_was_signed_is_no_part(tpm_node: TpmNode) -> None:
    """It does not show that the node lies: JSON does not tell an atom from a text."""

    def respond(path: str, headers: Any, body: bytes) -> Wire | None:
        found = node.respond(path, headers, body)
        if found and ("accept", JSON) in headers:
            return found[0], found[1].replace(b'"endorsement"', b'"x"')
        return found

    node = tpm_node.but(apart=("evidence",), stored={})
    with served(respond) as url:
        evidence = asyncio.run(asking.ask(url, NONCE))
    verdict = judged(node, evidence)
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "LINK_UNAVAILABLE")


@pytest.mark.parametrize("apart", [(), ("body/system", "body", "evidence")])
def test_each_answer_is_verified_once(
    measured_node: Node, monkeypatch: pytest.MonkeyPatch, apart: tuple[str, ...]
) -> None:
    """By all who ask for it: what it links to, the secret, AMD's certificates, and the checks."""
    verified: list[RawResponse] = []
    read: list[RawResponse] = []
    verify, read_part = reading.verify_message, reading.read_part

    def counted(answer: RawResponse, kind: str) -> Any:
        verified.append(answer)
        return verify(answer, kind)

    def counted_part(answer: RawResponse, link: str) -> Any:
        read.append(answer)
        return read_part(answer, link)

    monkeypatch.setattr(reading, "verify_message", counted)
    monkeypatch.setattr(reading, "read_part", counted_part)
    node = measured_node.but(apart=apart, stored={})
    evidence, _ = asked(node)
    exchange = evidence.exchange
    assert exchange and exchange.activation and exchange.boot
    trial = asyncio.run(judge_evidence(evidence, None, Wishes(offline=True, at=NOW)))
    assert judged(node, evidence).verdict == "PASS" and trial.verdict.verdict != "PASS"
    assert [*map(id, verified)] == [*map(id, (exchange.boot, exchange.fresh))]
    assert sorted(map(id, read)) == sorted(map(id, exchange.links.values()))


def test_what_was_read_of_one_answer_counts_for_no_other(measured_node: Node) -> None:
    """Also where both are equal but for one byte."""
    good = measured_node.exchange()
    assert measured_node.verify(exchange=good).verdict == "PASS"
    headers, body = good.fresh.headers, good.fresh.body
    spoiled = replace(good.fresh, body=body.replace(b"cpu", b"cpv"))
    assert spoiled.body != body and spoiled.headers == headers
    assert measured_node.verify(exchange=replace(good, fresh=spoiled)).verdict == "FAIL"


def test_links_that_a_node_does_not_answer(measured_node: Node) -> None:
    node = measured_node.but(apart=("body",), stored={})
    node.measured()
    (link,) = node.stored
    missing = answering(node, f"/{link}", None)
    verdict = judged(node, asked(missing)[0])
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "LINK_UNAVAILABLE")
    other = answering(node, f"/{link}", {"other": "content", "status": 200})
    evidence, paths = asked(other)
    verdict = judged(node, evidence)
    assert (verdict.verdict, verdict.error) == ("FAIL", "LINK_MISMATCH")
    assert paths.count(f"/{link}") == 1
    back = answered(node.wallet, {"body+link": link})  # it links back to itself
    circle = node.but(answers={f"/{link}": back})
    evidence, paths = asked(circle)
    assert judged(node, evidence).error == "LINK_MISMATCH" and paths.count(f"/{link}") == 1


def test_no_link_is_fetched_of_an_envelope_with_too_many(measured_node: Node) -> None:
    from envelope_wire import sign_tabm

    from aoshell.attest.envelope.ids import stable_id

    links = [(f"l{at}+link", stable_id({"at": at})) for at in range(reading.MOST_LINKS + 1)]

    def send(wallet: Any, message: Any) -> Wire:
        maps: Any = {f"m{at}": dict(links[at : at + 32]) for at in range(0, len(links), 32)}
        return sign_tabm(wallet, to_tabm(message, LARGEST_READ) | {"evidence": maps})

    node = measured_node.but(send=send)
    evidence, paths = asked(node)
    assert paths == [INFO, BOOT, f"{FRESH}?nonce={b64url(NONCE)}", CONFIGURATION]
    assert judged(node, evidence).error == "ENVELOPE_LIMIT"


def test_no_more_is_fetched_than_is_read(
    measured_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGEST", 2000)
    node = measured_node.but(apart=("body/system", "body/node"), stored={})
    evidence, paths = asked(node)
    assert judged(node, evidence).error == "ENVELOPE_LIMIT"
    assert len(paths) < 6


def test_links_take_no_longer_than_they_may(
    measured_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LINKS_SECONDS", 0.0)
    node = measured_node.but(apart=("body",), stored={})
    verdict = judged(node, asked(node)[0])
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "LINK_UNAVAILABLE")


# --- what is refused


@pytest.mark.parametrize(
    "info",
    [
        None,
        {"status": 200, "body": {"selected-measurement-device": "unavailable"}},
        {"status": 200, "body": {"selected-measurement-device": 5}},
        {"status": 200, "body": {}},
        {"status": 200},
        {"status": 500, "body": {"error": "x"}},
    ],
)
def test_without_a_device_the_older_one_is_asked(
    measured_node: Node, milan: Any, info: Any
) -> None:
    older = SimulatedNode(measured_node.wallet, milan)
    node = with_generate(answering(measured_node, INFO, info), older)
    paths: list[str] = []
    with served(node.respond, paths) as url:
        evidence = asyncio.run(asking.ask(url, NONCE))
    assert evidence.answer and evidence.exchange is None
    assert kind_of(evidence) is Kind.GENERATE
    assert paths[0] == INFO and not {BOOT, FRESH} & {*paths}
    # Both reasons are said if there is neither.
    error = failed(answering(measured_node, INFO, info))
    assert error.stage == "evidence"
    assert "~measurement@1.0: " in error.what and "~snp@1.0: 404" in error.what


def test_why_no_device_measures_a_node(measured_node: Node) -> None:
    info = {"selected-measurement-device": "unavailable", "selection-reason": "no TEE here"}
    error = failed(answering(measured_node, INFO, {"status": 200, "body": info}))
    assert "no TEE here" in error.what


@pytest.mark.parametrize("path", [BOOT, FRESH])
@pytest.mark.parametrize(
    "message", [None, refusal(500, "measurement-boot-failed"), refusal(404, "x")]
)
def test_a_node_that_says_it_measures_and_does_not(
    measured_node: Node, path: str, message: Any
) -> None:
    """No older evidence in its place: it was chosen by who answers so."""
    error = failed(answering(measured_node, path, message))
    assert error.stage == "evidence" and "does not measure itself" in error.what


@pytest.mark.parametrize("path", [INFO, BOOT, FRESH, UNWRAP])
def test_redirects_are_not_followed(measured_node: Node, path: str) -> None:
    moved: Wire = ([("status", "302"), ("location", "http://127.0.0.1:9/elsewhere")], b"")
    node = measured_node.but(answers={path: moved})
    if path == UNWRAP:
        verdict = judged(node, asked(node)[0])
        assert verdict.verdict == "INCONCLUSIVE"
        return
    with pytest.raises(AoError):
        asked(node)


@pytest.mark.parametrize("message", [None, refusal(400, "unwrap-secret-failed")])
def test_a_secret_that_a_node_does_not_open(measured_node: Node, message: Any) -> None:
    due = {"snp@1.0": "ACTIVATION_UNAVAILABLE", "tpm@2.0a": "AK_UNBOUND"}[measured_node.device]
    node = answering(measured_node, UNWRAP, message)
    verdict = judged(node, asked(node)[0])
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", due)
    assert "does not open secrets" in verdict.check("activation").detail


def test_a_secret_that_is_opened_too_slowly(
    measured_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Event

    leave = Event()

    def respond(path: str, headers: Any, body: bytes) -> Wire | None:
        if path == UNWRAP:
            leave.wait(30)
        return measured_node.respond(path, headers, body)

    monkeypatch.setattr(asking, "MEASURING", 1.0)
    with served(respond) as url:
        try:
            evidence = asyncio.run(asking.ask(url, NONCE))
        finally:
            leave.set()
    verdict = judged(measured_node, evidence)
    assert verdict.verdict == "INCONCLUSIVE"
    assert "was not answered" in verdict.check("activation").detail


def test_an_envelope_that_is_refused_gets_no_secret(measured_node: Node) -> None:
    node = measured_node.but(evidence_=lambda *_: {"type": "x"})
    evidence, paths = asked(node)
    assert UNWRAP not in paths
    assert judged(node, evidence).verdict == "FAIL"


# --- kinds


def test_the_kind_that_is_asked_for(measured_node: Node) -> None:
    own = {"snp@1.0": "snp", "tpm@2.0a": "tpm"}[measured_node.device]
    evidence, _ = asked(measured_node, kind=own)
    assert kind_of(evidence).value == own
    for kind in {"snp", "tpm", "report", "unknown"} - {own}:
        error = failed(measured_node, kind)
        assert error.stage == "evidence" and f"not of the kind {kind}" in error.what
    none = answering(measured_node, INFO, None)
    assert f"no evidence of the kind {own}" in failed(none, own).what


def test_the_older_kind_asked_for_by_name(measured_node: Node, milan: Any) -> None:
    node = with_generate(measured_node, SimulatedNode(measured_node.wallet, milan))
    paths: list[str] = []
    with served(node.respond, paths) as url:
        evidence = asyncio.run(asking.ask(url, NONCE, kind="generate"))
    assert evidence.answer and INFO not in paths


@pytest.mark.parametrize("device", ["andee@1.0", "snp-mock@1.0", "x" * 5000, "\x1b[2J"])
def test_devices_that_are_not_checked(measured_node: Node, device: str) -> None:
    named = {"status": 200, "body": {"selected-measurement-device": device}}
    node = answering(measured_node, INFO, named)
    error = failed(node, "snp")
    assert len(error.what) < 400 and "\x1b" not in error.what
    made = node.but(message=lambda made, _: made | {"measurement-device": device})
    verdict = judged(measured_node, asked(made)[0])
    assert verdict.verdict in ("FAIL", "INCONCLUSIVE") and verdict.kind is Kind.UNKNOWN


def test_a_device_other_than_info_says(measured_node: Node) -> None:
    """What `info` says is not signed for: the envelope says what it is."""
    named = {"status": 200, "body": {"selected-measurement-device": "andee@1.0"}}
    node = answering(measured_node, INFO, named)
    evidence, _ = asked(node)
    assert judged(node, evidence).verdict == "PASS"


def test_the_nonce_that_is_given(measured_node: Node) -> None:
    nonce = b"\xfe" * 32
    evidence, paths = asked(measured_node, nonce)
    assert paths[2].endswith(b64url(nonce))
    assert judged(measured_node, evidence).verdict == "PASS"
    assert evidence.exchange
    other = replace(evidence.exchange, nonce=NONCE)
    assert measured_node.verify(exchange=other).error == "NONCE_MISMATCH"


def test_a_recording_does_not_fit_a_new_nonce(measured_node: Node) -> None:
    old = measured_node.measured(b"o" * 32)
    node = measured_node.but(answers={FRESH: old})
    assert judged(node, asked(node)[0]).error == "NONCE_MISMATCH"


def test_names_in_urls_are_refused() -> None:
    with pytest.raises(UsageError):
        asyncio.run(asking.ask("http://name:word@127.0.0.1:1", NONCE))
