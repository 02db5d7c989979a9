"""The policy file (TOML): what a user asks of a node beyond genuine hardware. docs/attest.md has
all keys.

The defaults fit HyperBEAM nodes: their reports come from VMPL 1 and allow SMT, and the minimum TCB
for Milan is the one in the configuration of HyperBEAM's own operating system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias, TypeVar

from aoshell.attest.products import PRODUCTS
from aoshell.attest.report import GUEST_BITS, PLATFORM_BITS, Version
from aoshell.attest.tpm.vendors import VENDORS
from aoshell.errors import AoError
from aoshell.protocol.encoding import brief
from aoshell.texts import strip_mark

Floors: TypeAlias = Mapping[str, Mapping[str, int]]
"""Minimum versions by product and component."""

LARGEST = 1 << 20  # bytes

_Read = TypeVar("_Read")

MILAN_FLOOR = {"bootloader": 4, "tee": 0, "snp": 22, "microcode": 213}


@dataclass(frozen=True, slots=True)
class Bits:
    """Names of bits that must be set, and of those that must not be."""

    required: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """Software that a user trusts.

    Attributes:
        name: the user's name for it.
        measurement: launch measurement, b"" if `hashes` identify it.
        hashes: members of a node's local-hashes that must have these values.
        exclusive_key: whether a review found that its keys are made in it and never leave it.
        covers_os: whether a review found that the measurement covers the operating system, not the
            firmware alone.
        efi: Authenticode hashes (SHA-256) of all programs that the firmware starts, in order.
        pcr11: PCR 11 of a TPM, in which the image measures its parts; b"" for any. Alone it counts
            only where Secure Boot admits no other signers than the policy's.
        fixed_cmdline: whether a review found that the programs take no command line from whoever
            starts them. Without Secure Boot systemd's stub takes one, which no quoted PCR shows.
    """

    name: str
    measurement: bytes = b""
    hashes: Mapping[str, str | int] = field(default_factory=dict)
    exclusive_key: bool = False
    covers_os: bool = False
    efi: tuple[bytes, ...] = ()
    pcr11: bytes = b""
    fixed_cmdline: bool = False

    def matches(self, measurement: bytes, hashes: Mapping[str, str | int]) -> bool:
        """Whether a guest is this image.

        Args:
            hashes: the node's local-hashes if they are shown to give the measurement, else {}.
        """
        if self.measurement:
            return self.measurement == measurement
        if not self.hashes or not hashes:  # unproven hashes are {}: a node could claim any
            return False
        return all(hashes[name] == value for name, value in self.hashes.items())

    def matches_boot(self, programs: tuple[bytes, ...], pcr11: bytes, *, guarded: bool) -> bool:
        """Whether what a TPM measured is this image.

        Args:
            programs: that the firmware started, () if they are unknown.
            guarded: whether Secure Boot admits only signers that the policy names.
        """
        if self.pcr11 and self.pcr11 != pcr11:
            return False
        # Any program can extend PCR 11, so Secure Boot must restrict which programs run.
        return self.efi == programs if self.efi else bool(self.pcr11) and guarded

    @property
    def identity(self) -> str:
        """What identifies it, for people: a measurement, hashes of programs, or how else."""
        if self.hashes:
            return "by its hashes"
        if self.measurement:
            return self.measurement.hex()
        programs = ", ".join(one.hex() for one in self.efi)
        sections = f"PCR 11 {self.pcr11.hex()}" if self.pcr11 else ""
        return "; ".join(filter(None, (programs, sections)))

    @property
    def reviewed(self) -> tuple[str, ...]:
        """The results of a review, as keys of the policy file."""
        flags = {
            "exclusive_key": self.exclusive_key,
            "covers_os": self.covers_os,
            "fixed_cmdline": self.fixed_cmdline,
        }
        return tuple(name for name, given in flags.items() if given)

    def as_toml(self) -> str:
        """As an entry of a policy file."""
        lines = ["[[trusted]]", f"name = {_toml(self.name)}"]
        if self.measurement:
            lines.append(f'measurement = "{self.measurement.hex()}"')
        if self.hashes:
            members = (f"{key} = {_toml(value)}" for key, value in self.hashes.items())
            lines.append(f"hashes = {{ {', '.join(members)} }}")
        if self.efi:
            lines.append(f"efi = {json.dumps([one.hex() for one in self.efi])}")
        if self.pcr11:
            lines.append(f'pcr11 = "{self.pcr11.hex()}"')
        lines += [f"{name} = true" for name in self.reviewed]
        return "\n".join(lines) + "\n"


def _toml(value: str | int) -> str:
    # A JSON string is also a TOML string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True, slots=True)
class Policy:
    """The requirements on evidence. The defaults are those of an empty file.

    Attributes:
        debug, migration: permit guests whose memory the host can read, or that an agent can move.
        vlek: permit reports signed by a key of a cloud provider.
        masked_chip: permit reports that hide their chip.
        provisional_firmware: permit firmware that can be rolled back.
        revocation: whether AMD's CRL is needed.
        vmpl: the highest level (the lowest privilege) that a report may come from.
        minimum_tcb: of the reported TCB, and of the one at launch unless `minimum_launch_tcb` is
            set. minimum_firmware, minimum_abi: (major, minor[, build]). mitigations: bits that both
            mitigation vectors must have; 0 for none. guest, platform: bits of the guest policy and
            of the platform. host_data, family_id, image_id, report_id: the one value permitted, b""
            for any. id_keys, author_keys: digests of keys; one of each must have signed the guest's
            ID block. exclusive_key: whether the node's key must be known to exist in this guest
            only. ek_vendors: vendor ids of TPMs that are permitted, () for all. ek_revocation:
            whether lists of revoked certificates are needed for TPMs. secure_boot: whether it must
            be on. db_signers: SHA-256 of all entries that the list of Secure Boot may have, () for
            any. trusted: images; () if the user named none.
    """

    debug: bool = False
    migration: bool = False
    vlek: bool = False
    masked_chip: bool = False
    provisional_firmware: bool = False
    revocation: bool = True
    vmpl: int = 1
    minimum_tcb: Floors = field(default_factory=lambda: {"Milan": MILAN_FLOOR})
    minimum_launch_tcb: Floors = field(default_factory=dict)
    minimum_firmware: Version | None = None
    minimum_abi: tuple[int, int] | None = None
    minimum_guest_svn: int = 0
    mitigations: int = 0
    guest: Bits = field(default_factory=lambda: Bits(refused=("cxl",)))
    platform: Bits = field(default_factory=Bits)
    host_data: bytes = b""
    family_id: bytes = b""
    image_id: bytes = b""
    report_id: bytes = b""
    id_keys: tuple[bytes, ...] = ()
    author_keys: tuple[bytes, ...] = ()
    exclusive_key: bool = False
    ek_vendors: tuple[str, ...] = ()
    ek_revocation: bool = True
    secure_boot: bool = False
    db_signers: tuple[str, ...] = ()
    trusted: tuple[Image, ...] = ()


def load_policy(data: bytes, name: str = "policy file") -> Policy:
    """A policy from TOML. Keys that are not there keep their defaults.

    Raises:
        AoError: stage "policy": not TOML, an unknown key, or a value of the wrong kind.
    """
    import tomllib

    if len(data) > LARGEST:
        raise _refuse(name, f"it has {len(data)} bytes, more than {LARGEST}")
    try:
        table = tomllib.loads(strip_mark(data, name, "policy").decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(name, f"this is not TOML: {error}") from None
    values: dict[str, Any] = {}
    for key, value in table.items():
        read = _READERS.get(key)
        if read is None:
            known = ", ".join(one.name for one in fields(Policy))
            raise _refuse(name, f"the key {key!r} is unknown", f"known keys are {known}")
        try:
            values[key] = _at(key, read, value)
        except ValueError as error:
            raise _refuse(name, str(error)) from None
    return Policy(**values)


def _refuse(name: str, why: str, hint: str = "docs/attest.md has each key") -> AoError:
    return AoError(f"{name}: {why}", stage="policy", hint=hint)


def _at(place: str, read: Callable[[object], _Read], value: object) -> _Read:
    """The result of a reader of a value. Raises ValueError, which names the place."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is expected")
    return value


