"""Reads certificates and CRLs from files of any form that common tools write.

These are PEM with any text around it, DER, several of either in a row, PKCS#7 with certificates in
it, either of those in base64, the certificate table of a host, and the answer of Azure's
certificate service (JSON with PEM in it). The order in a file does not matter, and extra
certificates are ignored: `path` finds out which certificate is which.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aoshell.attest import forms, tables
from aoshell.attest.errors import EvidenceError
from aoshell.attest.jsonreport import read_json_object
from aoshell.attest.report import SIZE, VERSIONS
from aoshell.attest.x509 import certificates, der
from aoshell.attest.x509.certificates import Certificate
from aoshell.attest.x509.crl import Crl

LARGEST = 1 << 20  # bytes of one file
MOST = 16  # certificates and CRLs in one file

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\s([A-Za-z0-9+/=\s]*)-----END \1-----")
_CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"X509 CRL")
_CONTAINERS = (b"PKCS7", b"CMS")
_SIGNED_DATA = "1.2.840.113549.1.7.2"


@dataclass(frozen=True, slots=True)
class Material:
    """The certificates and CRLs in a file, in its order, each once.

    Attributes:
        faults: errors of what could not be parsed. It may be something that is not needed.
    """

    certificates: tuple[Certificate, ...] = ()
    crls: tuple[Crl, ...] = ()
    faults: tuple[EvidenceError, ...] = ()

    @property
    def names(self) -> str:
        """Common names of all, for people."""
        named = [one.common_name or "one without a name" for one in self.certificates]
        named += [f"a CRL of {certificates.common_name(one.issuer)}" for one in self.crls]
        return ", ".join(named)


def read_material(
    data: bytes, what: str, *, most: int = MOST, written_defaults: bool = False
) -> Material:
    """The certificates and CRLs in a file.

    Args:
        what: the file, for errors.
        most: how many it may have.
        written_defaults: as for `DerReader`.

    Raises:
        EvidenceError: CERT_PARSE: none could be parsed, or there are too many.
    """
    found: list[Certificate | Crl] = []
    faults: list[EvidenceError] = []
    for octets in read_der_values(data, what, most):
        try:
            found.append(_parse(octets, what, written_defaults))
        except EvidenceError as fault:
            faults.append(fault)
    if faults and not found:
        raise faults[0]
    return Material(
        tuple(one for one in found if isinstance(one, Certificate)),
        tuple(one for one in found if isinstance(one, Crl)),
        tuple(faults),
    )


def _parse(octets: bytes, what: str, written_defaults: bool = False) -> Certificate | Crl:
    """Raises EvidenceError: CERT_PARSE, as of a certificate if it is neither."""
    try:
        return Certificate.parse(octets, what, written_defaults=written_defaults)
    except EvidenceError as fault:
        try:
            return Crl.parse(octets, written_defaults=written_defaults)
        except EvidenceError:
            raise fault from None


def read_der_values(data: bytes, what: str, most: int = MOST) -> list[bytes]:
    """The DER values in a file, each once.

    Raises:
        EvidenceError: CERT_PARSE: there are none, or too many.
    """
    if len(data) > LARGEST:
        raise _refuse(what, f"has more than {LARGEST} bytes")
    found: dict[bytes, None] = {}
    for octets in _values(forms.decode_text(data), what):
        found[octets] = None
        if len(found) > most:
            raise _refuse(what, f"has more than {most} certificates and CRLs")
    if not found:
        raise _refuse(what, "has no certificate")
    return [*found]


def _values(data: bytes, what: str) -> Iterator[bytes]:
    if forms.is_der(data):
        yield from _from_der(data, what)
    elif tables.looks_like_table(data):
        yield from _from_table(data, what)
    elif data[:1] == b"{":
        yield from _from_json(data, what)
    elif b"-----BEGIN " in data:
        yield from _from_pem(data, what)
    elif forms.is_der(octets := forms.decode_digits(data)[0]):
        yield from _from_der(octets, what)
    else:
        raise _refuse(what, f"is {_describe(data)}, neither a certificate nor a CRL")


def _from_table(data: bytes, what: str) -> Iterator[bytes]:
    """The values in a certificate table. An entry without PEM in it must be DER."""
    try:
        entries = tables.parse_table(data).values()
    except EvidenceError as error:
        raise _refuse(what, f"cannot be read: {error.what}") from None
    for entry in entries:
        blocks = [octets for _, octets in _blocks(entry)]
        yield from blocks or (entry,)


def _from_der(data: bytes, what: str) -> Iterator[bytes]:
    reader = der.DerReader(data, what)
    while reader:
        try:
            octets, content = reader.element(der.SEQUENCE)
        except EvidenceError as error:
            why = error.what.removeprefix(f"{what}: ")
            raise _refuse(what, f"is cut off, or not DER to its end: {why}") from None
        if content[:1] == bytes((der.OID,)):
            yield from _from_pkcs7(octets, what)
        else:
            yield octets


def _from_pkcs7(octets: bytes, what: str) -> Iterator[bytes]:
    """Certificates and CRLs in SignedData (RFC 5652 section 5.1). They are checked like any others,
    so the signatures of SignedData itself do not matter."""
    outer = der.DerReader(octets, what).inside(der.SEQUENCE)
    if outer.oid() != _SIGNED_DATA:
        raise _refuse(what, "is PKCS#7 of a kind without certificates")
    content = outer.inside(0xA0).inside(der.SEQUENCE)
    content.integer()
    content.element(der.SET)
    content.element(der.SEQUENCE)
    for tag in (0xA0, 0xA1):
        if content.peek() == tag:
            inner = content.inside(tag)
            while inner:
                yield inner.element(der.SEQUENCE)[0]


def _from_pem(data: bytes, what: str) -> Iterator[bytes]:
    kinds = set()
    for kind, octets in _blocks(data):
        kinds.add(kind)
        if kind in _CERTIFICATES:
            yield octets
        elif kind in _CONTAINERS:
            yield from _from_pkcs7(octets, what)
    if not kinds & {*_CERTIFICATES, *_CONTAINERS}:
        raise _refuse(
            what, f"is {forms.describe_file(data)}, without a certificate that can be read"
        )


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of all whole PEM blocks (RFC 7468), with any text around them."""
    for block in _BLOCK.finditer(data):
        try:
            octets = base64.b64decode(b"".join(block[2].split()), validate=True)
        except binascii.Error:
            continue
        yield block[1], octets


