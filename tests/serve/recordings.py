"""What real clients asked, and what real nodes answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def exchanges(shared: Path, name: str) -> list[dict[str, Any]]:
    """The exchanges of a recording."""
    found: list[dict[str, Any]] = json.loads((shared / "vectors/serve" / name).read_text())[
        "exchanges"
    ]
    return found
