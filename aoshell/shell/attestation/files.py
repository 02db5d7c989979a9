"""Reads the files that a user names, under a limit. Errors name the file.

The user's own certificates and CRLs are checked here before any evidence, so that a wrong file does
not look like wrong evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aoshell.attest import evidence as kept
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral
from aoshell.attest.x509 import amd_profile, material, path
from aoshell.attest.x509.material import Material
from aoshell.bounded import files
from aoshell.errors import UsageError

EK_CHAIN = "ek_chain"  # the part of `Collateral` that is not AMD's
MOST_FILES = 64  # entries of a folder of certificates
_LEAVES = (amd_profile.VCEK_NAME, amd_profile.VLEK_NAME)
_FORMS = "docs/attest.md lists the forms that are read"


def read_named_file(name: str, most: int = kept.LARGEST) -> bytes:
    """The content of a file; of a longer one, the first `most` + 1 bytes.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return files.read_head(files.path_of(name), most + 1)
    except (OSError, ValueError) as error:
        raise unreadable_error(name, error) from None


def unreadable_error(name: str, error: Exception) -> UsageError:
    """The error for a file that cannot be read."""
    why = files.reason_of(error)
    if isinstance(error, files.UnfitFileError):
        why = f"it {why}"
    return UsageError(
        f"{files.shown(name)} cannot be read: {why}", hint="check its name, and who may read it"
    )


def read_collateral(names: Mapping[str, str]) -> Collateral:
    """The certificates and CRLs in the files that a user names.

    Args:
        names: of files or folders, by part of `Collateral`.

    Raises:
        UsageError: a file cannot be read, or lacks what it was given for.
    """
    contents = {part: _content(name) for part, name in names.items()}
    found = {part: _read(part, names[part], content) for part, content in contents.items()}
    of_amd = [each for part, each in found.items() if part != EK_CHAIN]
    certificates = [one for each in of_amd for one in each.certificates]
    of_tpms = [each for part, each in found.items() if part == EK_CHAIN]
    wanted: dict[str, tuple[str, list[object]]] = {
        "vek": ("certificate of a VCEK or VLEK", [c.common_name in _LEAVES for c in certificates]),
        "chain": ("certificate of an ARK, ASK or ASVK", [*map(path.is_authority, certificates)]),
        "crl": ("CRL", [True for each in of_amd for _ in each.crls]),
        EK_CHAIN: ("certificate and no CRL", [each.certificates or each.crls for each in of_tpms]),
    }
    for part, name in names.items():
        what, there = wanted[part]
        if not any(there):
            raise UsageError(f"{name} has no {what} but {found[part].names}", hint=_FORMS)
    return Collateral(**contents)


def _read(part: str, name: str, data: bytes) -> Material:
    try:
        # Makers of TPMs write some values out that DER leaves out; AMD does not.
        return material.read_material(data, name, written_defaults=part == EK_CHAIN)
    except EvidenceError as error:
        raise UsageError(error.what, hint=_FORMS) from None


def _content(name: str) -> bytes:
    try:
        folder = files.path_of(name)
        inside = sorted(folder.iterdir())[: MOST_FILES + 1] if folder.is_dir() else None
    except (OSError, ValueError) as error:
        raise unreadable_error(name, error) from None
    return read_named_file(name, material.LARGEST) if inside is None else _together(name, inside)


def _together(name: str, inside: list[Path]) -> bytes:
    """All certificates and CRLs in a folder, such as snpguest makes; skips other files."""
    if len(inside) > MOST_FILES:
        raise UsageError(f"{name} has more than {MOST_FILES} files", hint="name one of them")
    found: list[bytes] = []
    for file in inside:
        if not file.is_file():
            continue
        data = read_named_file(str(file), material.LARGEST)
        try:
            found += material.read_der_values(data, str(file))
        except EvidenceError:
            continue
    if not found:
        raise UsageError(f"{name} has no file with a certificate", hint=_FORMS)
    return material.bundle_as_pem(found)
