"""The AMD products that can be verified: what differs between them, and their roots.

Sources: AMD 56860 (SEV-SNP firmware ABI) for CPUIDs and TCB layouts, AMD 57230 (VCEK certificates
and KDS) for names and extensions. The fingerprints are those of the ARK certificates in AMD's KDS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEGACY_TCB = {"bootloader": 0, "tee": 1, "snp": 6, "microcode": 7}
TURIN_TCB = {"fmc": 0, "bootloader": 1, "tee": 2, "snp": 3, "microcode": 7}


@dataclass(frozen=True, slots=True)
class Product:
    """A line of processors.

    Attributes:
        name: as in certificates and in the KDS.
        tcb: the byte of each component in TCB_VERSION (AMD 56860 section 2.2).
        struct: version of the extensions in its chips' certificates.
        chip_id: bytes of CHIP_ID that identify a chip; the rest is 0.
    """

    name: str
    tcb: Mapping[str, int]
    struct: int
    chip_id: int


MILAN = Product("Milan", LEGACY_TCB, 0, 64)
GENOA = Product("Genoa", LEGACY_TCB, 0, 64)
TURIN = Product("Turin", TURIN_TCB, 1, 8)
PRODUCTS = {product.name: product for product in (MILAN, GENOA, TURIN)}

PINNED_ROOTS: Mapping[str, str] = {
    "Milan": "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
    "Genoa": "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
    "Turin": "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
}
"""SHA-256 of each product's ARK certificate in DER."""


def product_by_cpuid(family: int, model: int) -> Product | None:
    """The product of a processor, None if it is unknown."""
    if family == 0x19 and model <= 0x0F:
        return MILAN
    if family == 0x19 and (0x10 <= model <= 0x1F or 0xA0 <= model <= 0xAF):
        return GENOA
    if family == 0x1A and model <= 0x11:
        return TURIN
    return None
