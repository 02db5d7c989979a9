"""Turns a report in JSON, as HyperBEAM and the `sev` tools write it, back into bytes.

There are two dialects, the structs of two versions of the Rust crate `sev` as serde writes them:
version 5 with all reserved bytes (HyperBEAM's), and version 6 on, with CPUIDs. The keys show which.
In both, every number and byte must be there, once, in its range, and nothing else. All checks look
at the resulting bytes only, and no text may mean one thing here and another elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aoshell.attest.errors import EvidenceError
from aoshell.attest.report import SIZE
from aoshell.protocol.encoding import brief

LARGEST = 64 << 10  # bytes; the texts seen have 4 KB
DEEPEST = 16  # levels of nesting; reports have 2


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned number of `size` bytes. If `nullable`, `null` stands for 0."""

    size: int
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Octets:
    """An array of `size` numbers, each a byte."""

    size: int


class Null:
    """A field that this processor does not have: `null` only."""


Shape: TypeAlias = "Number | Octets | Null | tuple[Field, ...]"
Field: TypeAlias = "tuple[str, int, Shape]"  # key, offset in what is around it, shape

_TCB_5: tuple[Field, ...] = (
    ("bootloader", 0, Number(1)),
    ("tee", 1, Number(1)),
    ("_reserved", 2, Octets(4)),
    ("snp", 6, Number(1)),
    ("microcode", 7, Number(1)),
)
_TCB_6: tuple[Field, ...] = (
    ("fmc", 0, Null()),
    ("bootloader", 0, Number(1)),
    ("tee", 1, Number(1)),
    ("snp", 6, Number(1)),
    ("microcode", 7, Number(1)),
)
_TCB_6_TURIN: tuple[Field, ...] = (
    ("fmc", 0, Number(1)),
    ("bootloader", 1, Number(1)),
    ("tee", 2, Number(1)),
    ("snp", 3, Number(1)),
    ("microcode", 7, Number(1)),
)
_FIRMWARE: tuple[Field, ...] = (
    ("build", 0, Number(1)),
    ("minor", 1, Number(1)),
    ("major", 2, Number(1)),
)
_R_S: tuple[Field, ...] = (("r", 0, Octets(72)), ("s", 72, Octets(72)))

_COMMON: tuple[Field, ...] = (
    ("version", 0x000, Number(4)),
    ("guest_svn", 0x004, Number(4)),
    ("policy", 0x008, Number(8)),
    ("family_id", 0x010, Octets(16)),
    ("image_id", 0x020, Octets(16)),
    ("vmpl", 0x030, Number(4)),
    ("sig_algo", 0x034, Number(4)),
    ("plat_info", 0x040, Number(8)),
    ("report_data", 0x050, Octets(64)),
    ("measurement", 0x090, Octets(48)),
    ("host_data", 0x0C0, Octets(32)),
    ("id_key_digest", 0x0E0, Octets(48)),
    ("author_key_digest", 0x110, Octets(48)),
    ("report_id", 0x140, Octets(32)),
    ("report_id_ma", 0x160, Octets(32)),
    ("chip_id", 0x1A0, Octets(64)),
)


def _tcbs(shape: Shape) -> tuple[Field, ...]:
    places = {"current": 0x038, "reported": 0x180, "committed": 0x1E0, "launch": 0x1F0}
    return tuple((f"{name}_tcb", at, shape) for name, at in places.items())


VERSION_5: tuple[Field, ...] = (
    *_COMMON,
    *_tcbs(_TCB_5),
    ("_author_key_en", 0x048, Number(4)),
    ("_reserved_0", 0x04C, Number(4)),
    ("_reserved_1", 0x188, Octets(24)),
    ("current_build", 0x1E8, Number(1)),
    ("current_minor", 0x1E9, Number(1)),
    ("current_major", 0x1EA, Number(1)),
    ("_reserved_2", 0x1EB, Number(1)),
    ("committed_build", 0x1EC, Number(1)),
    ("committed_minor", 0x1ED, Number(1)),
    ("committed_major", 0x1EE, Number(1)),
    ("_reserved_3", 0x1EF, Number(1)),
    ("_reserved_4", 0x1F8, Octets(168)),
    ("signature", 0x2A0, (*_R_S, ("_reserved", 144, Octets(368)))),
)


def _version_6(tcb: Shape) -> tuple[Field, ...]:
    return (
        *_COMMON,
        *_tcbs(tcb),
        ("key_info", 0x048, Number(4)),
        ("cpuid_fam_id", 0x188, Number(1, nullable=True)),
        ("cpuid_mod_id", 0x189, Number(1, nullable=True)),
        ("cpuid_step", 0x18A, Number(1, nullable=True)),
        ("current", 0x1E8, _FIRMWARE),
        ("committed", 0x1EC, _FIRMWARE),
        ("signature", 0x2A0, _R_S),
    )


VERSION_6, VERSION_6_TURIN = _version_6(_TCB_6), _version_6(_TCB_6_TURIN)
MITIGATIONS: tuple[Field, ...] = (
    ("launch_mit_vector", 0x1F8, Number(8, nullable=True)),
    ("current_mit_vector", 0x200, Number(8, nullable=True)),
)