def _from_json(data: bytes, what: str) -> Iterator[bytes]:
    """PEM in the texts of an object, as Azure's certificate service (THIM) answers."""
    try:
        members = read_json_object(data)
    except EvidenceError:
        members = {}
    blocks = [
        octets
        for text in members.values()
        if isinstance(text, str)
        for kind, octets in _blocks(text.encode("utf-8", "replace"))
        if kind in _CERTIFICATES
    ]
    if not blocks:
        raise _refuse(what, "is JSON without a certificate")
    yield from blocks


def _describe(data: bytes) -> str:
    """As `forms.describe_file()`, and a report is named, which is often mistaken for a
    certificate."""
    if len(data) == SIZE and int.from_bytes(data[:4], "little") in VERSIONS:
        return "a report"
    return forms.describe_file(data)


def bundle_as_pem(contents: Iterable[bytes]) -> bytes:
    """Joins files of any form into one, as PEM. What cannot be read becomes a block that cannot be
    read, so that the reader of the bundle reports it."""
    found: list[bytes] = []
    for content in contents:
        try:
            found += read_der_values(content, "")
        except EvidenceError:
            found.append(content)
    return b"".join(map(_armoured, found))


def _armoured(octets: bytes) -> bytes:
    try:
        kind = b"CERTIFICATE" if isinstance(_parse(octets, ""), Certificate) else b"X509 CRL"
    except EvidenceError:
        kind = b"CERTIFICATE"
    body = base64.encodebytes(octets)
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (kind, body, kind)


def _refuse(what: str, why: str) -> EvidenceError:
    return EvidenceError("CERT_PARSE", f"{what} {why}")
