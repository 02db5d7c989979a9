"""Certificates: from the pinned root to the chip, one fault at a time."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from amd import AMD, CHIP, TCBS, Amd, Line, Sample
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from der_writer import (
    DAY,
    NOW,
    PKCS1,
    Draft,
    bits,
    constraints,
    extension,
    ia5,
    integer,
    name,
    oid,
    pem,
    pss,
    seq,
    sign_pkcs1,
    sign_pss,
    spki,
    tlv,
    usage,
)

from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.policy import Policy
from aoshell.attest.x509.certificates import Certificate
from aoshell.attest.x509.der import DerReader
from aoshell.attest.x509.material import read_material

SHA256 = "2.16.840.1.101.3.4.2.1"


@pytest.fixture(scope="module")
def small_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_what_is_written_here_is_what_x509_reads(milan: Line) -> None:
    ark, ask = (x509.load_der_x509_certificate(der) for der in (milan.ark, milan.ask))
    ask.verify_directly_issued_by(ark)
    ours = Certificate.parse(milan.ask)
    assert ours.serial == ask.serial_number
    assert ours.not_after == int(ask.not_valid_after_utc.timestamp())
    assert ours.signed.content == ask.tbs_certificate_bytes
    assert ours.signed.signature == ask.signature
    assert ours.key == ask.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert [one.oid for one in ours.extensions] == [one.oid.dotted_string for one in ask.extensions]
    assert [value for part in ours.subject for _, value in part] == [
        one.value for one in ask.subject
    ]


def weak_sign(key: object, content: bytes) -> bytes:
    return sign_pss(key, content, 48, hashes.SHA256())


def short_salt(key: object, content: bytes) -> bytes:
    return sign_pss(key, content, 32)


def in_one_set(named: bytes) -> bytes:
    """The parts of a name in one set, as Nuvoton writes them."""
    parts = DerReader(named, "name").inside(0x30)
    return seq(tlv(0x31, *(part.rest() for part in parts.each(0x31))))


def compressed(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.CompressedPoint
    point = key.public_key().public_bytes(serialization.Encoding.X962, form)
    return seq(seq(oid("1.2.840.10045.2.1"), oid("1.3.132.0.34")), bits(point))


LEAF: dict[str, tuple[Callable[[Draft, Amd], Draft], str]] = {
    "signed by a stranger": (lambda d, a: d.but(signer=a.stranger), "CHAIN_LEAF_SIGNATURE"),
    "signed by ARK": (lambda d, a: d.but(signer=a.milan.ark_key), "CHAIN_LEAF_SIGNATURE"),
    "signed by ASVK": (lambda d, a: d.but(signer=a.milan.asvk_key), "CHAIN_LEAF_SIGNATURE"),
    "PKCS1": (lambda d, _a: d.but(algorithm=PKCS1, sign=sign_pkcs1), "CERT_ALGORITHM"),
    "PSS SHA-256": (lambda d, _a: d.but(algorithm=pss(SHA256), sign=weak_sign), "CERT_ALGORITHM"),
    "salt 32": (lambda d, _a: d.but(algorithm=pss(salt=32), sign=short_salt), "CERT_ALGORITHM"),
    "salt 32, says 48": (lambda d, _a: d.but(sign=short_salt), "CHAIN_LEAF_SIGNATURE"),
    "two algorithms": (lambda d, _a: d.but(outer_algorithm=pss(null=False)), "CERT_ALGORITHM"),
    "P-256": (
        lambda d, _a: d.but(key=spki(ec.generate_private_key(ec.SECP256R1()))),
        "CERT_KEY_TYPE",
    ),
    "compressed point": (lambda d, a: d.but(key=compressed(a.milan.vek_key)), "CERT_KEY_TYPE"),
    "other curve": (
        lambda d, _a: d.but(key=spki(ec.generate_private_key(ec.BrainpoolP384R1()))),
        "CERT_KEY_TYPE",
    ),
    "too large, though signed": (
        lambda d, _a: d.but(extensions=(*d.extensions, extension("1.2.3.4", bytes(20 << 10)))),
        "CERT_PARSE",
    ),
    "RSA": (lambda d, a: d.but(key=spki(a.stranger)), "CERT_KEY_TYPE"),
    "another key": (
        lambda d, _a: d.but(key=spki(ec.generate_private_key(ec.SECP384R1()))),
        "REPORT_SIGNATURE",
    ),
    "authority": (
        lambda d, _a: d.but(extensions=(*d.extensions, constraints())),
        "CERT_PROFILE",
    ),
    "may sign": (lambda d, _a: d.but(extensions=(*d.extensions, usage(0x04))), "CERT_PROFILE"),
    "critical": (
        lambda d, _a: d.but(extensions=(*d.extensions, extension("1.2.3", b"", critical=True))),
        "CERT_PROFILE",
    ),
    "version 1": (lambda d, _a: d.but(version=b""), "CERT_PROFILE"),
    "subject": (lambda d, _a: d.but(subject=name("SEV-OTHER")), "CERT_PROFILE"),
    "organization": (lambda d, _a: d.but(subject=name("SEV-VCEK", "Else")), "CERT_PROFILE"),
    "issuer's organization": (lambda d, _a: d.but(issuer=name("SEV-Milan", "X")), "CERT_PROFILE"),
    "name in one set": (lambda d, _a: d.but(subject=in_one_set(d.subject)), "CERT_PROFILE"),
    "a default written out": (
        lambda d, _a: d.but(extensions=(*d.extensions, seq(oid("1.2.3"), tlv(1, b"\0"), ia5("x")))),
        "CERT_PARSE",
    ),
    "issuer": (lambda d, _a: d.but(issuer=name("SEV-Genoa")), "PRODUCT_MISMATCH"),
    "unknown issuer": (lambda d, _a: d.but(issuer=name("SEV-Venice")), "PRODUCT_MISMATCH"),
    "product": (lambda d, _a: d.instead(f"{AMD}.2", ia5("Genoa")), "PRODUCT_MISMATCH"),
    "product like": (lambda d, _a: d.instead(f"{AMD}.2", ia5("MilanX")), "PRODUCT_MISMATCH"),
    "UTF-8 product": (
        lambda d, _a: d.instead(f"{AMD}.2", tlv(0x0C, b"Milan-B0")),
        "CERT_EXTENSION",
    ),
    "expired": (lambda d, _a: d.but(not_after=NOW - 1), "CERT_EXPIRED"),
    "not yet valid": (lambda d, _a: d.but(not_before=NOW + 1), "CERT_NOT_YET_VALID"),
    "struct 1": (lambda d, _a: d.instead(f"{AMD}.1", integer(1)), "CERT_EXTENSION"),
    "negative": (lambda d, _a: d.instead(f"{AMD}.3.3", b"\x02\x01\x80"), "CERT_EXTENSION"),
    "not minimal": (lambda d, _a: d.instead(f"{AMD}.3.3", b"\x02\x02\x00\x18"), "CERT_EXTENSION"),
    "trailing": (lambda d, _a: d.instead(f"{AMD}.3.3", b"\x02\x01\x18\x00"), "CERT_EXTENSION"),
    "too large": (lambda d, _a: d.instead(f"{AMD}.3.3", integer(256)), "CERT_EXTENSION"),
    "empty": (lambda d, _a: d.instead(f"{AMD}.3.3", b""), "CERT_EXTENSION"),
    "reserved": (lambda d, _a: d.instead(f"{AMD}.3.5", integer(1)), "CERT_EXTENSION"),
    "63 bytes": (lambda d, _a: d.instead(f"{AMD}.4", CHIP[:63]), "CERT_EXTENSION"),
    "65 bytes": (lambda d, _a: d.instead(f"{AMD}.4", CHIP + b"\0"), "CERT_EXTENSION"),
    "provider": (
        lambda d, _a: d.but(extensions=(*d.extensions, extension(f"{AMD}.5", ia5("x")))),
        "CERT_EXTENSION",
    ),
    "fmc on Milan": (
        lambda d, _a: d.but(extensions=(*d.extensions, extension(f"{AMD}.3.9", integer(1)))),
        "CERT_EXTENSION",
    ),
    "duplicate": (
        lambda d, _a: d.but(extensions=(*d.extensions, extension(f"{AMD}.3.3", integer(24)))),
        "CERT_EXTENSION",
    ),
    "missing struct": (lambda d, _a: d.without(f"{AMD}.1"), "CERT_EXTENSION"),
    "missing product": (lambda d, _a: d.without(f"{AMD}.2"), "CERT_EXTENSION"),
    "missing snp": (lambda d, _a: d.without(f"{AMD}.3.3"), "CERT_EXTENSION"),
    "missing reserved": (lambda d, _a: d.without(f"{AMD}.3.5"), "CERT_EXTENSION"),
    "missing chip": (lambda d, _a: d.without(f"{AMD}.4"), "CERT_EXTENSION"),
    "other chip": (
        lambda _d, a: a.milan.vek_draft(chip=bytes(63) + b"\1"),
        "HWID_MISMATCH",
    ),
}


# What says nothing against the evidence where the certificate is the verifier's own.
OURS = {"CERT_PARSE", "CERT_EXPIRED", "CERT_NOT_YET_VALID"}


def judged(sample: Sample, came: bool) -> tuple[str, str]:
    verdict = sample.verify(came=came)
    return verdict.verdict, verdict.error


def due(error: str, came: bool) -> tuple[str, str]:
    return ("INCONCLUSIVE" if error in OURS and not came else "FAIL"), error


@pytest.mark.parametrize("came", [False, True])
@pytest.mark.parametrize("fault", LEAF)
def test_leaf(amd: Amd, good: Sample, fault: str, came: bool) -> None:
    change, error = LEAF[fault]
    faulty = good.but(vek=change(amd.milan.vek_draft(), amd).der())
    assert judged(faulty, came) == due(error, came)


@pytest.mark.parametrize("part", TCBS["Milan"])
@pytest.mark.parametrize("step", [-1, 1])
def test_a_certificate_for_another_tcb(amd: Amd, good: Sample, part: str, step: int) -> None:
    tcb = TCBS["Milan"] | {part: max(0, TCBS["Milan"][part] + step)}
    verdict = good.but(vek=amd.milan.vek_draft(tcb).der()).verify()
    assert verdict.error == ("TCB_CERT_MISMATCH" if tcb != TCBS["Milan"] else "")


def test_other_product(amd: Amd, good: Sample) -> None:
    assert good.but(vek=amd.genoa.vek_draft().der()).verify().error == "PRODUCT_MISMATCH"


def test_turin(amd: Amd) -> None:
    sample = amd.turin.sample()
    draft = amd.turin.vek_draft()
    for faulty in (draft.without(f"{AMD}.3.9"), draft.instead(f"{AMD}.1", integer(0))):
        assert sample.but(vek=faulty.der()).verify().error == "CERT_EXTENSION"
    lower = amd.turin.vek_draft(TCBS["Turin"] | {"fmc": 0})
    assert sample.but(vek=lower.der()).verify().error == "TCB_CERT_MISMATCH"
    other = amd.turin.sample(chip_id=CHIP[:8] + b"\1" + bytes(55))
    assert other.verify().error == "HWID_MISMATCH"
    longer = draft.instead(f"{AMD}.4", CHIP[:8] + bytes(56))
    assert sample.but(vek=longer.der()).verify().error == "CERT_EXTENSION"


def test_vlek(amd: Amd) -> None:
    permits, sample, draft = Policy(vlek=True), amd.milan.sample(vlek=True), None
    draft = amd.milan.vek_draft(vlek=True)
    assert sample.verify().error == "SIGNER_VLEK_NOT_ALLOWED"
    with_chip = draft.but(extensions=(*draft.extensions, extension(f"{AMD}.4", CHIP)))
    for faulty in (with_chip, draft.without(f"{AMD}.5")):
        assert sample.but(vek=faulty.der()).verify(permits).error == "CERT_EXTENSION"
    below_ask = sample.but(chain=pem(amd.milan.ask, amd.milan.ark))
    assert below_ask.verify(permits).error == "CHAIN_UNAVAILABLE"
    by_ask = draft.but(signer=amd.milan.ask_key, issuer=name("SEV-Milan"))
    assert below_ask.but(vek=by_ask.der()).verify(permits).error == "CERT_PROFILE"


ACCEPTED: dict[str, Callable[[Draft], bytes]] = {
    "serial 0": lambda d: d.der(),
    "valid from this second": lambda d: d.but(not_before=NOW).der(),
    "valid until this second": lambda d: d.but(not_after=NOW).der(),
    "serial 5": lambda d: d.but(serial=integer(5)).der(),
    "DER around the chip": lambda d: d.instead(f"{AMD}.4", tlv(4, CHIP)).der(),
    "no trailer field": lambda d: d.but(algorithm=pss(trailer=False)).der(),
    "no NULL": lambda d: d.but(algorithm=pss(null=False)).der(),
    "PEM": lambda d: pem(d.der()),
    "unknown extension": lambda d: d.but(
        extensions=(*d.extensions, extension("1.2.3.4", b"?"))
    ).der(),
}


@pytest.mark.parametrize("form", ACCEPTED)
def test_accepted_forms(amd: Amd, good: Sample, form: str) -> None:
    assert good.but(vek=ACCEPTED[form](amd.milan.vek_draft())).verify().verdict == "PASS"


CHAIN: dict[str, tuple[Callable[[Amd], tuple[bytes, bytes]], str]] = {
    "same names, another key": (
        lambda a: (a.milan.ask_draft.but(key=spki(a.stranger)).der(), a.milan.ark),
        "CHAIN_LEAF_SIGNATURE",
    ),
    "own root of that name": (
        lambda a: (
            a.milan.ask_draft.but(signer=a.stranger).der(),
            a.milan.ark_draft.but(signer=a.stranger, key=spki(a.stranger)).der(),
        ),
        "ROOT_NOT_PINNED",
    ),
    "ASK by itself": (
        lambda a: (a.milan.ask_draft.but(signer=a.milan.ask_key).der(), a.milan.ark),
        "CHAIN_INTERMEDIATE_SIGNATURE",
    ),
    "ASK with PKCS1": (
        lambda a: (a.milan.ask_draft.but(algorithm=PKCS1, sign=sign_pkcs1).der(), a.milan.ark),
        "CERT_ALGORITHM",
    ),
    "ASK with an elliptic key": (
        lambda a: (a.milan.ask_draft.but(key=spki(a.milan.vek_key)).der(), a.milan.ark),
        "CERT_ALGORITHM",
    ),
    "ASK expired": (
        lambda a: (a.milan.ask_draft.but(not_after=NOW - 1).der(), a.milan.ark),
        "CERT_EXPIRED",
    ),
    "ASK not yet valid": (
        lambda a: (a.milan.ask_draft.but(not_before=NOW + DAY).der(), a.milan.ark),
        "CERT_NOT_YET_VALID",
    ),
    "ASK is no authority": (
        lambda a: (
            a.milan.ask_draft.but(extensions=(usage(0x04), constraints(False))).der(),
            a.milan.ark,
        ),
        "CERT_PROFILE",
    ),
    "ASK without constraints": (
        lambda a: (a.milan.ask_draft.but(extensions=(usage(0x04),)).der(), a.milan.ark),
        "CERT_PROFILE",
    ),
    "ASK of any depth": (
        lambda a: (
            a.milan.ask_draft.but(extensions=(usage(0x04), constraints())).der(),
            a.milan.ark,
        ),
        "CERT_PROFILE",
    ),
    "ASK may not sign": (
        lambda a: (
            a.milan.ask_draft.but(extensions=(usage(0x80), constraints(path=0))).der(),
            a.milan.ark,
        ),
        "CERT_PROFILE",
    ),
    "ASK's name": (
        lambda a: (a.milan.ask_draft.but(subject=name("SEV-Milano")).der(), a.milan.ark),
        "CERT_PROFILE",
    ),
    "ASK's issuer": (
        lambda a: (a.milan.ask_draft.but(issuer=name("ARK-Genoa")).der(), a.milan.ark),
        "CERT_PROFILE",
    ),
}


@pytest.mark.parametrize("came", [False, True])
@pytest.mark.parametrize("fault", CHAIN)
def test_chain(amd: Amd, good: Sample, fault: str, came: bool) -> None:
    make, error = CHAIN[fault]
    assert judged(good.but(chain=pem(*make(amd))), came) == due(error, came)


def pinned(sample: Sample, line: Line, ark: Draft, **parts: object) -> Sample:
    """A sample whose root is another, yet trusted."""
    der = ark.der()
    roots = {"Milan": Certificate.parse(der).fingerprint}
    return sample.but(chain=pem(line.ask, der), roots=roots, **parts)


ROOT: dict[str, tuple[Callable[[Draft], Draft], str]] = {
    "expired": (lambda d: d.but(not_after=NOW - 1), "CERT_EXPIRED"),
    "not yet valid": (lambda d: d.but(not_before=NOW + 1), "CERT_NOT_YET_VALID"),
    "leaf only": (lambda d: d.but(extensions=(usage(0x06), constraints(path=0))), "CERT_PROFILE"),
    "no authority": (lambda d: d.but(extensions=(usage(0x06),)), "CERT_PROFILE"),
    "version 1": (lambda d: d.but(version=b"", extensions=()), "CERT_PROFILE"),
    "duplicate": (
        lambda d: d.but(extensions=(usage(0x06), constraints(), constraints())),
        "CERT_EXTENSION",
    ),
    "signs no CRLs": (lambda d: d.but(extensions=(usage(0x04), constraints())), "CRL_SIGNATURE"),
}


@pytest.mark.parametrize("fault", ROOT)
def test_root(milan: Line, good: Sample, fault: str) -> None:
    change, error = ROOT[fault]
    assert pinned(good, milan, change(milan.ark_draft)).verify().error == error


def test_the_root_of_another_product_is_none(amd: Amd, good: Sample) -> None:
    """AMD's for that one, and trusted as such."""
    foreign = good.but(
        chain=pem(amd.milan.ask, amd.genoa.ark), roots=amd.milan.roots | amd.genoa.roots
    )
    assert judged(foreign, came=True) == ("FAIL", "ROOT_NOT_PINNED")


