"""The page in a real browser: what it shows, what it must not do, how it is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from browser import Browser, Driver, driven, missing
from eventually import in_loop
from served_node import COUNTER, ServedNode, served

from aoshell.nodes.glances import Use
from aoshell.nodes.local.network.glances import LocalGlances
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.serve.serving import ServeOptions, Serving

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")

HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
ROWS = "return [...document.querySelectorAll('main tbody tr')].length"
# The rows behind a question that was asked after those of the page.
SLOWLY = f"return fetch('/~aoshell@1.0/page/node').then(() => {{ {ROWS} }})"
LIVE = "return document.querySelector('#live').dataset.state === 'live'"
TAB, ENTER = "\ue004", "\ue007"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with driven(tmp_path_factory.mktemp("profile")) as found:
        yield found


@asynccontextmanager
async def looking(on: ServedNode, driver: Driver, path: str = "/") -> AsyncIterator[Browser]:
    """A browser with the page. It must report no errors until the end."""
    async with driver.tab() as tab:
        await tab.open(on.serving.facts.url + path)
        await tab.wait(LIVE)
        yield tab
        assert await tab.complaints() == []


async def rows(tab: Browser, least: int) -> None:
    await tab.wait(
        "return document.querySelectorAll('main tbody tr').length >= arguments[0]", least
    )


@in_loop
async def test_nothing_that_others_wrote_is_more_than_text(
    folder: Path, wallet: Wallet, driver: Driver
) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn("", Name=HOSTILE)
        line = f"print([==[{HOSTILE}]==]) Send({{Target=ao.id, Action=[==[{HOSTILE}]==]}})"
        await on.send(process, line, Action="Eval", Other=HOSTILE, **{HOSTILE: "x"})
        await on.send(process, HOSTILE * 3000, Action=HOSTILE)
        expose = f'local h = [==[{HOSTILE}]==] Send({{device = "patch@1.0", cache = {{[h] = h}}}})'
        assert "Error" not in await on.eval(process, expose)
        await on.node.idle()
        async with looking(on, driver) as tab:
            for part in ("", "/state", "/use", "/m/1", "/m/2", "/m/0"):
                await tab.open(f"{on.serving.facts.url}/#/p/{process}{part}")
                await tab.wait(
                    "return document.querySelector('main h1').innerText === arguments[0]"
                    "&& document.querySelector('main td, main pre, main svg')",
                    HOSTILE,
                )
                assert HOSTILE in await tab.text("#processes")
                assert await tab.run("return document.querySelectorAll('img, script').length") == 1
                assert await tab.run("return window.hit === undefined")
            await tab.open(f"{on.serving.facts.url}/#/p/{process}/m/1")
            await tab.wait("return document.querySelector('.tags')")
            assert (await tab.text("main")).count(HOSTILE) >= 5


@in_loop
async def test_the_page_forbids_what_it_does_not_do(
    folder: Path, wallet: Wallet, driver: Driver
) -> None:
    """Even if a script of the page has a fault: markup, uploaded scripts, styles."""
    async with served(folder, wallet) as on:
        named = tags_of([("Content-Type", "text/javascript")])
        item = DataItem.sign(wallet, "", named, b"window.hit = 1")
        assert (await on.post(item, "/tx")).status_code == 200
        async with driver.tab() as tab:
            await tab.open(on.serving.facts.url)
            await tab.wait(LIVE)
            for attempt in (
                "document.body.innerHTML = '<b>x</b>'",
                "document.createElement('script').src = arguments[0]",
                "document.write('<b>x</b>')",
            ):
                script = f"try {{ {attempt}; return 'done' }} catch (error) {{ return error.name }}"
                assert await tab.run(script, f"/raw/{item.id}") == "TypeError", attempt
            await tab.run(
                "window.done = 0; const made = document.createElement('link');"
                "made.rel = 'stylesheet'; made.href = arguments[0]; made.onerror = () => done = 1;"
                "document.head.append(made)",
                f"/raw/{item.id}",
            )
            await tab.wait("return window.done === 1")
            blocked = "return fetch(arguments[0]).then(() => 'done', (error) => error.name)"
            assert await tab.run(blocked, "http://localhost:1/") == "TypeError"
            styled = "document.body.setAttribute('style', 'color: red');"
            assert await tab.run(styled + "return document.body.style.length") == 0
            assert await tab.run("return window.hit === undefined")
            assert "Content Security Policy" in "".join(await tab.complaints())


@in_loop
async def test_messages_arrive(folder: Path, wallet: Wallet, driver: Driver) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER, Name="counter")
        async with looking(on, driver, f"/#/p/{process}") as tab:
            await rows(tab, 2)
            await on.send(process, Action="Add")
            await rows(tab, 3)
            await tab.wait(
                "return document.querySelector('#announce').innerText === '1 new message'"
            )
            # More than one list has come: the rows begin anew.
            burst = "for i = 1, 400 do Send({Target = ao.id, Action = 'Add'}) end"
            await on.eval(process, burst)
            await on.node.idle()
            newest = await on.node.slots(process) - 1
            await tab.wait(
                "return document.querySelector('main tbody td').innerText === arguments[0]"
                "&& !document.querySelector('main tbody .wait')",
                str(newest),
            )
            shown = await tab.run(
                "return [...document.querySelectorAll('main tbody tr')]"
                ".map((row) => Number(row.cells[0].innerText))"
            )
            assert shown == list(range(newest, newest - len(shown), -1)) and len(shown) >= 200
            await tab.click("button.more")
            await rows(tab, len(shown) + 1)


@in_loop
async def test_a_page_that_pauses_or_sleeps_misses_nothing(
    folder: Path, wallet: Wallet, driver: Driver
) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        async with looking(on, driver, f"/#/p/{process}") as tab:
            await rows(tab, 2)
            for sent in (3, 5):  # the second time, the page is reading as it is paused
                await tab.click("#pause")
                await tab.wait("return document.querySelector('#live').innerText === 'paused'")
                shown = await tab.run(ROWS)
                await on.send(process, Action="Add")
                await on.node.idle()
                assert await tab.run(SLOWLY) == shown
                await tab.click("#pause")
                await rows(tab, sent)
                await on.send(process, Action="Add")
            await rows(tab, 6)
            await tab.run("dispatchEvent(new Event('pagehide'))")  # as for a tab that is put away
            await tab.wait("return document.querySelector('#live').innerText === 'asleep'")
            await on.send(process, Action="Add")
            await tab.run("dispatchEvent(new Event('pageshow'))")
            await rows(tab, 7)
            for hidden, state in (("true", "asleep"), ("false", "live")):
                await tab.run(
                    f"Object.defineProperty(document, 'hidden', {{get: () => {hidden}, "
                    "configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
                )
                told = "return document.querySelector('#live').dataset.state === arguments[0]"
                await tab.wait(told, state)
                await on.send(process, Action="Add")
            await rows(tab, 9)


@in_loop
async def test_the_node_may_stop_and_come_back(
    folder: Path, wallet: Wallet, driver: Driver
) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER, Name="counter")
        port = on.serving.facts.port
        async with driver.tab() as tab:
            await tab.open(f"{on.serving.facts.url}/#/p/{process}")
            await rows(tab, 2)
            await on.serving.close()
            await on.node.close()
            await tab.wait("return document.querySelector('#live').dataset.state === 'lost'")
            assert await tab.run(ROWS) == 2  # what was read stays
            await tab.run("location.hash += '/use'")
            await tab.wait("return document.querySelector('main .stack .bad')")
            node = await LocalNode.open(folder)
            serving = await Serving.open(node, ServeOptions(port=port), tell=on.told.append)
            try:
                item = on.message(process, Action="Add")
                await node.send(process, item)
                await tab.wait(LIVE)
                await tab.wait("return document.querySelector('.plot svg')")
                await tab.run("location.hash = location.hash.replace('/use', '')")
                await rows(tab, 3)
                # Without processes, as a home that was wiped: nothing stays that is not there.
                await node.delete(process)
                await tab.wait("return !document.querySelector('#processes li')")
                await tab.wait("return document.querySelector('main .bad')")
            finally:
                await serving.close()
                await node.close()


@in_loop
async def test_what_is_taken_back_is_gone(folder: Path, wallet: Wallet, driver: Driver) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        for _ in range(6):
            await on.send(process, Action="Add")
        await on.node.idle()
        async with looking(on, driver, f"/#/p/{process}") as tab:
            await rows(tab, 8)
            await on.node.workbench.undo(process, 4)
            await tab.wait(ROWS.replace("length", "length === 4"))
            await on.send(process, "again", Action="Add")
            await rows(tab, 5)
            await tab.open(f"{on.serving.facts.url}/#/p/{process}/m/4")
            await tab.wait("return document.querySelector('.tags')")
            await on.node.workbench.undo(process, 4)
            await tab.wait("return document.querySelector('main .card .bad')")
            assert all("404 (Not Found)" in one for one in await tab.complaints())


@in_loop
async def test_one_message_and_what_it_caused(folder: Path, wallet: Wallet, driver: Driver) -> None:
    async with served(folder, wallet) as on:
        second = await on.spawn('Handlers.add("b", "B", function() error("no") end)', Name="two")
        first = await on.spawn(
            'Handlers.add("a", "A", function(msg) print("from " .. msg.Data) '
            f'Send({{Target="{second}", Action="B"}}) end)',
            Name="one",
        )
        await on.send(first, "here", Action="A")
        await on.node.idle()
        async with looking(on, driver, f"/#/p/{first}/m/2") as tab:
            await tab.wait("return document.querySelectorAll('td.bar svg rect').length === 4")
            text = await tab.text("main")
            assert "2 messages in 2 processes" in text and "from here" in text
            await tab.run("document.querySelectorAll('.card.wide tbody a')[1].click()")
            await tab.wait("return document.querySelector('main h1').innerText === 'two'")
            await tab.wait("return document.querySelector('main pre.bad')")
            assert await tab.run("return location.hash") == f"#/p/{second}/m/2"


@in_loop
async def test_use_is_drawn(folder: Path, wallet: Wallet, driver: Driver) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn("Kept = {}")
        for _ in range(5):
            await on.eval(process, "Kept[#Kept + 1] = ('x'):rep(1e6)")
        await on.eval(process, "error('no')")
        async with looking(on, driver) as tab:
            # By another name of this machine: the policy names it.
            named = on.serving.facts.url.replace("127.0.0.1", "localhost")
            await tab.open(f"{named}/#/p/{process}/use")
            drawn = await tab.wait(
                "const line = document.querySelector('.plot .curve');"
                "return line && line.getAttribute('points')"
            )
            heights = [float(point.split(",")[1]) for point in drawn.split()]
            assert len(heights) == 8 and heights[1] > heights[5]  # memory grows: upwards
            assert await tab.run("return document.querySelectorAll('.plot .failed').length") == 2
            told = await tab.run("return document.querySelector('.plot svg').ariaLabel")
            assert told.startswith("Memory behind each message: ") and "slot 7" in told
            await tab.run("document.querySelector('details').open = true")
            await rows(tab, 8)


@in_loop
async def test_gas_is_drawn_where_it_is_counted(
    folder: Path, wallet: Wallet, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(*_: object) -> list[Use]:
        return [Use(n, n, 1.0, 0, gas, 0) for n, gas in enumerate((5, 10, 0))]

    monkeypatch.setattr(LocalGlances, "use", use)
    async with served(folder, wallet) as on:
        process = await on.spawn()
        async with looking(on, driver, f"/#/p/{process}/use") as tab:
            drawn = await tab.wait("return document.querySelectorAll('.plot .curve')[1]")
            points = "return document.querySelectorAll('.plot .curve')[1].getAttribute('points')"
            assert drawn and await tab.run(points) == "0.0,106.0 500.0,12.0 1000.0,200.0"
            # Nothing used no memory: a line at the bottom.
            points = points.replace("[1]", "[0]")
            assert await tab.run(points) == "0.0,200.0 500.0,200.0 1000.0,200.0"


@in_loop
async def test_it_is_used_by_keys_and_read_aloud(
    folder: Path, wallet: Wallet, driver: Driver
) -> None:
    async with served(folder, wallet) as on:
        await on.spawn(COUNTER, Name="one")
        process = await on.spawn(COUNTER, Name="two")
        await on.eval(process, 'Send({device = "patch@1.0", cache = {n = 1}})')
        async with looking(on, driver) as tab:
            focused = "return document.activeElement.innerText || document.activeElement.id"
            order = []
            for _ in range(6):
                await tab.keys(TAB)
                order.append((await tab.run(focused)).split("\n")[0])
            assert order == ["Skip to the content", "aoshell", "Pause", "filter", "two", "one"]
            await tab.run("document.querySelector('#processes a').focus()")
            await tab.keys(ENTER)
            await rows(tab, 2)
            assert await tab.run(focused) == "two"
            assert await tab.run("return document.activeElement.tagName") == "H1"
            assert await tab.run("return document.title") == "two, Messages – aoshell"
            for part in ("", "/state", "/use", "/m/1"):
                await tab.open(f"{on.serving.facts.url}/#/p/{process}{part}")
                await tab.wait("return document.querySelector('main pre, main td, main svg')")
                assert await tab.run(FAULTS) == []


@in_loop
async def test_a_row_keeps_the_focus(folder: Path, wallet: Wallet, driver: Driver) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        await on.send(process, "while true do end", Action="Eval")
        async with looking(on, driver, f"/#/p/{process}") as tab:
            await tab.wait("return document.querySelector('main tbody .wait')")
            await tab.run("document.querySelector('main tbody a').focus()")
            assert await on.node.cancel(process, 1)
            await tab.wait("return document.querySelector('main tbody .bad')")
            assert await tab.run("return document.activeElement.innerText") == "1"


# What a checker of accessibility looks at first. Each fault is a text.
FAULTS = """
const all = (selector) => [...document.querySelectorAll(selector)];
const faults = [];
const one = (selector) => all(selector).length === 1 || faults.push(`not one ${selector}`);
["main", "h1", "header", "html[lang]", "title"].forEach(one);
const ids = all("[id]").map((element) => element.id);
if (new Set(ids).size !== ids.length) faults.push("an id twice");
for (const element of all("[aria-labelledby]"))
  if (!document.getElementById(element.getAttribute("aria-labelledby"))) faults.push("no label");
