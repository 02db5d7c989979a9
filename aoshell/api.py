"""A session for programs: `async with aoshell.open("bank") as session`.

It does by calls what the prompt does by lines, on the same homes and nodes.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from aoshell.backends import Backend, LocalBackend, RemoteBackend
from aoshell.errors import UsageError
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.values import Limits, ProcessInfo
from aoshell.protocol.message import Result, raw, tags_of
from aoshell.shell.attached.questions import dryrun
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput, Outcome
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import DEFAULT_NAME, Start, close_session, open_session
from aoshell.testing.code import values
from aoshell.testing.recorded.recording import record_session
from aoshell.testing.testbed.answers import Answer, EvalFailed, make_answer, tag_text, tags_from
from aoshell.testing.testbed.stopping import stopped_with_us


class AoSession:
    """A session with one attached process. `open` makes it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._loop = asyncio.get_running_loop()
        self._closed = False

    async def close(self) -> None:
        """End the session and close its node, as `async with` does at its end."""
        self._closed = True
        await close_session(self.session)

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        # If the loop is gone, the objects that held the node are, too; they warn and release it.
        if not self._closed and self._loop.is_running():
            warn("a session was not closed", ResourceWarning, source=self)
            asyncio.run_coroutine_threadsafe(close_session(self.session), self._loop)

    @property
    def process(self) -> ProcessInfo:
        """The process that `eval` goes to. Raises AoError if there is none."""
        return self.session.attached

    @property
    def node(self) -> Node:
        """The node of the process."""
        return self.session.node

    async def eval(self, code: str) -> Answer:
        """Evaluate Lua in the process. Returns the answer once all that it caused is done.

        Cancelling also stops the computation (on the built-in node).

        Raises:
            EvalFailed: the code raised an error, or exceeded a limit.
            AoError: the message could not be made or sent.
        """
        async with self.session.turn, self._stopped_with_us():
            came_to = await self.session.evaluate(code)
            await self.session.settle()
        assert came_to.receipt is not None
        later = came_to.later
        answer = make_answer(came_to.receipt.id, await self._address(), came_to.own, later, {})
        if not answer.ok:
            raise EvalFailed(answer.error or answer.outcome)
        return answer

    async def send(
        self,
        action: str = "",
        data: str | bytes = b"",
        /,
        *,
        target: str = "",
        tags: Mapping[str, object] | None = None,
        **named: object,
    ) -> Answer:
        """Send a message signed by the wallet. Returns the answer once all that it caused is done.

        Cancelling also stops the computation (on the built-in node).

        Args:
            target: id of a process, the attached one by default.
            tags, named: its tags besides Action; in keywords `_` stands for `-`.

        Raises:
            AoError: the message could not be made or sent.
        """
        node, process = self.node, target or self.process.id
        given = {name: tag_text(value) for name, value in (tags or {}).items()}
        given |= tags_from(({"Action": action} if action else {}) | named)
        body = raw(data) if isinstance(data, str) else data
        item = await self.session.sign(process, tags_of(given.items()), body)
        receipt = await node.send(process, item)
        async with stopped_with_us(node, receipt):
            own = await node.result(process, receipt.place)
            await node.settled(receipt.id)
        return make_answer(receipt.id, await self._address(), own, None, {})

    async def value(self, expression: str) -> Any:
        """The value of a Lua expression in the process; changes nothing.

        Tables 1…n and empty tables become lists, other tables dicts; functions and the like become
        text.

        Raises:
            EvalFailed: the expression raised an error.
        """
        answer = await self._dry(values.value_query(expression))
        return values.parse_value(answer.result.output)

    async def dryrun(self, code: str) -> Answer:
        """Evaluate Lua without changing anything. Raises EvalFailed."""
        return await self._dry(code)

    async def run(self, line: str) -> Outcome:
        """Run a line of the shell, Lua or a dot command. Returns its outcome (`shell.outcome`).

        The outcome of `.source` is that of the last line of the file.

        Cancelling also stops the computation (on the built-in node).
        """
        async with self._stopped_with_us():
            outcome = await run_line(self.session, line)
            await self.session.settle()
        for sourced in outcome.then if isinstance(outcome, CommandOutput) else ():
            outcome = await self.run(sourced)
        return outcome

    @asynccontextmanager
    async def _stopped_with_us(self) -> AsyncIterator[None]:
        """Stop the line if the block is cancelled, so that the next one does not wait for it."""
        try:
            yield
        except asyncio.CancelledError:
            await self.session.stop_lines()
            raise

    async def _dry(self, code: str) -> Answer:
        came_to = await dryrun(self.session, code)
        answer = make_answer("", came_to.own.process, came_to.own, None, {})
        if not answer.ok:
            raise EvalFailed(answer.error or answer.outcome)
        return answer

    async def _address(self) -> str:
        return (await self.session.wallet()).address


