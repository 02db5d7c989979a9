"""AMD's list of revoked certificates: one a product, in DER, signed by its ARK (RFC 5280).

It can revoke what the ARK issued, the ASK and ASVK. It cannot revoke chips: all their certificates
have serial number 0. Old chip certificates are shut out by the TCB they name.
"""

from __future__ import annotations

from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.x509 import der
from aoshell.attest.x509.certificates import Extension, Name, SignedDer, read_extensions, read_name

LARGEST = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Crl:
    """A list of revoked certificates, taken apart and not checked.

    Attributes:
        algorithm: AlgorithmIdentifier in the signed part, in DER.
        this_update, next_update: seconds since the Unix epoch; next_update is None where absent.
        serials: of the revoked.
    """

    signed: SignedDer
    algorithm: bytes
    issuer: Name
    this_update: int
    next_update: int | None
    serials: frozenset[int]
    extensions: tuple[Extension, ...]

    @classmethod
    def parse(cls, octets: bytes) -> Crl:
        """Takes a CRL in DER apart.

        Raises:
            EvidenceError: CRL_SIGNATURE, as what cannot be read is signed by nobody.
        """
        if len(octets) > LARGEST:
            what = f"a CRL of {len(octets)} bytes, at most {LARGEST} are read"
            raise EvidenceError("CRL_SIGNATURE", what)
        try:
            return cls._parse(octets)
        except EvidenceError as error:
            raise EvidenceError("CRL_SIGNATURE", error.what) from None

    @classmethod
    def _parse(cls, octets: bytes) -> Crl:
        signed = SignedDer.parse(octets, "CRL")
        reader = der.DerReader(signed.content, "CRL").inside(der.SEQUENCE)
        if reader.peek() == der.INTEGER and reader.integer() != 1:
            raise reader.refuse("a version other than 2")
        algorithm = reader.element(der.SEQUENCE)[0]
        issuer = read_name(reader)
        this_update = reader.time()
        next_update = reader.time() if reader.peek() in (der.UTC_TIME, der.TIME) else None
        serials = set()
        if reader.peek() == der.SEQUENCE:
            for entry in reader.inside(der.SEQUENCE).each(der.SEQUENCE):
                serials.add(entry.integer())  # whatever else an entry says, it revokes
        extensions = read_extensions(reader.inside(0xA0)) if reader else ()
        reader.end()
        return cls(
            signed, algorithm, issuer, this_update, next_update, frozenset(serials), extensions
        )
