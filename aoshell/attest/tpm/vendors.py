"""Makers of TPMs, by the id that each TPM reports and that its EK certificate names.

Source: TCG Vendor ID Registry. The id has four octets, mostly the letters of a short name.
"""

from __future__ import annotations

from collections.abc import Mapping

VENDORS: Mapping[str, str] = {
    "AMD": "AMD",
    "ANT": "Ant Group",
    "ATML": "Atmel",
    "BRCM": "Broadcom",
    "CSCO": "Cisco",
    "FLYS": "Flyslice",
    "GOOG": "Google",
    "HISI": "Huawei",
    "HPE": "HPE",
    "HPI": "HPI",
    "IBM": "IBM",
    "IFX": "Infineon",
    "INTC": "Intel",
    "LEN": "Lenovo",
    "MSFT": "Microsoft",
    "NSG": "NSING",
    "NSM": "National Semiconductor",
    "NTC": "Nuvoton",
    "NTZ": "Nationz",
    "QCOM": "Qualcomm",
    "ROCC": "Rockchip",
    "SECE": "SecEdge",
    "SMSC": "SMSC",
    "SMSN": "Samsung",
    "SNS": "Sinosun",
    "STM": "STMicroelectronics",
    "TXN": "Texas Instruments",
    "WEC": "Winbond",
}
"""Names by vendor id."""


def vendor_id(manufacturer: int) -> str:
    """The vendor id of a manufacturer's number ("INTC"): its letters without padding, or the number
    in hexadecimal if they are not those of a known vendor."""
    octets = manufacturer.to_bytes(4, "big")
    letters = octets.rstrip(b" \0").decode("ascii", "replace")
    return letters if letters in VENDORS else octets.hex()
