"""`.doctor`: asks all endpoints at the same time, each once, without changing anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.progress import disable_retries
from aoshell.nodes.values import EndpointFinding

SKEW = 300.0  # seconds that two clocks may be apart


class Probe(NamedTuple):
    """An endpoint to examine.

    Attributes:
        name: what it is ("node", "MU", "gateway"…).
        endpoint: its URL.
        ask: asks it, and returns a short text on the answer; raises AoError if it cannot be used.
    """

    name: str
    endpoint: str
    ask: Callable[[], Awaitable[object]]


async def examine(probes: Sequence[Probe]) -> Sequence[EndpointFinding]:
    """Ask each endpoint. Returns the findings, in the same order."""
    return await asyncio.gather(*(_examine(probe) for probe in probes))


async def _examine(probe: Probe) -> EndpointFinding:
    disable_retries()
    start = time.monotonic()
    try:
        answer = await probe.ask()
    except AoError as error:
        detail = f"{error.stage}: {error.what}"
        return EndpointFinding(probe.name, probe.endpoint, False, detail, error.hint)
    detail = f"{answer} ({1000 * (time.monotonic() - start):.0f} ms)"
    return EndpointFinding(probe.name, probe.endpoint, True, detail)


async def check_usable(asked: Awaitable[Response], *, json: bool = False) -> str:
    """Check an endpoint's answer, and return a short text on it.

    Args:
        json: whether the answer must be JSON.

    Raises:
        AoError: the endpoint cannot be used, or its clock and this machine's are far apart.
    """
    answer = await asked
    if not answer.ok:
        what = f"{answer.url} answers {answer.status} {answer.summary()}".rstrip()
        raise AoError(what, stage="answer", hint="is the URL right?")
    if json:
        answer.json("answer")
    elif answer.is_html():
        what = f"{answer.url} answers with a web page: {answer.summary()}"
        raise AoError(what, stage="answer", hint="is the URL right?")
    check_clock(answer)
    return "answers"


def check_clock(answer: Response) -> None:
    """Raise AoError if an answer's `Date` and this machine's clock are more than `SKEW` apart."""
    try:
        seconds = parsedate_to_datetime(answer.header("date")).timestamp() - time.time()
    except (ValueError, OverflowError):
        return
    if abs(seconds) > SKEW:
        direction = "ahead of" if seconds > 0 else "behind"
        raise AoError(
            f"its clock is {abs(seconds) / 60:.0f} min {direction} this machine's",
            stage="clock",
            hint="set this machine's clock, if it is the wrong one",
        )
