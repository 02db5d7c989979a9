"""Certificates in the forms that the field's tools write, in any order and company."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from amd import Amd, Line, Sample
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from der_writer import DAY, NOW, integer, name, oid, pem, seq, spki, tlv
from hypothesis import given
from hypothesis import strategies as st
from test_attest_tables import ARK, ASK, VCEK, table

from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral
from aoshell.attest.forms import describe_file
from aoshell.attest.x509 import material, path
from aoshell.attest.x509.material import MOST, bundle_as_pem, read_der_values, read_material


def pkcs7(*certificates: bytes, crls: tuple[bytes, ...] = ()) -> bytes:
    """SignedData that signs nothing, as `openssl crl2pkcs7` writes it."""
    inner = seq(
        integer(1),
        tlv(0x31),
        seq(oid("1.2.840.113549.1.7.1")),
        tlv(0xA0, *certificates),
        tlv(0xA1, *crls) if crls else b"",
        tlv(0x31),
    )
    return seq(oid("1.2.840.113549.1.7.2"), tlv(0xA0, inner))


def texts(*certificates: bytes) -> bytes:
    """PEM as `openssl x509 -text` writes it."""
    about = b"Certificate:\n    Data:\n        Version: 3 (0x2)\n        Serial Number: 0 (0x0)\n"
    return b"".join(about + pem(one) for one in certificates)


def thim(*certificates: bytes) -> bytes:
    leaf, *above = certificates
    members = {"vcekCert": pem(leaf).decode(), "tcbm": "DB18000000000004"}
    members |= {"certificateChain": pem(*above).decode(), "cacheControl": "86400"}
    return json.dumps(members).encode()


FORMS: dict[str, Callable[..., bytes]] = {
    "PEM": pem,
    "DER": lambda *certificates: b"".join(certificates),
    "text around": texts,
    "comments": lambda *c: b"# mine\n\n" + pem(*c) + b"\nthe end, -----END\n",
    "X509 CERTIFICATE": lambda *c: pem(*c, kind="X509 CERTIFICATE"),
    "CRLF": lambda *c: pem(*c).replace(b"\n", b"\r\n"),
    "no line ends": lambda *c: b"\n".join(
        b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----" % base64.b64encode(one)
        for one in c
    ),
    "byte order mark": lambda *c: b"\xef\xbb\xbf" + pem(*c),
    "UTF-16": lambda *c: pem(*c).decode().encode("utf-16"),
    "UTF-16 of the other kind": lambda *c: b"\xfe\xff" + pem(*c).decode().encode("utf-16-be"),
    "base64 of DER": lambda *c: base64.encodebytes(b"".join(c)),
    "PKCS#7": pkcs7,
    "PKCS#7 in PEM": lambda *c: pem(pkcs7(*c), kind="PKCS7"),
    "Azure's THIM": thim,
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_in_each_order(milan: Line, good: Sample, form: str) -> None:
    write, one = FORMS[form], good.vek
    for chain in (
        (milan.ask, milan.ark),
        (milan.ark, milan.ask),
        (milan.ark, milan.ark, milan.ask),
    ):
        for came in (False, True):
            assert good.but(chain=write(*chain)).verify(came=came).verdict == "PASS"
            everything = good.but(vek=write(one, *chain), chain=b"")
            assert everything.verify(came=came).verdict == "PASS"
    assert good.but(vek=write(milan.ark, one), chain=write(milan.ask)).verify().verdict == "PASS"
    swapped = good.but(vek=write(milan.ask, milan.ark), chain=write(one, milan.ask))
    assert swapped.verify().verdict == "PASS"


def test_the_table_that_a_host_hands_out(milan: Line, good: Sample) -> None:
    blob = table((VCEK, good.vek), (ASK, pem(milan.ask)), (ARK, milan.ark))
    for data in (blob, blob + bytes(4096)):
        assert good.but(vek=data, chain=b"").verify().verdict == "PASS"


def test_a_crl_in_any_company(milan: Line, good: Sample) -> None:
    everything = pkcs7(good.vek, milan.ask, milan.ark, crls=(good.crl,))
    for data in (everything, pem(everything, kind="PKCS7"), bundle_as_pem([everything])):
        assert good.but(vek=data, chain=b"", crl=b"").verify().verdict == "PASS"
    for crl in (texts(milan.ark) + pem(good.crl, kind="X509 CRL"), milan.ark + good.crl):
        assert good.but(crl=crl).verify().verdict == "PASS"


# --- what is not needed


@pytest.fixture(scope="module")
def strangers(amd: Amd) -> tuple[bytes, ...]:
    """Certificates that have nothing to do with the report, and one that nobody can read."""
    line = amd.milan
    other = name("Some CA", "Else")
    root = line.ark_draft.but(subject=other, issuer=other, key=spki(amd.stranger))
    server = root.but(subject=name("www.example.com"), issuer=other)
    unreadable = seq(seq(integer(1), seq()), seq(), tlv(3, b"\0"))
    drafts = (root.but(signer=amd.stranger), server.but(signer=amd.stranger))
    genoa = (amd.genoa.ask, amd.genoa.ark, amd.genoa.asvk, amd.turin.vek_draft().der())
    return (*(draft.der() for draft in drafts), unreadable, line.asvk, *genoa)


def test_strangers_do_no_harm(milan: Line, good: Sample, strangers: tuple[bytes, ...]) -> None:
    for came in (False, True):
        chain = pem(*strangers, milan.ark, milan.ask)
        assert good.but(chain=chain).verify(came=came).verdict == "PASS"
        vek = pem(*strangers, milan.ark, good.vek, milan.ask)
        assert good.but(vek=vek, chain=b"").verify(came=came).verdict == "PASS"


def test_namesakes_do_no_harm(amd: Amd, good: Sample) -> None:
    """Others with the names of AMD's: the one whose signatures fit is taken, wherever it stands."""
    line = amd.milan
    forged_ask = line.ask_draft.but(signer=amd.stranger, key=spki(amd.stranger)).der()
    forged_ark = line.ark_draft.but(signer=amd.stranger, key=spki(amd.stranger)).der()
    forged_vek = Line("Milan", line.ark_key, amd.stranger, line.asvk_key).vek_draft().der()
    old_ask = line.ask_draft.but(not_after=NOW - DAY, serial=integer(0x9999)).der()
    chain = (forged_ark, forged_ask, old_ask, line.ask, line.ark)
    veks = (forged_vek, good.vek)
    for certificates in (chain, chain[::-1]):
        assert good.but(chain=pem(*certificates)).verify().verdict == "PASS"
        for leaves in (veks, veks[::-1]):
            everything = pem(*leaves, *certificates)
            assert good.but(vek=everything, chain=b"").verify().verdict == "PASS"
    for chain, error in (
        ((forged_ask, line.ark), "CHAIN_INTERMEDIATE_SIGNATURE"),
        ((line.ask, forged_ark), "ROOT_NOT_PINNED"),
    ):
        verdict = good.but(chain=pem(*chain)).verify()
        assert (verdict.verdict, verdict.error) == ("FAIL", error)
    assert good.but(vek=forged_vek).verify().verdict == "FAIL"


