"""One HTTP exchange with a remote node, and what may go wrong at each stage of it.

A `Client` belongs to one endpoint. Whatever fails comes out as an `AoError` that names the stage
(resolve, connect, TLS, then that of the caller: "schedule", "compute"…) and who failed: the
endpoint, the host that it redirects to, or the proxy before them. Answers are bounded in size and
time, redirects stay on their host, and a request is sent again only where that can do nothing
twice: a read, or the same signed item.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.progress import Waiting, tries_left
from aoshell.nodes.remote.http.route import place, proxy_of
from aoshell.protocol.encoding import brief
from aoshell.protocol.url import host_of, is_loopback

if TYPE_CHECKING:
    import httpx

CONNECT = 10.0  # seconds for name, connection and TLS together
ANSWER = 30.0  # seconds for a whole answer, unless the caller knows better
LARGEST = 64 << 20  # bytes of an answer
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between tries, doubled each time
REFUSED = frozenset({429, 503})  # not taken, come again
BUSY = REFUSED | {502, 504}  # or what stood between did not hear of it in time
REDIRECTS = 5
_BY_NAME = "name that URL yourself if you trust it"


class ConnectionLostError(AoError):
    """No answer to a request that may have arrived: what became of it is not known."""


class Client:
    """Requests to one endpoint.

    Args:
        endpoint: "http(s)://host[:port][/path]", without query.
        waiting: told which stage is under way.
        transport: stands in for the network, in tests.
        siblings: redirects may lead to hosts beside this one, as routers do that stand before
            several (router.example.net before one.example.net).

    Attributes:
        withholds: what an answer says unsigned is kept out of errors, and its `said()` is empty of
            it. Set where the user wants to be shown nothing that nobody vouches for.

    Raises:
        UsageError: the endpoint is no such URL.
    """

    def __init__(
        self,
        endpoint: str,
        waiting: Waiting,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        siblings: bool = False,
    ) -> None:
        self.endpoint = checked(endpoint)
        self.withholds = False
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
        """Read; tried again while the endpoint is busy or cannot be reached for a moment."""
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
    ) -> Response:
        """One request, and its answer whatever the status.

        Args:
            path: behind the endpoint, with its query.
            again: it does nothing twice, however often it arrives: it may be sent again.
            busy: statuses that mean "not now, and nothing was done"; by default those that do.
            seconds: for each try.

        Raises:
            Lost: it may have arrived, and there was no answer.
            AoError: with the stage that failed.
        """
        url = self.endpoint + path
        busy = (BUSY if again else REFUSED) if busy is None else busy
        async with self._waiting.during(stage, self.endpoint) as note:
            tries = tries_left(TRIES)
            for attempt in range(1, tries + 1):
                try:
                    answer = await self._once(stage, method, url, headers, body, seconds, largest)
                except _TransientError as error:
                    # What was never sent may be sent again, whatever it is. Who lets two requests
                    # stand will let the third.
                    last = attempt == (min(2, tries) if error.stalled else tries)
                    if last or not (again or error.unsent):
                        raise error.told from error
                    why, pause = error.told.what, _pause(attempt)
                else:
                    if answer.status not in busy or attempt == tries:
                        return answer
                    why = f"busy ({answer.status})"
                    pause = _asked_pause(answer) or _pause(attempt)
                note(f"{why}; try {attempt + 1} of {tries} in {pause:.1f} s")
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        """Let the connections go."""
        if self._made is not None:
            await self._made.aclose()

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
    ) -> Response:
        try:
            async with asyncio.timeout(seconds):
                await self._resolve()
                for _ in range(REDIRECTS):
                    answer = await self._exchange(stage, method, url, headers, body, largest)
                    onward = self._redirect(answer, stage, method)
                    if not onward:
                        return answer
                    url = onward
        except TimeoutError as error:
            at = self._waiting.stage
            raise _TransientError(
                ConnectionLostError(
                    f"{place(self.endpoint, url)} did not answer within {seconds:g} s",
                    stage=at.name if at else stage,
                    hint=f".doctor looks at what is wrong with {host_of(self.endpoint)}",
                ),
                unsent=False,
                stalled=True,
            ) from error
        raise AoError(f"{place(self.endpoint, url)} redirects in a circle", stage=stage)

    async def _resolve(self) -> None:
        """Look the name up once, so that a wrong one is told as such and at once."""
        host = urlsplit(self.endpoint).hostname or ""
        if self._resolved or self._transport is not None or proxy_of(self.endpoint):
            return
        self._waiting.pass_through("resolve", self.endpoint)
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
    ) -> Response:
        import httpx

        from aoshell.bounded import http

        def progress(count: int) -> None:
            self._waiting.progress(count, answer.headers.get("content-length", ""))

        who = place(self.endpoint, url)
        trace = self._tracer(stage, who)
        self._waiting.pass_through(stage, who)
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
            raise self._told(error, stage, url) from error
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"{brief(url)} cannot be asked for: {error}") from error
        read = tuple(
            (name.decode("latin-1").lower(), _characters(value))
            for name, value in answer.headers.raw
        )
        return Response(url, answer.status_code, read, content, who, self.withholds)

    def _tracer(self, stage: str, who: str) -> Callable[[str, object], Any]:
        names = {
            "connect_tcp.started": "connect",
            "start_tls.started": "TLS",
            "send_request_headers.started": stage,
        }

        async def trace(event: str, _info: object) -> None:
            name = names.get(event.partition(".")[2])
            if name:
                self._waiting.pass_through(name, who)

        return trace

    def _client(self) -> httpx.AsyncClient:
        if self._made is None:
            import httpx

            from aoshell.bounded import http

            loopback = is_loopback(self.endpoint)
            # Redirects stay on the host, so what counts for the endpoint counts for all.
            direct = dict.fromkeys(("all://", "http://", "https://")) if loopback else None
            headers = {"user-agent": "aoshell", "accept": "*/*", "accept-encoding": http.ACCEPTED}
            self._made = http.guard_client(
                httpx.AsyncClient(
                    transport=self._transport,
                    mounts=direct,
                    timeout=httpx.Timeout(None, connect=CONNECT),
                    follow_redirects=False,
                    headers=headers,
                )
            )
        return self._made

    def _told(self, error: httpx.HTTPError, stage: str, url: str) -> _TransientError:
        """An error of the library as the stage that failed."""
        import httpx

        host, cause = host_of(url), _root(error)
        unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"{host} is not who it says it is: {_tls(cause)}"
            hint = "the certificate does not match; aoshell never goes on without one that does"
            raise AoError(what, stage="TLS", hint=hint) from error
        if isinstance(cause, ssl.SSLError):
            what = f"{host} does not speak TLS as it should: {_tls(cause)}"
            raise AoError(what, stage="TLS", hint="is it https that it speaks?") from error
        # The library's words may hold bytes of the answer.
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
        elif isinstance(error, httpx.RemoteProtocolError):
            what, at = f"{between} broke its answer off{words}", stage
        else:
            what, at = f"{between} was lost{words}", stage
        hint = f"is it running, and is the URL right? .doctor looks at {self.endpoint}"
        told = AoError if unsent else ConnectionLostError
        return _TransientError(told(what, stage=at, hint=hint), unsent=unsent)

    def _redirect(self, answer: Response, stage: str, method: str) -> str:
        """Where an answer redirects to, "" where it does not."""
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
        """Why a redirect is not followed, "" where it is."""
        here, there = urlsplit(url), urlsplit(onward)
        own, other = here.hostname or "", there.hostname or ""
        if not other or there.scheme not in ("http", "https"):
            return "which is no URL of a node"
        # Gateways serve each transaction from a host of its own below theirs.
        above = own.partition(".")[2]
        near = other == own or other.endswith("." + own)
        if not near and not (self._siblings and "." in above and other.endswith("." + above)):
            return "which is another host"
        if (here.scheme, there.scheme) == ("https", "http"):
            return "which is not encrypted"
        return "" if method == "GET" else "and only reads are sent on"


class _TransientError(Exception):
    """A failure that may pass: worth another try where one does no harm."""

    def __init__(self, told: AoError, *, unsent: bool, stalled: bool = False) -> None:
        super().__init__(told.what)
        self.told = told
        self.unsent = unsent
        self.stalled = stalled


def checked(endpoint: str) -> str:
    """An endpoint without its last slash. Raises UsageError where it is no URL of http or https."""
    try:
        parts = urlsplit(endpoint)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the brackets or the port
        fine = False
    if not fine or set("?#") & set(endpoint) or not endpoint.isprintable() or " " in endpoint:
        raise UsageError(
            f"{brief(endpoint)} is no URL of a node", hint="like https://router.example:8734"
        )
    return endpoint.rstrip("/")


def _pause(attempt: int) -> float:
    pause: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return pause * random.uniform(0.8, 1.2)


def _asked_pause(answer: Response) -> float:
    """Seconds that a busy node asks for, bounded; 0 where it does not say."""
    asked = answer.header("retry-after")
    return min(LONGEST_PAUSE, float(asked)) if asked.isdecimal() and len(asked) < 6 else 0.0


def _octets(value: str) -> bytes:
    """A header's value as it is sent: AO puts any bytes there but the ends of lines."""
    return value.encode("utf-8", "surrogateescape")


def _characters(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _root(error: BaseException) -> BaseException:
    """The first cause of an error."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _tls(error: ssl.SSLError) -> str:
    said = getattr(error, "verify_message", "") or error.reason or "TLS failed"
    return str(said).replace("_", " ").lower()
