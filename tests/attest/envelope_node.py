"""A simulated node with `~measurement@1.0` in an SEV-SNP guest, each of its steps on a switch."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from amd import Line, Sample
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from der_writer import NOW

from aoshell.attest.envelope import activation, snp
from aoshell.attest.envelope.ids import canonical_payload, stable_id
from aoshell.attest.evidence import Activation, Evidence, Exchange, RawResponse
from aoshell.attest.policy import Image, Policy
from aoshell.attest.verify import Verdict
from aoshell.protocol import httpsig, nested, wire
from aoshell.protocol.commitment import CURRENT, write_commitments
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.structured import LARGEST_READ, from_tabm, to_tabm
from aoshell.protocol.wallet import Wallet

NONCE = bytes(range(32))
BOOT_NONCE = b"b" * 32
SECRET = b"s" * 32
MEASUREMENT = bytes(range(48))
IMAGE = Image("the image", measurement=MEASUREMENT, covers_os=True)
POLICY = Policy(trusted=(IMAGE,))

Message = dict[str, Any]
Wire = tuple[list[tuple[str, str]], bytes]
Change = Callable[[Any, Any], Any]


def same(value: Any, _node: Any) -> Any:
    return value


def sign(wallet: Wallet, message: Mapping[str, Any]) -> Wire:
    """A message as a node signs and sends it, with keys and numbers that we would not send."""
    tabm = to_tabm(message, LARGEST_READ)
    commitments = httpsig.commit(wallet, tabm, profile=CURRENT)
    fields, body = wire.encode(tabm, CURRENT)
    return [*fields.items(), *write_commitments(commitments).items()], body or b""


def wrapped(wallet: Wallet, message: Mapping[str, Any]) -> Wire:
    """The same message with its signature, as the body of an answer that nobody signed."""
    tabm = to_tabm(message, LARGEST_READ)
    commitments = httpsig.commit(wallet, tabm, profile=CURRENT)
    inner = nested.carry(tabm, commitments, lambda _: "")
    fields, body = wire.encode({"body": inner, "status": "200"}, CURRENT)
    return [*fields.items()], body or b""


def as_json(wallet: Wallet, message: Mapping[str, Any]) -> Wire:
    """The same message as JSON, with its signature."""
    tabm = to_tabm(message, LARGEST_READ)
    commitments = httpsig.commit(wallet, tabm, profile=CURRENT)
    kept = {
        one.id: {**nested.to_map(one), "committed": list(one.committed)} for one in commitments
    }
    value = {**canonical(message), "commitments": kept}
    return [("content-type", "application/json")], json.dumps(value).encode()


def canonical(message: Mapping[str, Any]) -> Message:
    found = canonical_payload(message)
    assert isinstance(found, dict)
    return found


@dataclass(frozen=True)
class EnvelopeNode:
    """A node that measures itself by SEV-SNP.

    Attributes:
        configuration: more keys of its configuration.
        vmpl: that its report comes from.
        context, recipient, evidence_: change these parts before they are measured or sent.
        message: changes the envelope before it is signed, wire: afterwards. Both are given the
            nonce as well.
        send: makes an answer of a message.
        proof: changes the answer to a secret before it is signed.
        signer: of its answers, prover: of the answer to a secret; the node's own wallet unless
            given.
    """

    wallet: Wallet
    line: Line
    version: int = 3
    report_values: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    vmpl: int = 0
    context: Change = same
    recipient_: Change = same
    evidence_: Change = same
    message: Change = same
    wire: Change = same
    proof: Change = same
    send: Callable[[Wallet, Mapping[str, Any]], Wire] = sign
    signer: Wallet | None = None
    prover: Wallet | None = None
    device: str = "snp@1.0"
    seed: bytes = b"k" * 32

    def but(self, **parts: Any) -> EnvelopeNode:
        return replace(self, **parts)

    @cached_property
    def key(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def body(self) -> Message:
        system = {
            "schema": "lapee-system-report@1",
            "probed-at-unix": 1_790_000_000,
            "boot": {"image": {"available": True, "id": "x"}, "loaded-uki": {}},
            "cpu": {"mhz": 2450.5, "flags": ["sev", "sev_es"], "none": None},
            "tpm": {"firmware-version-u64": 2315977366801874944, "signature": "s"},
            "integrity": [],
        }
        node = {
            "address": self.wallet.address,
            "initialized": "permanent",
            "port": 8734,
            "load-remote-devices": False,
            **self.configuration,
        }
        return canonical({"system": system, "node": node})

    @cached_property
    def device_context(self) -> Message:
        due = {
            "vmpl": self.vmpl,
            "report-data-context": snp.CONTEXT,
            "secret-method": snp.METHOD,
        }
        changed: Message = self.context(due, self)
        return changed

    @cached_property
    def recipient(self) -> Message:
        public = self.key.public_key().public_bytes_raw()
        made = {
            "type": "lapee-secret-recipient",
            "version": "1.0",
            "measurement-device": "snp@1.0",
            "method": snp.METHOD,
            "key-id": b64url(hashlib.sha256(public).digest()),
            "public-material": {"x25519-public-key": b64url(public)},
            "binding": {
                "report-data-context": snp.CONTEXT,
                "body-id": stable_id(self.body),
                "device-context": self.device_context,
                "device-context-digest": stable_id(self.device_context),
            },
        }
        changed: Message = self.recipient_(made, self)
        return changed

    def report_data(self, nonce: bytes) -> bytes:
        ids = (
            unb64url(stable_id(self.body)),
            nonce,
            unb64url(stable_id(self.recipient)),
            unb64url(self.recipient["binding"]["device-context-digest"]),
        )
        return hashlib.sha512(snp.CONTEXT.encode() + b"".join(ids)).digest()

    def sample(self, nonce: bytes = NONCE) -> Sample:
        values = {
            "report_data": self.report_data(nonce),
            "measurement": MEASUREMENT,
            "vmpl": self.vmpl,
            **self.report_values,
        }
        return self.line.sample(self.version, **values)

    def snp_evidence(self, nonce: bytes) -> Message:
        sample = self.sample(nonce)
        made = {
            "type": snp.TYPE,
            "version": "1.0",
            "nonce": b64url(nonce),
            "report-data": b64url(self.report_data(nonce)),
            "report-raw": b64url(sample.report),
            "report": {"measurement": "not what is checked"},
            "certificates": {},
            "secret-recipient-id": stable_id(self.recipient),
            "device-context": self.device_context,
        }
        changed: Message = self.evidence_(made, self)
        return changed

    def envelope(self, nonce: bytes = NONCE) -> Message:
        made = {
            "type": "lapee-measurement",
            "version": "1.0",
            "issued-at-unix": NOW,
            "measurement-device": self.device,
            "body": self.body,
            "evidence": self.snp_evidence(nonce),
            "secret-recipient": self.recipient,
        }
        changed: Message = self.message(made, self)
        return changed

    def measured(self, nonce: bytes = NONCE) -> Wire:
        found: Wire = self.wire(self.send(self.signer or self.wallet, self.envelope(nonce)), self)
        return found

    def open_secret(self, credential: Mapping[str, Any]) -> Wire:
        """The answer to a secret."""
        public = X25519PublicKey.from_public_bytes(unb64url(credential["ephemeral-public-key"]))
        context = ("lapee-snp-wrap-secret-v1:" + credential["subject-id"]).encode()
        derived = HKDF(SHA256(), 32, unb64url(credential["salt"]), context)
        sealed = unb64url(credential["ciphertext"]) + unb64url(credential["tag"])
        opener = AESGCM(derived.derive(self.key.exchange(public)))
        secret = opener.decrypt(unb64url(credential["iv"]), sealed, context)
        text = "\n".join(
            (
                "lapee-secret-activation-v1",
                "measurement-device:snp@1.0",
                f"method:{snp.METHOD}",
                f"issued-at-unix:{NOW}",
                f"credential-id:{httpsig.unsigned_id(credential, CURRENT)}",
            )
        )
        made = {
            "type": "lapee-secret-activation",
            "issued-at-unix": NOW,
            "credential-secret-sha256": b64url(hashlib.sha256(secret).digest()),
            "proof-alg": "HMAC-SHA256",
            "credential-secret-proof": b64url(hmac.digest(secret, text.encode(), "sha256")),
        }
        return wrapped(self.prover or self.wallet, self.proof(made, self))

    def activation(self) -> Activation:
        public = self.key.public_key().public_bytes_raw()
        credential = activation.wrap_secret(SECRET, public, stable_id(self.recipient))
        return Activation(SECRET, credential, raw(self.open_secret(credential)))

    def exchange(self, **parts: Any) -> Exchange:
        """As if asked, without HTTP."""
        made = Exchange(
            fresh=raw(self.measured()),
            boot=raw(self.measured(BOOT_NONCE)),
            nonce=NONCE,
            asked_now=True,
            activation=self.activation(),
        )
        return replace(made, **parts)

    def verify(
        self, policy: Policy = POLICY, exchange: Exchange | None = None, **wishes: Any
    ) -> Verdict:
        evidence = Evidence(exchange=exchange or self.exchange())
        return self.sample().verify(policy, evidence=evidence, **wishes)

    def respond(self, path: str, headers: list[tuple[str, str]], body: bytes) -> Wire | None:
        asked = urlsplit(path)
        match asked.path:
            case "/~measurement@1.0/info":
                return sign(self.wallet, {"status": 200, "body": self.info})
            case "/~measurement@1.0/boot":
                return self.measured(BOOT_NONCE)
            case "/~measurement@1.0/fresh":
                return self.measured(unb64url(parse_qs(asked.query)["nonce"][0]))
            case "/~measurement@1.0/unwrap-secret":
                fields = wire.join(headers)
                credential: Any = from_tabm(wire.decode(fields, body)[0])["credential"]
                return self.open_secret(credential)
        return None

    @property
    def info(self) -> Message:
        return {
            "version": "1.0",
            "selected-measurement-device": self.device,
            "selection-reason": "auto",
            "available-candidates": [{"device": self.device, "supported": True}],
        }


def raw(answer: Wire) -> RawResponse:
    return RawResponse(tuple(answer[0]), answer[1])


Respond = Callable[[str, list[tuple[str, str]], bytes], Wire | None]


@contextmanager
def served(respond: Respond, asked: list[str] | None = None) -> Iterator[str]:
    """The URL of a server that answers so, None with 404; `asked` gets the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            sent = self.rfile.read(length)
            if asked is not None:
                asked.append(self.path)
            found = respond(self.path, list(self.headers.items()), sent)
            headers, body = found or ([], b"not found")
            status = dict(headers).get("status", "200") if found else "404"
            self.send_response(int(status))
            for name, value in headers:
                self.send_header(name, value)
            if "status" not in dict(headers):
                self.send_header("status", status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