def test_the_certificate_is_taken_whose_key_signed_the_report(amd: Amd, good: Sample) -> None:
    line = amd.milan
    others = [Line("Milan", line.ark_key, line.ask_key, line.asvk_key) for _ in range(3)]
    others_veks = [one.vek_draft().der() for one in others] + [line.vek_draft(vlek=True).der()]
    assert good.but(vek=pem(*others_veks, good.vek)).verify().verdict == "PASS"
    assert good.but(vek=pem(*others_veks)).verify().verdict == "FAIL"


def test_what_is_missing_with_the_verifier_is_taken_from_the_evidence(
    milan: Line, good: Sample
) -> None:
    from aoshell.attest.evidence import Evidence

    came = Collateral(vek=pem(milan.ark, good.vek), chain=b"", crl=good.crl)
    evidence = Evidence(raw=good.report, collateral=came)
    assert good.but(vek=b"", chain=pem(milan.ask), crl=b"").verify(evidence=evidence).error == ""


# --- what is due and missing

# Certificates of AMD's which are not those that are due, and what is said where the verifier has
# them; and where they came with the evidence.
OTHERS: dict[str, tuple[Callable[[Amd], tuple[bytes, ...]], str, str]] = {
    "ASVK for ASK": (
        lambda a: (a.milan.asvk, a.milan.ark),
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
    ),
    "Genoa's ARK": (
        lambda a: (a.milan.ask, a.genoa.ark),
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
        "FAIL ROOT_NOT_PINNED",
    ),
    "Genoa's ASK": (
        lambda a: (a.genoa.ask, a.milan.ark),
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
    ),
    "Genoa's": (
        lambda a: (a.genoa.ask, a.genoa.ark),
        "INCONCLUSIVE ROOT_NOT_PINNED",
        "FAIL ROOT_NOT_PINNED",
    ),
    "the root alone": (
        lambda a: (a.milan.ark, a.milan.ark),
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
    ),
    "ASK alone": (
        lambda a: (a.milan.ask,),
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
        "INCONCLUSIVE CHAIN_UNAVAILABLE",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_chain_of_other_certificates(amd: Amd, good: Sample, kind: str) -> None:
    make, ours, theirs = OTHERS[kind]
    sample = good.but(chain=pem(*make(amd)))
    verdicts = [sample.verify(came=came) for came in (False, True)]
    assert [f"{one.verdict} {one.error}" for one in verdicts] == [ours, theirs]


# --- bounds


def test_bounds(milan: Line, good: Sample) -> None:
    many = [milan.ask_draft.but(serial=integer(at + 1)).der() for at in range(2)]
    filler = [seq(integer(at), tlv(4, bytes(200))) for at in range(MOST - 3)]
    assert good.but(chain=pem(milan.ark, *filler, *many)).verify().verdict == "PASS"
    with pytest.raises(EvidenceError, match=f"more than {MOST} certificates and CRLs"):
        read_material(pem(milan.ark, *filler, *many, good.vek), "it")
    with pytest.raises(EvidenceError, match=f"more than {material.LARGEST} bytes"):
        read_material(pem(milan.ark).ljust(material.LARGEST + 1), "it")
    assert read_material(pem(milan.ark).ljust(material.LARGEST), "it").certificates


def test_trying_is_bounded(amd: Amd, good: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst that two full files can ask for: each pair is tried a few times at most."""
    line, tried = amd.milan, 0
    real = path.check_signature

    def counted(*arguments: object) -> None:
        nonlocal tried
        tried += 1
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(path, "check_signature", counted)
    asks = [line.ask_draft.but(serial=integer(at + 1)).der() for at in range(MOST)]
    veks = [line.vek_draft().but(serial=integer(at + 1)).der() for at in range(MOST)]
    verdict = good.but(vek=pem(*veks), chain=pem(*asks[1:], line.ark)).verify()
    assert verdict.verdict == "PASS"
    assert tried <= 4 * MOST


@given(st.binary(max_size=300), st.sampled_from(sorted(FORMS)), st.integers(0, 5000))
def test_anything(good: Sample, data: bytes, form: str, at: int) -> None:
    whole = FORMS[form](good.vek, good.vek)
    for tried in (data, b"-----BEGIN CERTIFICATE-----\n" + data, whole[:at] + data + whole[at:]):
        try:
            assert read_der_values(tried, "it")
            read_material(tried, "it")
        except EvidenceError as error:
            assert error.error == "CERT_PARSE"
        assert describe_file(tried)


# --- what openssl itself writes


def openssl(folder: Path, *words: str) -> bytes:
    made = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, timeout=60)
    assert made.returncode == 0, made.stderr.decode(errors="replace")
    return made.stdout


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl here")
def test_what_openssl_writes(milan: Line, good: Sample, tmp_path: Path) -> None:
    (tmp_path / "vek").write_bytes(pem(good.vek))
    (tmp_path / "chain").write_bytes(pem(milan.ark, milan.ask))
    vek = openssl(tmp_path, "x509", "-in", "vek", "-text")
    assert vek.startswith(b"Certificate:")
    files = ("crl2pkcs7", "-nocrl", "-certfile", "chain", "-outform")
    for chain in (openssl(tmp_path, *files, form) for form in ("PEM", "DER")):
        assert good.but(vek=vek, chain=chain).verify().verdict == "PASS"


# --- names for what is none


def private_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


NAMES: dict[str, Callable[[Sample], bytes]] = {
    "empty": lambda _: b" \n",
    "an HTML page": lambda _: b"\n<!doctype html><html>busy</html>",
    "XML": lambda _: b"<?xml version='1.0'?><Error/>",
    "text: '404 - Not Found'": lambda _: b"404 - Not Found\n",
    "JSON without a certificate": lambda _: b'{"error": "not found"}',
    "PEM (PRIVATE KEY)": lambda _: private_key(),
    "PEM (CERTIFICATE) without its end": lambda good: pem(good.vek)[:900],
    "cut off": lambda good: good.vek[:900],
    "a report": lambda good: good.report,
    "AMD's older SEV format": lambda _: (
        b"\1\0\0\0".ljust(0x38, b"\0") + b"\0\x10\0\0" * 2 + bytes(1536)
    ),
    "a gzip archive": lambda _: b"\x1f\x8b\x08\0" + bytes(40),
    "an Erlang term": lambda _: b"#{\n<<'a'>> => 1}",
    "4 bytes of no known form": lambda _: b"\0\1\2\3",
    "103 bytes of no known form": lambda _: b"abc" + b"\xff" * 100,
    "text: 'abc é": lambda _: "abc é".encode() + "é".encode()[:1],
}


@pytest.mark.parametrize("told", NAMES)
def test_what_is_no_certificate_is_named(good: Sample, told: str) -> None:
    with pytest.raises(EvidenceError) as raised:
        read_material(NAMES[told](good), "FILE")
    assert raised.value.error == "CERT_PARSE"
    assert raised.value.what.startswith("FILE ") and told in raised.value.what