def test_an_expired_certificate_of_the_evidence_goes_before_one_of_the_verifier(
    amd: Amd, good: Sample
) -> None:
    """The one refuses the evidence for good; of the other there may be a newer one."""
    old = [one.but(not_after=NOW - 1).der() for one in (amd.milan.ask_draft, amd.milan.vek_draft())]
    evidence = Evidence(raw=good.report, collateral=Collateral(vek=old[1]))
    ours = good.but(vek=b"", chain=pem(old[0], amd.milan.ark))
    verdict = ours.verify(evidence=evidence)
    assert (verdict.verdict, verdict.error) == ("FAIL", "CERT_EXPIRED")


def test_an_expired_certificate_that_both_have_is_the_verifiers(amd: Amd, good: Sample) -> None:
    """So it does not refuse the evidence; nor where the evidence has another one of that name."""
    old, older = (amd.milan.ask_draft.but(not_after=NOW - ago).der() for ago in (1, 2))
    ours = good.but(chain=pem(old, amd.milan.ark))
    for theirs in (old, older):
        evidence = Evidence(raw=good.report, collateral=Collateral(chain=theirs))
        verdict = ours.verify(evidence=evidence)
        assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "CERT_EXPIRED")


def test_root_that_did_not_sign_itself(amd: Amd, good: Sample) -> None:
    sample = pinned(good, amd.milan, amd.milan.ark_draft.but(signer=amd.stranger))
    assert sample.verify().error == "CHAIN_ROOT_SIGNATURE"