def report_from_json(text: bytes) -> bytes:
    """The 1184 bytes of a report.

    Raises:
        EvidenceError: JSON_LIMIT, JSON_SYNTAX, JSON_DUPLICATE_KEY, JSON_UNKNOWN_KEY,
            JSON_MISSING_KEY, JSON_TYPE, JSON_RANGE or JSON_LENGTH.
    """
    members = read_json_object(text)
    report = bytearray(SIZE)
    _write(report, 0, members, _dialect(members), "")
    return bytes(report)


def _dialect(members: Mapping[str, object]) -> tuple[Field, ...]:
    if "key_info" not in members:
        return VERSION_5
    family = members.get("cpuid_fam_id")
    turin = isinstance(family, int) and family >= 0x1A
    fields = VERSION_6_TURIN if turin else VERSION_6
    return fields + MITIGATIONS if members.keys() & {key for key, *_ in MITIGATIONS} else fields


def _write(report: bytearray, base: int, value: object, fields: Iterable[Field], path: str) -> None:
    if not isinstance(value, dict):
        raise _refuse("TYPE", path, "an object is expected")
    shapes = {key: (at, shape) for key, at, shape in fields}
    if unknown := sorted(value.keys() - shapes.keys()):
        raise EvidenceError("JSON_UNKNOWN_KEY", f"a report has no key {brief(path + unknown[0])}")
    if missing := [path + key for key in shapes if key not in value]:
        raise EvidenceError("JSON_MISSING_KEY", f"the report lacks {', '.join(missing)}")
    for key, (at, shape) in shapes.items():
        _write_value(report, base + at, value[key], shape, path + key)


def _write_value(report: bytearray, at: int, value: object, shape: Shape, path: str) -> None:
    match shape:
        case Number():
            number = 0 if value is None and shape.nullable else _number(value, shape.size, path)
            report[at : at + shape.size] = number.to_bytes(shape.size, "little")
        case Octets():
            report[at : at + shape.size] = _octets(value, shape.size, path)
        case Null():
            if value is not None:
                raise _refuse("TYPE", path, "this processor has none, so null is expected")
        case _:
            _write(report, at, value, shape, f"{path}.")


def _number(value: object, size: int, path: str) -> int:
    if type(value) is not int:
        raise _refuse("TYPE", path, "a whole number is expected")
    if not 0 <= value < 1 << 8 * size:
        raise _refuse("RANGE", path, f"a number of up to {size} bytes is expected")
    return value


def _octets(value: object, size: int, path: str) -> bytes:
    if not isinstance(value, list):
        raise _refuse("TYPE", path, "an array is expected")
    if len(value) != size:
        raise _refuse("LENGTH", path, f"{size} bytes are expected, there are {len(value)}")
    return bytes(_number(octet, 1, f"{path}[{at}]") for at, octet in enumerate(value))


def _refuse(error: str, path: str, why: str) -> EvidenceError:
    return EvidenceError(f"JSON_{error}", f"{path or 'the report'}: {why}")


def read_json_object(text: bytes, largest: int = LARGEST) -> dict[str, object]:
    """Reads a JSON object strictly: no key twice, no fractions, no huge numbers.

    Raises:
        EvidenceError: JSON_LIMIT, JSON_SYNTAX, JSON_DUPLICATE_KEY, JSON_TYPE or JSON_RANGE.
    """
    if len(text) > largest:
        raise EvidenceError("JSON_LIMIT", f"the JSON has {len(text)} bytes, more than {largest}")
    if _depth(text) > DEEPEST:
        raise EvidenceError("JSON_LIMIT", f"the JSON is nested deeper than {DEEPEST} levels")
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=unique_members,
            parse_float=_no(EvidenceError("JSON_TYPE", "it has a fraction or an exponent")),
            parse_constant=_no(EvidenceError("JSON_SYNTAX", "it has a name unknown to JSON")),
            parse_int=_whole,
        )
    except UnicodeDecodeError as error:
        raise EvidenceError("JSON_SYNTAX", f"the JSON is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        what = f"this is not JSON: {error.msg} at character {error.pos}"
        raise EvidenceError("JSON_SYNTAX", what) from None
    if not isinstance(value, dict):
        raise EvidenceError("JSON_TYPE", "a JSON object is expected")
    return value


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def _depth(text: bytes) -> int:
    """How deep brackets nest, outside of strings. Counted first, as the parser recurses as deep."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        deepest = max(deepest, depth)
    return deepest


def unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The members of an object of JSON. Two readers could take different ones of two equal keys, so
    both are refused. Raises EvidenceError: JSON_DUPLICATE_KEY."""
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise EvidenceError("JSON_DUPLICATE_KEY", f"{brief(key)} occurs twice")
        members[key] = value
    return members


def _no(error: EvidenceError) -> Callable[[str], object]:
    def refuse(_text: str) -> object:
        raise error

    return refuse


def _whole(digits: str) -> int:
    if digits.startswith("-") or len(digits) > 20:
        raise EvidenceError("JSON_RANGE", f"{brief(digits)} is not a number of up to 8 bytes")
    return int(digits)
