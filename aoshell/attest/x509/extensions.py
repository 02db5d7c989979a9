"""Reads the values of the standard extensions of certificates and CRLs (RFC 5280 sections 4.2, 5.2
and 5.3). Each function raises EvidenceError (CERT_PARSE) if a value is malformed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.x509 import der
from aoshell.attest.x509.certificates import Name, read_name

CONSTRAINTS, USAGE, EXTENDED_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
ANY_PURPOSE = "2.5.29.37.0"
ALTERNATIVE_NAME, POLICIES = "2.5.29.17", "2.5.29.32"
SUBJECT_KEY, AUTHORITY_KEY = "2.5.29.14", "2.5.29.35"
CRL_POINTS, AUTHORITY_ACCESS = "2.5.29.31", "1.3.6.1.5.5.7.1.1"
CRL_SCOPE, CRL_NUMBER, CERTIFICATE_ISSUER = "2.5.29.28", "2.5.29.20", "2.5.29.29"
_ISSUER_URLS = "1.3.6.1.5.5.7.48.2"

# Bits of the first octet of key usage (RFC 5280 section 4.2.1.3).
ENCIPHER_KEYS, AGREE_KEYS, SIGN_CERTIFICATES, SIGN_CRLS = 0x20, 0x08, 0x04, 0x02

# Tags of a GeneralName (RFC 5280 section 4.2.1.6): a distinguished name, a URL.
_DIRECTORY, _URL = 0xA4, 0x86
_SHOWABLE = re.compile(r"https?://[!-~]{1,200}")


def read_constraints(value: bytes, *, written_defaults: bool = False) -> tuple[bool, int | None]:
    """(whether it is an authority, how many authorities may follow below; None for any number)."""
    reader = der.DerReader(value, "basic constraints", written_defaults=written_defaults)
    inner = reader.inside(der.SEQUENCE)
    reader.end()
    authority = inner.boolean()
    path = inner.integer() if inner else None
    inner.end()
    return authority, path


def read_usage(value: bytes) -> int:
    """The first octet of key usage."""
    reader = der.DerReader(value, "key usage")
    octets = reader.take(der.BITS)  # the number of unused bits, then the bits
    reader.end()
    return octets[1] if len(octets) > 1 else 0


def read_extended_usage(value: bytes) -> tuple[str, ...]:
    """The OIDs of extended key usage."""
    reader = der.DerReader(value, "extended key usage")
    inner = reader.inside(der.SEQUENCE)
    reader.end()
    purposes = []
    while inner:
        purposes.append(inner.oid())
    return tuple(purposes)


def read_subject_key(value: bytes) -> bytes:
    """The identifier of the subject's key."""
    reader = der.DerReader(value, "subject key identifier")
    octets = reader.take(der.OCTETS)
    reader.end()
    return octets


def read_authority_key(value: bytes) -> bytes:
    """The identifier of the issuer's key, b"" if there is none."""
    reader = der.DerReader(value, "authority key identifier")
    inner = reader.inside(der.SEQUENCE)
    reader.end()
    return inner.take(0x80) if inner.peek() == 0x80 else b""


def read_directory_names(value: bytes) -> tuple[Name, ...]:
    """The distinguished names among the GeneralNames of an extension."""
    reader = der.DerReader(value, "general names")
    inner = reader.inside(der.SEQUENCE)
    reader.end()
    return _directory_names(inner)


def _directory_names(names: der.DerReader) -> tuple[Name, ...]:
    found = []
    while names:
        tag = names.peek()
        content = names.inside(tag)
        if tag == _DIRECTORY:
            found.append(read_name(content))
            content.end()
    return tuple(found)


