"""Parses lists of revoked certificates (RFC 5280 section 5).

AMD has one for each product, signed by its ARK. It can revoke what the ARK issued, ASK and ASVK. It
cannot revoke single chips, since all their certificates have the serial number 0. Old chip
certificates are refused by their TCB instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.x509 import der
from aoshell.attest.x509.certificates import Extension, Name, SignedDer, read_extensions, read_name

LARGEST = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Revoked:
    """An entry: a serial number, with whatever date and extensions. `rest` has these, in DER."""

    serial: int
    rest: bytes


@dataclass(frozen=True, slots=True)
class Crl:
    """The fields of a CRL, not checked.

    Attributes:
        algorithm: AlgorithmIdentifier in the signed part, in DER.
        this_update, next_update: seconds since the Unix epoch; next_update is None if absent.
        revoked: the entries, in order.
    """

    signed: SignedDer
    algorithm: bytes
    issuer: Name
    this_update: int
    next_update: int | None
    revoked: tuple[Revoked, ...]
    extensions: tuple[Extension, ...]

    @property
    def serials(self) -> frozenset[int]:
        """Serial numbers of revoked certificates."""
        return frozenset(one.serial for one in self.revoked)

    @classmethod
    def parse(cls, octets: bytes, *, written_defaults: bool = False) -> Crl:
        """Parses DER; `written_defaults` is as for `DerReader`.

        Raises:
            EvidenceError: CRL_SIGNATURE: it cannot be read, so no signature of it can be verified.
        """
        if len(octets) > LARGEST:
            what = f"the CRL has {len(octets)} bytes, more than {LARGEST}"
            raise EvidenceError("CRL_SIGNATURE", what)
        try:
            return cls._parse(octets, written_defaults)
        except EvidenceError as error:
            raise EvidenceError("CRL_SIGNATURE", error.what) from None

    @classmethod
    def _parse(cls, octets: bytes, written_defaults: bool) -> Crl:
        signed = SignedDer.parse(octets, "CRL")
        whole = der.DerReader(signed.content, "CRL", written_defaults=written_defaults)
        reader = whole.inside(der.SEQUENCE)
        if reader.peek() == der.INTEGER and reader.integer() != 1:
            raise reader.refuse("a version other than 2")
        algorithm = reader.element(der.SEQUENCE)[0]
        issuer = read_name(reader)
        this_update = reader.time()
        next_update = reader.time() if reader.peek() in (der.UTC_TIME, der.TIME) else None
        revoked = []
        if reader.peek() == der.SEQUENCE:
            for entry in reader.inside(der.SEQUENCE).each(der.SEQUENCE):
                revoked.append(Revoked(entry.integer(), entry.rest()))
        extensions = read_extensions(reader.inside(0xA0)) if reader else ()
        reader.end()
        return cls(signed, algorithm, issuer, this_update, next_update, tuple(revoked), extensions)
