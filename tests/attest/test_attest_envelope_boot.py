"""Envelopes over a TPM 2.0: PCR 15, the event log, and what was booted.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from envelope_edits import ended
from envelope_node import BOOT_NONCE, TpmNode, raw
from simulated_tpm import OLDER, SimulatedTpm
from tpm_writer import X509 as X509_LIST
from tpm_writer import LogDraft, boot_log, signature_list, variable

from aoshell.attest.policy import Image, Policy
from aoshell.attest.verify import Verdict
from aoshell.protocol.encoding import b64url, unb64url

SIGNERS = (hashlib.sha256(b"signer of images").hexdigest(),)


# --- PCR 15 and the event log


def runtime(change: Callable[[list[Any]], list[Any]]) -> Callable[[Any, Any], Any]:
    def changed(evidence: Any, _node: Any) -> Any:
        return evidence | {"runtime-event-log": change([*evidence["runtime-event-log"]])}

    return changed


def test_the_runtime_log(tpm_node: TpmNode) -> None:
    for change, error in (
        (lambda events: events[:1], "PCR15_REPLAY"),
        (lambda events: [*events, events[1] | {"seq": 2}], "PCR15_REPLAY"),
        (lambda events: [one | {"seq": 0} for one in events], "PCR15_REPLAY"),
        (lambda events: [events[0] | {"event-type": "X"}, events[1]], "PCR15_SUBJECT"),
        (lambda events: [events[0], events[1] | {"event-type": "X"}], "PCR15_LOG_TIP"),
        (lambda events: [one | {"seq": 1 - one["seq"]} for one in events], "PCR15_REPLAY"),
        (lambda events: [one | {"pcr": 14} for one in events], "PCR15_REPLAY"),
    ):
        ended(tpm_node.but(evidence_=runtime(change)).verify(), error)
    events = [{"seq": 9, "pcr": 14, "event-type": "X", "digest": b64url(b"\1" * 32)}]
    more = tpm_node.but(evidence_=runtime(lambda found: [*events, *reversed(found)]))
    assert more.verify().verdict == "PASS"


def with_log(node: TpmNode, log: bytes, tip: bool = True) -> Verdict:
    """The verdict with another log in the evidence of the same boot.

    Args:
        tip: PCR 15 holds the hash of this log, as where the attacker writes it before it starts.
    """
    tpm = SimulatedTpm(ek_key=node.maker.ek_key, ak_key=node.ak_key, body_id=node.tpm.body_id)
    if tip:
        from aoshell.attest.tpm.quote import pcr_policy

        tpm.runtime[1] = (tpm.runtime[1][0], hashlib.sha256(log).digest())
        tpm.values[15] = bytes(32)
        for _, digest in tpm.runtime:
            tpm.extend(15, digest)
        tpm.policy = pcr_policy(tpm.quoted_values)
    tpm.raw_log = log
    changed = node.but()
    changed.__dict__["tpm"] = tpm
    return changed.verify(Policy(trusted=(node.image,), ek_revocation=False, secure_boot=True))


def test_another_log(tpm_node: TpmNode) -> None:
    log = tpm_node.tpm.raw_log
    assert with_log(tpm_node, log).verdict == "PASS"
    for other in (log[:-1], log + b"\0", boot_log(secure_boot=b"\0").write()):
        ended(with_log(tpm_node, other, tip=False), "PCR15_LOG_TIP")


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda log: log[:-1], "EVENT_LOG_MALFORMED"),
        (lambda log: log + b"\0", "EVENT_LOG_MALFORMED"),
        (lambda log: log[:4] + b"\4" + log[5:], "EVENT_LOG_MALFORMED"),
        (lambda log: log[: len(log) // 2], "EVENT_LOG_MALFORMED"),
        (lambda log: log[:28] + b"\xff" * 4 + log[32:], "EVENT_LOG_MALFORMED"),
        (lambda _log: boot_log(banks=(0x04,)).write(), "EVENT_LOG_MALFORMED"),
        (lambda _log: boot_log(secure_boot=b"\0").write(), "EVENT_LOG_REPLAY"),
        (lambda _log: boot_log(programs=(b"another",)).write(), "EVENT_LOG_REPLAY"),
        (lambda _log: LogDraft().write(), "EVENT_LOG_REPLAY"),
        (lambda _log: boot_log().add(14, 0x0D, b"MokList").write(), "EVENT_LOG_REPLAY"),
    ],
)
def test_a_log_written_by_the_attacker(
    tpm_node: TpmNode, edit: Callable[[bytes], bytes], error: str
) -> None:
    ended(with_log(tpm_node, edit(tpm_node.tpm.raw_log)), error)


def test_an_edited_secure_boot_event(tpm_node: TpmNode) -> None:
    """Secure Boot was off. The log says that it was on: by its data, or by its digest as well."""
    off = tpm_node.but(parts={"log": boot_log(secure_boot=b"\0")})
    ended(off.verify(asking(off)), "SECURE_BOOT_OFF")
    log = off.tpm.raw_log
    was, now = variable("SecureBoot", b"\0"), variable("SecureBoot", b"\1")
    assert log.count(was) == 1
    data = log.replace(was, now)
    kept = off.but(parts={"log": Written(boot_log(secure_boot=b"\0"), data)})
    ended(kept.verify(asking(kept)), "EVENT_DATA_DIGEST")
    digests = data.replace(hashlib.sha256(was).digest(), hashlib.sha256(now).digest())
    edited = off.but(parts={"log": Written(boot_log(secure_boot=b"\0"), digests)})
    ended(edited.verify(asking(edited)), "EVENT_LOG_REPLAY")


class Written(LogDraft):
    """A log whose bytes are not those of what was extended."""

    def __init__(self, draft: LogDraft, data: bytes) -> None:
        super().__init__(draft.banks, extended=draft.extended)
        self._data = data

    def write(self) -> bytes:
        return self._data


def asking(node: TpmNode, **more: Any) -> Policy:
    image = Image("the image", pcr11=node.tpm.values[11])
    wanted: dict[str, Any] = {"trusted": (image,), "ek_revocation": False, "db_signers": SIGNERS}
    return Policy(**wanted | more)


def test_no_flipped_bit_of_the_log_passes(tpm_node: TpmNode) -> None:
    """PCR 15 holds the flipped log's hash: only replay and data are left to notice. What no digest
    covers and nothing relies on (a description, a type) may change."""
    log = tpm_node.tpm.raw_log
    seen = 0
    for bit in range(3, 8 * len(log), 8 * len(log) // 40):
        changed = bytearray(log)
        changed[bit // 8] ^= 1 << bit % 8
        verdict = with_log(tpm_node, bytes(changed))
        ended(with_log(tpm_node, bytes(changed), tip=False), "PCR15_LOG_TIP")
        seen += verdict.verdict != "PASS"
        if verdict.verdict == "PASS":
            assert verdict.image == "the image"
            assert verdict.check("secure-boot").detail.startswith("on, 1 signer")
    assert seen > 10


# --- what was booted


def test_programs(tpm_node: TpmNode) -> None:
    image = tpm_node.image
    evil = (b"first an evil one", b"the image", b"the kernel in it")
    for programs in (evil, evil[1:2], (*evil[1:], b"more"), ()):
        if not programs:
            continue
        node = tpm_node.but(parts={"log": boot_log(programs=programs)})
        ended(node.verify(Policy(trusted=(image,), ek_revocation=False)), "SOFTWARE_UNTRUSTED")
    named = tpm_node.verify(Policy(ek_revocation=False))
    ended(named, "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    of_snp = Policy(ek_revocation=False, trusted=(Image("guest", measurement=b"\1" * 48),))
    ended(tpm_node.verify(of_snp), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    other = replace(image, pcr11=b"\1" * 32)
    ended(tpm_node.verify(Policy(trusted=(other,), ek_revocation=False)), "SOFTWARE_UNTRUSTED")


def test_a_program_hidden_behind_another_type(tpm_node: TpmNode) -> None:
    log = boot_log()
    log.add(4, 0x0D, b"harmless", hashed=b"an evil program")
    node = tpm_node.but(parts={"log": log})
    policy = Policy(trusted=(tpm_node.image,), ek_revocation=False)
    ended(node.verify(policy), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    named = boot_log()
    named.add(4, 0x80000007, b"Calling EFI Application from Boot Option", hashed=b"evil")
    ended(tpm_node.but(parts={"log": named}).verify(policy), "EVENT_DATA_DIGEST")


def test_pcr_11_counts_only_behind_secure_boot_with_named_signers(tpm_node: TpmNode) -> None:
    assert tpm_node.verify(asking(tpm_node)).image == "the image"
    without = asking(tpm_node, db_signers=())
    ended(tpm_node.verify(without), "SOFTWARE_UNTRUSTED")
    ended(tpm_node.verify(replace(without, secure_boot=True)), "SOFTWARE_UNTRUSTED")
    ended(tpm_node.verify(asking(tpm_node, db_signers=("00" * 32,))), "DB_SIGNER_UNTRUSTED")
    off = tpm_node.but(parts={"log": boot_log(secure_boot=b"\0")})
    ended(off.verify(asking(off)), "SECURE_BOOT_OFF")
    ended(off.verify(asking(off, db_signers=())), "SOFTWARE_UNTRUSTED")


def test_secure_boot_is_asked_for_without_signers_too(tpm_node: TpmNode) -> None:
    off = tpm_node.but(parts={"log": boot_log(secure_boot=b"\0")})
    known = asking(off, db_signers=(), trusted=(off.image,))
    ended(off.verify(known), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    reviewed = replace(known, trusted=(replace(off.image, fixed_cmdline=True),))
    assert off.verify(reviewed).verdict == "PASS"
    ended(off.verify(replace(reviewed, secure_boot=True)), "SECURE_BOOT_OFF")
    # Of two names for one boot, what a review found decides.
    reviewed = replace(reviewed, trusted=(replace(off.image, name="same"), *reviewed.trusted))
    assert off.verify(reviewed).image == "the image"


def test_pcr_11_forged_with_pcr_4_unquoted(tpm_node: TpmNode) -> None:
    """Any program can extend PCR 11 with what a trusted image extends."""
    for secure_boot in (b"\0", b"\1"):
        log = boot_log(secure_boot=secure_boot, programs=(b"evil",))
        node = tpm_node.but(parts={"log": log, "pcrs": OLDER})
        assert node.tpm.values[11] == tpm_node.tpm.values[11]
        for policy in (
            asking(node, db_signers=()),
            Policy(trusted=(tpm_node.image,), ek_revocation=False),
        ):
            ended(node.verify(policy), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    guarded = tpm_node.but(parts={"pcrs": OLDER})
    passed = guarded.verify(asking(guarded))
    assert passed.verdict == "PASS"
    # What a pin compares: PCR 11, which counts here, and for nothing where it does not.
    sections = guarded.tpm.values[11]
    assert passed.software and passed.software.identity == f"PCR 11 {sections.hex()}"
    assert guarded.verify(Policy(ek_revocation=False)).software is None


@pytest.mark.parametrize(
    ("wished", "error"),
    [({"measurement": bytes(48)}, "MEASUREMENT"), ({"report_data": bytes(64)}, "REPORT_DATA")],
)
def test_what_a_tpm_does_not_have(tpm_node: TpmNode, wished: Any, error: str) -> None:
    verdict = tpm_node.verify(**wished)
    ended(verdict, f"{error}_MISMATCH")
    assert verdict.errors == (f"{error}_MISMATCH",)
    assert "evidence of a TPM has none" in verdict.check("measurement").detail


def test_a_debugger_of_the_firmware(tpm_node: TpmNode) -> None:
    """With it on, Secure Boot admits nobody: whoever has the debugger starts what he likes."""
    log = LogDraft()
    log.add(7, 0x80000007, b"UEFI Debug Mode")
    rest = boot_log()
    log.body += rest.body
    log.extended += rest.extended
    node = tpm_node.but(parts={"log": log})
    assert node.tpm.values[7] != tpm_node.tpm.values[7]
    ended(node.verify(asking(node)), "SOFTWARE_UNTRUSTED")
    assert "UEFI Debug Mode" in node.verify(asking(node)).check("secure-boot").detail
    known = Policy(trusted=(node.image,), ek_revocation=False)
    assert tpm_node.verify(known).verdict == "PASS"
    ended(node.verify(known), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")


def test_a_second_signer(tpm_node: TpmNode) -> None:
    lists = {
        "PK": signature_list(X509_LIST, b"platform key"),
        "KEK": signature_list(X509_LIST, b"key exchange key"),
        "db": signature_list(X509_LIST, b"signer of images")
        + signature_list(X509_LIST, b"somebody"),
        "dbx": signature_list(X509_LIST, b"revoked"),
    }
    node = tpm_node.but(parts={"log": boot_log(lists=lists)})
    ended(node.verify(asking(node)), "DB_SIGNER_UNTRUSTED")
    both = (*SIGNERS, hashlib.sha256(b"somebody").hexdigest())
    assert node.verify(asking(node, db_signers=both)).verdict == "PASS"


# --- the start


@pytest.mark.parametrize(
    "wrong",
    [{"reset_count": 2}, {"restart_count": 1}, {"firmware_version": 1}, {"clock": 1 << 40}],
)
def test_the_quote_of_another_boot(tpm_node: TpmNode, wrong: dict[str, int]) -> None:
    def change(evidence: Any, node: TpmNode) -> Any:
        quoted, signature = node.tpm.quote(BOOT_NONCE, **wrong)
        forged = {"quoted": b64url(quoted), "signature": b64url(signature)}
        return evidence | {"quote": evidence["quote"] | forged}

    boot = raw(tpm_node.but(evidence_=change).measured(BOOT_NONCE))
    ended(tpm_node.verify(exchange=tpm_node.exchange(boot=boot)), "PAIR_BOOT_SESSION")


def at_start(node: TpmNode, change: Callable[[Any, TpmNode], Any], **pcrs: bytes) -> Verdict:
    """The verdict with other evidence of the start, or after other PCRs then."""
    tpm = copy(node.tpm)
    tpm.values = tpm.values | {int(pcr[1:]): value for pcr, value in pcrs.items()}
    before = node.but(evidence_=change)
    before.__dict__["tpm"] = tpm
    return node.verify(exchange=node.exchange(boot=raw(before.measured(BOOT_NONCE))))


def test_the_start_with_other_keys_quote_or_pcrs(tpm_node: TpmNode) -> None:
    def flipped(evidence: Any, _node: Any) -> Any:
        signature = unb64url(evidence["quote"]["signature"])
        forged = b64url(bytes((signature[0] ^ 1,)) + signature[1:])
        return evidence | {"quote": evidence["quote"] | {"signature": forged}}

    def same(evidence: Any, _node: Any) -> Any:
        return evidence

    value = hashlib.sha256(b"another").digest()
    assert at_start(tpm_node, same, p10=value).verdict == "PASS"  # IMA goes on measuring
    ended(at_start(tpm_node, same, p7=value), "PAIR_BOOT_SESSION")
    ended(at_start(tpm_node, flipped), "PAIR_BOOT_SESSION")
    for key, other in (("ek", "ak"), ("ak", "ek")):

        def swapped(evidence: Any, _node: Any, named: str = key, of: str = other) -> Any:
            return evidence | {f"{named}-pub-pem": evidence[f"{of}-pub-pem"]}

        verdict = at_start(tpm_node, swapped)
        ended(verdict, "PAIR_BOOT_SESSION")
        assert "other keys" in verdict.check("pair").detail
