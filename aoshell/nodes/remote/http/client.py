"""HTTP requests to a remote node: one exchange, its limits, its errors, and when to repeat it.

A `Client` belongs to one endpoint. Every failure is an `AoError` that names the stage (resolve,
connect, TLS, then the caller's: "schedule", "compute"…) and who failed: the endpoint, the host that
it redirected to, or the proxy. Answers are limited in size and time, and redirects stay on their
host. A request is repeated only where that cannot do anything twice: a read, or the same signed
item.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.broken import mended
from aoshell.nodes.remote.http.progress import Waiting, tries_left
from aoshell.nodes.remote.http.route import place, proxy_of
from aoshell.protocol.encoding import brief
from aoshell.protocol.url import host_of, is_host, is_loopback, is_web_url

if TYPE_CHECKING:
    import httpx

CONNECT = 10.0  # seconds for name, connection and TLS together
ANSWER = 30.0  # seconds for a whole answer by default
LARGEST = 64 << 20  # bytes of an answer
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between tries, doubled each time
# RFC 6585 section 4, RFC 9110 section 15.6.4: the request was not accepted, and may be repeated.
REFUSED = frozenset({429, 503})
# From a gateway or proxy (RFC 9110 sections 15.6.3, 15.6.5): the node may have got the request, so
# it is repeated only if that does nothing twice.
BUSY = REFUSED | {502, 504}
REDIRECTS = 5
_GOES_OUT = "send_request_headers.started"  # a step that httpcore reports
_BY_NAME = "name that URL yourself if you trust it"


class ConnectionLostError(AoError):
    """There was no answer to a request that may have arrived: its outcome is not known."""


class NotHttpError(ConnectionLostError):
    """An answer that is not HTTP: the same request would get the same again."""


class Client:
    """Requests to one endpoint.

    Args:
        endpoint: "http(s)://host[:port][/path]", without query.
        waiting: records the current stage.
        transport: replaces the network in tests.
        siblings: allow redirects to hosts beside this one, as routers for several hosts make them
            (router.example.net to one.example.net).

    Attributes:
        withholds: keep unsigned text of answers out of errors and of `Response.summary()`; set if
            the user wants to see only signed text.

        departed: id of the newest message whose request began to be sent, "" before the first. A
            newer message has certainly not arrived.

    Raises:
        UsageError: the endpoint is no URL of this form.
    """

    def __init__(
        self,
        endpoint: str,
        waiting: Waiting,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        siblings: bool = False,
    ) -> None:
        self.endpoint = checked_endpoint(endpoint)
        self.withholds = False
        self.departed = ""
        self._waiting = waiting
        self._transport = transport
        self._siblings = siblings
        self._made: httpx.AsyncClient | None = None
        self._resolved = False

    async def get(
        self,
        stage: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = ANSWER,
        largest: int = LARGEST,
    ) -> Response:
        """Read; repeated while the endpoint is busy or cannot be reached. Raises as `ask()`."""
        whole = tuple((headers or {}).items())
        return await self.ask(
            stage, "GET", path, headers=whole, seconds=seconds, largest=largest, again=True
        )

    async def ask(
        self,
        stage: str,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        again: bool = False,
        busy: frozenset[int] | None = None,
        seconds: float = ANSWER,
        largest: int = LARGEST,
        message: str = "",
    ) -> Response:
        """Send a request and return its answer, whatever its status.

        Args:
            path: path after the endpoint, with its query.
            again: whether the request may be repeated, because a second one has no effect.
            busy: statuses after which it is repeated; None for `BUSY` if `again`, else `REFUSED`.
            seconds: limit for each try.
            largest: bytes of the answer.
            message: id of the message in the request, for `departed`.

        Raises:
            ConnectionLostError: it may have arrived, but there was no answer.
            AoError: any other failure, with its stage.
        """
        url = self.endpoint + path
        busy = (BUSY if again else REFUSED) if busy is None else busy
        async with self._waiting.during(stage, self.endpoint) as note:
            tries = tries_left(TRIES)
            for attempt in range(1, tries + 1):
                departure = _Departure(partial(self._depart, message))
                try:
                    answer = await self._once(
                        stage, method, url, headers, body, seconds, largest, departure
                    )
                except _TransientError as failure:
                    # Any request that was never sent may be sent again. A node that let two
                    # requests time out will let the third time out too.
                    last = attempt == (min(2, tries) if failure.stalled else tries)
                    if last or not (again or failure.unsent):
                        raise failure.error from failure
                    why, pause = failure.error.what, _pause(attempt)
                else:
                    if answer.status not in busy or attempt == tries:
                        return answer
                    why = f"busy ({answer.status})"
                    pause = _asked_pause(answer) or _pause(attempt)
                note(f"{why}; try {attempt + 1} of {tries} in {pause:.1f} s")
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.aclose()

    def _depart(self, message: str) -> None:
        self.departed = message or self.departed

    # One try ----------------------------------------------------------------------------------

    async def _once(
        self,
        stage: str,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        seconds: float,
        largest: int,
        departure: _Departure,
    ) -> Response:
        try:
            async with asyncio.timeout(seconds):
                await self._resolve()
                for _ in range(REDIRECTS):
                    answer = await self._exchange(
                        stage, method, url, headers, body, largest, departure
                    )
                    onward = self._redirect(answer, stage, method)
                    if not onward:
                        return answer
                    url = onward
        except TimeoutError as error:
            at = self._waiting.stage
            kind = ConnectionLostError if departure.begun else AoError
            raise _TransientError(
                kind(
                    f"{place(self.endpoint, url)} did not answer within {seconds:g} s",
                    stage=at.name if at else stage,
                    hint=f".doctor looks at what is wrong with {host_of(self.endpoint)}",
                ),
                unsent=not departure.begun,
                stalled=True,
            ) from error
        raise AoError(f"{place(self.endpoint, url)} redirects in a circle", stage=stage)

    async def _resolve(self) -> None:
        """Look the host name up once, so that a wrong name has its own error, at once."""
        host = urlsplit(self.endpoint).hostname or ""
        if self._resolved or self._transport is not None or proxy_of(self.endpoint):
            return
        self._waiting.enter_stage("resolve", self.endpoint)
        try:
            await asyncio.get_running_loop().getaddrinfo(host, None)
        except OSError as error:
            raise AoError(
                f"the name {host} is not known ({error.strerror or error})",
                stage="resolve",
                hint="look at the spelling of the URL, and at this machine's network",
            ) from error
        self._resolved = True

    async def _exchange(
        self,
        stage: str,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        largest: int,
        departure: _Departure,
    ) -> Response:
        import httpx

        from aoshell.bounded import http

        def progress(count: int) -> None:
            self._waiting.progress(count, answer.headers.get("content-length", ""))

        who = place(self.endpoint, url)
        trace = self._tracer(stage, who, departure)
        if self._transport is not None:  # it does not report its steps
            departure.begin()
        self._waiting.enter_stage(stage, who)
        raw = [(name.encode("utf-8"), _octets(value)) for name, value in headers]
        try:
            request = self._client().build_request(
                method, url, headers=raw, content=body, extensions={"trace": trace}
            )
            answer = await http.send(self._client(), request)
            try:
                content = await http.read_body(answer, largest, progress)
            finally:
                await answer.aclose()
        except http.ResponseLimitError as error:
            raise AoError(
                f"{who} {error}", stage=stage, hint="nothing of it was used; .doctor looks at it"
            ) from None
        except httpx.HTTPError as error:
            raise self._as_transient(error, stage, url) from error
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"{brief(url)} cannot be asked for: {error}") from error
        read = tuple(
            (name.decode("latin-1").lower(), _characters(value))
            for name, value in answer.headers.raw
        )
        read, content = mended(read, content)
        return Response(url, answer.status_code, read, content, who, self.withholds)

    def _tracer(self, stage: str, who: str, departure: _Departure) -> Callable[[str, object], Any]:
        names = {
            "connect_tcp.started": "connect",
            "start_tls.started": "TLS",
            _GOES_OUT: stage,
        }

        async def trace(event: str, _info: object) -> None:
            step = event.partition(".")[2]
            if step == _GOES_OUT:
                departure.begin()
            if name := names.get(step):
                self._waiting.enter_stage(name, who)

        return trace

    def _client(self) -> httpx.AsyncClient:
        if self._made is None:
            import httpx

            from aoshell.bounded import http

            loopback = is_loopback(self.endpoint)
            # Redirects stay on the host, so the same proxy settings fit all requests.
            direct = dict.fromkeys(("all://", "http://", "https://")) if loopback else None
            headers = {"user-agent": "aoshell", "accept": "*/*", "accept-encoding": http.ACCEPTED}
            self._made = http.guard_client(
                httpx.AsyncClient(
                    verify=http.trusted(),
                    transport=self._transport,
                    mounts=direct,
                    timeout=httpx.Timeout(None, connect=CONNECT),
                    follow_redirects=False,
                    headers=headers,
                )
            )
        return self._made

    def _as_transient(self, error: httpx.HTTPError, stage: str, url: str) -> _TransientError:
        """Turn an error of the library into one that names the stage and the host that failed.

        Raises:
            AoError: stage "TLS"; another try would not help.
        """
        import httpx

        host, cause = host_of(url), _root(error)
        unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"{host} is not who it says it is: {_tls(cause)}"
            hint = "its certificate is not valid for this name; aoshell never ignores that"
            raise AoError(what, stage="TLS", hint=hint) from error
        if isinstance(cause, ssl.SSLError):
            what = f"{host} does not speak TLS as it should: {_tls(cause)}"
            raise AoError(what, stage="TLS", hint="is the URL one of https?") from error
        # The library's message may hold bytes of the answer.
        words = "" if self.withholds else f": {error or type(error).__name__}"
        proxy = proxy_of(url)
        between = f"the proxy {host_of(proxy)} before {host}" if proxy else host
        if isinstance(error, httpx.ConnectTimeout):
            what, at = f"{between} does not take connections (none within {CONNECT:g} s)", "connect"
        elif isinstance(error, httpx.ProxyError):
            what, at = f"{between} refuses{words}", "connect"
        elif isinstance(error, httpx.ConnectError):
            why = getattr(cause, "strerror", None) or str(cause) or "no answer"
            what, at = f"{between} does not take connections: {why}", "connect"
        elif isinstance(error, httpx.RemoteProtocolError) and "illegal" in str(error).lower():
            hint = "a value with a line break in a header does that; .doctor looks at the node"
            raise NotHttpError(
                f"the answer of {between} is not HTTP{words}", stage=stage, hint=hint
            )
        elif isinstance(error, httpx.RemoteProtocolError):
            what, at = f"{between} broke its answer off{words}", stage
        else:
            what, at = f"the connection to {between} was lost{words}", stage
        hint = f"is it running, and is the URL right? .doctor looks at {self.endpoint}"
        kind = AoError if unsent else ConnectionLostError
        return _TransientError(kind(what, stage=at, hint=hint), unsent=unsent)

    def _redirect(self, answer: Response, stage: str, method: str) -> str:
        """The URL that an answer redirects to, "" if it does not redirect.

        Raises:
            AoError: the redirect is not followed.
        """
        location = answer.header("location")
        if answer.status not in (301, 302, 303, 307, 308) or not location:
            return ""
        import httpx

        try:
            onward = str(httpx.URL(answer.url).join(location))
            _ = urlsplit(onward).port  # raises where it is none
        except (httpx.InvalidURL, ValueError):  # also of bytes that are no UTF-8
            onward = ""
        why = self._not_followed(answer.url, onward, method)
        if why:
            where = "elsewhere" if self.withholds else f"to {brief(onward or location)}"
            raise AoError(f"{answer.by} redirects {where}, {why}", stage=stage, hint=_BY_NAME)
        return onward

    def _not_followed(self, url: str, onward: str, method: str) -> str:
        """Why a redirect is not followed, "" if it is."""
        here, there = urlsplit(url), urlsplit(onward)
        own, other = here.hostname or "", there.hostname or ""
        if not is_host(other) or there.scheme not in ("http", "https"):
            return "which is no URL of a node"
        # Arweave gateways serve each transaction from its own subdomain.
        above = own.partition(".")[2]
        near = other == own or other.endswith("." + own)
        if not near and not (self._siblings and "." in above and other.endswith("." + above)):
            return "which is another host"
        if (here.scheme, there.scheme) == ("https", "http"):
            return "which is not encrypted"
        return "" if method == "GET" else "and only reads are sent on"


class _Departure:
    """Whether the request of one try has begun to be sent.

    Args:
        tell: called when that begins.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.begun = False
        self._tell = tell

    def begin(self) -> None:
        self.begun = True
        self._tell()


