"""Who may ask: Host, origins, preflights, the token."""

from __future__ import annotations

import pytest
from asgi_client import LOOPBACK, Echo, Sender, ask
from eventually import in_loop

from aoshell.serve.asgi.app import Application
from aoshell.serve.asgi.http import Request, RequestError
from aoshell.serve.asgi.safety import ANY, Guard, has_token, refuse_other_pages

EVIL = ("origin", "https://evil.example")


def app(echo: Echo, **options: object) -> Application:
    return Application([echo], Guard(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:4000",
        "127.1.2.3:1",
        "localhost:4000",
        "LOCALHOST",
        "localhost.",
        "app.localhost:4000",
        "[::1]:4000",
        "[::1]",
    ],
)
@in_loop
async def test_names_of_loopback_are_answered(host: str) -> None:
    assert (await ask(app(Echo()), headers=[("host", host)])).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:4000",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "notlocalhost",
        "192.168.1.5:4000",
        "0.0.0.0:4000",
        "[::]",
        "[2001:db8::1]:4000",
        "2130706433",
        "0x7f.1",
        "",
        "[::1",
        "user@evil.test",
        "evil.test#localhost",
        "localhost:80@evil.test",
        "localhost:80; script-src *",
        "[::1]evil.test",
    ],
)
@in_loop
async def test_other_names_are_refused(host: str) -> None:
    echo = Echo()
    answer = await ask(app(echo), headers=[("host", host)])
    assert answer.status == 421 and not echo.asked


@pytest.mark.parametrize("hosts", [[], ["localhost", "evil.test"], ["localhost", "localhost"]])
@in_loop
async def test_a_request_has_one_host(hosts: list[str]) -> None:
    assert (await ask(app(Echo()), headers=[("host", host) for host in hosts])).status == 400


@pytest.mark.parametrize("origins", [["http://localhost", EVIL[1]], ["http://localhost"] * 2])
@in_loop
async def test_a_request_has_one_origin(origins: list[str]) -> None:
    echo = Echo()
    head = [LOOPBACK, *(("origin", origin) for origin in origins)]
    assert (await ask(app(echo), headers=head)).status == 400 and not echo.asked


@in_loop
async def test_names_that_are_given_are_answered() -> None:
    named = app(Echo(), names=["10.0.0.7", "Box.lan"])
    for host, status in [("box.lan:4000", 200), ("10.0.0.7", 200), ("10.0.0.8", 421)]:
        assert (await ask(named, headers=[("host", host)])).status == status
    everywhere = app(Echo(), any_address=True)
    for host, status in [("192.168.1.5:4000", 200), ("[2001:db8::1]", 200), ("evil.test", 421)]:
        assert (await ask(everywhere, headers=[("host", host)])).status == status


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("https://127.0.0.1", True),
        ("http://[::1]:8080", True),
        ("http://app.localhost", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("null", False),
        ("file://", False),
        ("chrome-extension://localhost", False),
        ("http://localhost@evil.example", False),
        ("http://evil.example#@localhost", False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "HEAD"])
@in_loop
async def test_pages_from_elsewhere_are_refused(origin: str, allowed: bool, method: str) -> None:
    echo = Echo()
    answer = await ask(app(echo), method, headers=[LOOPBACK, ("origin", origin)])
    assert (answer.status != 403) is allowed
    assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    assert answer.headers["vary"] == "origin"
    assert allowed or not echo.asked


@in_loop
async def test_a_refused_body_is_not_read() -> None:
    """Also a simple POST, which a browser sends without a preflight."""
    sender = Sender([b"x" * 100, b"y"])
    head = [LOOPBACK, EVIL, ("content-type", "text/plain"), ("content-length", "101")]
    answer = await ask(app(Echo()), "POST", headers=head, sender=sender)
    assert (answer.status, sender.read) == (403, 0)
    assert answer.headers["connection"] == "close"


@in_loop
async def test_origins_that_are_given_are_allowed() -> None:
    named = app(Echo(), origins=["https://dapp.example"])
    for origin, status in [("https://dapp.example", 200), ("http://dapp.example", 403)]:
        assert (await ask(named, headers=[LOOPBACK, ("origin", origin)])).status == status
    for origin in ("null", "https://x"):
        answer = await ask(app(Echo(), origins=[ANY]), headers=[LOOPBACK, ("origin", origin)])
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "*"


@in_loop
async def test_a_preflight_is_answered_as_browsers_need_it() -> None:
    head = [
        LOOPBACK,
        ("origin", "https://x"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type"),
        ("access-control-request-private-network", "true"),
    ]
    echo = Echo()
    answer = await ask(app(echo, origins=[ANY]), "OPTIONS", "/any/where", head)
    assert (answer.status, answer.body, echo.asked) == (204, b"", [])
    given = answer.headers
    assert given["access-control-allow-origin"] == "*"
    assert "DELETE" in given["access-control-allow-methods"]
    assert given["access-control-allow-headers"] == "authorization, content-type"
    assert given["access-control-allow-private-network"] == "true"
    assert int(given["access-control-max-age"]) > 0
    plain = await ask(app(echo, origins=[ANY]), "OPTIONS", headers=head[:2])
    assert "access-control-allow-private-network" not in plain.headers


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        ("Bearer s3cret", True),
        ("bearer  s3cret ", True),
        ("Bearer s3cre", False),
        ("Bearer s3crets", False),
        ("Basic s3cret", False),
        ("s3cret", False),
        ("Bearer \xff", False),
        ("", False),
    ],
)
def test_the_token(given: str, passes: bool) -> None:
    request = Request("POST", "/", "", (("authorization", given),))
    assert has_token(request, "s3cret") is passes


def test_the_token_counts_in_authorization_only() -> None:
    head = (("cookie", "token=s3cret"), ("x-token", "s3cret"))
    assert not has_token(Request("POST", "/", "token=s3cret", head, b"Bearer s3cret"), "s3cret")


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_what_a_page_elsewhere_asks_without_an_origin_is_refused(site: str) -> None:
    """A request with an origin has passed the guard, which checks `--cors`."""
    headers = (("sec-fetch-site", site),)
    with pytest.raises(RequestError, match="not for pages") as refused:
        refuse_other_pages(Request("GET", "/", headers=headers), "not for pages elsewhere")
    assert refused.value.status == 403
    refuse_other_pages(Request("GET", "/", headers=(*headers, EVIL)), "not for pages elsewhere")


@pytest.mark.parametrize("site", ["", "none", "same-origin"])
def test_what_is_typed_or_asked_by_our_own_page_is_answered(site: str) -> None:
    headers = (("sec-fetch-site", site),) if site else ()
    refuse_other_pages(Request("GET", "/", headers=headers), "not for pages elsewhere")