class _Front:
    """A front without a person: passes what arrives to a function."""

    asks = False

    def __init__(self, show: Callable[[str], None]) -> None:
        self.feed = self.note = show

    def opened(self, node: Node) -> None:
        del node

    def partial(self, result: Result) -> None:
        del result

    async def confirm(self, question: str) -> bool:
        del question
        return False


class SessionOpening:
    """What `open` returns, for `async with`."""

    def __init__(
        self, start: Start, settings: Settings, backend: Backend, front: _Front, state: str
    ) -> None:
        self._start = start
        self._settings = settings
        self._backend = backend
        self._front = front
        self._state = state
        self._open = AsyncExitStack()

    async def __aenter__(self) -> AoSession:
        async with AsyncExitStack() as opening:
            settings = self._settings
            if self._state:
                settings = await self._loaded(opening)
            self._backend.warm()
            start = self._backend.prepared(self._start, settings)
            session = await open_session(
                start, settings, self._backend.open, self._front, Patience.SETTLED
            )
            given = AoSession(session)
            opening.push_async_callback(given.close)
            self._open = opening.pop_all()
        return given

    async def _loaded(self, opening: AsyncExitStack) -> Settings:
        """A temporary home with the content of the dump; `opening` removes it."""
        from aoshell.states.throwaway import temporary_home
        from aoshell.states.working import load, notes

        home = opening.enter_context(temporary_home(self._settings))
        for line in notes(await load(home, self._state, self._front.note)):
            self._front.note(line)
        return home

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.aclose()


def open(
    process: str = DEFAULT_NAME,
    *,
    node: str = "",
    home: Path | str | None = None,
    state: Path | str = "",
    wallet: Path | str = "",
    module: str = "",
    limits: Limits | None = None,
    said: Callable[[str], None] = lambda _text: None,
) -> SessionOpening:
    """Attach to a process, and make it if the name is free: `async with open("bank") as s`.

    Args:
        process: name, id or beginning of an id.
        node: URL or profile of a remote node; the built-in one by default.
        home: a folder for everything, instead of the user's own.
        state: a file of `aoshell dump` to begin with. The session then has a temporary home; the
            keys of `home` sign.
        wallet: a wallet file, instead of the home's own.
        module: id, published name or file that a new process is made of.
        limits: what processes of the built-in node may use.
        said: called with what arrives besides answers, as text of the prompt.

    Raises:
        AoError: the node is unknown, or `state` goes with a remote one; on entering: the session
            cannot be opened.
    """
    settings = Settings.find() if home is None else _settings(Path(home).absolute())
    start = Start(process, module, wallet=str(wallet), named=True, record=record_session)
    if limits is not None:
        start = start._replace(limits=limits)
    backend = _backend(node, settings, str(wallet))
    if state and isinstance(backend, RemoteBackend):
        raise UsageError(
            f"state opens the built-in node, and node names another: {node}",
            hint="leave one of them out",
        )
    return SessionOpening(start, settings, backend, _Front(said), str(state))


def _settings(home: Path) -> Settings:
    return Settings(home, home / "state", home / "config", home / "cache")


def _backend(node: str, settings: Settings, wallet: str) -> Backend:
    if not node:
        return LocalBackend(named=True, program=True)
    from aoshell.home.endpoints import resolve_endpoints

    endpoints = resolve_endpoints({"node": node}, {}, settings.config / "config.toml")
    if endpoints.remote:
        return RemoteBackend(endpoints, wallet, "")
    return LocalBackend(named=True, program=True)
