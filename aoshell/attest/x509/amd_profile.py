"""What AMD's certificates must contain: names, uses, and the extensions of a chip's certificate.

Source: AMD 57230, chapters 3 and 4. The extensions of a VEK are below 1.3.6.1.4.1.3704.1:

    .1 version  .2 product  .3.1 boot loader  .3.2 TEE  .3.3 SNP  .3.4….3.7 reserved
    .3.8 microcode  .3.9 FMC (Turin, without .3.4)  .4 chip (VCEK)  .5 provider (VLEK)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.attest.errors import EvidenceError
from aoshell.attest.products import PRODUCTS, TURIN, Product
from aoshell.attest.x509 import der
from aoshell.attest.x509.certificates import Certificate, amd_name
from aoshell.attest.x509.extensions import (
    CONSTRAINTS,
    SIGN_CERTIFICATES,
    SIGN_CRLS,
    USAGE,
    read_constraints,
    read_usage,
)

VCEK_NAME, VLEK_NAME = "SEV-VCEK", "SEV-VLEK"

_KNOWN_CRITICAL = (CONSTRAINTS, USAGE)

_AMD = "1.3.6.1.4.1.3704.1"
_STRUCT, _PRODUCT, _CHIP, _PROVIDER = (f"{_AMD}.{number}" for number in (1, 2, 4, 5))
_SPL = {"bootloader": 1, "tee": 2, "snp": 3, "microcode": 8}


def issuer_of(product: Product, vlek: bool) -> str:
    """The common name of the intermediate that signs a product's VEKs."""
    return f"SEV-VLEK-{product.name}" if vlek else f"SEV-{product.name}"


def root_of(product: Product) -> str:
    """The common name of a product's ARK."""
    return f"ARK-{product.name}"


def product_of(issuer: str) -> Product | None:
    """The product in the common name of a VEK's issuer; None if it names no known one."""
    found = re.fullmatch(r"SEV-(?:VLEK-)?(\w+)", issuer)
    return PRODUCTS.get(found[1]) if found else None


def check_authority(certificate: Certificate, name: str, issuer: str, *, last: bool) -> None:
    """Checks that a certificate is one of AMD's authorities (RFC 5280 sections 4.2.1.3 and
    4.2.1.9).

    Args:
        name, issuer: common names of its subject and its issuer.
        last: whether it may sign no further authority.

    Raises:
        EvidenceError: CERT_PROFILE or CERT_EXTENSION.
    """
    _check_names(certificate, name, issuer)
    constraints = certificate.extension(CONSTRAINTS)
    if constraints is None or not constraints.critical:
        raise _unfit(name, "it is not marked as an authority")
    authority, path = read_constraints(constraints.value)
    if not authority or (path == 0) != last:
        raise _unfit(name, "it may not sign the certificate below it")
    usage = certificate.extension(USAGE)
    if usage is None or not read_usage(usage.value) & SIGN_CERTIFICATES:
        raise _unfit(name, "its key may not sign certificates")


def check_leaf(certificate: Certificate, name: str, issuer: str) -> None:
    """Checks that a certificate is a VEK's by its names, and not an authority.

    Raises:
        EvidenceError: CERT_PROFILE or CERT_EXTENSION.
    """
    _check_names(certificate, name, issuer)
    constraints, usage = certificate.extension(CONSTRAINTS), certificate.extension(USAGE)
    if constraints and read_constraints(constraints.value)[0]:
        raise _unfit(name, "it is an authority")
    if usage and read_usage(usage.value) & (SIGN_CERTIFICATES | SIGN_CRLS):
        raise _unfit(name, "its key may sign certificates")


def may_sign_crls(certificate: Certificate) -> bool:
    """Whether its key usage includes CRLs (RFC 5280 section 4.2.1.3, cRLSign)."""
    usage = certificate.extension(USAGE)
    return usage is not None and bool(read_usage(usage.value) & SIGN_CRLS)