def read_issuer_urls(value: bytes) -> tuple[str, ...]:
    """The URLs of the issuer's certificate in authority information access."""
    reader = der.DerReader(value, "authority information access")
    inner = reader.inside(der.SEQUENCE)
    reader.end()
    found = []
    for access in inner.each(der.SEQUENCE):
        method, tag = access.oid(), access.peek()
        octets = access.take(tag)
        access.end()
        if method == _ISSUER_URLS and tag == _URL:
            found.append(_url(octets))
    return tuple(found)


def _url(octets: bytes) -> str:
    try:
        return octets.decode("ascii")
    except UnicodeDecodeError:
        raise EvidenceError("CERT_PARSE", "a URL with characters that are not ASCII") from None


@dataclass(frozen=True, slots=True)
class CrlPoint:
    """Where the CRL for a certificate is (RFC 5280 section 4.2.1.13).

    Attributes:
        names: of the CRL, each a GeneralName in DER.
        urls: those among them that are URLs.
        issuers: of the CRL, if it is not the certificate's issuer.
    """

    names: frozenset[bytes]
    urls: tuple[str, ...]
    issuers: tuple[Name, ...]


def read_crl_points(value: bytes) -> tuple[CrlPoint, ...]:
    """The distribution points in an extension. A point for some reasons only is left out."""
    reader = der.DerReader(value, "CRL distribution points")
    inner = reader.inside(der.SEQUENCE)
    reader.end()
    points = []
    for point in inner.each(der.SEQUENCE):
        names, urls = _point_name(point)
        partial = point.peek() == 0x81
        if partial:
            point.take(0x81)
        issuers = _directory_names(point.inside(0xA2)) if point.peek() == 0xA2 else ()
        point.end()
        if not partial:
            points.append(CrlPoint(names, urls, issuers))
    return tuple(points)


def _point_name(reader: der.DerReader) -> tuple[frozenset[bytes], tuple[str, ...]]:
    """Reads a DistributionPointName, if it comes next. One that is relative to the issuer's name
    counts as one name."""
    if reader.peek() != 0xA0:
        return frozenset(), ()
    outer = reader.inside(0xA0)
    if outer.peek() != 0xA0:
        return frozenset((outer.rest(),)), ()
    names, urls, elements = outer.inside(0xA0), [], set()
    while names:
        tag = names.peek()
        element, content = names.element(tag)
        elements.add(element)
        if tag == _URL:
            urls.append(_url(content))
    return frozenset(elements), tuple(urls)


@dataclass(frozen=True, slots=True)
class CrlScope:
    """Which certificates a CRL speaks of (RFC 5280 section 5.2.5, issuing distribution point).

    Attributes:
        names: of the distribution point, as in `CrlPoint`; none for all points.
        only_users, only_authorities, only_attributes: the kinds it is limited to.
        partial: whether it has some reasons for revocation only.
        indirect: whether it may have certificates of other issuers.
    """

    names: frozenset[bytes] = frozenset()
    only_users: bool = False
    only_authorities: bool = False
    only_attributes: bool = False
    partial: bool = False
    indirect: bool = False


def read_crl_scope(value: bytes) -> CrlScope:
    """The scope in a CRL's extension."""
    reader = der.DerReader(value, "issuing distribution point")
    inner = reader.inside(der.SEQUENCE)
    reader.end()
    names, _ = _point_name(inner)
    users, authorities = _flag(inner, 0x81), _flag(inner, 0x82)
    partial = inner.peek() == 0x83
    if partial:
        inner.take(0x83)
    indirect, attributes = _flag(inner, 0x84), _flag(inner, 0x85)
    inner.end()
    return CrlScope(names, users, authorities, attributes, partial, indirect)


def _flag(reader: der.DerReader, tag: int) -> bool:
    """A BOOLEAN with a tag of its own, whose default is False."""
    return reader.peek() == tag and reader.take(tag) != b"\0"


def printable(urls: Iterable[str]) -> tuple[str, ...]:
    """Those of the URLs that a hint can show: for HTTP, of moderate length, without a blank."""
    return tuple(one for one in urls if _SHOWABLE.fullmatch(one))
