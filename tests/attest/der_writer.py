"""Certificates byte by byte, so that each rule of their profile can be broken alone."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

NOW = 1_772_323_200  # 2026-03-01
DAY = 86400


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def seq(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def integer(number: int) -> bytes:
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray((first * 40 + second,))
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        octets += bytes(reversed(groups))
    return tlv(6, bytes(octets))


def bits(octets: bytes) -> bytes:
    return tlv(3, b"\0", octets)


def ia5(text: str) -> bytes:
    return tlv(0x16, text.encode())


def utc(at: int) -> bytes:
    return tlv(0x17, time.strftime("%y%m%d%H%M%SZ", time.gmtime(at)).encode())


def name(common: str, organization: str = "Advanced Micro Devices") -> bytes:
    parts = {
        "2.5.4.11": "Engineering",
        "2.5.4.6": "US",
        "2.5.4.7": "Santa Clara",
        "2.5.4.8": "CA",
        "2.5.4.10": organization,
        "2.5.4.3": common,
    }
    return seq(
        *(
            tlv(0x31, seq(oid(key), tlv(0x13 if key == "2.5.4.6" else 0x0C, value.encode())))
            for key, value in parts.items()
        )
    )


_SHA384, _SHA256 = "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.1"


def pss(hashed: str = _SHA384, salt: int = 48, null: bool = True, trailer: bool = True) -> bytes:
    """AlgorithmIdentifier of RSA-PSS."""
    digest = seq(oid(hashed), b"\x05\0" if null else b"")
    return seq(
        oid("1.2.840.113549.1.1.10"),
        seq(
            tlv(0xA0, digest),
            tlv(0xA1, seq(oid("1.2.840.113549.1.1.8"), digest)),
            tlv(0xA2, integer(salt)),
            tlv(0xA3, integer(1)) if trailer else b"",
        ),
    )


PKCS1 = seq(oid("1.2.840.113549.1.1.12"), b"\x05\0")


def sign_pss(key: Any, content: bytes, salt: int = 48, algorithm: Any = None) -> bytes:
    algorithm = algorithm or hashes.SHA384()
    return key.sign(content, padding.PSS(padding.MGF1(algorithm), salt), algorithm)


def sign_pkcs1(key: Any, content: bytes) -> bytes:
    return key.sign(content, padding.PKCS1v15(), hashes.SHA384())


def spki(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def extension(dotted: str, value: bytes, critical: bool = False) -> bytes:
    return seq(oid(dotted), tlv(1, b"\xff") if critical else b"", tlv(4, value))


def constraints(ca: bool = True, path: int | None = None) -> bytes:
    inside = (tlv(1, b"\xff") if ca else b"") + (integer(path) if path is not None else b"")
    return extension("2.5.29.19", seq(inside), critical=True)


def usage(octet: int) -> bytes:
    unused = (octet & -octet).bit_length() - 1 if octet else 0
    return extension("2.5.29.15", tlv(3, bytes((unused, octet))), critical=True)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A certificate before it is signed; each part can be replaced."""

    subject: bytes
    issuer: bytes
    key: bytes
    extensions: tuple[bytes, ...]
    signer: Any
    version: bytes = tlv(0xA0, integer(2))
    serial: bytes = integer(0)
    not_before: int = NOW - 100 * DAY
    not_after: int = NOW + 100 * DAY
    algorithm: bytes = pss()
    outer_algorithm: bytes | None = None
    sign: Callable[[Any, bytes], bytes] = sign_pss

    def but(self, **parts: Any) -> Draft:
        return replace(self, **parts)

    def without(self, dotted: str) -> Draft:
        return self.but(extensions=tuple(one for one in self.extensions if oid(dotted) not in one))

    def instead(self, dotted: str, value: bytes) -> Draft:
        changed = extension(dotted, value)
        kept = (changed if oid(dotted) in one else one for one in self.extensions)
        return self.but(extensions=tuple(kept))

    def der(self) -> bytes:
        content = seq(
            self.version,
            self.serial,
            self.algorithm,
            self.issuer,
            seq(utc(self.not_before), utc(self.not_after)),
            self.subject,
            self.key,
            tlv(0xA3, seq(*self.extensions)) if self.extensions else b"",
        )
        outer = self.outer_algorithm or self.algorithm
        return seq(content, outer, bits(self.sign(self.signer, content)))


@dataclass(frozen=True, kw_only=True)
class CrlDraft:
    """A list of revoked certificates before it is signed. Each part is DER; times are seconds."""

    algorithm: bytes
    issuer: bytes
    this_update: int
    next_update: int | None
    entries: tuple[bytes, ...] = ()
    extensions: tuple[bytes, ...] = ()
    version: int = 1

    def der(self, sign: Callable[[bytes], bytes]) -> bytes:
        content = seq(
            integer(self.version),
            self.algorithm,
            self.issuer,
            utc(self.this_update),
            utc(self.next_update) if self.next_update is not None else b"",
            seq(*self.entries) if self.entries else b"",
            tlv(0xA0, seq(*self.extensions)) if self.extensions else b"",
        )
        return seq(content, self.algorithm, bits(sign(content)))


def pem(*certificates: bytes, kind: str = "CERTIFICATE") -> bytes:
    blocks = []
    for der in certificates:
        lines = base64.encodebytes(der).decode().replace("\n", "")
        body = "\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
        blocks.append(f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
    return "".join(blocks).encode()
