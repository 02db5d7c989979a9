"""The aos-compatible environment as a module: its sources, and the id that pins them."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from pathlib import Path

FOLDER = Path(__file__).with_name("aos")


def sources() -> dict[str, str]:
    """Module name → Lua source (latin-1 text).

    `aos/handlers.lua` is the module `.handlers`, `aos/crypto/util/hex.lua` is `.crypto.util.hex`.
    """
    return {
        _name(path): path.read_text(encoding="latin-1") for path in sorted(FOLDER.rglob("*.lua"))
    }


def _name(path: Path) -> str:
    return "".join(f".{part}" for part in path.relative_to(FOLDER).with_suffix("").parts)


def pack(modules: dict[str, str]) -> bytes:
    """Sources as the bytes of a module. Equal sources give equal bytes."""
    return json.dumps(modules, sort_keys=True, separators=(",", ":")).encode("ascii")


def unpack(data: bytes) -> dict[str, str]:
    """The inverse of `pack`."""
    modules: dict[str, str] = json.loads(data)
    return modules


def module_id(data: bytes) -> str:
    """Id of a module on the local node: base64url SHA-256 of its bytes, 43 characters."""
    return urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
