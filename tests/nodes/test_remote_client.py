"""One exchange with a node that misbehaves: what is told, and what is sent how often.

Against servers on loopback that do to a connection what real ones do, and `httpx.MockTransport`
where only the answer matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.http import client as http
from aoshell.nodes.remote.http import doctor
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client, ConnectionLostError
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.protocol.url import is_loopback, unprotected

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)


class Server:
    """Does as its scripts say, one a connection, the last one for all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"),
                0,
            )
            self.requests.append(head + await reader.readexactly(length))
            await script(reader, writer)
        writer.close()


def says(raw: bytes, *, linger: float = 0.0) -> Script:
    """Writes and closes; `linger` keeps the connection open for so many seconds before."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        await asyncio.sleep(linger)

    return script


async def drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def keeps_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def half_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await reader.read()


# Seconds for an answer that does not come; the next ones where not even the connection, which is in
# the same time, came about: the machine is busy.
WITHIN = (0.5, 5.0, 30.0)
Ask = Callable[[Client], Awaitable[Response]]


def get(client: Client) -> Awaitable[Response]:
    return client.get("read", "/x", seconds=60)


def post(client: Client) -> Awaitable[Response]:
    return client.ask("schedule", "POST", "/x", body=b"item", seconds=60)


def asked(server: Server, ask: Ask, tls: ssl.SSLContext | None = None) -> Response:
    async def whole() -> Response:
        async with server.serving(tls):
            client = Client(server.url, Waiting())
            try:
                return await ask(client)
            finally:
                await client.close()

    return asyncio.run(asyncio.wait_for(whole(), 60))


def failing(server: Server, ask: Ask, tls: ssl.SSLContext | None = None) -> AoError:
    with pytest.raises(AoError) as caught:
        asked(server, ask, tls)
    assert caught.value.hint
    return caught.value


# Connections that break ------------------------------------------------------------------------

BROKEN = [
    pytest.param(says(b""), id="closed at once"),
    pytest.param(half_closes, id="half closed"),
    pytest.param(says(b"HTTP/1.1 200 OK\r\ncontent-le"), id="head cut"),
    pytest.param(says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"), id="body cut"),
    pytest.param(
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"), id="chunk cut"
    ),
    pytest.param(says(b"SSH-2.0-OpenSSH_9.6\r\n"), id="no HTTP"),
]


@pytest.mark.parametrize("script", BROKEN)
def test_a_broken_answer_to_a_post(script: Script) -> None:
    server = Server(script)
    error = failing(server, post)
    assert isinstance(error, ConnectionLostError)
    assert error.stage == "schedule"
    assert server.url.removeprefix("http://") in error.what
    assert len(server.requests) == 1  # whatever became of it, it is not sent twice


@pytest.mark.parametrize("script", BROKEN)
def test_a_broken_answer_to_a_read_is_asked_for_again(script: Script) -> None:
    server = Server(script, script, says(OK))
    assert asked(server, get).json("read") == {}
    assert len(server.requests) == 3


@pytest.mark.parametrize("script", [drips, keeps_silent], ids=["slow-loris", "silence"])
def test_slow_answers_have_an_end(script: Script) -> None:
    for seconds in WITHIN:
        server = Server(script)

        def ask(client: Client, seconds: float = seconds) -> Awaitable[Response]:
            return client.ask("schedule", "POST", "/x", body=b"i", seconds=seconds)

        error = failing(server, ask)
        if error.stage != "connect":
            break
    assert isinstance(error, ConnectionLostError)
    assert error.stage == "schedule"
    assert f"did not answer within {seconds:g} s" in error.what
    assert len(server.requests) == 1


def test_too_large_answers_end_early() -> None:
    announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 5000
    server = Server(says(announced, linger=5))
    error = failing(server, lambda client: client.get("read", "/x", largest=1000))
    assert "answers with more than" in error.what
    assert len(server.requests) == 1


def test_a_compressed_flood_ends_early() -> None:
    import gzip

    bomb = gzip.compress(bytes(20 << 20))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    error = failing(
        Server(says(head + bomb)), lambda client: client.get("read", "/x", largest=1 << 20)
    )
    assert "more than 1 MB" in error.what


# Endpoints that are not there --------------------------------------------------------------------


def test_nobody_listens() -> None:
    async def whole() -> None:
        async with Server(says(OK)).serving() as server:
            url = server.url
        await Client(url, Waiting()).ask("schedule", "POST", "/", body=b"item")

    with pytest.raises(AoError, match="does not take connections") as caught:
        asyncio.run(whole())
    assert caught.value.stage == "connect"
    assert not isinstance(caught.value, ConnectionLostError)


def test_an_unknown_name() -> None:
    client = Client("https://no-such-host.invalid", Waiting())
    with pytest.raises(AoError, match=r"no-such-host\.invalid is not known") as caught:
        asyncio.run(client.get("read", "/"))
    assert caught.value.stage == "resolve"


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    server = Server(says(OK))
    error = failing(server, post, self_signed(tmp_path))
    assert error.stage == "TLS"
    assert "is not who it says it is" in error.what
    assert not server.requests


def self_signed(folder: Path) -> ssl.SSLContext:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2100))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    return context


def test_tls_where_there_is_none() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def whole() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await Client(f"https://localhost:{port}", Waiting()).get("read", "/")

    with pytest.raises(AoError, match="does not speak TLS") as caught:
        asyncio.run(asyncio.wait_for(whole(), 60))
    assert caught.value.stage == "TLS"


@pytest.mark.parametrize(
    "url", ["", "node.example", "ftp://x", "http://", "http://x/?a=1", "http://x/#y", "file:///etc"]
)
def test_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(UsageError):
        Client(url, Waiting())


# Answers -----------------------------------------------------------------------------------------


def mocked(*answers: httpx.Response | Exception, url: str = "https://node.example") -> Client:
    """A client to which a network answers in turn, the last answer for ever."""
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        client.seen.append(request)  # type: ignore[attr-defined]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = Client(url, Waiting(), httpx.MockTransport(handle))
    client.seen = []  # type: ignore[attr-defined]
    return client


def seen(client: Client) -> list[httpx.Request]:
    found: list[httpx.Request] = client.seen  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(
    ("response", "what"),
    [
        (httpx.Response(200, html="<html><title>Sign in</title>"), "answered HTML where"),
        (httpx.Response(200, text=""), "answered nothing where"),
        (httpx.Response(200, text="hello"), "answered text/plain; charset=utf-8 .'hello'."),
        (httpx.Response(200, content=b"\xff\xfe"), "answered something"),
        (httpx.Response(200, content=b"[" * 100_000), "JSON that is nested deeper than 128"),
        (httpx.Response(200, content=b'{"a": ' + b"9" * 10_000 + b"}"), "of more than 100 digits"),
    ],
)
def test_what_is_no_json(response: httpx.Response, what: str) -> None:
    answer = asyncio.run(mocked(response).get("read", "/x"))
    with pytest.raises(AoError, match=what) as caught:
        answer.json("read")
    assert (caught.value.stage, len(str(caught.value)) < 400) == ("read", True)
    assert "https://node.example/x" in caught.value.what


def test_json_is_taken_whatever_it_is_called() -> None:
    response = httpx.Response(200, content=b'{"a": 1}', headers={"content-type": "text/html"})
    assert asyncio.run(mocked(response).get("read", "/")).json("read") == {"a": 1}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_busy_reads_are_asked_again(status: int) -> None:
    client = mocked(httpx.Response(status), httpx.Response(status), httpx.Response(200))
    assert asyncio.run(client.get("read", "/")).ok
    assert len(seen(client)) == 3


@pytest.mark.parametrize(("status", "times"), [(429, 5), (503, 5), (502, 1), (504, 1), (500, 1)])
def test_busy_writes_are_sent_again_only_where_nothing_was_done(status: int, times: int) -> None:
    client = mocked(httpx.Response(status))
    assert asyncio.run(client.ask("schedule", "POST", "/", body=b"item")).status == status
    assert len(seen(client)) == times


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    client = mocked(
        httpx.Response(status, headers={"retry-after": "3"}),
        httpx.Response(status, headers={"retry-after": "99999"}),
        httpx.Response(status, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        httpx.Response(200),
    )
    assert asyncio.run(client.get("read", "/")).ok
    assert pauses[:2] == [3.0, http.LONGEST_PAUSE]
    assert pauses[2] < 1


def test_why_it_takes_long_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, stages = Waiting(), []

    async def sleep(_: float) -> None:
        stages.append(waiting.stage)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    answers = iter([httpx.Response(429), httpx.Response(200)])
    transport = httpx.MockTransport(lambda _: next(answers))
    asyncio.run(Client("https://node.example", waiting, transport).get("read", "/"))
    (stage,) = stages
    assert stage is not None
    assert (stage.name, stage.where) == ("read", "https://node.example")
    assert stage.note.startswith("busy (429); try 2 of 5")
    assert waiting.stage is None


def test_how_much_is_there_is_seen() -> None:
    waiting, notes = Waiting(), set[str]()

    class Counted(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(3):
                yield bytes(1 << 20)
                notes.add(waiting.stage.note if waiting.stage else "")

    length = {"content-length": str(3 << 20)}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Counted(), headers=length))
    asyncio.run(Client("https://node.example", waiting, transport).get("fetch", "/"))
    assert {"1 of 3 MB", "2 of 3 MB"} <= notes


def test_what_never_left_may_go_again() -> None:
    client = mocked(httpx.ConnectError("refused"), httpx.Response(202))
    assert asyncio.run(client.ask("schedule", "POST", "/", body=b"item")).status == 202
    assert len(seen(client)) == 2


def test_what_may_have_arrived_does_not() -> None:
    for error in (httpx.ReadError("reset"), httpx.WriteError("gone"), httpx.ReadTimeout("late")):
        client = mocked(error)
        with pytest.raises(ConnectionLostError):
            asyncio.run(client.ask("schedule", "POST", "/", body=b"item"))
        assert len(seen(client)) == 1


def test_giving_up_is_not_held_up() -> None:
    async def whole() -> None:
        async with Server(keeps_silent).serving() as server:
            waiting = Waiting()
            client = Client(server.url, waiting)
            task = asyncio.ensure_future(client.get("read", "/"))
            while not server.requests:
                await asyncio.sleep(0.01)
            assert waiting.stage is not None and waiting.stage.name == "read"
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 20)
            assert waiting.stage is None
            await client.close()

    asyncio.run(whole())


# Redirects ---------------------------------------------------------------------------------------


def redirect(location: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"location": location})


@pytest.mark.parametrize(
    "location", ["/other", "https://node.example/other", "https://a.node.example/other", "other"]
)
def test_near_redirects_are_followed(location: str) -> None:
    client = mocked(redirect(location), httpx.Response(200))
    answer = asyncio.run(client.get("read", "/x"))
    assert answer.ok and answer.url.endswith("/other")


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/",
        "https://node.example.evil.example/",
        "https://evilnode.example/",
        "http://node.example/",
        "//evil.example/",
        "file:///etc/passwd",
        "http://[",
    ],
)
def test_far_redirects_are_not(location: str) -> None:
    client = mocked(redirect(location), httpx.Response(200))
    with pytest.raises(AoError, match=r"node\.example redirects to") as caught:
        asyncio.run(client.get("read", "/x"))
    assert caught.value.stage == "read"
    assert len(seen(client)) == 1
    client = mocked(redirect(location), httpx.Response(200))
    client.withholds = True
    with pytest.raises(AoError, match=r"redirects elsewhere, which is") as caught:
        asyncio.run(client.get("read", "/x"))
    assert "evil" not in str(caught.value) and "passwd" not in str(caught.value)


@pytest.mark.parametrize(
    "location",
    [
        b"/\xff",
        b"\x80://x",
        b"http://localhost:99999/evil",
        b"http://localhost:-1/evil",
        b"//[evil",
        "http://localhost:٩٩٩٩٩/evil".encode(),
    ],
)
@pytest.mark.parametrize("withheld", [False, True])
def test_a_redirect_to_what_is_no_url_is_an_error(location: bytes, withheld: bool) -> None:
    async def whole() -> None:
        raw = b"HTTP/1.1 302 Found\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % location
        async with Server(says(raw)).serving() as server:
            client = Client(server.url, Waiting())
            client.withholds = withheld
            with pytest.raises(AoError, match=r"redirects .*, which is") as caught:
                await client.get("read", "/x")
            assert not withheld or "evil" not in str(caught.value)
            await client.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    "date",
    [
        "",
        "soon",
        "01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2020 00:00:00 +9999999999999999",
    ],
)
def test_a_date_that_is_none_says_nothing_of_a_clock(date: str) -> None:
    doctor.clock(Response("", 200, (("date", date),), b""))


def moved(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()


async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    return port


LATER = [
    pytest.param(None, "does not take connections", "connect", id="a dead port"),
    pytest.param(keeps_silent, "did not answer within", "read", id="silence"),
    pytest.param(says(b"HTTP/1.1 200 OK\r\ncontent-le"), "broke its answer off", "read", id="cut"),
    pytest.param(says(b"nonsense\r\n\r\n"), "broke its answer off", "read", id="no HTTP"),
    pytest.param(says(OK[:-2] + b"x" * 2), "where JSON is due", "read", id="no JSON"),
    pytest.param(says(moved("http://evil.example/")), "redirects to", "read", id="elsewhere"),
    pytest.param(
        says(OK.replace(b" 2\r", b" 9999\r") + b"x" * 9997), "more than", "read", id="large"
    ),
]


@pytest.mark.parametrize(("script", "what", "stage"), LATER)
def test_errors_behind_a_redirect_name_who_failed(
    script: Script | None, what: str, stage: str
) -> None:
    async def whole(seconds: float) -> tuple[AoError, str, str]:
        second = Server(script or keeps_silent)
        async with second.serving():
            port = await free_port()
            url = second.url if script else f"http://localhost:{port}"
            async with Server(says(moved(f"{url}/there"))).serving() as first:
                client = Client(first.url, Waiting())
                try:
                    answer = await client.ask("read", "GET", "/x", seconds=seconds, largest=5000)
                    answer.json("read")
                except AoError as error:
                    return error, url, first.url
                finally:
                    await client.close()
        raise AssertionError("it went well")

    for seconds in WITHIN if script is keeps_silent else (60,):
        error, second, first = asyncio.run(asyncio.wait_for(whole(seconds), 60))
        if error.stage == stage:
            break
    assert what in error.what and error.stage == stage
    assert second.removeprefix("http://") in error.what
    assert first.removeprefix("http://") not in error.what


@pytest.mark.parametrize(
    ("answer", "due"),
    [
        (b"HTTP/1.1 500 XQMARK\r\nx: XQMARK\r\ncontent-length: 6\r\n\r\nXQMARK", "500"),
        (b"XQMARK 200 OK\r\n\r\n", "broke its answer off"),
        (b"HTTP/1.1 200 OK\r\nXQMARK\r\n\r\n", "broke its answer off"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\nXQMARK",
            "not compressed as they say",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, XQMARK\r\ncontent-length: 1\r\n\r\nX",
            "encodes its answer in a way that is not known here",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-type: XQMARK\r\ncontent-length: 1\r\n\r\nX", "something"),
    ],
)
def test_what_is_withheld_is_in_no_error(answer: bytes, due: str) -> None:
    async def ask(client: Client) -> Response:
        client.withholds = True
        found = await client.ask("read", "GET", "/x", seconds=60)
        if found.ok:
            found.json("read")
        raise AoError(f"{found.by}: {found.status} {found.said()}", stage="read", hint="x")

    error = failing(Server(says(answer)), ask)
    assert due in error.what and "XQMARK" not in str(error)


# Proxies -----------------------------------------------------------------------------------------

PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Name a proxy in the environment."""
    for name in (*PROXIES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    def name_it(url: str) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, url)

    return name_it


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2"])
def test_loopback_goes_through_no_proxy(proxied: Callable[[str], None], host: str) -> None:
    async def whole() -> None:
        async with Server(says(OK)).serving() as proxy:
            proxied(proxy.url)
            server = await asyncio.start_server(Server(says(OK))._connected, host, 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                client = Client(f"http://{host}:{port}", Waiting())
                assert (await client.get("read", "/x")).by == client.endpoint
                await client.close()
            assert not proxy.requests

    asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize(
    ("url", "script", "what"),
    [
        ("https://node.example", says(b"HTTP/1.1 502 Bad\r\n\r\n"), "refuses: 502 Bad"),
        ("http://node.example", says(b"HTTP/1.1 200"), "broke its answer off"),
        ("http://node.example", None, "does not take connections"),
    ],
)
def test_errors_name_the_proxy_that_failed(
    proxied: Callable[[str], None], url: str, script: Script | None, what: str
) -> None:
    async def whole() -> str:
        async with Server(script or says(OK)).serving() as proxy:
            proxied(proxy.url)
            if script:
                await Client(url, Waiting()).ask("read", "GET", "/x")
        await Client(url, Waiting()).ask("read", "GET", "/x")
        raise AssertionError("it went well")

    with pytest.raises(AoError, match=rf"the proxy localhost:\d+ before node\.example {what}"):
        asyncio.run(asyncio.wait_for(whole(), 60))


def test_what_is_far_goes_through_the_proxy(proxied: Callable[[str], None]) -> None:
    async def whole() -> None:
        async with Server(says(OK)).serving() as proxy:
            proxied(proxy.url)
            client = Client("http://node.example", Waiting())
            answer = await client.get("read", "/x")
            at = proxy.url.removeprefix("http://")
            assert answer.by == f"http://node.example (through the proxy {at})"
            assert b"http://node.example/x" in proxy.requests[0]
            await client.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://localhost:1/x", True),
        ("http://LOCALHOST.", True),
        ("http://a.localhost", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:1", True),
        ("http://[::ffff:127.0.0.1]", True),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://10.0.0.1", False),
        ("http://[::2]", False),
        ("http://node.example", False),
    ],
)
def test_what_is_loopback(url: str, near: bool) -> None:
    assert is_loopback(url) is near
    assert (unprotected([url]) == "") is near
    assert unprotected([url.replace("http:", "https:")]) == ""


