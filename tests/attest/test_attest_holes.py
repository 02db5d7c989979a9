"""Ways to pass without what PASS says, found by a review, each closed as a kind."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from amd import Line
from cryptography.hazmat.primitives.asymmetric import rsa
from ek import Maker
from envelope_node import IMAGE, SnpNode, TpmNode, same
from simulated_tpm import OLDER
from tpm_writer import GLOBAL, OWNER, SECURITY, X509, LogDraft, boot_log, signature_list, variable

from aoshell.attest.checks.custody import CustodyState
from aoshell.attest.envelope.activation import make_activation
from aoshell.attest.evidence import Collateral, Evidence, load_evidence, save_evidence
from aoshell.attest.policy import Image, Policy
from aoshell.attest.verify import Verdict
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.wallet import Wallet

VARIABLE, SEPARATOR, AUTHORITY, IPL = 0x80000001, 4, 0x800000E0, 0x0D
SIGNER = hashlib.sha256(b"signer of images").hexdigest()
STRANGER = signature_list(X509, b"a stranger")
CHANGES = {
    "another db": variable("db", STRANGER, SECURITY),
    "a db with one more": variable(
        "db", signature_list(X509, b"signer of images") + STRANGER, SECURITY
    ),
    "a program accepted by another entry": variable("db", OWNER.bytes_le + b"a stranger", SECURITY),
    "Secure Boot off": variable("SecureBoot", b"\0", GLOBAL),
    "another KEK": variable("KEK", STRANGER, GLOBAL),
    "no PK": variable("PK", b"", GLOBAL),
    "an empty dbx": variable("dbx", b"", SECURITY),
}


@pytest.fixture(scope="module")
def tpm_node(wallet: Wallet, tpm_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]) -> TpmNode:
    return TpmNode(wallet=wallet, maker=Maker(), ak_key=tpm_keys[1])


@pytest.fixture(scope="module")
def snp_node(wallet: Wallet, milan: Line) -> SnpNode:
    return SnpNode(wallet=wallet, line=milan)


def guarded(node: TpmNode, log: LogDraft, **more: Any) -> Verdict:
    """Of a node whose quote leaves out PCR 4, under a policy that trusts PCR 11 and a signer."""
    found = node.but(parts={"log": log, "pcrs": OLDER})
    image = Image("the image", pcr11=found.tpm.values[11])
    policy = Policy(trusted=(image,), ek_revocation=False, db_signers=(SIGNER,), **more)
    return found.verify(policy)


def firmware(db: bytes, *more: bytes) -> LogDraft:
    """A log with Secure Boot on, more variables before the separator, and an image."""
    draft = LogDraft()
    whole = {"SecureBoot": b"\x01", "PK": b"", "KEK": b"", "db": db, "dbx": STRANGER}
    for name, content in whole.items():
        owner = SECURITY if name.startswith("db") else GLOBAL
        draft.add(7, VARIABLE, variable(name, content, owner))
    for data in more:
        draft.add(7, VARIABLE, data)
    return draft.add(7, SEPARATOR, bytes(4)).add(11, IPL, b"", hashed=b"kernel")


def test_an_image_by_pcr_11_passes(tpm_node: TpmNode) -> None:
    assert guarded(tpm_node, boot_log()).verdict == "PASS"
    again = boot_log().add(7, VARIABLE, variable("SecureBoot", b"\x01"))
    assert guarded(tpm_node, again.add(7, SEPARATOR, bytes(4))).verdict == "PASS"
    other = boot_log().add(7, AUTHORITY, variable("MokListTrusted", b"\x01"))
    assert guarded(tpm_node, other.add(7, IPL, b"a text")).verdict == "PASS"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("called", [VARIABLE, AUTHORITY, SEPARATOR, IPL])
def test_secure_boot_that_is_changed_after_it_was_measured(
    tpm_node: TpmNode, change: str, called: int
) -> None:
    """Whoever adds his signer in the firmware's menu starts what he likes, and that extends PCR
    11."""
    verdict = guarded(tpm_node, boot_log().add(7, called, CHANGES[change]))
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "SECURE_BOOT_UNKNOWN")
    hidden = boot_log().add(7, called, b"something else", hashed=CHANGES[change])
    assert guarded(tpm_node, hidden).error == "SECURE_BOOT_UNKNOWN"


@pytest.mark.parametrize("change", CHANGES)
def test_secure_boot_that_is_changed_before_the_separator(tpm_node: TpmNode, change: str) -> None:
    db = signature_list(X509, b"signer of images")
    assert guarded(tpm_node, firmware(db)).verdict == "PASS"
    data = CHANGES[change] if change != "no PK" else variable("PK", STRANGER)
    verdict = guarded(tpm_node, firmware(db, data))
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "SECURE_BOOT_UNKNOWN")


def test_an_empty_db_admits_nobody(tpm_node: TpmNode) -> None:
    """So what was started came another way."""
    verdict = guarded(tpm_node, firmware(b""))
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "SECURE_BOOT_UNKNOWN")


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ],
)
def test_a_recipient_with_whom_nobody_shares_a_secret(snp_node: SnpNode, key: bytes) -> None:
    """No secret was sent to such a key, and the check of its opening was skipped."""

    def weak(made: Any, _node: Any) -> Any:
        material = {"x25519-public-key": b64url(key)}
        digest = b64url(hashlib.sha256(key).digest())
        return made | {"key-id": digest, "public-material": material}

    node = snp_node.but(recipient_=weak)
    exchange = node.exchange(activation=None)
    assert make_activation(exchange) is None
    verdict = node.verify(exchange=exchange)
    assert (verdict.verdict, verdict.error) == ("FAIL", "RECIPIENT_KEY_ID")


def forged(evidence: Any, _node: Any) -> Any:
    report = bytearray(unb64url(evidence["report-raw"]))
    report[680] ^= 1  # in the signature
    return evidence | {"report-raw": b64url(bytes(report))}


@pytest.mark.parametrize(
    ("change", "covers_os", "error"),
    [(forged, True, "REPORT_SIGNATURE"), (same, False, "SOFTWARE_UNKNOWN")],
)
def test_nobody_has_a_key_for_himself_unless_all_is_verified(
    snp_node: SnpNode, change: Any, covers_os: bool, error: str
) -> None:
    image = Image("i", measurement=IMAGE.measurement, covers_os=covers_os, exclusive_key=True)
    node = snp_node.but(evidence_=change)
    for asked in (False, True):
        verdict = node.verify(Policy(trusted=(image,), exclusive_key=asked))
        assert verdict.error == error
        assert verdict.custody and verdict.custody.state is CustodyState.UNKNOWN
    assert verdict.check("key-custody").status.value == "SKIPPED"
    good = Image("i", measurement=IMAGE.measurement, covers_os=True, exclusive_key=True)
    verdict = snp_node.verify(Policy(trusted=(good,), exclusive_key=True))
    assert (verdict.verdict, verdict.check("key-custody").status.value) == ("PASS", "PASS")
    assert verdict.custody and verdict.custody.state is CustodyState.EXCLUSIVE


@pytest.mark.parametrize("taken", [-1, 253_402_300_800, 10**17, (1 << 63) - 1])
def test_a_kept_answer_of_a_time_that_is_none(snp_node: SnpNode, taken: int) -> None:
    """The verdict shows that time, and no calendar has it."""
    kept = save_evidence(Evidence(exchange=snp_node.exchange(), origin="x", taken=5), Collateral())
    members = json.loads(kept)
    assert load_evidence(kept).taken == 5
    found = load_evidence(json.dumps(members | {"taken": taken}).encode())
    assert found.fault and found.fault.error == "JSON_RANGE"
