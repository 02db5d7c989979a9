"""Reports in the two JSON dialects, written independently of what reads them."""

from __future__ import annotations

import json
from typing import Any

from amd import FIELDS, LAYOUTS


def number(raw: bytes, field_name: str) -> int:
    at, size = FIELDS[field_name]
    return int.from_bytes(raw[at : at + size], "little")


def octets(raw: bytes, field_name: str) -> list[int]:
    at, size = FIELDS[field_name]
    return list(raw[at : at + size])


_NUMBERS = {
    "version": "version",
    "guest_svn": "guest_svn",
    "policy": "policy",
    "vmpl": "vmpl",
    "sig_algo": "signature_algorithm",
    "plat_info": "platform",
}
_OCTETS = (
    "family_id",
    "image_id",
    "report_data",
    "measurement",
    "host_data",
    "id_key_digest",
    "author_key_digest",
    "report_id",
    "report_id_ma",
    "chip_id",
)
_TCBS = ("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb")


def version_5_members(raw: bytes) -> dict[str, Any]:
    """A report as HyperBEAM writes it."""
    members: dict[str, Any] = {key: number(raw, own) for key, own in _NUMBERS.items()}
    members |= {key: octets(raw, key) for key in _OCTETS}
    for key in _TCBS:
        tcb = octets(raw, key)
        members[key] = {
            "bootloader": tcb[0],
            "tee": tcb[1],
            "_reserved": tcb[2:6],
            "snp": tcb[6],
            "microcode": tcb[7],
        }
    members |= {
        "_author_key_en": number(raw, "key_info"),
        "_reserved_0": int.from_bytes(raw[0x4C:0x50], "little"),
        "_reserved_1": list(raw[0x188:0x1A0]),
        "_reserved_2": raw[0x1EB],
        "_reserved_3": raw[0x1EF],
        "_reserved_4": list(raw[0x1F8:0x2A0]),
        "signature": {
            "r": list(raw[0x2A0:0x2E8]),
            "s": list(raw[0x2E8:0x330]),
            "_reserved": list(raw[0x330:0x4A0]),
        },
    }
    for which in ("current", "committed"):
        build, minor, major = octets(raw, which)
        members |= {f"{which}_build": build, f"{which}_minor": minor, f"{which}_major": major}
    return members


def version_6_members(raw: bytes, product: str) -> dict[str, Any]:
    """A report as newer tools write it."""
    members: dict[str, Any] = {key: number(raw, own) for key, own in _NUMBERS.items()}
    members |= {key: octets(raw, key) for key in _OCTETS}
    for key in _TCBS:
        tcb = octets(raw, key)
        members[key] = {"fmc": None} | {part: tcb[at] for part, at in LAYOUTS[product].items()}
    version = members["version"]
    cpuid = octets(raw, "cpuid") if version > 2 else [None] * 3
    members |= dict(zip(("cpuid_fam_id", "cpuid_mod_id", "cpuid_step"), cpuid, strict=True))
    for which in ("launch", "current"):
        vector = number(raw, f"{which}_mitigations") if version == 5 else None
        members[f"{which}_mit_vector"] = vector
    for which in ("current", "committed"):
        build, minor, major = octets(raw, which)
        members[which] = {"major": major, "minor": minor, "build": build}
    members["key_info"] = number(raw, "key_info")
    members["signature"] = {"r": list(raw[0x2A0:0x2E8]), "s": list(raw[0x2E8:0x330])}
    return members


def version_5(raw: bytes) -> bytes:
    return json.dumps(version_5_members(raw), separators=(",", ":")).encode()