def _check_names(certificate: Certificate, name: str, issuer: str) -> None:
    if certificate.version != 3:
        raise _unfit(name, f"it has version {certificate.version}")
    if certificate.subject != amd_name(name):
        raise _unfit(name, f"its subject is {certificate.common_name!r}, or not of AMD")
    if certificate.issuer != amd_name(issuer):
        raise _unfit(name, f"its issuer is not {issuer}")
    # RFC 5280 section 4.2: a certificate with an unknown critical extension must be rejected.
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise _unfit(name, f"its critical extension {extension.oid} is unknown")


def _unfit(name: str, why: str) -> EvidenceError:
    return EvidenceError("CERT_PROFILE", f"the certificate is not {name} as AMD makes it: {why}")


@dataclass(frozen=True, slots=True)
class Vek:
    """The extensions of a VEK.

    Attributes:
        product: name, possibly with a stepping ("Milan-B0").
        tcb: by component.
        chip: its id, as long as the product's chips have it; None for a VLEK.
        provider: of a VLEK, "" for a VCEK.
    """

    product: str
    tcb: Mapping[str, int]
    chip: bytes | None
    provider: str


def read_vek(certificate: Certificate, product: Product, vlek: bool) -> Vek:
    """The extensions of a VEK. All must be there, each once and well formed.

    Raises:
        EvidenceError: CERT_EXTENSION.
    """
    numbers = dict(_SPL)
    if product is TURIN:
        numbers["fmc"] = 9
    reserved = (5, 6, 7) if product is TURIN else (4, 5, 6, 7)
    wanted = {f"{_AMD}.3.{number}" for number in (*numbers.values(), *reserved)}
    wanted |= {_STRUCT, _PRODUCT, _PROVIDER if vlek else _CHIP}
    for extension in certificate.extensions:
        certificate.extension(extension.oid)  # raises if it occurs twice
        if extension.oid.startswith(f"{_AMD}.") and extension.oid not in wanted:
            raise _bad(
                extension.oid, f"does not belong into a {product.name} certificate of this kind"
            )
    values: dict[str, bytes] = {}
    for oid in sorted(wanted):
        found = certificate.extension(oid)
        if found is None:
            raise _bad(oid, "is missing")
        values[oid] = found.value
    struct = _integer(_STRUCT, values)
    if struct != product.struct:
        raise _bad(_STRUCT, f"is {struct}; for {product.name} it is {product.struct}")
    for number in reserved:
        if _integer(f"{_AMD}.3.{number}", values):
            raise _bad(f"{_AMD}.3.{number}", "is reserved, but not 0")
    return Vek(
        _string(_PRODUCT, values),
        {name: _integer(f"{_AMD}.3.{number}", values) for name, number in numbers.items()},
        None if vlek else _chip(values[_CHIP], product.chip_id),
        _string(_PROVIDER, values) if vlek else "",
    )


def product_name(certificate: Certificate) -> str:
    """The product in a VEK's extension, "" if there is none that can be read."""
    try:
        found = certificate.extension(_PRODUCT)
        return _string(_PRODUCT, {_PRODUCT: found.value}) if found else ""
    except EvidenceError:
        return ""


def _integer(oid: str, values: Mapping[str, bytes]) -> int:
    reader = der.DerReader(values[oid], oid)
    try:
        number = reader.integer()
        reader.end()
    except EvidenceError as error:
        raise _bad(oid, f"is malformed ({error.what})") from None
    if number > 0xFF:
        raise _bad(oid, "is more than 255")
    return number


def _string(oid: str, values: Mapping[str, bytes]) -> str:
    reader = der.DerReader(values[oid], oid)
    try:
        octets = reader.take(der.IA5)
        reader.end()
        return octets.decode("ascii")
    except (EvidenceError, UnicodeDecodeError):
        raise _bad(oid, "is not an IA5 string") from None


def _chip(value: bytes, size: int) -> bytes:
    """The chip's id. AMD writes it without DER around it; other tools add that."""
    if len(value) == size:
        return value
    if len(value) == size + 2 and value[:2] == bytes((der.OCTETS, size)):
        return value[2:]
    raise _bad(_CHIP, f"has {len(value)} bytes; a chip id of this product has {size}")


def _bad(oid: str, why: str) -> EvidenceError:
    return EvidenceError("CERT_EXTENSION", f"the extension {oid} {why}")