class _TransientError(Exception):
    """A failure after which another try may succeed.

    Attributes:
        error: error for the caller after the last try.
        unsent: whether the request was certainly not sent.
        stalled: whether time ran out.
    """

    def __init__(self, error: AoError, *, unsent: bool, stalled: bool = False) -> None:
        super().__init__(error.what)
        self.error = error
        self.unsent = unsent
        self.stalled = stalled


def checked_endpoint(endpoint: str) -> str:
    """An endpoint without its last slash. Raises UsageError if it is no URL of http or https."""
    if not is_web_url(endpoint) or set("?# ") & set(endpoint):
        raise UsageError(
            f"{brief(endpoint)} is no URL of a node", hint="like https://router.example:8734"
        )
    return endpoint.rstrip("/")


def _pause(attempt: int) -> float:
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return pause * random.uniform(0.8, 1.2)


def _asked_pause(answer: Response) -> float:
    """Seconds in `Retry-After` (RFC 9110 section 10.2.3), bounded; 0 if there are none."""
    asked = answer.header("retry-after")
    return min(LONGEST_PAUSE, float(asked)) if asked.isdecimal() and len(asked) < 6 else 0.0


def _octets(value: str) -> bytes:
    """A header's value as bytes: AO allows any bytes in it, except line breaks."""
    return value.encode("utf-8", "surrogateescape")


def _characters(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _root(error: BaseException) -> BaseException:
    """The first cause of an error."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _tls(error: ssl.SSLError) -> str:
    reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
    return str(reason).replace("_", " ").lower()
