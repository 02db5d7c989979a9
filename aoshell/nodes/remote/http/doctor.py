"""`.doctor`: all endpoints at once, each asked something harmless, and asked once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.progress import impatiently
from aoshell.nodes.values import EndpointFinding

SKEW = 300.0  # seconds that two clocks may be apart


# What an endpoint is, where it is, and how it is asked.
Patient: TypeAlias = tuple[str, str, Callable[[], Awaitable[object]]]


async def examine(patients: Sequence[Patient]) -> Sequence[EndpointFinding]:
    """What was found out of each."""
    return await asyncio.gather(*(_look(*patient) for patient in patients))


async def _look(name: str, endpoint: str, ask: Callable[[], Awaitable[object]]) -> EndpointFinding:
    """What asking an endpoint comes to, and how long it took."""
    impatiently()
    start = time.monotonic()
    try:
        said = await ask()
    except AoError as error:
        return EndpointFinding(name, endpoint, False, f"{error.stage}: {error.what}", error.hint)
    return EndpointFinding(
        name, endpoint, True, f"{said} ({1000 * (time.monotonic() - start):.0f} ms)"
    )


async def usable(asked: Awaitable[Response], *, json: bool = False) -> str:
    """A word on what an endpoint answered.

    Args:
        json: whether that must be JSON.

    Raises:
        AoError: it cannot be used, or its clock and this machine's are far apart.
    """
    answer = await asked
    if not answer.ok:
        said = f"answers {answer.status} {answer.said()}".rstrip()
        raise AoError(f"{answer.url} {said}", stage="answer", hint="is the URL right?")
    if json:
        answer.json("answer")
    elif answer.is_html():
        what = f"{answer.url} answers with a web page: {answer.said()}"
        raise AoError(what, stage="answer", hint="is the URL right?")
    clock(answer)
    return "answers"


def clock(answer: Response) -> None:
    """Raise AoError where an answer's `Date` and this machine's clock are far apart."""
    try:
        seconds = parsedate_to_datetime(answer.header("date")).timestamp() - time.time()
    except (ValueError, OverflowError):
        return
    if abs(seconds) > SKEW:
        told = "ahead of" if seconds > 0 else "behind"
        raise AoError(
            f"its clock is {abs(seconds) / 60:.0f} min {told} this machine's",
            stage="clock",
            hint="set this machine's clock, if it is the wrong one",
        )
