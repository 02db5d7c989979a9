"""`.doctor`: one endpoint after the other, asked something harmless."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from aoshell.errors import AoError
from aoshell.nodes.base import Finding


async def look(name: str, endpoint: str, ask: Callable[[], Awaitable[object]]) -> Finding:
    """What asking an endpoint comes to, and how long it took."""
    start = time.monotonic()
    try:
        said = await ask()
    except AoError as error:
        return Finding(name, endpoint, False, f"{error.stage}: {error.what}", error.hint)
    return Finding(name, endpoint, True, f"{said} ({1000 * (time.monotonic() - start):.0f} ms)")
