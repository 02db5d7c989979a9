"""A simulated HyperBEAM node in a simulated SEV-SNP guest, over real HTTP with real signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import httpx
from amd import Line, Sample
from report_json import version_5
from served import Wire, served

from aoshell.attest.evidence import Challenge, Evidence, RawResponse
from aoshell.attest.launch.local_hashes import LAYOUTS, LocalHashes, compute_measurement
from aoshell.attest.policy import Image, Policy
from aoshell.attest.verify import Verdict
from aoshell.protocol import signing
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.wallet import Wallet

HASHES: dict[str, Any] = {
    "vcpus": 4,
    "vcpu_type": 5,
    "vmm_type": 1,
    "guest_features": 1,
    "firmware": next(iter(LAYOUTS)),
    "kernel": hashlib.sha256(b"kernel").hexdigest(),
    "initrd": hashlib.sha256(b"initrd").hexdigest(),
    "append": hashlib.sha256(b"append").hexdigest(),
}
IMAGE = Image("the image", hashes={k: v for k, v in HASHES.items() if isinstance(v, str)})
POLICY = Policy(trusted=(IMAGE,))

Message = dict[str, Any]


def _same(value: Any, _node: Any) -> Any:
    return value


@dataclass(frozen=True)
class SimulatedNode:
    """A node; each of its steps can be disturbed.

    Attributes:
        report_values: fields of its report.
        text: changes the report's JSON, message: the answer before it is signed, wire: afterwards.
        signer: of answers; the node's own wallet unless given.
        proof: answers (challenge, path) itself.
    """

    wallet: Wallet
    line: Line
    version: int = 2
    report_values: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, Any] = field(default_factory=lambda: HASHES)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    text: Callable[[bytes, SimulatedNode], bytes] = _same
    message: Callable[[Message, SimulatedNode], Message] = _same
    wire: Callable[[Wire, SimulatedNode], Wire] = _same
    signer: Wallet | None = None
    proof: Callable[[SimulatedNode, str], Wire] | None = None
    bundle: bool = True

    def but(self, **parts: Any) -> SimulatedNode:
        return replace(self, **parts)

    @cached_property
    def node_message(self) -> Message:
        return {
            "address": self.wallet.address,
            "initialized": "permanent",
            "port": 8734,
            "snp_trusted": [dict(self.hashes)],
            **self.configuration,
        }

    @cached_property
    def report_data(self) -> bytes:
        own = hashlib.sha256(self.wallet.owner).digest()
        return own + unb64url(signing.unsigned_id(self.node_message))

    @cached_property
    def sample(self) -> Sample:
        values = {"report_data": self.report_data, **self.report_values}
        if "measurement" not in values:
            values["measurement"] = compute_measurement(LocalHashes.read(self.hashes))
        return self.line.sample(self.version, **values)

    @cached_property
    def generated(self) -> Message:
        """The answer of ~snp@1.0/generate, unsigned."""
        message = {
            "address": self.wallet.address,
            "nonce": b64url(self.report_data),
            "report": self.text(version_5(self.sample.report), self).decode(
                "utf-8", "surrogateescape"
            ),
            "local-hashes": dict(self.hashes),
            "node-message": self.node_message,
            "status": 200,
        }
        return self.message(message, self)

    def sign(self, message: Message) -> Wire:
        return signing.sign(self.signer or self.wallet, message, bundle=self.bundle)

    def generate(self, challenge: str = "") -> Wire:
        message = self.generated | ({"challenge": challenge} if challenge else {})
        return self.wire(self.sign(message), self)

    def prove(self, challenge: str) -> Wire:
        if self.proof:
            return self.proof(self, challenge)
        return self.sign({"body": challenge, "ao-result": "body", "status": 200})

    def evidence(self, challenge: str = "") -> Evidence:
        """As if fetched, without HTTP."""
        headers, body = self.generate()
        asked = None
        if challenge:
            proof, proof_body = self.prove(challenge)
            asked = Challenge(challenge, RawResponse(tuple(proof), proof_body))
        return Evidence(answer=RawResponse(tuple(headers), body), challenge=asked)

    def verify(self, policy: Policy = POLICY, challenge: str = "", **wishes: Any) -> Verdict:
        evidence = self.evidence(challenge)
        return self.sample.verify(policy, evidence=evidence, **wishes)

    def served(self) -> AbstractContextManager[str]:
        """The URL of the node while it runs."""
        return served(lambda path, _headers, _body: self.respond(unquote(path)))

    def respond(self, path: str) -> Wire | None:
        if path == "/~snp@1.0/generate":
            return self.generate()
        if path.startswith("/~snp@1.0/generate/set&challenge="):
            return self.generate(path.partition("=")[2])
        if path.startswith("/~message@1.0/set&challenge=") and path.endswith("/challenge"):
            return self.prove(path.partition("=")[2].removesuffix("/challenge"))
        if path == "/~meta@1.0/info":
            return self.sign(self.node_message | {"status": 200})
        return None


def fetch(url: str) -> RawResponse:
    reply = httpx.get(url, headers={"accept-bundle": "true"}, follow_redirects=False, timeout=60)
    assert reply.status_code == 200
    pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers.raw)
    return RawResponse(tuple(pairs), reply.content)


class Bare(SimulatedNode):
    """A node that has no device for evidence."""

    def respond(self, path: str) -> Wire | None:
        return None if "snp" in path else super().respond(path)