def test_nothing_signed_follows_a_redirect() -> None:
    client = mocked(redirect("/other", 307), httpx.Response(200))
    with pytest.raises(AoError, match="redirects to"):
        asyncio.run(client.ask("schedule", "POST", "/", body=b"item", again=True))
    assert len(seen(client)) == 1


def test_redirects_in_a_circle() -> None:
    with pytest.raises(AoError, match="in a circle"):
        asyncio.run(mocked(redirect("/x")).get("read", "/x"))


@pytest.mark.parametrize(
    ("endpoint", "location", "followed"),
    [
        ("https://router.net.example", "https://one.net.example/x", True),
        ("https://router.net.example", "https://one.other.example/x", False),
        ("https://router.net.example", "https://evilnet.example/x", False),
        ("https://node.example", "https://evil.example/x", False),
    ],
)
def test_a_router_may_lead_beside_itself(endpoint: str, location: str, followed: bool) -> None:
    answers = iter([redirect(location, 307), httpx.Response(200)])
    transport = httpx.MockTransport(lambda _: next(answers))
    client = Client(endpoint, Waiting(), transport, siblings=True)
    with contextlib.nullcontext() if followed else pytest.raises(AoError):
        assert asyncio.run(client.get("schedule", "/x")).url == location


# Odd bytes ---------------------------------------------------------------------------------------


def test_bytes_in_headers_come_through() -> None:
    value = "na\u00efve \udcff"
    server = Server(says(OK.replace(b"application/json", b"na\xc3\xafve \xff")))
    answer = asked(
        server, lambda client: client.ask("read", "GET", "/", headers=[("x-tag", value)])
    )
    assert answer.header("content-type") == value
    assert b"x-tag: na\xc3\xafve \xff\r\n" in server.requests[0]


def test_a_header_with_a_line_break_is_not_sent() -> None:
    server = Server(says(OK))
    with pytest.raises(AoError):
        asked(server, lambda client: client.ask("read", "GET", "/", headers=[("x", "a\r\nb: c")]))
    assert not server.requests