def test_small_keys(amd: Amd, good: Sample, small_key: rsa.RSAPrivateKey) -> None:
    ask = amd.milan.ask_draft.but(key=spki(small_key)).der()
    vek = amd.milan.vek_draft().but(signer=small_key).der()
    sample = good.but(chain=pem(ask, amd.milan.ark), vek=vek)
    assert sample.verify().error == "CERT_ALGORITHM"


def deep(levels: int) -> bytes:
    value = b""
    for _ in range(levels):
        value = tlv(0x30, value)
    return value


UNREADABLE: dict[str, Callable[[bytes], bytes]] = {
    "empty PEM": lambda _der: b" ",
    "truncated": lambda der: der[:-1],
    "half": lambda der: der[: len(der) // 2],
    "trailing": lambda der: der + b"\0",
    "other PEM": lambda der: pem(der, kind="PRIVATE KEY"),
    "bad base64": lambda der: pem(der).replace(b"=", b"").replace(b"A", b"", 1),
    "1 MB of spaces": lambda der: pem(der) + b" " * (1 << 20),
    "17 certificates": lambda der: pem(*(der + bytes((at,)) for at in range(17))),
    "1 MB": lambda der: der + bytes(1 << 20),
    "1 MB in DER": lambda _der: tlv(0x30, bytes(1 << 20)),
    "20 KB": lambda _der: tlv(0x30, bytes(20 << 10)),
    "deep": lambda _der: deep(4000),
    "indefinite": lambda der: b"\x30\x80" + der[4:] + b"\0\0",
    "long length": lambda der: b"\x30\x83\0" + der[2:],
    "HTML": lambda _der: b"<!DOCTYPE html><html>Too many requests</html>",
    "empty": lambda _der: b"\x30\0",
    "long tag": lambda der: b"\x3f\x81" + der[2:],
}


@pytest.mark.parametrize("came", [False, True])
@pytest.mark.parametrize("fault", UNREADABLE)
def test_unreadable(good: Sample, fault: str, came: bool) -> None:
    faulty = UNREADABLE[fault](good.vek)
    assert judged(good.but(vek=faulty), came) == due("CERT_PARSE", came)
    assert judged(good.but(chain=faulty), came) == due("CERT_PARSE", came)


def test_missing_certificates_are_inconclusive(amd: Amd, good: Sample) -> None:
    for version in (2, 3):
        verdict = amd.milan.sample(version).but(vek=b"").verify()
        assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "VCEK_UNAVAILABLE")
        hint = next(one.hint for one in verdict.checks if one.error)
        assert f"vcek/v1/Milan/{CHIP.hex()}?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219" in hint
    nothing = good.but(vek=b"", chain=b"", crl=b"").verify()
    assert (nothing.verdict, nothing.errors) == ("INCONCLUSIVE", ("VCEK_UNAVAILABLE",))
    verdict = good.but(chain=b"").verify()
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "CHAIN_UNAVAILABLE")
    assert "--chain" in next(one.hint for one in verdict.checks if one.error)
    turin = amd.turin.sample().but(vek=b"").verify()
    hint = next(one.hint for one in turin.checks if one.error)
    assert re.search(
        r"Turin/[0-9a-f]{16}\?fmcSPL=01&blSPL=01&teeSPL=01&snpSPL=04&ucodeSPL=81", hint
    )


