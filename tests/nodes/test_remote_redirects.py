"""Where redirects and proxies lead a request, and whom errors name then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import httpx
import pytest
from http_server import (
    OK,
    OutOfTime,
    Script,
    Server,
    keeps_silent,
    mocked,
    quick,
    redirect,
    says,
    seen,
    time_runs_out,
)

from aoshell.errors import AoError
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.protocol.url import is_loopback, unprotected

__all__ = ["quick", "time_runs_out"]  # fixtures


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
    pytest.param(says(b"nonsense\r\n\r\n"), "is not HTTP", "read", id="no HTTP"),
    pytest.param(says(OK[:-2] + b"x" * 2), "where JSON is due", "read", id="no JSON"),
    pytest.param(says(moved("http://evil.example/")), "redirects to", "read", id="elsewhere"),
    pytest.param(
        says(OK.replace(b" 2\r", b" 9999\r") + b"x" * 9997), "more than", "read", id="large"
    ),
]


@pytest.mark.parametrize(("script", "what", "stage"), LATER)
def test_errors_behind_a_redirect_name_who_failed(
    script: Script | None, what: str, stage: str, time_runs_out: OutOfTime
) -> None:
    async def whole() -> tuple[AoError, str, str]:
        silent = script is keeps_silent
        second = Server(time_runs_out(keeps_silent) if silent else script or keeps_silent)
        async with second.serving():
            port = await free_port()
            url = second.url if script else f"http://localhost:{port}"
            async with Server(says(moved(f"{url}/there"))).serving() as first:
                client = Client(first.url, Waiting())
                try:
                    answer = await client.ask("read", "GET", "/x", seconds=0.5, largest=5000)
                    answer.json("read")
                except AoError as error:
                    return error, url, first.url
                finally:
                    await client.close()
        raise AssertionError("it went well")

    error, second, first = asyncio.run(asyncio.wait_for(whole(), 60))
    assert what in error.what and error.stage == stage
    assert second.removeprefix("http://") in error.what
    assert first.removeprefix("http://") not in error.what


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
