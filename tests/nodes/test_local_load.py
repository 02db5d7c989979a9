"""The outcome of a message depends on its work, not on the load of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from eventually import in_loop
from local_home import opened

from aoshell.nodes.values import Limits
from aoshell.protocol.message import Message
from aoshell.sandbox.supervising import stillness
from aoshell.sandbox.supervising.supervisor import Supervisor

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]
BUSY = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"


@pytest.fixture
def opening(folder, signer):
    """Opens the test's node with a zygote of its own, as tests stop it."""
    return lambda limits=None: opened(folder, signer, limits, Supervisor())


@pytest.fixture
def impatient(monkeypatch):
    """A worker counts as still after few looks."""
    monkeypatch.setattr(stillness, "QUIET", 1)
    monkeypatch.setattr(stillness, "STILL", 1)


@contextlib.contextmanager
def load():
    """Two busy processes for each processor, for a while at the most."""
    count = 2 * (os.cpu_count() or 1)
    busy = [subprocess.Popen([sys.executable, "-S", "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


async def stopped(local, what: str) -> None:
    """Stop the worker of a process that computes, the fork that does, or all there is."""
    (worker,) = local.workers()
    await asyncio.sleep(0.1)  # it computes now, in a fork
    with contextlib.suppress(ProcessLookupError):
        if what == "its fork":
            os.kill(worker.pid, signal.SIGSTOP)
            return
        if what == "all":
            os.killpg(local.engine.supervisor._zygotes["lua"].pid, signal.SIGSTOP)
        os.killpg(worker.group, signal.SIGSTOP)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("what", ["it", "its fork", "all"])
@in_loop
async def test_a_worker_that_is_stopped_is_started_anew_and_its_message_computed(opening, what):
    async with opening(Limits(seconds=60)) as local:
        pid = await local.spawn()
        await local.eval(pid, "X = 1")
        events = local.node.subscribe()
        line = await local.post(pid, "for i = 1, 2e8 do end X = X + 1 return X", Action="Eval")
        await stopped(local, what)
        result = await local.node.result(pid, line.slot)
        assert (result.outcome, result.output) == ("ok", "2")
        told = [event.detail async for event in drained(events) if event.kind == "notice"]
        assert any("neither answers nor computes" in text for text in told)
        assert await local.node.verify_log(pid) == []


@in_loop
async def test_closing_does_not_wait_for_what_is_stopped(opening):
    async with opening() as local:
        await local.spawn()
        zygote = local.engine.supervisor._zygotes["lua"].pid
        os.killpg(zygote, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(zygote, 0)


async def drained(events):
    with contextlib.suppress(TimeoutError):
        while True:
            yield await asyncio.wait_for(anext(events), 0.2)


@pytest.mark.usefixtures("impatient")
@in_loop
async def test_a_stopped_worker_under_a_dry_run_is_started_anew(opening):
    async with opening(Limits(seconds=60)) as local:
        pid = await local.spawn()
        owner = local.wallet.address
        code = b"for i = 1, 1e8 do end return 'dry'"
        action = local.item(pid, Action="Eval").tags
        dry = Message(id="", owner=owner, from_=owner, target=pid, tags=action, data=code)
        answer = asyncio.ensure_future(local.node.dryrun(pid, dry))
        await asyncio.sleep(0.1)
        (worker,) = local.workers()
        os.killpg(worker.group, signal.SIGSTOP)
        assert (await answer).output == "dry"


@in_loop
async def test_the_clock_on_the_wall_ends_nothing(opening):
    """As if a message waited for hours for the processor."""
    async with opening(Limits(seconds=60)) as local:
        pid = await local.spawn()
        line = await local.post(pid, "for i = 1, 5e7 do end return 'done'", Action="Eval")
        (live,) = local.engine.computer._live.values()
        for hours in range(1, 5):
            live.watch(time.monotonic() + 3600 * hours)
            await asyncio.sleep(0.05)
        result = await local.node.result(pid, line.slot)
        assert (result.outcome, result.output) == ("ok", "done")


@pytest.mark.usefixtures("impatient")
@in_loop
async def test_outcomes_under_load_are_those_without(opening):
    async with opening(Limits(seconds=0.2, memory=32 << 20)) as local:
        pid = await local.spawn()
        with load():
            for line, outcome in (
                ("return 1 + 1", "ok"),
                ("local s = 'x' while true do s = s .. s end", "memory"),
                ("while true do end", "time"),
                ("error('x')", "error"),
            ):
                assert (await local.eval(pid, line)).outcome == outcome
        assert await local.node.verify_log(pid) == []