for (const nav of all("nav"))
  if (!nav.ariaLabel && !nav.hasAttribute("aria-labelledby")) faults.push("nav without a name");
for (const input of all("input")) if (!input.labels.length) faults.push("input without a label");
for (const element of all("a, button"))
  if (!element.innerText.trim()) faults.push(`no name: ${element.outerHTML}`);
for (const link of all("a")) if (!link.href) faults.push("a link to nothing");
for (const drawn of all("svg"))
  if (drawn.ariaHidden !== "true" && !(drawn.ariaLabel && drawn.getAttribute("role") === "img"))
    faults.push("svg without a text");
for (const table of all("table"))
  if (!table.caption || all("th:not([scope])").length) faults.push("a table without heads");
let level = 0;
for (const heading of all("main :is(h1, h2, h3, h4)")) {
  const its = Number(heading.tagName[1]);
  if (its > level + 1) faults.push(`h${its} under h${level}`);
  level = its;
}
for (const element of all("pre")) if (element.tabIndex !== 0) faults.push("pre without the keys");
return faults;
"""


@in_loop
async def test_it_fits_the_window(folder: Path, wallet: Wallet, driver: Driver) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER, Name="n" * 300)
        await on.send(process, "x" * 5000, Action="y" * 300, Other="z" * 3000)
        await on.node.idle()
        async with looking(on, driver) as tab:
            for part in ("#/", f"#/p/{process}", f"#/p/{process}/m/2", f"#/p/{process}/use"):
                await tab.open(f"{on.serving.facts.url}/{part}")
                there = ".tags" if "/m/" in part else "main td, main svg, main section dl"
                await tab.wait("return document.querySelector(arguments[0])", there)
                for width in (320, 390, 800, 1280):
                    await tab.command(
                        "Emulation.setDeviceMetricsOverride",
                        width=width,
                        height=800,
                        deviceScaleFactor=1,
                        mobile=width < 500,
                    )
                    wide = "return document.documentElement.scrollWidth"
                    assert await tab.run(wide) <= width


@in_loop
async def test_a_page_that_is_closed_leaves_the_node(
    folder: Path, wallet: Wallet, driver: Driver
) -> None:
    """Nobody looks any more."""
    async with served(folder, wallet) as on:
        async with looking(on, driver):
            pass
        while True:
            tasks = [task for task in asyncio.all_tasks() if "Watch._look" in repr(task)]
            if not tasks:
                break
            await asyncio.sleep(0.01)
