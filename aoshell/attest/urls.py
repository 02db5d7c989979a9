"""URLs of certificates in AMD's Key Distribution Service (KDS), and hints how to get them.

Source: AMD 57230, chapter 4. VLEK certificates are not there: the cloud provider hands them out.
"""

from __future__ import annotations

from aoshell.attest.products import GENOA, MILAN, Product
from aoshell.attest.report import VLEK, Report

HOST = "kdsintf.amd.com"
_BASE = f"https://{HOST}"
_SPL = {
    "fmc": "fmcSPL",
    "bootloader": "blSPL",
    "tee": "teeSPL",
    "snp": "snpSPL",
    "microcode": "ucodeSPL",
}


def candidate_products(report: Report) -> tuple[Product, ...]:
    """Products that a report may be from. Reports of version 2 do not say, and are from before
    Turin."""
    if report.version > 2:
        return (report.product,) if report.product else ()
    return (MILAN, GENOA)


def vcek_url(report: Report, product: Product) -> str:
    """The URL of the certificate for the chip and the reported TCB."""
    parts = report.tcb["reported"].parts
    query = "&".join(f"{_SPL[name]}={parts[name]:02}" for name in _SPL if name in parts)
    return f"{_BASE}/vcek/v1/{product.name}/{report.chip_id[: product.chip_id].hex()}?{query}"


def chain_url(product: Product, vlek: bool) -> str:
    """The URL of ASK (or ASVK) and ARK, in PEM."""
    return f"{_BASE}/{_kind(vlek)}/v1/{product.name}/cert_chain"


def crl_url(product: Product, vlek: bool) -> str:
    """The URL of the CRL, in DER."""
    return f"{_BASE}/{_kind(vlek)}/v1/{product.name}/crl"


def _kind(vlek: bool) -> str:
    return "vlek" if vlek else "vcek"


def vek_hint(report: Report) -> str:
    """How to get the certificate of the key that signed a report."""
    if report.signing_key == VLEK:
        return "get it from the cloud provider and give it with --vek FILE"
    if not any(report.chip_id):
        return "the host hides its chip: get it from the host and give it with --vek FILE"
    found = candidate_products(report)
    urls = " or ".join(vcek_url(report, product) for product in found)
    return f"attest without --offline, or fetch {urls} and give it with --vek FILE"


def chain_hint(product: Product, vlek: bool) -> str:
    """How to get the chain."""
    url = chain_url(product, vlek)
    return f"attest without --offline, or fetch {url} and give it with --chain FILE"


def crl_hint(product: Product, vlek: bool) -> str:
    """How to get the CRL."""
    url = crl_url(product, vlek)
    return f"attest without --offline, or fetch {url} and give it with --crl FILE"
