"""Files that a user names: read under a limit, and refused by name where they cannot be used.

Certificates and CRLs of the user's own are looked at here before any evidence is: a wrong file must
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

MOST_FILES = 64  # entries of a folder of certificates
_LEAVES = (amd_profile.VCEK_NAME, amd_profile.VLEK_NAME)
_FORMS = "docs/attest.md lists the forms that are read"


def content(name: str, most: int = kept.LARGEST) -> bytes:
    """A file that was named, cut off one byte behind the most that anybody takes.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return files.read_head(Path(name).expanduser(), most + 1)
    except (OSError, ValueError, RuntimeError) as error:
        raise unreadable(name, error) from None


def unreadable(name: str, error: Exception) -> UsageError:
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return UsageError(f"{name} cannot be read: {why}", hint="look at its name, and who may read it")


def collateral(names: Mapping[str, str]) -> Collateral:
    """What the files that a user names have in them.

    Args:
        names: of files or folders by part, as in `Collateral`.

    Raises:
        UsageError: one cannot be read, or has nothing in it that it was named for.
    """
    contents = {part: _content(name) for part, name in names.items()}
    found = {part: _read(names[part], content) for part, content in contents.items()}
    certificates = [one for each in found.values() for one in each.certificates]
    wanted = {
        "vek": ("certificate of a VCEK or VLEK", [c.common_name in _LEAVES for c in certificates]),
        "chain": ("certificate of an ARK, ASK or ASVK", [*map(path.is_authority, certificates)]),
        "crl": ("CRL", [True for each in found.values() for _ in each.crls]),
    }
    for part, name in names.items():
        what, there = wanted[part]
        if not any(there):
            raise UsageError(f"{name} has no {what} in it but {found[part].names}", hint=_FORMS)
    return Collateral(**contents)


def _read(name: str, data: bytes) -> Material:
    try:
        return material.read(data, name)
    except EvidenceError as error:
        raise UsageError(error.what, hint=_FORMS) from None


def _content(name: str) -> bytes:
    try:
        folder = Path(name).expanduser()
        inside = sorted(folder.iterdir())[: MOST_FILES + 1] if folder.is_dir() else None
    except (OSError, ValueError, RuntimeError) as error:
        raise unreadable(name, error) from None
    return content(name, material.LARGEST) if inside is None else _together(name, inside)


def _together(name: str, inside: list[Path]) -> bytes:
    """All certificates and CRLs of a folder, as snpguest makes one; other files do not count."""
    if len(inside) > MOST_FILES:
        raise UsageError(f"{name} has more than {MOST_FILES} files in it", hint="name one of them")
    found: list[bytes] = []
    for file in inside:
        if not file.is_file():
            continue
        data = content(str(file), material.LARGEST)
        try:
            found += material.values(data, str(file))
        except EvidenceError:
            continue
    if not found:
        raise UsageError(f"{name} has no file with a certificate in it", hint=_FORMS)
    return material.bundle(found)
