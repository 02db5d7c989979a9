"""Envelopes over what a software TPM made (data/tpm/README.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from ek import Maker
from envelope_edits import ended
from envelope_node import BOOT_NONCE, TpmNode, prove, raw
from envelope_wire import wrapped
from simulated_tpm import pem as written

from aoshell.attest.envelope.ids import stable_id
from aoshell.attest.envelope.reading import Envelope
from aoshell.attest.evidence import Activation, Collateral, Evidence, Exchange
from aoshell.attest.policy import Image, Policy
from aoshell.attest.tpm.eventlog import read_event_log
from aoshell.attest.tpm.roots import EkRoot
from aoshell.attest.tpm.secureboot import read_programs
from aoshell.attest.tpm.structures import read_public
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.attest.x509.material import read_der_values
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.wallet import Wallet

SIGNERS = (hashlib.sha256(b"signer of images").hexdigest(),)


@dataclass(frozen=True, kw_only=True)
class Recorded(TpmNode):
    """A node whose TPM is a recorded one, with a challenge that it opened."""

    vector: Mapping[str, Any]

    @property
    def made_recipient(self) -> dict[str, Any]:
        return dict(self.vector["recipient"])

    def made_evidence(self, nonce: bytes) -> dict[str, Any]:
        found: dict[str, Any] = self.vector["boot" if nonce == BOOT_NONCE else "fresh"]
        return found

    def recorded(self) -> Exchange:
        """The exchange; its nonce is the recorded one."""
        opened = self.vector["opened"][0]
        challenge = unb64url(opened["challenge"])
        sent = {
            "subject-id": stable_id(self.recipient),
            "credential-blob": opened["blob"],
            "secret": opened["secret"],
        }
        answer = prove(self.vector["fresh"]["ak-name"], sent, challenge)
        return Exchange(
            fresh=raw(self.measured()),
            boot=raw(self.measured(BOOT_NONCE)),
            nonce=unb64url(self.vector["fresh"]["quote"]["nonce"]),
            asked_now=True,
            activation=Activation(challenge, sent, raw(wrapped(self.wallet, answer))),
        )


@pytest.fixture
def recorded(
    vector: dict[str, Any],
    wallet: Wallet,
    maker: Maker,
    tpm_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey],
) -> Recorded:
    return Recorded(wallet=wallet, maker=maker, ak_key=tpm_keys[1], vector=vector)


def judged(node: Recorded, exchange: Exchange) -> Verdict:
    """The verdict, the authority of the software TPM trusted."""
    (root,) = read_der_values(node.vector["root"].encode(), "the root")
    trusted = {hashlib.sha256(root).hexdigest(): EkRoot(VENDOR, "a software TPM's")}
    log = read_event_log(unb64url(node.vector["fresh"]["tcg-event-log"]))
    pcr11 = unb64url(node.vector["fresh"]["quote"]["pcr-values"]["11"])
    image = Image("recorded", efi=read_programs(log), pcr11=pcr11)
    guarded = Image("guarded", pcr11=pcr11)
    policy = Policy(trusted=(image, guarded), ek_revocation=False, db_signers=SIGNERS)
    ours = Collateral(ek_chain=root)
    evidence = Evidence(exchange=exchange)
    return verify_evidence(evidence, ours, policy, node.vector["at"], test_ek_roots=trusted)


VENDOR = "00001014"  # as the software TPM names its maker


def test_what_a_software_tpm_made_is_of_another_body(recorded: Recorded) -> None:
    """All passes but the body, which the record does not hold, and what is behind it."""
    verdict = judged(recorded, recorded.recorded())
    ended(verdict, "BODY_ID_MISMATCH")
    assert verdict.errors == ("BODY_ID_MISMATCH",)


def test_what_a_software_tpm_made_passes_for_its_body(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = unb64url(recorded.vector["body-id"])
    monkeypatch.setattr(Envelope, "body_id", due)
    exchange = recorded.recorded()
    verdict = judged(recorded, exchange)
    assert (verdict.verdict, verdict.freshness) == ("PASS", "nonce"), verdict.primary
    assert verdict.image in ("recorded", "guarded")
    sent = exchange.activation
    assert sent
    other = replace(sent, secret=b"o" * 32)
    ended(judged(recorded, replace(exchange, activation=other)), "ACTIVATION_PROOF")
    ended(judged(recorded, replace(exchange, activation=None)), "AK_UNBOUND", "INCONCLUSIVE")
    monkeypatch.setattr(Envelope, "body_id", bytes(32))
    ended(judged(recorded, exchange), "BODY_ID_MISMATCH")


@pytest.mark.parametrize(
    ("name", "errors"),
    [("weak-ak", {"AK_ATTRIBUTES"}), ("owner-ak", {"AK_QUALIFIED_NAME", "AK_KEY_MISMATCH"})],
)
def test_wrong_keys_that_a_software_tpm_made(
    recorded: Recorded, name: str, errors: set[str]
) -> None:
    wrong = recorded.vector[name]
    named = {f"ak-{key}": value for key, value in wrong.items()}
    area = read_public(unb64url(wrong["public"]))
    named["ak-pub-pem"] = written(area)
    material = {key: named[key] for key in ("ak-public", "ak-pub-pem", "ak-name")}
    recipient = recorded.vector["recipient"] | named | {"key-id": named["ak-name"]}
    recipient["public-material"] = recipient["public-material"] | material
    vector = {
        **recorded.vector,
        "recipient": recipient,
        **{key: recorded.vector[key] | named for key in ("boot", "fresh")},
    }
    node = recorded.but(vector=vector)
    verdict = judged(node, node.recorded())
    assert verdict.verdict == "FAIL" and errors & {*verdict.errors}, verdict.errors
