"""Bounds of requests, and what an answer says of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from asgi_client import LOOPBACK, Echo, Sender, ask
from eventually import in_loop, until

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.values import NotFoundError
from aoshell.serve.asgi import app as application
from aoshell.serve.asgi import load
from aoshell.serve.asgi.app import Application
from aoshell.serve.asgi.http import Request, RequestError, Response
from aoshell.serve.asgi.load import Bounds, Load
from aoshell.serve.asgi.safety import Guard


def app(echo: Echo, **options: object) -> Application:
    return Application([echo], Guard(), **options)  # type: ignore[arg-type]


@in_loop
async def test_a_request_reaches_the_role_as_it_was_sent() -> None:
    echo = Echo()
    head = [LOOPBACK, ("x-twice", "1"), ("x-twice", "\xff"), ("content-length", "6")]
    sender = Sender([b"ab", b"cd", b"ef"])
    await ask(app(echo), "POST", "/a%2Fb/~x@1.0/k=v&w?q=1&q=2&e", head, sender=sender)
    (asked,) = echo.asked
    assert (asked.method, asked.path, asked.query) == ("POST", "/a%2Fb/~x@1.0/k=v&w", "q=1&q=2&e")
    assert asked.segments == ("a%2Fb", "~x@1.0", "k=v&w")
    assert asked.parameters == (("q", "1"), ("q", "2"), ("e", ""))
    assert asked.has_parameter("e") and asked.parameter("q") == "1"
    assert [value for name, value in asked.headers if name == "x-twice"] == ["1", "\xff"]
    assert asked.body == b"abcdef"


@in_loop
async def test_head_is_get_without_a_body() -> None:
    echo = Echo()
    answer = await ask(app(echo), "HEAD")
    assert echo.asked[0].method == "GET"
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "4")


@in_loop
async def test_a_body_that_is_too_large_is_refused() -> None:
    echo, small = Echo(), Load(Bounds(body=1 << 20))
    announced = [LOOPBACK, ("content-length", str((1 << 20) + 1))]
    waits = Sender([b"x"])
    waiting = [*announced, ("expect", "100-continue")]
    answer = await ask(app(echo, load=small), "POST", headers=waiting, sender=waits)
    assert (answer.status, waits.read) == (413, 0)
    sends = Sender([b"x" * 1000] * 1100)  # what it sends is dropped, or it would see no answer
    answer = await ask(app(echo, load=small), "POST", headers=announced, sender=sends)
    assert (answer.status, sends.read) == (413, 1100)
    unannounced = Sender([b"x" * 1000] * 1100)
    head = [LOOPBACK, ("transfer-encoding", "chunked")]
    answer = await ask(app(echo, load=small), "POST", headers=head, sender=unannounced)
    assert answer.status == 413 and "1 MB" in answer.json()["error"]
    assert not echo.asked


@in_loop
async def test_what_is_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LARGEST_BODIES", 100)
    go = asyncio.Event()
    echo = Echo(before=lambda _: go.wait())
    shared = Load(Bounds(body=90, requests=3))
    one, other = app(echo, load=shared), app(echo, load=shared)  # of two ports
    waiting = [asyncio.ensure_future(ask(at, "POST", body=b"x" * 40)) for at in (one, other)]
    await until(lambda: len(echo.asked) == 2)
    assert (await ask(one, "POST", body=b"x" * 40)).status == 503  # bytes
    waiting.append(asyncio.ensure_future(ask(one)))
    await until(lambda: len(echo.asked) == 3)
    assert (await ask(one)).status == 503  # requests
    go.set()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 3
    assert (await ask(one, "POST", body=b"x" * 90)).status == 200


@in_loop
async def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "BODY_SECONDS", 0.05)
    sender = Sender([b"x", b"y"])
    sender.parts = [b"x"]

    async def receive() -> dict[str, object]:
        event = await Sender.receive(sender)
        return event | {"more_body": True}

    sender.receive = receive  # type: ignore[method-assign]
    head = [LOOPBACK, ("content-length", "2")]
    assert (await ask(app(Echo()), "POST", headers=head, sender=sender)).status == 408


@in_loop
async def test_an_answer_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "_NOTICED", 0.01)
    monkeypatch.setattr(application, "ANSWER_SECONDS", 0.05)
    never = asyncio.Event()
    assert (await ask(app(Echo(before=lambda _: never.wait())))).status == 504


@in_loop
async def test_large_answers_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LARGEST_ANSWERS", 3 << 20)
    most = 0
    one = app(Echo(response=Response(200, (), b"x" * (2 << 20))))

    class Slow(Sender):
        async def send(self, event: object) -> None:
            nonlocal most
            most = max(most, one._load.answers.held)
            await asyncio.sleep(0)
            await Sender.send(self, event)

    answers = await asyncio.gather(*(ask(one, sender=Slow()) for _ in range(5)))
    assert [len(answer.body) for answer in answers] == [2 << 20] * 5
    assert most == 2 << 20 and one._load.answers.held == 0
    larger = Echo(response=Response(200, (), b"x" * (4 << 20)))
    assert len((await ask(app(larger))).body) == 4 << 20


class _Counted(bytes):
    """Bytes that count their instances."""

    alive = most = 0

    def __init__(self, *_: object) -> None:
        _Counted.alive += 1
        _Counted.most = max(_Counted.most, _Counted.alive)

    def __del__(self) -> None:
        _Counted.alive -= 1


class _Maker:
    """A role whose every answer is made anew."""

    async def answer(self, _: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, (), _Counted(b"x" * (1 << 20)))


@in_loop
async def test_those_that_wait_for_room_hold_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LARGEST_ANSWERS", 3 << 20)
    monkeypatch.setattr(_Counted, "most", 0)
    one = Application([_Maker()], Guard())
    go = asyncio.Event()

    class Stalled(Sender):
        async def send(self, event: object) -> None:
            await go.wait()
            await Sender.send(self, event)

    asking = [asyncio.ensure_future(ask(one, sender=Stalled())) for _ in range(40)]
    await until(lambda: one._load.answers.held == 3 << 20)
    assert (await ask(one, "POST", body=b"x")).status == 503
    await until(lambda: _Counted.alive == 3)
    go.set()
    answers = await asyncio.gather(*asking)
    assert {(answer.status, len(answer.body)) for answer in answers} == {(200, 1 << 20)}
    assert _Counted.most <= 5 and _Counted.alive == one._load.answers.held == 0


@in_loop
async def test_work_for_a_client_that_has_gone_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "_NOTICED", 0.01)
    ended = asyncio.Event()

    async def work(_: Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    sender = Sender()
    asking = asyncio.ensure_future(ask(app(Echo(before=work)), sender=sender))
    sender.leaves.set()
    assert (await asking).status == 0
    await ended.wait()


@in_loop
async def test_a_client_that_goes_while_it_sends() -> None:
    echo, sender = Echo(), Sender([])
    sender.leaves.set()
    head = [LOOPBACK, ("content-length", "2")]
    assert (await ask(app(echo), "POST", headers=head, sender=sender)).status == 0
    assert not echo.asked


@in_loop
async def test_headers_and_parameters_are_bounded() -> None:
    many = [(f"x-{n}", "") for n in range(application.MOST_HEADERS)]
    assert (await ask(app(Echo()), headers=[LOOPBACK, *many])).status == 431
    assert (await ask(app(Echo()), headers=[LOOPBACK, *many[1:]])).status == 200
    for size, status in ((1_000_000, 200), (1_100_000, 431)):  # also in one header
        assert (await ask(app(Echo()), headers=[LOOPBACK, ("x", "v" * size)])).status == status
        assert (await ask(app(Echo()), target="/" + "v" * size)).status == status

    async def look(request: Request) -> None:
        request.parameters  # noqa: B018

    assert (await ask(app(Echo(before=look)), target="/?" + "a=1&" * 2000)).status == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestError(418, "tea"), 418),
        (NotFoundError("none", stage="node"), 404),
        (UsageError("so"), 400),
        (UnsupportedError("not here"), 501),
        (AoError("full", stage="machine"), 500),
    ],
)
@in_loop
async def test_errors_become_answers(error: Exception, status: int) -> None:
    async def fail(_: Request) -> None:
        raise error

    answer = await ask(app(Echo(before=fail)))
    assert answer.status == status and str(getattr(error, "what", error)) in answer.json()["error"]


@in_loop
async def test_no_answer_names_a_folder_of_this_machine(tmp_path: Path) -> None:
    told: list[AoError] = []

    async def fail(request: Request) -> None:
        if request.path == "/known":
            raise AoError(f"{tmp_path}/node.db is full", stage="store", hint=f"look at {tmp_path}")
        raise OSError(f"no room in {tmp_path}")

    hiding = app(Echo(before=fail), tell=told.append, hidden=[str(tmp_path)])
    for target in ("/known", "/unknown"):
        answer = await ask(hiding, target=target)
        assert answer.status == 500 and str(tmp_path) not in answer.body.decode()
    assert [str(tmp_path) in str(error) for error in told] == [True]


@in_loop
async def test_what_nobody_claims_is_not_found() -> None:
    answer = await ask(app(Echo(response=None)), "PUT", "/nothing")
    assert answer.status == 404 and "PUT /nothing" in answer.json()["error"]


@in_loop
async def test_a_role_can_set_headers_of_its_own() -> None:
    response = Response(200, (("access-control-expose-headers", "process"),))
    head = [LOOPBACK, ("origin", "http://localhost")]
    answer = await ask(app(Echo(response=response)), headers=head)
    assert answer.headers["access-control-expose-headers"] == "process"