def _number(most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not int or not 0 <= value <= most:
            raise ValueError(f"a number from 0 to {most} is expected")
        return value

    return read


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text is expected")
    return value


def _vendor(value: object) -> str:
    if not isinstance(value, str) or value not in VENDORS:
        raise ValueError(f"{brief(str(value))} is no vendor id; there are {', '.join(VENDORS)}")
    return value


def _octets(size: int) -> Callable[[object], bytes]:
    def read(value: object) -> bytes:
        if not isinstance(value, str) or not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", value):
            raise ValueError(f"{2 * size} hexadecimal digits are expected")
        return bytes.fromhex(value)

    return read


def _each(read: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    def read_all(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError("a list with something in it is expected")
        return tuple(_at(f"entry {number}", read, one) for number, one in enumerate(value, 1))

    return read_all


def _dotted(count: int) -> Callable[[object], tuple[int, ...]]:
    def read(value: object) -> tuple[int, ...]:
        parts = _text(value).split(".")
        if len(parts) != count or not all(re.fullmatch("[0-9]{1,3}", part) for part in parts):
            raise ValueError(f"{count} numbers with dots between them are expected, as text")
        return tuple(map(int, parts))

    return read


def _version(value: object) -> Version:
    return Version(*_dotted(3)(value))


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("a table is expected")
    return value


def _floors(value: object) -> Floors:
    floors = {}
    for name, floor in _table(value).items():
        product = PRODUCTS.get(name)
        if product is None:
            raise ValueError(f"{name!r} is not a product; there are {', '.join(PRODUCTS)}")
        if _table(floor).keys() != product.tcb.keys():
            raise ValueError(f"{name} has the components {', '.join(product.tcb)}")
        floors[name] = {
            part: _at(f"{name}.{part}", _number(255), least)
            for part, least in _table(floor).items()
        }
    return floors


def _bits(names: Mapping[str, int]) -> Callable[[object], Bits]:
    def read(value: object) -> Bits:
        lists: dict[str, tuple[str, ...]] = {}
        for key, chosen in _table(value).items():
            is_list = key in ("required", "refused") and isinstance(chosen, list)
            lists[key] = tuple(str(one) for one in chosen) if isinstance(chosen, list) else ()
            if not is_list or not names.keys() >= {*lists[key]}:
                raise ValueError(
                    f"lists named required and refused are expected, of {', '.join(names)}"
                )
        return Bits(**lists)

    return read


_HASHES: Mapping[str, Callable[[object], str | int]] = {
    **dict.fromkeys(("kernel", "initrd", "append"), lambda value: _octets(32)(value).hex()),
    "firmware": lambda value: _octets(48)(value).hex(),
    **dict.fromkeys(("vcpus", "vcpu_type", "vmm_type", "guest_features"), _number((1 << 63) - 1)),
}
IDENTIFYING = ("firmware", "kernel", "initrd", "append")


def _hashes(value: object) -> Mapping[str, str | int]:
    table = _table(value)
    if unknown := table.keys() - _HASHES.keys():
        raise ValueError(f"{min(unknown)!r} is none of {', '.join(_HASHES)}")
    if missing := [name for name in IDENTIFYING if name not in table]:
        raise ValueError(f"without {', '.join(missing)} this does not identify an image")
    return {name: _at(name, _HASHES[name], one) for name, one in table.items()}


_IMAGE: Mapping[str, Callable[[object], Any]] = {
    "name": _text,
    "measurement": _octets(48),
    "hashes": _hashes,
    "exclusive_key": _flag,
    "covers_os": _flag,
    "fixed_cmdline": _flag,
    "efi": _each(_octets(32)),
    "pcr11": _octets(32),
}
_IDENTITIES = ({"measurement"}, {"hashes"}, {"efi"}, {"pcr11"}, {"efi", "pcr11"})


def _image(value: object) -> Image:
    table = _table(value)
    if unknown := table.keys() - _IMAGE.keys():
        raise ValueError(f"{min(unknown)!r} is none of {', '.join(_IMAGE)}")
    identity = table.keys() & set().union(*_IDENTITIES)
    if "name" not in table or identity not in _IDENTITIES:
        what = "either a measurement, or hashes, or what a TPM measured: efi, pcr11 or both"
        raise ValueError(f"an image has a name, and {what}")
    return Image(**{key: _at(key, _IMAGE[key], one) for key, one in table.items()})


_READERS: Mapping[str, Callable[[object], object]] = {
    **dict.fromkeys(
        (
            "debug",
            "migration",
            "vlek",
            "masked_chip",
            "provisional_firmware",
            "revocation",
            "exclusive_key",
            "ek_revocation",
            "secure_boot",
        ),
        _flag,
    ),
    "vmpl": _number(3),
    "minimum_tcb": _floors,
    "minimum_launch_tcb": _floors,
    "minimum_firmware": _version,
    "minimum_abi": _dotted(2),
    "minimum_guest_svn": _number((1 << 32) - 1),
    "mitigations": _number((1 << 63) - 1),
    "guest": _bits(
        {name: bit for name, bit in GUEST_BITS.items() if name not in ("debug", "migration")}
    ),
    "platform": _bits(PLATFORM_BITS),
    "host_data": _octets(32),
    "family_id": _octets(16),
    "image_id": _octets(16),
    "report_id": _octets(32),
    "id_keys": _each(_octets(48)),
    "author_keys": _each(_octets(48)),
    "ek_vendors": _each(_vendor),
    "db_signers": _each(lambda value: _octets(32)(value).hex()),
    "trusted": _each(_image),
}
