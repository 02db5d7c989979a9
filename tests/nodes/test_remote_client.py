"""One exchange with a node that misbehaves, and what an error says of it."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import time
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest
from http_server import (
    OK,
    OutOfTime,
    Script,
    Server,
    asked,
    drips,
    failing,
    get,
    half_closes,
    keeps_silent,
    mocked,
    post,
    quick,
    says,
    time_runs_out,
)

from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.http import doctor
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client, ConnectionLostError
from aoshell.nodes.remote.http.progress import Waiting

__all__ = ["quick", "time_runs_out"]  # fixtures


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
def test_slow_answers_have_an_end(script: Script, time_runs_out: OutOfTime) -> None:
    server = Server(time_runs_out(script))
    error = failing(
        server, lambda client: client.ask("schedule", "POST", "/x", body=b"i", seconds=0.5)
    )
    assert isinstance(error, ConnectionLostError)
    assert (error.stage, "did not answer within 0.5 s" in error.what) == ("schedule", True)
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
        client = Client(url, Waiting())
        try:
            await client.ask("schedule", "POST", "/", body=b"item", message="m")
        finally:
            assert client.departed == ""

    with pytest.raises(AoError, match="does not take connections") as caught:
        asyncio.run(whole())
    assert caught.value.stage == "connect"
    assert not isinstance(caught.value, ConnectionLostError)


def test_what_goes_out_has_departed() -> None:
    async def both(client: Client) -> Response:
        await client.ask("schedule", "POST", "/", body=b"item", message="m")
        answer = await client.get("read", "/")
        assert client.departed == "m"
        return answer

    assert asked(Server(says(OK)), both).ok


def test_a_look_up_that_takes_too_long_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole() -> None:
        async def never(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
        client = Client("https://node.example", Waiting())
        try:
            await client.ask("schedule", "POST", "/", body=b"i", seconds=0.05, message="m")
        finally:
            assert client.departed == ""

    with pytest.raises(AoError, match="did not answer") as caught:
        asyncio.run(whole())
    assert (type(caught.value), caught.value.stage) == (AoError, "resolve")


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
    doctor.check_clock(Response("", 200, (("date", date),), b""))


@pytest.mark.parametrize(
    ("seconds", "what"),
    [(7200, "120 min ahead of"), (-7200, "120 min behind"), (299, "")],
)
def test_a_clock_that_is_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch, seconds: int, what: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000)
    answer = Response("", 200, (("date", formatdate(1_700_000_000 + seconds, usegmt=True)),), b"")
    if not what:
        doctor.check_clock(answer)
        return
    with pytest.raises(AoError, match=what) as raised:
        doctor.check_clock(answer)
    assert raised.value.stage == "clock"


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (200, b"<html>hello</html>", "http://node.example answers with a web page"),
        (404, b"nothing here", "http://node.example answers 404"),
        (200, b"fine", ""),
    ],
)
def test_an_endpoint_that_is_another_thing_is_told(status: int, body: bytes, what: str) -> None:
    async def answered() -> Response:
        kind = "text/html" if body.startswith(b"<") else "text/plain"
        return Response("http://node.example", status, (("content-type", kind),), body)

    async def checked() -> str:
        return await doctor.check_usable(answered())

    if not what:
        assert asyncio.run(checked()) == "answers"
        return
    with pytest.raises(AoError, match=what) as raised:
        asyncio.run(checked())
    assert (raised.value.stage, raised.value.hint) == ("answer", "is the URL right?")


@pytest.mark.parametrize(
    ("answer", "due"),
    [
        (b"HTTP/1.1 500 XQMARK\r\nx: XQMARK\r\ncontent-length: 6\r\n\r\nXQMARK", "500"),
        (b"XQMARK 200 OK\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nXQMARK\r\n\r\n", "is not HTTP"),
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
        raise AoError(f"{found.by}: {found.status} {found.summary()}", stage="read", hint="x")

    error = failing(Server(says(answer)), ask)
    assert due in error.what and "XQMARK" not in str(error)


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
