"""What a software TPM made, recorded: data/tpm/README.md. And that TPM itself, where it is."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from simulated_tpm import NEWER, SimulatedTpm
from software_tpm import CREDENTIAL_MAGIC, SoftwareTpm, missing_tools
from tpm_writer import boot_log, sized

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm import quote as quotes
from aoshell.attest.tpm.credential import Credential, make_credential
from aoshell.attest.tpm.eventlog import check_replay, read_event_log
from aoshell.attest.tpm.evidence import TpmEvidence, read_policy_pcrs, read_tpm_evidence
from aoshell.attest.tpm.keys import (
    check_ak_forms,
    check_ak_template,
    check_ek_forms,
    check_ek_template,
)
from aoshell.attest.tpm.runtime import check_runtime
from aoshell.attest.tpm.secureboot import read_programs, read_secure_boot
from aoshell.attest.tpm.structures import (
    PublicArea,
    qualified_name,
    read_public,
    read_quote,
)
from aoshell.protocol.encoding import unb64url

CHALLENGE = bytes(range(32))


def check_all(found: TpmEvidence, body_id: bytes, policy_pcrs: tuple[int, ...]) -> PublicArea:
    """All checks of this room, in their order. Returns the attestation key."""
    ek, ak = read_public(found.ek.public), read_public(found.ak.public)
    assert check_ek_template(ek) == "L-1"
    check_ek_forms(ek, found.ek.pem, found.ek.name, found.ek.qualified_name)
    check_ak_template(ak)
    check_ak_forms(ak, found.ak.pem, found.ak.name, found.ak.qualified_name)
    quotes.check_signature(found.quote.quoted, found.quote.signature, ak)
    quote = read_quote(found.quote.quoted)
    quotes.check_signer(quote, qualified_name(ak.name))
    quotes.check_nonce(quote, found.quote.nonce)
    quotes.check_selection(quote, found.quote.selection)
    quotes.check_digest(quote, found.quote.values)
    quotes.check_policy(ak, policy_pcrs, found.quote.values)
    check_runtime(found.runtime, found.quote.values[15], body_id, found.log)
    assert found.log
    log = read_event_log(found.log)
    assert {0, 1, 7, 11} <= {*check_replay(log, found.quote.values)}
    assert read_secure_boot(log).enabled
    assert len(read_programs(log)) == 2
    return ak


@pytest.mark.versions
@pytest.mark.parametrize("which", ["boot", "fresh"])
def test_recorded_evidence(vector: dict[str, Any], which: str) -> None:
    found = read_tpm_evidence(vector[which])
    body_id = unb64url(vector["body-id"])
    check_all(found, body_id, read_policy_pcrs(vector["recipient"]["binding"]))
    certificate = load_pem_x509_certificate(found.ek_certificate.encode())
    spki = PublicFormat.SubjectPublicKeyInfo
    written = certificate.public_key().public_bytes(Encoding.PEM, spki)
    assert written == read_public(found.ek.public).as_key().public_bytes(Encoding.PEM, spki)


def test_two_quotes_of_one_boot(vector: dict[str, Any]) -> None:
    boot, fresh = (
        read_quote(read_tpm_evidence(vector[which]).quote.quoted) for which in ("boot", "fresh")
    )
    assert boot.extra_data != fresh.extra_data
    assert (boot.reset_count, boot.restart_count) == (fresh.reset_count, fresh.restart_count)
    assert (boot.firmware_version, boot.safe) == (fresh.firmware_version, fresh.safe)
    assert boot.clock <= fresh.clock


def test_names_are_those_that_the_tpm_told(vector: dict[str, Any]) -> None:
    for told in vector["keys"].values():
        area = read_public(unb64url(told["public"]))
        assert area.name == unb64url(told["name"])
        assert qualified_name(area.name) == unb64url(told["qualified-name"])
    for opened in vector["opened"]:
        area = read_public(unb64url(opened["ek"]))
        assert check_ek_template(area) == opened["template"]
        assert area.name == unb64url(opened["ek-name"])
        assert qualified_name(area.name) == unb64url(opened["ek-qualified-name"])


def test_keys_that_are_not_as_they_must_be(vector: dict[str, Any]) -> None:
    with pytest.raises(EvidenceError) as raised:
        check_ak_template(read_public(unb64url(vector["weak-ak"]["public"])))
    assert raised.value.error == "AK_ATTRIBUTES"
    told = vector["owner-ak"]
    area = read_public(unb64url(told["public"]))
    check_ak_template(area)
    named = unb64url(told["qualified-name"])
    assert named == qualified_name(area.name, 0x40000001) != qualified_name(area.name)


def test_each_byte_of_a_recorded_quote_counts(vector: dict[str, Any]) -> None:
    found = read_tpm_evidence(vector["fresh"])
    ak = read_public(found.ak.public)
    for at in range(len(found.quote.quoted)):
        changed = bytearray(found.quote.quoted)
        changed[at] ^= 1 << at % 8
        with pytest.raises(EvidenceError) as raised:
            quotes.check_signature(bytes(changed), found.quote.signature, ak)
        assert raised.value.error == "QUOTE_SIGNATURE"


def test_the_recorded_policies_differ(vector: dict[str, Any]) -> None:
    found = read_tpm_evidence(vector["fresh"])
    ak = read_public(found.ak.public)
    for pcr, value in found.quote.values.items():
        changed = dict(found.quote.values) | {pcr: hashlib.sha256(value).digest()}
        with pytest.raises(EvidenceError) as raised:
            quotes.check_policy(ak, found.quote.selection, changed)
        assert raised.value.error == "AK_POLICY_MISMATCH"


@pytest.fixture(scope="module")
def software() -> Iterator[SoftwareTpm]:
    """One that has booted, with an attestation key over the newer PCRs."""
    if missing := missing_tools():
        pytest.skip(missing)
    with SoftwareTpm() as tpm:
        tpm.boot(boot_log(), CHALLENGE)
        tpm.make_ak(NEWER)
        yield tpm


def test_a_live_quote(software: SoftwareTpm) -> None:
    ak = read_public(software.key("ak").public)
    check_ak_template(ak)
    quoted, signature = software.quote(CHALLENGE, NEWER)
    quotes.check_signature(quoted, signature, ak)
    quote, values = read_quote(quoted), software.pcr_values(NEWER)
    quotes.check_signer(quote, software.key("ak").qualified_name)
    quotes.check_nonce(quote, CHALLENGE)
    quotes.check_digest(quote, values)
    quotes.check_policy(ak, NEWER, values)
    check_replay(read_event_log(boot_log().write()), values)


@pytest.mark.parametrize("template", ["L-1", "H-3"])
@pytest.mark.parametrize("size", [1, 32])
def test_a_live_activation(software: SoftwareTpm, template: str, size: int) -> None:
    ek = read_public(software.ek(template).public)
    credential = make_credential(ek, software.key("ak").name, CHALLENGE[:size])
    assert software.activate(credential, template) == CHALLENGE[:size]


def test_what_the_tpm_does_not_open(software: SoftwareTpm) -> None:
    ek, name = read_public(software.ek().public), software.key("ak").name
    good = make_credential(ek, name, CHALLENGE)
    blob = good.blob[:-1] + bytes([good.blob[-1] ^ 1])
    for credential in (
        make_credential(ek, software.ek().name, CHALLENGE),
        make_credential(read_public(software.ek("H-3").public), name, CHALLENGE),
        Credential(blob, good.secret),
    ):
        with pytest.raises(AssertionError, match="activatecredential"):
            software.activate(credential)
    assert software.activate(good) == CHALLENGE


def test_the_simulated_tpm_opens_what_the_tools_made(
    software: SoftwareTpm, tpm: SimulatedTpm
) -> None:
    """So that what our tests open is what a TPM would."""
    (software.folder / "ek.tss").write_bytes(sized(tpm.ek_area.raw))
    (software.folder / "challenge").write_bytes(CHALLENGE)
    software.tpm2("makecredential", "-T", "none", "-u", "ek.tss", "-s", "challenge",
                  "-n", tpm.ak_area.name.hex(), "-o", "made")  # fmt: skip
    made = software.read("made")
    assert made.startswith(CREDENTIAL_MAGIC)
    made = made[len(CREDENTIAL_MAGIC) :]
    end = 2 + int.from_bytes(made[:2], "big")
    assert tpm.activate(Credential(made[:end], made[end:])) == CHALLENGE


def test_a_changed_pcr_takes_the_key_away() -> None:
    """The policy of the attestation key does not hold any more: neither quote nor activation."""
    if missing := missing_tools():
        pytest.skip(missing)
    with SoftwareTpm() as tpm:
        ak, ek = tpm.make_ak(NEWER), tpm.ek()
        credential = make_credential(read_public(ek.public), ak.name, CHALLENGE)
        assert tpm.activate(credential) == CHALLENGE
        tpm.extend(14, CHALLENGE)
        with pytest.raises(AssertionError, match="policyor"):
            tpm.activate(credential)
        with pytest.raises(AssertionError, match="policyor"):
            tpm.quote(CHALLENGE, NEWER)


LOGS = {
    "a boot": boot_log(),
    "three banks": boot_log(banks=(0x04, 0x0B, 0x0C)),
    "an old image, Secure Boot off": boot_log(b"\0", programs=(b"an image",), banks=(0x0B,)),
}


@pytest.mark.parametrize("name", LOGS)
def test_tpm2_tools_replay_logs_as_we_do(name: str, tmp_path: Path) -> None:
    if not shutil.which("tpm2"):
        pytest.skip("tpm2-tools are not installed")
    path = tmp_path / "log"
    path.write_bytes(LOGS[name].write())
    shown = subprocess.run(["tpm2", "eventlog", path], capture_output=True, text=True, check=True)
    banks = shown.stdout.split("\npcrs:\n")[1].split("sha256:\n")[1]
    found = dict(re.findall(r"^ +(\d+) +: 0x([0-9a-f]{64})$", banks, re.MULTILINE))
    values = read_event_log(path.read_bytes()).replay()
    assert found == {str(pcr): value.hex() for pcr, value in values.items()}


def test_a_simulated_tpm_passes_the_same_checks(tpm: SimulatedTpm) -> None:
    ak = check_all(read_tpm_evidence(tpm.evidence(CHALLENGE)), tpm.body_id, NEWER)
    assert isinstance(ak.as_key(), rsa.RSAPublicKey)