@pytest.mark.parametrize("part", ["vek", "ask", "ark"])
def test_flipped_bits_of_certificates(milan: Line, good: Sample, part: str) -> None:
    der = {"vek": good.vek, "ask": milan.ask, "ark": milan.ark}[part]
    for at in range(0, len(der), 41):
        flipped = bytearray(der)
        flipped[at] ^= 1 << at % 8
        if part == "vek":
            sample = good.but(vek=bytes(flipped))
        elif part == "ask":
            sample = good.but(chain=pem(bytes(flipped), milan.ark))
        else:
            sample = good.but(chain=pem(milan.ask, bytes(flipped)))
        # Bits of a name or a length make it another certificate, or none: then one is missing.
        for came in (False, True):
            verdict, error = judged(sample, came)
            assert verdict != "PASS", at
            assert re.match(
                "CERT_|CHAIN_|ROOT_|PRODUCT_|SIGNER_KIND|SIGNATURE_|REPORT_|VCEK_", error
            ), at


def test_the_error_of_a_reader_names_what_and_where(milan: Line) -> None:
    with pytest.raises(EvidenceError, match="VEK: a length that goes beyond the end at byte 4"):
        read_material(pem(milan.ask[:200]), "VEK")
    assert seq(b"") == b"\x30\0"
