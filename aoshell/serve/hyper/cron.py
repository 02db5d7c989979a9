"""The device cron@1.0: starts or stops the cron of a process.

A task of HyperBEAM requests a path at intervals. Here processes compute without requests, and their
cron runs as their definitions say. So a task stands for the cron of a process, and its id is that
of the process. The node keeps tasks over a restart. Source: HyperBEAM `dev_cron`.

`every` and `stop` are unsigned GETs, as on HyperBEAM. A browser sends no Origin for an image or a
link of another site's page, so Fetch Metadata must show where such a request is from.
"""

from __future__ import annotations

import re

from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import brief, has_id_form
from aoshell.serve.asgi.http import RequestError
from aoshell.serve.asgi.safety import refuse_other_pages
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.found import CRON, PROCESS, Found, Plain, error_answer, no_such_key
from aoshell.serve.hyper.path import Segment, parse_path
from aoshell.serve.items import absent

_INTERVAL = re.compile(r"[1-9][0-9]{0,9}-(?:millisecond|second|minute|hour|day)s?", re.I)
_COMPUTED = ("compute", "now")  # keys by which a path asks for the state of a process
_NOT_FROM_PAGES = "a page from elsewhere may not change what this node runs"


class Cron:
    """The device."""

    mark = None

    async def step(self, segment: Segment, call: Call) -> Found:
        match segment.name:
            case "every":
                return await self._every(segment, call)
            case "stop":
                return await self._stop(segment, call)
        raise no_such_key(segment, f"~{CRON}")

    async def value(self, call: Call) -> object:
        del call
        return {"device": CRON}

    async def _every(self, segment: Segment, call: Call) -> Found:
        path, interval = (call.parameter(segment, name) for name in ("cron-path", "interval"))
        if not path:
            raise RequestError(400, "No cron path found in message.")
        if not _INTERVAL.fullmatch(interval):
            raise RequestError(400, "interval is a number and a unit, as 30-seconds")
        process = _process_in(path)
        refuse_other_pages(call.request, _NOT_FROM_PAGES)
        try:
            await call.network.monitor(process, True)
        except NotFoundError:
            raise absent(process) from None
        return Plain(process)

    async def _stop(self, segment: Segment, call: Call) -> Found:
        task = call.parameter(segment, "task")
        refuse_other_pages(call.request, _NOT_FROM_PAGES)
        if not (has_id_form(task) and await _runs(task, call)):
            raise error_answer(400, "Task not found.")
        await call.network.monitor(task, False)
        return Plain({"body": {"message": "Task stopped successfully", "task_id": task}})


def _process_in(path: str) -> str:
    """The process whose state a path asks for. Raises RequestError for any other path."""
    segments = parse_path(path.encode("utf-8", "surrogateescape").decode("latin-1"))
    first, then = (*segments, *[Segment("")] * 2)[:2]
    of_process = has_id_form(first.key) and first.device.lower() in ("", PROCESS)
    if not (of_process and then.name in _COMPUTED):
        raise RequestError(
            400,
            f"cron-path is {brief(path)}; on this node (aoshell serve) a task is that of a process,"
            f" and the path is /PROCESS~{PROCESS}/now",
        )
    return first.key


async def _runs(process: str, call: Call) -> bool:
    """Whether a process is here, and its cron runs."""
    try:
        return (await call.services.node.find(process)).monitored
    except NotFoundError:
        return False
