"""The role of a HyperBEAM node: claims its paths, resolves them, and signs the answers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import has_id_form
from aoshell.serve.asgi.http import Request, RequestError, Response, asks_message
from aoshell.serve.gateway import QUERY
from aoshell.serve.hyper.answers import RESULT, Codec, write_answer
from aoshell.serve.hyper.call import Call, Services
from aoshell.serve.hyper.found import AnswerError, Found, Serialized, follow
from aoshell.serve.hyper.path import Segment, parse_path, with_tilde
from aoshell.serve.hyper.process import Results
from aoshell.serve.hyper.roots import begin
from aoshell.serve.hyper.schedule import Assigned
from aoshell.serve.units.kept import KeptAnswers

_ROOT = frozenset(("push", "schedule"))  # keys of the node itself


class HyperBeam:
    """Claims paths that name a device, and keys after an id.

    `/ID` alone is the gateway's, unless a message is asked for: by `require-codec`, or by accepting
    JSON. `/ID/latest?process-id=` is the scheduler's, `/~query@1.0/graphql` the gateway's.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept = KeptAnswers()

    async def answer(self, request: Request) -> Response | None:
        if request.method not in ("GET", "POST"):
            return None
        parts = request.segments
        if not parts or not _claims(request, parts):
            return None
        asked = self._asked(request)
        if (kept := self._kept.get(asked)) is not None:
            return kept
        codec = Codec.HTTPSIG
        try:
            call = Call(request, parse_path(request.path), self._services)
            await call.look()
            codec = call.codec
            found, response = await self._resolved(call, codec)
            if isinstance(found, Results) and request.method == "GET" and not request.body:
                self._kept.put(asked, response)
            return response
        except AnswerError as error:
            status, fields = error.status, error.fields
        except RequestError as error:
            status, fields = error.status, {RESULT: "body", "body": str(error)}
        except NotFoundError as error:
            status, fields = 404, {RESULT: "body", "body": error.what}
        return await self._written(fields, codec, status)

    def _asked(self, request: Request) -> Hashable:
        """A cache key for a request for the results of a slot, which never change."""
        cuts = self._services.network.cuts
        head = request.method, request.path, request.query, request.headers
        return *head, bool(request.body), cuts

    async def _resolved(self, call: Call, codec: Codec) -> tuple[Found, Response]:
        """The first value on the path that has a mark, else the last; and the answer."""
        found: Found = await begin(call.segments[0], call)
        rest = call.segments[1:]
        while rest and found.mark is None:
            found, rest = await follow(found, rest[0], call), rest[1:]
        return found, await self._answer_from(found, rest, call, codec)

    async def _answer_from(
        self, found: Found, rest: tuple[Segment, ...], call: Call, codec: Codec
    ) -> Response:
        """The answer to the rest of a path after `found`; it is cached by the mark of `found`."""
        key = (found.mark, rest, codec)
        stays = found.mark is not None
        if stays and (kept := self._kept.get(key)) is not None:
            return kept
        for segment in rest:
            found = await follow(found, segment, call)
        value = await found.value(call)
        more: Sequence[tuple[str, str]] = ()
        if isinstance(found, Serialized):
            codec = Codec.HTTPSIG  # the body is JSON already
        elif isinstance(found, Assigned) and codec is Codec.JSON:
            # aoconnect reads the id of a new process there.
            more = (("process", found.process), ("slot", str(found.slot)))
        response = await self._written(value, codec, 200, more)
        if stays:
            self._kept.put(key, response)
        return response

    async def _written(
        self, value: object, codec: Codec, status: int, more: Sequence[tuple[str, str]] = ()
    ) -> Response:
        key = self._services.key
        return await self._services.checker.run(
            lambda: write_answer(value, codec, key, status, more)
        )


def _claims(request: Request, parts: tuple[str, ...]) -> bool:
    first = with_tilde(parts[0])
    if "~" in first:
        return request.device != QUERY
    if first.partition("&")[0] in _ROOT:
        return request.method == "POST" or first.startswith("schedule")
    if not has_id_form(first.partition("&")[0]):
        return False
    if len(parts) > 1:
        return not (parts[1] == "latest" and request.has_parameter("process-id"))
    return asks_message(request)
