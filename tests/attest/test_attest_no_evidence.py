"""Answers that are no evidence: the verdict is INCONCLUSIVE, and no check refuses anything."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attest_command import Command
from attest_node import Bare, SimulatedNode
from envelope_edits import Node
from envelope_node import NONCE, TpmNode
from envelope_wire import sign
from served import Wire, served

from aoshell.attest import explaining
from aoshell.attest.checks.frame import Status
from aoshell.errors import AoError
from aoshell.nodes.remote.hyperbeam import evidence as asking

INFO, BOOT, FRESH, UNWRAP = (
    f"/~measurement@1.0/{name}" for name in ("info", "boot", "fresh", "unwrap-secret")
)
HTML = b"<!DOCTYPE html><html><title>Please log in</title></html>"


def page(content: bytes, kind: str = "") -> Wire:
    """An answer of somebody in between, with status 200."""
    return ([("content-type", kind)] if kind else []), content


# What proxies, portals, and other services answer with status 200.
PAGES = {
    "a page": page(HTML, "text/html"),
    "a page without its type": page(b"\n <html><body>Blocked</body></html>"),
    "a page called JSON": page(HTML, "application/json"),
    "a page called a message": page(HTML, "multipart/form-data; boundary=x"),
    "nothing": page(b""),
    "nothing called JSON": page(b"", "application/json"),
    "text": page(b"OK", "text/plain"),
    "bytes": page(bytes(range(256)), "application/octet-stream"),
    "JSON": page(b'{"error": "rate limited"}', "application/json"),
    "JSON in JSON": page(b'{"status": 200, "body": {"error": "x"}}', "application/json"),
    "a list": page(b"[1, 2]", "application/json"),
    "half of JSON": page(b'{"a": ', "application/json"),
    "fields": ([("x-cache", "HIT"), ("etag", '"5"')], b""),
}


def asked(respond: Any) -> Any:
    with served(respond) as url:
        return asyncio.run(asking.ask(url, NONCE))


def refused(respond: Any) -> AoError:
    with pytest.raises(AoError) as raised:
        asked(respond)
    assert raised.value.stage == "evidence"
    return raised.value


@pytest.mark.parametrize("answer", PAGES)
def test_pages_everywhere(command: Command, answer: str) -> None:
    with served(lambda *_: PAGES[answer]) as url:
        said = command(url, "--json")
    assert (said.code, said.value["verdict"]) == (3, "INCONCLUSIVE")
    (check,) = said.value["checks"]
    assert (check["error"], said.value["evidence_id"]) == (explaining.NO_EVIDENCE, "")
    assert "offers no evidence: ~measurement@1.0: " in check["detail"]
    assert "~snp@1.0: 200, but " in check["detail"]


@pytest.mark.parametrize("path", [BOOT, FRESH])
@pytest.mark.parametrize("answer", PAGES)
def test_pages_in_place_of_an_envelope(measured_node: Node, path: str, answer: str) -> None:
    error = refused(measured_node.but(answers={path: PAGES[answer]}).respond)
    assert "does not measure itself: 200, but " in error.what


@pytest.mark.parametrize("answer", PAGES)
def test_pages_in_place_of_a_proof(measured_node: Node, answer: str) -> None:
    node = measured_node.but(answers={UNWRAP: PAGES[answer]})
    verdict = node.verify(exchange=asked(node.respond).exchange)
    due = {"snp@1.0": "ACTIVATION_UNAVAILABLE", "tpm@2.0a": "AK_UNBOUND"}[node.device]
    assert (verdict.verdict, verdict.errors) == ("INCONCLUSIVE", (due,))
    assert "does not open secrets: 200, but " in verdict.check("activation").detail


@pytest.mark.parametrize("answer", PAGES)
def test_pages_in_place_of_a_part(measured_node: Node, answer: str) -> None:
    node = measured_node.but(apart=("body",), stored={})
    node.measured()
    (link,) = node.stored
    exchange = asked(node.but(answers={f"/{link}": PAGES[answer]}).respond).exchange
    verdict = node.verify(exchange=exchange)
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "LINK_UNAVAILABLE")


@pytest.mark.parametrize("answer", PAGES)
def test_pages_in_place_of_a_challenge(generate_node: SimulatedNode, answer: str) -> None:
    def respond(path: str, *_: Any) -> Wire | None:
        if "challenge" in path:
            return PAGES[answer]
        return generate_node.respond(path)

    verdict = generate_node.sample.verify(evidence=asked(respond))
    assert verdict.check("challenge").status is Status.INCONCLUSIVE
    assert "does not take challenges: 200, but " in verdict.check("challenge").detail


def test_a_message_about_something_else(measured_node: Node) -> None:
    """The node has signed it, and it is no evidence nevertheless."""
    other = sign(measured_node.wallet, {"status": 200, "body": {"error": "not today"}})
    for path in (BOOT, FRESH):
        error = refused(measured_node.but(answers={path: other}).respond)
        assert "200, but another message" in error.what
    error = refused(lambda path, *_: other if "snp" in path else None)
    assert "~snp@1.0: 200, but another message" in error.what


def test_what_claims_to_be_evidence_is_refused(
    command: Command, measured_node: Node, generate_node: SimulatedNode
) -> None:
    """An envelope that nobody signed, one that was cut, a report that nobody signed."""
    headers, body = measured_node.measured()
    unsigned = [pair for pair in headers if not pair[0].startswith("signature")]
    spoiled = [(headers, body[:-9]), (unsigned, body)]
    as_json = json.dumps({"type": "lapee-measurement"}).encode()
    spoiled += [page(as_json, "application/json"), page(as_json[:-1], "application/json")]
    for wire in spoiled:
        with served(measured_node.but(answers={FRESH: wire}).respond) as url:
            assert command(url).code == 1
    headers, body = generate_node.generate()
    unsigned = [pair for pair in headers if not pair[0].startswith("signature")]
    with served(lambda path, *_: (unsigned, body) if "snp" in path else None) as url:
        said = command(url)
    assert said.code == 1 and "HTTPSIG_KEY_SCHEME" in said.out


# --- nodes that have none


def test_no_device(command: Command, generate_node: SimulatedNode) -> None:
    with Bare(generate_node.wallet, generate_node.line).served() as url:
        said = command(url)
        assert said.code == 3 and said.out.startswith("INCONCLUSIVE: there is no evidence")
        assert f"{url} offers no evidence: ~measurement@1.0: 404 not found" in said.out
        assert "; ~snp@1.0: 404 not found" in said.out
        value = command(url, "--json").value
    assert value["verdict"] == "INCONCLUSIVE" and value["report"] == {}
    (check,) = value["checks"]
    assert (check["error"], value["evidence_id"]) == (explaining.NO_EVIDENCE, "")


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/html", "200, but HTML in place of"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html", "offers no evidence"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4000", "broke its answer off"),
        (b"HTTP/1.1 302 Found\r\nlocation: /elsewhere", "redirects"),
        (b"HTTP/1.1 302 Found\r\nlocation: https://other.example/", "redirects to"),
        (b"nonsense", ""),
    ],
)
def test_answers_that_are_none(command: Command, head: bytes, told: str) -> None:
    with answering(head + b"\r\n\r\n" + HTML) as url:
        said = command(url)
    assert said.code == 3 and told in said.out, said


def test_nobody_there(command: Command) -> None:
    with answering(b"") as url:
        pass
    said = command(url, "--json")
    assert said.code == 3 and "does not take connections" in said.out


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """A server that gives each question one answer, and hangs up."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


# --- nodes that have another kind


@pytest.mark.parametrize("kind", ["snp", "tpm"])
def test_another_kind_than_was_asked_for(
    command: Command, generate_node: SimulatedNode, kind: str
) -> None:
    with generate_node.served() as url:
        said = command(url, "--kind", kind)
    assert said.code == 3
    first, why, hint = said.out.splitlines()
    assert first == (
        f"INCONCLUSIVE: there is no evidence of the kind {kind} (EVIDENCE_UNAVAILABLE)"
    )
    assert f"{url} has no evidence of the kind {kind}: ~measurement@1.0: 404" in why
    assert hint.endswith("leave out --kind")


def test_envelopes_are_no_answer_of_generate(command: Command, tpm_node: TpmNode) -> None:
    with served(tpm_node.respond) as url:
        said = command(url, "--kind", "generate")
    assert said.code == 3 and "has no evidence of the kind generate: ~snp@1.0: 404" in said.out
    assert said.out.splitlines()[-1].endswith("leave out --kind")
